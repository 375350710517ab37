"""The five rules as tables: what a table is compared with to say which of them it is nearest to."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .events import all_events, row_and_sign
from .grammar import FIELDS, FLIPS, Answer, field_of, keyed, row_of

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


#: Entries of the whole rule in which one of the five has another answer than the plainest, in every dtype.
UNUSUAL = ("flip test", "factor of 0", "no move")


def completed(
    rule: str, entries: Mapping[str, Answer], lacks: Collection[str], *, symmetric: bool, uses_loss: bool
) -> dict[str, Answer]:
    """Some entries, and those of one of the five rules wherever there is none.

    So a rule that was learned does nothing that no entry says: code may do anything in a row without entries.

    Parameters
    ----------
    rule : str
    entries : mapping of str to answer
    lacks : collection of str
        Words of `without`: rows that need what is lacking are not met, and get no entries.
    symmetric, uses_loss : bool
        As for a table.
    """
    known = {key: (answer,) for key, answer in entries.items()}
    found: dict[str, Answer] = dict(entries)
    own_first, own_after = entries.get("start memory") == "own", entries.get("after a flip") == "own"
    for event in all_events(uses_loss=uses_loss, own_first=own_first, own_after=own_after):
        from_nan, from_inf = event.gradient == "nan", event.seen == "nan"
        never_met = (from_nan and "nan" in lacks) or (from_inf and {"nan", "inf"} <= {*lacks})
        row = keyed(*row_and_sign(event), symmetric=symmetric)
        for field in () if never_met else FIELDS:
            answer = wanted(rule, f"{row}: {field}", known)
            if answer is not None:
                found.setdefault(f"{row}: {field}", answer)
    for name in UNUSUAL:
        answer = expected(rule, name)
        if answer is not None:
            found.setdefault(name, answer)
    return found


def distance(rule: str, remaining: Mapping[str, tuple[Answer, ...]]) -> int:
    """How many entries cannot have the answer of a rule; what happens at an event counts more than how."""
    different = [
        key
        for key, group in remaining.items()
        if (answer := wanted(rule, key, remaining)) is not None and answer not in group
    ]
    return sum(10 if row_of(key) else 1 for key in different)
