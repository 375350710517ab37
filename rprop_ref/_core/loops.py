"""The functions of `vectors` as loops, and the iteration made of them: for Numba and for numba.cuda.

Two things differ between the compilers and are handed in: how a function is compiled, and how a number takes part
in arithmetic. (A GPU's compiler would fuse ``a * b + c`` into one operation; there numbers are wrapped in a type
whose operations are rounded one by one.)
"""

import functools
import math
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..rules import Rule
from ..rules import build as build_rule
from . import best, coordinates, iteration, pattern, probing, record, stalling, stopping
from .constants import make_split
from .status import Status


class Compiler(NamedTuple):
    """How functions are compiled.

    Attributes
    ----------
    function : callable
        The decorator of a function that compiled functions call.
    zero : callable
        ``zero(array)``, 0 in the dtype of the array, for comparisons with its elements.
    number, double : callable
        What makes of a number of the parameter's dtype, and of a float64, one whose operations are rounded each
        for itself.
    plain : callable
        The way back.
    probing : bool
        Whether the functions check the claims of runs (`probing`). Otherwise `advance` ends with `CLAIMED`, and
        NumPy checks: a run makes few claims, and the check takes long to compile.
    """

    function: Callable[..., Any]
    zero: Callable[..., Any]
    number: Callable[..., Any]
    double: Callable[..., Any]
    plain: Callable[..., Any]
    probing: bool


#: The functions that are compiled unchanged, and need no rule.
_UNCHANGED: dict[types.ModuleType, tuple[str, ...]] = {
    coordinates: ("is_stalled", "is_within_tolerance", "is_blocked"),
    best: ("is_better", "keep_best"),
    probing: ("inward_gradient", "status_away_from_best"),
    stopping: (
        "gradient_is_small",
        "target_is_reached",
        "window_is_over",
        "value_is_flat",
        "iterations_are_used_up",
        "evaluations_are_used_up",
        "patience_is_over",
        "waited_long",
        "half_was_futile",
        "step_gains_nothing",
        "is_stationary",
        "claim",
        "claim_by_xtol",
        "stopping_status",
        "value_is_nothing",
        "started_at_lowest",
        "is_small_beside_value",
        "gtol_is_met",
        "no_more_is_asked",
        "gradient_is_negligible",
        "may_stop",
        "status_without_gain",
    ),
    pattern: (
        "pattern_is_due",
        "begin_pattern_move",
        "goes_on",
        "turn_back",
        "is_valley",
        "lowest_share",
        "end_pattern_move",
    ),
    stalling: (
        "end_or_begin_again",
        "is_where_it_stalled",
        "keep_largest_effect",
        "is_steep",
        "status_after_stall",
    ),
    iteration: ("retreat",),
}

_UNCHANGED_OF_PROBING: dict[types.ModuleType, tuple[str, ...]] = {
    coordinates: ("points_away", "direction_hash", "direction_numerator"),
    probing: (
        "begin_check",
        "begin_probing",
        "check_point",
        "next_probe",
        "is_small",
        "end_check",
    ),
}

#: The functions that are compiled unchanged, and call some that are made for the rule.
_UNCHANGED_OF_RULE: dict[types.ModuleType, tuple[str, ...]] = {iteration: ("stop_or_step", "advance")}


def build(rule: Rule, select: Callable[..., Any], compiler: Compiler) -> dict[str, Any]:
    """Put the iteration together for one rule.

    Parameters
    ----------
    rule : Rule
        The rule.
    select : callable
        The `where` of the rule, for one coordinate.
    compiler : Compiler

    Returns
    -------
    dict
        The functions by their names, ``"advance"`` among them. Those that have a parameter `variant` do not look
        at it. All rules share those that do not depend on the rule.
    """
    names = dict(_shared(compiler))
    names |= _loops_of_rule(rule, select, compiler, names)
    names |= _unchanged(_UNCHANGED_OF_RULE, compiler, names)
    return names


@functools.cache
def _shared(compiler: Compiler) -> dict[str, Any]:
    # The names that the texts see as global ones: the integers of their modules, and compiled functions only, so
    # that none is taken from the host by mistake.
    names: dict[str, Any] = {"math": math}
    for module in (record, *_UNCHANGED):
        names |= {name: value for name, value in vars(module).items() if isinstance(value, int)}
    names |= _larger_and_smaller(compiler)
    names |= _unchanged(_UNCHANGED, compiler, names)
    names |= _loops(compiler, names)
    if compiler.probing:
        names |= _unchanged(_UNCHANGED_OF_PROBING, compiler, names)
        names |= _loops_of_probing(compiler, names)
    else:
        names |= _probing_elsewhere(compiler)
    return names


