"""Objectives of two variables to look at: the choices of ``python -m rprop_ref explain --objective``.

Each is written with sums, products and absolute values only. So every operation is one of IEEE 754, and the same
text gives the same bits in Python and in the page that `rprop_ref.explorer` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Objective:
    """An objective of (a, b) and its gradient, as text that is both Python and JavaScript.

    Attributes
    ----------
    name, about : str
        A name, and a description of a few words.
    value, da, db : str
        Expressions in ``a`` and ``b`` for the value and its derivatives, with ``+ - *``, ``abs`` and ``sign``.
    start : tuple of float
        Where runs start.
    lr : float
        A good first step size.
    window : tuple of float
        The part to draw: left, right, bottom, top.
    minimum : tuple of float
        A point where the value is lowest.
    points : tuple of tuple of float, optional
        If the value is the mean squared error of the line ``a + b * t``, less a constant: its points (t, y), so
        that the explorer can compute gradients from some of them.
    """

    name: str
    about: str
    value: str
    da: str
    db: str
    start: tuple[float, float]
    lr: float
    window: tuple[float, float, float, float]
    minimum: tuple[float, float]
    points: tuple[tuple[float, float], ...] = ()

    def fun(self, x: Array) -> Any:
        """The value at x, an array of shape (2,), or (2, ...) for several points at once."""
        return self._evaluate(self.value, x)

    def jac(self, x: Array) -> Array:
        """The gradient at x, of the shape of x."""
        return np.array([self._evaluate(self.da, x), self._evaluate(self.db, x)])

    def _evaluate(self, text: str, x: Array) -> Any:
        # Evaluates only what the caller wrote as code: the objectives below, or one of the user's own.
        with np.errstate(all="ignore"):
            return eval(text, {"__builtins__": {}}, {"a": x[0], "b": x[1], "abs": np.abs, "sign": np.sign})


def _line(points: tuple[tuple[float, float], ...]) -> Objective:
    """The fit of a line to points whose t are on average 0, so that the variables do not depend on each other."""
    n = len(points)
    a = sum(y for _, y in points) / n
    curvature = sum(t * t for t, _ in points) / n
    b = sum(t * y for t, y in points) / n / curvature
    return Objective(
        "regression",
        f"the fit of a line a + b t to {n} points; a batch of them is enough for a gradient, but not for Rprop",
        f"(a - {a!r}) * (a - {a!r}) + {curvature!r} * (b - {b!r}) * (b - {b!r})",
        f"2 * (a - {a!r})",
        f"{2 * curvature!r} * (b - {b!r})",
        (-1.5, 2.0),
        0.1,
        (-2.0, 3.0, -1.5, 2.5),
        (a, b),
        points,
    )


#: Points around a line. More of them are a little below it than far above it, so that most gradients of single
#: points have the other sign than their mean.
_SKEWED = tuple(((i - 31.5) / 16, (i - 31.5) / 32 + 4 * (i * 37 % 64 / 64) ** 4) for i in range(64))

_ALL = (
    Objective(
        "rosenbrock",
        "a long curved valley: easy to find, slow to follow",
        "(1 - a) * (1 - a) + 100 * (b - a * a) * (b - a * a)",
        "-2 * (1 - a) - 400 * a * (b - a * a)",
        "200 * (b - a * a)",
        (-1.2, 1.0),
        0.05,
        (-1.8, 1.8, -0.8, 2.2),
        (1.0, 1.0),
    ),
    Objective(
        "bowl",
        "a round bowl: the coordinates do not affect each other",
        "a * a + b * b",
        "2 * a",
        "2 * b",
        (-1.6, 1.1),
        0.1,
        (-2.0, 2.0, -1.5, 1.5),
        (0.0, 0.0),
    ),
    Objective(
        "ellipse",
        "one variable is 10,000 times steeper than the other, which makes no difference to Rprop",
        "a * a + 10000 * b * b",
        "2 * a",
        "20000 * b",
        (-1.6, 1.1),
        0.1,
        (-2.0, 2.0, -1.5, 1.5),
        (0.0, 0.0),
    ),
    Objective(
        "rotated",
        "a similar valley, but not along an axis, which makes Rprop slow",
        "(a + b) * (a + b) + 100 * (a - b) * (a - b)",
        "2 * (a + b) + 200 * (a - b)",
        "2 * (a + b) - 200 * (a - b)",
        (-1.6, 0.4),
        0.1,
        (-2.0, 2.0, -1.5, 1.5),
        (0.0, 0.0),
    ),
    Objective(
        "himmelblau",
        "four minima: the rule decides which one is found",
        "(a * a + b - 11) * (a * a + b - 11) + (a + b * b - 7) * (a + b * b - 7)",
        "4 * a * (a * a + b - 11) + 2 * (a + b * b - 7)",
        "2 * (a * a + b - 11) + 4 * b * (a + b * b - 7)",
        (0.0, 0.0),
        0.1,
        (-5.0, 5.0, -4.5, 4.5),
        (3.0, 2.0),
    ),
    Objective(
        "roof",
        "a kink: the gradient stays large near the minimum",
        "abs(a) + 2 * abs(b)",
        "sign(a)",
        "2 * sign(b)",
        (-1.6, 1.1),
        0.1,
        (-2.0, 2.0, -1.5, 1.5),
        (0.0, 0.0),
    ),
    _line(_SKEWED),
)

#: The objectives by name.
OBJECTIVES = {objective.name: objective for objective in _ALL}
