"""Where a run cannot get on though its gradient is small: is that the minimum?

In a long flat valley, rounding errors of the gradient let step sizes shrink to nothing on the way. Nothing at such
a point tells it from a minimum: the gradient is as small as it can be, and no value nearby is lower. So where the
gradient is not negligible beside the value, the run begins again from there, with step sizes of a thousandth of
the variables. If it comes to rest at the same point, that is the minimum. If not, the valley goes on.

Where variables are measured in tiny units, or the value is tiny, the gradient is small everywhere, also at a kink
across the axes, where the run comes to rest again as well. But there it is not small beside the gradients on the
way (`is_steep`). Such a point is checked like that of any other claim (`probing`).

NumPy runs this code as it stands; Numba and numba.cuda compile the same source.

References
----------
C. T. Kelley, "Detection and remediation of stagnation in the Nelder-Mead algorithm using a sufficient decrease
condition", SIAM Journal on Optimization 10(1), 1999, pp. 43-55. W. H. Press et al., "Numerical Recipes", 3rd ed.,
2007, section 10.5.
"""

import math

from .constants import SIZE_MAX, SIZE_MIN
from .probing import inward_gradient
from .record import (
    BEST_G,
    BEST_G_MAX,
    BEST_X,
    GTOL,
    NIT,
    PREV,
    RETREAT_NIT,
    SCALE,
    SIZE,
    SMOOTH_NEGLIGIBLE,
    SPAN,
    STALL_EFFECT,
    STALLED_X,
    STALLS,
    XTOL,
    XTOL_NEGLIGIBLE,
)
from .stopping import (
    BEST_POINT_TOLERANCES,
    CLAIMED,
    CONTINUE,
    CONVERGED,
    KINK,
    NO_IMPROVEMENT,
    PRECISION_LOSS,
    claim_by_xtol,
    gradient_is_negligible,
    gradient_is_small,
    no_more_is_asked,
)
from .vectors import all_near, clear, copy, largest_effect, renew

#: The step sizes with which a run begins again are the lengths of the variables divided by this.
PARTS = 1000

#: Two stalls are at the same point if they differ by a variable's length divided by this at most.
SAME = 10_000_000

#: A run begins again so many times.
MAX_STALLS = 4


def end_or_begin_again(vectors, scalars, constants, x, g):
    """End a run that has stalled at x, where the gradient is g, or renew its step sizes; returns the status.

    It ends if the user gives tolerances, or if no more is asked for than a small gradient. The status may be
    `CLAIMED`.
    """
    if (
        scalars[SMOOTH_NEGLIGIBLE] == math.inf
        or no_more_is_asked(scalars)
        or gradient_is_negligible(scalars, x, g, vectors[SPAN])
    ):
        return CONVERGED
    if is_where_it_stalled(vectors, scalars, x):
        return claim_by_xtol(scalars) if is_steep(scalars, x, g, vectors[SPAN]) else CONVERGED
    if scalars[STALLS] >= MAX_STALLS:
        return PRECISION_LOSS
    scalars[STALLS] += 1
    scalars[STALL_EFFECT] = 0
    scalars[RETREAT_NIT] = scalars[NIT]
    copy(x, vectors[STALLED_X])
    clear(vectors[PREV])
    renew(vectors[SIZE], x, vectors[SPAN], 1 / PARTS, constants[SIZE_MIN], constants[SIZE_MAX])
    return CONTINUE


def is_where_it_stalled(vectors, scalars, x):
    """Whether x is the point from which the run has begun again, and the user gives no `xtol` or `ftol`."""
    share = max(1 / SAME, BEST_POINT_TOLERANCES * scalars[XTOL])
    return (
        scalars[STALLS] > 0
        and scalars[SMOOTH_NEGLIGIBLE] < math.inf
        and all_near(x, vectors[STALLED_X], vectors[SPAN], share)
    )


def keep_largest_effect(vectors, scalars, x, g):
    """Keep the largest effect of a gradient since the run has begun again.

    Only where a stopping rule may hold in any case, so that the lanes of a block need not do it.
    """
    if scalars[STALLS] > 0 and gradient_is_small(scalars[BEST_G_MAX], scalars[GTOL]):
        scalars[STALL_EFFECT] = max(scalars[STALL_EFFECT], largest_effect(x, g, vectors[SPAN]))


def is_steep(scalars, x, g, span):
    """Whether a gradient is not small beside those on the way, however small it is.

    At a smooth minimum, rounding leaves next to nothing of it; at a kink, it is as large as a thousandth away.
    """
    return largest_effect(x, g, span) > scalars[XTOL_NEGLIGIBLE] * scalars[STALL_EFFECT]


def status_after_stall(vectors, scalars, x, g, status):
    """The status of a run that has begun again and would end at x, where the gradient is g, with this one.

    Where values are not exact, a point nearby that has a larger gradient may become the best one. At rest where it
    has stalled, the run has converged all the same. So it has if `patience` ends it before it comes to rest, and
    the best point has stayed there: it would have ended with success without the new beginning. But where the
    gradient is steep, nothing shows that the point is a minimum.
    """
    if status == NO_IMPROVEMENT:
        if not gradient_is_small(scalars[BEST_G_MAX], scalars[GTOL]):
            return status
        x, g = vectors[BEST_X], vectors[SCALE]  # a row that nothing but a check uses
        inward_gradient(vectors, vectors[BEST_G], x, g)
    elif status != CLAIMED and status != KINK:
        return status
    has_converged = is_where_it_stalled(vectors, scalars, x) and not is_steep(scalars, x, g, vectors[SPAN])
    return CONVERGED if has_converged else status
