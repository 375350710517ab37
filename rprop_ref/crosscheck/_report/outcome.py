"""The outcome of a check: what a report says, without how it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .._cases.tiers import ORDINARY
from .._comparison.behaviour import Behaviour
from .._comparison.comparison import DIFFERENT, IDENTICAL, ROUNDING
from .._comparison.divergence import Divergence
from .._diagnosis.result import Diagnosis
from .._experiments.decompile import Decompiled
from .._stages.compositions import PAPER
from .._table.rule import Rule
from .python_script import python_script
from .tiers import TierCount

#: Features that somebody may not care about, which is said if all differences are there.
_CORNERS = (
    "lr outside step_sizes", "nan", "inf", "none", "same array", "set", "save", "lr per coordinate", "bounds",
    "maximize",
)  # fmt: skip

#: The first line of a report tells at most this many differences.
POINTS_IN_HEADLINE = 4


def plural(count: float, noun: str) -> str:
    """A count with its noun, in the plural unless it is 1."""
    return f"{count:.3g} {noun}{'' if count == 1 else 's'}"


@dataclass
class Outcome:
    """What `check` found; `Report` documents the attributes."""

    claim: str
    verdict: str
    ulps: float
    divergences: list[Divergence] = field(default_factory=list)
    smallest: Divergence | None = None
    diagnosis: Diagnosis | None = None
    cases: int = 0
    random: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    failed_need: str | None = None
    unsteady: list[str] = field(default_factory=list)
    signs: bool = False
    zeros: bool = False
    compared: tuple[str, ...] = ("x",)
    behaviour: list[Behaviour] = field(default_factory=list)
    factory: str = "from my_module import factory"
    dtypes: tuple[str, ...] = ()
    tiers: dict[str, TierCount] = field(default_factory=dict)
    learned: Decompiled | None = None
    learn: Callable[[], Decompiled | None] | None = field(default=None, repr=False, compare=False)

    @property
    def rule(self) -> Rule | None:
        """The rule that it follows, as a table and as code; None if it is no per-coordinate sign rule.

        It is learned when it is first asked for, so a program must not have been closed.
        """
        if self.learned is None and self.learn is not None:
            self.learned = self.learn()
            self.learn = None
        return None if self.learned is None else self.learned.rule

    @property
    def agrees(self) -> bool:
        """Whether it is the claimed rule to the last bit."""
        return self.verdict == IDENTICAL

    @property
    def first_divergence(self) -> Divergence | None:
        """The first difference on the first case that has one."""
        return self.divergences[0] if self.divergences else None

    def agrees_within(self, ulps: float) -> bool:
        """Whether it is the claimed rule, if rounding may differ by this many units in the last place."""
        return self.verdict in (IDENTICAL, ROUNDING) and self.ulps <= ulps

    def script(self, factory: str | None = None) -> str:
        """A Python script of about ten lines that shows the smallest failure; empty if there is none."""
        divergence = self.smallest or self.first_divergence
        return "" if divergence is None else python_script(divergence, factory or self.factory)

    @property
    def differs_only_in(self) -> str | None:
        """A feature that all cases with differences need: without it, the implementation is the claimed rule."""
        if not self.divergences or self.verdict != DIFFERENT or self.unsteady:
            return None
        common = frozenset.intersection(*(divergence.case.needs for divergence in self.divergences))
        return next((feature for feature in _CORNERS if feature in common), None)

    def _what_differs(self) -> str:
        """What it does that the claimed rule does not, in a few words; empty if that is not known."""
        if self.diagnosis is not None and self.diagnosis.explanations:
            first, *others = self.diagnosis.explanations
            return "; ".join(first.names) + (f" (or {plural(len(others), 'other explanation')})" if others else "")
        if self.learned is None or self.learned.rule is None:
            return ""
        points = self.learned.rule.summary("" if self.claim == PAPER else self.claim)
        if not points:
            return f"it is {self.learned.rule.nearest}"
        told = "; ".join(points[:POINTS_IN_HEADLINE])
        more = len(points) - POINTS_IN_HEADLINE
        return f"{told}; and {plural(more, 'more point')}" if more > 0 else told

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        claim = "the paper's algorithm box" if self.claim == PAPER else self.claim
        if self.verdict == IDENTICAL:
            return f"This is {claim}, to the last bit."
        if self.verdict == ROUNDING:
            return f"This is {claim}; rounding differs by at most {plural(self.ulps, 'ulp')}."
        if self.verdict == DIFFERENT:
            inner = self.tiers.get(ORDINARY)
            if inner is None or inner.differing or self.unsteady:
                what = self._what_differs()
                return f"This is not {claim}: {what}." if what else f"This is not {claim}."
            where = ", ".join(tier for tier, count in self.tiers.items() if count.differing)
            return f"In ordinary use this is {claim}, to the last bit; not in: {where}."
        return "This could not be run."
