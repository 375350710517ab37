"""Vjps of the functions of scipy.special. Loaded when one of these is first called: others need no SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sc

from ._elementwise import zero
from ._primitives import NO_VJP, add_primitive, conj, one, primitive

ROOT_PI = float(np.sqrt(np.pi))
ROOT_2 = float(np.sqrt(2))
DEGREE = np.pi / 180


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
    nearest = np.round(np.real(x))
    at_pole = (nearest <= 0) & (np.abs(x - nearest) < 0.01)
    # gamma(1 - x) * sin(pi * x) / pi, differentiated. Of the angle, multiples of pi are left out.
    # Where 1 / gamma underflows, so does its derivative. Elsewhere psi is exact, also where this is small.
    u, v = np.where(at_pole, x, 0), np.where(at_pole | (ans == 0), 1, x)
    nearest = np.where(at_pole, nearest, 0)
    angle = np.pi * (u - nearest)
    sign = 1 - 2 * (nearest % 2)
    reflected = sign * sc.gamma(1 - u) * (np.cos(angle) - np.sin(angle) / np.pi * sc.psi(1 - u))
    return np.where(at_pole, reflected, -ans * sc.psi(v))


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


@primitive(lambda g, ans, x: -2 * g * conj(sc.dawsn(x) + x * ans))
def dawson_slope(x):
    """The derivative of Dawson's integral, 1 - 2 x dawsn(x), where the terms do not cancel."""
    if x.dtype.kind == "c":
        return 1 - 2 * x * sc.dawsn(x)
    # For large x by the asymptotic series, whose terms are tiny at k = 25.
    large = np.abs(x) > 7
    z = 1 / (2 * np.where(large, x, 7) ** 2)
    term, total = np.ones_like(z), np.zeros_like(z)
    for k in range(1, 26):
        term = term * (2 * k - 1) * z
        total = total - term
    return np.where(large, total, sc.hyp1f1(1.0, 0.5, -(np.where(large, 7, x) ** 2)))


@primitive(lambda g, _ans, x, k: g * exponential_moment(x, k + 1))
def exponential_moment(x, k):
    """The integral of t**k * exp(t * x) over t from 0 to 1, for real numbers."""
    near = np.abs(x) < 2
    z = np.where(near, x, 0)
    term, total = np.ones_like(z), np.zeros_like(z)
    for j in range(40):
        total = total + term / (k + 1 + j)
        term = term * z / (j + 1)
    far = np.where(near, 2, x)
    moment = np.expm1(far) / far
    for i in range(1, k + 1):
        moment = (np.exp(far) - i * moment) / far
    return np.where(near, total, moment)


# The complete elliptic integrals' derivatives by Carlson's integral, where nothing cancels near 0.


@primitive(lambda g, _ans, m: g * sc.hyp2f1(2.5, 2.5, 3.0, m) * (9 * np.pi / 64))
def ellipk_slope(m):
    rest = 1 - m
    at_pole = rest == 0
    m, rest = np.where(at_pole, 0, m), np.where(at_pole, 1, rest)
    return np.where(at_pole, np.inf, (sc.ellipk(m) - sc.elliprd(0, rest, 1) / 3) / (2 * rest))


@primitive(lambda g, _ans, m: -g * sc.hyp2f1(1.5, 2.5, 3.0, m) * (3 * np.pi / 64))
def ellipe_slope(m):
    return -sc.elliprd(0, 1 - m, 1) / 6


def _spence(g, _ans, x):
    # At 1 the quotient is 0 / 0.
    at_one = x == 1
    return g * conj(np.where(at_one, -1, np.log(x) / np.where(at_one, 1, 1 - x)))


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
    sc.cosm1: lambda g, _ans, x: -g * np.sin(x),
    sc.exprel: lambda g, _ans, x: g * exponential_moment(x, 1),
    sc.sindg: lambda g, _ans, x: g * sc.cosdg(x) * DEGREE,
    sc.cosdg: lambda g, _ans, x: -g * sc.sindg(x) * DEGREE,
    sc.tandg: lambda g, ans, _x: g * (1 + ans * ans) * DEGREE,
    sc.erfi: lambda g, _ans, x: g * conj(gauss(x, -1.0)) * (2 / ROOT_PI),
    sc.dawsn: lambda g, _ans, x: g * conj(dawson_slope(x)),
    sc.wofz: lambda g, ans, x: g * conj(2j / ROOT_PI - 2 * x * ans),
    sc.loggamma: lambda g, _ans, x: g * conj(sc.psi(x) if x.dtype.kind == "c" else digamma(x)),
    sc.gammasgn: zero,
    sc.exp1: lambda g, _ans, x: -g * conj(np.exp(-x) / x),
    sc.expi: lambda g, _ans, x: g * conj(np.exp(x) / x),
    sc.spence: _spence,
    sc.k0: lambda g, _ans, x: -g * sc.k1(x),
    sc.k1: lambda g, ans, x: -g * (sc.k0(x) + ans / x),
    sc.k0e: lambda g, ans, x: g * (ans - sc.k1e(x)),
    sc.k1e: lambda g, ans, x: g * (ans - sc.k0e(x) - ans / x),
    sc.ellipk: lambda g, _ans, m: g * ellipk_slope(m),
    sc.ellipe: lambda g, _ans, m: g * ellipe_slope(m),
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


