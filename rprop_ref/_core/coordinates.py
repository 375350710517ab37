"""What an iteration asks of one coordinate, each as one expression.

The same text serves arrays of NumPy (`vectors`), compiled loops over coordinates (`loops`), and the lanes of a
block of runs (`numba_kernels.many_runs`). `zero` is that of the dtype: a literal would widen float32 in compiled
code.
"""


def is_stalled(x, g, size, xtol, floor, zero):
    """`xtol`: the gradient is zero, or the step size is negligible."""
    return (g == zero) | (size <= xtol * abs(x)) | (size <= floor)


def is_within_tolerance(x, y, xtol, floor):
    """Whether two points are the same but for this much."""
    return (abs(x - y) <= xtol * abs(x)) | (abs(x - y) <= floor)


def points_outward(x, g, lower, upper, zero):
    """Whether x is at a bound and going downhill would leave it."""
    return ((x <= lower) & (g > zero)) | ((x >= upper) & (g < zero)) | (lower == upper)
