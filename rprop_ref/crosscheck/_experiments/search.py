"""The search: what is known of a table, narrowed by what was observed, one coordinate at a time.

A hypothesis is a set of answers that remain for each entry (`_table.machine.Known`). A coordinate's run is
computed for every hypothesis; where it depends on an entry that is not known, the hypothesis is split. One whose x
differs from the observed x in a bit is dropped at this step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._cases.case import Case
from .._cases.dtypes import COMPLEX
from .._comparison.divergence import Divergence
from .._comparison.trajectory import Trajectory
from .._table.grammar import Answer, Grammar
from .._table.machine import Call, Constants, Fork, Known, Settings, State, advance, begin, same

#: More hypotheses than this are not kept: those with the fewest entries go on.
MOST = 1500

#: A search gives up after this many steps; `Search.begin` allows as many again.
STEPS = 250_000

#: Once ordinary use is known, a strand that splits a hypothesis into more than this teaches nothing yet.
WIDTH = 300

#: Up to this many hypotheses are looked at to put some together.
MERGED = 600

#: How plain a number is beside words.
NUMBER = 8

Numbers = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Nature:
    """What was found about an implementation before its table is learned.

    Attributes
    ----------
    symmetric : bool
        Whether mirrored gradients mirror the run.
    uses_loss : bool
        Whether x depends on the losses.
    """

    symmetric: bool = True
    uses_loss: bool = False


@dataclass
class Strand:
    """One coordinate of a run: what it was given, and what was observed."""

    settings: Settings
    x0: Any
    calls: list[Call]
    x: list[Any]
    gradient: list[Any]


def strands(trajectory: Trajectory, nature: Nature) -> list[Strand]:
    """The coordinates of a run, as far as it was observed. A run on an objective has none, nor one with bounds."""
    case = trajectory.case
    if case.objective is not None or case.bounds is not None or case.dtype in COMPLEX:
        return []
    kind = float if case.real == np.float64 else case.real.type
    with np.errstate(all="ignore"):
        return [_strand(trajectory, case, i, kind, nature) for i in range(case.size)]


def strand_of(divergence: Divergence, trajectory: Trajectory, nature: Nature) -> list[Strand]:
    """The coordinate of a difference, up to the step that differs; none if it cannot be learned from."""
    case = trajectory.case
    if case.objective is not None or case.bounds is not None or case.dtype in COMPLEX or case.dtype == "bfloat16":
        return []
    kind = float if case.real == np.float64 else case.real.type
    with np.errstate(all="ignore"):
        strand = _strand(trajectory, case, divergence.coordinate, kind, nature)
    return [replace(strand, calls=strand.calls[: divergence.step])]


def _strand(trajectory: Trajectory, case: Case, i: int, kind: Any, nature: Nature) -> Strand:
    current = {"lr": case.lr, "etas": case.etas, "step_sizes": case.step_sizes}
    first = _constants(current, i, kind)
    calls = []
    for t in range(trajectory.steps):
        edit = case.edits.get(t, {})
        current |= edit
        g = None if t in case.none else kind(case.g[t, i])
        calls.append(
            Call(g, case.loss[t], tuple(edit), t in case.resumed, _constants(current, i, kind) if edit else None)
        )
    settings = Settings(first, kind, case.maximize, case.reused, nature.symmetric, nature.uses_loss)
    xs, after = ([kind(v) for v in a[:, i]] for a in (trajectory.x, trajectory.gradient))
    return Strand(settings, kind(case.x0[i]), calls, xs, after)


def _constants(current: dict[str, Any], i: int, kind: Any) -> Constants:
    lr = current["lr"][i] if isinstance(current["lr"], np.ndarray) else current["lr"]
    return Constants(*(kind(v) for v in (lr, *current["etas"], *current["step_sizes"])))


@dataclass
class Contradiction:
    """Where the last hypothesis was dropped."""

    strand: Strand
    step: int


@dataclass
class _Trail:
    """The states of a hypothesis along the last strand that it reproduced: the next need not repeat them."""

    known: Known
    strand: Strand
    path: tuple[State, ...]


class Search:
    """The hypotheses that remain.

    Attributes
    ----------
    remaining : list of Known
    width : int
        The most hypotheses that are kept.
    prunes : bool
        Whether the plainest of too many go on. Otherwise a strand that leaves too much open teaches nothing.
    contradiction : Contradiction or None
        Where the last one was dropped by `narrow`, which then has changed nothing.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.remaining = [Known({}, grammar)]
        self.contradiction: Contradiction | None = None
        self._trails: dict[int, _Trail] = {}
        self.width, self.prunes = MOST, True
        self.begin()

    def begin(self) -> None:
        """Allow `STEPS` more steps."""
        self.steps = 0

    @property
    def exhausted(self) -> bool:
        """Whether it has given up."""
        return self.steps > STEPS

    def narrow(self, some: Iterable[Strand]) -> bool:
        """Keep the hypotheses that reproduce these strands. If none does, keep all, and return False."""
        remaining = self.remaining
        seen: set[Any] = set()
        with np.errstate(all="ignore"):
            for strand in some:
                key = _identity(strand)
                if key in seen:
                    continue
                seen.add(key)
                found, step = self._reproducing(remaining, strand)
                if not found:
                    self.contradiction = Contradiction(strand, step)
                    return False
                remaining = found
        self.remaining = remaining
        return True

    def cost(self, known: Known) -> tuple[int, int]:
        """How plain the answers of a hypothesis are; less is plainer."""
        ranks = [self._rank(key, group[0]) for key, group in known.entries.items()]
        return sum(ranks), len(known.entries)

    def _rank(self, key: str, answer: Answer) -> int:
        every = self.grammar.answers(key)
        return every.index(answer) if isinstance(answer, str) else NUMBER

    def _reproducing(self, hypotheses: Sequence[Known], strand: Strand) -> tuple[list[Known], int]:
        """The hypotheses, possibly split, that reproduce a strand; and the step that the best of them reached."""
        found: dict[Known, Known] = {}
        furthest, trails = 0, self._trails
        for hypothesis in hypotheses:
            ends, step = self._ends(hypothesis, strand)
            furthest = max(furthest, step)
            for known in ends:
                found.setdefault(known, known)
            if not self.prunes and len(found) > 2 * self.width:
                return list(hypotheses), furthest
        self._trails = {key: trail for known in found if (trail := trails.get(key := id(known))) is not None}
        kept = list(found.values())
        kept = _merged(kept)
        if len(kept) > self.width:
            if not self.prunes:
                return list(hypotheses), furthest
            kept = sorted(kept, key=self.cost)[: self.width]
        return kept, furthest

    def _ends(self, hypothesis: Known, strand: Strand) -> tuple[list[Known], int]:
        """One hypothesis, split where it has to be, after the last step of a strand."""
        current, done = self._resumed(hypothesis, strand)
        for t in range(done, len(strand.calls)):
            call, x, gradient = strand.calls[t], strand.x[t], strand.gradient[t]
            following = []
            if self.exhausted:
                return [], t
            if len(current) > (self.width if self.prunes else 2 * self.width):
                return [hypothesis], t
            for known, path in current:
                state = path[-1]
                for split, new in self._forked(known, lambda k, s=state: advance(k, s, call, strand.settings, x)):  # noqa: B023
                    if same(new.x, x) and same(new.touched, gradient):
                        following.append((split, (*path, new)))
            if not following:
                return [], t
            current = following
        for known, path in current:
            self._trails[id(known)] = _Trail(known, strand, path)
        return [known for known, _ in current], len(strand.calls)

    def _resumed(self, hypothesis: Known, strand: Strand) -> tuple[list[tuple[Known, tuple[State, ...]]], int]:
        """Where to begin with a strand, and its steps that are made: those that it shares with the last one."""
        trail = self._trails.get(id(hypothesis))
        if trail is not None and trail.known is hypothesis:
            before = trail.strand
            if before.settings == strand.settings and before.x0 == strand.x0:
                shared = 0
                for old, new, x, y in zip(before.calls, strand.calls, before.x, strand.x, strict=False):
                    if old != new or x != y:
                        break
                    shared += 1
                return [(hypothesis, trail.path[: shared + 1])], shared
        begun = self._forked(hypothesis, lambda known: begin(known, strand.x0, strand.settings))
        return [(known, (state,)) for known, state in begun], 0

    def _forked(self, known: Known, run: Any) -> list[tuple[Known, State]]:
        """Run something for a hypothesis; where it has to choose, for each of the choices."""
        done, todo = [], [known]
        while todo and not self.exhausted:
            hypothesis = todo.pop()
            self.steps += 1
            try:
                done.append((hypothesis, run(hypothesis)))
            except Fork as fork:
                todo += [hypothesis.narrowed(fork.key, group) for group in reversed(fork.groups)]
        return done


