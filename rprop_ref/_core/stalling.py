"""Where a run cannot get on though its gradient is small: is that the minimum?

In a long flat valley, rounding errors of the gradient let step sizes shrink to nothing on the way. Nothing at such
a point tells it from a minimum: the gradient is as small as it can be, and no value nearby is lower. So where the
gradient is not negligible beside the value, the run begins again from there, with step sizes of a thousandth of
the variables. If it comes to rest at the same point, that is the minimum. If not, the valley goes on.

NumPy runs this code as it stands; Numba and numba.cuda compile the same source.

References
----------
C. T. Kelley, "Detection and remediation of stagnation in the Nelder-Mead algorithm using a sufficient decrease
condition", SIAM Journal on Optimization 10(1), 1999, pp. 43-55. W. H. Press et al., "Numerical Recipes", 3rd ed.,
2007, section 10.5.
"""

import math

from .constants import SIZE_MAX, SIZE_MIN
from .record import (
    BEST_G_MAX,
    BEST_X,
    GTOL,
    NIT,
    PREV,
    RETREAT_NIT,
    SIZE,
    SMOOTH_NEGLIGIBLE,
    SPAN,
    STALLED_X,
    STALLS,
    XTOL,
)
from .stopping import (
    BEST_POINT_TOLERANCES,
    CLAIMED,
    CONTINUE,
    CONVERGED,
    KINK,
    NO_IMPROVEMENT,
    PRECISION_LOSS,
    gradient_is_negligible,
    gradient_is_small,
    no_more_is_asked,
)
from .vectors import all_near, clear, copy, renew

#: The step sizes with which a run begins again are the lengths of the variables divided by this.
PARTS = 1000

#: Two stalls are at the same point if they differ by a variable's length divided by this at most.
SAME = 10_000_000

#: A run begins again so many times.
MAX_STALLS = 4


def end_or_begin_again(vectors, scalars, constants, x, g):
    """End a run that has stalled at x, where the gradient is g, or renew its step sizes; returns the status.

    It ends if the user gives tolerances, or if no more is asked for than a small gradient.
    """
    if (
        scalars[SMOOTH_NEGLIGIBLE] == math.inf
        or no_more_is_asked(scalars)
        or gradient_is_negligible(scalars, x, g, vectors[SPAN])
        or is_where_it_stalled(vectors, scalars, x)
    ):
        return CONVERGED
    if scalars[STALLS] >= MAX_STALLS:
        return PRECISION_LOSS
    scalars[STALLS] += 1
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


def status_after_stall(vectors, scalars, x, status):
    """The status of a run that has begun again and would end at x with this one.

    Where values are not exact, a point nearby that has a larger gradient may become the best one. At rest where it
    has stalled, the run has converged all the same. So it has if `patience` ends it before it comes to rest, and
    the best point has stayed there: it would have ended with success without the new beginning.
    """
    if status == NO_IMPROVEMENT:
        if not gradient_is_small(scalars[BEST_G_MAX], scalars[GTOL]):
            return status
        x = vectors[BEST_X]
    elif status != CLAIMED and status != KINK:
        return status
    return CONVERGED if is_where_it_stalled(vectors, scalars, x) else status
