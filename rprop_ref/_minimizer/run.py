"""The loop around a driver: callback, `maxtime`, progress and checkpoints between its calls."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from .._common import npz
from .._core import record
from .._core.status import Status
from .drivers import PythonDriver
from .progress import Progress
from .state import RunState

Array = np.ndarray[Any, Any]

#: A function called after each iteration. The run ends if it returns True.
AfterIteration = Callable[[], bool]

# More iterations than any run makes.
_NO_MAXIMUM = 1 << 60


def run(
    drive: Callable[[int], int],
    state: RunState,
    status: int,
    after_iteration: Sequence[AfterIteration],
    *,
    maxtime: float,
    progress: Progress | None,
    checkpoint: npz.Path | None,
    checkpoint_every: int,
) -> int:
    """Call a driver until the run ends, and return the final status.

    Parameters
    ----------
    drive : callable
        A driver, see `drivers`.
    state : RunState
        The state of the run, which the driver changes.
    status : int
        The `Status` before the first call. If the run has ended already (0 or more), the driver is not called.
    after_iteration : sequence of callables
        The run ends if one of them returns True.
    maxtime : float
        In seconds; may be infinite.
    progress, checkpoint, checkpoint_every
        See `minimize`.
    """
    began = time.perf_counter()
    nit = saved = state.nit
    # Nothing can be done inside a driver's loop, so a driver is called for one iteration at a time if there is
    # something to do after each. The drivers for objectives in machine code return several times a second anyway,
    # which is enough for `maxtime` and the display; only the first call is a single iteration, since that may take
    # longer than `maxtime`.
    every_iteration = after_iteration or progress is not None or maxtime < np.inf
    max_iterations = 1 if every_iteration else _NO_MAXIMUM
    while status < 0:
        before = nit
        status = drive(
            max_iterations if checkpoint is None else min(max_iterations, saved + checkpoint_every - nit)
        )
        nit = state.nit
        if nit > before:
            for wants_to_stop in after_iteration:
                if wants_to_stop():
                    status = Status.CALLBACK_STOPPED.value
        if status < 0 and time.perf_counter() - began >= maxtime:
            status = Status.TIME_LIMIT.value
        if not after_iteration and not isinstance(drive, PythonDriver):
            max_iterations = _NO_MAXIMUM
        if progress is not None:
            progress(state)
        if checkpoint is not None and status < 0 and nit - saved >= checkpoint_every:
            state.save(checkpoint)
            saved = nit
    if checkpoint is not None:
        state.save(checkpoint)
    if progress is not None:
        progress(state, last=True)
    return status


def collect_points(points: list[Array], state: RunState) -> AfterIteration:
    """A function that appends the latest point to `points`."""

    def append() -> bool:
        points.append(state.shaped(record.LAST_X))
        return False

    return append


def call_back(callback: Callable[..., Any], state: RunState) -> AfterIteration:
    """A function that calls the user's callback, in the one of SciPy's two forms that its signature asks for."""
    try:
        wants_result = list(inspect.signature(callback).parameters) == ["intermediate_result"]
    except (TypeError, ValueError):  # some builtins have no signature
        wants_result = False

    def wants_to_stop() -> bool:
        x = state.shaped(record.LAST_X)
        try:
            if wants_result:
                f = state.sign * float(state.scalars[record.LAST_F])
                callback(intermediate_result=OptimizeResult(x=x, fun=f))
            else:
                callback(x)
        except StopIteration:
            return True
        return False

    return wants_to_stop
