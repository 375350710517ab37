"""New runs beside the published ones: which of these stay, and which must be made again.

A new run takes the place of the published one of the same method, problem, mode and seed; all others stay. A
published run knows its costs, but not its curve. So if new runs change the lowest value by which it was measured,
it has to be made again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .modes import MODES, UNDISTURBED
from .profiles import TOLERANCES, Row, lowest_values
from .runner import Pair, pair_of

#: What the names of ideas begin with in the records.
PREFIX = "idea:"

#: For each mode, the one with the same objective in which nothing is spoilt.
PLAIN = {name: UNDISTURBED[mode.objective] for name, mode in MODES.items()}

#: Changes of the lowest value that change no cost, relative to what there was to gain since the start.
NEGLIGIBLE = 1e-3 * min(TOLERANCES)


def is_idea(run: Row | Pair) -> bool:
    """Whether it is a run of an idea. Ideas are measured by lowest values of their own."""
    return run.method.startswith(PREFIX)


def pair_of_row(row: Row) -> Pair:
    """The run that a row is of."""
    return Pair(row.suite, row.problem, row.mode, row.seed, row.method)


def not_replaced(published: Iterable[Row], records: Iterable[dict[str, Any]]) -> list[Row]:
    """The published runs that no record takes the place of."""
    new = {pair_of(record) for record in records}
    return [row for row in published if pair_of_row(row) not in new]


def outdated(published: Sequence[Row], records: Sequence[dict[str, Any]]) -> list[Pair]:
    """Published runs that are not replaced, and whose lowest value is not what it was when they were measured."""
    methods = [row for row in published if not is_idea(row)]
    kept = not_replaced(methods, records)
    before = lowest_values((), PLAIN, methods)
    now = lowest_values([record for record in records if not is_idea(pair_of(record))], PLAIN, kept)

    def has_changed(row: Row) -> bool:
        key = row.suite, row.problem, row.mode
        old, new = before.get(key, math.inf), now.get(key, math.inf)
        return abs(new - old) > NEGLIGIBLE * (row.f0 - old)

    return [pair_of_row(row) for row in kept if has_changed(row)]
