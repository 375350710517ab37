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

from .constants import SIZE_MAX
from .record import (
    BEST_F,
    FIRST_F,
    GTOL_NEGLIGIBLE,
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
    CONTINUE,
    CONVERGED,
    PRECISION_LOSS,
    value_is_nothing,
)
from .vectors import all_near, clear, copy, largest_effect, renew

#: The step sizes with which a run begins again are the lengths of the variables divided by this.
PARTS = 1000

#: Two stalls are at the same point if they differ by a variable's length divided by this at most.
SAME = 10_000_000

#: A run begins again so many times.
MAX_STALLS = 4


def end_or_begin_again(vectors, scalars, constants, x, g):
    """End a run that has stalled at x, where the gradient is g, or renew its step sizes; returns the status."""
    stalled_x = vectors[STALLED_X]
    if stall_is_enough(scalars, largest_effect(x, g, vectors[SPAN])):
        return CONVERGED
    share = max(1 / SAME, BEST_POINT_TOLERANCES * scalars[XTOL])
    if scalars[STALLS] > 0 and all_near(x, stalled_x, vectors[SPAN], share):
        return CONVERGED
    if scalars[STALLS] >= MAX_STALLS:
        return PRECISION_LOSS
    scalars[STALLS] += 1
    scalars[RETREAT_NIT] = scalars[NIT]
    copy(x, stalled_x)
    clear(vectors[PREV])
    renew(vectors[SIZE], x, vectors[SPAN], 1 / PARTS, constants[SIZE_MAX])
    return CONTINUE


def stall_is_enough(scalars, effect):
    """Whether the user gives tolerances, or the gradient, of this effect on the value, is negligible."""
    return (
        scalars[GTOL_NEGLIGIBLE] < 0
        or scalars[SMOOTH_NEGLIGIBLE] == math.inf
        or value_is_nothing(scalars[BEST_F], scalars[FIRST_F])
        or effect <= scalars[GTOL_NEGLIGIBLE] * abs(scalars[BEST_F])
    )
