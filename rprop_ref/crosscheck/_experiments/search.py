"""The search: a table that reproduces every strand that is required, found by learning from contradictions.

The search holds one answer for each entry that it was asked for, at first the answer of a rule. Strands are run
with these answers. Where x differs from the observed x in a bit, the answers that led there cannot all be right.
Of these entries, the one that was asked for last gets its next answer; the search remembers why the old one was
ruled out. If all of its answers are ruled out, the reasons together are a new contradiction, without this entry.
This is dynamic backtracking (Ginsberg, 1993): what was learned about other entries is kept. All contradictions are
kept as well (`Learned`), also where the search begins anew, so that none is met twice.

A run says not only which answers it used, but also which others would have given the same (`_Run`). So one
contradiction rules out many tables, and strands that a new answer cannot change are not run again.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._table.five import NAMES, expected
from .._table.grammar import Answer, Grammar
from .._table.machine import Observed, State, advance, begin, group_of, same
from .strands import Strand, call_identity, identity

#: How often the search begins anew, and after how many steps of its strands, times a number of Luby's sequence: as
#: long as it has reproduced nothing together, and later, beside one run of all its strands.
ATTEMPTS, FIRST_STEPS, STEPS = 7, 600, 600

#: Searches of other first attempts use other orders: this many attempts lie between them.
_APART = 101

Numbers = dict[str, tuple[float, ...]]

#: Answers of some entries: those of every entry are alike, or cannot all be right.
Groups = dict[str, frozenset[Answer]]


#: Entries that are rarely unusual, and those that are the first to be doubted. The others are between them.
_SURE = ("constants", "direction", "compare", "flip test", "subnormals", "late")
_DOUBTED = (
    "start memory",
    "start",
    "largest",
    "smallest",
    "floor",
    "small moves",
    "small gradients",
    "small products",
)


#: How a run begins, and how often a search that begins anew takes another answer first.
_BEGINNINGS, _OFTEN = ("start", "start memory"), 0.6

#: Step sizes that begin as lr within the limits.
_LIKE_LR = ("lr limited", "lr at most hi", "lr at least lo")

#: How much more a contradiction counts than the one before it, among the reasons to decide on an entry early.
_RECENT = 1.002


def luby(n: int) -> int:
    """The n-th number of 1, 1, 2, 1, 1, 2, 4, 1, ...

    How long a search takes differs greatly from order to order: most are short, some very long. To begin anew
    after so many steps costs little more than if it were known which (Luby, Sinclair and Zuckerman, 1993).
    """
    while (n + 1) & n:
        n -= (1 << n.bit_length() - 1) - 1
    return (n + 1) // 2


class _Contradicted(Exception):  # noqa: N818 - it is no error
    """No answer to an entry gives what was observed."""


class _Emptied(_Contradicted):
    """What was learned before rules out all answers to an entry."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Learned:
    """Groups of answers that cannot all be right.

    Each is a bit of integers, so that all are looked through with a few operations for each entry.
    """

    def __init__(self) -> None:
        self.all: list[Groups] = []
        self._of: dict[str, dict[Answer, int]] = {}  # those that an entry is in, and whose group has an answer
        self._with: dict[str, int] = {}  # those that an entry is in

    def add(self, groups: Groups) -> None:
        """Remember that these cannot all be right."""
        bit = 1 << len(self.all)
        self.all.append(groups)
        for key, group in groups.items():
            self._with[key] = self._with.get(key, 0) | bit
            found = self._of.setdefault(key, {})
            for answer in group:
                found[answer] = found.get(answer, 0) | bit

    def cut(self, count: int) -> None:
        """Forget all but the first."""
        first, self.all, self._of, self._with = self.all[:count], [], {}, {}
        for groups in first:
            self.add(groups)

    def complete(self, values: dict[str, Answer]) -> Groups | None:
        """Groups that have all of these answers, if any; the latest of them."""
        return self._latest((1 << len(self.all)) - 1 & ~self._broken(values))

    def against(self, key: str, values: dict[str, Answer]) -> Callable[[Answer], Groups | None]:
        """A function that returns groups that an answer would complete, given some answers to other entries."""
        own = self._of.get(key)
        if own is None:
            return lambda answer: None
        left = self._with[key] & ~self._broken(values, key)
        return lambda answer: self._latest(left & own.get(answer, 0))

    def _broken(self, values: dict[str, Answer], but: str = "") -> int:
        """Those without one of these answers, or with another entry."""
        broken = 0
        for key, every in self._with.items():
            if key != but:
                value = values.get(key)
                broken |= every if value is None else every ^ self._of[key].get(value, 0)
        return broken

    def _latest(self, bits: int) -> Groups | None:
        return self.all[bits.bit_length() - 1] if bits else None


