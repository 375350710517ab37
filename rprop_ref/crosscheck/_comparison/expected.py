"""What the claimed rule does on cases, and an implementation should do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import rules
from ..._core.dtypes import is_half
from .._cases.case import Array, Case
from .._stages.batch import Batch
from .._stages.compositions import COMPOSITIONS
from .._stages.machine import Machine
from .._stages.stages import Composition
from .trajectory import LONG, QUANTITIES, Trajectory, split_by_case


def expected_trajectories(claim: str, cases: Sequence[Case]) -> list[Trajectory]:
    """What the claimed rule does on cases of any dtype, as `rprop_ref.rules` computes it.

    "paper" is not one of these rules, so it is run as a composition.
    """

    def run(joint: Sequence[Case]) -> list[Trajectory]:
        return run_rule(claim, joint) if claim in rules.RULES else run_composition(COMPOSITIONS[claim], joint)

    return trajectories_by(run, cases)


def trajectories_by(
    run: Callable[[Sequence[Case]], Sequence[Trajectory]], cases: Sequence[Case]
) -> list[Trajectory]:
    """What `run` makes of cases of any dtype; it gets those of one dtype and of about the same length together."""
    trajectories: dict[int, Trajectory] = {}
    groups: dict[tuple[Any, bool], list[int]] = {}
    for i, case in enumerate(cases):
        groups.setdefault((case.real, case.steps > LONG), []).append(i)
    for group in groups.values():
        trajectories.update(zip(group, run([cases[i] for i in group]), strict=True))
    return [trajectories[i] for i in range(len(cases))]


def run_composition(composition: Composition, cases: Sequence[Case]) -> list[Trajectory]:
    """What a composition does on cases of one dtype."""
    batch = Batch(cases)
    machine = Machine(composition, [()], batch)
    joint: dict[str, list[Array]] = {q: [] for q in QUANTITIES}
    for _ in range(batch.steps):
        machine.step()
        for quantity in QUANTITIES:
            joint[quantity].append(getattr(machine, quantity)[0])
    return split_by_case(cases, batch.starts, joint)


def run_rule(variant: str, cases: Sequence[Case]) -> list[Trajectory]:
    """What a rule of `rprop_ref.rules` does on cases of one dtype."""
    batch = Batch(cases)
    dtype = batch.dtype
    rule = rules.build(variant, np.where)
    zero, one = dtype.type(0), dtype.type(1)
    joint: dict[str, list[Array]] = {q: [] for q in QUANTITIES}
    with np.errstate(all="ignore"):
        x, prev, size = batch.x0.copy(), np.zeros_like(batch.x0), _constant(batch.lr[0], dtype)
        previous_x, last_loss = x, np.full(batch.size, np.nan)
        for t in range(batch.steps):
            hyperparameters = (batch.eta_minus, batch.eta_plus, batch.low, batch.high)
            constants = (*(_constant(a[t], dtype) for a in hyperparameters), zero, one)
            given = _gradients(batch, t, x)
            g = np.where(batch.maximize, -given, given)
            loss, none = batch.loss[t], batch.none[t]
            worse = np.where(batch.maximize, loss < last_loss, loss > last_loss)
            new_x, *new_state = rule(x, g, prev, size, worse, constants)
            if batch.bounded.any():
                undone = (g * prev < zero) & rules.RULES[variant].undoes(worse)
                new_x = np.where(batch.bounded & undone, previous_x, _clipped(new_x, batch))
                previous_x = np.where(none, previous_x, x)
            after = (new_x, *new_state)
            x, prev, size = (np.where(none, a, b) for a, b in zip((x, prev, size), after, strict=True))
            last_loss = np.where(none, last_loss, loss)
            for quantity, values in zip(QUANTITIES, (x, size, prev, given), strict=True):
                joint[quantity].append(values)
    return split_by_case(cases, batch.starts, joint)


def _constant(value: Array, dtype: np.dtype[Any]) -> Array:
    # The optimizer, like torch, rounds constants to the 16-bit dtypes by way of float32.
    return value.astype(np.float32).astype(dtype) if is_half(dtype) else value.astype(dtype)


def _gradients(batch: Batch, t: int, x: Array) -> Array:
    given: Array = batch.g[t].copy()
    for columns, objective in batch.objectives:
        given[columns] = objective.gradient(x[None, columns])[0]
    return given


def _clipped(x: Array, batch: Batch) -> Array:
    x = np.where(x < batch.lower, batch.lower, x)
    return np.where(x > batch.upper, batch.upper, x)
