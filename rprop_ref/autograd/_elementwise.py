"""Vjps of the elementwise functions. `_primitives` says how a vjp is written."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ._primitives import (
    PLAIN,
    PRIMITIVES,
    Primitive,
    add_primitive,
    as_array,
    composite,
    conj,
    is_constant,
    name_of,
    one,
    primitive,
)

LN2, LN10 = float(np.log(2)), float(np.log(10))


def zero(g, _ans, _x, *_others):
    """The vjp of a piecewise constant function: zero, as in torch."""
    return np.zeros_like(g)


def power_x(g, _ans, x, y):
    if type(y) in (int, float, complex):
        return g * conj(y * x ** (y - 1)) if y != 0 else np.zeros_like(g)
    # Where y is 0, x ** -1 must not be computed.
    return g * conj(np.where(y == 0, 0, y * x ** np.where(y == 0, 1, y - one(g))))


def power_y(g, ans, x, y):
    # As in torch: 0 ** y does not depend on y unless y is negative.
    zeros = (x == 0) & (np.real(y) >= 0)
    # In the dtype of the result, which may be wider, or complex.
    base = np.where(zeros, 1, x).astype(ans.dtype, copy=False)
    return g * conj(np.where(zeros, 0, ans * np.log(base)))


def absolute(g, ans, x):
    if x.dtype.kind != "c":
        return g * np.sign(x)
    return g * (x / np.where(ans == 0, 1, ans))


def sign(g, ans, x):
    if x.dtype.kind != "c":
        return np.zeros_like(g)
    # ds = (dx - s Re(conj(s) dx)) / |x|, and 0 at 0.
    size = np.abs(x)
    return np.where(size == 0, 0, (g - ans * np.real(conj(g) * ans)) / np.where(size == 0, 1, size))


def angle(g, _ans, x, deg=False):
    if x.dtype.kind != "c":
        return np.zeros_like(g)
    if deg:
        g = g * (180 / np.pi)
    # Not divided by the square, which may leave the range of the dtype.
    size = np.abs(x)
    size = np.where(size == 0, 1, size)
    return g * 1j * (x / size) / size


def larger(g, _ans, x, y):
    # As in torch: equal values share the gradient; if one is NaN, each gets all of it.
    return np.where(x == y, g / 2, np.where(x < y, 0, g))


def smaller(g, _ans, x, y):
    return np.where(x == y, g / 2, np.where(x > y, 0, g))


def swapped(vjp):
    """The vjp of the second argument of a symmetric function."""
    return lambda g, ans, x, y: vjp(g, ans, y, x)


def arctan2_y(g, _ans, y, x):
    size = np.hypot(x, y)
    # 0 at the origin, as in torch.
    size = np.where(size == 0, 1, size)
    return g * (x / size / size)


def over_size(x, size):
    # At the origin there is a kink, and 0 is a slope between those of its sides, as for the absolute value.
    at_origin = size == 0
    return np.where(at_origin, 0, x / np.where(at_origin, 1, size))


def root_of_difference(x):
    """The conjugate of the square root of 1 - x**2."""
    if x.dtype.kind != "c":
        return np.sqrt((1 - x) * (1 + x))
    # In factors, so that the sign of a zero says on which side of a cut x is. (A sum would make -0 to 0.)
    return conj(np.sqrt(-(x - 1)) * np.sqrt(x - (-1)))


def arcsinh(g, _ans, x):
    return g / (root_of_difference(x * 1j) if x.dtype.kind == "c" else np.hypot(x, 1))


def logaddexp(exp):
    """The vjp of the first argument; `exp` raises the base to a power."""

    def vjp(g, ans, x, y):
        # An infinite x gets all of the gradient unless y is infinite as well. This avoids inf - inf.
        alone = (x == ans) & (x != y)
        return g * exp(np.where(alone, 0, x) - np.where(alone, 0, ans))

    return vjp


def tanh(g, ans, _x):
    if not is_constant(g, ans):
        return g * conj(1 - ans * ans)
    # The same in one array: for a layer of a network, allocating memory takes most of the time.
    gradient = np.multiply(ans, ans, out=np.empty_like(ans))
    np.subtract(1, gradient, out=gradient)
    return np.multiply(g, conj(gradient), out=gradient)


UNARY: dict[Any, Any] = {
    np.negative: lambda g, _ans, _x: -g,
    np.positive: lambda g, _ans, _x: g,
    np.absolute: absolute,
    np.fabs: lambda g, _ans, x: g * np.sign(x),
    np.sign: sign,
    np.conjugate: lambda g, _ans, _x: conj(g),
    np.square: lambda g, _ans, x: g * conj(2 * x),
    np.sqrt: lambda g, ans, _x: g / conj(2 * ans),
    np.cbrt: lambda g, ans, _x: g / (3 * ans * ans),
    np.reciprocal: lambda g, ans, _x: -g * conj(ans * ans),
    np.exp: lambda g, ans, _x: g * conj(ans),
    np.exp2: lambda g, ans, _x: g * conj(ans) * LN2,
    np.expm1: lambda g, _ans, x: g * conj(np.exp(x)),
    np.log: lambda g, _ans, x: g / conj(x),
    np.log2: lambda g, _ans, x: g / conj(x * LN2),
    np.log10: lambda g, _ans, x: g / conj(x * LN10),
    np.log1p: lambda g, _ans, x: g / conj(x + 1),
    np.sin: lambda g, _ans, x: g * conj(np.cos(x)),
    np.cos: lambda g, _ans, x: -g * conj(np.sin(x)),
    np.tan: lambda g, ans, _x: g * conj(1 + ans * ans),
    np.arcsin: lambda g, _ans, x: g / root_of_difference(x),
    np.arccos: lambda g, _ans, x: -g / root_of_difference(x),
    np.arctan: lambda g, _ans, x: g / conj(1 + x * x),
    np.sinh: lambda g, _ans, x: g * conj(np.cosh(x)),
    np.cosh: lambda g, _ans, x: g * conj(np.sinh(x)),
    np.tanh: tanh,
    np.arcsinh: arcsinh,
    np.arccosh: lambda g, _ans, x: g / conj(np.sqrt(x - 1) * np.sqrt(x - (-1))),
    np.arctanh: lambda g, _ans, x: g / conj((1 - x) * (1 + x)),
    np.deg2rad: lambda g, _ans, _x: g * (np.pi / 180),
    np.radians: lambda g, _ans, _x: g * (np.pi / 180),
    np.rad2deg: lambda g, _ans, _x: g * (180 / np.pi),
    np.degrees: lambda g, _ans, _x: g * (180 / np.pi),
    np.floor: zero,
    np.ceil: zero,
    np.trunc: zero,
    np.rint: zero,
}

BINARY: dict[Any, Any] = {
    np.add: (lambda g, _ans, _x, _y: g, lambda g, _ans, _x, _y: g),
    np.subtract: (lambda g, _ans, _x, _y: g, lambda g, _ans, _x, _y: -g),
    np.multiply: (lambda g, _ans, _x, y: g * conj(y), lambda g, _ans, x, _y: g * conj(x)),
    np.divide: (lambda g, _ans, _x, y: g / conj(y), lambda g, ans, _x, y: -g * conj(ans / y)),
    np.power: (power_x, power_y),
    np.float_power: (power_x, power_y),
    np.maximum: (larger, swapped(larger)),
    np.minimum: (smaller, swapped(smaller)),
    np.fmax: (
        lambda g, _ans, x, y: np.where((x >= y) | np.isnan(y), g, 0),
        lambda g, _ans, x, y: np.where((x >= y) | np.isnan(y), 0, g),
    ),
    np.fmin: (
        lambda g, _ans, x, y: np.where((x <= y) | np.isnan(y), g, 0),
        lambda g, _ans, x, y: np.where((x <= y) | np.isnan(y), 0, g),
    ),
    np.arctan2: (
        arctan2_y,
        lambda g, ans, y, x: arctan2_y(-g, ans, x, y),
    ),
    np.hypot: (lambda g, ans, x, _y: g * over_size(x, ans), lambda g, ans, _x, y: g * over_size(y, ans)),
    np.logaddexp: (logaddexp(np.exp), swapped(logaddexp(np.exp))),
    np.logaddexp2: (logaddexp(np.exp2), swapped(logaddexp(np.exp2))),
    np.remainder: (lambda g, _ans, _x, _y: g, lambda g, _ans, x, y: -g * np.floor(x / y)),
    np.fmod: (lambda g, _ans, _x, _y: g, lambda g, _ans, x, y: -g * np.trunc(x / y)),
    np.copysign: (lambda g, ans, x, _y: g * (np.sign(ans) * np.sign(x)), zero),
    np.ldexp: (lambda g, _ans, _x, n: np.ldexp(g, n), None),
    np.heaviside: (zero, lambda g, _ans, x, _y: np.where(x == 0, g, 0)),
    np.floor_divide: (zero, zero),
}

for _fun, _vjp in UNARY.items():
    add_primitive(_fun, _vjp, ignores_shapes=True)
for _ufunc, _vjps in BINARY.items():
    add_primitive(_ufunc, *_vjps, broadcasts=True, ignores_shapes=True)

# The operators have rows of their own: with scalars, as in x[0] ** 3, they round in another way than the ufuncs.
# For common powers ** is faster than np.power.
OPERATORS: dict[Any, Any] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.truediv: np.divide,
    operator.floordiv: np.floor_divide,
    operator.mod: np.remainder,
    operator.pow: np.power,
    operator.neg: np.negative,
    operator.pos: np.positive,
    operator.abs: np.absolute,
}
#: The rows of the operators by their ufuncs, which a scalar of NumPy calls for an operand that it does not know.
OPERATOR_OF: dict[Any, Primitive] = {}
for _operator, _ufunc in OPERATORS.items():
    _vjps = PRIMITIVES[_ufunc].vjps
    PRIMITIVES[_operator] = Primitive(_operator, _vjps, broadcasts=len(_vjps) == 2, ignores_shapes=True)
    PRIMITIVES[_operator].name = name_of(_ufunc)
    OPERATOR_OF[_ufunc] = PRIMITIVES[_operator]

# Not ufuncs.
add_primitive(np.real, lambda g, _ans, x: g, view=True)
add_primitive(np.imag, lambda g, _ans, x: g * 1j if x.dtype.kind == "c" else np.zeros_like(g), view=True)
add_primitive(np.angle, angle)
add_primitive(np.copy, lambda g, _ans, _x, order="K", subok=False: g)
add_primitive(np.round, lambda g, _ans, _x, decimals=0, _out=None: np.zeros_like(g))
add_primitive(np.around, lambda g, _ans, _x, decimals=0, _out=None: np.zeros_like(g))
add_primitive(np.fix, lambda g, _ans, _x, _out=None: np.zeros_like(g))


@primitive(lambda g, _ans, x, nan, posinf, neginf: np.where(np.isfinite(x), g, 0))
def _nan_to_num(x, nan, posinf, neginf):
    return np.nan_to_num(x, True, nan, posinf, neginf)


@composite(np.nan_to_num, exact=True)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    # Without a copy it is changed in place.
    return _nan_to_num(x, nan, posinf, neginf) if copy else NotImplemented


@composite(np.divmod)
def divmod_(x1, x2):
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


@composite(np.modf)
def modf(x):
    return x - np.trunc(x), np.trunc(x)


@primitive(
    None,
    lambda g, _ans, condition, _x, _y: np.where(condition, g, 0),
    lambda g, _ans, condition, _x, _y: np.where(condition, 0, g),
    broadcasts=True,
)
def _where(condition, x, y):
    return np.where(condition, x, y)


@composite(np.where, exact=True)
def where(condition, *values):
    return _where(condition, *values) if values else np.nonzero(condition)


@composite(np.select)
def select(condlist, choicelist, default=0):
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


def _inside(g, _ans, x, low, high):
    # A missing bound is not replaced by an infinity, which would turn integers into floats.
    is_inside = True if low is None else x >= low
    return np.where(is_inside if high is None else is_inside & (x <= high), g, 0)


@primitive(
    _inside,
    lambda g, _ans, x, low, high: np.where(x < low if high is None else (x < low) & (low < high), g, 0),
    lambda g, _ans, x, low, high: np.where(x > high if low is None else (x > high) | (high < low), g, 0),
    broadcasts=True,
)
def _clip(x, low, high):
    return np.clip(x, low, high)


@composite(np.clip, exact=True)
def clip(a, a_min=np._NoValue, a_max=np._NoValue, *, min=None, max=None):
    is_given = [bound is not np._NoValue for bound in (a_min, a_max)]
    if is_given[0] != is_given[1] or (is_given[0] and not (min is max is None)):
        return NotImplemented  # as NumPy, which asks for both, in one way
    a_min, a_max = (None if bound is np._NoValue else bound for bound in (a_min, a_max))
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    return _clip(a, low, high)


# Of the derivative of sin(y) / y: y * (-1/3 + y**2/30 - ...).
SINC_SERIES = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 12)]


def sinc(g, _ans, x):
    y = np.pi * x
    small = np.abs(y) < 1
    # Near 0 the terms of the quotient cancel; those of the Taylor series do not.
    z, far = np.where(small, y, 0), np.where(small, 1, y)
    series = np.zeros_like(z)
    for coefficient in reversed(SINC_SERIES):
        series = series * (z * z) + coefficient
    return g * conj(np.pi * np.where(small, series * z, (np.cos(far) - np.sin(far) / far) / far))


add_primitive(np.sinc, sinc)


PLAIN.update(
    [
        *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal),
        *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
        *(np.isnan, np.isfinite, np.isinf, np.signbit, np.spacing),
        *(np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isreal, np.iscomplex, np.isrealobj),
        *(np.iscomplexobj, np.isposinf, np.isneginf),
    ]
)


@composite(np.real_if_close)
def real_if_close(a, tol=100):
    a = as_array(a)
    is_real = a.dtype.kind == "c" and np.isrealobj(
        np.real_if_close(a if isinstance(a, np.ndarray) else a.data, tol)
    )
    return np.real(a) if is_real else a


def _i0_vjp(g, _ans, x):
    import scipy.special

    return g * scipy.special.i1(x)


add_primitive(np.i0, _i0_vjp)


@composite(np.frexp)
def frexp(x):
    exponent = np.frexp(x if isinstance(x, np.ndarray) else x.data)[1]
    return np.ldexp(x, -exponent), exponent