def _identity(strand: Strand) -> Any:
    calls = tuple(
        (str(c.gradient), c.loss if c.loss == c.loss else None, c.set, c.resumed, c.constants)
        for c in strand.calls
    )
    return strand.settings, strand.x0, calls


def _merged(hypotheses: list[Known]) -> list[Known]:
    """The same hypotheses, those put together that differ in the answers to one entry only."""
    if not 1 < len(hypotheses) <= MERGED:
        return hypotheses
    keys = sorted({key for known in hypotheses for key in known.entries})
    for key in keys:
        alike: dict[frozenset[Any], Known] = {}
        for known in hypotheses:
            others = frozenset(item for item in known.entries.items() if item[0] != key)
            first = alike.get(others)
            if first is None:
                alike[others] = known
            elif key not in first.entries or key not in known.entries:
                alike[others] = first if key not in first.entries else known
            else:
                both = {*first.entries[key], *known.entries[key]}
                alike[others] = first.narrowed(key, tuple(a for a in first.grammar.answers(key) if a in both))
        hypotheses = list(alike.values())
    return hypotheses


def reached(contradiction: Contradiction) -> str:
    """The gradients up to the step at which the last hypothesis was dropped, in words."""
    return " ".join(_word(call) for call in contradiction.strand.calls[: contradiction.step + 1])


def _word(call: Call) -> str:
    g = call.gradient
    return "None" if g is None else f"{float(g):g}"
