"""What differs, point by point: in a few words, with what to change, in the order of how much each explains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .._cases.case import Case
from .._cases.tiers import ORDINARY, TIERS, tier_of
from .._comparison.divergence import same_values
from .._comparison.expected import run_composition, trajectories_by
from .._comparison.trajectory import Trajectory
from .._diagnosis.result import Explanation
from .._stages.compositions import COMPOSITIONS, PAPER, remedy
from .._stages.deviations import DEVIATIONS
from .._stages.stages import Alternative, changed
from .._table.five import UNUSUAL, expected, uses_loss
from .._table.grammar import FIELDS, GLOBALS, ROWS, Answer, row_of
from .._table.names import REMEDIES
from .._table.names import points as named_points
from .._table.rule import Rule
from .._table.table import Table, joined

#: What a rule does on cases.
_Run = Callable[[Sequence[Case]], Sequence[Trajectory]]

#: Where a point shows, its text, and the entries that it is about.
_Row = tuple[tuple[int, int], str, list[str]]

#: What is compared of a rule that was learned.
_LEARNED = ("x", "gradient")


@dataclass(frozen=True)
class Point:
    """Something that the implementation does, and the claimed rule does not.

    Attributes
    ----------
    text : str
        The name of a known deviation, or what it does, in a few words.
    remedy : str
        What to change to get the claimed rule; empty if it makes no difference once the other points are mended.
    known_in : tuple of str
        Published implementations that do the same.
    does : str
        What it does, in sentences.
    tier : str
        The innermost tier in which it makes a difference.
    """

    text: str
    remedy: str
    known_in: tuple[str, ...] = ()
    does: str = ""
    tier: str = ORDINARY


class Cases:
    """The reproducible cases with what the claimed rule does and what was observed, tier by tier.

    Parameters
    ----------
    expected, observed : sequence of Trajectory
    signs_only : bool
        Whether the `prev` shown holds signs only.
    """

    def __init__(self, expected: Sequence[Trajectory], observed: Sequence[Trajectory], signs_only: bool) -> None:
        self._signs_only = signs_only
        self._tiers: dict[str, list[tuple[Trajectory, Trajectory]]] = {tier: [] for tier in TIERS}
        for right, seen in zip(expected, observed, strict=True):
            if seen.steps:
                self._tiers[tier_of(seen.case)].append((right, seen))

    def first_difference(self, run: _Run, quantities: Iterable[str], *, claimed: bool = False) -> tuple[int, int]:
        """Where a rule is not what was observed (or, with `claimed`, what the claimed rule does).

        Returns
        -------
        tier : int
            The position of the innermost tier with a difference; the number of tiers if there is none.
        cases : int
            How many cases of this tier differ, negative, so that less is more.
        """
        for position, pairs in enumerate(self._tiers.values()):
            targets = [right if claimed else seen for right, seen in pairs]
            made = run([target.case for target in targets])
            differing = sum(self._differs(a, b, quantities) for a, b in zip(made, targets, strict=True))
            if differing:
                return position, -differing
        return len(TIERS), 0

    def that(self, run: _Run, quantities: Iterable[str]) -> Cases:
        """Only the cases that a rule reproduces."""
        some = Cases([], [], self._signs_only)
        for tier, pairs in self._tiers.items():
            made = run([seen.case for _, seen in pairs])
            some._tiers[tier] = [
                pair for a, pair in zip(made, pairs, strict=True) if not self._differs(a, pair[1], quantities)
            ]
        return some

    def _differs(self, made: Trajectory, target: Trajectory, quantities: Iterable[str]) -> bool:
        shown, steps = target.shown(), target.steps
        return made.steps < steps or any(
            not same_values(
                quantity, getattr(made, quantity)[:steps], shown[quantity], signs_only=self._signs_only
            ).all()
            for quantity in quantities if quantity in shown
        )  # fmt: skip


# --- known deviations -----------------------------------------------------------------------------------------


def points_of_explanation(
    explanation: Explanation, claim: str, cases: Cases, quantities: Sequence[str]
) -> list[Point]:
    """A point for each deviation of an explanation of some quantities."""
    changes = [a for a in explanation.changes if isinstance(a, Alternative)]
    rule = COMPOSITIONS[claim]

    def run(some: Sequence[Alternative]) -> _Run:
        composition = changed(rule, tuple(some))
        return lambda cases: trajectories_by(lambda joint: run_composition(composition, joint), cases)

    shows = {a: cases.first_difference(run([b for b in changes if b != a]), quantities) for a in changes}
    changes.sort(key=lambda a: shows[a][0])
    without: list[Alternative] = []  # these make no difference if all others are mended
    if len(changes) > 1:
        for a in reversed(changes):
            if cases.first_difference(run([*without, a]), quantities, claimed=True)[0] == len(TIERS):
                without.append(a)
    return [
        Point(
            a.name, "" if a in without else remedy(rule, a), a.known_in, a.does, _tier(shows[a][0])
        )
        for a in changes
    ]  # fmt: skip


def _tier(position: int) -> str:
    return list(TIERS)[min(position, len(TIERS) - 1)]


# --- what was learned -----------------------------------------------------------------------------------------


def points_of_rule(rule: Rule, claim: str, cases: Cases) -> list[Point]:
    """The points in which a rule that was learned is not the claimed one.

    A point that makes no difference in any case that the rule reproduces is none.
    """
    other = rule.nearest if claim == PAPER else claim
    # What no case showed has the plainest answer, which may matter once the rest is mended.
    plainest: dict[str, Answer] = {name: rule.table.plainest(name) for name in (*UNUSUAL, "16-bit constants")}
    table = Table({**plainest, **rule.table.entries}, rule.table.symmetric, rule.table.uses_loss)
    cases = cases.that(rule.on_cases, _LEARNED)

    def run(entries: dict[str, Answer]) -> _Run:
        return Rule(Table(entries, table.symmetric, table.uses_loss)).on_cases

    # What was never needed may be, if another entry is changed.
    entries, rows, unseen = {**_all_entries(table, other), **table.entries}, [], []
    for text, keys in reversed(named_points(table, other, everything=True)):
        without = {**entries, **{key: _answer(other, key) for key in keys}}
        shows = cases.first_difference(run(without), _LEARNED)
        if shows[0] == len(TIERS):
            entries = without
            unseen.append((text, keys))
        else:
            rows.append((shows, text, keys))
    rows.reverse()
    rows.sort(key=lambda row: row[0])
    if not (uses_loss(other) and not table.uses_loss):
        rows += _needed_later(rows, unseen, cases, run, other, {**entries, **table.entries})
    points = [
        Point(text, _remedy(table, text, keys, other, claim), _known_in(text), _does(table, keys), _tier(shows[0]))
        for shows, text, keys in rows
    ]  # fmt: skip
    if uses_loss(other) and not table.uses_loss:
        return [*points, _NO_LOSS]
    right = {**entries, **{key: _answer(other, key) for _, _, keys in rows for key in keys}}
    if len(rows) > 1 and cases.first_difference(run(right), _LEARNED, claimed=True)[0] == len(TIERS):
        for i, (_, _, keys) in reversed(list(enumerate(rows))):
            unmended = {**right, **{key: table.entries[key] for key in keys}}
            if cases.first_difference(run(unmended), _LEARNED, claimed=True)[0] == len(TIERS):
                right, points[i] = unmended, replace(points[i], remedy="")
    return points


def _needed_later(
    rows: Sequence[_Row],
    unseen: Sequence[tuple[str, list[str]]],
    cases: Cases,
    run: Callable[[dict[str, Answer]], _Run],
    other: str,
    entries: dict[str, Answer],
) -> list[_Row]:
    """Points that make no difference at first, but do so once the others are mended."""
    mended = {**entries, **{key: _answer(other, key) for _, _, keys in rows for key in keys}}
    if cases.first_difference(run(mended), _LEARNED, claimed=True)[0] == len(TIERS):
        return []
    every = {**mended, **{key: _answer(other, key) for _, keys in unseen for key in keys}}
    needed = []
    for text, keys in unseen:
        without = {**every, **{key: entries[key] for key in keys}}
        shows = cases.first_difference(run(without), _LEARNED, claimed=True)
        if shows[0] == len(TIERS):
            every = without
        else:
            needed.append((shows, text, keys))
    return needed[::-1]


def _all_entries(table: Table, rule: str) -> dict[str, Answer]:
    """The rows of one of the five rules, for each sign if those of a table are."""
    signs = ("", "0") if table.symmetric else ("+", "-", "0")
    keys = (table.key(row, sign, field) for row in ROWS for sign in signs for field in FIELDS)
    return {key: answer for key in keys if (answer := expected(rule, key)) is not None}


#: What explains an implementation of which nothing else is seen.
NEVER_MOVES = Point(
    "x never moves",
    "Let step return the parameters that it changes.",
    does="Every step returns the parameters that the factory was given.",
)

_NO_LOSS = Point(
    "losses are not compared",
    "At a sign change, take the last move back if the loss rose, and otherwise do not move.",
    does="Whether the loss rose makes no difference.",
)


def _answer(rule: str, key: str) -> Answer:
    """What one of the five rules has in an entry."""
    answer = expected(rule, key)
    return answer if answer is not None else next(iter(GLOBALS[key]))


def _known_in(text: str) -> tuple[str, ...]:
    return DEVIATIONS[text].known_in if text in DEVIATIONS else ()


def _does(table: Table, keys: Sequence[str]) -> str:
    """What a table says in some entries."""
    sentences = [f"{table.sentence(key)}." for key in keys if not row_of(key)]
    for row, sign in table.rows():
        prefix = f"{row}{' ' + sign if sign else ''}: "
        fields = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
        if fields:
            sentences.append(table.row_sentence(row, sign, fields))
    return " ".join(joined(sentences))


def _remedy(table: Table, text: str, keys: Sequence[str], other: str, claim: str) -> str:
    """What to change: the remedy of a known deviation, or what the other rule does in the same entries."""
    if text in REMEDIES:
        return REMEDIES[text]
    known = DEVIATIONS.get(text)
    if known is not None:
        return remedy(COMPOSITIONS[claim], known)
    right = Table({**table.entries, **{key: _answer(other, key) for key in keys}}, table.symmetric)
    return f"As in {other}: {_does(right, keys)}"
