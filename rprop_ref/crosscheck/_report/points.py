"""What differs, point by point: in a few words, with what to change, in the order of how much each explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._comparison.divergence import same_values
from .._comparison.trajectory import Trajectory
from .._diagnosis.result import Explanation
from .._stages.compositions import COMPOSITIONS, PAPER, remedy
from .._stages.deviations import DEVIATIONS
from .._table.five import expected
from .._table.grammar import GLOBALS, Answer, row_of
from .._table.names import points as named_points
from .._table.rule import Rule
from .._table.table import Table

#: Points are ordered by what a rule without them does on at most this many cases.
CASES = 60


@dataclass(frozen=True)
class Point:
    """Something that the implementation does, and the claimed rule does not.

    Attributes
    ----------
    text : str
        The name of a known deviation, or what it does, in a few words.
    remedy : str
        What to change to get the claimed rule.
    known_in : tuple of str
        Published implementations that do the same.
    """

    text: str
    remedy: str
    known_in: tuple[str, ...] = ()


def points_of_explanation(explanation: Explanation, claim: str) -> list[Point]:
    """A point for each deviation of an explanation."""
    return [Point(a.name, remedy(COMPOSITIONS[claim], a), a.known_in) for a in explanation.changes]


def points_of_rule(rule: Rule, claim: str, observed: Sequence[Trajectory]) -> list[Point]:
    """The points in which a rule that was learned is not the claimed one.

    Parameters
    ----------
    rule : Rule
    claim : str
    observed : sequence of Trajectory
        What the implementation does where the claimed rule does something else.
    """
    other = rule.nearest if claim == PAPER else claim
    rows = named_points(rule.table, other)
    if len(rows) > 1:
        rows.sort(key=lambda row: -_failing_without(rule, row[1], other, observed[:CASES]))
    return [Point(text, _remedy(rule.table, text, keys, other, claim)) for text, keys in rows]


def _failing_without(rule: Rule, keys: Sequence[str], other: str, observed: Sequence[Trajectory]) -> int:
    """How many cases a rule does not reproduce without a point: with the other rule's entries there."""
    table = rule.table
    entries = {**table.entries, **{key: _answer(other, key) for key in keys}}
    without = Rule(Table(entries, table.symmetric, table.uses_loss))
    made = without.on_cases([trajectory.case for trajectory in observed])
    return sum(
        not same_values("x", a.x[: b.steps], b.x[: a.steps]).all() for a, b in zip(made, observed, strict=True)
    )


def _answer(rule: str, key: str) -> Answer:
    """What one of the five rules has in an entry."""
    answer = expected(rule, key)
    return answer if answer is not None else next(iter(GLOBALS[key]))


def _remedy(table: Table, text: str, keys: Sequence[str], other: str, claim: str) -> str:
    """What to change: the remedy of a known deviation, or what the other rule does in the same entries."""
    known = DEVIATIONS.get(text)
    if known is not None:
        return remedy(COMPOSITIONS[claim], known)
    right = Table({**table.entries, **{key: _answer(other, key) for key in keys}}, table.symmetric)
    sentences = [f"{right.sentence(key)}." for key in keys if not row_of(key)]
    for row, sign in table.rows():
        prefix = f"{row}{' ' + sign if sign else ''}: "
        fields = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
        if fields:
            sentences.append(right.row_sentence(row, sign, fields))
    return f"As in {other}: {' '.join(sentences)}"
