"""The result of a run of `minimize`, and the summary that `disp` prints."""

from __future__ import annotations

import warnings

from scipy.optimize import OptimizeWarning

from .._common.stacklevel import stacklevel
from .._core import record
from .._core.status import Status, reported
from .messages import run_message
from .objective import Objective
from .result import Result
from .state import RunState


def result_of(state: RunState, status: int, objective: Objective) -> Result:
    """The result of a run that has ended with this status."""
    message = run_message(status, state.scalars, state.sign)
    if objective.without_slope:
        # Finite differences of 0 became a gradient of NaN, so that the run did not begin.
        status = Status.PRECISION_LOSS.value
        message = f"{Status.PRECISION_LOSS.message} {objective.without_slope}"
        state.vectors[record.LAST_G] = 0
    # If no value was finite, there is no best point. Then the start is returned, with its value and gradient.
    f, x, g = (
        (record.LAST_F, record.LAST_X, record.LAST_G)
        if state.scalars[record.NIT] < 0
        else (record.BEST_F, record.BEST_X, record.BEST_G)
    )
    sign = state.sign
    nit, nfev, njev = state.counts
    return Result(
        message=message,
        success=status == Status.CONVERGED,
        status=reported(status),
        fun=sign * float(state.scalars[f]),
        x=state.shaped(x),
        nit=state.nit - nit,
        jac=sign * state.shaped(g),
        nfev=int(state.scalars[record.NFEV]) - nfev,
        njev=int(state.scalars[record.NJEV]) - njev,
        step_size=state.shaped(record.SIZE),
        prev=sign * state.shaped(record.PREV),
        gradient=objective.gradient,
        state=state,
    )


def print_summary(result: Result) -> None:
    """Print a summary, for the option `disp`; without success, the message is a warning, as in SciPy."""
    if result.success:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=stacklevel())
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")
