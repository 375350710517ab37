"""The vector operations of an iteration, in NumPy.

`loops` has the same functions as loops, for compiled code, which needs no temporary arrays. The results agree bit
for bit.
"""

import numpy as np

from ..rules import RULES
from . import numpy_step
from .coordinates import is_blocked, is_stalled, is_within_tolerance


def max_gradient_and_stalled(x, g, size, xtol, floor):
    """Largest absolute value in g (NaN if one is NaN), and whether every coordinate is stalled."""
    return np.max(np.abs(g), initial=0), is_stalled(x, g, size, xtol, floor, 0).all()


def predicted_decrease(g, size):
    """The largest decrease of the value, to first order, that the step of one coordinate would give."""
    return np.max(np.where(g == 0, 0, np.abs(g) * size), initial=0)


def store_point(x, g, stored_x, stored_g):
    """Copy a point and its gradient to where they are kept."""
    stored_x[:] = x
    stored_g[:] = g


def move(variant, x, g, prev, size, constants, worse, last_x):
    """Make one step of the rule, in place. On entry x equals last_x; return whether x changed."""
    numpy_step.run(variant, x, g, prev, size, constants, worse)
    return not equal(x, last_x)


def undoes(variant, worse):
    """Whether the rule takes the last move back at a sign change."""
    return RULES[variant].undoes(worse)


def move_within_bounds(variant, x, g, prev, size, constants, worse, last_x, lower, upper, move_start, undo):
    """Like `move`, but clip x to the bounds; on return move_start holds last_x.

    Where the rule takes the last move back (`undo`), x returns to move_start, since that move may have been
    clipped.
    """
    undone = (g * prev < 0) & undo
    move(variant, x, g, prev, size, constants, worse, last_x)
    x[:] = np.where(x < lower, lower, x)
    x[:] = np.where(x > upper, upper, x)
    np.copyto(x, move_start, where=undone)
    move_start[:] = last_x
    return not equal(x, last_x)


def zero_blocked(g, x, lower, upper, inward):
    """Write the gradient to `inward`, with 0 where a bound blocks the descent step."""
    inward[:] = np.where(is_blocked(x, g, lower, upper, 0), 0, g)


def equal(a, b):
    """Whether two arrays hold the same numbers."""
    return (a == b).all()


def all_within_tolerance(x, y, xtol, floor):
    """Whether two points agree to these tolerances in every coordinate."""
    return is_within_tolerance(x, y, xtol, floor).all()


def copy(source, target):
    """Copy one array into another."""
    target[:] = source


def halve_move(x, last_x, size, half, size_min):
    """Move x halfway back to last_x and halve the step sizes, in place."""
    smaller = size * half
    size[:] = np.where(smaller < size_min, size_min, smaller)
    nearer = last_x + (x - last_x) * half
    # A coordinate that is not finite, or that halving no longer changes, goes back to last_x.
    x[:] = np.where(np.isfinite(x) & (nearer != x), nearer, last_x)


def highest_equal_value(lowest, resolution):
    """The highest value that counts as equal to the lowest."""
    return lowest + resolution * abs(lowest)
