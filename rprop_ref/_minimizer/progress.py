"""What a long run shows of itself: a bar of tqdm where that is installed, a line per second where it is not."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from .._core import record
from .state import RunState

#: Seconds between two lines where there is no tqdm.
INTERVAL = 1.0


class Progress:
    """Shows how far a run has come; to be used as a context, and called as often as one likes.

    Parameters
    ----------
    maxiter : float
        How many iterations there may be in all; perhaps infinity.
    """

    def __init__(self, maxiter: float) -> None:
        self._maxiter = maxiter
        self._began = self._shown = time.perf_counter()
        self._nit = 0
        self._bar: Any = None
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError:
            return
        total = None if maxiter == np.inf else int(maxiter)
        self._bar = tqdm(total=total, unit="it", mininterval=0.1, file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, state: RunState, *, last: bool = False) -> None:
        """Show the state; `last` if the run has ended."""
        nit = state.nit - state.counts[0]
        now = time.perf_counter()
        if self._bar is not None:
            if last or now - self._shown >= self._bar.mininterval:
                self._shown = now
                self._bar.set_postfix_str(_summary(state), refresh=False)
            self._bar.update(nit - self._nit)
            self._nit = nit
            if last:
                self._bar.refresh()
        elif last or now - self._shown >= INTERVAL:
            rate = nit / max(now - self._began, 1e-9)
            print(f"{nit}/{self._maxiter:.0f} [{rate:.3g} it/s] {_summary(state)}", file=sys.stderr, flush=True)
            self._shown = now


def _summary(state: RunState) -> str:
    size = state.vectors[record.SIZE]
    f = -state.scalars[record.BEST_F] if state.maximize else state.scalars[record.BEST_F]
    smallest, largest = np.min(size, initial=np.inf), np.max(size, initial=0)
    return f"f={f:.6g}, |g|={state.scalars[record.LAST_G_MAX]:.2e}, steps {smallest:.1e} to {largest:.1e}"


class Starts:
    """Shows how many of many runs have ended, and the best value; to be used like `Progress`.

    Parameters
    ----------
    m : int
        How many runs there are.
    maximize : bool
        Whether the best value is the largest.
    """

    def __init__(self, m: int, maximize: bool) -> None:
        self._m = m
        self._best = -np.inf if maximize else np.inf
        self._better = np.fmax if maximize else np.fmin
        self._shown = time.perf_counter()
        self._done = 0
        self._bar: Any = None
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError:
            return
        self._bar = tqdm(total=m, unit="starts", mininterval=0.1, file=sys.stderr)

    def __enter__(self) -> Starts:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, values: Any = None) -> None:
        """Show that so many have ended; `values` are those that some of them found."""
        if values is not None:
            self._best = float(self._better.reduce(values, initial=self._best))
        now = time.perf_counter()
        done = max(done, self._done)
        if self._bar is not None:
            self._bar.set_postfix_str(f"best f={self._best:.6g}", refresh=False)
            self._bar.update(done - self._done)
        elif done == self._m or now - self._shown >= INTERVAL:
            print(f"{done}/{self._m} starts, best f={self._best:.6g}", file=sys.stderr, flush=True)
            self._shown = now
        self._done = done
