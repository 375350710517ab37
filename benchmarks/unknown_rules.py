"""Fifty rules with a change that the referee's catalogue does not have, each as an alternative for a slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rprop_ref.crosscheck.stages import Alternative

Known = Any  # what is known so far in a step
Change = Callable[[Known], Any]


def unknown_rules() -> Iterator[tuple[str, Alternative]]:
    """(what it does, the alternative) for each."""
    for slot, what, function in _table():
        yield what, Alternative(f"unknown: {what}", slot, what, "", function)


def _factor(s: Known, plus: Any = None, minus: Any = None) -> Any:
    grown = s.plus if plus is None else plus
    shrunk = s.minus if minus is None else minus
    return np.where(s.q > s.zero, grown, np.where(s.q < s.zero, shrunk, s.one))


def _clamped(size: Any, s: Known) -> Any:
    return np.minimum(np.maximum(size, s.low), s.high)


def _with(k: float, change: Callable[[Known, Any], Any]) -> Change:
    """A change with a constant, which is rounded to the dtype."""
    return lambda s: change(s, s.kind.type(k))


def _table() -> Iterator[tuple[str, str, Change]]:
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
            _with(k, lambda s, k: np.where(np.abs(s.q0) < k, s.zero, s.q0)),
        )
    for k in (1e-3, 1e-2, 1e-8, 1e-5, 0.2):
        yield (
            "filter",
            f"gradients under {k} count as zero",
            _with(k, lambda s, k: np.where(np.abs(s.turned) < k, s.zero, s.turned)),
        )
    for k in (0.5, 2.0, 0.9, 1.1, 1.001):
        yield "length", f"moves {k} times too far", _with(k, lambda s, k: s.reach * k)
    for k in (0.5, 0.1, 1e-3):
        yield (
            "direction",
            f"gradients above {k} are clipped, smaller ones turned",
            _with(k, lambda s, k: np.where(np.abs(s.given) > k, s.given, -s.given)),
        )
    for k in (0.1, 0.01, 1e-4):
        yield "filter", f"weight decay of {k}", _with(k, lambda s, k: s.turned + k * s.x)
    yield (
        "at_flip",
        "half of the gradient is stored at a flip, negated",
        lambda s: -s.stored / s.kind.type(2) - s.memory,
    )
    yield "stored", "the memory is a running sum", lambda s: s.g + s.memory
    yield "stored", "the memory decays", lambda s: s.kind.type(0.5) * s.memory + s.kind.type(0.5) * s.g
    yield (
        "action",
        "rests at a flip only if the loss rose",
        lambda s: (np.where(s.flip & s.worse, s.zero, s.sign), np.False_, np.False_),
    )
    yield "displace", "moves by the root of the step", lambda s: s.steer * np.sqrt(s.length)
    yield "displace", "moves by tanh of the gradient", lambda s: np.tanh(s.g) * s.length
    yield (
        "arrive",
        "moves, and comes half of the way back",
        lambda s: np.where(s.stay, s.x, s.x - s.move + s.pending * s.kind.type(0.5)),
    )
    yield "arrive", "momentum", lambda s: s.x - s.move - s.pending * s.kind.type(0.9)
    yield "arrive", "two moves at once", lambda s: (s.x - s.move) - s.move
    yield (
        "sign",
        "positive gradients count twice",
        lambda s: np.where(s.g > 0, s.kind.type(2), np.where(s.g < 0, -s.one, s.zero)),
    )
    yield "sign", "never moves down", lambda s: np.where(s.g < 0, -s.one, s.zero)
    yield "clamp", "limits are a tenth apart", lambda s: (_clamped(s.scaled, s) * s.kind.type(0.9),) * 2
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
