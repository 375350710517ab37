"""Many starts on the GPU end where single runs on the host do, to the bit."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from numba import cuda

from cuda_kernels import _cuda, many_runs
from rprop_ref import minimize, minimize_many, starts
from rprop_ref.bits import same_bits

if _cuda.SIMULATED:

    def plus(a, b):
        return a + b

    def times(a, b):
        return a * b

else:
    # The compiler would fuse a * b + c.
    plus, times = cuda.libdevice.dadd_rn, cuda.libdevice.dmul_rn

COLUMNS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success")


@cuda.jit(device=True)
def quartic(x, g, a):
    """sum (x - a)**4 + 0.5 x**2, and nothing where x is below -3."""
    f = 0.0
    for i in range(x.size):
        d = x[i] - a
        square = times(d, d)
        f = plus(f, plus(times(square, square), times(0.5, times(x[i], x[i]))))
        g[i] = plus(times(4.0, times(square, d)), x[i])
        if x[i] < -3.0:
            f = np.inf
    return f


def on_host(x, a):
    d = x - a
    square = d * d
    f = 0.0
    for t in square * square + 0.5 * (x * x):
        f = f + t
    return (np.inf if (x < -3.0).any() else f), 4.0 * (square * d) + x


def assert_same(found, points, *args, **options):
    for i, x0 in enumerate(points):
        expected = minimize(on_host, x0, args=args, jac=True, backend="numpy", **options)
        for name in COLUMNS:
            assert same_bits(np.asarray(found[name][i], float), np.asarray(expected[name], float)), (i, name)
        assert found.message[i] == expected.message


@pytest.mark.parametrize("variant", cases.VARIANTS)
def test_every_rule(variant):
    points = starts([(-4, 4)] * 3, 6, seed=2)
    options = {"variant": variant, "maxiter": 60}
    found = minimize_many(quartic, points, args=(0.7,), **options)
    assert_same(found, points, 0.7, **options)
    assert {1} <= set(found.status.tolist())


@pytest.mark.parametrize(
    "options",
    [
        {"bounds": [(-1, 1), (0.5, 2), (None, None)], "variant": "rprop+", "maxiter": 50},
        {"bounds": [(-1, 1), (0.5, 2), (0, 0)], "maxiter": 50},
        {"gtol": 0.5, "lr": 0.3},
        {"xtol": 1e-2, "etas": (0.5, 1.2)},
        {"ftol": 1e-3, "maxiter": 90},
        {"maxfev": 7},
        {"f_target": 1.0, "patience": 5},
    ],
    ids=lambda options: " ".join(options),
)
def test_options(options):
    points = starts([(-4, 4)] * 3, 5, seed=3)
    found = minimize_many(quartic, points, args=(0.7,), **options)
    assert_same(found, points, 0.7, **options)


def test_maximize():
    points = starts([(-2, 2)] * 2, 4, seed=3)

    @cuda.jit(device=True)
    def negative(x, g):
        f = 0.0
        for i in range(x.size):
            f = plus(f, times(-x[i], x[i]))
            g[i] = times(-2.0, x[i])
        return f

    found = minimize_many(negative, points, maximize=True, maxiter=40)
    for i, x0 in enumerate(points):
        expected = minimize(
            lambda x: (-(x * x)[0] + -(x * x)[1], -2.0 * x),
            x0,
            jac=True,
            maximize=True,
            maxiter=40,
            backend="numpy",
        )
        assert same_bits(found.x[i], expected.x)
        assert same_bits(found.jac[i], expected.jac)
        assert found.fun[i] == expected.fun


def test_launches_follow_each_other_until_all_have_ended(monkeypatch):
    points = starts([(-2, 2)] * 2, 5, seed=4)
    whole = minimize_many(quartic, points, args=(0.1,), maxiter=30)
    monkeypatch.setattr(many_runs, "MAX_ITERATIONS", 7)
    pieces = minimize_many(quartic, points, args=(0.1,), maxiter=30)
    for name in COLUMNS:
        assert same_bits(np.asarray(whole[name], float), np.asarray(pieces[name], float))


def test_float32_and_callback():
    points = starts([(-2, 2)] * 2, 4, seed=4).astype(np.float32)
    seen = []

    @cuda.jit(device=True)
    def distance(x, g):
        for i in range(x.size):
            g[i] = x[i]
        return abs(x[0]) + abs(x[1])

    found = minimize_many(distance, points, maxiter=30, callback=seen.append)
    assert found.x.dtype == np.float32
    assert [s.index for s in seen] == [0, 1, 2, 3]
    for i, x0 in enumerate(points):
        expected = minimize(
            lambda x: (float(abs(x[0]) + abs(x[1])), x.copy()), x0, jac=True, maxiter=30, backend="numpy"
        )
        assert same_bits(found.x[i], expected.x)


def test_what_is_refused():
    points = np.ones((2, 2))
    with pytest.raises(TypeError, match="jac must be None or True"):
        minimize_many(quartic, points, args=(0.7,), jac=lambda x: x)
    with pytest.raises(TypeError, match="float32 or float64"):
        minimize_many(quartic, points.astype(np.float16), args=(0.7,))
    with pytest.raises(TypeError, match="numbers and arrays there"):
        minimize_many(quartic, points, args=(np.ones(3),))
    with pytest.raises(TypeError, match="cannot run an objective that is compiled for the GPU"):
        minimize_many(quartic, points, args=(0.7,), backend="numba")
    with pytest.raises(TypeError, match="backend='cuda' runs objectives that are compiled for the GPU"):
        minimize_many(lambda x: x @ x, points, backend="cuda")
