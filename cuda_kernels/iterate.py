"""One whole iteration of `rprop_ref.minimize` on the GPU, compiled from the text in `rprop_ref._core.iteration`.

The functions of that text are compiled as they stand. Only those at its top, which work on whole arrays, and those
that multiply and add, which the compiler would fuse, have other texts here; they return the same bits.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from cuda_kernels import _numbers
from cuda_kernels._numbers import device, plain, select
from rprop_ref import rules
from rprop_ref._core import iteration

#: Functions of the text, those that others call first.
_TEXTS = ("keep_best", "verdict", "conclude", "go_back", "advance")


def build(variant: str, dtype: str) -> Callable[..., int]:
    """`rprop_ref._core.iteration.advance` for one rule and float32 or float64, for kernels to call.

    Its argument `variant` is looked at by nobody.
    """
    rule = rules.build(variant, select, device)
    number, double = _numbers.kind(dtype), _numbers.kind("float64")
    always_undoes, undoes_if_worse = variant == "rprop+", variant == "irprop+"

    @device
    def look(x, g, size, xtol, floor):
        g_max, is_nan, rests = 0.0, False, True
        for i in range(x.size):
            magnitude = abs(g[i])
            if magnitude > g_max:
                g_max = magnitude
            is_nan |= magnitude != magnitude
            rests &= g[i] == 0 or size[i] <= xtol * abs(x[i]) or size[i] <= floor
        return math.nan if is_nan else g_max, rests

    @device
    def promise(g, size):
        most = 0.0
        for i in range(g.size):
            if g[i] != 0:
                most = max(most, plain(number(abs(g[i])) * number(size[i])))
        return most

    @device
    def note(x, g, known_x, known_g):
        for i in range(x.size):
            known_x[i] = x[i]
            known_g[i] = g[i]

    @device
    def equal(a, b):
        for i in range(a.size):
            if a[i] != b[i]:
                return False
        return True

    @device
    def near(x, y, xtol, floor):
        for i in range(x.size):
            distance = abs(x[i] - y[i])
            if not (distance <= xtol * abs(x[i]) or distance <= floor):
                return False
        return True

    @device
    def copy(source, target):
        for i in range(source.size):
            target[i] = source[i]

    @device
    def upper_end(lowest, band):
        return plain(double(lowest) + double(band) * double(abs(lowest)))

    @device
    def halve(x, last_x, size, half, size_min):
        for i in range(x.size):
            smaller = plain(number(size[i]) * number(half))
            size[i] = size_min if smaller < size_min else smaller
            last = number(last_x[i])
            nearer = plain(last + (number(x[i]) - last) * number(half))
            x[i] = nearer if math.isfinite(x[i]) and nearer != x[i] else last_x[i]

    @device
    def move(variant, x, g, prev, size, constants, worse, last_x):
        c0, c1, c2, c3, c4, c5 = (
            number(constants[0]),
            number(constants[1]),
            number(constants[2]),
            number(constants[3]),
            number(constants[4]),
            number(constants[5]),
        )
        c = c0, c1, c2, c3, c4, c5
        direction = number(constants[6])
        moved = False
        for i in range(x.size):
            a, b, s = rule(number(x[i]), direction * number(g[i]), number(prev[i]), number(size[i]), worse, c)
            x[i] = plain(a)
            prev[i] = plain(b)
            size[i] = plain(s)
            moved |= x[i] != last_x[i]
        return moved

    @device
    def undoes(variant, worse):
        return always_undoes or (undoes_if_worse and worse)

    @device
    def move_within(variant, x, g, prev, size, constants, worse, last_x, lower, upper, before, undo):
        for i in range(x.size):
            if not (undo and g[i] * prev[i] < 0):
                before[i] = math.nan
        move(variant, x, g, prev, size, constants, worse, last_x)
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

    @device
    def point_inward(g, x, lower, upper, inward):
        for i in range(x.size):
            outward = (x[i] <= lower[i] and g[i] > 0) or (x[i] >= upper[i] and g[i] < 0) or lower[i] == upper[i]
            inward[i] = 0 if outward else g[i]

    names: dict[str, Any] = {
        # The numbers; of its functions only those that are named here, so that none is taken from the host.
        **{name: value for name, value in vars(iteration).items() if isinstance(value, int)},
        "np": math,  # of NumPy only isfinite is left, which numba.cuda has under this name
        "look": look,
        "promise": promise,
        "note": note,
        "equal": equal,
        "near": near,
        "copy": copy,
        "upper_end": upper_end,
        "halve": halve,
        "move": move,
        "undoes": undoes,
        "move_within": move_within,
        "point_inward": point_inward,
    }
    for name in _TEXTS:
        text = getattr(iteration, name)
        names[name] = device(types.FunctionType(text.__code__, names, name))
    advance: Callable[..., int] = names["advance"]
    return advance
