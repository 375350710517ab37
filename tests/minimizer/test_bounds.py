"""`minimize` within bounds."""

from __future__ import annotations

import naive
import numpy as np
import problems
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds

from rprop_ref import minimize
from rprop_ref._minimizer.bounds import bounds_as_arrays
from rprop_ref._minimizer.starting import first_points
from rprop_ref.bits import same_bits


def oracle(variant, fun, x0, lower, upper, steps, *, lr, etas, step_sizes):
    """Steps of `naive` within bounds: moves are clipped, and the gradient is 0 where it leads out of the bounds.

    To undo a move, the saved point is restored. Infinite bounds count as no bounds: then a move is undone as
    without bounds, by adding what was subtracted, which may differ in the last bit.
    """
    bounded = np.isfinite(lower).any() or np.isfinite(upper).any()
    x = np.clip(x0, lower, upper)
    prev, size = naive.start(x, lr)
    points, before, last_f = [x], x, np.inf
    for _ in range(steps):
        f, g = fun(x)
        inward = g.copy()
        for i in range(x.size):
            if lower[i] == upper[i] or (x[i] == lower[i] and g[i] > 0) or (x[i] == upper[i] and g[i] < 0):
                inward[i] = 0
        worse, last_f = f > last_f, f
        flips = inward * prev < 0
        new, prev, size = naive.step(variant, x, inward, prev, size, etas=etas, step_sizes=step_sizes, worse=worse)
        if bounded and (variant == "rprop+" or (variant == "irprop+" and worse)):
            new[flips] = before[flips]
        before, x = x, np.clip(new, lower, upper)
        points.append(x)
    return np.array(points)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from(naive.VARIANTS),
    st.sampled_from(["numpy", "numba"]),
)
@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
def test_every_step_equals_the_oracles(seed, n, variant, backend):
    rng = np.random.default_rng(seed)
    center, weights = rng.normal(0, 2, n), rng.uniform(0.1, 5, n)
    lower = np.where(rng.random(n) < 0.3, -np.inf, rng.normal(-0.5, 1, n))
    upper = np.where(rng.random(n) < 0.3, np.inf, np.maximum(lower, -10) + np.abs(rng.normal(0, 1, n)))
    upper = np.where((rng.random(n) < 0.2) & np.isfinite(lower), lower, upper)

    def fun(x):
        d = x - center
        return float(np.sum(weights * d**2 + np.cos(3 * d))), 2 * weights * d - 3 * np.sin(3 * d)

    options = {"lr": 0.3, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50)}
    steps = 40
    x0 = rng.normal(0, 2, n)
    expected = oracle(variant, fun, x0, lower, upper, steps, **options)
    r = minimize(
        fun,
        x0,
        jac=True,
        bounds=Bounds(lower, upper),
        variant=variant,
        backend=backend,
        gtol=0,
        xtol=0,
        maxiter=steps,
        pattern_every=None,
        return_all=True,
        **options,
    )
    points = np.array(r.allvecs)
    assert same_bits(points, expected[: len(points)])
    # The run may end early, when no coordinate can move any more.
    assert len(points) == steps + 1 or (r.status in (0, 2) and (expected[len(points) :] == points[-1]).all())


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@pytest.mark.parametrize("variant", naive.VARIANTS)
def test_quadratics_end_where_lbfgsb_ends(variant, rng):
    for _ in range(5):
        n = 4
        a = rng.standard_normal((n, n))
        a = a @ a.T + np.eye(n)
        b = 3 * rng.standard_normal(n)
        ends = np.sort(rng.standard_normal((2, n)), axis=0)

        def fun(x, a=a, b=b):
            return 0.5 * x @ a @ x - b @ x, a @ x - b

        r = minimize(fun, np.zeros(n), jac=True, bounds=Bounds(*ends), variant=variant, maxiter=20_000)
        expected = scipy.optimize.minimize(
            fun, np.zeros(n), jac=True, bounds=Bounds(*ends), method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-10}
        )
        assert r.success
        np.testing.assert_allclose(r.x, expected.x, atol=1e-6)
        assert ((ends[0] <= r.x) & (r.x <= ends[1])).all()


