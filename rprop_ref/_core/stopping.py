"""The stopping rules of `minimize`: the one place where each condition is written.

A condition is one expression of comparisons, ``&`` and ``|``, so that the same source serves single runs and the
lanes of a block of runs. `stopping_status` evaluates the conditions in order. `may_stop` is true whenever one of
them could hold; most iterations need no more. (`xtol` is a test of each coordinate:
`rprop_ref._core.coordinates.is_stalled`.)

The arguments are entries of the record (`rprop_ref._core.record`).
"""

from .record import (
    BEST_F,
    BEST_G_MAX,
    F_RESOLUTION,
    F_TARGET,
    FIRST_F,
    FTOL,
    FTOL_NEGLIGIBLE,
    GTOL,
    GTOL_NEGLIGIBLE,
    LAST_F,
    LAST_G_MAX,
    LOWEST_F,
    LOWEST_NIT,
    MARGIN,
    MAXFEV,
    MAXITER,
    NEGLIGIBLE,
    NFEV,
    NIT,
    PATIENCE,
    RETREAT_NIT,
    SIZE_FLOOR,
    SMALL_FIRST_STEPS,
    WAIT,
    WINDOW,
    WINDOW_F,
    WINDOW_NIT,
    XTOL,
    XTOL_NEGLIGIBLE,
)
from .status import Status
from .vectors import all_within_tolerance, largest_effect, predicted_decrease

CONTINUE = Status.CONTINUE.value
CLAIMED = Status.CLAIMED.value
STALLED = Status.STALLED.value
CONVERGED = Status.CONVERGED.value
ITERATION_LIMIT = Status.ITERATION_LIMIT.value
PRECISION_LOSS = Status.PRECISION_LOSS.value
EVALUATION_LIMIT = Status.EVALUATION_LIMIT.value
NO_IMPROVEMENT = Status.NO_IMPROVEMENT.value
KINK = Status.KINK.value

#: A run that stalls within so many iterations of a retreat has not converged, since the retreat made its steps
#: small. The same holds after small first steps.
SETTLING_STEPS = 50

#: Fewer steps without a lower value do not show that steps gain nothing.
FUTILE_STEPS = 1000

#: What rounding leaves of the value at the start, in units of its resolution.
ROUNDING = 512

#: A stalled run has converged only if the best point is within so many tolerances of it.
BEST_POINT_TOLERANCES = 1000


def gradient_is_small(best_g_max, gtol):
    """`gtol`: the gradient at the best point is small enough."""
    return best_g_max <= gtol


def value_is_nothing(best_f, first_f):
    """The best value is nothing beside that at the start."""
    return abs(best_f) <= 1e-22 * abs(first_f)


def started_at_lowest(first_f, lowest):
    """The value has fallen by next to nothing since the start."""
    return first_f - lowest <= 1e-8 * abs(lowest)


def is_small_beside_value(effect, negligible, scalars):
    """The effect of a gradient is small beside the best value, or no more than rounding leaves of the first one.

    Where terms cancel at the minimum, as in fits that nearly go through all points, the gradient never gets small
    beside what is left of the value.
    """
    rounding = ROUNDING * scalars[F_RESOLUTION] * abs(scalars[FIRST_F])
    return effect <= negligible * abs(scalars[BEST_F]) or effect <= rounding


def target_is_reached(best_f, f_target):
    """`f_target`: the best value is low enough."""
    return best_f <= f_target


def window_is_over(nit, window_nit, window):
    """`ftol`: its window ends here."""
    return nit - window_nit >= window


def value_is_flat(decrease, predicted, scale, ftol, resolution):
    """`ftol`: within the window the value fell by at most the tolerance, and the next step will gain no more.

    Rprop often overshoots and needs some steps to come back, and some rules pause after a sign change. A flat
    window alone is therefore no sign of convergence while steps are large for the slope.
    """
    return (decrease <= ftol * scale) & (predicted <= max(ftol, resolution) * scale)


def iterations_are_used_up(nit, maxiter):
    """`maxiter`: the limit of iterations is reached."""
    return nit >= maxiter


def evaluations_are_used_up(nfev, maxfev):
    """`maxfev`: the limit of evaluations is reached."""
    return nfev >= maxfev


def patience_is_over(nit, lowest_nit, patience):
    """`patience`: no lower value for so many iterations."""
    return nit - lowest_nit >= patience


def waited_long(nit, lowest_nit, wait):
    """No lower value for so many iterations that `patience` may be over, or steps may gain nothing."""
    return nit - lowest_nit >= wait


def half_was_futile(nit, lowest_nit, xtol):
    """Half of the run has brought no lower value. Asked only where `xtol` is used."""
    return (nit - lowest_nit >= max(lowest_nit, FUTILE_STEPS)) & (xtol > 0)


def step_gains_nothing(predicted, lowest_f, resolution):
    """`xtol`, where rounding errors of the gradient keep step sizes above it.

    The next step would change the value by less than it resolves, and `half_was_futile`. (In a curved valley, too,
    thousands of iterations may pass without a lower value, but not half of the run.)
    """
    return predicted <= resolution * abs(lowest_f)


def is_stationary(g_max):
    """The gradient is zero: no step can change x."""
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
    wait,
):
    """Whether a stopping rule may hold here, or the window of `ftol` ends.

    The arguments are entries of the record, once the point is in it, and whether every coordinate is stalled.
    """
    return (
        gradient_is_small(best_g_max, gtol)
        | target_is_reached(best_f, f_target)
        | window_is_over(nit, window_nit, window)
        | iterations_are_used_up(nit, maxiter)
        | evaluations_are_used_up(nfev, maxfev)
        | waited_long(nit, lowest_nit, wait)
        | is_stationary(g_max)
        | stalled
    )


