"""Tests of single coordinates that an iteration makes, each one expression.

The same source serves arrays of NumPy (`vectors`), compiled loops over coordinates (`loops`), and the lanes of a
block of runs (`numba_kernels.many_runs`). Pass `zero` in the parameter's dtype: a literal would widen float32 in
compiled code.
"""

#: The components of a probe's direction are integers divided by this.
DIRECTION_DENOMINATOR = 1 << 17


def is_stalled(x, g, size, xtol, floor, zero):
    """Whether a coordinate is stalled: its gradient is zero, or its step size is negligible (`xtol`)."""
    return (g == zero) | (size <= xtol * abs(x)) | (size <= floor)


def is_within_tolerance(x, y, xtol, floor):
    """Whether two values agree to a relative tolerance xtol or an absolute tolerance floor."""
    return (abs(x - y) <= xtol * abs(x)) | (abs(x - y) <= floor)


def points_away(x, y, g, zero):
    """Whether the gradient g at y, if it is not zero, points away from x."""
    return ((y >= x) | (g <= zero)) & ((y <= x) | (g >= zero))


def direction_hash(i, k):
    """Sixteen bits that look random, for coordinate i of direction k. All values fit into 63 bits."""
    h = ((i & 0x3FFFFFFF) * 40503 + k * 30103 + 12345) & 0xFFFFFF
    h = ((h ^ (h >> 9)) * 2654435) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 40507) & 0xFFFFFFFF
    return (h ^ (h >> 13)) & 0xFFFF


def direction_numerator(bits):
    """A component of a direction, from 1/4 to 1 in magnitude, times `DIRECTION_DENOMINATOR`."""
    return ((bits >> 1) * 3 + 32768) * (1 - 2 * (bits & 1))


def is_blocked(x, g, lower, upper, zero):
    """Whether a descent step is blocked: x is at a bound that it would cross, or the bounds are equal."""
    return ((x <= lower) & (g > zero)) | ((x >= upper) & (g < zero)) | (lower == upper)
