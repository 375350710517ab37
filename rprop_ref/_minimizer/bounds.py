"""Bounds on the variables: the forms that `scipy.optimize` accepts, as two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.checks import check_plain

Array = np.ndarray[Any, Any]

#: Lower and upper bounds, each of shape (n,); None if no variable has a bound.
Bounds = tuple[Array, Array] | None


def bounds_as_arrays(bounds: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Bounds:
    """Lower and upper bounds of each variable.

    Parameters
    ----------
    bounds : None, scipy.optimize.Bounds, or sequence of (lower, upper)
        None and NaN within a pair mean no bound. A single bound holds for all variables.
    shape, dtype
        Shape and dtype of x.

    Returns
    -------
    None or (ndarray, ndarray), each of shape (n,)
        None if no variable has a bound. A bound that `dtype` cannot represent is rounded inward.

    Raises
    ------
    ValueError
        If a lower bound is above its upper bound, or the number of bounds is wrong (SciPy's messages); or if
        `bounds` has another form.
    TypeError
        If their arithmetic is not that of an array, see `check_plain`.
    """
    if bounds is None:
        return None
    check_plain_bounds(bounds)
    try:
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            low, high = (np.array(b, float) for b in (bounds.lb, bounds.ub))
            wanted_shape = shape
        else:
            pairs = [(low, high) for low, high in bounds]
            if not pairs:
                return None
            low = np.array([-np.inf if b is None else b for b, _ in pairs], float)
            high = np.array([np.inf if b is None else b for _, b in pairs], float)
            wanted_shape = (int(np.prod(shape)),)
    except (TypeError, ValueError):
        raise ValueError(
            "bounds must be a scipy.optimize.Bounds, or a pair (lower, upper) for each variable, but is "
            f"{bounds!r}"
        ) from None
    try:
        low, high = (np.broadcast_to(b, wanted_shape).ravel() for b in (low, high))
    except ValueError:
        raise ValueError("The number of bounds is not compatible with the length of `x0`.") from None
    low = np.where(np.isnan(low), -np.inf, low)
    high = np.where(np.isnan(high), np.inf, high)
    if (low > high).any():
        raise ValueError("An upper bound is less than the corresponding lower bound.")
    if np.isneginf(low).all() and np.isposinf(high).all():
        return None
    return _rounded_inward(low, high, dtype)


def check_plain_bounds(bounds: Any) -> None:
    """Raise TypeError if the arithmetic of bounds, in any of their forms, is not that of an array."""
    for values in (bounds, getattr(bounds, "lb", None), getattr(bounds, "ub", None)):
        check_plain(values, "bounds")


def _rounded_inward(low: Array, high: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """The bounds in another dtype. Rounded outward, they would admit an x outside the original ones."""
    with np.errstate(over="ignore"):
        lower, upper = low.astype(dtype), high.astype(dtype)
    # The equal bounds of a fixed variable would cross if rounded inward. They become the nearest number instead.
    free = low < high
    lower = np.where(free & (lower < low), np.nextafter(lower, dtype.type(np.inf)), lower)
    upper = np.where(free & (upper > high), np.nextafter(upper, dtype.type(-np.inf)), upper)
    return lower, np.maximum(lower, upper)


def clipped(points: Array, bounds: Bounds) -> Array:
    """One point of shape (n,), or several of shape (m, n), moved into the bounds."""
    if bounds is None:
        return points
    lower, upper = bounds
    inside: Array = np.minimum(np.maximum(points, lower), upper)
    return inside
