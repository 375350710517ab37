"""The vector operations of an iteration, in NumPy.

`loops` has the same functions as loops, for compiled code, which needs no temporary arrays. The results agree bit
for bit.
"""

import numpy as np

from ..rules import RULES
from . import numpy_step
from .coordinates import (
    DIRECTION_DENOMINATOR,
    direction_hash,
    direction_numerator,
    is_blocked,
    is_stalled,
    is_within_tolerance,
    points_away,
)


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
    clip(x, lower, upper)
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


def clear(target):
    """Set all elements to 0."""
    target[:] = 0


def extrapolate(x, start, base, stretch):
    """Move x to where `stretch` times the displacement of start from base leads from start, and base to start.

    x may be start or base. The arithmetic is in float64.
    """
    begin = start.astype(float)
    end = begin + stretch * (begin - base)
    base[:] = begin
    x[:] = end


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


# What `probing` needs. Its arithmetic is in float64, and sums are made in the order of the coordinates.


def _lengths(x, span):
    """How far it is sensible to move each variable: its own size, or what it was at the start."""
    return np.maximum(np.abs(x), span).astype(float)


def _shares(p, scale, x, span, negligible):
    """Each component relative to the largest one seen; 0 if its effect on the value is negligible."""
    p, scale = p.astype(float), scale.astype(float)
    counts = np.abs(p) * _lengths(x, span) > negligible
    return np.where(counts, p, 0) / np.where(counts, scale, 1)


def _sum_in_order(terms):
    return np.cumsum(terms)[-1]


def largest_effect(x, g, span):
    """The largest change of the value, to first order, if one variable moved by its length; for each row."""
    return np.max(np.abs(g).astype(float) * _lengths(x, span), axis=-1, initial=0)


def renew(size, x, span, share, size_min, size_max):
    """Make each step size this share of its variable's length, within the limits."""
    size[:] = _lengths(x, span) * share
    size[:] = np.where(size < size_min, size_min, size)
    size[:] = np.where(size > size_max, size_max, size)


def lift(size, x, g, span, share, size_max):
    """Make no step size less than this share of the largest one, each relative to its variable's length.

    The largest is that of a variable whose gradient is not 0: nothing shrinks those of the others. A step size of
    0 stays 0, for a variable that is to stay where it is, and none becomes larger than `size_max` or infinite.
    """
    lengths = _lengths(x, span)
    relative = size / np.where(lengths > 0, lengths, np.inf)
    largest = np.max(np.where((g != 0) & (relative < np.inf), relative, 0), initial=0)
    least = (share * largest * lengths).astype(size.dtype)
    least = np.where(least > size_max, size_max, least)
    size[:] = np.where((size > 0) & (size < least) & (least < np.inf), least, size)


def all_near(x, y, span, share):
    """Whether each variable differs between x and y by at most this share of its length at x."""
    return (np.abs(x.astype(float) - y) <= _lengths(x, span) * share).all()


def raise_to_magnitudes(scale, g):
    """Make each element of scale at least the absolute value of g's."""
    np.maximum(scale, np.abs(g), out=scale)


def largest_share(p, scale, x, span, negligible):
    """The largest absolute value of p's components, each relative to the largest one seen (`scale`)."""
    return np.max(np.abs(_shares(p, scale, x, span, negligible)), initial=0)


def sample_probe(probe, x, span, radius, k):
    """Write the k-th probe in a pseudo-random direction from x."""
    bits = direction_hash(np.arange(x.size), k)
    probe[:] = x + radius * (_lengths(x, span) * (direction_numerator(bits) / DIRECTION_DENOMINATOR))


def descent_probe(probe, x, p, scale, span, negligible, radius):
    """Write the probe that is this far from x, against the gradient p."""
    probe[:] = x - radius * (_lengths(x, span) * _shares(p, scale, x, span, negligible))


def clip(x, lower, upper):
    """Move x into the bounds."""
    x[:] = np.where(x < lower, lower, x)
    x[:] = np.where(x > upper, upper, x)


def slope_between(x, y, g):
    """The slope from x to y by the gradient g, times their distance."""
    return _sum_in_order((y.astype(float) - x) * g)


def all_point_away(x, y, g, span, negligible):
    """Whether each component of the gradient at y points away from x, or has a negligible effect."""
    return (points_away(x, y, g, 0) | (np.abs(g).astype(float) * _lengths(x, span) <= negligible)).all()


def add_to_aggregate(p, g, x, span, scale):
    """Replace p by the shortest vector between p and g; return whether it is shorter.

    The length is measured in the units of the variables: each component is divided by its scale, and multiplied by
    the length of its variable.
    """
    from_p, to_g = p.astype(float), g - p.astype(float)
    weight = np.where(scale == 0, 0, _lengths(x, span) / np.where(scale == 0, 1, scale.astype(float)))
    slope = -_sum_in_order(weight * (from_p * to_g))
    curvature = _sum_in_order(weight * (to_g * to_g))
    if not (slope > 0 and curvature > 0):
        return False
    p[:] = from_p + min(slope / curvature, 1.0) * to_g
    return True
