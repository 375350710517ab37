"""One whole iteration of `rprop_ref.minimize`, compiled from the text in `rprop_ref._iteration`."""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import overload, register_jitable

from numba_kernels import flat
from numba_kernels._cache import DIGEST, kernel
from rprop_ref import _iteration

#: The numbers by which a compiled iteration knows the rules.
CODES = {"rprop+": 0, "rprop-": 1, "irprop+": 2, "irprop-": 3, "irprop-go": 4}


# The text uses array expressions in a few places. Compiled, these are loops: they need no temporary arrays,
# stop as soon as the answer is known, and take seconds less to compile.
@overload(_iteration.largest)
def _largest(g):
    def largest(g):
        result = abs(g.dtype.type(0))
        for value in g:
            magnitude = abs(value)
            if magnitude != magnitude:
                return magnitude
            if magnitude > result:
                result = magnitude
        return result

    return largest


@overload(_iteration.equal)
def _equal(a, b):
    def equal(a, b):
        for i in range(a.size):
            if a[i] != b[i]:
                return False
        return True

    return equal


@overload(_iteration.at_rest)
def _at_rest(x, g, size, xtol, floor):
    def at_rest(x, g, size, xtol, floor):
        for i in range(x.size):
            if not (g[i] == 0 or size[i] <= xtol * abs(x[i]) or size[i] <= floor):
                return False
        return True

    return at_rest


@overload(_iteration.near)
def _near(x, y, xtol, floor):
    def near(x, y, xtol, floor):
        for i in range(x.size):
            distance = abs(x[i] - y[i])
            if not (distance <= xtol * abs(x[i]) or distance <= floor):
                return False
        return True

    return near


@overload(_iteration.move)
def _move(variant, x, g, prev, size, constants, worse):
    def move(variant, x, g, prev, size, constants, worse):
        c, direction = flat._unpack(constants)
        if variant == 0:
            for i in range(x.size):
                x[i], prev[i], size[i] = flat._rprop_plus(x[i], direction * g[i], prev[i], size[i], worse, c)
        elif variant == 1:
            for i in range(x.size):
                x[i], prev[i], size[i] = flat._rprop_minus(x[i], direction * g[i], prev[i], size[i], worse, c)
        elif variant == 2:
            for i in range(x.size):
                x[i], prev[i], size[i] = flat._irprop_plus(x[i], direction * g[i], prev[i], size[i], worse, c)
        elif variant == 3:
            for i in range(x.size):
                x[i], prev[i], size[i] = flat._irprop_minus(x[i], direction * g[i], prev[i], size[i], worse, c)
        else:
            for i in range(x.size):
                x[i], prev[i], size[i] = flat._irprop_go(x[i], direction * g[i], prev[i], size[i], worse, c)

    return move


@overload(_iteration.undoes)
def _undoes(variant, worse):
    def undoes(variant, worse):
        return variant == 0 or (variant == 2 and worse)

    return undoes


@overload(_iteration.move_within)
def _move_within(variant, x, g, prev, size, constants, worse, lower, upper, before, undo):
    def move_within(variant, x, g, prev, size, constants, worse, lower, upper, before, undo):
        for i in range(x.size):
            if not (undo and g[i] * prev[i] < 0):
                before[i] = np.nan
        _iteration.move(variant, x, g, prev, size, constants, worse)
        for i in range(x.size):
            if before[i] == before[i]:
                x[i] = before[i]
            elif x[i] < lower[i]:
                x[i] = lower[i]
            elif x[i] > upper[i]:
                x[i] = upper[i]

    return move_within


@overload(_iteration.point_inward)
def _point_inward(g, x, lower, upper, inward):
    def point_inward(g, x, lower, upper, inward):
        for i in range(x.size):
            outward = (x[i] <= lower[i] and g[i] > 0) or (x[i] >= upper[i] and g[i] < 0) or lower[i] == upper[i]
            inward[i] = 0 if outward else g[i]

    return point_inward


@overload(_iteration.copy)
def _copy(source, target):
    def copy(source, target):
        for i in range(source.size):
            target[i] = source[i]

    return copy


@overload(_iteration.halve)
def _halve(x, last_x, size, half, size_min):
    def halve(x, last_x, size, half, size_min):
        for i in range(x.size):
            smaller = size[i] * half
            size[i] = size_min if smaller < size_min else smaller
            nearer = last_x[i] + (x[i] - last_x[i]) * half
            x[i] = nearer if np.isfinite(x[i]) and nearer != x[i] else last_x[i]

    return halve


for _helper in (
    _iteration.upper_end,
    _iteration.keep_best,
    _iteration.verdict,
    _iteration.proceed,
    _iteration.go_back,
):
    register_jitable(_helper)

_advance = numba.njit(_iteration.advance, error_model="numpy")


def _compile():
    stamp = DIGEST

    @kernel()
    def advance(vectors, scalars, constants, variant, f, g):
        stamp  # noqa: B018
        return _advance(vectors, scalars, constants, variant, f, g)

    return advance


#: `rprop_ref._iteration.advance`, compiled; `variant` is one of `CODES`.
advance = _compile()

__all__ = ["CODES", "advance"]
