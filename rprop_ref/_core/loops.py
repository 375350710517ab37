"""The functions of `vectors` as loops, and the iteration made of them: for Numba and for numba.cuda.

What the two compilers do differently is handed in, as `where` is to a rule: how a function is compiled, and how a
number takes part in arithmetic. (A GPU's compiler fuses a product and a sum of its own floats. So there the
operations are those of a type of their own, which are rounded each for itself.)
"""

import math
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import rules
from . import coordinates, iteration, record, stopping
from .constants import make_split


class Compiler(NamedTuple):
    """How texts are compiled.

    Attributes
    ----------
    function : callable
        The decorator of a function that compiled functions call.
    zero : callable
        ``zero(array)``, 0 in the dtype of an array, as far as comparisons with its elements need it.
    number, double : callable
        What makes of a number of the parameter's dtype, and of a float64, one whose operations are rounded each
        for itself.
    plain : callable
        The way back.
    """

    function: Callable[..., Any]
    zero: Callable[..., Any]
    number: Callable[..., Any]
    double: Callable[..., Any]
    plain: Callable[..., Any]


#: The functions that are compiled as they stand.
_TEXTS = {
    coordinates: ("is_stalled", "is_within_tolerance", "points_outward"),
    stopping: (
        "gradient_is_small",
        "target_is_reached",
        "window_is_over",
        "value_is_flat",
        "iterations_are_used_up",
        "evaluations_are_used_up",
        "patience_is_over",
        "is_stationary",
        "stopping_status",
        "may_stop",
    ),
    iteration: ("is_better", "keep_best", "stop_or_step", "retreat", "advance"),
}


def build(variant: str, select: Callable[..., Any], compiler: Compiler) -> dict[str, Any]:
    """Put the iteration together for one rule.

    Parameters
    ----------
    variant : str
        A key of `rprop_ref.rules.RULES`.
    select : callable
        The `where` of the rule, for one coordinate.
    compiler : Compiler

    Returns
    -------
    dict
        The functions by their names, ``"advance"`` among them. Those that have a parameter `variant` do not look
        at it.
    """
    # The names that the texts see as global ones: the integers of their modules, and compiled functions only, so
    # that none is taken from the host by mistake.
    names: dict[str, Any] = {"math": math}
    for module in (record, *_TEXTS):
        names |= {name: value for name, value in vars(module).items() if isinstance(value, int)}
    for module, functions in _TEXTS.items():
        for name in functions:
            text = getattr(module, name)
            names[name] = compiler.function(types.FunctionType(text.__code__, names, name))
    names |= _loops(variant, select, compiler, names)
    return names


def _loops(variant: str, select: Callable[..., Any], compiler: Compiler, names: dict[str, Any]) -> dict[str, Any]:
    function, zero, number, double, plain = compiler
    rule = rules.build(variant, select, function)
    always_undoes, undoes_if_worse = rules.RULES[variant].undoes(False), rules.RULES[variant].undoes(True)
    split = function(make_split(number))
    is_stalled, is_within_tolerance = names["is_stalled"], names["is_within_tolerance"]
    points_outward = names["points_outward"]

    @function
    def max_gradient_and_stalled(x, g, size, xtol, floor):
        g_max, is_nan, stalled = zero(g), False, True
        for i in range(x.size):
            magnitude = abs(g[i])
            g_max = magnitude if magnitude > g_max else g_max
            is_nan |= magnitude != magnitude
            if stalled:  # mostly the first coordinate is not, and the others need not be asked
                stalled = is_stalled(x[i], g[i], size[i], xtol, floor, zero(g))
        return math.nan if is_nan else g_max, stalled

    @function
    def predicted_decrease(g, size):
        largest = zero(g)
        for i in range(g.size):
            if g[i] != zero(g):
                decrease = plain(number(abs(g[i])) * number(size[i]))
                largest = decrease if decrease > largest else largest
        return largest

    @function
    def store_point(x, g, stored_x, stored_g):
        for i in range(x.size):
            stored_x[i] = x[i]
            stored_g[i] = g[i]

    @function
    def equal(a, b):
        for i in range(a.size):
            if a[i] != b[i]:
                return False
        return True

    @function
    def all_within_tolerance(x, y, xtol, floor):
        for i in range(x.size):
            if not is_within_tolerance(x[i], y[i], xtol, floor):
                return False
        return True

    @function
    def copy(source, target):
        for i in range(source.size):
            target[i] = source[i]

    @function
    def highest_equal_value(lowest, resolution):
        return plain(double(lowest) + double(resolution) * double(abs(lowest)))

    @function
    def halve_move(x, last_x, size, half, size_min):
        for i in range(x.size):
            smaller = plain(number(size[i]) * number(half))
            size[i] = size_min if smaller < size_min else smaller
            last = number(last_x[i])
            nearer = plain(last + (number(x[i]) - last) * number(half))
            x[i] = nearer if math.isfinite(x[i]) and nearer != x[i] else last_x[i]

    @function
    def move(variant, x, g, prev, size, constants, worse, last_x):
        c, direction = split(constants)
        moved = False
        for i in range(x.size):
            new_x, new_prev, new_size = rule(
                number(x[i]), direction * number(g[i]), number(prev[i]), number(size[i]), worse, c
            )
            x[i] = plain(new_x)
            prev[i] = plain(new_prev)
            size[i] = plain(new_size)
            moved |= x[i] != last_x[i]
        return moved

    @function
    def undoes(variant, worse):
        return always_undoes or (undoes_if_worse and worse)

    @function
    def move_within_bounds(variant, x, g, prev, size, constants, worse, last_x, lower, upper, move_start, undo):
        for i in range(x.size):
            if not (undo and g[i] * prev[i] < zero(g)):
                move_start[i] = math.nan
        move(variant, x, g, prev, size, constants, worse, last_x)
        moved = False
        for i in range(x.size):
            if move_start[i] == move_start[i]:
                x[i] = move_start[i]
            elif x[i] < lower[i]:
                x[i] = lower[i]
            elif x[i] > upper[i]:
                x[i] = upper[i]
            move_start[i] = last_x[i]
            moved |= x[i] != last_x[i]
        return moved

    @function
    def point_inward(g, x, lower, upper, inward):
        for i in range(x.size):
            inward[i] = zero(g) if points_outward(x[i], g[i], lower[i], upper[i], zero(g)) else g[i]

    return {
        "all_within_tolerance": all_within_tolerance,
        "copy": copy,
        "equal": equal,
        "halve_move": halve_move,
        "highest_equal_value": highest_equal_value,
        "max_gradient_and_stalled": max_gradient_and_stalled,
        "move": move,
        "move_within_bounds": move_within_bounds,
        "point_inward": point_inward,
        "predicted_decrease": predicted_decrease,
        "store_point": store_point,
        "undoes": undoes,
    }