def beta_density(a, b, x):
    return np.exp(sc.xlogy(a - 1, x) + sc.xlog1py(b - 1, -x) - sc.betaln(a, b))


def student_density(df, t):
    """The density of Student's distribution with `df` degrees of freedom."""
    return np.exp(-(df + 1) / 2 * np.log1p(t * t / df) - sc.betaln(df / 2, 0.5)) / np.sqrt(df)


def _scaled(order, slope, axis):
    """The vjp of a Bessel function times exp(-|Re z|) or exp(-|Im z|); `slope` is that of the function, scaled."""

    def vjp(g, ans, v, z):
        v = v * one(g)
        gradient = g * conj(slope(order, v, z))
        if z.dtype.kind != "c":
            return gradient - g * ans * np.sign(z) if axis == 1 else gradient
        return gradient - axis * np.sign(np.real(z) if axis == 1 else np.imag(z)) * np.real(g * conj(ans))

    return vjp


def _mean_difference(fun, v, z):
    return (fun(v - 1, z) - fun(v + 1, z)) / 2


def _mean_sum(fun, v, z):
    return (fun(v - 1, z) + fun(v + 1, z)) / 2


def _binom_slopes(ans, n, k, rest):
    """The derivatives of gamma(n) / gamma(k) / gamma(rest), whose value is `ans`, with respect to n and k."""
    zero = ans == 0
    # At a zero it is 1 / gamma that has a derivative.
    a, b, c = (np.where(zero, 1, x) for x in (n, k, rest))
    inverse_k, inverse_rest = sc.rgamma(k), sc.rgamma(rest)
    by_rest = inverse_k * rgamma_slope(inverse_rest, rest)
    by_k = rgamma_slope(inverse_k, k) * inverse_rest - by_rest
    scale = sc.gamma(np.where(zero, n, 1))
    by_n = inverse_k * inverse_rest * sc.psi(np.where(zero, n, 1)) + by_rest
    return (
        np.where(zero, scale * by_n, ans * (sc.psi(a) - sc.psi(c))),
        np.where(zero, scale * by_k, ans * (sc.psi(c) - sc.psi(b))),
    )


def _expn(g, _ans, n, x):
    n = np.trunc(n) * one(g)
    # SciPy has no integral of order -1.
    return -g * np.where(n < 1, np.exp(-x) * (1 + x) / (x * x), sc.expn(np.maximum(n, 1) - 1, x))


