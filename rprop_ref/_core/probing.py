"""The check of a claim: is the point at which a run has met `xtol` or `ftol` a minimum?

At a kink that lies across the axes, step sizes shrink to nothing though the value still falls along the kink. So
where the gradient is not negligible, the objective is evaluated at a few points around the best one, the *probes*,
through the protocol of `iteration.advance`. NumPy runs this code as it stands; Numba and numba.cuda compile the
same source.

A check has two stages.

* `SAMPLING`: up to `SAMPLES` probes in fixed pseudo-random directions. The claim holds if at each of them every
  component of the gradient points away from the best point, as at a smooth minimum or at kinks along the axes.
* `DESCENT`: each probe is made along the direction of steepest descent of the gradients seen so far. As the
  objective is not lower there, its gradient improves that direction, as in bundle methods. The claim holds once a
  mean of the gradients is nearly zero: then, if the objective is convex, no point nearby is lower.

The claim is false if a probe is lower, and not confirmed after `MAX_PROBES`; the run then ends with the status
`KINK`. A probe is no iteration. A check costs no more for many variables than for few.

References
----------
C. Lemarechal, "An extension of Davidon methods to non differentiable problems", Mathematical Programming Study 3,
1975, pp. 95-109. P. Wolfe, "A method of conjugate subgradients for minimizing nondifferentiable functions", same
volume, pp. 145-173.
"""

import math

from .best import keep_best
from .record import (
    AGGREGATE,
    BEST_F,
    BEST_G,
    BEST_X,
    CHECK,
    F_RESOLUTION,
    FIRST_F,
    FIRST_RADIUS,
    INWARD_G,
    LAST_G,
    LAST_X,
    LOWER,
    MARGIN,
    MAXFEV,
    NEGLIGIBLE,
    NFEV,
    PROBES,
    RADIUS,
    ROWS,
    SCALE,
    SIZE,
    SIZE_FLOOR,
    SMALL_AGGREGATE,
    SMOOTH,
    SMOOTH_NEGLIGIBLE,
    SPAN,
    STALLS,
    UPPER,
    XTOL,
    X,
)
from .stopping import (
    CONTINUE,
    CONVERGED,
    EVALUATION_LIMIT,
    KINK,
    PRECISION_LOSS,
    evaluations_are_used_up,
    is_small_beside_value,
    value_is_nothing,
)
from .vectors import (
    add_to_aggregate,
    all_point_away,
    clip,
    copy,
    descent_probe,
    largest_effect,
    largest_share,
    max_gradient_and_stalled,
    raise_to_magnitudes,
    sample_probe,
    slope_between,
    zero_blocked,
)

#: The stages of a check, besides 0.
SAMPLING, DESCENT = 1, 2

#: Probes of the first stage, and of both.
SAMPLES, MAX_PROBES = 16, 200

#: Nothing can be told where rounding errors of x change the value by more than so many times itself.
BLURRED = 1024

#: The factor by which probes move outward where the values are too coarse to tell anything.
OUTWARD = 8


def begin_check(vectors, scalars):
    """Begin to check a claim, or confirm it at once if the gradient is negligible; returns what `advance` does."""
    best_x, aggregate = vectors[BEST_X], vectors[AGGREGATE]
    scalars[STALLS] = 0  # their point was in that row
    inward_gradient(vectors, vectors[BEST_G], best_x, aggregate)
    effect = largest_effect(best_x, aggregate, vectors[SPAN])
    if effect <= scalars[NEGLIGIBLE]:
        return CONVERGED
    return begin_probing(vectors, scalars, effect)


def status_away_from_best(vectors, scalars, x, g):
    """The status of a run that has stalled at x, away from its best point, with the gradient g."""
    return KINK if largest_effect(x, g, vectors[SPAN]) > scalars[NEGLIGIBLE] else PRECISION_LOSS


def begin_probing(vectors, scalars, effect):
    """Set the first probe; `effect` is that of the gradient at the best point. Returns what `advance` does."""
    best_f, is_nothing = scalars[BEST_F], value_is_nothing(scalars[BEST_F], scalars[FIRST_F])
    if effect * scalars[F_RESOLUTION] > BLURRED * abs(best_f) and not is_nothing:
        return KINK
    aggregate, scale = vectors[AGGREGATE], vectors[SCALE]
    copy(aggregate, scale)
    raise_to_magnitudes(scale, aggregate)
    scalars[CHECK] = SAMPLING
    scalars[PROBES] = 0
    scalars[SMOOTH] = is_nothing or is_small_beside_value(effect, scalars[SMOOTH_NEGLIGIBLE], scalars)
    # A slope like that of the gradient must be told from the margin.
    scalars[RADIUS] = max(scalars[FIRST_RADIUS], (scalars[MARGIN] + scalars[MARGIN]) / effect)
    return next_probe(vectors, scalars)


