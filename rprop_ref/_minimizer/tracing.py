"""The option `trace`: how the iterations of a run of `minimize` are added to a `Trace`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core import record
from .._core.status import Status
from ..trace import Trace
from .state import RunState


def make_traced_advance(
    trace: Trace | bool,
    state: RunState,
    etas: tuple[float, float],
    step_sizes: tuple[float | None, float | None],
) -> tuple[Callable[..., int], Trace]:
    """Make the `traced_advance` of `PythonDriver`, and the trace that it fills.

    Parameters
    ----------
    trace : Trace or True
        A trace without rows, or True for a new one.
    state : RunState
        The state of the run.
    etas, step_sizes
        Options of the rule, stored in the trace.

    Returns
    -------
    callable
        ``traced_advance(advance, *arguments) -> status`` calls ``advance(*arguments)``, and adds the iteration to
        the trace. It only reads the record.
    Trace
    """
    if not isinstance(trace, Trace):
        if trace is not True:
            raise TypeError(f"trace must be True, False or a Trace, but is {trace!r}")
        trace = Trace()
    if trace.groups:
        raise ValueError(f"the trace must be new, but it has {trace.steps} iterations already")
    trace._options = {
        "variant": state.variant,
        "etas": etas,
        "step_sizes": step_sizes,
        "maximize": state.maximize,
    }
    # The gradient that the rule uses: with bounds, 0 in components whose descent direction leaves them.
    gradient = record.LAST_G if state.bounds is None else record.INWARD_G
    vectors, scalars = state.vectors, state.scalars

    def traced_advance(advance: Callable[..., int], *arguments: Any) -> int:
        prev, size = vectors[record.PREV].copy(), vectors[record.SIZE].copy()
        steps_before, is_probe = scalars[record.NIT], scalars[record.CHECK] != 0
        is_pattern_move = bool(scalars[record.PATTERN] != 0)
        stalls_before = scalars[record.STALLS]
        status = advance(*arguments)
        is_iteration = scalars[record.NIT] > steps_before
        if is_pattern_move:
            prev[:] = 0  # what the step from there began with
        if is_probe:
            trace.probed()
        elif is_iteration:
            trace.record(
                vectors[record.LAST_X],
                state.sign * scalars[record.LAST_F],
                state.sign * vectors[gradient],
                prev,
                size,
                vectors[record.SIZE],
                worse=bool(scalars[record.WORSE]),
                stepped=bool(scalars[record.STEP_MADE]),
                pattern_move=is_pattern_move,
            )
            if scalars[record.STALLS] > stalls_before:
                trace.began_again()
        elif is_pattern_move:
            trace.turned_back()
        else:
            trace.retreated()
        if state.bounds is not None and is_iteration:
            trace.held |= (vectors[record.INWARD_G] == 0) & (vectors[record.LAST_G] != 0)
        trace.kink = status == Status.KINK
        return status

    return traced_advance, trace
