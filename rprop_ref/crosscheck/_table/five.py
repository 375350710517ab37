"""The five rules as tables: what a table is compared with to say which of them it is nearest to."""

from __future__ import annotations

from collections.abc import Mapping

from .grammar import FLIPS, Answer, field_of, row_of

#: What all five have in common, whatever the row.
_USUAL = {"limits": "both", "move": "new", "memory": "new", "factor": "1", "late move": "made"}

#: What they do at a sign change: the move, the move if the loss rose, and the memory.
_AT_A_FLIP = {
    "irprop-": ("none", "none", "0"),
    "rprop+": ("undo recomputed", "undo recomputed", "0"),
    "rprop-": ("new", "new", "new"),
    "irprop+": ("none", "undo recomputed", "0"),
    "irprop-go": ("new", "new", "0"),
}  # fmt: skip

NAMES = tuple(_AT_A_FLIP)


def expected(rule: str, key: str) -> Answer | None:
    """The answer of one of the five rules for an entry; None if it is the plainest."""
    field, row = field_of(key), row_of(key)
    if not row:
        if key == "flip test":
            return "factor" if rule == "irprop-" else "sign"
        if key == "no move":
            return "none" if rule == "irprop+" else "times 0"
        return {"factor of 0": "is 1", "16-bit constants": "through float32"}.get(key)
    if row in FLIPS:
        move, if_rose, memory = _AT_A_FLIP[rule]
        flip = {"factor": "down", "move": if_rose if row == "rose" else move, "memory": memory}
        return flip.get(field, _USUAL[field])
    if row == "nan" and field == "move":
        return "none"
    return "up" if (row, field) == ("same", "factor") else _USUAL[field]


def uses_loss(rule: str) -> bool:
    """Whether a rule compares losses."""
    move, if_rose, _ = _AT_A_FLIP[rule]
    return move != if_rose


def candidates(with_loss: bool) -> tuple[str, ...]:
    """The rules that a table may be near to; those that compare losses only if it does."""
    return tuple(rule for rule in NAMES if with_loss or not uses_loss(rule))


def wanted(rule: str, key: str, remaining: Mapping[str, tuple[Answer, ...]]) -> Answer | None:
    """The answer of a rule for an entry, if all of its moves are made before the step size is adapted, too."""
    answer = expected(rule, key)
    adapts_after = any(remaining.get(f"same{sign}: move") == ("old",) for sign in ("", " +", " -"))
    return "old" if adapts_after and answer == "new" and field_of(key) == "move" else answer


def distance(rule: str, remaining: Mapping[str, tuple[Answer, ...]]) -> int:
    """How many entries cannot have the answer of a rule; what happens at an event counts more than how."""
    different = [
        key
        for key, group in remaining.items()
        if (answer := wanted(rule, key, remaining)) is not None and answer not in group
    ]
    return sum(10 if row_of(key) else 1 for key in different)
