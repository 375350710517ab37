"""Which known deviations make the claimed rule do exactly what an implementation does?

A candidate is a set of deviations from the claimed rule. It explains an implementation only if the rule with
these deviations reproduces **every trajectory to the bit** (`evidence`), also those that the claimed rule
reproduces. The order of the search is:

1. all single deviations, then all pairs, then all triples. The first size with an explanation ends the search, and
   all explanations of this size are listed, because no case tells them apart;
2. the sets of published implementations, their parts, and those that differ from them in one deviation. From an
   explanation found in this way, deviations that it does not need are removed. Sets that differ from it in one
   deviation are tried as well: perhaps no case tells them apart;
3. larger sets, grown one deviation at a time from those that reproduce most (a beam search). Sets are scored on a
   small sample of cases. Cases that the best set fails are added to the sample, and the search continues. What is
   found is treated as in step 2;
4. x and the caller's gradient alone, without `step_size` and `prev`: what the implementation shows as its state
   may mean something else. If the claimed rule reproduces these, nothing is searched, and the state is reported as
   wrong. Otherwise steps 1 (only up to pairs) to 3 are repeated for them.

If all of this fails, no deviation is named, and the sets that reproduce most are reported as leads.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from .._comparison.trajectory import QUANTITIES, Trajectory
from .._stages.compositions import deviations_from
from .._stages.stages import Alternative, Changes, Composition
from .evidence import CaseGroup, Evidence
from .result import Diagnosis, Explanation, Lead

#: All sets of up to this size are tried, and at first of up to the smaller one.
EXHAUSTIVE_SIZE, PAIRS = 3, 2

#: The same where only x and the caller's gradient have to be explained.
EXHAUSTIVE_SIZE_X_ONLY = 2

#: How many sets the beam search keeps at each step.
BEAM_WIDTH = 6

#: The beam search grows sets up to this size.
LARGEST_SET = 12

#: In so many explanations, deviations are ordered by how much each explains.
EXPLANATIONS_ORDERED = 6

#: How many leads are reported if there is no explanation.
LEADS = 3


class DeviationSearch:
    """The search for the deviations that explain what was observed. It can be continued: nothing is tried twice.

    Parameters
    ----------
    rule : Composition
        The claimed rule.
    trajectories : sequence of Trajectory
        What was observed of the implementation, on every case.
    failing : set of int
        The positions of the trajectories that the claimed rule does not reproduce.
    signs_only : bool, optional
        Whether the `prev` shown holds signs only.
    published : sequence of Changes, optional
        Sets of any size that are tried in any case, with their parts and those that differ in one deviation.
    """

    def __init__(
        self,
        rule: Composition,
        trajectories: Sequence[Trajectory],
        failing: set[int],
        *,
        signs_only: bool = False,
        published: Sequence[Changes] = (),
    ) -> None:
        def evidence_of(*quantities: str) -> Evidence:
            return Evidence(rule, trajectories, failing, signs_only=signs_only, quantities=quantities)

        self._evidence_of = evidence_of
        self._cases = sum(t.steps > 0 for t in trajectories)
        self._state_shown = any(t.step_size is not None or t.prev is not None for t in trajectories)
        near = _near(rule, published)
        self._everything = _Attempt(evidence_of(*QUANTITIES), EXHAUSTIVE_SIZE, near)
        # Only if there is state, and it turns out that it cannot be explained.
        self._x_only = functools.cache(
            lambda: _Attempt(evidence_of("x", "gradient"), EXHAUSTIVE_SIZE_X_ONLY, near)
        )

    def diagnosis(self, largest: int | None = None) -> Diagnosis:
        """What explains everything, or at least x.

        Parameters
        ----------
        largest : int, optional
            Try sets of up to this size only, and the published ones, which takes the least time. Where state is
            shown, which is explained together with x, up to `EXHAUSTIVE_SIZE` at least.
        """
        if largest and self._state_shown:
            largest = max(largest, EXHAUSTIVE_SIZE)
        everything = self._everything
        explanations = everything.explanations(largest)
        if explanations:
            return Diagnosis(explanations, tried=everything.evidence.tried, cases=self._cases)
        tried_on_x = 0
        if self._state_shown:
            x_only = self._x_only()
            if x_only.evidence.explaining([()]):  # the claimed rule, without deviations
                wrong = tuple(q for q in ("step_size", "prev") if not self._evidence_of(q).explaining([()]))
                tried = everything.evidence.tried
                return Diagnosis(complete=False, tried=tried, state_only=wrong, cases=self._cases)
            explanations = x_only.explanations(largest)
            tried_on_x = x_only.evidence.tried
            if explanations:
                tried = everything.evidence.tried + tried_on_x
                return Diagnosis(explanations, complete=False, tried=tried, cases=self._cases)
        leads = [] if largest else _leads(everything.evidence, everything.beam)
        return Diagnosis(nearest=leads, tried=everything.evidence.tried + tried_on_x, cases=self._cases)


class _Attempt:
    """The search on some quantities.

    Attributes
    ----------
    beam : list of Changes
        The sets that the beam search ended with; empty if it was not needed.
    """

    def __init__(self, evidence: Evidence, exhaustive_size: int, near: Sequence[Changes]) -> None:
        self.evidence, self.beam = evidence, list[Changes]()
        self._exhaustive_size, self._near = exhaustive_size, near
        self._size, self._found = 0, list[Explanation]()  # all sets of up to this size have been tried

    def explanations(self, largest: int | None) -> list[Explanation]:
        """The explanations: all sets of the smallest size that has any, or else those of other searches."""
        if not self._found:
            explanations = self._smallest_sets(min(largest or self._exhaustive_size, self._exhaustive_size))
            explanations = explanations or self._published()
            if not explanations and largest is None:
                self.beam = _beam_search(self.evidence)
                explanations = _reduced(self.evidence, self.beam)
            self._found = [Explanation(changes) for changes in _most_first(self.evidence, explanations)]
        return self._found

    def _smallest_sets(self, largest: int) -> list[Changes]:
        """All explanations of the smallest size that has any; none if that would be above `largest`."""
        for size in range(self._size + 1, largest + 1):
            self._size = size
            explanations = self.evidence.explaining(_all_sets(self.evidence.rule, size))
            if explanations:
                return explanations
        return []

    def _published(self) -> list[Changes]:
        candidates, self._near = self._near, ()
        return _reduced(self.evidence, candidates) if candidates else []


def _most_first(evidence: Evidence, explanations: list[Changes]) -> list[Changes]:
    """The same explanations, each with the deviations first without which the most would be unexplained."""
    ordered = [changes for changes in explanations[:EXPLANATIONS_ORDERED] if len(changes) > 1]
    lacking = {
        frozenset(rest): rest for changes in ordered for rest in itertools.combinations(changes, len(changes) - 1)
    }
    matched = evidence.scores(list(lacking.values()), evidence.groups)[:, 0] if lacking else ()
    explained_without = dict(zip(lacking, matched, strict=True))
    return [
        tuple(sorted(changes, key=lambda a: explained_without[frozenset(changes) - {a}]))
        if changes in ordered else changes
        for changes in explanations
    ]  # fmt: skip


# --- all sets of a size ---------------------------------------------------------------------------------------


def _all_sets(rule: Composition, size: int) -> tuple[Changes, ...]:
    """All sets of `size` deviations. A set has at most one deviation for each slot."""
    return _all_sets_of(tuple(deviations_from(rule)), size)


@functools.lru_cache(maxsize=8)  # every check of the same rule needs the same sets
def _all_sets_of(deviations: Changes, size: int) -> tuple[Changes, ...]:
    by_slot: dict[str, list[Alternative]] = {}
    for deviation in deviations:
        by_slot.setdefault(deviation.slot, []).append(deviation)
    return tuple(
        changes
        for slots in itertools.combinations(by_slot, size)
        for changes in itertools.product(*(by_slot[slot] for slot in slots))
    )


# --- the beam search ------------------------------------------------------------------------------------------


def _beam_search(evidence: Evidence) -> list[Changes]:
    """The sets that reproduce most, the best first, grown one deviation at a time.

    They are scored on a sample of cases. Cases that the best set fails are added to the sample. The search ends
    when the best set fails no case, or when no set reproduces the whole sample.
    """
    beam: list[Changes] = [()]
    sample: list[int] = []
    while True:
        new = evidence.failing_cases(beam[0], sample)
        if not new:
            return beam
        sample += new
        beam, explains_sample = _grow(evidence, beam, evidence.sample(sample))
        if not explains_sample:
            return beam


def _grow(evidence: Evidence, beam: list[Changes], sample: list[CaseGroup]) -> tuple[list[Changes], bool]:
    """Grow the sets of a beam while the best score on a sample improves.

    Returns
    -------
    beam : list of tuples of Alternative
        The sets with the highest scores, the best first.
    explains_sample : bool
        Whether the first of them reproduces the whole sample.
    """
    # A score is the sum of two parts, each at most the number of coordinates.
    best_possible = 2 * sum(group.batch.size for group in sample)
    singles = _all_sets(evidence.rule, 1)
    sets = {frozenset(c): c for c in beam}
    scores = dict(zip(sets, evidence.scores(beam, sample).sum(axis=1).tolist(), strict=True))
    best = max(scores.values())
    additions: Sequence[Changes] = singles
    while best < best_possible and max(len(c) for c in beam) < LARGEST_SET:
        # There are many pairs, so they are added to the best set only.
        larger = _extended(beam if additions is singles else beam[:1], additions)
        candidates = {key: c for key, c in larger.items() if key not in scores}
        new = evidence.scores(list(candidates.values()), sample).sum(axis=1) if candidates else np.zeros(0)
        sets.update(candidates)
        scores.update(zip(candidates, new.tolist(), strict=True))
        if new.max(initial=0) > best:
            best = float(new.max())
            additions = singles
        elif additions is singles:
            # No single deviation helps. A pair may, for instance if one of them replaces a deviation of the set.
            additions = _all_sets(evidence.rule, 2)
        else:
            break
        beam = _best_sets(sets, scores, BEAM_WIDTH)
    return _best_sets(sets, scores, 2 * BEAM_WIDTH), best >= best_possible


def _extended(beam: list[Changes], additions: Sequence[Changes]) -> dict[frozenset[Alternative], Changes]:
    """Add every addition to every set of the beam; it replaces the set's deviations in the same slots."""
    extended: dict[frozenset[Alternative], Changes] = {}
    for changes in beam:
        for added in additions:
            slots = {a.slot for a in added}
            larger = (*(c for c in changes if c.slot not in slots), *added)
            extended[frozenset(larger)] = larger
    return extended


