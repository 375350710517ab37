"""The best point so far.

NumPy runs this code as it stands; Numba and numba.cuda compile the same source.
"""

from .record import BEST_F, BEST_G, BEST_G_MAX, BEST_X, F_RESOLUTION, LOWEST_F, LOWEST_NIT, NIT
from .vectors import highest_equal_value, store_point


def is_better(f, g_max, highest, best_f, best_g_max):
    """Whether a point is the best so far.

    The lowest value wins. Values up to `highest` differ only by rounding, so among those the smallest gradient
    wins.
    """
    return (f <= highest) & ((best_f > highest) | (g_max < best_g_max))


def keep_best(vectors, scalars, x, f, g, g_max):
    """Keep the point if it is the best so far."""
    if f < scalars[LOWEST_F]:
        scalars[LOWEST_F] = f
        scalars[LOWEST_NIT] = scalars[NIT]
    highest = highest_equal_value(scalars[LOWEST_F], scalars[F_RESOLUTION])
    if is_better(f, g_max, highest, scalars[BEST_F], scalars[BEST_G_MAX]):
        scalars[BEST_F] = f
        scalars[BEST_G_MAX] = g_max
        store_point(x, g, vectors[BEST_X], vectors[BEST_G])