def _larger_and_smaller(compiler: Compiler) -> dict[str, Any]:
    """Python's `max` and `min` of two numbers, NaN included.

    Numba would compile a function for every pair of types, which takes a twentieth of the time of a kernel; and
    numba.cuda has a `max` of its own, which takes the number where Python's gives NaN.
    """

    @compiler.function
    def larger(a, b):
        return b if b > a else a

    @compiler.function
    def smaller(a, b):
        return b if b < a else a

    return {"max": larger, "min": smaller}


def _probing_elsewhere(compiler: Compiler) -> dict[str, Any]:
    claimed = Status.CLAIMED.value

    @compiler.function
    def begin_check(vectors, scalars):
        return claimed

    @compiler.function
    def check_point(vectors, scalars, f, g):
        return claimed

    return {"begin_check": begin_check, "check_point": check_point}


def _unchanged(
    texts: dict[types.ModuleType, tuple[str, ...]], compiler: Compiler, names: dict[str, Any]
) -> dict[str, Any]:
    """Functions as they are in their modules, with these global names, which may still become more."""
    return {
        name: compiler.function(types.FunctionType(getattr(module, name).__code__, names, name))
        for module, functions in texts.items()
        for name in functions
    }


def _loops(compiler: Compiler, names: dict[str, Any]) -> dict[str, Any]:
    """The loops that do not depend on the rule."""
    function, zero, number, double, plain, _ = compiler
    is_stalled, is_within_tolerance = names["is_stalled"], names["is_within_tolerance"]
    is_blocked = names["is_blocked"]

    @function
    def max_gradient_and_stalled(x, g, size, xtol, floor):
        g_max, is_nan, stalled = zero(g), False, True
        for i in range(x.size):
            magnitude = abs(g[i])
            g_max = magnitude if magnitude > g_max else g_max
            is_nan |= magnitude != magnitude
            if stalled:  # usually the first coordinate is not, and then the others need no test
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
    def clear(target):
        for i in range(target.size):
            target[i] = zero(target)

    @function
    def extrapolate(x, start, base, stretch):
        for i in range(x.size):
            old = start[i]
            begin = double(np.float64(old))
            end = plain(begin + double(stretch) * (begin - double(np.float64(base[i]))))
            base[i] = old
            x[i] = end

    @function
    def slope_between(x, y, g):
        total = double(0.0)
        for i in range(x.size):
            way = double(np.float64(y[i])) - double(np.float64(x[i]))
            total = total + way * double(np.float64(g[i]))
        return plain(total)

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
    def clip(x, lower, upper):
        for i in range(x.size):
            if x[i] < lower[i]:
                x[i] = lower[i]
            if x[i] > upper[i]:
                x[i] = upper[i]

    @function
    def zero_blocked(g, x, lower, upper, inward):
        for i in range(x.size):
            inward[i] = zero(g) if is_blocked(x[i], g[i], lower[i], upper[i], zero(g)) else g[i]

    @function
    def length(x, span):
        return abs(x) if abs(x) > span else span

    @function
    def effect(x, g, span):
        return plain(double(np.float64(abs(g))) * double(np.float64(length(x, span))))

    @function
    def largest_effect(x, g, span):
        largest = 0.0
        for i in range(x.size):
            one = effect(x[i], g[i], span[i])
            largest = one if one > largest else largest
        return largest

    @function
    def renew(size, x, span, share, size_min, size_max):
        for i in range(x.size):
            size[i] = plain(double(length(x[i], span[i])) * double(share))
            if size[i] < size_min:
                size[i] = size_min
            if size[i] > size_max:
                size[i] = size_max

    @function
    def lift(size, x, g, span, share, size_max):
        largest = 0.0
        for i in range(x.size):
            one = length(x[i], span[i])
            if g[i] != zero(g) and one > zero(x):
                relative = np.float64(size[i]) / np.float64(one)
                if largest < relative < math.inf:
                    largest = relative
        least = double(plain(double(share) * double(largest)))
        for i in range(x.size):
            old = size[i]
            size[i] = plain(least * double(np.float64(length(x[i], span[i]))))
            if size[i] > size_max:
                size[i] = size_max
            if not zero(size) < old < size[i] < math.inf:
                size[i] = old

    @function
    def all_near(x, y, span, share):
        for i in range(x.size):
            way = plain(double(np.float64(x[i])) - double(np.float64(y[i])))
            if not abs(way) <= plain(double(length(x[i], span[i])) * double(share)):
                return False
        return True

    return {
        "all_near": all_near,
        "all_within_tolerance": all_within_tolerance,
        "clear": clear,
        "clip": clip,
        "copy": copy,
        "equal": equal,
        "extrapolate": extrapolate,
        "halve_move": halve_move,
        "highest_equal_value": highest_equal_value,
        "effect": effect,
        "largest_effect": largest_effect,
        "length": length,
        "lift": lift,
        "max_gradient_and_stalled": max_gradient_and_stalled,
        "zero_blocked": zero_blocked,
        "predicted_decrease": predicted_decrease,
        "renew": renew,
        "slope_between": slope_between,
        "store_point": store_point,
    }


