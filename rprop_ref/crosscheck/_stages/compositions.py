"""The rules as compositions of alternatives: the claims that `check` accepts.

This is a second, independent definition of the five rules in `rprop_ref.rules`, so nothing is derived from these.
A test compares the two on every case.
"""

from __future__ import annotations

from .deviations import DEVIATIONS
from .stages import ARITHMETIC, SLOTS, Alternative, Changes, Composition, changed

#: A claim that is not one of the five rules: the algorithm box in the documentation of ``torch.optim.Rprop``.
PAPER = "paper"


def _first_alternatives() -> Composition:
    """The alternative that `DEVIATIONS` lists first in each slot; together these are iRprop-."""
    first: Composition = {}
    for alternative in DEVIATIONS.values():
        first.setdefault(alternative.slot, alternative)
    assert set(first) == {slot.name for slot in SLOTS} | {ARITHMETIC}
    return first


_BASE = _first_alternatives()


def _with(*names: str) -> Composition:
    return changed(_BASE, tuple(DEVIATIONS[name] for name in names))


#: What `check` accepts as a claim: the five rules of `rprop_ref.rules`, and "paper".
COMPOSITIONS: dict[str, Composition] = {
    "irprop-": _BASE,
    "rprop+": _with("flip found by the sign", "takes the move back at a flip"),
    "rprop-": _with("flip found by the sign", "moves on at a flip", "memory kept at a flip"),
    "irprop+": _with("flip found by the sign", "takes the move back if the loss rose"),
    "irprop-go": _with("flip found by the sign", "moves on at a flip"),
    # The box is meant in exact arithmetic, where no product underflows, so signs are compared instead.
    PAPER: _with("flip found by the sign", "signs compared", "one limit per branch", "NaN poisons"),
}


def composition_of(claim: str) -> Composition:
    """The composition of a claimed rule.

    Raises
    ------
    ValueError
        If there is no such claim.
    """
    if not isinstance(claim, str) or claim not in COMPOSITIONS:
        raise ValueError(f"unknown claim {claim!r}; choose from {', '.join(COMPOSITIONS)}")
    return COMPOSITIONS[claim]


def deviations_from(composition: Composition) -> list[Alternative]:
    """All single deviations from a rule: every other alternative of every slot."""
    return [a for a in DEVIATIONS.values() if a != composition[a.slot]]


def differences(composition: Composition, other: Composition) -> Changes:
    """The alternatives of `other` in the slots where the two differ."""
    return tuple(other[slot] for slot in composition if other[slot] != composition[slot])


def remedy(composition: Composition, deviation: Alternative) -> str:
    """What to change in an implementation with this deviation to get the rule."""
    return deviation.cure or composition[deviation.slot].fix
