"""Tests of single coordinates that an iteration makes, each one expression.

The same source serves arrays of NumPy (`vectors`), compiled loops over coordinates (`loops`), and the lanes of a
block of runs (`numba_kernels.many_runs`). Pass `zero` in the parameter's dtype: a literal would widen float32 in
compiled code.
"""


def is_stalled(x, g, size, xtol, floor, zero):
    """Whether a coordinate is stalled: its gradient is zero, or its step size is negligible (`xtol`)."""
    return (g == zero) | (size <= xtol * abs(x)) | (size <= floor)


def is_within_tolerance(x, y, xtol, floor):
    """Whether two values agree to a relative tolerance xtol or an absolute tolerance floor."""
    return (abs(x - y) <= xtol * abs(x)) | (abs(x - y) <= floor)


def is_blocked(x, g, lower, upper, zero):
    """Whether a descent step is blocked: x is at a bound that it would cross, or the bounds are equal."""
    return ((x <= lower) & (g > zero)) | ((x >= upper) & (g < zero)) | (lower == upper)
