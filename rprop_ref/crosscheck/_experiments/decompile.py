"""`decompile`: learn the rule of an implementation, tier by tier."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .._cases.conformance import conformance_cases
from .._cases.long import long_cases_of_tier
from .._cases.randomized import random_cases_of_tier
from .._cases.tiers import CALLS, NUMBERS, ORDINARY, PRECISION, TIERS, tier_of, tiers_of
from .._comparison.observe import CouldNotRun, Factory
from .._comparison.trajectory import Trajectory
from .._table.five import candidates, distance, wanted
from .._table.grammar import Answer
from .._table.rule import Rule
from .._table.table import Table
from . import ordinary, rounding
from .completion import Completion
from .decimals import digits
from .describe import described
from .grammars import LENGTHS, USUAL_UNITS, grammars
from .laboratory import Laboratory, long_words, special_gradients, words
from .lateness import has_own_rows, made_late
from .measure import measured
from .observations import Observations
from .result import UNFOUND, Decompiled, TierVerdict
from .search import ATTEMPTS, Search, reached
from .strands import Nature, Strand, strand_of, strands
from .traits import CALL_SCRIPTS, NARROW, OUTSIDE_LIMITS, SETTING, beyond_ordinary, depends_on_time, examine
from .units import Units, units

#: How many random gradients follow those that are special: what they and a call leave behind may show later.
LATER = 2

#: Random cases of each tier on which a rule is verified after it was found.
RANDOM_CASES = 200

#: How many times as many coordinates each of them has as one of `check`, and in cases with calls: what is rare is
#: met in one of them, rarest what needs certain gradients and calls at once.
WIDEN, WIDEN_CALLS = 8, 24

#: Long cases, of all tiers together, on which it is verified as well.
LONG_CASES = 8

#: How often a rule that fails on random cases is corrected by them.
CORRECTIONS = 12

#: How often a rule is corrected by cases that it fails, and by how many of them at once.
ROUNDS, AT_ONCE = 30, 12

#: How often the search begins anew for it in ordinary use, on which all else is built. Elsewhere, of 1,617 that
#: succeeded two began anew more often than `ATTEMPTS` says.
ORDINARY_ATTEMPTS = 28

#: How often each grammar's search begins anew before the next is tried. Then half of them are continued for
#: longer, or this many.
PATIENCE, FEWEST = (3, 7, 14, 28), 8

#: How much more often that of the plainest grammar of each nature does at first, which is mostly right.
MORE_PATIENCE = 11

#: How many other tables that explain ordinary use are tried, if the first does not explain the other tiers.
ALTERNATIVES = 2

#: How many kinds of grammars that explain ordinary use are tried, if no earlier one explains all tiers.
MOST_KINDS = 8

#: How many steps all searches may make together.
STEPS = 400_000

#: A threshold that somebody wrote down has no more digits, if it is to explain why x depends on magnitudes.
FEW_DIGITS = 3

#: Entries of which a grammar may leave no choice.
_FIXED = (
    "late", "first move", "base", "step_sizes", "constants", "direction", "after a flip", "start memory", "start",
    *USUAL_UNITS,
)  # fmt: skip

#: The seed of random cases.
VERIFYING = 102


# Runs may leave the range of their dtype.
@np.errstate(all="ignore")
def learn_rule(factory: Factory, names: Sequence[str], lacks: frozenset[str]) -> Decompiled:
    """Learn the rule of an implementation, in all tiers.

    Parameters
    ----------
    factory : callable
    names : sequence of str
        The dtypes that it works in.
    lacks : frozenset of str
        The features that it does not have.

    Raises
    ------
    CouldNotRun
        If it fails in ordinary use.
    """
    reals = [name for name in names if not name.startswith("complex")]
    dtype = "float64" if "float64" in names else (reals or ["float64"])[0]
    laboratory = Laboratory(factory, dtype)
    traits = examine(laboratory)
    if any(text.startswith(("chance", "other coordinates")) for text in traits.outside):
        return Decompiled(None, tuple(traits.outside), dtype=dtype)
    numbers = measured(laboratory, lacks)
    # Where moves depend on magnitudes everywhere, there seem to be thresholds, but not at short decimals.
    is_stopped = "walls" in numbers or any(digits(v) <= FEW_DIGITS for v in numbers.get("small moves", ()))
    if traits.outside and not is_stopped:
        return Decompiled(None, tuple(traits.outside), dtype=dtype)
    cases = [c for c in conformance_cases(names) if not c.needs & lacks]
    some = list(units(laboratory, numbers, lacks))
    learner = _Learner(laboratory, traits.nature, some, cases, names, lacks)
    found = learner.best()
    if found is None and learner.fails_in_others:
        alone = [case for case in cases if case.dtype == dtype]
        found = _Learner(laboratory, traits.nature, some, alone, [dtype], lacks).best()
        if found is not None:
            found.tiers.append(learner.in_other_dtypes(found))
    if found is None:
        seen = list(traits.outside)
        if depends_on_time(laboratory):
            seen.append("time: the same gradients give other moves later")
        where = f"{UNFOUND} the search did not find; first at the gradients {learner.stuck}"
        return Decompiled(None, tuple(seen) or (where,), dtype=dtype)
    return found


#: Strands that are made only where they are needed.
_Strands = Callable[[], list[Strand]]


class _Learner:
    """Learns one implementation."""

    def __init__(
        self, laboratory: Laboratory, nature: Nature, some: Sequence[Units], cases: list[Case],
        names: Sequence[str], lacks: frozenset[str],
    ) -> None:  # fmt: skip
        self.laboratory, self.nature, self.units = laboratory, nature, some
        self.observations = Observations(laboratory.factory)
        self._plain, self._nature_is_final = nature, False
        self.cases, self.names, self.lacks = cases, tuple(names), lacks
        self.stuck, self._reached, self._steps_left = "", -1, STEPS
        self._completing = False  # whether what a search does not need is as in the nearest rule
        self._rounding: dict[str, Answer] = rounding.plainest(names, nature)
        self._held: list[Case] = []  # the cases of tiers that are explained
        self._too_much: list[Strand] = []  # what a search did not reproduce at last
        self.fails_in_others = False  # whether ordinary use is explained in the dtype of the experiments only

    # --- ordinary use -------------------------------------------------------------------------------------------

    def best(self) -> Decompiled | None:
        """What explains most, of the tables that explain ordinary use; None if none does."""
        found: Decompiled | None = None
        for self._nature_is_final in (False, True):
            kinds: list[tuple[Decompiled, Nature, Search]] = []
            for search in itertools.islice(self.ordinary(), MOST_KINDS):
                also = self._or_other(search, self._outer(search), [self._too_much_for(search)] * ALTERNATIVES)
                kinds.append((also, self.nature, search))
                found = also if found is None else min(found, also, key=_unexplained)
                if found.explained_but_for_rounding:
                    return found
                if self._too_narrow:
                    break
            if not self._too_narrow:
                break
            self.nature = self._beyond
        for before, self.nature, search in sorted(kinds, key=lambda kind: _unexplained(kind[0])):
            also = self._or_other(search, before, self._after_special())
            if also.explained:
                return also
            found = also if found is None else min(found, also, key=_unexplained)
        return found

    @property
    def _too_narrow(self) -> bool:
        """Whether more matters in the outer tiers than in ordinary use, and is not considered yet."""
        return not self._nature_is_final and self._beyond != self._plain

    @functools.cached_property
    def _beyond(self) -> Nature:
        """The nature of all tiers, in which more may matter than in ordinary use."""
        return beyond_ordinary(self.laboratory, self._plain, self.lacks)

    def ordinary(self) -> Iterator[Search]:
        """Searches of various grammars that explain the experiments of ordinary use, the plainest first."""
        first = list(ordinary.first_scripts(self.laboratory, self.nature))
        try:
            more = list(ordinary.more_scripts(self.laboratory, self.nature))
        except CouldNotRun:
            more = []
        for trajectory in more:
            self.observations.add(trajectory)
        mirrored = self._plain.symmetric
        kinds = [kind for some in self.units for kind in grammars(self.nature, some, mirrored=mirrored)]
        searches = [(nature, Search(grammar)) for nature, grammar in kinds]
        # Where all moves seem to be late, how far other searches got says little.
        late = [one for one in searches if made_late(one[1].grammar)]
        for some in (late, [one for one in searches if one not in late]):
            yield from self._found_by(some, first, more)

    def _found_by(
        self, searches: list[tuple[Nature, Search]], first: Sequence[Trajectory], more: Sequence[Trajectory]
    ) -> Iterator[Search]:
        """Those of some searches that explain ordinary use, as they find it."""
        hurried: set[Nature] = set()  # those of which the plainest possible grammar was tried
        found_late = False
        for attempts in PATIENCE:
            going_on = []
            for self.nature, search in searches:
                if self._steps_left < 0:
                    return
                if found_late and has_own_rows(search.grammar):
                    continue  # it would explain as much, in more words
                some = [strand for trajectory in first for strand in strands(trajectory, self.nature)]
                more_patience = 0 if self.nature in hurried else MORE_PATIENCE
                found = self._required(search, ordinary.shortened(some), attempts + more_patience)
                if found or search.exhausted:
                    hurried.add(self.nature)
                if found:
                    known = [trajectory.case for trajectory in more] + self.of_tier(ORDINARY)
                    verdict = self._learn_tier(search, ORDINARY, known, set())
                    if verdict.explained:
                        found_late = found_late or made_late(search.grammar)
                        yield search
                    elif self.fails_in_others:
                        return
                    elif verdict.first is not None:
                        self.stuck = self.stuck or str(verdict.first)
                elif search.exhausted:
                    going_on.append((self.nature, search))
                self._remember_where(search)
            # Those that got furthest are continued.
            going_on.sort(key=lambda one: -one[1].progress)
            searches = going_on[: max(FEWEST, len(going_on) // 2)]

    def _remember_where(self, search: Search) -> None:
        if search.stuck is not None and search.stuck[1] > self._reached:
            self._reached, self.stuck = search.stuck[1], reached(search)

    # --- the other tiers ----------------------------------------------------------------------------------------

    def _or_other(self, search: Search, best: Decompiled, beginnings: Iterable[_Strands]) -> Decompiled:
        """The best of what a search has explained, and of other tables, which explain some strands first."""
        for attempt, some in enumerate(beginnings, start=1):
            if best.explained_but_for_rounding or search.refuted or self._steps_left < 0 or self._too_narrow:
                break
            other = Search(search.grammar, attempt)
            if self._required(other, sorted(some(), key=lambda strand: len(strand.calls)), PATIENCE[0]):
                best = min(best, self._outer(other), key=_unexplained)
        if best.explained and best.rule is not None:
            best.rule = self._completion.plainer(best.rule)
        return best

    def _too_much_for(self, search: Search) -> _Strands:
        """What a search reproduces, and what was too much for it at last, with all beginnings of that."""
        return lambda: [*search.strands, *ordinary.shortened(self._too_much)]

    def _after_special(self) -> Iterator[_Strands]:
        """The first scripts, and all that may be met after a NaN, and after infinite gradients, too.

        What a NaN leaves behind may show most of a rule of which ordinary use shows little.
        """
        special = special_gradients(self.lacks)

        def after(values: Sequence[float]) -> list[Strand]:
            runs = list(ordinary.first_scripts(self.laboratory, self.nature))
            for value in values:
                runs += ordinary.after_special(self.laboratory, self.nature, value)
            return ordinary.shortened([strand for run in runs for strand in strands(run, self.nature)])

        for values in dict.fromkeys((special[:1], special)):
            if values:
                yield functools.partial(after, values)

    def _outer(self, search: Search) -> Decompiled:
        """Learn all tiers, each on top of those that are explained."""
        explained: set[str] = set()
        verdicts: list[TierVerdict] = []
        self._held = []
        for tier in TIERS:
            some = [case for case in self.of_tier(tier) if tiers_of(case) <= {tier, *explained}]
            also = {NUMBERS: lambda: self.special_cases, CALLS: lambda: self.call_cases}.get(tier, list)()
            some += [case for case in also if tiers_of(case) <= {tier, *explained}]
            if some:
                before, rounded = search.state(), self._rounding
                verdicts.append(self._learn_tier(search, tier, some, explained))
                if verdicts[-1].explained:
                    explained.add(tier)
                elif tier == ORDINARY:
                    break
                else:  # what explains a part of this tier may spoil the inner ones
                    search.return_to(before)
                    self._rounding = rounded
        rule = self._completion.without_untried(self._complete(search), explained)
        return Decompiled(rule, (), verdicts, self.laboratory.dtype)

    @property
    def _completion(self) -> Completion:
        return Completion(self.observations, self.nature, self.lacks, self._held)

    def _complete(self, search: Search) -> Rule:
        """The rule of a search, with an entry wherever it does something else than the nearest of the five.

        The code of a table may do anything where there is no entry. What that is, is found as the rest was: it is
        taken to be as in the nearest rule, until a case of the tiers that are explained objects.
        """
        before, plain = search.state(), self.rule(search)
        self._completing = True
        try:
            corrected = self._correct(search, self._held)
            whole = self.rule(search)
        finally:
            self._completing = False
        if corrected:
            # Its code is shorter without what is as in the nearest rule, if it does that in any case.
            short = self.rule(search)
            same = short.nearest == whole.nearest and not self.observations.failing(short, self._held)
            return short if same else whole
        search.return_to(before)
        return self._completion.by_trial(plain)

    @functools.cached_property
    def special_cases(self) -> list[Case]:
        """Short scripts with every special gradient after every other; the cases of the tier have not all."""
        return self._special_with({})

    @functools.cached_property
    def call_cases(self) -> list[Case]:
        """The same with a gradient of None, a saved state, new hyperparameters and so on between the steps."""
        found: list[Case] = []
        for needs, script in CALL_SCRIPTS:
            if not needs & self.lacks:
                found += self._scripts(words((1.0, -1.0, 0.0), 4), script) + self._special_with(script)
        return found

    def _special_with(self, script: dict[str, Any]) -> list[Case]:
        special = special_gradients(self.lacks)
        if not special:
            return []
        called = [t for name in ("none", "resumed", "edits") for t in script.get(name, ())]
        # All words up to one step after the last call.
        return self._scripts(long_words((1.0, -1.0, 0.0, *special), max([1, *called]) + 2, LATER), script)

    def _scripts(self, g: Array, script: dict[str, Any]) -> list[Case]:
        """The cases of some gradients, under several settings each; those that it fails in are left out."""
        found: list[Case] = []
        outside = () if "lr outside step_sizes" in self.lacks else OUTSIDE_LIMITS
        # A sign change at each step after the first with a loss that fell, and with one that rose.
        losses = ((2.0, 1.0, 3.0, 2.0), (1.0, 3.0, 2.0, 4.0))[: 2 if self._beyond.uses_loss else 1]
        for setting, loss in itertools.product((SETTING, NARROW[0], *outside), losses):
            try:
                run = self.laboratory.run(g, loss=tuple(np.resize(loss, len(g))), **{**setting, **script})
            except CouldNotRun:
                continue
            self.observations.add(run)
            found.append(run.case)
        return found

    def _learn_tier(self, search: Search, tier: str, some: list[Case], explained: set[str]) -> TierVerdict:
        """Correct the rule by the cases of a tier that it fails, until it fails none; verify it on new ones."""
        within, known = {tier, *explained}, list(some)
        attempts = ORDINARY_ATTEMPTS if tier == ORDINARY else ATTEMPTS
        for correction in range(CORRECTIONS):
            # How numbers are rounded shows in other dtypes than that of the experiments.
            alike = [case for case in known if case.dtype == self.laboratory.dtype]
            corrected = self._correct(search, alike, attempts)
            if corrected:
                self._learn_rounding(search, known, tier)
                corrected = self._correct(search, known, attempts)
            drawn = [c for c in self._random(tier, VERIFYING + correction) if tiers_of(c) <= within]
            failing = self.observations.failing(self.rule(search), (*known, *drawn, *self._held))
            if not failing:
                self._held += [*known, *drawn]
                return TierVerdict(tier, True, len(some), len(drawn))
            if not corrected:
                others = all(d.case.dtype != self.laboratory.dtype for d in failing)
                self.fails_in_others = self.fails_in_others or (tier == ORDINARY and others)
                break
            known += [d.case for d in failing if d.case not in known]
        return TierVerdict(tier, False, len(some), len(drawn), len(failing), failing[0])

    def in_other_dtypes(self, found: Decompiled) -> TierVerdict:
        """The verdict on a rule that was learned in one dtype, in the cases of all others."""
        assert found.rule is not None
        some = [case for case in self.cases if case.dtype != self.laboratory.dtype]
        failing = self.observations.failing(found.rule, some)
        return TierVerdict(PRECISION, not failing, len(some), 0, len(failing), failing[0] if failing else None)

    def _correct(self, search: Search, cases: Sequence[Case], attempts: int = ATTEMPTS) -> bool:
        """Add what a rule does not reproduce to what its search requires, until it reproduces all."""
        for _ in range(ROUNDS):
            failing = self.observations.failing(self.rule(search), cases)
            if not failing:
                return True
            before, known = dict(search.values), len(search.strands)
            for divergence in sorted(failing, key=lambda d: d.step)[:AT_ONCE]:
                strand = strand_of(divergence, self.observations.of(divergence.case), self.nature)
                if not self._required(search, strand, attempts):
                    self._too_much = strand
                    return False
            # A new strand may tell answers apart that were alike, although the search keeps its own.
            if search.values == before and len(search.strands) == known:
                return False
        return False

    def _learn_rounding(self, search: Search, cases: Sequence[Case], tier: str) -> None:
        """Choose how numbers are rounded, if only cases of other dtypes than that of the experiments fail."""
        failing = self.observations.failing(self.rule(search), cases)
        if not failing or any(d.case.dtype == self.laboratory.dtype for d in failing):
            return
        best, fewest, some = self._rounding, len(failing), [d.case for d in failing[:AT_ONCE]]
        for self._rounding in rounding.choices(best, half=tier == PRECISION):
            if fewest and not self.observations.failing(self.rule(search), some):
                count = len(self.observations.failing(self.rule(search), cases))
                best, fewest = (self._rounding, count) if count < fewest else (best, fewest)
        self._rounding = best

    def _required(self, search: Search, some: Sequence[Strand], attempts: int = ATTEMPTS) -> bool:
        """Whether a search finds answers that reproduce some more strands, while there are steps left."""
        if self._steps_left < 0:
            return False
        before = search.steps
        found = search.require(some, attempts)
        self._steps_left -= search.steps - before
        return found

    def of_tier(self, tier: str) -> list[Case]:
        """The fixed cases of a tier."""
        return [case for case in self.cases if tier_of(case) == tier]

    def _random(self, tier: str, seed: int) -> Sequence[Case]:
        if "scripts" in self.lacks:
            return ()
        widen = WIDEN_CALLS if tier == CALLS and not self.laboratory.alone else WIDEN
        drawn = random_cases_of_tier(tier, seed, self.names, RANDOM_CASES, self.lacks, widen)
        return *drawn, *long_cases_of_tier(tier, seed, self.names, LONG_CASES, self.lacks)

    # --- the rule -----------------------------------------------------------------------------------------------

    def rule(self, search: Search) -> Rule:
        """The rule of a search: of answers that nothing tells apart, those of the nearest of the five rules."""
        known = search.entries()
        nearest = min(candidates(self.nature.uses_loss), key=lambda name: distance(name, known))
        entries = {key: _preferred(nearest, key, known) for key in known}
        # What the grammar left no choice of was never asked for.
        for name in (*_FIXED, *LENGTHS):
            entries.setdefault(name, search.grammar.answers(name)[0])
        if self._completing:
            entries = self._completion.whole(nearest, entries)
        told_by_factor = Table(entries, self.nature.symmetric, self.nature.uses_loss).flips_by_factor
        if entries.get("flip test") == "factor" and not told_by_factor:
            entries["flip test"] = "sign"
        entries |= self._rounding
        return described(entries, nearest, self.nature)


def _unexplained(found: Decompiled) -> tuple[bool, int]:
    """How many tiers a rule does not explain; what matters most is ordinary use.

    How many cases of these it fails does not count: what explains a part of a tier is not told from chance.
    """
    return not found.tiers[0].explained, sum(not tier.explained for tier in found.tiers)


def _preferred(rule: str, key: str, entries: Mapping[str, tuple[Answer, ...]]) -> Answer:
    answer, group = wanted(rule, key, entries), entries[key]
    return answer if answer is not None and answer in group else group[0]