def claim(scalars, margin, negligible):
    """`xtol` or `ftol` is met: return `CLAIMED`, and leave in `scalars` what `probing` needs to check it."""
    scalars[MARGIN] = margin
    scalars[NEGLIGIBLE] = negligible
    return CLAIMED


def claim_by_xtol(scalars):
    """The same for `xtol`."""
    best_f = scalars[BEST_F]
    scale = min(abs(best_f), scalars[FIRST_F] - best_f)
    return claim(scalars, scalars[F_RESOLUTION] * abs(best_f), scalars[XTOL_NEGLIGIBLE] * scale)


def status_without_gain(scalars, g, size, settled):
    """The part of `stopping_status` for runs that have seen no lower value for long."""
    nit, lowest_nit = scalars[NIT], scalars[LOWEST_NIT]
    if (
        settled
        and half_was_futile(nit, lowest_nit, scalars[XTOL])
        and step_gains_nothing(predicted_decrease(g, size), scalars[LOWEST_F], scalars[F_RESOLUTION])
    ):
        return STALLED if gradient_is_small(scalars[BEST_G_MAX], scalars[GTOL]) else claim_by_xtol(scalars)
    return NO_IMPROVEMENT if patience_is_over(nit, lowest_nit, scalars[PATIENCE]) else CONTINUE


def gtol_is_met(scalars, x, g, span):
    """`gtol`, where the gradient is small. If none is given, more is asked for, once the best point is the last.

    What becomes of a run that cannot get on is decided in `stalling`.
    """
    return no_more_is_asked(scalars) or (
        scalars[LAST_F] == scalars[BEST_F]
        and scalars[LAST_G_MAX] == scalars[BEST_G_MAX]
        and gradient_is_negligible(scalars, x, g, span)
    )


def no_more_is_asked(scalars):
    """Whether a small gradient is enough, because `gtol` is given, or the value has fallen to nothing."""
    return scalars[GTOL_NEGLIGIBLE] < 0 or value_is_nothing(scalars[BEST_F], scalars[FIRST_F])


def gradient_is_negligible(scalars, x, g, span):
    """What is asked for besides: the gradient is small beside the best value, too."""
    return largest_effect(x, g, span) <= scalars[GTOL_NEGLIGIBLE] * abs(scalars[BEST_F])


def stopping_status(scalars, x, g, size, best_x, span, stalled):
    """Apply the stopping rules at the last point: return `CONTINUE`, or the status with which the run ends.

    `CLAIMED` is neither: the run ends with success if `probing` confirms it. Nor is `STALLED`, of which `stalling`
    decides, nor `KINK`: the run has stalled away from its best point, whatever the gradient there. This function
    also begins the next window of `ftol` where one ends, and marks small first steps, in `scalars`.
    """
    nit = scalars[NIT]
    settled = nit - scalars[RETREAT_NIT] >= SETTLING_STEPS
    if nit == 0:
        scalars[WINDOW_F] = scalars[FIRST_F] = scalars[LOWEST_F]
        if stalled:
            scalars[RETREAT_NIT] = SMALL_FIRST_STEPS
    small = gradient_is_small(scalars[BEST_G_MAX], scalars[GTOL])
    if (small and gtol_is_met(scalars, x, g, span)) or target_is_reached(scalars[BEST_F], scalars[F_TARGET]):
        return CONVERGED
    if window_is_over(nit, scalars[WINDOW_NIT], scalars[WINDOW]):
        before, lowest = scalars[WINDOW_F], scalars[LOWEST_F]
        if small and started_at_lowest(scalars[FIRST_F], lowest):
            return CONVERGED
        larger = max(abs(before), abs(lowest))
        scale = max(larger, 1.0)  # compiled code has `max` of two numbers only
        if settled and value_is_flat(
            before - lowest, predicted_decrease(g, size), scale, scalars[FTOL], scalars[F_RESOLUTION]
        ):
            margin = max(scalars[FTOL], scalars[F_RESOLUTION]) * scale
            return claim(scalars, margin, scalars[FTOL_NEGLIGIBLE] * min(scale, scalars[FIRST_F] - lowest))
        scalars[WINDOW_F] = lowest
        scalars[WINDOW_NIT] = nit
    if iterations_are_used_up(nit, scalars[MAXITER]):
        return ITERATION_LIMIT
    if evaluations_are_used_up(scalars[NFEV], scalars[MAXFEV]):
        return EVALUATION_LIMIT
    if waited_long(nit, scalars[LOWEST_NIT], scalars[WAIT]):
        status = status_without_gain(scalars, g, size, settled)
        if status != CONTINUE:
            return status
    if is_stationary(scalars[LAST_G_MAX]):
        # A maximum, or a plateau; or the value rounds to more there than at a point with a small gradient.
        return CONVERGED if small else PRECISION_LOSS
    if nit > 0 and stalled and (settled or scalars[RETREAT_NIT] != SMALL_FIRST_STEPS):
        if small:
            return STALLED
        if not settled:
            return PRECISION_LOSS
        # Converged only if the best point is near; otherwise the run has stalled elsewhere.
        xtol, floor = BEST_POINT_TOLERANCES * scalars[XTOL], BEST_POINT_TOLERANCES * scalars[SIZE_FLOOR]
        near = all_within_tolerance(x, best_x, xtol, floor)
        claimed = claim_by_xtol(scalars)
        return claimed if near else KINK
    return CONTINUE
