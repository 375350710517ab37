"""The trajectory of one case: parameters, state and the caller's gradient array after each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._cases.case import Array, Case

#: What is compared, in this order. "gradient" is the caller's array after the step; no rule changes it.
QUANTITIES = ("x", "step_size", "prev", "gradient")

#: Cases with more steps are run apart from the others, which would be padded to the same length otherwise.
LONG = 40


@dataclass
class Trajectory:
    """What an implementation or a rule does on one case.

    Attributes
    ----------
    case : Case
    x, gradient : ndarray, shape (steps, coordinates)
    step_size, prev : ndarray or None
        Of the same shape; None if the implementation does not show them, or they are not to be compared.
    error : str or None
        The error that the case ended with.
    prev_negated : bool
        Whether `negate_prev` has been called.
    """

    case: Case
    x: Array
    step_size: Array | None
    prev: Array | None
    gradient: Array
    error: str | None = None
    prev_negated: bool = field(default=False, init=False)

    def negate_prev(self) -> None:
        """Negate `prev` of a case that maximizes, if the implementation stores it before it negates gradients."""
        if self.case.maximize and self.prev is not None:
            self.prev, self.prev_negated = -self.prev, True

    @property
    def refused(self) -> bool:
        """Whether the case ended with an error in or before its first step."""
        return self.error is not None and not self.steps

    @property
    def steps(self) -> int:
        """The number of steps made; fewer than the case has if there was an error."""
        return len(self.x)

    def shown(self) -> dict[str, Array]:
        """The quantities that are shown."""
        return {q: a for q in QUANTITIES if (a := getattr(self, q)) is not None}


def split_by_case(cases: Sequence[Case], starts: Array, joint: dict[str, list[Array]]) -> list[Trajectory]:
    """The trajectory of each case.

    Parameters
    ----------
    cases : sequence of Case
    starts : ndarray of int
        The first coordinate of each case.
    joint : dict of str to list of ndarray
        For each quantity and step, the values at the coordinates of all cases.
    """
    dtype = cases[0].real
    arrays = {quantity: np.array(values, dtype) for quantity, values in joint.items()}
    trajectories = []
    for case, start in zip(cases, starts, strict=True):
        own: dict[str, Any] = {q: a[: case.steps, start : start + case.size] for q, a in arrays.items()}
        trajectories.append(Trajectory(case, **own))
    return trajectories
