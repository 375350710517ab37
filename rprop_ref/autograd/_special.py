"""Vjps of the functions of scipy.special. Loaded when one of these is first called: others need no SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sc

from ._primitives import NO_VJP, add_primitive, conj, one, primitive

ROOT_PI = float(np.sqrt(np.pi))
ROOT_2 = float(np.sqrt(2))


@primitive(NO_VJP, lambda g, _ans, n, x: g * polygamma(n + 1, x))
def polygamma(n, x):
    if np.iscomplexobj(x):
        raise TypeError(
            "scipy.special.psi has no rule for its gradient at complex numbers, where SciPy has no polygamma; "
            "give it real numbers, or add a rule with rprop_ref.autograd.register_vjp(scipy.special.psi, ...)"
        )
    return sc.polygamma(n, x)


def gauss(x, factor=1.0):
    """exp(-factor * x**2), without the error that the rounding of x**2 makes in the exponent of a large x."""
    if x.dtype.kind == "c":
        return np.exp(-x * x * factor)
    # Any h gives the same function, so its derivative is not needed. This one is exact in few bits, and near x.
    h = np.round(np.clip(x, -40, 40) * 16) / 16
    return np.exp(-h * h * factor) * np.exp(-(x - h) * (x + h) * factor)


def normal_ratio(ans, x):
    """The density of the normal distribution divided by its integral, whose logarithm is `ans`."""
    if x.dtype.kind == "c":
        return np.exp(-x * x / 2 - ans) / np.sqrt(2 * np.pi)
    left = 2 / (ROOT_2 * ROOT_PI) / sc.erfcx(-np.minimum(x, 0) / ROOT_2)
    return np.where(x < 0, left, gauss(x, 0.5) / np.sqrt(2 * np.pi) / sc.ndtr(x))


@primitive(lambda g, ans, x: g * 2 * (sc.erfcx(x) + x * ans))
def erfcx_slope(x):
    """The derivative of erfcx for real numbers: 2 x erfcx(x) - 2 / sqrt(pi), where the terms do not cancel."""
    # Where they do, by the continued fraction of erfcx (Abramowitz and Stegun 7.1.14).
    y = np.maximum(x, 2)
    fraction = y
    for k in range(60, 1, -1):
        fraction = y + k / 2 / fraction
    z = np.minimum(x, 2)
    return np.where(x < 2, 2 * (z * sc.erfcx(z)) - 2 / ROOT_PI, -sc.erfcx(y) / fraction)


def _erfcx(g, ans, x):
    return g * (conj(2 * x * ans - 2 / ROOT_PI) if x.dtype.kind == "c" else erfcx_slope(x))


def digamma(x):
    """psi, with all digits near its poles as well."""
    if x.dtype.kind == "c":
        return sc.psi(x)
    distance = x - np.round(x)
    near = (x < -0.5) & (np.abs(distance) < 0.25)
    reflected = sc.psi(np.where(near, 1 - x, 1)) - np.pi / np.tan(np.pi * np.where(near, distance, 0.25))
    return np.where(near, reflected, sc.psi(np.where(near, 1, x)))


def rgamma_slope(ans, x):
    """The derivative of 1 / gamma, which has no poles."""
    left = np.real(x) < 0.5
    # gamma(1 - x) * sin(pi * x) / pi, differentiated. Of the angle, multiples of pi are left out.
    # Where 1 / gamma underflows, so does its derivative.
    u, v = np.where(left, x, 0), np.where(left | (ans == 0), 1, x)
    nearest = np.round(np.real(u))
    angle = np.pi * (u - nearest)
    sign = 1 - 2 * (nearest % 2)
    reflected = sign * sc.gamma(1 - u) * (np.cos(angle) - np.sin(angle) / np.pi * sc.psi(1 - u))
    return np.where(left, reflected, -ans * sc.psi(v))


def _differences(count):
    """The coefficients of i1e(x) - i0e(x) = sum of c[k] / x**k / sqrt(2 pi x) for large x."""
    zero, one, coefficients = 1.0, 1.0, [0.0]
    for k in range(1, count):
        odd = (2 * k - 1) ** 2
        zero, one = zero * odd / (8 * k), one * (odd - 4) / (8 * k)
        coefficients.append(one - zero)
    return coefficients


@primitive(lambda g, ans, x: -g * (2 * ans + sc.i1e(x) / x))
def i1e_minus_i0e(x):
    """i1e(x) - i0e(x) for positive x; for large ones from their asymptotic series, whose first terms are equal."""
    y = 1 / np.maximum(x, 20)
    total = np.zeros_like(y)
    for coefficient in reversed(_differences(30)):
        total = total * y + coefficient
    return np.where(x < 20, sc.i1e(x) - sc.i0e(x), total * np.sqrt(y / (2 * np.pi)))


def _over(x, y):
    # The derivative of xlogy and xlog1py with respect to y. At x = 0 they are 0 for every y, so 0 / 0 is 0 here
    # (in torch NaN).
    return x / np.where((x == 0) & (y == 0), 1, y)


def _log(g, x, y, log, end):
    # The derivative with respect to x is log(y), also at x = 0, as in torch; but 0 there if log(y) is not defined.
    outside = (x == 0) & (np.real(y) <= end) & (np.imag(y) == 0)
    # In the dtype of the result, which may be wider, or complex.
    y = np.where(outside, 1, y).astype(g.dtype, copy=False)
    return np.where(outside, 0, g * conj(log(y)))


def _ratio(ans, x):
    """The quotient of a Bessel function of order one and x, which is 1/2 at 0."""
    return np.where(x == 0, 0.5, ans / np.where(x == 0, 1, x))


def _y1(g, ans, x):
    zero = x == 0
    return g * np.where(zero, np.inf, sc.y0(x) - np.where(zero, 0, ans) / np.where(zero, 1, x))


def _one_minus_ratio(x, y):
    both = (x == 0) & (y == 0)
    return np.where(both, 1, (y - x) / np.where(both, 1, y))


def _log_ratio(x, y):
    """log(x / y), with all digits also where x and y are nearly equal."""
    excess = (x - y) / y
    near = np.abs(excess) < 0.5
    return np.where(near, np.log1p(np.where(near, excess, 0)), np.log(np.where(near, 1, x / y)))


UNARY: dict[Any, Any] = {
    sc.expit: lambda g, ans, x: g * ans * sc.expit(-x),
    sc.logit: lambda g, _ans, x: g / (x * (1 - x)),
    sc.log_expit: lambda g, _ans, x: g * sc.expit(-x),
    sc.erf: lambda g, _ans, x: g * conj(gauss(x)) * (2 / ROOT_PI),
    sc.erfc: lambda g, _ans, x: -g * conj(gauss(x)) * (2 / ROOT_PI),
    sc.erfcx: _erfcx,
    sc.erfinv: lambda g, ans, _x: g / gauss(ans) * (ROOT_PI / 2),
    sc.erfcinv: lambda g, ans, _x: -g / gauss(ans) * (ROOT_PI / 2),
    sc.ndtr: lambda g, _ans, x: g * conj(gauss(x, 0.5)) / np.sqrt(2 * np.pi),
    sc.log_ndtr: lambda g, ans, x: g * conj(normal_ratio(ans, x)),
    sc.ndtri: lambda g, ans, _x: g / gauss(ans, 0.5) * np.sqrt(2 * np.pi),
    sc.gammaln: lambda g, _ans, x: g * digamma(x),
    sc.gamma: lambda g, ans, x: g * conj(ans * digamma(x)),
    sc.rgamma: lambda g, ans, x: g * conj(rgamma_slope(ans, x)),
    sc.psi: lambda g, _ans, x: g * polygamma(1, x),
    sc.entr: lambda g, _ans, x: -g * (np.log(x) + 1),
    sc.j0: lambda g, _ans, x: -g * sc.j1(x),
    sc.j1: lambda g, ans, x: g * (sc.j0(x) - _ratio(ans, x)),
    sc.y0: lambda g, _ans, x: -g * sc.y1(x),
    sc.y1: _y1,
    sc.i0: lambda g, _ans, x: g * sc.i1(x),
    sc.i1: lambda g, ans, x: g * (sc.i0(x) - _ratio(ans, x)),
    sc.i0e: lambda g, _ans, x: g * (np.sign(x) * i1e_minus_i0e(np.abs(x))),
    sc.i1e: lambda g, ans, x: -g * (i1e_minus_i0e(np.abs(x)) + _ratio(ans, x)),
    sc.exp2: lambda g, ans, _x: g * ans * float(np.log(2)),
    sc.exp10: lambda g, ans, _x: g * ans * float(np.log(10)),
    sc.expm1: lambda g, _ans, x: g * conj(np.exp(x)),
    sc.log1p: lambda g, _ans, x: g / conj(x + 1),
    sc.cbrt: lambda g, ans, _x: g / (3 * ans * ans),
}


def psi_difference(g, a, b):
    return sc.psi(a * one(g)) - sc.psi(a * one(g) + b)


def gamma_density(a, x):
    return np.exp(sc.xlogy(a - 1, x) - x - sc.gammaln(a))


def _pseudo_huber_delta(g, _ans, delta, r):
    # delta**2 * (sqrt(1 + (r / delta)**2) - 1), differentiated; written without differences, and for delta = 0.
    size = np.hypot(delta, r)
    size = np.where(size == 0, 1, size)
    share = r / (size + delta)
    return g * (share * share * (r / size) * r)


def _pseudo_huber_r(g, _ans, delta, r):
    size = np.hypot(delta, r)
    return g * (r / np.where(size == 0, 1, size) * delta)


BINARY: dict[Any, Any] = {
    sc.xlogy: (lambda g, _ans, x, y: _log(g, x, y, np.log, 0), lambda g, _ans, x, y: g * conj(_over(x, y))),
    sc.xlog1py: (
        lambda g, _ans, x, y: _log(g, x, y, np.log1p, -1),
        lambda g, _ans, x, y: g * conj(_over(x, one(g) + y)),
    ),
    sc.rel_entr: (lambda g, _ans, x, y: g * (_log_ratio(x, y) + 1), lambda g, _ans, x, y: -g * _over(x, y)),
    sc.kl_div: (lambda g, _ans, x, y: g * _log_ratio(x, y), lambda g, _ans, x, y: g * _one_minus_ratio(x, y)),
    sc.betaln: (
        lambda g, _ans, a, b: g * psi_difference(g, a, b),
        lambda g, _ans, a, b: g * psi_difference(g, b, a),
    ),
    sc.beta: (
        lambda g, ans, a, b: g * ans * psi_difference(g, a, b),
        lambda g, ans, a, b: g * ans * psi_difference(g, b, a),
    ),
    sc.huber: (
        lambda g, _ans, delta, r: g * np.maximum(np.abs(r) - delta, 0),
        lambda g, _ans, delta, r: g * np.clip(r, -delta, delta),
    ),
    sc.pseudo_huber: (_pseudo_huber_delta, _pseudo_huber_r),
    sc.gammainc: (NO_VJP, lambda g, _ans, a, x: g * gamma_density(a * one(g), x)),
    sc.gammaincc: (NO_VJP, lambda g, _ans, a, x: -g * gamma_density(a * one(g), x)),
    sc.jv: (NO_VJP, lambda g, _ans, v, x: g * conj(sc.jv(v - one(g), x) - sc.jv(v + one(g), x)) / 2),
    sc.iv: (NO_VJP, lambda g, _ans, v, x: g * conj(sc.iv(v - one(g), x) + sc.iv(v + one(g), x)) / 2),
}

for _fun, _vjp in UNARY.items():
    add_primitive(_fun, _vjp, ignores_shapes=True)
for _fun, _vjps in BINARY.items():
    add_primitive(_fun, *_vjps, broadcasts=True, ignores_shapes=True)