def _boxcox_lambda(g, _ans, log_x, power):
    # Not 0 / 0 where the power is 0. At x = 0 the value is -1 / power.
    at_zero = log_x == -np.inf
    log_x, safe = np.where(at_zero, 1, log_x), np.where(at_zero, power, 1)
    return g * np.where(at_zero, 1 / (safe * safe), log_x * log_x * exponential_moment(power * log_x, 1))


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
    sc.jv: (NO_VJP, lambda g, _ans, v, x: g * conj(_mean_difference(sc.jv, v * one(g), x))),
    sc.iv: (NO_VJP, lambda g, _ans, v, x: g * conj(_mean_sum(sc.iv, v * one(g), x))),
    sc.yv: (NO_VJP, lambda g, _ans, v, x: g * conj(_mean_difference(sc.yv, v * one(g), x))),
    sc.kv: (NO_VJP, lambda g, _ans, v, x: -g * conj(_mean_sum(sc.kv, v * one(g), x))),
    # Of numbers that are no integers, these three take the integer part.
    sc.yn: (None, lambda g, _ans, n, x: g * _mean_difference(sc.yv, np.trunc(n) * one(g), x)),
    sc.kn: (None, lambda g, _ans, n, x: -g * _mean_sum(sc.kv, np.trunc(n) * one(g), x)),
    sc.expn: (None, _expn),
    sc.ive: (NO_VJP, _scaled(sc.ive, _mean_sum, 1)),
    sc.jve: (NO_VJP, _scaled(sc.jve, _mean_difference, 1j)),
    sc.yve: (NO_VJP, _scaled(sc.yve, _mean_difference, 1j)),
    sc.kve: (NO_VJP, lambda g, ans, v, z: g * conj(ans - _mean_sum(sc.kve, v * one(g), z))),
    sc.gammaincinv: (NO_VJP, lambda g, ans, a, _y: g / gamma_density(a * one(g), ans)),
    sc.gammainccinv: (NO_VJP, lambda g, ans, a, _y: -g / gamma_density(a * one(g), ans)),
    sc.chdtr: (NO_VJP, lambda g, _ans, v, x: g * gamma_density(v * one(g) / 2, x / 2) / 2),
    # In older versions of SciPy it is 1 below 0.
    sc.chdtrc: (
        NO_VJP,
        lambda g, ans, v, x: -g * np.where((x < 0) & (ans == 1), 0, gamma_density(v * one(g) / 2, x / 2) / 2),
    ),
    sc.pdtr: (NO_VJP, lambda g, _ans, k, m: -g * gamma_density(np.floor(k) + one(g), m)),
    sc.pdtrc: (NO_VJP, lambda g, _ans, k, m: g * gamma_density(np.floor(k) + one(g), m)),
    sc.stdtr: (NO_VJP, lambda g, _ans, df, t: g * student_density(df * one(g), t)),
    sc.stdtrit: (NO_VJP, lambda g, ans, df, _p: g / student_density(df * one(g), ans)),
    sc.boxcox: (
        lambda g, _ans, x, power: g * x ** (power - one(g)),
        lambda g, ans, x, power: _boxcox_lambda(g, ans, np.log(x * one(g)), power),
    ),
    sc.boxcox1p: (
        lambda g, _ans, x, power: g * (one(g) + x) ** (power - one(g)),
        lambda g, ans, x, power: _boxcox_lambda(g, ans, np.log1p(x * one(g)), power),
    ),
    sc.inv_boxcox: (lambda g, ans, _y, power: g * ans ** (one(g) - power), NO_VJP),
    sc.inv_boxcox1p: (lambda g, ans, _y, power: g * (one(g) + ans) ** (one(g) - power), NO_VJP),
    sc.binom: (
        lambda g, ans, n, k: g * _binom_slopes(ans, n + one(g), k + one(g), n - k + one(g))[0],
        lambda g, ans, n, k: g * _binom_slopes(ans, n + one(g), k + one(g), n - k + one(g))[1],
    ),
    sc.hyp0f1: (NO_VJP, lambda g, _ans, v, z: g * conj(sc.hyp0f1(v + one(g), z) / v)),
    # What scipy.special.zeta calls with two arguments.
    sc._ufuncs._zeta: (NO_VJP, lambda g, _ans, x, q: -g * x * sc.zeta(x + one(g), q)),
}

#: With three arguments or more; only the last has a gradient.
LAST: dict[Any, Any] = {
    sc.betainc: lambda g, _ans, a, b, x: g * beta_density(a * one(g), b * one(g), x),
    sc.betaincinv: lambda g, ans, a, b, _y: g / beta_density(a * one(g), b * one(g), ans),
    sc.hyp1f1: lambda g, _ans, a, b, z: g * conj(sc.hyp1f1(a + one(g), b + one(g), z) * a / b),
    sc.hyp2f1: lambda g, _ans, a, b, c, z: (
        g * conj(sc.hyp2f1(a + one(g), b + one(g), c + one(g), z) * (a * one(g) * b / c))
    ),
    sc.hyperu: lambda g, _ans, a, b, z: -g * a * sc.hyperu(a + one(g), b + one(g), z),
}

for _fun, _vjp in UNARY.items():
    add_primitive(_fun, _vjp, ignores_shapes=True)
for _fun, _vjps in BINARY.items():
    add_primitive(_fun, *_vjps, broadcasts=True, ignores_shapes=True)
for _fun, _vjp in LAST.items():
    add_primitive(_fun, *[NO_VJP] * (_fun.nin - 1), _vjp, broadcasts=True, ignores_shapes=True)
# In SciPy 1.15 and later.
if hasattr(sc, "betaincc"):
    _complement = (NO_VJP, NO_VJP, lambda g, _ans, a, b, x: -g * beta_density(a * one(g), b * one(g), x))
    add_primitive(sc.betaincc, *_complement, broadcasts=True, ignores_shapes=True)
# What scipy.special.lambertw calls: with a branch and a tolerance.
add_primitive(sc._ufuncs._lambertw, lambda g, ans, _z, _k, _tol: g * conj(np.exp(-ans) / (1 + ans)), None, None)
