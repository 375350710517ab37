"""Objectives in two variables to look at: what ``python -m rprop_ref explain`` can be asked for.

Each is a polynomial, or has absolute values, and is written as products and sums: so each operation is one of
IEEE 754, and the same text gives the same bits in Python and in the page that `rprop_ref.explorer` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Objective:
    """An objective of (a, b), with its gradient, as text that is both Python and JavaScript.

    Attributes
    ----------
    name, about : str
    value, da, db : str
        Expressions in ``a`` and ``b``, with ``+ - *`` and ``abs`` and ``sign`` only.
    start : tuple of float
        Where runs begin.
    lr : float
        A good first step size.
    window : tuple of float
        What to draw: left, right, bottom, top.
    minimum : tuple of float
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

    def fun(self, x: Array) -> Any:
        """The value at x, an array of shape (2,), or (2, ...) for many points at once."""
        return self._evaluate(self.value, x)

    def jac(self, x: Array) -> Array:
        """The gradient at x, of the shape of x."""
        return np.array([self._evaluate(self.da, x), self._evaluate(self.db, x)])

    def _evaluate(self, text: str, x: Array) -> Any:
        # The texts are those below, of this file.
        with np.errstate(all="ignore"):
            return eval(text, {"__builtins__": {}}, {"a": x[0], "b": x[1], "abs": np.abs, "sign": np.sign})


_ALL = (
    Objective(
        "rosenbrock",
        "a long curved valley: found at once, followed slowly",
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
        "a round bowl: each coordinate goes its own way",
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
        "one variable is 10,000 times steeper than the other, which Rprop does not notice",
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
        "the same kind of valley, but not along an axis, which Rprop does notice",
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
        "four minima: which one is found depends on the rule",
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
        "a kink: the gradient does not become small near the minimum",
        "abs(a) + 2 * abs(b)",
        "sign(a)",
        "2 * sign(b)",
        (-1.6, 1.1),
        0.1,
        (-2.0, 2.0, -1.5, 1.5),
        (0.0, 0.0),
    ),
)

#: The objectives by name.
OBJECTIVES = {objective.name: objective for objective in _ALL}
