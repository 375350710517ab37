"""A rule with its title, and with what it does that the nearest of the five rules does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .._table.five import expected
from .._table.grammar import FIELDS, Answer, row_of
from .._table.rule import Rule
from .._table.table import Table, joined
from .strands import Nature


def described(entries: Mapping[str, Answer], nearest: str, nature: Nature) -> Rule:
    """The rule with these entries, and what it does that the nearest of the five does not."""
    table = Table(entries, nature.symmetric, nature.uses_loss)
    differences = tuple(joined(_differences(table, nearest)))
    title = f"This is {nearest}"
    if differences:
        points = f"{len(differences)} point{'s' if len(differences) > 1 else ''}"
        title = f"This is nearest to {nearest}, from which it differs in {points}"
    return Rule(Table(entries, table.symmetric, table.uses_loss, title), nearest, differences)


def _differences(table: Table, nearest: str) -> Iterator[str]:
    """What a table does that the nearest rule does not."""
    for row, sign in table.rows():
        different = [
            field for field in ("factor", "limits", "move", "memory", "late move")
            if (answer := table.entries.get(f"{row}{' ' + sign if sign else ''}: {field}")) is not None
            and answer != expected(nearest, f"{row}: {field}")
        ]  # fmt: skip
        if different:
            yield table.row_sentence(row, sign, different)
    for name in table.entries:
        if name == "own limits" or (name == "start memory" and _first_is_told(table, nearest)):
            continue  # the limits, or the row of the first step, say so
        if ": " not in name and table[name] != (expected(nearest, name) or table.plainest(name)):
            yield f"{table.sentence(name)}."


def _first_is_told(table: Table, nearest: str) -> bool:
    """Whether the first step has a row of its own that is told, or is that of a memory of 0."""
    if table["start memory"] != "own":
        return False
    first = {key: answer for key, answer in table.entries.items() if row_of(key) == "first"}
    told = any(answer != expected(nearest, key) for key, answer in first.items())
    return told or all(
        table.answer("first", sign, field) == table.answer("fresh", sign, field)
        for sign in "+-" for field in FIELDS
    )  # fmt: skip
