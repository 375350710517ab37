"""The option `progress`: a bar of tqdm if that is installed, else a line per second on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from .._core import record
from .state import RunState

#: Seconds between two lines without tqdm.
INTERVAL = 1.0


class _Display:
    """A context that opens a bar if tqdm is installed, and closes it."""

    def __init__(self, total: float | None, unit: str) -> None:
        self._shown = time.perf_counter()
        self._bar: Any = None
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError:
            return
        self._bar = tqdm(total=total, unit=unit, mininterval=0.1, file=sys.stderr)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


class Progress(_Display):
    """Shows how far a run has come. Call it as often as you like; it writes only now and then.

    Parameters
    ----------
    maxiter : float
        The largest number of iterations; perhaps infinity.
    """

    def __init__(self, maxiter: float) -> None:
        super().__init__(None if maxiter == np.inf else int(maxiter), "it")
        self._maxiter = maxiter
        self._began = self._shown
        self._nit = 0

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


class ManyRunsProgress(_Display):
    """Shows how many of m runs have ended, and the best value so far; used like `Progress`.

    Parameters
    ----------
    m : int
        The number of runs.
    maximize : bool
        Whether the best value is the largest.
    """

    def __init__(self, m: int, maximize: bool) -> None:
        super().__init__(m, "starts")
        self._m = m
        self._best = -np.inf if maximize else np.inf
        self._better = np.fmax if maximize else np.fmin
        self._ended = 0

    def __call__(self, ended: int, values: Any = None) -> None:
        """Show the number of runs that have ended; `values` are the final values of the latest ones."""
        if values is not None:
            self._best = float(self._better.reduce(values, initial=self._best))
        now = time.perf_counter()
        ended = max(ended, self._ended)
        if self._bar is not None:
            self._bar.set_postfix_str(f"best f={self._best:.6g}", refresh=False)
            self._bar.update(ended - self._ended)
        elif ended == self._m or now - self._shown >= INTERVAL:
            print(f"{ended}/{self._m} starts, best f={self._best:.6g}", file=sys.stderr, flush=True)
            self._shown = now
        self._ended = ended
