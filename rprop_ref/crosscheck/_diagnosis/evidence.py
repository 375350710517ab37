"""The evidence: everything observed of an implementation, and the test of candidate explanations against it.

A **candidate** is a set of deviations from the claimed rule. Candidates that compute in the same dtypes run
together on one `Machine`, thousands at a time, and the cases run side by side in a few **groups**. A few cases
that the claimed rule fails come first. A candidate is dropped at its first wrong bit, so most candidates cost next
to nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .._comparison.divergence import same_values
from .._comparison.trajectory import LONG, Trajectory
from .._stages.batch import Batch
from .._stages.machine import Machine
from .._stages.stages import ARITHMETIC, Alternative, Arithmetic, Changes, Composition, changed

#: How many candidates run on one machine at most.
CANDIDATES_AT_ONCE = 16384

#: How many numbers an array of a machine should have at most, to stay in the processor's cache.
NUMBERS_AT_ONCE = 200_000

#: This many failing cases are tested before all others, each in a group of its own: they rule out most candidates.
FIRST_CASES = 3

#: So many other failing cases are tested before the rest if there are still that many candidates.
TELLING_CASES, MANY_CANDIDATES = 8, 50

#: How many new failing cases `failing_cases` returns at most.
NEW_CASES = 4

#: In a sample, cases with more steps than this form a group of their own, so that short ones need little padding.
SHORT_IN_SAMPLES = 12

#: Failing cases with more steps than this join a sample only after all shorter ones, because they cost more.
PREFERRED_STEPS = 24


@dataclass
class CaseGroup:
    """Cases of one dtype that run together, and what was observed on them.

    Attributes
    ----------
    batch : Batch
    cases : list of Case
    observed : dict of str to (ndarray, ndarray)
        For each quantity, the values, and a mask of where they were observed, both of shape (steps, coordinates).
    signs_only : bool
        Whether `prev` holds signs only.
    """

    batch: Batch
    cases: list[Case]
    observed: dict[str, tuple[Array, Array]]
    signs_only: bool

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], quantities: Sequence[str], signs_only: bool) -> CaseGroup:
        """Make a group of some trajectories, with only some of their quantities."""
        cases = [t.case for t in trajectories]
        batch = Batch(cases)
        shape = (batch.steps, batch.size)
        observed = {}
        for quantity in quantities:
            values, is_observed = np.zeros(shape, batch.dtype), np.zeros(shape, bool)
            for start, trajectory in zip(batch.starts, trajectories, strict=True):
                shown = trajectory.shown().get(quantity)
                if shown is not None:
                    part = (slice(len(shown)), slice(int(start), int(start) + trajectory.case.size))
                    values[part], is_observed[part] = shown, True
            if is_observed.any():
                observed[quantity] = values, is_observed
        return cls(batch, cases, observed, signs_only)

    @property
    def candidates_at_once(self) -> int:
        """How many candidates to run on one machine."""
        return int(max(16, min(CANDIDATES_AT_ONCE, NUMBERS_AT_ONCE // self.batch.size)))

    def agrees(self, machine: Machine, t: int) -> Array:
        """Where each candidate agrees with everything observed at step t, from 0; (candidates, coordinates)."""
        agrees = np.ones((machine.alive.size, self.batch.size), bool)
        for quantity in self.observed:
            agrees &= self.agrees_in(quantity, machine, t)
        return agrees

    def agrees_in(self, quantity: str, machine: Machine, t: int) -> Array:
        """The same for one quantity."""
        values, is_observed = self.observed[quantity]
        if not is_observed[t].any():
            return np.ones((machine.alive.size, self.batch.size), bool)
        same = same_values(quantity, getattr(machine, quantity), values[t], signs_only=self.signs_only)
        agrees: Array = same | ~is_observed[t]
        return agrees


class Evidence:
    """Everything observed of an implementation, to test candidates on.

    Parameters
    ----------
    rule : Composition
        The claimed rule.
    trajectories : sequence of Trajectory
        What was observed.
    failing : set of int
        The positions of the trajectories that the claimed rule does not reproduce. Some are tested first.
    signs_only : bool
        Whether the `prev` shown holds signs only.
    quantities : sequence of str
        The quantities that have to be explained.

    Attributes
    ----------
    groups : list of CaseGroup
        All cases with at least one step: first a few failing ones, each alone, then the others.
    tried : int
        How many candidates have been tested; one that is tested twice counts twice.
    """

    def __init__(
        self,
        rule: Composition,
        trajectories: Sequence[Trajectory],
        failing: set[int],
        *,
        signs_only: bool,
        quantities: Sequence[str],
    ) -> None:
        self.rule, self.tried = rule, 0
        self._trajectories, self._signs_only, self._quantities = trajectories, signs_only, quantities
        # Failing cases first, and of these the short ones.
        order = sorted(
            range(len(trajectories)), key=lambda i: (i not in failing, trajectories[i].case.steps > LONG)
        )
        usable = [i for i in order if trajectories[i].steps]
        self._members = self._grouped(usable, failing)
        self.groups = [self._group(members) for members in self._members]
        short = [i for i in usable if i in failing and trajectories[i].case.steps <= SHORT_IN_SAMPLES]
        spread = short[FIRST_CASES :: max(1, len(short) // TELLING_CASES)][:TELLING_CASES]
        self._telling = self.sample(spread)  # of the groups, for what would take long on all of them

    def _grouped(self, usable: list[int], failing: set[int]) -> list[list[int]]:
        """The first failing cases, each alone; then the others, by length and dtype."""
        first = [i for i in usable if i in failing][:FIRST_CASES]
        rest: dict[tuple[bool, str], list[int]] = {}
        for i in usable:
            if i not in first:
                case = self._trajectories[i].case
                rest.setdefault((case.steps > LONG, case.real.name), []).append(i)
        return [*([i] for i in first), *rest.values()]

    def _group(self, members: Iterable[int]) -> CaseGroup:
        return CaseGroup.of([self._trajectories[i] for i in members], self._quantities, self._signs_only)

    @property
    def scripts(self) -> int:
        """The number of coordinates in all groups; each has one script (or one objective)."""
        return sum(group.batch.size for group in self.groups)

    def sample(self, members: Iterable[int]) -> list[CaseGroup]:
        """Group the trajectories at these positions, for `scores`."""
        groups: dict[tuple[str, bool], list[int]] = {}
        for i in members:
            case = self._trajectories[i].case
            groups.setdefault((case.real.name, case.steps > SHORT_IN_SAMPLES), []).append(i)
        return [self._group(some) for some in groups.values()]

    # --- tests ------------------------------------------------------------------------------------------------

    def explaining(self, candidates: Iterable[Changes]) -> list[Changes]:
        """The candidates that reproduce everything observed, to the bit; ``()`` is the claimed rule itself."""
        explaining: list[Changes] = []
        known: dict[Any, dict[Changes, bool]] = defaultdict(dict)
        for rule, some in self._by_arithmetic(candidates):
            self.tried += len(some)
            if rule[ARITHMETIC] == self.rule[ARITHMETIC]:
                explaining += self._explaining_in(rule, some)
                continue
            # What is the same in another arithmetic, in the dtypes observed, is not tried again.
            alike = known[self._precision(rule)]
            rests = [tuple(a for a in changes if a.slot != ARITHMETIC) for changes in some]
            new = [changes for changes, rest in zip(some, rests, strict=True) if rest not in alike]
            right = {id(changes) for changes in self._explaining_in(rule, new)}
            for changes, rest in zip(some, rests, strict=True):
                if alike.setdefault(rest, id(changes) in right):
                    explaining.append(changes)
        return explaining

    def _precision(self, rule: Composition) -> tuple[Any, ...]:
        """What is different between two arithmetics that round differently in the dtypes observed."""
        arithmetic: Arithmetic = rule[ARITHMETIC].function
        dtypes = dict.fromkeys(group.batch.dtype for group in self.groups)
        computed = tuple((arithmetic.work(dtype), arithmetic.store(dtype)) for dtype in dtypes)
        return computed, arithmetic.exact_constants, arithmetic.flush

    def _explaining_in(self, rule: Composition, candidates: list[Changes]) -> list[Changes]:
        """The same for candidates of one arithmetic, which `rule` has."""
        # Most candidates are soon wrong, so small groups come first.
        alone = sorted((g for g in self.groups if len(g.cases) == 1), key=lambda g: g.batch.size)
        together = [g for g in self.groups if len(g.cases) > 1]
        for groups in (alone, self._telling, together):
            if groups is self._telling and len(candidates) < MANY_CANDIDATES:
                continue
            for group in groups:
                if candidates:
                    candidates = self._explaining_group(rule, candidates, group)
        return candidates

    @staticmethod
    def _explaining_group(rule: Composition, candidates: list[Changes], group: CaseGroup) -> list[Changes]:
        explaining: list[Changes] = []
        for start in range(0, len(candidates), group.candidates_at_once):
            some = candidates[start : start + group.candidates_at_once]
            machine = Machine(rule, some, group.batch)
            for t in range(group.batch.steps):
                machine.step()
                machine.keep(np.logical_and.reduce(group.agrees(machine, t), axis=1))
                if not machine.alive.size:
                    break
            explaining += [some[i] for i in machine.alive]
        return explaining

    def _by_arithmetic(self, candidates: Iterable[Changes]) -> Iterator[tuple[Composition, list[Changes]]]:
        """Split candidates by arithmetic, because all rules on a machine share one.

        Yields the claimed rule with that arithmetic, and its candidates.
        """
        groups: dict[Alternative, list[Changes]] = {}
        for changes in candidates:
            arithmetic = next((a for a in changes if a.slot == ARITHMETIC), self.rule[ARITHMETIC])
            groups.setdefault(arithmetic, []).append(changes)
        for arithmetic, some in groups.items():
            yield changed(self.rule, (arithmetic,)), some

    def scores(self, candidates: Sequence[Changes], groups: Sequence[CaseGroup]) -> Array:
        """How much of some groups each candidate reproduces, shape (candidates, 2).

        The first column counts the coordinates reproduced in all steps. The second adds up, over all coordinates,
        the fraction of steps before the first wrong one, which is averaged over the quantities.
        """
        row_of = {changes: i for i, changes in enumerate(candidates)}
        scores = np.zeros((len(candidates), 2))
        for rule, some in self._by_arithmetic(candidates):
            self.tried += len(some)
            for group in groups:
                for start in range(0, len(some), group.candidates_at_once):
                    part = some[start : start + group.candidates_at_once]
                    rows = [row_of[changes] for changes in part]
                    scores[rows] += self._scores_on_group(Machine(rule, part, group.batch), group)
        return scores

    @staticmethod
    def _scores_on_group(machine: Machine, group: CaseGroup) -> Array:
        shape = (machine.alive.size, group.batch.size)
        # Each quantity is scored by itself: one deviation may correct x, and only a second one the state as well.
        right_so_far = {quantity: np.ones(shape, bool) for quantity in group.observed}
        right_steps = np.zeros(shape)
        for t in range(group.batch.steps):
            machine.step()
            for quantity in right_so_far:
                right_so_far[quantity] &= group.agrees_in(quantity, machine, t)
                right_steps += right_so_far[quantity] & (t < group.batch.lengths)
        all_right = np.logical_and.reduce(list(right_so_far.values())).sum(axis=1)
        fractions = right_steps / (len(right_so_far) * np.maximum(group.batch.lengths, 1))
        return np.stack([all_right, fractions.sum(axis=1)], axis=1)

    def failing_cases(self, candidate: Changes, used: Iterable[int] = ()) -> list[int]:
        """The positions of a few cases that a candidate does not reproduce, without those in `used`.

        Short ones come first. All are of one dtype, the first that has such cases.
        """
        used = set(used)
        ((rule, some),) = self._by_arithmetic([candidate])
        for dtype in dict.fromkeys(t.case.real for t in self._trajectories):
            wrong: set[int] = set()
            for members, group in zip(self._members, self.groups, strict=True):
                if group.batch.dtype == dtype:
                    agrees = np.ones(group.batch.size, bool)
                    for _, row in self._agreement_by_step(rule, some, group):
                        agrees &= row
                    wrong.update(members[i] for i in np.unique(group.batch.case[~agrees]))
            new = sorted(wrong - used, key=lambda i: (self._trajectories[i].case.steps > PREFERRED_STEPS, i))
            if new:
                return new[:NEW_CASES]
        return []

    def first_failure(self, candidate: Changes) -> str:
        """The case, script and step at which a candidate is first wrong; empty if it explains everything."""
        ((rule, some),) = self._by_arithmetic([candidate])
        for group in self.groups:
            for t, agrees in self._agreement_by_step(rule, some, group):
                if not agrees.all():
                    coordinate = int(np.argmin(agrees))
                    number = int(group.batch.case[coordinate])
                    case, start = group.cases[number], int(group.batch.starts[number])
                    return f"{case}, {case.scripts[coordinate - start]}, step {t + 1}"
        return ""

    @staticmethod
    def _agreement_by_step(
        rule: Composition, candidate: list[Changes], group: CaseGroup
    ) -> Iterator[tuple[int, Array]]:
        """For each step, its number, from 0, and where the only candidate agrees."""
        machine = Machine(rule, candidate, group.batch)
        for t in range(group.batch.steps):
            machine.step()
            yield t, group.agrees(machine, t)[0]
