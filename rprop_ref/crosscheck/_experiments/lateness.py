"""Rules whose moves are made one step late: how they are seen, and what such a rule may do with a move."""

from __future__ import annotations

import numpy as np

from .._table.grammar import ROWS, Answer, Grammar, keyed
from .laboratory import Laboratory, words
from .traits import LENGTH, SETTING


def seems_late(laboratory: Laboratory) -> bool:
    """Whether no move depends on the gradient of its own step, except that some are not made."""
    letters = (1.0, -1.0, 0.0)
    moves = np.diff(laboratory.run(words(letters, LENGTH), **SETTING).x.astype(np.float64), axis=0)
    for t, moved in enumerate(moves, start=1):
        # Words that begin alike are beside one another.
        alike = moved.reshape(len(letters) ** t, -1)
        largest = alike[np.arange(len(alike)), np.abs(alike).argmax(axis=1)]
        if not ((alike == largest[:, None]) | (alike == 0)).all():
            return False
    return bool(moves.any())


def late_moves(*answers: Answer) -> dict[str, tuple[Answer, ...]]:
    """The entries of what may become of a late move, with only these answers wherever it is."""
    return {
        f"{keyed(row, sign, symmetric=symmetric)}: late move": answers
        for row in ROWS for sign in "+-0" for symmetric in (True, False)
    }  # fmt: skip


def made_late(grammar: Grammar) -> bool:
    """Whether a grammar has late moves only, none of which is made at once instead."""
    return grammar.answers("late") == ("yes",) and "at once" not in grammar.late_moves


def has_own_rows(grammar: Grammar) -> bool:
    """Whether the first step, or that after a sign change, has a row of its own."""
    return ("own",) in (grammar.answers("start memory"), grammar.answers("after a flip"))
