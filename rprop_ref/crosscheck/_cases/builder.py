"""Builds the cases of one dtype from scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..._core.dtypes import named as dtype_named
from .case import Case, features_needed
from .dtypes import float_range
from .objectives import Quadratic

#: Losses that rise, fall and stay the same, to show how a rule compares losses.
LOSSES = (3.0, 2.0, 2.0, 3.0, 1.0, 1.0, 2.0, 0.0, 4.0, 4.0, 3.0, 5.0)

#: The scripts of the first cases: (name, gradients, x0).
BASICS: tuple[tuple[str, tuple[float, ...], float], ...] = (
    ("agreement, then a flip", (1, 1, 1, -1, 1, 1, 1, -1, -1, -1, 1, 1), 0.0),
    ("flips", (1, -1, -1, 1, 1, -1, 1, 1, -1, 1, -1, 1), 0.0),
    ("agreement, then a flip, mirrored", (-1, -1, -1, 1, -1, -1, -1, 1, 1, 1, -1, -1), 0.0),
    ("flips, mirrored", (-1, 1, 1, -1, -1, 1, -1, -1, 1, -1, 1, -1), 0.0),
    ("a flip from 0.01", (1, -1, 1, 1, 1, -1, -1, 1, 1, 1, -1, 1), 0.01),
    ("a flip from 0.3", (-1, 1, -1, -1, -1, 1, 1, -1, -1, 1, 1, -1), 0.3),
    ("zero between agreeing gradients", (1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1), 0.0),
    ("zero between gradients of both signs", (1, 0, -1, -1, 0, 1, 1, 0, 0, -1, -1, -1), 0.0),
    ("zeros first", (0, 0, 1, 1, 1, -1, 0, 1, 1, 0, -1, -1), 0.0),
    ("zero after a flip", (1, 1, -1, 0, 1, 1, -1, 0, -1, -1, -1, -1), 0.5),
    ("negative zeros", (-0.0, 1, -0.0, 1, 1, -0.0, -1, -1, -0.0, -0.0, -1, 1), -0.0),
    ("magnitudes", (2, 3, 0.5, -7, 0.25, 11, 5, 5, -0.125, -3, -9, 0.75), 0.0),
    ("magnitudes, mirrored", (-3, -0.5, -2, 4, -0.75, -9, -6, -1, 0.25, 2, 8, -5), 1.5),
    ("growth", (1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2), 0.25),
    ("two steps each way", (1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1), -0.7),
    ("never a gradient", (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0.125),
)


class CaseBuilder:
    """Builds the cases of one dtype.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
        The dtype of a coordinate, and its name.
    subnormal, normal, largest : float
        The range of the dtype: the smallest subnormal, the smallest normal and the largest number.
    squares_to_zero : float
        A gradient whose square underflows to 0.
    below_one : float or None
        A Python float below 1 that rounds to 1 in this dtype; None for float64.
    cases : list of Case
        The cases added so far.
    """

    def __init__(self, name: str) -> None:
        self.name, self.dtype = name, dtype_named(name)
        self.cases: list[Case] = []
        self.subnormal, self.normal, self.largest = float_range(self.dtype)
        self.squares_to_zero = self.subnormal**0.5 / 8
        self.below_one = {"float16": 0.9999, "bfloat16": 0.999, "float32": 1 - 1e-8}.get(name)

    def add(
        self,
        name: str,
        reason: str,
        scripts: Iterable[tuple[str, Sequence[float], float]] = BASICS,
        *,
        needs: Iterable[str] = (),
        loss: Sequence[float] | None = None,
        **setting: Any,
    ) -> None:
        """Add a case. Scripts that are shorter than the longest end with zeros."""
        scripts = list(scripts)
        steps = max(len(g) for _, g, _ in scripts)
        needs = (*needs, *features_needed(setting))
        with np.errstate(all="ignore"):
            g = np.array([[*g, *[0.0] * (steps - len(g))] for _, g, _ in scripts]).T.astype(self.dtype)
            x0 = np.array([x for _, _, x in scripts]).astype(self.dtype)
        if loss is None:
            loss = _default_losses(steps)
        self.cases.append(
            Case(
                name,
                reason,
                self.name,
                np.ascontiguousarray(g),
                x0,
                loss=tuple(float(v) for v in loss),
                scripts=tuple(name for name, _, _ in scripts),
                needs=frozenset((*needs, "scripts")),
                **setting,
            )
        )

    def add_objective(
        self, name: str, reason: str, objective: Any, x0: Sequence[float], steps: int, **setting: Any
    ) -> None:
        """Add a case whose gradients are those of an objective where the implementation has arrived."""
        g = np.zeros((steps, len(x0)), self.dtype)
        start = np.array(x0).astype(self.dtype)
        case = Case(name, reason, self.name, g, start, loss=_default_losses(steps), objective=objective)
        needs = features_needed(setting)
        if len(x0) != 2 or not isinstance(objective, Quadratic):
            needs.append("objectives")
        names = tuple(f"x[{i}]" for i in range(len(x0)))
        self.cases.append(replace(case, scripts=names, needs=frozenset(needs), **setting))


def _default_losses(steps: int) -> tuple[float, ...]:
    return tuple(LOSSES[t % len(LOSSES)] for t in range(steps))
