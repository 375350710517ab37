"""Fifty rules with a deviation that the referee does not know, each as an alternative for a slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rprop_ref.crosscheck import Alternative

StepValues = Any  # the values computed so far in a step
Function = Callable[[StepValues], Any]


def unknown_rules() -> Iterator[tuple[str, Alternative]]:
    """(what it does, the alternative) for each rule."""
    for slot, what, function in _table():
        yield what, Alternative(f"unknown: {what}", slot, what, "", function)


def _factor(s: StepValues, plus: Any = None, minus: Any = None) -> Any:
    grown = s.plus if plus is None else plus
    shrunk = s.minus if minus is None else minus
    return np.where(s.product > s.zero, grown, np.where(s.product < s.zero, shrunk, s.one))


def _clamped(size: Any, s: StepValues) -> Any:
    return np.minimum(np.maximum(size, s.low), s.high)


def _with(k: float, function: Callable[[StepValues, Any], Any]) -> Function:
    """A function with a constant, which is rounded to the dtype."""
    return lambda s: function(s, s.work_dtype.type(k))


def _table() -> Iterator[tuple[str, str, Function]]:
    for k in (1.001, 0.999, 1.01, 0.97, 1.3):
        yield "scale", f"step sizes {k} times too large", _with(k, lambda s, k: s.base * s.factor * k)
    for k in (1.19, 1.25, 1.1, 1.5, 2.0):
        yield "factor", f"grows by {k}", _with(k, lambda s, k: _factor(s, plus=k))
    for k in (0.4, 0.6, 0.25, 0.51, 0.9):
        yield "factor", f"shrinks by {k}", _with(k, lambda s, k: _factor(s, minus=k))
    for k in (1e-3, 1e-6, 1e-10, 1e-5, 0.3):
        yield (
            "agreement",
            f"products under {k} count as zero",
            _with(k, lambda s, k: np.where(np.abs(s.own_product) < k, s.zero, s.own_product)),
        )
    for k in (1e-3, 1e-2, 1e-8, 1e-5, 0.2):
        yield (
            "filter",
            f"gradients under {k} count as zero",
            _with(k, lambda s, k: np.where(np.abs(s.oriented) < k, s.zero, s.oriented)),
        )
    for k in (0.5, 2.0, 0.9, 1.1, 1.001):
        yield "length", f"moves {k} times too far", _with(k, lambda s, k: s.move_size * k)
    for k in (0.5, 0.1, 1e-3):
        yield (
            "direction",
            f"gradients above {k} are clipped, smaller ones negated",
            _with(k, lambda s, k: np.where(np.abs(s.given) > k, s.given, -s.given)),
        )
    for k in (0.1, 0.01, 1e-4):
        yield "filter", f"weight decay of {k}", _with(k, lambda s, k: s.oriented + k * s.x)
    yield (
        "at_flip",
        "half of the gradient is stored at a flip, negated",
        lambda s: -s.stored / s.work_dtype.type(2) - s.memory,
    )
    yield "stored", "the memory is a running sum", lambda s: s.g + s.memory
    yield "stored", "the memory decays", lambda s: s.work_dtype.type(0.5) * s.memory + s.work_dtype.type(0.5) * s.g
    yield (
        "action",
        "rests at a flip only if the loss rose",
        lambda s: (np.where(s.flip & s.worse, s.zero, s.sign), np.False_, np.False_),
    )
    yield "displace", "moves by the root of the step", lambda s: s.move_sign * np.sqrt(s.length)
    yield "displace", "moves by tanh of the gradient", lambda s: np.tanh(s.g) * s.length
    yield (
        "arrive",
        "moves, and comes half of the way back",
        lambda s: np.where(s.stay, s.x, s.x - s.move + s.last_move * s.work_dtype.type(0.5)),
    )
    yield "arrive", "momentum", lambda s: s.x - s.move - s.last_move * s.work_dtype.type(0.9)
    yield "arrive", "two moves at once", lambda s: (s.x - s.move) - s.move
    yield (
        "sign",
        "positive gradients count twice",
        lambda s: np.where(s.g > 0, s.work_dtype.type(2), np.where(s.g < 0, -s.one, s.zero)),
    )
    yield "sign", "never moves down", lambda s: np.where(s.g < 0, -s.one, s.zero)
    yield "clamp", "limits are a tenth apart", lambda s: (_clamped(s.scaled, s) * s.work_dtype.type(0.9),) * 2
    yield (
        "clamp",
        "the upper limit is half of what it should be",
        lambda s: (np.minimum(np.maximum(s.scaled, s.low), s.high / 2),) * 2,
    )
    yield (
        "base",
        "steps are forgotten where they reach the limit",
        lambda s: np.where(s.size == s.high, s.first_size, s.size),
    )
