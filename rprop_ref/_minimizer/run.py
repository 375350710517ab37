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
from .drivers import CompiledDriver
from .progress import Progress
from .state import RunState

Array = np.ndarray[Any, Any]

#: What is called after each iteration, ``after_iteration() -> whether to stop``.
AfterIteration = Callable[[], bool]

# More iterations than any run makes.
_NO_LIMIT = 1 << 60


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
    """Call a driver until the run ends, and return the status then.

    Parameters
    ----------
    drive : callable
        A driver, see `drivers`.
    state : RunState
        The state that the driver changes.
    status : int
        If it says that the run has ended (a `Status` of at least 0), the driver is not called.
    after_iteration : sequence of callables
        The run ends if one of them returns True.
    maxtime : float
        Seconds; perhaps infinity.
    progress, checkpoint, checkpoint_every
        See `minimize`.
    """
    began = time.perf_counter()
    nit = saved = state.nit
    # A driver cannot be interrupted in its loop. So it makes one iteration per call if there is something to do
    # between iterations. The compiled driver returns by itself several times a second, which is enough for the
    # clock and the display; only its first call is a single iteration, since `maxtime` may be over by then.
    every_iteration = after_iteration or progress is not None or maxtime < np.inf
    max_iterations = 1 if every_iteration else _NO_LIMIT
    while status < 0:
        before = nit
        status = drive(
            max_iterations if checkpoint is None else min(max_iterations, saved + checkpoint_every - nit)
        )
        nit = state.nit
        if nit > before:
            for stops in after_iteration:
                if stops():
                    status = Status.CALLBACK_STOPPED
        if status < 0 and time.perf_counter() - began >= maxtime:
            status = Status.TIME_LIMIT
        if not after_iteration and isinstance(drive, CompiledDriver):
            max_iterations = _NO_LIMIT
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
    """Append the point of each iteration to a list."""

    def append() -> bool:
        points.append(state.shaped(record.LAST_X))
        return False

    return append


def call_back(callback: Callable[..., Any], state: RunState) -> AfterIteration:
    """Call the user's callback, in either of SciPy's two forms; the run stops if it raises StopIteration."""
    try:
        wants_result = list(inspect.signature(callback).parameters) == ["intermediate_result"]
    except (TypeError, ValueError):  # some builtins have no signature
        wants_result = False
    sign = -1 if state.maximize else 1

    def stops() -> bool:
        x = state.shaped(record.LAST_X)
        try:
            if wants_result:
                callback(intermediate_result=OptimizeResult(x=x, fun=sign * float(state.scalars[record.LAST_F])))
            else:
                callback(x)
        except StopIteration:
            return True
        return False

    return stops
