"""How a trace watches a run of `minimize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core import record
from ..trace import Trace
from .state import RunState


def recorder(
    trace: Trace | bool,
    state: RunState,
    etas: tuple[float, float],
    step_sizes: tuple[float | None, float | None],
) -> tuple[Callable[..., int], Trace]:
    """Make what records the iterations of a run.

    Parameters
    ----------
    trace : Trace or True
        A trace without rows, or True for a new one.
    state : RunState
        The run.
    etas, step_sizes
        Options of the rule, as `minimize` got them.

    Returns
    -------
    callable
        ``watch(advance, *arguments) -> status`` calls `iteration.advance`, and changes nothing in the record.
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
    direction = -1 if state.maximize else 1
    # With bounds the rule sees a gradient of 0 where a step would leave them.
    gradient = record.LAST_G if state.bounds is None else record.INWARD_G
    vectors, scalars = state.vectors, state.scalars

    def watch(advance: Callable[..., int], *arguments: Any) -> int:
        prev, size = vectors[record.PREV].copy(), vectors[record.SIZE].copy()
        steps_before = scalars[record.NIT]
        status = advance(*arguments)
        if scalars[record.NIT] == steps_before:
            trace.retreated()
        else:
            trace.record(
                vectors[record.LAST_X],
                direction * scalars[record.LAST_F],
                direction * vectors[gradient],
                prev,
                size,
                vectors[record.SIZE],
                worse=bool(scalars[record.WORSE]),
                stepped=bool(scalars[record.STEP_MADE]),
            )
        return status

    return watch, trace
