"""One whole iteration of `rprop_ref.minimize`, compiled from the text in `rprop_ref._core.iteration`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import carray  # type: ignore[attr-defined]
from numba.extending import overload, register_jitable

from numba_kernels import flat
from numba_kernels._cache import DIGEST, kernel
from numba_kernels.objective import pointer
from rprop_ref._core import iteration

Array = np.ndarray[Any, Any]

#: The numbers by which a compiled iteration knows the rules.
CODES = {"rprop+": 0, "rprop-": 1, "irprop+": 2, "irprop-": 3, "irprop-go": 4}


# For what every iteration goes through. Passing five arrays takes longer than to work on ten elements of each.
_INLINE: Any = {"forceinline": True}


# The text uses array expressions in a few places. Compiled, these are loops: they need no temporary arrays, and
# take seconds less to compile.
@overload(iteration.look, jit_options=_INLINE)
def _look(x, g, size, xtol, floor):
    def look(x, g, size, xtol, floor):
        zero = g.dtype.type(0)
        g_max, is_nan, rests = zero, False, True
        for i in range(x.size):
            magnitude = abs(g[i])
            g_max = magnitude if magnitude > g_max else g_max
            is_nan |= magnitude != magnitude
            if rests:  # mostly the first coordinate has somewhere to go, and the others need not be asked
                rests = (g[i] == zero) | (size[i] <= xtol * abs(x[i])) | (size[i] <= floor)
        return np.nan if is_nan else g_max, rests

    return look


@overload(iteration.promise)
def _promise(g, size):
    def promise(g, size):
        most = g.dtype.type(0)
        for i in range(g.size):
            if g[i] != 0:
                most = max(most, abs(g[i]) * size[i])
        return most

    return promise


@overload(iteration.note, jit_options=_INLINE)
def _note(x, g, known_x, known_g):
    def note(x, g, known_x, known_g):
        for i in range(x.size):
            known_x[i] = x[i]
            known_g[i] = g[i]

    return note


@overload(iteration.equal)
def _equal(a, b):
    def equal(a, b):
        for i in range(a.size):
            if a[i] != b[i]:
                return False
        return True

    return equal


@overload(iteration.near)
def _near(x, y, xtol, floor):
    def near(x, y, xtol, floor):
        for i in range(x.size):
            distance = abs(x[i] - y[i])
            if not (distance <= xtol * abs(x[i]) or distance <= floor):
                return False
        return True

    return near


@overload(iteration.move, jit_options=_INLINE)
def _move(variant, x, g, prev, size, constants, worse, last_x):
    def move(variant, x, g, prev, size, constants, worse, last_x):
        c, direction = flat._unpack(constants)
        moved = False
        if variant == 0:
            for i in range(x.size):
                old = x[i]
                x[i], prev[i], size[i] = flat._rprop_plus(old, direction * g[i], prev[i], size[i], worse, c)
                moved |= x[i] != old
        elif variant == 1:
            for i in range(x.size):
                old = x[i]
                x[i], prev[i], size[i] = flat._rprop_minus(old, direction * g[i], prev[i], size[i], worse, c)
                moved |= x[i] != old
        elif variant == 2:
            for i in range(x.size):
                old = x[i]
                x[i], prev[i], size[i] = flat._irprop_plus(old, direction * g[i], prev[i], size[i], worse, c)
                moved |= x[i] != old
        elif variant == 3:
            for i in range(x.size):
                old = x[i]
                x[i], prev[i], size[i] = flat._irprop_minus(old, direction * g[i], prev[i], size[i], worse, c)
                moved |= x[i] != old
        else:
            for i in range(x.size):
                old = x[i]
                x[i], prev[i], size[i] = flat._irprop_go(old, direction * g[i], prev[i], size[i], worse, c)
                moved |= x[i] != old
        return moved

    return move


@overload(iteration.undoes)
def _undoes(variant, worse):
    def undoes(variant, worse):
        return variant == 0 or (variant == 2 and worse)

    return undoes


@overload(iteration.move_within)
def _move_within(variant, x, g, prev, size, constants, worse, last_x, lower, upper, before, undo):
    def move_within(variant, x, g, prev, size, constants, worse, last_x, lower, upper, before, undo):
        for i in range(x.size):
            if not (undo and g[i] * prev[i] < 0):
                before[i] = np.nan
        iteration.move(variant, x, g, prev, size, constants, worse, last_x)
        moved = False
        for i in range(x.size):
            if before[i] == before[i]:
                x[i] = before[i]
            elif x[i] < lower[i]:
                x[i] = lower[i]
            elif x[i] > upper[i]:
                x[i] = upper[i]
            before[i] = last_x[i]
            moved |= x[i] != last_x[i]
        return moved

    return move_within


@overload(iteration.point_inward)
def _point_inward(g, x, lower, upper, inward):
    def point_inward(g, x, lower, upper, inward):
        for i in range(x.size):
            outward = (x[i] <= lower[i] and g[i] > 0) or (x[i] >= upper[i] and g[i] < 0) or lower[i] == upper[i]
            inward[i] = 0 if outward else g[i]

    return point_inward


@overload(iteration.copy)
def _copy(source, target):
    def copy(source, target):
        for i in range(source.size):
            target[i] = source[i]

    return copy


@overload(iteration.halve)
def _halve(x, last_x, size, half, size_min):
    def halve(x, last_x, size, half, size_min):
        for i in range(x.size):
            smaller = size[i] * half
            size[i] = size_min if smaller < size_min else smaller
            nearer = last_x[i] + (x[i] - last_x[i]) * half
            x[i] = nearer if np.isfinite(x[i]) and nearer != x[i] else last_x[i]

    return halve


register_jitable(iteration.go_back)
for _helper in (iteration.upper_end, iteration.keep_best, iteration.verdict, iteration.conclude):
    register_jitable(**_INLINE)(_helper)

_advance = numba.njit(iteration.advance, error_model="numpy", **_INLINE)


def _compile():
    stamp = DIGEST

    # It does not release the interpreter's lock: that takes longer than an iteration of few variables.
    @kernel(nogil=False)
    def advance(record, f, g, nfev):
        stamp  # noqa: B018
        words = carray(pointer(record, np.int64), (5,))
        vectors = carray(pointer(words[0], g.dtype), (words[1], g.size))
        scalars = carray(pointer(words[2], np.float64), (iteration.ENTRIES,))
        constants = carray(pointer(words[3], g.dtype), (7,))
        scalars[iteration.NFEV] = nfev
        return _advance(vectors, scalars, constants, words[4], f, g)

    return advance


#: ``advance(record, f, g, nfev)``, what `bind` binds; `record` is the address of five integers.
advance = _compile()


def bind(vectors: Array, scalars: Array, constants: Array, variant: str) -> Callable[[float, Array, int], int]:
    """`rprop_ref._core.iteration.advance` for one record, compiled: for loops in Python.

    To hand over three arrays in every iteration would take longer than the iteration, so they are found by their
    addresses.

    Parameters
    ----------
    vectors, scalars, constants : ndarray, contiguous
        The record, see `rprop_ref._core.iteration`; changed in place by each call of what is returned.
    variant : str

    Returns
    -------
    callable
        ``take_in(f, g, nfev) -> status``, with g of shape (n,), contiguous, and in the dtype of `vectors`. `nfev`
        is written to the record first.
    """
    addresses = [a.ctypes.data for a in (vectors, scalars, constants)]
    record = np.array([addresses[0], len(vectors), *addresses[1:], CODES[variant]], np.int64)
    take_in = functools.partial(advance, record.ctypes.data)
    take_in.keep = record, vectors, scalars, constants  # type: ignore[attr-defined]
    return take_in


__all__ = ["CODES", "advance", "bind"]