def check_point(vectors, scalars, f, g):
    """Use the value and gradient at a probe, ``vectors[X]``; returns what `advance` does."""
    x, best_x, aggregate, scale = vectors[X], vectors[BEST_X], vectors[AGGREGATE], vectors[SCALE]
    inward = g
    if vectors.shape[0] > ROWS:
        inward = vectors[INWARD_G]
        inward_gradient(vectors, g, best_x, inward)
    scalars[PROBES] += 1
    g_max, _ = max_gradient_and_stalled(x, inward, vectors[SIZE], scalars[XTOL], scalars[SIZE_FLOOR])
    if not (math.isfinite(f) and math.isfinite(g_max)):
        if scalars[CHECK] == DESCENT:
            return end_check(vectors, scalars, KINK)
        scalars[CHECK] = DESCENT
        return next_probe(vectors, scalars)
    # If the value still falls there, this is no noise.
    if f < scalars[BEST_F] - scalars[MARGIN] and slope_between(best_x, x, inward) < 0:
        keep_best(vectors, scalars, x, f, g, g_max)
        return end_check(vectors, scalars, KINK)
    raise_to_magnitudes(scale, inward)
    if scalars[CHECK] == SAMPLING:
        if not all_point_away(best_x, x, inward, vectors[SPAN], scalars[NEGLIGIBLE]):
            scalars[CHECK] = DESCENT
        elif scalars[PROBES] >= SAMPLES:
            return end_check(vectors, scalars, CONVERGED)
    elif not add_to_aggregate(aggregate, inward, best_x, vectors[SPAN], scale):
        scalars[RADIUS] *= OUTWARD
    return next_probe(vectors, scalars)


def next_probe(vectors, scalars):
    """Set the next probe, or end the check; returns what `advance` does."""
    x, best_x, span, radius = vectors[X], vectors[BEST_X], vectors[SPAN], scalars[RADIUS]
    aggregate, scale, negligible = vectors[AGGREGATE], vectors[SCALE], scalars[NEGLIGIBLE]
    share = largest_share(aggregate, scale, best_x, span, negligible)
    if is_small(share, largest_effect(best_x, scale, span), scalars):
        return end_check(vectors, scalars, CONVERGED)
    if scalars[CHECK] == SAMPLING:
        sample_probe(x, best_x, span, radius, int(scalars[PROBES]))
    elif scalars[PROBES] >= MAX_PROBES or not radius <= 1:
        return end_check(vectors, scalars, KINK)
    else:
        descent_probe(x, best_x, aggregate, scale, span, negligible, radius / share)
    if vectors.shape[0] > ROWS:
        clip(x, vectors[LOWER], vectors[UPPER])
    if evaluations_are_used_up(scalars[NFEV], scalars[MAXFEV]):
        return EVALUATION_LIMIT
    return CONTINUE


def is_small(share, steepness, scalars):
    """Whether a mean of gradients is nearly zero; `share` is its size relative to the gradients seen.

    What is left of it may be the gradient along a kink that is much steeper. Hence the mean must vanish to
    rounding, unless the objective looks smooth: then gradients vanish at the minimum, and their effect
    (`steepness`) is small compared with the decrease of the value since the start. Besides, the effect at the best
    point must be small beside the value (SMOOTH), unless the user gives the tolerance: in a flat valley that
    rounding errors of x cross, step sizes shrink to nothing far from the minimum.
    """
    if share <= scalars[SMALL_AGGREGATE]:
        return True
    if scalars[SMOOTH] == 0:
        return False
    radius, decrease = scalars[FIRST_RADIUS], scalars[FIRST_F] - scalars[BEST_F]
    if not decrease > 0:
        return False
    relative = steepness / decrease
    return relative * relative <= radius and 256 * share * share <= radius


def end_check(vectors, scalars, status):
    """Leave the record as the last iteration left it; returns the status."""
    scalars[CHECK] = 0
    copy(vectors[LAST_X], vectors[X])
    if vectors.shape[0] > ROWS:
        inward_gradient(vectors, vectors[LAST_G], vectors[LAST_X], vectors[INWARD_G])
    return status


def inward_gradient(vectors, g, x, target):
    """Write the gradient to `target`; with bounds, 0 in components whose descent direction leaves them at x."""
    if vectors.shape[0] > ROWS:
        zero_blocked(g, x, vectors[LOWER], vectors[UPPER], target)
    else:
        copy(g, target)