def test_all_forms_of_bounds_and_both_ways_of_calling_agree():
    fun, jac, x0, _ = problems.PROBLEMS["himmelblau"]
    results = []
    for bounds in (
        [(-1, 2.5), (None, 1)],
        ((-1.0, 2.5), (-np.inf, np.float64(1))),
        Bounds([-1, -np.inf], [2.5, 1]),
        [(-1, 2.5), (np.nan, 1)],
    ):
        results.append(minimize(fun, x0, jac=jac, bounds=bounds))
        results.append(scipy.optimize.minimize(fun, x0, jac=jac, bounds=bounds, method=minimize))
    for r in results:
        assert r.success
        assert same_bits(r.x, results[0].x)
    np.testing.assert_array_equal(results[0].x, [2.5, 1])
    for bounds in ([(0, 1)], Bounds(0, 1), Bounds([0], [1, 1])):
        np.testing.assert_array_equal(minimize(fun, x0, jac=jac, bounds=bounds).x, [1, 1])


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
def test_bounds_may_have_the_shape_of_the_start():
    x0, low = np.full((2, 3), 2.0), np.arange(6.0).reshape(2, 3)
    for bounds in (Bounds(low, np.inf), list(zip(low.ravel(), [None] * 6, strict=True))):
        r = minimize(problems.sphere, x0, jac=problems.sphere_der, bounds=bounds)
        assert r.success
        np.testing.assert_allclose(r.x, np.maximum(low, 1))


@pytest.mark.parametrize("bounds", [[], [(None, None)] * 3, Bounds(), Bounds(-np.inf, np.inf)])
def test_infinite_bounds_are_no_bounds(bounds):
    fun, jac, x0, _ = problems.PROBLEMS["sphere"]
    r = minimize(fun, x0, jac=jac, bounds=bounds)
    assert same_bits(r.x, minimize(fun, x0, jac=jac).x)


def test_at_a_bound_only_a_gradient_that_leads_inward_counts():
    for sense in (1, -1):
        r = minimize(
            lambda x, s=sense: (s * x[0] + x[1] ** 2, np.array([s, 2 * x[1]])),
            [0.5, 1.0],
            jac=True,
            bounds=[(0, 1), (None, None)],
        )
        assert (r.status, r.success) == (0, True)
        assert r.x[0] == (sense < 0)
        assert r.jac[0] == sense, "the gradient is returned as it is"
        assert abs(r.x[1]) < 1e-9
        assert r.step_size[0] > 1e-3, "a step size does not collapse at a bound"