def _loops_of_probing(compiler: Compiler, names: dict[str, Any]) -> dict[str, Any]:
    """The loops that only the check of a claim needs."""
    function, zero, _, double, plain, _ = compiler
    effect, length, points_away = names["effect"], names["length"], names["points_away"]
    direction_hash, direction_numerator = names["direction_hash"], names["direction_numerator"]
    denominator = coordinates.DIRECTION_DENOMINATOR

    @function
    def share(p, scale, x, span, negligible):
        if effect(x, p, span) > negligible:
            return plain(double(p)) / plain(double(scale))
        return 0.0

    @function
    def raise_to_magnitudes(scale, g):
        for i in range(scale.size):
            scale[i] = max(scale[i], abs(g[i]))

    @function
    def largest_share(p, scale, x, span, negligible):
        largest = 0.0
        for i in range(x.size):
            largest = max(largest, abs(share(p[i], scale[i], x[i], span[i], negligible)))
        return largest

    @function
    def sample_probe(probe, x, span, radius, k):
        for i in range(x.size):
            component = double(direction_numerator(direction_hash(i, k)) / denominator)
            probe[i] = plain(double(x[i]) + double(radius) * (double(length(x[i], span[i])) * component))

    @function
    def descent_probe(probe, x, p, scale, span, negligible, radius):
        for i in range(x.size):
            component = double(share(p[i], scale[i], x[i], span[i], negligible))
            probe[i] = plain(double(x[i]) - double(radius) * (double(length(x[i], span[i])) * component))

    @function
    def all_point_away(x, y, g, span, negligible):
        for i in range(x.size):
            if not (points_away(x[i], y[i], g[i], zero(g)) or effect(x[i], g[i], span[i]) <= negligible):
                return False
        return True

    @function
    def add_to_aggregate(p, g, x, span, scale):
        slope, curvature = double(0.0), double(0.0)
        for i in range(x.size):
            if scale[i] != zero(scale):
                weight = double(plain(double(length(x[i], span[i]))) / plain(double(scale[i])))
                from_p = double(p[i])
                to_g = double(g[i]) - from_p
                slope = slope + weight * (from_p * to_g)
                curvature = curvature + weight * (to_g * to_g)
        slope, curvature = -plain(slope), plain(curvature)
        if not (slope > 0 and curvature > 0):
            return False
        fraction = double(min(slope / curvature, 1.0))
        for i in range(x.size):
            p[i] = plain(double(p[i]) + fraction * (double(g[i]) - double(p[i])))
        return True

    return {
        "add_to_aggregate": add_to_aggregate,
        "all_point_away": all_point_away,
        "descent_probe": descent_probe,
        "largest_share": largest_share,
        "raise_to_magnitudes": raise_to_magnitudes,
        "sample_probe": sample_probe,
    }


def _loops_of_rule(
    rule: Rule, select: Callable[..., Any], compiler: Compiler, names: dict[str, Any]
) -> dict[str, Any]:
    """The loops that depend on the rule."""
    function, zero, number, _, plain, _ = compiler
    step = build_rule(rule, select, function)
    always_undoes, undoes_if_worse = rule.undoes(False), rule.undoes(True)
    split = function(make_split(number))
    clip = names["clip"]

    @function
    def move(variant, x, g, prev, size, constants, worse, last_x):
        c, direction = split(constants)
        moved = False
        for i in range(x.size):
            new_x, new_prev, new_size = step(
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
        clip(x, lower, upper)
        moved = False
        for i in range(x.size):
            if move_start[i] == move_start[i]:
                x[i] = move_start[i]
            move_start[i] = last_x[i]
            moved |= x[i] != last_x[i]
        return moved

    return {"move": move, "move_within_bounds": move_within_bounds, "undoes": undoes}
