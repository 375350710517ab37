"""What an iteration does with whole vectors, as expressions of NumPy.

`loops` has the same functions as loops, for compiled code: there they need no temporary arrays. Both return the
same bits.
"""

import numpy as np

from ..rules import RULES
from . import numpy_step
from .coordinates import is_stalled, is_within_tolerance, points_outward


def max_gradient_and_stalled(x, g, size, xtol, floor):
    """Largest absolute value in g (NaN if one is NaN), and whether every coordinate is stalled."""
    return np.max(np.abs(g), initial=0), is_stalled(x, g, size, xtol, floor, 0).all()


def predicted_decrease(g, size):
    """By how much, to first order, the step of one coordinate would lower the value: the largest of these."""
    return np.max(np.where(g == 0, 0, np.abs(g) * size), initial=0)


def store_point(x, g, stored_x, stored_g):
    """Copy a point and its gradient to where they are kept."""
    stored_x[:] = x
    stored_g[:] = g


def move(variant, x, g, prev, size, constants, worse, last_x):
    """Make one step of the rule, in place, from last_x, where x is; return whether it led away from there."""
    numpy_step.run(variant, x, g, prev, size, constants, worse)
    return not equal(x, last_x)


def undoes(variant, worse):
    """Whether the rule takes back the last move where the gradient changed its sign."""
    return RULES[variant].undoes(worse)


def move_within_bounds(variant, x, g, prev, size, constants, worse, last_x, lower, upper, move_start, undo):
    """Do what `move` does, and clip x to its bounds; move_start becomes last_x.

    Where the rule takes the last move back (`undo`), x returns to move_start: that move may have been clipped.
    """
    undone = (g * prev < 0) & undo
    move(variant, x, g, prev, size, constants, worse, last_x)
    x[:] = np.where(x < lower, lower, x)
    x[:] = np.where(x > upper, upper, x)
    np.copyto(x, move_start, where=undone)
    move_start[:] = last_x
    return not equal(x, last_x)


def point_inward(g, x, lower, upper, inward):
    """Write the gradient to `inward`, but 0 where x is at a bound and going downhill would leave it."""
    inward[:] = np.where(points_outward(x, g, lower, upper, 0), 0, g)


def equal(a, b):
    """Whether two arrays hold the same numbers."""
    return (a == b).all()


def all_within_tolerance(x, y, xtol, floor):
    """Whether two points are the same but for this much in each coordinate."""
    return is_within_tolerance(x, y, xtol, floor).all()


def copy(source, target):
    """Copy one array into another."""
    target[:] = source


def halve_move(x, last_x, size, half, size_min):
    """Move x half of the way back to last_x, and halve the step sizes; in place."""
    smaller = size * half
    size[:] = np.where(smaller < size_min, size_min, smaller)
    nearer = last_x + (x - last_x) * half
    # A coordinate that has left the range of the dtype, or is so near that it cannot come nearer, goes back
    # all the way.
    x[:] = np.where(np.isfinite(x) & (nearer != x), nearer, last_x)


def highest_equal_value(lowest, resolution):
    """The highest value that counts as equal to the lowest."""
    return lowest + resolution * abs(lowest)