class _Run:
    """What the machine asks while one strand is run.

    Attributes
    ----------
    same : Groups
        For each entry that made a difference, the answers that would have given the same run.
    reasons : Groups
        The same without moves that show in x: where x is as observed, the next steps do not depend on these.
    """

    def __init__(self, search: Search) -> None:
        self.grammar, self.search = search.grammar, search
        self.same: Groups = {}
        self.reasons: Groups = {}
        self.shown: Groups = {}

    def leave_at(self, place: _Place, state: State) -> None:
        """Remember the state, and what led to it."""
        place.state, place.same, place.reasons = state, dict(self.same), dict(self.reasons)

    def resume_at(self, place: _Place) -> State:
        """Go on from a place that was reached before."""
        assert place.state is not None
        self.same, self.reasons = dict(place.same), dict(place.reasons)
        return place.state

    def choose(
        self, key: str, evaluate: Callable[[Any], Any], possible: Callable[[Any], bool] | None = None
    ) -> Any:
        """What the answer of an entry gives; only what is `possible` was observed."""
        answers = self.grammar.answers(key)
        if len(answers) == 1:
            outcome = evaluate(answers[0])
            if possible is not None and not possible(outcome):
                raise _Contradicted
            return outcome
        outcomes = [evaluate(answer) for answer in answers]
        if outcomes.count(outcomes[0]) == len(outcomes):
            if possible is not None and not possible(outcomes[0]):
                raise _Contradicted
            return outcomes[0]
        at = answers.index(self.search.answer(key))
        outcome = outcomes[at]
        alike = _alike(answers, outcomes, outcome)
        if possible is not None:
            fits = [possible(other) for other in outcomes]
            if not fits[at]:
                wrong = frozenset([a for a, fit in zip(answers, fits, strict=True) if not fit])
                if len(wrong) < len(answers):
                    _add(self.reasons, key, wrong)
                raise _Contradicted
            _add(self.same, key, alike)
            told = all([a in alike for a, fit in zip(answers, fits, strict=True) if fit])  # noqa: C419
            _add(self.shown if told else self.reasons, key, alike)
        elif len(alike) < len(answers):
            _add(self.same, key, alike)
            _add(self.reasons, key, alike)
        return outcome


def _alike(answers: Sequence[Answer], outcomes: Sequence[Any], outcome: Any) -> frozenset[Answer]:
    """The answers of the same outcome; NaN is like NaN."""
    if not _has_nan(outcome):
        return frozenset([a for a, other in zip(answers, outcomes, strict=True) if other == outcome])
    kind = group_of(outcome)
    return frozenset([a for a, other in zip(answers, outcomes, strict=True) if group_of(other) == kind])


def _has_nan(outcome: Any) -> bool:
    return any(map(_has_nan, outcome)) if isinstance(outcome, tuple) else bool(outcome != outcome)


def _add(groups: Groups, key: str, group: frozenset[Answer]) -> None:
    before = groups.get(key)
    groups[key] = group if before is None else before & group


@dataclass
class _Required:
    """A strand that has to be reproduced, the places of its steps, and the answers with which it is reproduced."""

    strand: Strand
    places: list[_Place]
    same: Groups | None = None

    def holds(self, values: dict[str, Answer]) -> bool:
        """Whether it is known to be reproduced with these answers."""
        return self.same is not None and _hold(self.same, values)


