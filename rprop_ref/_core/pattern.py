"""Pattern moves: every so many iterations, the way that they have made together is made once more.

In a curved valley, Rprop's steps go to and fro across it, and what is left of them is a slow drift along it. A
pattern move goes on along that drift: from where the last step has led, by the displacement since the last pattern
move (or the start), times a factor that doubles with each success and halves with each failure. If the value there
is lower than at the last point, the run goes on from there, with its step sizes and without stored gradients.

If it is not lower, the valley has turned or risen on the way. Then the minimum of the parabola is tried that has
the values at the last point and at the end of the way, and the slope with which the way begins. If the value is
lower there, the run goes on from there, and the factor stays. Otherwise it goes back to where the last step has
led, as if nothing had been tried. So it does, too, if step sizes are negligible beside x at such a point: a run
must not end because of a long move.

In a run without bounds, each pattern move begins by lifting small step sizes, wherever it leads. Under noise, the
signs of small components of the gradient are those of a coin, and as the product of the etas is below 1, their
step sizes shrink to nothing while others still move (Plakhov & Cruz). With bounds, this gained less under noise
when it was measured, and lost a narrow valley without noise.

NumPy runs this code as it stands; Numba and numba.cuda compile the same source.

References
----------
R. Hooke, T. A. Jeeves, "Direct search" solution of numerical and statistical problems, Journal of the ACM 8(2),
1961, pp. 212-229.

A. Plakhov, P. Cruz, A stochastic approximation algorithm with multiplicative step size adaptation,
arXiv:math/0503434, 2005.
"""

import math

from .constants import SIZE_MAX
from .record import (
    BASE,
    LAST_F,
    LAST_G,
    LAST_X,
    LOWER,
    NIT,
    PATTERN,
    PATTERN_NIT,
    PREV,
    ROWS,
    SIZE,
    SLOPE,
    SPAN,
    STRETCH,
    UPPER,
    X,
)
from .vectors import clear, clip, copy, equal, extrapolate, lift, slope_between

#: The largest factor, and the inverse of the smallest.
LONGEST, SHORTEST = 1024, 4

#: Where a pattern move begins, step sizes are lifted to the largest one divided by this.
PARTS_OF_LARGEST = 1000

#: The stages of a pattern move, besides 0: X is the end of the way, or the parabola's minimum.
AHEAD, BETWEEN = 1, 2


def pattern_is_due(nit, pattern_nit, every):
    """`pattern_every`: so many iterations have passed since the last pattern move."""
    return nit - pattern_nit >= every


def begin_pattern_move(vectors, scalars, constants):
    """Lift small step sizes, and set the point of the move, to be evaluated next, unless it leads nowhere."""
    scalars[PATTERN_NIT] = scalars[NIT]
    if vectors.shape[0] == ROWS:
        x, g, span = vectors[X], vectors[LAST_G], vectors[SPAN]
        lift(vectors[SIZE], x, g, span, 1 / PARTS_OF_LARGEST, constants[SIZE_MAX])
    if goes_on(vectors, vectors[X], vectors[BASE], scalars[STRETCH]):
        scalars[PATTERN] = AHEAD
        scalars[SLOPE] = slope_between(vectors[LAST_X], vectors[X], vectors[LAST_G])
    else:
        turn_back(vectors, scalars)


def goes_on(vectors, start, base, share):
    """Set X to `start`, a row, moved on by this share of its displacement from `base`, another one.

    `base` becomes the start. Returns whether the point is neither the last one nor where the last
    step has led.
    """
    x = vectors[X]
    extrapolate(x, start, base, share)
    if vectors.shape[0] > ROWS:
        clip(x, vectors[LOWER], vectors[UPPER])
    return not (equal(x, vectors[BASE]) or equal(x, vectors[LAST_X]))


def turn_back(vectors, scalars):
    """End a pattern move that has failed."""
    scalars[PATTERN] = 0
    scalars[STRETCH] = max(scalars[STRETCH] / 2, 1 / SHORTEST)
    copy(vectors[BASE], vectors[X])


def is_valley(slope, rise):
    """Whether a parabola with this slope at 0, and this rise from 0 to 1, has its minimum between them."""
    return (-math.inf < slope) & (slope < 0) & (rise >= 0) & (rise < math.inf)


def lowest_share(slope, rise):
    """Where that minimum is: at 1/2 at most."""
    return slope / (-2 * (rise - slope))


def end_pattern_move(vectors, scalars, f, lower):
    """Keep the point if its value is lower; otherwise try the parabola's minimum, once, or turn back."""
    stage, slope, rise = scalars[PATTERN], scalars[SLOPE], f - scalars[LAST_F]
    if lower:
        scalars[PATTERN] = 0
        if stage == AHEAD:
            scalars[STRETCH] = min(scalars[STRETCH] * 2, LONGEST)
        clear(vectors[PREV])
    elif (
        stage == AHEAD
        and is_valley(slope, rise)
        and goes_on(vectors, vectors[LAST_X], vectors[X], -lowest_share(slope, rise))
    ):
        scalars[PATTERN] = BETWEEN
    else:
        turn_back(vectors, scalars)
