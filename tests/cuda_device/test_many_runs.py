"""Many starts on the GPU end bit for bit where single runs on the host end."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda

from cuda_kernels import _cuda, many_runs
from rprop_ref import minimize, minimize_many, rules, starts
from rprop_ref._core import record
from rprop_ref.bits import same_bits

if _cuda.SIMULATED:

    def plus(a, b):
        return a + b

    def times(a, b):
        return a * b

else:
    # The compiler would fuse a * b + c into one operation.
    from numba.cuda.libdevice import dadd_rn as plus
    from numba.cuda.libdevice import dmul_rn as times

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


def assert_same_runs(result, points, *args, fun=on_host, **options):
    for i, x0 in enumerate(points):
        expected = minimize(fun, x0, args=args, jac=True, backend="numpy", **options)
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


@cuda.jit(device=True)
def nearly_through_all_points(x, g):
    """Three squares of residuals that nearly vanish together."""
    a, b = plus(x[0], -1.0), plus(x[1], -1.0)
    c = plus(plus(a, b), -3e-6)
    g[0] = times(2.0, plus(a, c))
    g[1] = times(2.0, plus(b, c))
    return plus(plus(times(a, a), times(b, b)), times(c, c))


def nearly_through_all_points_on_host(x):
    a, b = x - 1.0
    c = (a + b) - 3e-6
    return (a * a + b * b) + c * c, np.array([2.0 * (a + c), 2.0 * (b + c)])


def test_runs_that_cannot_get_on_begin_again():
    points = np.array([[3.0, -1.0], [0.5, 0.25]])
    result = minimize_many(nearly_through_all_points, points)
    assert result.success.all()
    assert_same_runs(result, points, fun=nearly_through_all_points_on_host)
    for x0 in points:
        r = minimize(nearly_through_all_points_on_host, x0, jac=True, backend="numpy")
        assert r.state.scalars[record.STALLS] > 0


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
    for option in ({"maxtime": 3.0}, {"samples": "auto"}):
        with pytest.raises(TypeError, match=f"cannot be run with {next(iter(option))}="):
            minimize_many(quartic, points, args=(0.7,), **option)
    with pytest.raises(TypeError, match="backend='cuda' runs objectives that are compiled for the GPU"):
        minimize_many(lambda x: x @ x, points, backend="cuda")


@cuda.jit(device=True)
def ridges(x, g, slope):
    """Kinks across the axes, slope * |x0 - x1| + |x0 + x1 - 2| for each pair; infinite where x is below -5."""
    f = 0.0
    for i in range(0, x.size, 2):
        j = min(i + 1, x.size - 1)  # the last one may be without a partner
        difference, rest = x[i] - x[j], x[i] + x[j] - 2.0
        a = slope if difference > 0.0 else -slope
        b = 1.0 if rest > 0.0 else -1.0
        g[i], g[j] = b + a, b - a
        f = plus(f, plus(times(slope, abs(difference)), abs(rest)))
        if min(x[i], x[j]) < -5.0:
            f = np.inf
    return f


def ridges_on_host(x, slope):
    f, g = 0.0, np.zeros_like(x)
    for i in range(0, x.size, 2):
        j = min(i + 1, x.size - 1)
        difference, rest = x[i] - x[j], x[i] + x[j] - 2.0
        a = slope if difference > 0 else -slope
        b = 1.0 if rest > 0 else -1.0
        g[i], g[j] = b + a, b - a
        f = f + (slope * abs(difference) + abs(rest))
    return (np.inf if (x < -5.0).any() else f), g


@cuda.jit(device=True)
def tiny_ridges(x, g):
    """The same values in a tiny unit, a power of 2, so that the gradient is small everywhere."""
    f = times(2.0**-40, ridges(x, g, 10.0))
    for i in range(x.size):
        g[i] = times(2.0**-40, g[i])
    return f


def tiny_ridges_on_host(x):
    f, g = ridges_on_host(x, 10.0)
    return 2.0**-40 * f, 2.0**-40 * g


def test_a_run_that_comes_to_rest_twice_at_a_kink_has_not_converged():
    points = starts([(-4, 4)] * 2, 3, seed=5)
    result = minimize_many(tiny_ridges, points, etas=(0.5, 1.2))
    assert result.status.tolist() == [2, 2, 2]
    assert_same_runs(result, points, fun=tiny_ridges_on_host, etas=(0.5, 1.2))


def assert_same_ridges(points, **options):
    """For a slope with which no run finds the minimum, and for none; returns the statuses of both."""
    statuses = []
    for slope in (10.0, 0.0):
        result = minimize_many(ridges, points, args=(slope,), **options)
        assert_same_runs(result, points, slope, fun=ridges_on_host, **options)
        statuses.append(result.status.tolist())
    return statuses


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@pytest.mark.parametrize("options", [{}, {"bounds": [(-4, 4), (0.5, None)]}, {"maxfev": 75}], ids=str)
def test_claims_of_success_are_checked_as_on_the_host(options):
    steep, flat = assert_same_ridges(starts([(-4, 4)] * 2, 3, seed=5), etas=(0.5, 1.2), xtol=1e-9, **options)
    assert 0 not in steep
    assert (flat == [0, 0, 0]) == ("maxfev" not in options)


BOUNDS = [(-1, 1), (0.5, 2), (None, None), (0, 0), (None, 1), (-1, None), (-6, 4), *[(None, None)] * 4]


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 3.0},
        {"lr": 3.0, "bounds": BOUNDS, "maxiter": 60},
        {"ftol": 1e-3, "bounds": BOUNDS},
        {"maximize": True, "maxiter": 20},
        {"lr": 3.0, "bounds": BOUNDS, "maxiter": 60, "pattern_every": 2},
        {"lr": [1e-9, 0.5, *[1e-3] * 9], "maxiter": 60, "pattern_every": 2, "step_sizes": (0.0, 0.6)},
    ],
    ids=[
        *("retreats", "retreats within bounds", "claims within bounds", "maximize", "pattern moves"),
        "lifted step sizes",
    ],
)
def test_runs_of_many_variables_as_on_the_host(options):
    """Compiled loops take four variables at a time and then up to three, so fewer would reach only part of the code."""
    points = starts([(-4.9, 4)] * 11, 3, seed=5)
    points[2, 7] = -6.0  # the objective is infinite at the start
    assert_same_ridges(points, etas=(0.5, 1.2), xtol=1e-3, **options)
