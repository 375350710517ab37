"""Bounds in the forms that `scipy.optimize` knows, as two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def limits(bounds: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Array, Array] | None:
    """Lower and upper bounds of each variable.

    Parameters
    ----------
    bounds : None, scipy.optimize.Bounds, or sequence of (lower, upper)
        None and NaN within a pair mean no bound. What is given once counts for all variables.
    shape, dtype
        Of x.

    Returns
    -------
    None or (ndarray, ndarray), each of shape (n,)
        None if no variable has a bound. Bounds that `dtype` does not hold are moved inward.

    Raises
    ------
    ValueError
        If a lower bound is above its upper one, or the bounds do not fit the variables (SciPy's errors); or if
        they are in another form.
    """
    if bounds is None:
        return None
    try:
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            low, high = (np.array(b, float) for b in (bounds.lb, bounds.ub))
            wanted = shape
        else:
            pairs = [(low, high) for low, high in bounds]
            if not pairs:
                return None
            low = np.array([-np.inf if b is None else b for b, _ in pairs], float)
            high = np.array([np.inf if b is None else b for _, b in pairs], float)
            wanted = (int(np.prod(shape)),)
    except (TypeError, ValueError):
        raise ValueError(
            "bounds must be a scipy.optimize.Bounds, or a pair (lower, upper) for each variable, but is "
            f"{bounds!r}"
        ) from None
    try:
        low, high = (np.broadcast_to(b, wanted).ravel() for b in (low, high))
    except ValueError:
        raise ValueError("The number of bounds is not compatible with the length of `x0`.") from None
    low = np.where(np.isnan(low), -np.inf, low)
    high = np.where(np.isnan(high), np.inf, high)
    if (low > high).any():
        raise ValueError("An upper bound is less than the corresponding lower bound.")
    if np.isneginf(low).all() and np.isposinf(high).all():
        return None
    with np.errstate(over="ignore"):
        lower, upper = low.astype(dtype), high.astype(dtype)
    # A bound that was rounded outward would let x leave; one of a fixed variable has no other place to go.
    free = low < high
    lower = np.where(free & (lower < low), np.nextafter(lower, dtype.type(np.inf)), lower)
    upper = np.where(free & (upper > high), np.nextafter(upper, dtype.type(-np.inf)), upper)
    return lower, np.maximum(lower, upper)
