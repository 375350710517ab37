"""Builds cases of one dtype from scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.dtypes import named as dtype_named
from .cases import Case, Quadratic, needed
from .stages import limits

#: Losses that rise, fall and stay, so that a rule that compares losses shows itself.
LOSSES = (3.0, 2.0, 2.0, 3.0, 1.0, 1.0, 2.0, 0.0, 4.0, 4.0, 3.0, 5.0)

#: (name, gradients, x0): what every implementation meets first.
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


class Maker:
    """Builds the cases of one dtype.

    Attributes
    ----------
    smallest, tiny, largest : float
        The smallest subnormal, the smallest normal and the largest number.
    small : float
        A gradient whose square is 0.
    below_one : float or None
        A number below 1 that is 1 in this dtype, if it has one that is a Python float.
    cases : list of Case
        What has been added.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype, self.kind = dtype, dtype_named(dtype)
        self.cases: list[Case] = []
        self.smallest, self.tiny, self.largest = limits(self.kind)
        self.small = self.smallest**0.5 / 8
        self.below_one = {"float16": 0.9999, "bfloat16": 0.999, "float32": 1 - 1e-8}.get(dtype)

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
        """One case; scripts that are shorter than the longest end with zeros."""
        scripts = list(scripts)
        steps = max(len(g) for _, g, _ in scripts)
        needs = (*needs, *needed(setting))
        with np.errstate(all="ignore"):
            g = np.array([[*g, *[0.0] * (steps - len(g))] for _, g, _ in scripts]).T.astype(self.kind)
            x0 = np.array([x for _, _, x in scripts]).astype(self.kind)
        if loss is None:
            loss = [LOSSES[t % len(LOSSES)] for t in range(steps)]
        self.cases.append(
            Case(
                name,
                reason,
                self.dtype,
                np.ascontiguousarray(g),
                x0,
                loss=tuple(float(v) for v in loss),
                scripts=tuple(name for name, _, _ in scripts),
                needs=frozenset((*needs, "scripts")),
                **setting,
            )
        )

    def close(
        self, name: str, reason: str, objective: Any, x0: Sequence[float], steps: int, **setting: Any
    ) -> None:
        """A case whose gradients depend on where the implementation goes."""
        g = np.zeros((steps, len(x0)), self.kind)
        loss = tuple(LOSSES[t % len(LOSSES)] for t in range(steps))
        case = Case(name, reason, self.dtype, g, np.array(x0).astype(self.kind), loss=loss, objective=objective)
        needs = [*needed(setting), *([] if len(x0) == 2 and isinstance(objective, Quadratic) else ["objectives"])]
        names = tuple(f"x[{i}]" for i in range(len(x0)))
        self.cases.append(replace(case, scripts=names, needs=frozenset(needs), **setting))
