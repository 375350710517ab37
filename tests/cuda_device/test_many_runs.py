"""Many starts on the GPU end bit for bit where single runs on the host end."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda

from cuda_kernels import _cuda, many_runs
from rprop_ref import minimize, minimize_many, rules, starts
from rprop_ref.bits import same_bits

if _cuda.SIMULATED:

    def plus(a, b):
        return a + b

    def times(a, b):
        return a * b

else:
    # The compiler would fuse a * b + c into one operation.
    plus, times = cuda.libdevice.dadd_rn, cuda.libdevice.dmul_rn

COLUMNS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success")


@cuda.jit(device=True)
def quartic(x, g, a):
    """sum (x - a)**4 + 0.5 x**2; infinite where x is below -3."""
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


def assert_same_runs(result, points, *args, **options):
    for i, x0 in enumerate(points):
        expected = minimize(on_host, x0, args=args, jac=True, backend="numpy", **options)
        for name in COLUMNS:
            assert same_bits(np.asarray(result[name][i], float), np.asarray(expected[name], float)), (i, name)
        assert result.message[i] == expected.message


@pytest.mark.parametrize("variant", rules.RULES)
def test_every_rule_has_the_bits_of_the_host(variant):
    points = starts([(-4, 4)] * 3, 6, seed=2)
    options = {"variant": variant, "maxiter": 60}
    result = minimize_many(quartic, points, args=(0.7,), **options)
    assert_same_runs(result, points, 0.7, **options)
    assert 1 in result.status


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
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
def test_options_have_their_effect_on_the_gpu(options):
    points = starts([(-4, 4)] * 3, 5, seed=3)
    result = minimize_many(quartic, points, args=(0.7,), **options)
    assert_same_runs(result, points, 0.7, **options)


def test_an_objective_can_be_maximized():
    points = starts([(-2, 2)] * 2, 4, seed=3)

    @cuda.jit(device=True)
    def negative(x, g):
        f = 0.0
        for i in range(x.size):
            f = plus(f, times(-x[i], x[i]))
            g[i] = times(-2.0, x[i])
        return f

    result = minimize_many(negative, points, maximize=True, maxiter=40)
    for i, x0 in enumerate(points):
        expected = minimize(
            lambda x: (-(x * x)[0] + -(x * x)[1], -2.0 * x),
            x0,
            jac=True,
            maximize=True,
            maxiter=40,
            backend="numpy",
        )
        assert same_bits(result.x[i], expected.x)
        assert same_bits(result.jac[i], expected.jac)
        assert result.fun[i] == expected.fun


def test_runs_are_launched_again_until_all_have_ended(monkeypatch):
    points = starts([(-2, 2)] * 2, 5, seed=4)
    whole = minimize_many(quartic, points, args=(0.1,), maxiter=30)
    monkeypatch.setattr(many_runs, "MAX_ITERATIONS", 7)
    pieces = minimize_many(quartic, points, args=(0.1,), maxiter=30)
    for name in COLUMNS:
        assert same_bits(np.asarray(whole[name], float), np.asarray(pieces[name], float))


def test_float32_starts_and_a_callback_for_each_run():
    points = starts([(-2, 2)] * 2, 4, seed=4).astype(np.float32)
    results = []

    @cuda.jit(device=True)
    def distance(x, g):
        for i in range(x.size):
            g[i] = x[i]
        return abs(x[0]) + abs(x[1])

    result = minimize_many(distance, points, maxiter=30, callback=results.append)
    assert result.x.dtype == np.float32
    assert [r.index for r in results] == [0, 1, 2, 3]
    for i, x0 in enumerate(points):
        expected = minimize(
            lambda x: (float(abs(x[0]) + abs(x[1])), x.copy()), x0, jac=True, maxiter=30, backend="numpy"
        )
        assert same_bits(result.x[i], expected.x)


def test_what_an_objective_on_the_gpu_cannot_have_is_refused():
    points = np.ones((2, 2))
    with pytest.raises(TypeError, match="jac must be None or True"):
        minimize_many(quartic, points, args=(0.7,), jac=lambda x: x)
    with pytest.raises(TypeError, match="float32 or float64"):
        minimize_many(quartic, points.astype(np.float16), args=(0.7,))
    with pytest.raises(TypeError, match=r"args\[0\] is of type ndarray"):
        minimize_many(quartic, points, args=(np.ones(3),))
    with pytest.raises(TypeError, match="cannot run an objective that is compiled for the GPU"):
        minimize_many(quartic, points, args=(0.7,), backend="numba")
    with pytest.raises(TypeError, match="backend='cuda' runs objectives that are compiled for the GPU"):
        minimize_many(lambda x: x @ x, points, backend="cuda")


@cuda.jit(device=True)
def ridge(x, g, slope):
    """A kink across the axes: slope * |x0 - x1| + |x0 + x1 - 2|."""
    difference, rest = x[0] - x[1], x[0] + x[1] - 2.0
    a = slope if difference > 0.0 else -slope
    b = 1.0 if rest > 0.0 else -1.0
    g[0], g[1] = b + a, b - a
    return plus(times(slope, abs(difference)), abs(rest))


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@pytest.mark.parametrize("options", [{}, {"bounds": [(-4, 4), (0.5, None)]}, {"maxfev": 75}], ids=str)
def test_claims_of_success_are_checked_as_on_the_host(options):
    """A steep slope lets no run find the minimum; with none, all do."""
    points = starts([(-4, 4)] * 2, 3, seed=5)
    options = {"etas": (0.5, 1.2), "xtol": 1e-9, **options}
    for slope in (10.0, 0.0):
        result = minimize_many(ridge, points, args=(slope,), **options)
        assert result.success.all() == (slope == 0 and "maxfev" not in options)
        for i, x0 in enumerate(points):

            def on_host(x, slope=slope):
                difference, rest = x[0] - x[1], x[0] + x[1] - 2.0
                a = slope if difference > 0 else -slope
                b = 1.0 if rest > 0 else -1.0
                return slope * abs(difference) + abs(rest), np.array([b + a, b - a])

            expected = minimize(on_host, x0, jac=True, backend="numpy", **options)
            for name in COLUMNS:
                assert same_bits(np.asarray(result[name][i], float), np.asarray(expected[name], float)), (i, name)
            assert result.message[i] == expected.message
