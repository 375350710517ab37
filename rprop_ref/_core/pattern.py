"""Pattern moves: every so many iterations, the way that they have made together is made once more.

In a curved valley, Rprop's steps go to and fro across it, and what is left of them is a slow drift along it. A
pattern move goes on along that drift: from where the last step has led, by the displacement since the last pattern
move (or the start), times a factor that doubles with each success and halves with each failure. If the value there
is lower than at the last point, the run goes on from there, with its step sizes and without stored gradients.
Otherwise it goes back to where the last step has led, as if nothing had been tried. So it does, too, if step sizes
are negligible beside x there: a run must not end because of a long move. NumPy runs this code as it stands; Numba
and numba.cuda compile the same source.

References
----------
R. Hooke, T. A. Jeeves, "Direct search" solution of numerical and statistical problems, Journal of the ACM 8(2),
1961, pp. 212-229.
"""

from .record import (
    BASE,
    LAST_X,
    LOWER,
    NIT,
    PATTERN,
    PATTERN_NIT,
    PREV,
    ROWS,
    STRETCH,
    UPPER,
    X,
)
from .vectors import clear, clip, copy, equal, extrapolate

#: The largest factor, and the inverse of the smallest.
LONGEST, SHORTEST = 1024, 4


def pattern_is_due(nit, pattern_nit, every):
    """`pattern_every`: so many iterations have passed since the last pattern move."""
    return nit - pattern_nit >= every


def begin_pattern_move(vectors, scalars):
    """Set the point of a pattern move, to be evaluated next, unless it leads nowhere."""
    x, base = vectors[X], vectors[BASE]
    scalars[PATTERN_NIT] = scalars[NIT]
    extrapolate(x, base, scalars[STRETCH])
    if vectors.shape[0] > ROWS:
        clip(x, vectors[LOWER], vectors[UPPER])
    if equal(x, base) or equal(x, vectors[LAST_X]):
        copy(base, x)
    else:
        scalars[PATTERN] = 1


def end_pattern_move(vectors, scalars, lower):
    """Keep the point of a pattern move if the value is lower there; otherwise go back to where it began."""
    scalars[PATTERN] = 0
    if lower:
        scalars[STRETCH] = min(scalars[STRETCH] * 2, LONGEST)
        clear(vectors[PREV])
    else:
        scalars[STRETCH] = max(scalars[STRETCH] / 2, 1 / SHORTEST)
        copy(vectors[BASE], vectors[X])
