"""Which known deviations a case catches: those with which a rule does something else on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._cases.case import Array, Case
from .._stages.batch import Batch
from .._stages.machine import Machine
from .._stages.stages import ARITHMETIC, Alternative, Composition, changed
from .divergence import same_values
from .trajectory import LONG, QUANTITIES, Trajectory


class Caught(NamedTuple):
    """The names of the deviations that a case catches.

    Attributes
    ----------
    in_x : list of str
        Those that change x.
    in_state : list of str
        Those that change only step sizes, the stored gradient, or the caller's gradient array.
    """

    in_x: list[str]
    in_state: list[str]


def deviations_caught(
    rule: Composition, deviations: Sequence[Alternative], expected: Sequence[Trajectory]
) -> list[Caught]:
    """What each case catches of single deviations from a rule, given what the rule does on the cases."""
    caught = [Caught([], []) for _ in expected]
    groups: dict[tuple[Any, bool], list[int]] = {}
    for i, trajectory in enumerate(expected):
        groups.setdefault((trajectory.case.real, trajectory.case.steps > LONG), []).append(i)
    for group in groups.values():
        some = [expected[i] for i in group]
        batch = Batch([t.case for t in some])
        target = {quantity: _side_by_side(batch, some, quantity) for quantity in QUANTITIES}
        for name, differs in _differences(rule, deviations, batch, target).items():
            for i, start in zip(group, batch.starts, strict=True):
                own = slice(int(start), int(start) + expected[i].case.size)
                if differs["x"][own].any():
                    caught[i].in_x.append(name)
                elif any(where[own].any() for where in differs.values()):
                    caught[i].in_state.append(name)
    return caught


def _side_by_side(batch: Batch, trajectories: Sequence[Trajectory], quantity: str) -> Array:
    """A quantity of all cases, shape (steps, coordinates)."""
    values = np.zeros((batch.steps, batch.size), batch.dtype)
    for start, trajectory in zip(batch.starts, trajectories, strict=True):
        case: Case = trajectory.case
        values[: case.steps, start : start + case.size] = getattr(trajectory, quantity)
    return values


def _differences(
    rule: Composition, deviations: Sequence[Alternative], batch: Batch, target: dict[str, Array]
) -> dict[str, dict[str, Array]]:
    """For each deviation and quantity, the coordinates in which it differs at some step."""
    # All rules on one machine share their arithmetic.
    groups: dict[Alternative, list[Alternative]] = {}
    for deviation in deviations:
        groups.setdefault(deviation if deviation.slot == ARITHMETIC else rule[ARITHMETIC], []).append(deviation)
    differences = {}
    for arithmetic, some in groups.items():
        machine = Machine(changed(rule, (arithmetic,)), [(deviation,) for deviation in some], batch)
        differs = {quantity: np.zeros((len(some), batch.size), bool) for quantity in target}
        for t in range(batch.steps):
            machine.step()
            for quantity, values in target.items():
                wrong = ~same_values(quantity, getattr(machine, quantity), values[t])
                differs[quantity] |= wrong & (t < batch.lengths)
        for row, deviation in enumerate(some):
            differences[deviation.name] = {quantity: where[row] for quantity, where in differs.items()}
    return {deviation.name: differences[deviation.name] for deviation in deviations}
