"""What an implementation did on cases, each of which is run once; and which of them a rule does not reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._cases.case import Case
from .._comparison.divergence import Divergence, first_divergence
from .._comparison.observe import Factory, observe, observe_all
from .._comparison.trajectory import Trajectory
from .._table.rule import Rule

#: Cases of at most so many steps tell most rules apart, and are soon run.
SHORT = 16

#: So many of them are tried before the others.
FEW = 50

#: Hidden from `observe`: a rule is compared by x and by the caller's gradient only.
_STATE = frozenset(("prev", "step_size"))


class Observations:
    """What an implementation did on every case that it was asked about.

    Parameters
    ----------
    factory : callable
    """

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._observed: dict[int, tuple[Case, Trajectory]] = {}
        self._compared: dict[Any, dict[int, Divergence | None]] = {}  # by what the rule does, and by case

    def add(self, trajectory: Trajectory) -> None:
        """Take a run that was made already."""
        self._observed[id(trajectory.case)] = trajectory.case, trajectory

    def of(self, case: Case) -> Trajectory:
        """What the implementation does on a case."""
        if id(case) not in self._observed:
            self._observed[id(case)] = case, observe(self._factory, case, _STATE)
        return self._observed[id(case)][1]

    @property
    def cases(self) -> list[Case]:
        """All cases that were observed."""
        return [case for case, _ in self._observed.values()]

    def failing(self, rule: Rule, cases: Sequence[Case]) -> list[Divergence]:
        """Where a rule is not what was observed."""
        usable = [case for case in cases if case.bounds is None]
        table = rule.table
        compared = self._compared.setdefault((repr(table.entries), table.symmetric, table.uses_loss), {})
        new = [case for case in usable if id(case) not in compared]
        unseen = [case for case in new if id(case) not in self._observed]
        for made in observe_all(self._factory, unseen, _STATE):
            self.add(made)
        for case, made in zip(new, rule.on_cases(new), strict=True):
            seen = self.of(case)
            compared[id(case)] = None if seen.refused else first_divergence(made, seen)
        return [divergence for case in usable if (divergence := compared[id(case)]) is not None]

    def reproduced(self, rule: Rule, cases: Sequence[Case], telling: list[Case]) -> bool:
        """Whether a rule reproduces some cases. Those that told others apart are tried first, and collected."""
        if self.failing(rule, telling):
            return False
        short = [case for case in cases if case.steps <= SHORT]
        first, others = short[:FEW], short[FEW:]  # most rules that fail do so soon
        for some in (first, others, [case for case in cases if case.steps > SHORT]):
            failing = self.failing(rule, some)
            if failing:
                telling.append(failing[0].case)
                return False
        return True