def test_a_variable_can_leave_its_bound_again():
    """The first variable is pressed against its bound until the second has moved."""

    def fun(x):
        return (x[0] - x[1]) ** 2 + 0.1 * (x[1] - 3) ** 2, np.array(
            [2 * (x[0] - x[1]), 2 * (x[1] - x[0]) + 0.2 * (x[1] - 3)]
        )

    r = minimize(fun, [1.0, -4.0], jac=True, bounds=[(0, None), (None, None)])
    assert r.success
    np.testing.assert_allclose(r.x, 3, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
def test_the_start_is_clipped_and_fixed_variables_stay():
    seen = []

    def fun(x):
        seen.append(x.copy())
        return problems.sphere(x), np.where(x == 0.25, np.nan, problems.sphere_der(x))

    x0 = np.array([-5.0, 9.0, 7.0])
    r = minimize(fun, x0, jac=True, bounds=[(-2, 2), (0.25, 0.25), (None, 3)], return_all=True)
    np.testing.assert_array_equal(x0, [-5, 9, 7])
    np.testing.assert_array_equal(r.allvecs[0], [-2, 0.25, 3])
    assert r.success
    np.testing.assert_allclose(r.x, [1, 0.25, 1])
    assert (np.array(seen)[:, 1] == 0.25).all()
    r = minimize(problems.sphere, x0, jac=problems.sphere_der, bounds=[(b, b) for b in (1.5, -1, 0)])
    assert (r.success, r.nit, r.nfev) == (True, 0, 1)
    np.testing.assert_array_equal(r.x, [1.5, -1, 0])


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
def test_finite_differences_stay_within_the_bounds(scheme):
    seen = []

    def fun(x):
        seen.append(x.copy())
        return ((x - [3, 0.5, 7]) ** 2).sum()

    bounds = np.array([(0, 1), (0, 1), (2, 2)])
    r = minimize(fun, [0.1, 0.9, 2], jac=scheme, bounds=bounds, trace=True)
    assert r.success
    np.testing.assert_allclose(r.x, [1, 0.5, 2], atol=1e-5)
    points = np.real(seen)
    assert (points >= bounds[:, 0]).all()
    assert (points <= bounds[:, 1]).all()
    assert r.nfev == len(seen)
    # A fixed variable needs no difference, nor does a pattern move that fails.
    failed = r.trace.pattern_moves - r.trace.pattern_moves_kept
    assert r.nfev == r.njev * (1 + (4 if scheme == "3-point" else 2)) + failed
    assert minimize(fun, [2.0] * 3, jac=scheme, bounds=[(2, 2)] * 3).success


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
def test_bounds_that_the_dtype_cannot_represent_are_moved_inward():
    # In single precision 0.1 and 0.3 are rounded up, 0.7 and 0.9 down.
    for low, high in ((0.1, 0.7), (0.7, 0.9), (0.1, 0.3), (0.3, 0.3)):
        for target in (-5, 5):
            r = minimize(
                lambda x, t=target: (float(((x - t) ** 2).sum()), 2 * (x - t)),
                np.float32([0.5]),
                jac=True,
                bounds=[(low, high)],
            )
            assert r.x.dtype == np.float32
            if low < high:
                assert low <= float(r.x[0]) <= high
            np.testing.assert_allclose(r.x, low if target < 0 else high, rtol=2e-7)


def test_no_point_outside_the_bounds_is_evaluated():
    """The objective is not defined there."""

    def fun(x):
        with np.errstate(invalid="raise"):
            return float(np.sum(np.sqrt(x) + (x - 0.5) ** 2)), 0.5 / np.sqrt(np.maximum(x, 1e-300)) + 2 * (x - 0.5)

    r = minimize(fun, [2.0, 0.6], jac=True, bounds=[(0, None)] * 2, lr=1.0)
    assert r.success
    np.testing.assert_array_equal(r.x, 0)


@pytest.mark.parametrize("variant", naive.VARIANTS)
def test_maximize_within_bounds(variant):
    fun, jac, x0, _ = problems.PROBLEMS["himmelblau"]
    bounds = [(-1, 1), (-2, 1)]
    up = minimize(
        lambda x: -fun(x), x0, jac=lambda x: -jac(x), bounds=bounds, maximize=True, variant=variant, maxiter=99
    )
    down = minimize(fun, x0, jac=jac, bounds=bounds, variant=variant, maxiter=99)
    assert same_bits(up.x, down.x)
    assert up.fun == -down.fun


#: A start, its bounds, and the first step size: a tenth of the start between two bounds, else a hundredth.
FIRST_STEPS = [
    ((10.0, None, None), 0.1),
    ((10.0, 0.0, None), 0.1),
    ((-10.0, None, 0.0), 0.1),
    ((10.0, 0.0, 100.0), 1.0),
    ((-10.0, -10.0, 100.0), 1.0),
    ((10.0, -1e20, 1e20), 1.0),
    ((0.0, None, 1.0), 0.01),
    ((0.0, -1.0, 1.0), 0.1),
    # No more than the bounds are apart.
    ((10.0, 9.75, 10.0), 0.25),
    ((0.0, 0.0, 1 / 64), 1 / 64),
    # A fixed variable, and bounds that are further apart than any number.
    ((10.0, 10.0, 10.0), 0.1),
    ((0.0, 0.0, 0.0), 0.01),
    ((10.0, -1.7e308, 1.7e308), 0.1),
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_first_steps_are_longer_between_two_bounds(dtype):
    for (x0, lower, upper), size in FIRST_STEPS:
        if max(abs(lower or 0), abs(upper or 0)) > float(np.finfo(dtype).max):
            continue
        bounds = bounds_as_arrays([(lower, upper), (0, 1)], (2,), np.dtype(dtype))
        start = np.array([x0, 0.5], dtype)
        for starts in (start, np.stack([start, start])):
            sizes = first_points(starts, (2,), None, bounds).step_sizes
            assert sizes.shape == starts.shape and sizes.dtype == dtype
            np.testing.assert_allclose(
                sizes, np.broadcast_to([size, 0.05], starts.shape), rtol=2 * np.finfo(dtype).eps
            )


def test_a_start_moved_into_the_bounds_has_the_first_step_of_where_it_is():
    with pytest.warns(scipy.optimize.OptimizeWarning, match="not within the specified bounds"):
        r = minimize(
            lambda x: (float(x[0]), np.ones(1)), [50.0], jac=True, bounds=[(0, 10)], maxiter=1, return_all=True
        )
    assert np.ravel(r.allvecs).tolist() == [10.0, 9.0]


def test_bounds_that_no_iterate_comes_near_change_nothing_but_the_first_step():
    """In one run `lr` is the default within bounds."""
    x0, bounds = np.array([-1.2, 1.0]), [(-1e300, 1e300)] * 2
    far = minimize(scipy.optimize.rosen, x0, jac=scipy.optimize.rosen_der, bounds=bounds)
    free = minimize(scipy.optimize.rosen, x0, jac=scipy.optimize.rosen_der, lr=0.1 * np.abs(x0))
    assert far.success and far.nit == free.nit
    assert same_bits(far.x, free.x)