def _best_sets(
    sets: dict[frozenset[Alternative], Changes], scores: dict[frozenset[Alternative], float], count: int
) -> list[Changes]:
    """The sets with the highest scores, the best first; of two with the same score, the smaller first."""
    return [sets[key] for key in sorted(scores, key=lambda key: (-scores[key], len(key)))[:count]]


def _reduced(evidence: Evidence, candidates: Sequence[Changes]) -> list[Changes]:
    """The smallest explanations to which some candidates reduce, and those that differ in one deviation.

    A candidate is reduced by removing one deviation at a time, as long as the rest is an explanation.
    """
    explanations = smaller = evidence.explaining(candidates)
    while smaller:
        subsets = {
            frozenset(c): c for changes in smaller for c in itertools.combinations(changes, len(changes) - 1)
        }
        smaller = evidence.explaining([c for c in subsets.values() if c])
        explanations = explanations + smaller
    if not explanations:
        return []
    size = min(len(changes) for changes in explanations)
    smallest = [changes for changes in explanations if len(changes) == size]
    return evidence.explaining(_with_one_replaced(evidence.rule, smallest))


def _near(rule: Composition, published: Sequence[Changes]) -> list[Changes]:
    """Some sets, their parts, and those that differ from one of them in one deviation, which may be added."""
    sets = {frozenset(c): c for c in published}
    for changes in published:
        for size in range(2, len(changes)):
            sets |= {frozenset(part): part for part in itertools.combinations(changes, size)}
    for deviation in deviations_from(rule):
        for changes in published:
            larger = (*(a for a in changes if a.slot != deviation.slot), deviation)
            sets.setdefault(frozenset(larger), larger)
    return list(sets.values())


def _with_one_replaced(rule: Composition, explanations: list[Changes]) -> list[Changes]:
    """The explanations, and all sets that replace one of their deviations with another one."""
    sets = {frozenset(c): c for c in explanations}
    for changes in explanations:
        for i in range(len(changes)):
            others = changes[:i] + changes[i + 1 :]
            slots = {c.slot for c in others}
            for deviation in deviations_from(rule):
                if deviation.slot not in slots:
                    sets.setdefault(frozenset((*others, deviation)), (*others, deviation))
    return list(sets.values())


# --- no explanation -------------------------------------------------------------------------------------------


def _leads(evidence: Evidence, beam: list[Changes]) -> list[Lead]:
    """The claimed rule, and the best sets of the beam if they reproduce more than the rule does."""
    candidates = [(), *beam[:LEADS]]
    matched = evidence.scores(candidates, evidence.groups)[:, 0]
    leads = [
        Lead(changes, int(count), evidence.scripts, evidence.first_failure(changes))
        for changes, count in zip(candidates, matched, strict=True)
        if count < evidence.scripts and (not changes or count > matched[0])
    ]
    leads.sort(key=lambda lead: (-lead.matched, len(lead.changes)))
    return leads[:LEADS]
