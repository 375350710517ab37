"""The option `progress`: shown by tqdm if it is installed, else in a line per second, on stderr."""

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
    """A context manager that opens a bar if tqdm is installed, and closes it."""

    def __init__(self, total: float | None, unit: str, initial: int = 0) -> None:
        self._shown = time.perf_counter()
        self._bar: Any = None
        if sys.stderr is None:  # as under pythonw and in services
            return
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError:
            return
        self._bar = tqdm(total=total, initial=initial, unit=unit, mininterval=0.1, file=sys.stderr)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _print(self, line: str) -> None:
        """Print a line, if there is anything to print to."""
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)
        self._shown = time.perf_counter()


class Progress(_Display):
    """Shows the progress of a run. It may be called in every iteration; it writes a few times a second at most.

    It counts iterations, and says nothing of a time left: few runs end at `maxiter`.

    Parameters
    ----------
    state : RunState
        The state before the first iteration.
    """

    def __init__(self, state: RunState) -> None:
        self._nit = self._first_nit = state.nit - state.counts[0]  # not 0 if the run is resumed
        super().__init__(None, "it", self._nit)
        self._began = self._shown

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
            rate = (nit - self._first_nit) / max(now - self._began, 1e-9)
            self._print(f"{nit} iterations [{rate:.3g} it/s] {_summary(state)}")


def _summary(state: RunState) -> str:
    size = state.vectors[record.SIZE]
    f = state.sign * state.scalars[record.BEST_F]
    smallest, largest = np.min(size, initial=np.inf), np.max(size, initial=0)
    return f"f={f:.6g}, |g|={state.scalars[record.LAST_G_MAX]:.2e}, steps {smallest:.1e} to {largest:.1e}"


class ManyRunsProgress(_Display):
    """Shows how many of m runs have ended, and the best value so far.

    Parameters
    ----------
    m : int
        The number of runs.
    maximize : bool
        Whether the best value is the highest.
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
            self._print(f"{ended}/{self._m} starts, best f={self._best:.6g}")
        self._ended = ended
