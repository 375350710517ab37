"""Which known deviations make the claimed rule do exactly what an implementation does?

The search tries all deviations one by one, then all pairs, then all triples, and after that combines greedily what
helps most. An explanation is accepted only if it reproduces every trajectory of every case to the bit. Candidates
meet the cases on which the claimed rule fails first, and leave at the first bit that differs, so most cost next to
nothing.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .cases import Case, batch
from .deviations import alternatives
from .observe import Trajectory, same
from .stages import ARITHMETIC, Alternative, Array, Batch, Changes, Machine, Rule, changed

#: So many candidates share one machine.
CHUNK = 16384

#: How many cases the search starts with.
FIRST = 3

#: The greedy search keeps so many combinations, and so many deviations in each; it starts with so many cases, and
#: adds as many at a time.
BEAM, LONGEST, MORE = 6, 12, 4


@dataclass
class Explanation:
    """A set of deviations that reproduces all there is to see."""

    changes: Changes

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(a.name for a in self.changes)


@dataclass
class Near:
    """A set of deviations that does not explain everything."""

    changes: Changes
    matched: int
    scripts: int
    fails: str


@dataclass
class Diagnosis:
    """What a search has found.

    Attributes
    ----------
    explanations : list of Explanation
        All of the smallest size. More than one: no case tells them apart.
    complete : bool
        Whether they explain all that is shown, and not the parameters alone.
    nearest : list of Near
        The best there is, if there is no explanation.
    tried : int
        How many combinations were tried.
    state_only : tuple of str
        Of "step_size" and "prev", what the claimed rule does not explain, if it explains all the rest.
    cases : int
        How many cases there were to explain, those on which the claimed rule is right included.
    """

    explanations: list[Explanation] = field(default_factory=list)
    complete: bool = True
    nearest: list[Near] = field(default_factory=list)
    tried: int = 0
    state_only: tuple[str, ...] = ()
    cases: int = 0

    @property
    def found_nothing(self) -> bool:
        """Whether there is neither an explanation nor a state that is merely shown otherwise."""
        return not self.explanations and not self.state_only


@dataclass
class _Piece:
    """Cases that are run together, and what was seen there."""

    batch: Batch
    cases: list[Case]
    steps: Array
    seen: dict[str, tuple[Array, Array]]  # values and where they count, both (steps, coordinates)
    signs: bool

    def matches(self, machine: Machine, t: int) -> Array:
        """For each rule and coordinate: whether step t agrees."""
        agrees = np.ones((machine.alive.size, machine.batch.size), bool)
        for quantity in self.seen:
            agrees &= self.matches_in(quantity, machine, t)
        return agrees

    def matches_in(self, quantity: str, machine: Machine, t: int) -> Array:
        """The same for one quantity."""
        values, counts = self.seen[quantity]
        if not counts[t].any():
            return np.ones((machine.alive.size, machine.batch.size), bool)
        agrees: Array = same(quantity, getattr(machine, quantity), values[t], signs=self.signs) | ~counts[t]
        return agrees


def _piece(trajectories: Sequence[Trajectory], quantities: Sequence[str], signs: bool) -> _Piece:
    cases = [t.case for t in trajectories]
    joint = batch(cases)
    shape = (joint.steps, joint.size)
    seen = {}
    for quantity in quantities:
        values, counts = np.zeros(shape, joint.dtype), np.zeros(shape, bool)
        for start, trajectory in zip(joint.starts, trajectories, strict=True):
            shown = trajectory.shown().get(quantity)
            if shown is not None:
                part = (slice(len(shown)), slice(int(start), int(start) + trajectory.case.size))
                values[part], counts[part] = shown, True
        if counts.any():
            seen[quantity] = values, counts
    return _Piece(joint, cases, joint.lengths, seen, signs)


def _chunk(piece: _Piece) -> int:
    """Wide pieces take fewer candidates at a time: what counts is that the arrays stay in the cache."""
    return int(max(16, min(CHUNK, 200_000 // piece.batch.size)))


class Search:
    """What was seen of an implementation, ready to try rules on.

    Parameters
    ----------
    rule : Rule
        The claimed one.
    trajectories : sequence of Trajectory
        What was seen.
    failed : set of int
        The positions of those that are not what the claimed rule does.
    signs : bool
        Whether the memory that is shown holds signs only.
    quantities : sequence of str
        What has to be explained.
    """

    def __init__(
        self,
        rule: Rule,
        trajectories: Sequence[Trajectory],
        failed: set[int],
        *,
        signs: bool,
        quantities: Sequence[str],
    ) -> None:
        self.rule, self.tried = rule, 0
        self._trajectories, self._failed, self._signs, self._quantities = trajectories, failed, signs, quantities
        self._dtypes = [t.case.real.name for t in trajectories]
        order = sorted(range(len(trajectories)), key=lambda i: (i not in failed, trajectories[i].case.steps > 40))
        usable = [i for i in order if trajectories[i].steps]
        groups = self._grouped([i for i in usable if i in failed][:FIRST], usable, trajectories)
        self._groups = groups
        self.pieces = [_piece([trajectories[i] for i in g], quantities, signs) for g in groups]

    @staticmethod
    def _grouped(first: list[int], usable: list[int], trajectories: Sequence[Trajectory]) -> list[list[int]]:
        groups = [[i] for i in first]
        rest = [i for i in usable if i not in first]
        keys = {i: (trajectories[i].case.steps > 40, trajectories[i].case.real.name) for i in rest}
        for key in dict.fromkeys(keys.values()):
            groups.append([i for i in rest if keys[i] == key])
        return groups

    def surviving(self, candidates: Iterable[Changes]) -> list[Changes]:
        """Those that agree with everything, to the bit."""
        found: list[Changes] = []
        for rule, some in self._by_arithmetic(candidates):
            self.tried += len(some)
            alive = some
            for piece in self.pieces:
                if alive:
                    alive = self._alive(rule, alive, piece)
            found += alive
        return found

    @staticmethod
    def _alive(rule: Rule, candidates: list[Changes], piece: _Piece) -> list[Changes]:
        kept: list[Changes] = []
        chunk = _chunk(piece)
        for start in range(0, len(candidates), chunk):
            some = candidates[start : start + chunk]
            machine = Machine(rule, some, piece.batch)
            for t in range(piece.batch.steps):
                machine.step()
                machine.keep(np.logical_and.reduce(piece.matches(machine, t), axis=1))
                if not machine.alive.size:
                    break
            kept += [some[i] for i in machine.alive]
        return kept

    def _by_arithmetic(self, candidates: Iterable[Changes]) -> Iterator[tuple[Rule, list[Changes]]]:
        groups: dict[Alternative, list[Changes]] = {}
        for changes in candidates:
            arithmetic = next((a for a in changes if a.slot == ARITHMETIC), self.rule[ARITHMETIC])
            groups.setdefault(arithmetic, []).append(changes)
        for arithmetic, some in groups.items():
            yield changed(self.rule, (arithmetic,)), some

    def scores(self, candidates: Sequence[Changes], pieces: Sequence[_Piece]) -> Array:
        """How much of each script a candidate reproduces: columns are (whole scripts, parts of scripts)."""
        where = {changes: i for i, changes in enumerate(candidates)}
        result = np.zeros((len(candidates), 2))
        for rule, some in self._by_arithmetic(candidates):
            self.tried += len(some)
            for piece in pieces:
                chunk = _chunk(piece)
                for start in range(0, len(some), chunk):
                    part = some[start : start + chunk]
                    rows = [where[changes] for changes in part]
                    result[rows] += self._score(Machine(rule, part, piece.batch), piece)
        return result

    def sample(self, chosen: Iterable[int]) -> list[_Piece]:
        """These trajectories as pieces for `scores`."""
        groups: dict[tuple[str, bool], list[Trajectory]] = {}
        for i in chosen:
            trajectory = self._trajectories[i]
            key = trajectory.case.real.name, trajectory.case.steps > 12
            groups.setdefault(key, []).append(trajectory)
        return [_piece(some, self._quantities, self._signs) for some in groups.values()]

    def failures(self, changes: Changes, known: Iterable[int] = ()) -> list[int]:
        """A few of the trajectories that a candidate does not reproduce, of the first dtype that has such."""
        ((rule, some),) = self._by_arithmetic([changes])
        for dtype in dict.fromkeys(self._dtypes):
            wrong: set[int] = set()
            for group, piece in zip(self._groups, self.pieces, strict=True):
                if self._dtypes[group[0]] == dtype:
                    machine = Machine(rule, some, piece.batch)
                    agrees = np.ones(piece.batch.size, bool)
                    for t in range(piece.batch.steps):
                        machine.step()
                        agrees &= piece.matches(machine, t)[0]
                    wrong.update(group[i] for i in np.unique(piece.batch.case[~agrees]))
            fresh = sorted(wrong - set(known), key=lambda i: (self._trajectories[i].case.steps > 24, i))
            if fresh:
                return fresh[:MORE]
        return []

    def first_failure(self, changes: Changes) -> str:
        """The case and script that a candidate does not reproduce."""
        for rule, some in self._by_arithmetic([changes]):
            for piece in self.pieces:
                machine = Machine(rule, some, piece.batch)
                for t in range(piece.batch.steps):
                    machine.step()
                    agrees = piece.matches(machine, t)[0]
                    if not agrees.all():
                        i = int(np.argmin(agrees))
                        number = int(piece.batch.case[i])
                        case = piece.cases[number]
                        return f"{case}, {case.scripts[i - int(piece.batch.starts[number])]}, step {t + 1}"
        return ""

    @staticmethod
    def _score(machine: Machine, piece: _Piece) -> Array:
        shape = (machine.alive.size, piece.batch.size)
        # Each quantity counts by itself: two deviations may have to meet before a step is right as a whole.
        alive = {quantity: np.ones(shape, bool) for quantity in piece.seen}
        reached = np.zeros(shape)
        for t in range(piece.batch.steps):
            machine.step()
            for quantity in alive:
                alive[quantity] &= piece.matches_in(quantity, machine, t)
                reached += alive[quantity] & (t < piece.steps)
        whole = np.logical_and.reduce(list(alive.values())).sum(axis=1)
        return np.stack([whole, (reached / (len(alive) * np.maximum(piece.steps, 1))).sum(axis=1)], axis=1)


def diagnose(
    rule: Rule,
    trajectories: Sequence[Trajectory],
    failed: set[int],
    *,
    signs: bool = False,
) -> Diagnosis:
    """Search for the deviations that explain what was seen.

    Parameters
    ----------
    rule : Rule
        The claimed rule.
    trajectories : sequence of Trajectory
        What was seen of the implementation, on every case.
    failed : set of int
        The positions of those that are not what the claimed rule does.
    signs : bool, optional
        Whether the memory that is shown holds signs only.

    Returns
    -------
    Diagnosis
    """
    cases = sum(t.steps > 0 for t in trajectories)
    every = ("x", "step_size", "prev", "gradient")
    search = Search(rule, trajectories, failed, signs=signs, quantities=every)
    beam: list[Changes] = []
    found = _smallest(search, rule)
    if not found:
        beam = _beam(search, rule)
        found = _greedy(search, rule, beam)
    if found:
        return Diagnosis([Explanation(c) for c in found], tried=search.tried, cases=cases)
    if any(t.step_size is not None or t.prev is not None for t in trajectories):
        # What it shows as its state may be something else altogether.
        bare = Search(rule, trajectories, failed, signs=signs, quantities=("x", "gradient"))
        if bare.surviving([()]):
            differ = tuple(q for q in ("step_size", "prev") if not _explains(rule, trajectories, failed, signs, q))
            return Diagnosis(complete=False, tried=search.tried, state_only=differ, cases=cases)
        found = _smallest(bare, rule, largest=2) or _greedy(bare, rule, _beam(bare, rule))
        search.tried += bare.tried
        if found:
            return Diagnosis([Explanation(c) for c in found], complete=False, tried=search.tried, cases=cases)
    return Diagnosis(nearest=_nearest(search, rule, beam), tried=search.tried, cases=cases)


def _explains(
    rule: Rule, trajectories: Sequence[Trajectory], failed: set[int], signs: bool, quantity: str
) -> bool:
    """Whether the rule does what is shown of one quantity."""
    return bool(Search(rule, trajectories, failed, signs=signs, quantities=(quantity,)).surviving([()]))


def _combinations(rule: Rule, size: int) -> tuple[Changes, ...]:
    """All sets of so many deviations, each in a slot of its own."""
    return _combinations_of(tuple(alternatives(rule)), size)


@functools.lru_cache(maxsize=8)
def _combinations_of(single: Changes, size: int) -> tuple[Changes, ...]:
    slots = list({a.slot: None for a in single})
    by_slot = {slot: [a for a in single if a.slot == slot] for slot in slots}
    return tuple(
        changes
        for chosen in itertools.combinations(slots, size)
        for changes in itertools.product(*(by_slot[slot] for slot in chosen))
    )


def _smallest(search: Search, rule: Rule, largest: int = 3) -> list[Changes]:
    """All explanations of the smallest size."""
    for size in range(1, largest + 1):
        found = search.surviving(_combinations(rule, size))
        if found:
            return found
    return []


def _beam(search: Search, rule: Rule) -> list[Changes]:
    """The combinations that reproduce most, the best first: grown one deviation at a time.

    They are measured on a few cases; what they fail on elsewhere is added, and the search goes on.
    """
    best: list[Changes] = [()]
    chosen: list[int] = []
    while True:
        more = search.failures(best[0], chosen)
        if not more:
            return best
        chosen += more
        best, perfect = _grown(search, rule, best, search.sample(chosen))
        if not perfect:
            return best


def _grown(search: Search, rule: Rule, best: list[Changes], pieces: list[_Piece]) -> tuple[list[Changes], bool]:
    """Larger combinations that reproduce more of these pieces, and whether the first reproduces all of them."""
    perfect = 2 * sum(p.batch.size for p in pieces)
    known = {frozenset(c): float(v) for c, v in zip(best, search.scores(best, pieces).sum(axis=1), strict=True)}
    named = {frozenset(c): c for c in best}
    top = max(known.values())
    single = tuple((a,) for a in alternatives(rule))
    additions: tuple[Changes, ...] = single
    while top < perfect and max(len(c) for c in best) < LONGEST:
        grown = {}
        for changes in best if additions is single else best[:1]:
            for added in additions:
                taken = {a.slot for a in added}
                larger = (*(c for c in changes if c.slot not in taken), *added)
                if frozenset(larger) not in known:
                    grown[frozenset(larger)] = larger
        candidates = list(grown.values())
        values = search.scores(candidates, pieces).sum(axis=1) if candidates else np.zeros(0)
        known.update((frozenset(c), float(v)) for c, v in zip(candidates, values, strict=True))
        named.update(grown)
        if values.max(initial=0) > top:
            top = float(values.max())
            additions = single
        elif additions is single:
            # None helps alone; but one may have to make room for another.
            additions = _combinations(rule, 2)
        else:
            break
        best = [named[key] for key in sorted(known, key=lambda key: (-known[key], len(key)))[:BEAM]]
    best = [named[key] for key in sorted(known, key=lambda key: (-known[key], len(key)))[: 2 * BEAM]]
    return best, top >= perfect


def _greedy(search: Search, rule: Rule, beam: list[Changes]) -> list[Changes]:
    """Explanations that grow from a beam: made as small as possible, with all their equals."""
    found = search.surviving(beam)
    if not found:
        return []
    smaller = found
    while smaller:
        found = smaller
        dropped = {frozenset(c): c for changes in found for c in itertools.combinations(changes, len(changes) - 1)}
        smaller = search.surviving([c for c in dropped.values() if c])
    swapped = {frozenset(c): c for c in found}
    for changes in found:
        for i in range(len(changes)):
            others = changes[:i] + changes[i + 1 :]
            taken = {c.slot for c in others}
            for a in alternatives(rule):
                if a.slot not in taken:
                    swapped.setdefault(frozenset((*others, a)), (*others, a))
    return search.surviving(list(swapped.values()))


def _nearest(search: Search, rule: Rule, beam: list[Changes]) -> list[Near]:
    scores = search.scores([(), *beam[:3]], search.pieces)[:, 0]
    total = sum(p.batch.size for p in search.pieces)
    found = []
    for changes, matched in zip([(), *beam[:3]], scores, strict=True):
        # A deviation that explains no more than the rule does is no lead.
        if matched < total and (not changes or matched > scores[0]):
            found.append(Near(changes, int(matched), total, search.first_failure(changes)))
    found.sort(key=lambda near: (-near.matched, len(near.changes)))
    return found[:3]
