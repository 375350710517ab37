"""One iteration of `minimize`, written once: NumPy runs this text as it stands, Numba compiles it.

The whole state of a run is a record of two arrays, ``vectors`` and ``scalars``. `advance` takes the record
and the objective's value and gradient at the point ``vectors[X]``, and leaves in ``vectors[X]`` the point to
be evaluated next. Drivers only evaluate. So whoever drives, the iterates are the same to the bit, and to
save, resume or watch a run is to copy the record.

The functions at the top are those that a compiled iteration has other texts for (loops instead of array
expressions; see `numba_kernels.iterate`). They return the same bits.
"""

import numpy as np

from . import numpy_step

# Rows of ``vectors``, an array of shape (7, n) in the dtype of the parameters, or (11, n) with bounds.
X = 0  # where the objective is evaluated next
PREV = 1  # the rule's memory: the stored gradient
SIZE = 2  # the rule's step sizes
LAST_X = 3  # the last point with a finite value and gradient ...
LAST_G = 4  # ... and its gradient
BEST_X = 5  # the best point so far ...
BEST_G = 6  # ... and its gradient
ROWS = 7
LOWER = 7  # the bounds
UPPER = 8
BEFORE = 9  # where the last move began: a move that was clipped cannot be computed again
INWARD = 10  # the gradient at LAST_X, 0 where it would lead out of the bounds
BOUNDED_ROWS = 11

# Entries of ``scalars``, an array of float64.
NIT = 0  # steps made; -1 before the first evaluation
LAST_F = 1  # value at LAST_X
LAST_G_MAX = 2  # largest component of the gradient there, in absolute value; with bounds, of INWARD
WORSE = 3  # whether that value was higher than the one before
MOVED = 4  # whether the step from LAST_X has been made; not if a stopping rule ended the run there
LOWEST_F = 5  # lowest value seen
LOWEST_NIT = 6  # NIT when it was seen first
BEST_F = 7  # value at BEST_X
BEST_G_MAX = 8  # as LAST_G_MAX
WENT_BACK = 9  # NIT when the run last had to go back; SMALL_START if the first steps are within XTOL
MARK_F = 10  # LOWEST_F when the window of FTOL began
MARK_NIT = 11  # NIT then
NFEV = 12  # calls of the objective and of the gradient; counted by the driver
NJEV = 13
FLOOR = 14  # a step size that is no larger than this counts as none
BAND = 15  # values that differ by less than this, relative to the lowest, count as equal
LEAST_XTOL = 16  # XTOL where the user gives none
MAXITER = 17  # the options from here on
MAXFEV = 18
GTOL = 19
XTOL = 20
FTOL = 21
WINDOW = 22
F_TARGET = 23
PATIENCE = 24
ENTRIES = 25

# How many steps must have been made since the run went back before small steps count as convergence: going back
# makes steps small as well. So may the start.
CALM = 50

# What WENT_BACK is where first steps are so small that they would count as those of a run at rest.
SMALL_START = -1

# How far from the point of rest the best point may be, in tolerances.
NEAR = 1000

# What `advance` returns: whether to go on ...
GO_ON = -1
STAYED = -2  # the step led nowhere: go on with the value and gradient that are known
# ... or why the run has ended; as far as SciPy's BFGS knows the reason, by its code.
CONVERGED = 0
ITERATION_LIMIT = 1
PRECISION_LOSS = 2
NOT_A_NUMBER = 3
EVALUATION_LIMIT = 4
NO_IMPROVEMENT = 6


def look(x, g, size, xtol, floor):
    """Largest absolute value in g (NaN if one is NaN), and whether no coordinate has anywhere to go.

    It has not if its gradient is zero, or its step is as good as none.
    """
    return np.max(np.abs(g), initial=0), ((g == 0) | (size <= xtol * np.abs(x)) | (size <= floor)).all()


def promise(g, size):
    """By how much, to first order, the step of the coordinate that promises most would lower the value."""
    return np.max(np.where(g == 0, 0, np.abs(g) * size), initial=0)


def note(x, g, known_x, known_g):
    """Copy a point and its gradient to where they are known."""
    known_x[:] = x
    known_g[:] = g


def move(variant, x, g, prev, size, constants, worse, last_x):
    """Make one step of the rule, in place, from last_x, where x is; return whether it led away from there."""
    numpy_step.run(variant, x, g, prev, size, constants, worse)
    return not equal(x, last_x)


