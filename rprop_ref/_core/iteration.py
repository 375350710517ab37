"""One iteration of `minimize`. NumPy runs this code as it stands; Numba and numba.cuda compile the same source.

`advance` is given the record of a run (`record`) and the objective's value and gradient at the point
``vectors[X]``, and leaves in ``vectors[X]`` the point to be evaluated next. Drivers only evaluate the objective,
and count the evaluations. The iterates are therefore the same, bit for bit, for every driver.

The vector operations are in `vectors` (NumPy) and in `loops` (compiled).
"""

import math

from .best import keep_best
from .constants import ONE, SIZE_MIN
from .pattern import begin_pattern_move, end_pattern_move, pattern_is_due
from .probing import begin_check, check_point, status_away_from_best
from .record import (
    BEST_X,
    CHECK,
    INWARD_G,
    LAST_F,
    LAST_G,
    LAST_G_MAX,
    LAST_X,
    LOWER,
    MAXFEV,
    MOVE_START,
    NFEV,
    NIT,
    PATTERN,
    PATTERN_EVERY,
    PATTERN_NIT,
    PREV,
    RETREAT_F,
    RETREAT_NIT,
    ROWS,
    SIZE,
    SIZE_FLOOR,
    SPAN,
    STALLS,
    STEP_MADE,
    UPPER,
    WORSE,
    XTOL,
    X,
)
from .stalling import end_or_begin_again, keep_largest_effect, status_after_stall
from .status import Status
from .stopping import (
    CLAIMED,
    CONTINUE,
    EVALUATION_LIMIT,
    KINK,
    PRECISION_LOSS,
    STALLED,
    evaluations_are_used_up,
    stopping_status,
)
from .vectors import (
    copy,
    equal,
    halve_move,
    max_gradient_and_stalled,
    move,
    move_within_bounds,
    store_point,
    undoes,
    zero_blocked,
)

STAYED = Status.STAYED.value
NOT_FINITE = Status.NOT_FINITE.value


def advance(vectors, scalars, constants, variant, f, g):
    """Use the value and gradient at ``vectors[X]``, and make one step.

    Parameters
    ----------
    vectors : ndarray, shape (ROWS, n) or (BOUNDED_ROWS, n)
        Changed in place.
    scalars : ndarray of float64, shape (ENTRIES,)
        Changed in place.
    constants : ndarray
        From `constants.rule_constants`, in the dtype of `vectors`.
    variant : str
        The rule. Compiled code, which is made for one rule, ignores it.
    f : float
        The objective at ``vectors[X]``.
    g : ndarray, shape (n,)
        Its gradient there, in the dtype of `vectors`. Only read.

    Returns
    -------
    int
        A `Status`: `CONTINUE`; `STAYED`, if the step did not change x (call again with the same f and g); or the
        reason why the run has ended.
    """
    if scalars[CHECK] != 0:
        return check_point(vectors, scalars, f, g)
    x, size = vectors[X], vectors[SIZE]
    inward = g
    if vectors.shape[0] > ROWS:
        inward = vectors[INWARD_G]
        zero_blocked(g, x, vectors[LOWER], vectors[UPPER], inward)
    g_max, stalled = max_gradient_and_stalled(x, inward, size, scalars[XTOL], scalars[SIZE_FLOOR])
    finite = math.isfinite(f) and math.isfinite(g_max)
    if scalars[PATTERN] != 0:
        lower = finite and not stalled and f < scalars[LAST_F]
        end_pattern_move(vectors, scalars, f, lower)
        if not lower:
            return EVALUATION_LIMIT if evaluations_are_used_up(scalars[NFEV], scalars[MAXFEV]) else CONTINUE
    if not finite:
        return retreat(vectors, scalars, constants, f, g)

    scalars[NIT] += 1
    scalars[WORSE] = f > scalars[LAST_F]
    scalars[LAST_F] = f
    scalars[LAST_G_MAX] = g_max
    last_x = vectors[LAST_X]
    store_point(x, g, last_x, vectors[LAST_G])
    keep_best(vectors, scalars, x, f, g, g_max)
    return stop_or_step(vectors, scalars, constants, variant, x, inward, size, last_x, stalled)


def resume_step(vectors, scalars, constants, variant):
    """Make the step that was not made because a stopping rule ended an earlier call.

    Returns what `advance` returns.
    """
    x, size = vectors[X], vectors[SIZE]
    g = vectors[INWARD_G if vectors.shape[0] > ROWS else LAST_G]
    _, stalled = max_gradient_and_stalled(x, g, size, scalars[XTOL], scalars[SIZE_FLOOR])
    return stop_or_step(vectors, scalars, constants, variant, x, g, size, vectors[LAST_X], stalled)


def stop_or_step(vectors, scalars, constants, variant, x, g, size, last_x, stalled):
    """Make the step from the last point, unless a stopping rule ends the run there."""
    scalars[STEP_MADE] = 0
    keep_largest_effect(vectors, scalars, x, g)
    status = stopping_status(scalars, x, g, size, vectors[BEST_X], vectors[SPAN], stalled)
    if status == STALLED:
        status = end_or_begin_again(vectors, scalars, constants, x, g)
    elif status != CONTINUE and scalars[STALLS] > 0:
        status = status_after_stall(vectors, scalars, x, g, status)
    if status == CLAIMED:
        return begin_check(vectors, scalars)
    if status == KINK:
        return status_away_from_best(vectors, scalars, x, g)
    if status != CONTINUE:
        return status
    worse = scalars[WORSE] != 0
    prev = vectors[PREV]
    if vectors.shape[0] > ROWS:
        lower, upper, start = vectors[LOWER], vectors[UPPER], vectors[MOVE_START]
        undo = undoes(variant, worse)
        moved = move_within_bounds(variant, x, g, prev, size, constants, worse, last_x, lower, upper, start, undo)
    else:
        moved = move(variant, x, g, prev, size, constants, worse, last_x)
    scalars[STEP_MADE] = 1
    if moved:
        if pattern_is_due(scalars[NIT], scalars[PATTERN_NIT], scalars[PATTERN_EVERY]):
            begin_pattern_move(vectors, scalars, constants)
        return CONTINUE
    # If even the first step changes nothing, it is below the resolution of x (or the rule is frozen).
    return PRECISION_LOSS if scalars[NIT] == 0 else STAYED


def retreat(vectors, scalars, constants, f, g):
    """Go halfway back to the last point, with smaller steps, since the objective is not finite here.

    It does not count as an iteration.
    """
    if scalars[RETREAT_F] != -math.inf:
        scalars[RETREAT_F] = f
    if scalars[NIT] < 0:
        scalars[LAST_F] = f
        copy(g, vectors[LAST_G])
        return NOT_FINITE
    scalars[RETREAT_NIT] = scalars[NIT]
    x, last_x, one = vectors[X], vectors[LAST_X], constants[ONE]
    halve_move(x, last_x, vectors[SIZE], one / (one + one), constants[SIZE_MIN])
    if equal(x, last_x):
        return NOT_FINITE
    # Only now, so that a run that is continued does not evaluate the same point again.
    return EVALUATION_LIMIT if evaluations_are_used_up(scalars[NFEV], scalars[MAXFEV]) else CONTINUE
