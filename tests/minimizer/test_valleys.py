"""Fits of strongly correlated variables end when they are as good as the arithmetic allows, and not before."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from rprop_ref import minimize, minimize_many
from rprop_ref._core.stopping import FUTILE_STEPS
from rprop_ref.bits import same_bits


@numba.njit
def line(b, g, x, y):
    """The sum of squares of an intercept and a slope."""
    f = 0.0
    for i in range(x.size):
        r = b[0] + b[1] * x[i] - y[i]
        f += r * r
        g[0] += 2 * r
        g[1] += 2 * r * x[i]
    return f


def data(seed):
    """Points up to 36,401 around lines with intercepts of about 82,352."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 1, rng.integers(5, 40)) ** rng.choice([0.3, 1, 3])) * 36_401
    return x, 82_352 + rng.choice([-1, 0.01, 2]) * x + rng.normal(size=x.size) * 10.0 ** rng.uniform(-1, 4)


def test_runs_end_at_the_least_squares():
    ended = 0
    for seed in range(150):
        x, y = data(seed)
        r = minimize(line, [1.0, 1.0], args=(x, y), maxiter=100_000)
        least = np.polynomial.Polynomial.fit(x, y, 1).convert().coef
        assert r.status != 1, seed
        if r.success:
            ended += 1
            g = np.zeros(2)
            assert r.fun <= line(least, g, x, y) * (1 + 1e-12)
            np.testing.assert_allclose(r.x, least, rtol=1e-6)
    assert ended > 100


def slow():
    """A run that steps could continue for a million iterations."""
    for seed in range(150):
        x, y = data(seed)
        if minimize(line, [1.0, 1.0], args=(x, y), maxiter=20_000, xtol=0).nit == 20_000:
            r = minimize(line, [1.0, 1.0], args=(x, y))
            if r.success and r.nit > FUTILE_STEPS:
                return (x, y), r
    raise AssertionError("there is none")


def test_all_drivers_end_alike():
    args, compiled = slow()
    assert "No lower value since iteration" in compiled.message

    def plain(b):
        g = np.zeros(2)
        return line(b, g, *args), g

    for backend in ("numpy", "numba"):
        r = minimize(plain, [1.0, 1.0], jac=True, backend=backend)
        assert same_bits(r.state.vectors, compiled.state.vectors)
        assert same_bits(r.state.scalars, compiled.state.scalars)
    starts = np.random.default_rng(0).normal(size=(40, 2)) + 1
    rows = minimize_many(line, starts, args=args)
    for i, start in enumerate(starts):
        single = minimize(line, start, args=args)
        assert same_bits(rows.x[i], single.x)
        assert (rows.nit[i], rows.nfev[i], rows.message[i]) == (single.nit, single.nfev, single.message)


@pytest.mark.parametrize("options", [{"xtol": 0}, {"patience": 300}])
def test_other_options_keep_their_meaning(options):
    args, _ = slow()
    r = minimize(line, [1.0, 1.0], args=args, **options)
    assert r.status == (6 if "patience" in options else 1)
