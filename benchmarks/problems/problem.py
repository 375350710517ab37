"""`Problem`: an objective with its gradient, start and bounds, from any suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Objective = Callable[[Array], tuple[float, Array]]

#: The relative step of finite differences, as in SciPy's 2-point rule.
DIFFERENCE = float(np.finfo(float).eps) ** 0.5


@dataclass(frozen=True)
class Problem:
    """What a suite provides, and what a mode returns.

    Attributes
    ----------
    suite, name : str
    x0 : ndarray, shape (n,)
    value_and_gradient : callable or None
        ``f, g = value_and_gradient(x)``. None if there are values only.
    value : callable or None
        ``f = value(x)``, if a value alone is cheaper.
    bounds : (ndarray, ndarray) or None
        Lower and upper bounds, which may be infinite.
    absolute : callable or None
        Value and gradient of the sum of absolute residuals, if the problem is one of least squares.
    batch : callable or None
        Values and gradients at several points, shape (m, n), as an array of shape (m, 1 + n), if that is quicker.
    shown : callable or None
        What a method is shown instead of the value, if the problem itself is noisy.
    difference : float
        The step of finite differences, relative to the variables, or to 1 where they are smaller.
    """

    suite: str
    name: str
    x0: Array
    value_and_gradient: Objective | None
    value: Callable[[Array], float] | None = None
    bounds: tuple[Array, Array] | None = None
    absolute: Objective | None = None
    batch: Callable[[Array], Array] | None = None
    shown: Callable[[Array], float] | None = None
    difference: float = DIFFERENCE

    def true_value(self, x: Array) -> float:
        """The value at x, by the cheapest way there is."""
        if self.value is not None:
            return float(self.value(x))
        assert self.value_and_gradient is not None
        return float(self.value_and_gradient(x)[0])

    def at_each(self, points: Array) -> Array:
        """Value and gradient at each of several points, shape (m, n), as an array of shape (m, 1 + n)."""
        if self.batch is not None:
            return self.batch(points)
        assert self.value_and_gradient is not None
        return np.array([np.r_[f, g] for f, g in map(self.value_and_gradient, points)])