def undoes(variant, worse):
    """Whether the rule takes back the last move where the gradient changed its sign."""
    return variant == "rprop+" or (variant == "irprop+" and worse)


def move_within(variant, x, g, prev, size, constants, worse, last_x, lower, upper, before, undo):
    """Do what `move` does, and put x between its bounds; last_x becomes what was before.

    What the rule takes back, if `undo`, goes to where it was before: the last move may have been a clipped one.
    """
    undone = (g * prev < 0) & undo
    move(variant, x, g, prev, size, constants, worse, last_x)
    x[:] = np.where(x < lower, lower, x)
    x[:] = np.where(x > upper, upper, x)
    np.copyto(x, before, where=undone)
    before[:] = last_x
    return not equal(x, last_x)


def point_inward(g, x, lower, upper, inward):
    """Write the gradient to `inward`, but 0 where x is at a bound and going downhill would leave it."""
    outward = ((x <= lower) & (g > 0)) | ((x >= upper) & (g < 0)) | (lower == upper)
    inward[:] = np.where(outward, 0, g)


def equal(a, b):
    """Whether two arrays hold the same numbers."""
    return (a == b).all()


def near(x, y, xtol, floor):
    """Whether two points are the same but for this much."""
    distance = np.abs(x - y)
    return ((distance <= xtol * np.abs(x)) | (distance <= floor)).all()


def copy(source, target):
    """Copy one array into another."""
    target[:] = source


def halve(x, last_x, size, half, size_min):
    """Move x half of the way back to last_x, and halve the steps; in place."""
    smaller = size * half
    size[:] = np.where(smaller < size_min, size_min, smaller)
    nearer = last_x + (x - last_x) * half
    # A coordinate that has left the range of the dtype, or is so near that it cannot come nearer, goes back
    # all the way.
    x[:] = np.where(np.isfinite(x) & (nearer != x), nearer, last_x)


def upper_end(lowest, band):
    """The highest value that counts as equal to the lowest."""
    return lowest + band * abs(lowest)


def advance(vectors, scalars, constants, variant, f, g):
    """Take in the value and gradient at ``vectors[X]``, and make one step.

    Parameters
    ----------
    vectors : ndarray, shape (7, n) or (11, n)
        See the names of its rows above. Changed in place.
    scalars : ndarray of float64, shape (25,)
        See the names of its entries above. Changed in place.
    constants : ndarray, shape (7,)
        As for `numba_kernels.flat.step`, in the dtype of `vectors`.
    variant
        What `move` knows the rule by.
    f : float
        The objective at ``vectors[X]``.
    g : ndarray, shape (n,)
        Its gradient there, in the dtype of `vectors`. Only read.

    Returns
    -------
    int
        `GO_ON`; `STAYED`, if the next point is the one that was just evaluated; or the reason why the run has
        ended.
    """
    x, size = vectors[X], vectors[SIZE]
    inward = g
    if vectors.shape[0] > ROWS:
        inward = vectors[INWARD]
        point_inward(g, x, vectors[LOWER], vectors[UPPER], inward)
    g_max, rests = look(x, inward, size, scalars[XTOL], scalars[FLOOR])
    if not (np.isfinite(f) and np.isfinite(g_max)):
        return go_back(vectors, scalars, constants, f, g)

    scalars[NIT] += 1
    scalars[WORSE] = f > scalars[LAST_F]
    scalars[LAST_F] = f
    scalars[LAST_G_MAX] = g_max
    last_x = vectors[LAST_X]
    note(x, g, last_x, vectors[LAST_G])
    keep_best(vectors, scalars, x, f, g, g_max)
    return conclude(vectors, scalars, constants, variant, x, inward, size, last_x, rests)


def keep_best(vectors, scalars, x, f, g, g_max):
    """Remember the point if it is the best so far.

    The best point has the lowest value; but among points whose values agree within rounding errors, the
    value says nothing any more and the gradient still does, so there the smallest gradient decides.
    """
    if f < scalars[LOWEST_F]:
        scalars[LOWEST_F] = f
        scalars[LOWEST_NIT] = scalars[NIT]
    limit = upper_end(scalars[LOWEST_F], scalars[BAND])
    if f <= limit and (scalars[BEST_F] > limit or g_max < scalars[BEST_G_MAX]):
        scalars[BEST_F] = f
        scalars[BEST_G_MAX] = g_max
        note(x, g, vectors[BEST_X], vectors[BEST_G])


