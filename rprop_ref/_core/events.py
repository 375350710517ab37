"""What a step did to each coordinate, packed into one byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rules import FACTOR_IS_ETA_MINUS, MADE, RULES, Rule, adapt
from . import constants as entry

Array = np.ndarray[Any, Any]

# Two bits for what happened to the step size.
CHANGE = 0b11
KEPT = 0  # nothing to compare: the first step, the one after a change of sign, a zero gradient
GREW = 1
SHRANK = 2
UNDERFLOW = 3  # kept although neither gradient is zero: their product is too small for the dtype

# Two bits for what happened to the move.
MOVE = 0b1100
MOVED = 0
HELD = 4
UNDONE = 8
NO_STEP = 12  # the run ended here, or the parameter had no gradient

# One bit each.
LOWER = 16  # the step size is the smallest allowed
UPPER = 32  # the step size is the largest allowed
ZERO = 64  # the gradient is zero
NOT_FINITE = 128  # the gradient is infinite or NaN

#: The events by name: which bits to look at, and the value they have.
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


def events(
    variant: str, g: Array, prev: Array, size: Array, new_size: Array, constants: Array, worse: bool = False
) -> Array:
    """Classify one step, coordinate by coordinate.

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
        As `rprop_ref._core.constants.rule_constants` makes them, in the dtype of the other arrays.
    worse : bool, optional
        Whether the loss rose; read only for rules that compare losses.

    Returns
    -------
    ndarray of uint8
        What happened to the step size, what happened to the move, and the single bits. "Shrank" stands for a
        change of sign and "grew" for its absence: at a clamp, or with an eta that rounds to 1, the step size
        itself does not change.
    """
    rule, zero = RULES[variant], constants[entry.ZERO]
    with np.errstate(all="ignore"):
        product = g * prev
        sign_changed = product < zero
        change = np.where(product > zero, GREW, np.where(sign_changed, SHRANK, KEPT))
        change = np.where((product == zero) & (g != zero) & (prev != zero), UNDERFLOW, change)
        if rule.sign_change == FACTOR_IS_ETA_MINUS:
            sign_changed = _adapt(product, size, entry.split(constants)[0])[0] == constants[entry.ETA_MINUS]
        move = np.where(sign_changed, _move_at_sign_change(rule, worse), MOVED)
    clamp = np.where(new_size == constants[entry.SIZE_MIN], LOWER, 0)
    clamp |= np.where(new_size == constants[entry.SIZE_MAX], UPPER, 0)
    event: Array = change | move | clamp | _gradient_bits(g)
    return event.astype(np.uint8)


def end_events(g: Array) -> Array:
    """The events of a point from which no step is made, with the gradient there."""
    return (_gradient_bits(g) | NO_STEP).astype(np.uint8)


def _move_at_sign_change(rule: Rule, worse: bool) -> int:
    """What the rule does with the move where the gradient changes its sign."""
    if rule.move == MADE:
        return MOVED
    return UNDONE if rule.undoes(worse) else HELD


def _gradient_bits(g: Array) -> Array:
    with np.errstate(all="ignore"):
        bits: Array = np.where(g == 0, ZERO, 0) | np.where(np.isfinite(g), 0, NOT_FINITE)
    return bits


def has(events: Array, name: str) -> Array:
    """Whether each entry of an array of events has the event of this name, one of `NAMES`."""
    bits, value = NAMES[name]
    flags: Array = (events & bits) == value
    return flags


def describe(event: int) -> str:
    """The events of one byte in words: ``"shrank, held"``."""
    return ", ".join(name for name, (bits, value) in NAMES.items() if event & bits == value) or "kept"


#: The words for every byte, to be indexed with an array of events.
WORDS = np.array([describe(event) for event in range(256)])
