"""One iteration of `minimize`, written once: NumPy runs this text as it stands, Numba compiles it.

The whole state of a run is a record of two arrays, ``vectors`` and ``scalars``. `advance` takes the record
and the objective's value and gradient at the point ``vectors[X]``, and leaves in ``vectors[X]`` the point to
be evaluated next. Drivers only evaluate. So whoever drives, the iterates are the same to the bit, and to
save, resume or watch a run is to copy the record.

The functions at the top are those that a compiled iteration has other texts for (loops instead of array
expressions; see `numba_kernels.iterate`). They return the same bits.
"""

import numpy as np

from . import _numpy_step

# Rows of ``vectors``, an array of shape (6, n) in the dtype of the parameters.
X = 0  # where the objective is evaluated next
PREV = 1  # the rule's memory: the stored gradient
SIZE = 2  # the rule's step sizes
LAST_X = 3  # the last point with a finite value and gradient
BEST_X = 4  # the best point so far ...
BEST_G = 5  # ... and its gradient
ROWS = 6

# Entries of ``scalars``, an array of float64.
NIT = 0  # steps made; -1 before the first evaluation
LAST_F = 1  # value at LAST_X
LOWEST_F = 2  # lowest value seen
BEST_F = 3  # value at BEST_X
BEST_G_MAX = 4  # largest component of the gradient at BEST_X, in absolute value
MAXITER = 5  # the options from here on
GTOL = 6
XTOL = 7
FLOOR = 8  # a step size that is no larger than this counts as none
BAND = 9  # values that differ by less than this, relative to the lowest, count as equal
WENT_BACK = 10  # NIT when the run last had to go back
ENTRIES = 11

# How many steps must have been made since the run went back before small steps count as convergence: going back
# makes steps small as well.
CALM = 50

# How far from the point of rest the best point may be, in tolerances.
NEAR = 1000

# What `advance` returns: the codes of SciPy's BFGS, and one for going on.
GO_ON = -1
CONVERGED = 0
ITERATION_LIMIT = 1
PRECISION_LOSS = 2
NOT_A_NUMBER = 3


def largest(g):
    """Largest absolute value in g; NaN if one is NaN, 0 if there are none."""
    return np.max(np.abs(g), initial=0)


def move(variant, x, g, prev, size, constants, worse):
    """Make one step of the rule, in place."""
    _numpy_step.run(variant, x, g, prev, size, constants, worse)


def equal(a, b):
    """Whether two arrays hold the same numbers."""
    return (a == b).all()


def at_rest(x, g, size, xtol, floor):
    """Whether no coordinate has anywhere to go: its gradient is zero, or its step is as good as none."""
    return ((g == 0) | (size <= xtol * np.abs(x)) | (size <= floor)).all()


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


def advance(vectors, scalars, constants, variant, f, g):
    """Take in the value and gradient at ``vectors[X]``, and make one step.

    Parameters
    ----------
    vectors : ndarray, shape (6, n)
        See the names of its rows above. Changed in place.
    scalars : ndarray of float64, shape (11,)
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
        `GO_ON`, or the reason why the run has ended.
    """
    x = vectors[X]
    last_x = vectors[LAST_X]
    g_max = largest(g)
    if not (np.isfinite(f) and np.isfinite(g_max)):
        return go_back(vectors, scalars, constants)

    worse = f > scalars[LAST_F]
    scalars[NIT] += 1
    scalars[LAST_F] = f
    copy(x, last_x)
    keep_best(vectors, scalars, f, g, g_max)
    if scalars[BEST_G_MAX] <= scalars[GTOL]:
        return CONVERGED
    if scalars[NIT] >= scalars[MAXITER]:
        return ITERATION_LIMIT
    if g_max == 0:
        # A stationary point that is not the best one (a maximum, a plateau): no step leads away from it.
        return PRECISION_LOSS
    if scalars[NIT] > 0 and at_rest(x, g, vectors[SIZE], scalars[XTOL], scalars[FLOOR]):
        # The best point was met on the way to rest, or else the run has come to rest somewhere else.
        found = near(x, vectors[BEST_X], NEAR * scalars[XTOL], NEAR * scalars[FLOOR])
        return CONVERGED if found and scalars[NIT] - scalars[WENT_BACK] >= CALM else PRECISION_LOSS
    move(variant, x, g, vectors[PREV], vectors[SIZE], constants, worse)
    if scalars[NIT] == 0 and equal(x, last_x):
        # Nothing keeps a first step from being made but its size.
        return PRECISION_LOSS
    return GO_ON


def keep_best(vectors, scalars, f, g, g_max):
    """Remember the point if it is the best so far.

    The best point has the lowest value; but among points whose values agree within rounding errors, the
    value says nothing any more and the gradient still does, so there the smallest gradient decides.
    """
    scalars[LOWEST_F] = min(f, scalars[LOWEST_F])
    limit = scalars[LOWEST_F] + scalars[BAND] * abs(scalars[LOWEST_F])
    if f <= limit and (scalars[BEST_F] > limit or g_max < scalars[BEST_G_MAX]):
        scalars[BEST_F] = f
        scalars[BEST_G_MAX] = g_max
        copy(vectors[X], vectors[BEST_X])
        copy(g, vectors[BEST_G])


def go_back(vectors, scalars, constants):
    """Return towards the last finite point, since the objective is not finite here; shrink the steps."""
    if scalars[NIT] < 0:
        return NOT_A_NUMBER
    scalars[WENT_BACK] = scalars[NIT]
    one = constants[5]
    halve(vectors[X], vectors[LAST_X], vectors[SIZE], one / (one + one), constants[2])
    return NOT_A_NUMBER if equal(vectors[X], vectors[LAST_X]) else GO_ON
