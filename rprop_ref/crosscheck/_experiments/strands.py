"""Strands: one coordinate of a run each, with what it was given and what was observed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .._cases.dtypes import COMPLEX
from .._comparison.divergence import Divergence
from .._comparison.trajectory import Trajectory
from .._table.machine import Call, Constants, Settings


@dataclass(frozen=True)
class Nature:
    """What was found about an implementation before its table is learned.

    Attributes
    ----------
    symmetric : bool
        Whether mirrored gradients mirror the run.
    uses_loss : bool
        Whether x depends on the losses.
    single : bool
        Whether float64 is computed in float32.
    """

    symmetric: bool = True
    uses_loss: bool = False
    single: bool = False

    def kind(self, case: Case) -> Any:
        """What makes a number of the dtype in which a case is computed."""
        if case.real == np.float64:
            return np.float32 if self.single else float
        return case.real.type


@dataclass
class Strand:
    """One coordinate of a run: what it was given, and what was observed."""

    settings: Settings
    x0: Any
    calls: list[Call]
    x: list[Any]
    gradient: list[Any]

    def ahead(self, t: int) -> Any:
        """x after the next step, if nothing is unusual about that; otherwise None."""
        if t + 1 >= len(self.calls):
            return None
        call = self.calls[t + 1]
        plain = call.gradient is not None and call.gradient == call.gradient and not (call.set or call.resumed)
        return self.x[t + 1] if plain else None


def strands(trajectory: Trajectory, nature: Nature) -> list[Strand]:
    """The coordinates of a run, as far as it was observed. A run with bounds has none."""
    case = trajectory.case
    if case.bounds is not None or case.dtype in COMPLEX:
        return []
    kind = nature.kind(case)
    with np.errstate(all="ignore"):
        return [_strand(trajectory, case, i, kind, nature) for i in range(case.size)]


def strand_of(divergence: Divergence, trajectory: Trajectory, nature: Nature) -> list[Strand]:
    """The coordinate of a difference, up to the step that differs; none if it cannot be learned from."""
    case = trajectory.case
    if case.bounds is not None or case.dtype in COMPLEX or case.dtype == "bfloat16":
        return []
    kind = nature.kind(case)
    with np.errstate(all="ignore"):
        strand = _strand(trajectory, case, divergence.coordinate, kind, nature)
    return [replace(strand, calls=strand.calls[: divergence.step])]


def _strand(trajectory: Trajectory, case: Case, i: int, kind: Any, nature: Nature) -> Strand:
    current = {"lr": case.lr, "etas": case.etas, "step_sizes": case.step_sizes}
    first = _constants(current, i, kind)
    calls, given = [], _given(trajectory)
    for t in range(trajectory.steps):
        edit = case.edits.get(t, {})
        current |= edit
        g = None if t in case.none else kind(given[t, i])
        calls.append(
            Call(g, case.loss[t], tuple(edit), t in case.resumed, _constants(current, i, kind) if edit else None)
        )
    settings = Settings(first, kind, case.maximize, case.reused, nature.symmetric, nature.uses_loss)
    # What is shown of x is not rounded here; the gradient is only given.
    shown = float if kind is float else case.real.type
    xs, after = [shown(v) for v in trajectory.x[:, i]], [kind(v) for v in trajectory.gradient[:, i]]
    return Strand(settings, kind(case.x0[i]), calls, xs, after)


def _given(trajectory: Trajectory) -> Array:
    """The gradients of a run; those of an objective depend on where the run went."""
    case = trajectory.case
    if case.objective is None:
        return case.g
    return np.array([case.objective.gradient(x[None, :])[0] for x in (case.x0, *trajectory.x[:-1])])


def _constants(current: dict[str, Any], i: int, kind: Any) -> Constants:
    lr = current["lr"][i] if isinstance(current["lr"], np.ndarray) else current["lr"]
    return Constants(*(kind(v) for v in (lr, *current["etas"], *current["step_sizes"])))


def identity(strand: Strand) -> Any:
    """What makes two strands the same experiment."""
    return strand.settings, strand.x0, tuple(call_identity(call) for call in strand.calls)


def call_identity(call: Call) -> tuple[Any, ...]:
    """What makes two calls the same."""
    loss = call.loss if call.loss == call.loss else None
    return str(call.gradient), loss, call.set, call.resumed, call.constants
