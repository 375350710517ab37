"""Vjps of the functions of scipy.special. Loaded when one of these is first called: others need no SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sc

from ._primitives import NO_VJP, add_primitive, primitive

ROOT_PI = float(np.sqrt(np.pi))


@primitive(NO_VJP, lambda g, _ans, n, x: g * polygamma(n + 1, x))
def polygamma(n, x):
    return sc.polygamma(n, x)


def normal_ratio(ans, x):
    """The density of the normal distribution divided by its integral, whose logarithm is `ans`."""
    return np.exp(-x * x / 2 - ans) / np.sqrt(2 * np.pi)


def _over(x, y):
    # The derivative of xlogy and xlog1py with respect to y. At x = 0 they are 0 for every y, so 0 / 0 is 0 here
    # (in torch NaN).
    return x / np.where((x == 0) & (y == 0), 1, y)


def _log(g, x, y, log, end):
    # The derivative with respect to x is log(y), also at x = 0, as in torch; but 0 there if log(y) is not defined.
    outside = (x == 0) & (y <= end)
    return np.where(outside, 0, g * log(np.where(outside, 1, y)))


def _ratio(ans, x):
    """The quotient of a Bessel function of order one and x, which is 1/2 at 0."""
    return np.where(x == 0, 0.5, ans / np.where(x == 0, 1, x))


UNARY: dict[Any, Any] = {
    sc.expit: lambda g, ans, _x: g * ans * (1 - ans),
    sc.logit: lambda g, _ans, x: g / (x * (1 - x)),
    sc.log_expit: lambda g, _ans, x: g * sc.expit(-x),
    sc.erf: lambda g, _ans, x: g * np.exp(-x * x) * (2 / ROOT_PI),
    sc.erfc: lambda g, _ans, x: -g * np.exp(-x * x) * (2 / ROOT_PI),
    sc.erfcx: lambda g, ans, x: g * (2 * x * ans - 2 / ROOT_PI),
    sc.erfinv: lambda g, ans, _x: g * np.exp(ans * ans) * (ROOT_PI / 2),
    sc.erfcinv: lambda g, ans, _x: -g * np.exp(ans * ans) * (ROOT_PI / 2),
    sc.ndtr: lambda g, _ans, x: g * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    sc.log_ndtr: lambda g, ans, x: g * normal_ratio(ans, x),
    sc.ndtri: lambda g, ans, _x: g * np.exp(ans * ans / 2) * np.sqrt(2 * np.pi),
    sc.gammaln: lambda g, _ans, x: g * sc.psi(x),
    sc.gamma: lambda g, ans, x: g * ans * sc.psi(x),
    sc.rgamma: lambda g, ans, x: -g * ans * sc.psi(x),
    sc.psi: lambda g, _ans, x: g * polygamma(1, x),
    sc.entr: lambda g, _ans, x: -g * (np.log(x) + 1),
    sc.j0: lambda g, _ans, x: -g * sc.j1(x),
    sc.j1: lambda g, ans, x: g * (sc.j0(x) - _ratio(ans, x)),
    sc.y0: lambda g, _ans, x: -g * sc.y1(x),
    sc.y1: lambda g, ans, x: g * (sc.y0(x) - ans / x),
    sc.i0: lambda g, _ans, x: g * sc.i1(x),
    sc.i1: lambda g, ans, x: g * (sc.i0(x) - _ratio(ans, x)),
    sc.i0e: lambda g, ans, x: g * (sc.i1e(x) - np.sign(x) * ans),
    sc.i1e: lambda g, ans, x: g * (sc.i0e(x) - np.sign(x) * ans - _ratio(ans, x)),
    sc.exp2: lambda g, ans, _x: g * ans * float(np.log(2)),
    sc.exp10: lambda g, ans, _x: g * ans * float(np.log(10)),
    sc.expm1: lambda g, ans, _x: g * (ans + 1),
    sc.log1p: lambda g, _ans, x: g / (x + 1),
    sc.cbrt: lambda g, ans, _x: g / (3 * ans * ans),
}

BINARY: dict[Any, Any] = {
    sc.xlogy: (lambda g, _ans, x, y: _log(g, x, y, np.log, 0), lambda g, _ans, x, y: g * _over(x, y)),
    sc.xlog1py: (lambda g, _ans, x, y: _log(g, x, y, np.log1p, -1), lambda g, _ans, x, y: g * _over(x, 1 + y)),
    sc.rel_entr: (lambda g, _ans, x, y: g * (np.log(x / y) + 1), lambda g, _ans, x, y: -g * x / y),
    sc.kl_div: (lambda g, _ans, x, y: g * np.log(x / y), lambda g, _ans, x, y: g * (1 - x / y)),
    sc.betaln: (
        lambda g, _ans, a, b: g * (sc.psi(a) - sc.psi(a + b)),
        lambda g, _ans, a, b: g * (sc.psi(b) - sc.psi(a + b)),
    ),
    sc.beta: (
        lambda g, ans, a, b: g * ans * (sc.psi(a) - sc.psi(a + b)),
        lambda g, ans, a, b: g * ans * (sc.psi(b) - sc.psi(a + b)),
    ),
    sc.huber: (
        lambda g, _ans, delta, r: g * np.maximum(np.abs(r) - delta, 0),
        lambda g, _ans, delta, r: g * np.clip(r, -delta, delta),
    ),
    sc.pseudo_huber: (
        lambda g, _ans, delta, r: (
            g * (2 * delta * (np.sqrt(1 + (r / delta) ** 2) - 1) - r * r / (delta * np.sqrt(1 + (r / delta) ** 2)))
        ),
        lambda g, _ans, delta, r: g * r / np.sqrt(1 + (r / delta) ** 2),
    ),
    sc.gammainc: (NO_VJP, lambda g, _ans, a, x: g * np.exp(sc.xlogy(a - 1, x) - x - sc.gammaln(a))),
    sc.gammaincc: (NO_VJP, lambda g, _ans, a, x: -g * np.exp(sc.xlogy(a - 1, x) - x - sc.gammaln(a))),
    sc.jv: (NO_VJP, lambda g, _ans, v, x: g * (sc.jv(v - 1, x) - sc.jv(v + 1, x)) / 2),
    sc.iv: (NO_VJP, lambda g, _ans, v, x: g * (sc.iv(v - 1, x) + sc.iv(v + 1, x)) / 2),
}

for _fun, _vjp in UNARY.items():
    add_primitive(_fun, _vjp, ignores_shapes=True)
for _fun, _vjps in BINARY.items():
    add_primitive(_fun, *_vjps, broadcasts=True, ignores_shapes=True)
