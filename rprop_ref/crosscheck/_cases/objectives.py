"""Objectives for cases whose gradients depend on where the implementation goes."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Quadratic:
    """f(x) = sum of c (x - a)^2 / 2 over the coordinates."""

    def __init__(self, c: Array, a: Array) -> None:
        self.c, self.a = c, a

    def gradient(self, x: Array) -> Array:
        """The gradient at each row of x."""
        gradient: Array = self.c * (x - self.a)
        return gradient

    def source(self, x: str) -> str:
        """The gradient at `x` as a NumPy expression."""
        dtype = f'"{self.c.dtype.name}"'
        return f"np.array({_numbers(self.c)}, {dtype}) * ({x} - np.array({_numbers(self.a)}, {dtype}))"


class Rosenbrock:
    """f(x, y) = (1 - x)^2 + 100 (y - x^2)^2."""

    def gradient(self, x: Array) -> Array:
        """The gradient at each row of x."""
        one, two, hundred = x.dtype.type(1), x.dtype.type(2), x.dtype.type(100)
        a, b = x[..., 0], x[..., 1]
        inner = b - a * a
        along_x = -two * (one - a) - two * two * hundred * (a * inner)
        return np.stack([along_x, two * hundred * inner], axis=-1)

    def source(self, x: str) -> str:
        """The gradient at `x` as a NumPy expression. Its constants are ints, which keep the dtype of x."""
        inner = f"({x}[1] - {x}[0] * {x}[0])"
        return f"np.array([-2 * (1 - {x}[0]) - 2 * 2 * 100 * ({x}[0] * {inner}), 2 * 100 * {inner}], {x}.dtype)"


def _numbers(values: Array) -> str:
    return str([float(v) for v in values])