def proceed(vectors, scalars, constants, variant):
    """Make the step from the point that was taken in last, if a stopping rule of then ended the run there.

    Returns what `advance` returns, which ends with the same.
    """
    x, size = vectors[X], vectors[SIZE]
    g = vectors[INWARD if vectors.shape[0] > ROWS else LAST_G]
    _, rests = look(x, g, size, scalars[XTOL], scalars[FLOOR])
    return conclude(vectors, scalars, constants, variant, x, g, size, vectors[LAST_X], rests)


def conclude(vectors, scalars, constants, variant, x, g, size, last_x, rests):
    """Make the step from the point that was taken in last, unless a stopping rule ends the run there."""
    scalars[MOVED] = 0
    status = verdict(scalars, x, g, size, vectors[BEST_X], rests)
    if status != GO_ON:
        return status
    worse = scalars[WORSE] != 0
    prev = vectors[PREV]
    if vectors.shape[0] > ROWS:
        lower, upper, before = vectors[LOWER], vectors[UPPER], vectors[BEFORE]
        undo = undoes(variant, worse)
        moved = move_within(variant, x, g, prev, size, constants, worse, last_x, lower, upper, before, undo)
    else:
        moved = move(variant, x, g, prev, size, constants, worse, last_x)
    scalars[MOVED] = 1
    if moved:
        return GO_ON
    # Nothing keeps a first step from being made but its size.
    return PRECISION_LOSS if scalars[NIT] == 0 else STAYED


def verdict(scalars, x, g, size, best_x, rests):
    """Whether the run ends at the point that was taken in last: `GO_ON`, or the reason."""
    nit = scalars[NIT]
    if scalars[BEST_G_MAX] <= scalars[GTOL] or scalars[BEST_F] <= scalars[F_TARGET]:
        return CONVERGED
    calm = nit - scalars[WENT_BACK] >= CALM
    if nit == 0:
        scalars[MARK_F] = scalars[LOWEST_F]
        if rests:
            scalars[WENT_BACK] = SMALL_START
    if nit - scalars[MARK_NIT] >= scalars[WINDOW]:
        before, lowest = scalars[MARK_F], scalars[LOWEST_F]
        scale = max(abs(before), abs(lowest), 1.0)
        # Rprop often overshoots and needs some steps to come back, and some rules rest after a change of sign.
        # That nothing has fallen is no sign of a minimum as long as the steps are large for the slope.
        if (
            calm
            and before - lowest <= scalars[FTOL] * scale
            and promise(g, size) <= max(scalars[FTOL], scalars[BAND]) * scale
        ):
            return CONVERGED
        scalars[MARK_F] = lowest
        scalars[MARK_NIT] = nit
    if nit >= scalars[MAXITER]:
        return ITERATION_LIMIT
    if scalars[NFEV] >= scalars[MAXFEV]:
        return EVALUATION_LIMIT
    if nit - scalars[LOWEST_NIT] >= scalars[PATIENCE]:
        return NO_IMPROVEMENT
    if scalars[LAST_G_MAX] == 0:
        # A stationary point that is not the best one (a maximum, a plateau): no step leads away from it.
        return PRECISION_LOSS
    if nit > 0 and rests and (calm or scalars[WENT_BACK] != SMALL_START):
        # The best point was met on the way to rest, or else the run has come to rest somewhere else.
        found = near(x, best_x, NEAR * scalars[XTOL], NEAR * scalars[FLOOR])
        return CONVERGED if found and calm else PRECISION_LOSS
    return GO_ON


def go_back(vectors, scalars, constants, f, g):
    """Return towards the last finite point, since the objective is not finite here; shrink the steps."""
    if scalars[NIT] < 0:
        scalars[LAST_F] = f
        copy(g, vectors[LAST_G])
        return NOT_A_NUMBER
    if scalars[NFEV] >= scalars[MAXFEV]:
        return EVALUATION_LIMIT
    scalars[WENT_BACK] = scalars[NIT]
    x, last_x, one = vectors[X], vectors[LAST_X], constants[5]
    halve(x, last_x, vectors[SIZE], one / (one + one), constants[2])
    return NOT_A_NUMBER if equal(x, last_x) else GO_ON
