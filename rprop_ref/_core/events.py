"""What a step did to each coordinate, in one byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rules import FACTOR_IS_ETA_MINUS, MADE, RULES, adapt
from . import constants as entry

Array = np.ndarray[Any, Any]

# Two bits: what the signs of the gradient and of the stored one did to the step size.
CHANGE = 0b11
KEPT = 0  # nothing to compare: the first step, the one after a change of sign, a zero gradient
GREW = 1
SHRANK = 2
UNDERFLOW = 3  # kept, though neither gradient is zero: their product is too small for the dtype

# Two bits: what became of the move.
MOVE = 0b1100
MOVED = 0
HELD = 4
UNDONE = 8
NO_STEP = 12  # the run ended here, or the parameter had no gradient

# One bit each.
LOWER = 16  # the step size is the smallest allowed
UPPER = 32  # the step size is the largest allowed
ZERO = 64  # the gradient is zero
NOT_FINITE = 128  # the gradient is infinite or no number

#: The events by name: the bits to look at, and what they are.
NAMES = {
    "grew": (CHANGE, GREW),
    "shrank": (CHANGE, SHRANK),
    "underflow": (CHANGE, UNDERFLOW),
    "held": (MOVE, HELD),
    "undone": (MOVE, UNDONE),
    "no step": (MOVE, NO_STEP),
    "at lower clamp": (LOWER, LOWER),
    "at upper clamp": (UPPER, UPPER),
    "zero gradient": (ZERO, ZERO),
    "gradient not finite": (NOT_FINITE, NOT_FINITE),
}

#: For every byte, 1 in the columns of its events, in the order of `NAMES`.
FLAGS = np.array([[event & bits == value for bits, value in NAMES.values()] for event in range(256)], np.int64)


_adapt = adapt(np.where)


def _at_sign_change(rule: Any, worse: bool) -> int:
    """What becomes of the move where the gradient changes its sign."""
    if rule.move == MADE:
        return MOVED
    return UNDONE if rule.undoes(worse) else HELD


def events(
    variant: str, g: Array, prev: Array, size: Array, new_size: Array, constants: Array, worse: bool = False
) -> Array:
    """What one step does to each coordinate.

    Parameters
    ----------
    variant : str
        The rule.
    g : ndarray of a real dtype
        The gradient, already negated when maximizing.
    prev, size : ndarray
        Stored gradient and step size before the step.
    new_size : ndarray
        Step size after it.
    constants : ndarray
        Those of `rprop_ref._core.constants.rule_constants`, in the dtype of the others.
    worse : bool, optional
        Whether the loss rose; only rules that compare losses look at it.

    Returns
    -------
    ndarray of uint8
        One of the changes, one of the moves, and the other bits. "Shrank" is a change of sign, "grew" is none: at
        a clamp, or with an eta that rounds to 1, the step size itself stays as it was.
    """
    rule, zero = RULES[variant], constants[entry.ZERO]
    with np.errstate(all="ignore"):
        product = g * prev
        flip = product < zero
        change = np.where(product > zero, GREW, np.where(flip, SHRANK, KEPT))
        change = np.where((product == zero) & (g != zero) & (prev != zero), UNDERFLOW, change)
        sign_changed = flip
        if rule.sign_change == FACTOR_IS_ETA_MINUS:
            sign_changed = _adapt(product, size, entry.split(constants)[0])[0] == constants[entry.ETA_MINUS]
        move = np.where(sign_changed, _at_sign_change(rule, worse), MOVED)
        found: Array = change | move
        found |= np.where(new_size == constants[entry.SIZE_MIN], LOWER, 0)
        found |= np.where(new_size == constants[entry.SIZE_MAX], UPPER, 0)
        found |= np.where(g == zero, ZERO, 0) | np.where(np.isfinite(g), 0, NOT_FINITE)
    return found.astype(np.uint8)


def has(events: Array, name: str) -> Array:
    """Where an event is, of those in `NAMES`; for any array of events."""
    bits, value = NAMES[name]
    found: Array = (events & bits) == value
    return found


def describe(event: int) -> str:
    """The events of one byte in words: ``"shrank, held"``."""
    return ", ".join(name for name, (bits, value) in NAMES.items() if event & bits == value) or "kept"


#: The words for every byte, to be indexed with an array of events.
WORDS = np.array([describe(event) for event in range(256)])
