"""The outcome of a check: what a report says, without how it looks."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .._cases.tiers import HYPERPARAMETERS, ORDINARY, tier_of
from .._comparison.behaviour import Behaviour
from .._comparison.comparison import DIFFERENT, IDENTICAL, ROUNDING
from .._comparison.divergence import Divergence
from .._diagnosis.result import Diagnosis, Explanation, Learned
from .._experiments.result import Decompiled, TierVerdict
from .._stages.compositions import COMPOSITIONS, PAPER, remedy
from .._stages.stages import Alternative
from .._table.rule import Rule
from .points import Point
from .python_script import python_script
from .tiers import TierCount

#: Features that somebody may not care about, and where they matter: it is said if all differences are there.
CORNERS = {
    "lr outside step_sizes": "where lr is outside step_sizes",
    "nan": "where gradients are NaN",
    "inf": "where gradients are infinite",
    "none": "where a gradient is None",
    "same array": "where the caller reuses its gradient array",
    "set": "where hyperparameters are set during a run",
    "save": "where a run is saved and continued",
    "lr per coordinate": "with an lr for each coordinate",
    "bounds": "with bounds",
    "maximize": "when maximizing",
}

#: Differences may be in two corners, or three, not in more.
CORNERS_NAMED = 3

#: The first line of a report tells at most this many differences.
POINTS_IN_HEADLINE = 4

#: It names at most so many explanations of one point, if no case tells them apart.
ALTERNATIVES_IN_HEADLINE = 3


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
    points: list[Point] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
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
    def differs_only_in(self) -> tuple[str, ...]:
        """Features of which all cases with differences need one: without them, it is the claimed rule."""
        if not self.divergences or self.verdict != DIFFERENT or self.unsteady:
            return ()
        needs = [divergence.case.needs for divergence in self.divergences]
        for count in range(1, CORNERS_NAMED + 1):
            for some in itertools.combinations(CORNERS, count):
                if all(needed.intersection(some) for needed in needs):
                    return some
        return ()

    @property
    def to_agree(self) -> str:
        """What to change to get the claimed rule; empty if that is not known."""
        return " ".join(dict.fromkeys(point.remedy for point in self.points if point.remedy))

    def remedy(self, deviation: Alternative | Learned) -> str:
        """What to change instead of a deviation of an explanation; empty if the others suffice."""
        own = [point.remedy for point in self.points if point.text == deviation.name]
        if own or isinstance(deviation, Learned):
            return own[0] if own else ""
        return remedy(COMPOSITIONS[self.claim], deviation)

    def _points_told(self) -> list[Point]:
        """The points for the first line: those that have to be mended, of inner tiers if there are any."""
        points = [point for point in self.points if point.remedy]
        explanations = [] if self.diagnosis is None else self.diagnosis.explanations
        if len(explanations) > 1:  # what only some of them have may be wrong
            points = [point for point in points if point.text in _common(explanations)]
        return [point for point in points if point.tier in (ORDINARY, HYPERPARAMETERS)] or points

    def _what_differs(self) -> str:
        """What it does that the claimed rule does not, in a few words; empty if that is not known."""
        points = self._points_told()
        some = points[:POINTS_IN_HEADLINE]
        told = "; ".join(point.text for point in some if point.tier == ORDINARY)
        outer = "; ".join(point.text for point in some if point.tier != ORDINARY)
        if outer:
            told += f"; outside ordinary use: {outer}" if told else outer
        more = len(points) - POINTS_IN_HEADLINE
        if more > 0:
            told += f"; and {plural(more, 'more point')}"
        if self.diagnosis is not None and len(self.diagnosis.explanations) > 1:
            return f"{told} {self._alternatives(points)}".lstrip()
        outside = [point for point in self.points if point.remedy and point not in points]
        if outside and outer:  # that these are outside ordinary use is said
            told += f" (and {plural(len(outside), 'more point')})"
        elif outside:
            told += f" (and {plural(len(outside), 'point')} that ordinary use does not show)"
        if told or self.learned is None or self.learned.rule is not None:
            return told
        if self.learned.not_found:
            return "no per-coordinate sign rule was found that does what it does"
        return f"it is no per-coordinate sign rule, and depends on {'; '.join(self.learned.outside)}"

    def _alternatives(self, common: Sequence[Point]) -> str:
        """What explanations differ in, beside what they have in common, which is told."""
        assert self.diagnosis is not None
        explanations = self.diagnosis.explanations
        names = [explanation.names for explanation in explanations]
        if not common and len(names) <= ALTERNATIVES_IN_HEADLINE and all(len(some) == 1 for some in names):
            return f"{' or '.join(name for some in names for name in some)} (no case tells which)"
        if not common:
            return f"there are {len(names)} explanations, which no case tells apart"
        more = max(map(len, names)) - len(_common(explanations))
        return f"(and {plural(more, 'more point')}, for which no case tells {len(names)} explanations apart)"

    def _not_explained(self) -> str:
        """What of the differences no point explains, in a sentence; empty if all of them are explained."""
        if self.diagnosis is None or self.learned is None or self.learned.rule is None:
            return ""
        if not (self.diagnosis.found_nothing or any(e.learned for e in self.diagnosis.explanations)):
            return ""
        tiers = [tier.tier for tier in self.unexplained_tiers]
        if tiers:
            return f" Not explained: {', '.join(tiers)}."
        return "" if self.points else " What differs there is not explained."

    @property
    def unexplained_tiers(self) -> list[TierVerdict]:
        """The tiers that differ from the claim, and that the rule that was learned does not reproduce."""
        if self.learned is None or self.learned.rule is None:
            return []
        return [
            tier for tier in self.learned.tiers
            if not tier.explained and (tier.tier not in self.tiers or self.tiers[tier.tier].differing)
        ]  # fmt: skip

    def _only_state_in_ordinary_use(self) -> list[str]:
        """What of the state differs in ordinary use, if x does not, as far as the points explain it."""
        points = self._points_told()
        if self.diagnosis is None or self.diagnosis.complete or self.unsteady or not points:
            return []
        inner = [d.quantity for d in self.divergences if tier_of(d.case) == ORDINARY]
        shows_x = any(point.tier == ORDINARY for point in self.points) or self.diagnosis.found_nothing
        return [] if shows_x or not {*inner} <= {"step_size", "prev"} else sorted({*inner})

    @property
    def headline(self) -> str:
        """The verdict in a sentence: what it is, where it is not, and what it does there."""
        claim = "the paper's algorithm box" if self.claim == PAPER else self.claim
        if self.verdict == IDENTICAL:
            return f"This is {claim}, to the last bit."
        if self.verdict == ROUNDING:
            return f"This is {claim}; rounding differs by at most {plural(self.ulps, 'ulp')}."
        if self.verdict != DIFFERENT:
            return f"This could not be run{f': {self.only_error}' if self.only_error else '.'}"
        what = self._what_differs()
        does = f": {what}." if what else "."
        points = self._points_told()
        if len(points) == 1 and points[0].known_in:
            does += f" Known in: {', '.join(points[0].known_in)}."
        does += self._not_explained()
        if self.diagnosis is not None and self.diagnosis.state_only:
            return f"In x this is {claim}, to the last bit; not in {' and '.join(self.diagnosis.state_only)}."
        corners, inner = self.differs_only_in, self.tiers.get(ORDINARY)
        if corners:
            return f"This is {claim}, except {' or '.join(CORNERS[word] for word in corners)}{does}"
        state = self._only_state_in_ordinary_use()
        if state:
            return (
                f"In ordinary use this is {claim} in x, to the last bit, but not in {' and '.join(state)}; "
                f"outside ordinary use{does}"
            )
        if inner is None or inner.differing or self.unsteady:
            return f"This is not {claim}{does}"
        where = ", ".join(tier for tier, count in self.tiers.items() if count.differing)
        return f"In ordinary use this is {claim}, to the last bit; not in {where}{does}"

    @property
    def only_error(self) -> str:
        """The error that all cases with an error end with; empty if they end with different ones."""
        return next(iter(self.errors)) if len(self.errors) == 1 else ""


def _common(explanations: Sequence[Explanation]) -> set[str]:
    """The names that all explanations have."""
    return set.intersection(*(set(explanation.names) for explanation in explanations))
