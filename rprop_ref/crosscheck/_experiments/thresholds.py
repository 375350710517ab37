"""Thresholds: magnitudes of gradients and products below which something else happens, found by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..._core.dtypes import named as dtype_named
from .._cases.case import Array
from .._cases.dtypes import float_range
from .decimals import shortest
from .laboratory import Laboratory, moves_of, words

#: If moves change at more magnitudes than this, they depend on magnitudes.
MOST_THRESHOLDS = 6

#: The exponent of the largest magnitude. The thresholds that are looked for are below about 1: where moves are in
#: proportion to gradients, the largest are limited.
_HIGHEST = 5

#: How scripts begin that have a gradient, or a product, of a magnitude v.
_BEGINNINGS: tuple[Callable[[Array, Array], tuple[Array, ...]], ...] = (
    lambda one, v: (v,),
    lambda one, v: (one, v),
    lambda one, v: (one, -v),
    lambda one, v: (np.sqrt(v), np.sqrt(v)),
    lambda one, v: (np.sqrt(v), -np.sqrt(v)),
)


def thresholds(laboratory: Laboratory, *, after: tuple[float, ...] = ()) -> dict[str, list[float]]:
    """Gradients and products below which something else happens, perhaps only later, or after special ones."""
    found: list[float] = []
    for begins in _BEGINNINGS:
        for value in _thresholds_of(laboratory, begins, after):
            if not any(abs(value - v) <= 1e-6 * value for v in found):
                found.append(value)
    # Where small gradients count as 0, so do products of two of them; and squares underflow by themselves.
    underflow = math.sqrt(float_range(dtype_named(laboratory.dtype)).smallest_subnormal)
    values = [
        v for v in found
        if not any(abs(v - other * other) <= 1e-3 * v for other in found) and not 0.5 < v / underflow < 2
    ]  # fmt: skip
    return dict.fromkeys(("small moves", "small gradients", "small products"), values)


def _thresholds_of(
    laboratory: Laboratory, begins: Callable[[Array, Array], tuple[Array, ...]], after: tuple[float, ...]
) -> list[float]:
    """The thresholds that show after a beginning, whatever two gradients follow; each by bisection."""

    def run(exponents: Array, ends: Array) -> Array:
        """How far x moves, shape (steps, number of ends, number of exponents)."""
        v = np.broadcast_to(10.0**exponents, (ends.shape[1], len(exponents)))
        first = [np.full_like(v, value) for value in after]
        rows = [*first, *begins(np.ones_like(v), v), *(np.broadcast_to(end[:, None], v.shape) for end in ends)]
        signed = np.concatenate([np.stack(rows), -np.stack(rows)], axis=1)
        moves = _moved(laboratory, signed.reshape(len(rows), -1))
        return moves.reshape(len(rows), 2, *v.shape)

    def changes(exponents: Array, ends: Array) -> Array:
        """Whether moves change from one exponent to the next, shape (number of ends, number of exponents - 1)."""
        moves = run(exponents, ends)
        before, after = moves[..., :-1], moves[..., 1:]
        changed: Array = (np.abs(before - after) > 1e-9 * np.abs(after)).any(axis=(0, 1))
        return changed

    exponents, ends = np.linspace(-290, _HIGHEST, 64), words((1.0, -1.0, 0.0), 2)
    changed, found = changes(exponents, ends), []
    intervals = np.flatnonzero(changed[:, :-1].any(axis=0))
    if len(intervals) > MOST_THRESHOLDS:  # moves depend on magnitudes
        return []
    for at in intervals:
        own = ends[:, changed[:, at]][:, :1]
        low, high = exponents[at], exponents[at + 1]
        for _ in range(3):
            some = np.linspace(low, high, 64)
            k = int(np.flatnonzero(changes(some, own)[0]).max(initial=0))
            low, high = some[k], some[k + 1]
        found.append(shortest(10.0**low, 10.0**high))
    return found


def _moved(laboratory: Laboratory, g: Array) -> Array:
    """How far x moves at each step."""
    loss = tuple(np.arange(len(g), 0.0, -1))
    x = laboratory.run(g, loss=loss, lr=0.1, step_sizes=(1e-4, 37.0)).x.astype(np.float64)
    return moves_of(x)
