"""The stopping rules of `minimize`, each written once.

Every condition is one expression of comparisons, ``&`` and ``|``, so that the same text serves numbers, arrays of
NumPy, compiled loops, and the lanes of a block of runs. `stopping_status` asks them in order and says why a run
ends; `may_stop` tells whether any of them could, which is all that most iterations need to know. (`xtol` is a
condition on each coordinate: `rprop_ref._core.coordinates.is_stalled`.)

The arguments are entries of the record (`rprop_ref._core.record`).
"""

from .record import (
    BEST_F,
    BEST_G_MAX,
    F_RESOLUTION,
    F_TARGET,
    FTOL,
    GTOL,
    LAST_G_MAX,
    LOWEST_F,
    LOWEST_NIT,
    MAXFEV,
    MAXITER,
    NFEV,
    NIT,
    PATIENCE,
    RETREAT_NIT,
    SIZE_FLOOR,
    SMALL_FIRST_STEPS,
    WINDOW,
    WINDOW_F,
    WINDOW_NIT,
    XTOL,
)
from .status import Status
from .vectors import all_within_tolerance, predicted_decrease

CONTINUE = Status.CONTINUE.value
CONVERGED = Status.CONVERGED.value
ITERATION_LIMIT = Status.ITERATION_LIMIT.value
PRECISION_LOSS = Status.PRECISION_LOSS.value
EVALUATION_LIMIT = Status.EVALUATION_LIMIT.value
NO_IMPROVEMENT = Status.NO_IMPROVEMENT.value

#: So many steps after a retreat small steps count as convergence again: a retreat makes steps small as well. So
#: may the start.
SETTLING_STEPS = 50

#: How far the best point may be from the point of rest, in tolerances.
REST_TOLERANCES = 1000


def gradient_is_small(best_g_max, gtol):
    """`gtol`: at the best point."""
    return best_g_max <= gtol


def target_is_reached(best_f, f_target):
    """`f_target`."""
    return best_f <= f_target


def window_is_over(nit, window_nit, window):
    """The end of a window, at which `ftol` is looked at."""
    return nit - window_nit >= window


def value_is_flat(decrease, predicted_decrease, scale, ftol, resolution):
    """`ftol`: within the window the value has hardly fallen, and the next step promises no more.

    Rprop often overshoots and needs some steps to come back, and some rules rest after a change of sign. That
    nothing has fallen is no sign of a minimum as long as the steps are large for the slope.
    """
    return (decrease <= ftol * scale) & (predicted_decrease <= max(ftol, resolution) * scale)


def iterations_are_used_up(nit, maxiter):
    """`maxiter`."""
    return nit >= maxiter


def evaluations_are_used_up(nfev, maxfev):
    """`maxfev`."""
    return nfev >= maxfev


def patience_is_over(nit, lowest_nit, patience):
    """`patience`: no lower value for so many iterations."""
    return nit - lowest_nit >= patience


def is_stationary(g_max):
    """No step leads away from a point whose gradient is zero."""
    return g_max == 0


def may_stop(
    nit,
    nfev,
    g_max,
    stalled,
    best_f,
    best_g_max,
    lowest_nit,
    window_nit,
    gtol,
    f_target,
    window,
    maxiter,
    maxfev,
    patience,
):
    """Whether any stopping rule could end the run here, or move its window on.

    The arguments are entries of the record once the point is in it, and whether every coordinate is stalled.
    """
    return (
        gradient_is_small(best_g_max, gtol)
        | target_is_reached(best_f, f_target)
        | window_is_over(nit, window_nit, window)
        | iterations_are_used_up(nit, maxiter)
        | evaluations_are_used_up(nfev, maxfev)
        | patience_is_over(nit, lowest_nit, patience)
        | is_stationary(g_max)
        | stalled
    )


def stopping_status(scalars, x, g, size, best_x, stalled):
    """Whether the run ends at the point that was evaluated last: `CONTINUE`, or the reason.

    It also moves the window of `ftol` on.
    """
    nit = scalars[NIT]
    if gradient_is_small(scalars[BEST_G_MAX], scalars[GTOL]) or target_is_reached(
        scalars[BEST_F], scalars[F_TARGET]
    ):
        return CONVERGED
    settled = nit - scalars[RETREAT_NIT] >= SETTLING_STEPS
    if nit == 0:
        scalars[WINDOW_F] = scalars[LOWEST_F]
        if stalled:
            scalars[RETREAT_NIT] = SMALL_FIRST_STEPS
    if window_is_over(nit, scalars[WINDOW_NIT], scalars[WINDOW]):
        before, lowest = scalars[WINDOW_F], scalars[LOWEST_F]
        scale = max(abs(before), abs(lowest), 1.0)
        if settled and value_is_flat(
            before - lowest, predicted_decrease(g, size), scale, scalars[FTOL], scalars[F_RESOLUTION]
        ):
            return CONVERGED
        scalars[WINDOW_F] = lowest
        scalars[WINDOW_NIT] = nit
    if iterations_are_used_up(nit, scalars[MAXITER]):
        return ITERATION_LIMIT
    if evaluations_are_used_up(scalars[NFEV], scalars[MAXFEV]):
        return EVALUATION_LIMIT
    if patience_is_over(nit, scalars[LOWEST_NIT], scalars[PATIENCE]):
        return NO_IMPROVEMENT
    if is_stationary(scalars[LAST_G_MAX]):
        # It is not the best point: a maximum, or a plateau.
        return PRECISION_LOSS
    if nit > 0 and stalled and (settled or scalars[RETREAT_NIT] != SMALL_FIRST_STEPS):
        # The best point was met on the way to rest, or else the run has come to rest somewhere else.
        xtol, floor = REST_TOLERANCES * scalars[XTOL], REST_TOLERANCES * scalars[SIZE_FLOOR]
        return CONVERGED if all_within_tolerance(x, best_x, xtol, floor) and settled else PRECISION_LOSS
    return CONTINUE