class _Place:
    """Where strands are after some steps that they share, and the answers that led there when it was last reached.

    Attributes
    ----------
    state : State or None
        None if it was never reached.
    same, reasons : Groups
        Those of the run that reached it.
    """

    def __init__(self) -> None:
        self.state: State | None = None
        self.same: Groups = {}
        self.reasons: Groups = {}
        self.next: dict[Any, _Place] = {}

    def leads_there(self, values: dict[str, Answer]) -> bool:
        """Whether it is known that these answers lead there."""
        return self.state is not None and _hold(self.same, values)

    def after(self, *step: Any) -> _Place:
        """The place after a step, described by what it was given and what was observed."""
        return self.next.setdefault(step, _Place())


def _hold(groups: Groups, values: dict[str, Answer]) -> bool:
    """Whether these answers are all in their groups."""
    return all(values.get(key) in group for key, group in groups.items())


class Search:
    """A table in the making.

    Parameters
    ----------
    grammar : Grammar
    attempt : int
        The order in which entries are decided on, and the rule whose answers come first: another one for each.

    Attributes
    ----------
    values : dict of str to answer
        The answer of each entry that made a difference, in the order in which they were asked for.
    stuck : (Strand, int) or None
        The strand, and the step, of the furthest contradiction.
    steps, conflicts : int
        How many steps it made, and how many contradictions it met.
    exhausted : bool
        Whether it has given up, instead of showing that there are no such answers.
    refuted : bool
        Whether it has shown that no answers reproduce what was required at last.
    progress : int
        How many strands it has reproduced together.
    """

    def __init__(self, grammar: Grammar, attempt: int = 0) -> None:
        self.grammar, self.exhausted, self.refuted = grammar, False, False
        self._attempt, self._first_attempt, self._wanted = attempt, attempt, dict[str, Answer]()
        self._tries, self._settled, self.progress = 0, False, 0
        self._furthest: dict[str, Answer] = {}  # the answers with which it made the most progress
        self._weights, self._weight = dict[str, float](), 1.0
        self.values: dict[str, Answer] = {}
        self.stuck: tuple[Strand, int] | None = None
        self.steps = self.conflicts = 0
        self._order: dict[str, tuple[float, int]] = {}
        self._excluded: dict[str, dict[Answer, Groups]] = {}
        self._learned = Learned()
        self._required: list[_Required] = []
        self._readers: dict[str, set[int]] = {}
        self._waiting: list[int] = []
        self._known: set[Any] = set()
        self._root = _Place()
        self._looks_ahead = "yes" in grammar.answers("late")

    def answer(self, key: str) -> Answer:
        """The answer of an entry at present."""
        value = self.values.get(key)
        if value is None:
            self._order.setdefault(key, (self._rank(key), len(self._order)))
            value = self._next(key)
            if value is None:
                raise _Emptied(key)
            self.values[key] = value
        return value

    def _rank(self, key: str) -> float:
        """How late an entry is decided on: of those that led to a contradiction, the last is changed.

        At first that are entries which are often unusual; when the search begins anew, those that have rarely led
        to contradictions, with some chance in it.
        """
        if self._attempt == 0:
            return 0 if key in _SURE else 1 + _DOUBTED.index(key) if key in _DOUBTED else 1
        chance = random.Random(f"{self._attempt} {key}").uniform(0.3, 1)
        return -chance * self._weights.get(key, 0.0)

    @property
    def strands(self) -> list[Strand]:
        """The strands that are required."""
        return [required.strand for required in self._required]

    def entries(self) -> dict[str, tuple[Answer, ...]]:
        """For each entry that made a difference, the answers that nothing tells apart, its own among them."""
        groups: Groups = {}
        for required in self._required:
            for key, group in (required.same or {}).items():
                _add(groups, key, group)
        return {
            key: tuple(a for a in self.grammar.answers(key) if a in groups[key])
            for key in self.values
            if key in groups
        }

    def require(self, some: Iterable[Strand], attempts: int = ATTEMPTS) -> bool:
        """Find answers that reproduce these strands, too. If none are found, change nothing, and return False.

        Which answers are found soon depends on the order in which entries are doubted. So the search begins anew,
        with another order, as often as is allowed. The first time, it may be asked again to look for longer: what
        was learned is kept.
        """
        before = self._saved()
        for strand in some:
            key = identity(strand)
            if key not in self._known and strand.calls:
                self._known.add(key)
                self._required.append(_Required(strand, self._places(strand)))
        self._waiting = list(range(len(self._required)))
        first, self._tries = not self._settled, self._tries if not self._settled else 0
        for _ in range(attempts):
            if self._tries:
                # By turns from the answers of a rule, and from the best up to now.
                odd, even = (self._furthest, {}) if first else ({}, before[0])
                wanted = odd if self._tries % 2 else even
                self._begin_anew(self._tries + _APART * self._first_attempt, wanted)
            self.exhausted, self._tries = False, self._tries + 1
            with np.errstate(all="ignore"):
                # Later there may be so many strands that this would not do to run each of them once.
                enough = FIRST_STEPS if first else STEPS + sum(len(r.strand.calls) for r in self._required)
                if self._solved(self.steps + enough * luby(self._tries)):
                    self._settled = True
                    return True
            if not self.exhausted:
                self.refuted = True
                break
        if not (first and self.exhausted):
            self._restore(before)
        return False

    def _begin_anew(self, attempt: int, wanted: dict[str, Answer]) -> None:
        self._attempt, self._wanted = attempt, wanted
        self.values, self._order, self._excluded, self._readers = {}, {}, {}, {}
        self._required.sort(key=lambda required: len(required.strand.calls))
        for required in self._required:
            required.same = None
        self._waiting = list(range(len(self._required)))

    def state(self) -> Any:
        """All that it has learned, for `return_to`."""
        return self._saved()

    def return_to(self, state: Any) -> None:
        """Forget what it has learned since then."""
        self._restore(state)

    def _saved(self) -> Any:
        excluded = {key: dict(reasons) for key, reasons in self._excluded.items()}
        required = [_Required(r.strand, r.places, r.same) for r in self._required]
        settings = self._attempt, self._wanted
        learned = len(self._learned.all)
        return dict(self.values), dict(self._order), excluded, required, set(self._known), settings, learned

    def _restore(self, saved: Any) -> None:
        self.values, self._order, self._excluded, self._required, self._known, settings, learned = saved
        self._learned.cut(learned)
        self._attempt, self._wanted = settings
        self._waiting = []
        self._readers = {}
        for i, required in enumerate(self._required):
            for key in required.same or ():
                self._readers.setdefault(key, set()).add(i)

    # --- contradictions -----------------------------------------------------------------------------------------

    def _solved(self, limit: int) -> bool:
        """Change answers until all strands are reproduced; False if that cannot be, or takes too long."""
        i = -1
        while self._waiting:
            # What was just contradicted is run again first: it will often be contradicted by the next answer, too.
            if i < 0:
                i = self._waiting[0]
                if i > self.progress:
                    self.progress, self._furthest = i, dict(self.values)
            required = self._required[i]
            if required.holds(self.values):
                if i == self._waiting[0]:
                    heapq.heappop(self._waiting)
                i = -1
                continue
            reasons = self._learned.complete(self.values)
            if reasons is None:
                run = _Run(self)
                step = self._first_difference(run, required)
                if step is None:
                    required.same = run.same
                    for key in run.same:
                        self._readers.setdefault(key, set()).add(i)
                    continue
                self.conflicts += 1
                if self.stuck is None or step >= self.stuck[1]:
                    self.stuck = required.strand, step
                reasons = run.reasons
                self._learned.add(dict(reasons))
            self.exhausted = self.steps > limit
            if self.exhausted or not self._resolved(dict(reasons)):
                return False
        return True

    def _places(self, strand: Strand) -> list[_Place]:
        """Where it begins, and where it is after each step."""
        places = [self._root.after(strand.settings, str(strand.x0))]
        for t, call in enumerate(strand.calls):
            shown = str(strand.x[t]), str(strand.gradient[t]), str(self._ahead(strand, t))
            places.append(places[-1].after(*call_identity(call), *shown))
        return places

    def _ahead(self, strand: Strand, t: int) -> Any:
        """x after the next step, where that matters."""
        return strand.ahead(t) if self._looks_ahead else None

    def _first_difference(self, run: _Run, required: _Required) -> int | None:
        """The step at which a strand is not reproduced; None if it is."""
        strand, places = required.strand, required.places
        # What is known to lead to a place is not done again.
        known = (t for t in reversed(range(len(places))) if places[t].leads_there(self.values))
        t = next(known, -1)
        try:
            if t < 0:
                t, state = 0, begin(run, strand.x0, strand.settings)
                run.leave_at(places[0], state)
            else:
                state = run.resume_at(places[t])
            for t in range(t, len(strand.calls)):  # noqa: B020 - the step is needed where it fails
                self.steps += 1
                x, gradient = strand.x[t], strand.gradient[t]
                observed = Observed(x, gradient, self._ahead(strand, t))
                state = advance(run, state, strand.calls[t], strand.settings, observed)
                if not (same(state.x, x) and same(state.touched, gradient)):
                    for key, group in run.shown.items():
                        _add(run.reasons, key, group)
                    return t
                run.shown.clear()
                run.leave_at(places[t + 1], state)
        except _Emptied as emptied:
            run.reasons = self._why_empty(emptied.key)
            return t
        except _Contradicted:
            return t
        return None

    def _resolved(self, reasons: Groups) -> bool:
        """Rule out what led to a contradiction, and choose other answers; False if there are none."""
        emptied: list[str] = []  # entries without an answer, each earlier in the order than those before it
        for key in reasons:
            self._weights[key] = self._weights.get(key, 0.0) + self._weight
        self._weight *= _RECENT
        while reasons:
            self.steps += 1
            key = max(reasons, key=self._order.__getitem__)
            group = reasons.pop(key)
            excluded = self._excluded.setdefault(key, {})
            for answer in group:
                excluded.setdefault(answer, reasons)
            if self._change(key):
                while emptied and self._change(emptied[-1]):
                    emptied.pop()
                if not emptied:
                    return True
            else:
                emptied.append(key)
            reasons = self._why_empty(emptied[-1])
            self._learned.add(dict(reasons))
        return False

    def _why_empty(self, key: str) -> Groups:
        """The answers of earlier entries that together rule out all answers of an entry."""
        reasons: Groups = {}
        for reason in self._excluded[key].values():
            for other, answers in reason.items():
                _add(reasons, other, answers)
        return reasons

    def _change(self, key: str) -> bool:
        """Give an entry the first answer that is not ruled out, if any; forget what this invalidates."""
        value = self._next(key)
        if value is None:
            return False
        self.values[key] = value
        for reasons in self._excluded.values():
            gone = [a for a, reason in reasons.items() if key in reason and value not in reason[key]]
            for answer in gone:
                del reasons[answer]
        for i in self._readers.get(key, ()):
            alike = self._required[i].same
            if alike is not None and key in alike and value not in alike[key]:
                heapq.heappush(self._waiting, i)
        return True

    def _next(self, key: str) -> Answer | None:
        """The first answer of an entry that is not ruled out, by what was learned before either."""
        excluded, own = self._excluded.setdefault(key, {}), self._order[key]
        earlier = {other: value for other, value in self.values.items() if self._order[other] < own}
        against = self._learned.against(key, earlier)
        for answer in self._preferred(key):
            if answer in excluded:
                continue
            groups = against(answer)
            if groups is None:
                return answer
            excluded[answer] = {other: group for other, group in groups.items() if other != key}
        return None

    def _beginning(self, key: str, answers: Sequence[Answer]) -> Answer:
        """The plainest answer, or often any other: all else would have to be ruled out before it is changed."""
        chance = random.Random(f"{self._attempt} {key}")
        others = [answer for answer in answers if answer not in _LIKE_LR]
        return chance.choice(others) if chance.random() < _OFTEN else answers[0]

    def _preferred(self, key: str) -> Iterator[Answer]:
        """The answers of an entry, first the one that is expected."""
        answers = self.grammar.answers(key)
        wanted = self._wanted.get(key, expected(NAMES[self._attempt % len(NAMES)], key))
        if key in _BEGINNINGS and self._attempt and key not in self._wanted:
            wanted = self._beginning(key, answers)
        if wanted is not None and wanted in answers:
            yield wanted
        yield from answers


def reached(search: Search) -> str:
    """The gradients up to the furthest contradiction, in words."""
    if search.stuck is None:
        return ""
    strand, step = search.stuck
    return " ".join("None" if c.gradient is None else f"{float(c.gradient):g}" for c in strand.calls[: step + 1])
