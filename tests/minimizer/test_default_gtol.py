"""Where no tolerance is given, claims of success ask that the gradient is small beside the value."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from rprop_ref import minimize, minimize_many
from rprop_ref._core import record
from rprop_ref._core.constants import rule_constants
from rprop_ref._core.probing import begin_check
from rprop_ref._core.status import Status
from rprop_ref._minimizer.options import set_stopping_rules
from rprop_ref._minimizer.starting import begin
from rprop_ref.bits import same_bits


@numba.njit
def scaled(x, g, unit, lowest):
    """Rosenbrock's valley in units in which all gradients are small, above its lowest value."""
    a, b = 1 - x[0], x[1] - x[0] * x[0]
    g[0] = unit * (-2 * a - 400 * x[0] * b)
    g[1] = unit * 200 * b
    return unit * (a * a + 100 * b * b) + lowest


def in_python(x, unit, lowest):
    g = np.zeros_like(x)
    return scaled.py_func(x, g, unit, lowest), g


START = [-1.2, 1.0]
NOT_GIVEN = {"maxiter": 50_000}


@pytest.mark.parametrize("lowest", [0.0, 1e-9, -1e-9, 1e-14])
def test_small_units_do_not_make_a_minimum(lowest):
    """With gradients below 1e-10 from the start, the run goes on as in other units, by each driver."""
    args = 1e-13, lowest
    for gtol in (1e-10, 1e-4):
        assert minimize(scaled, START, args=args, gtol=gtol).nit == 0
    r = minimize(scaled, START, args=args, **NOT_GIVEN)
    assert r.success
    np.testing.assert_allclose(r.x, 1, rtol=1e-2 if lowest else 1e-8)
    for backend in ("numpy", "numba"):
        other = minimize(in_python, START, args=args, jac=True, backend=backend, **NOT_GIVEN)
        assert (other.nit, other.message) == (r.nit, r.message)
        assert same_bits(other.state.vectors, r.state.vectors)
    rows = minimize_many(scaled, [START] * 16, args=args, workers=1, **NOT_GIVEN)
    assert set(rows.message) == {r.message}
    assert set(rows.nit) == {r.nit}
    assert same_bits(rows.x, np.tile(r.x, (16, 1)))


def test_a_value_that_has_fallen_to_nothing_is_enough():
    r = minimize(in_python, START, args=(1.0, 0.0), jac=True)
    assert r.message.endswith("is within gtol = 1e-10.")
    effect = np.max(np.abs(r.jac * r.x))
    assert effect > 1e-6 * r.fun
    assert r.fun <= 1e-22 * in_python(np.array(START), 1.0, 0.0)[0]


@pytest.mark.parametrize("jac", ["2-point", "3-point"])
def test_finite_differences_have_their_tolerances_and_no_more(jac):
    def value(x):
        return in_python(x, 1.0, 0.0)[0]

    r = minimize(value, START, jac=jac)
    given = minimize(value, START, jac=jac, gtol={"2-point": 1e-5, "3-point": 1e-7}[jac])
    assert (r.nit, r.message) == (given.nit, given.message)


def test_tol_is_a_gtol_that_is_given():
    assert minimize(in_python, START, args=(1e-13, 0.0), jac=True, tol=1e-10).nit == 0


def test_at_a_bound_only_what_leads_inward_counts():
    r = minimize(in_python, [0.3, 3.0], args=(1.0, 5.0), jac=True, bounds=[(-2, 0.5), (-4, 4)])
    assert r.message.endswith("is within gtol = 1e-10.")
    np.testing.assert_allclose(r.x, [0.5, 0.25], rtol=1e-10)
    assert np.abs(r.jac).max() > 0.5


def fit(seed, noise, n=3):
    """Least squares whose terms nearly cancel at the minimum."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(2 * n, n))
    y = a @ np.arange(1.0, n + 1) + noise * rng.normal(size=2 * n)

    def fun(p):
        r = a @ p - y
        return r @ r, 2 * a.T @ r

    return fun, np.linalg.lstsq(a, y)[0]


@pytest.mark.parametrize("noise", [1e-12, 1e-8, 1e-6, 1e-4])
def test_where_terms_cancel_at_the_minimum_the_small_gradient_is_enough_once_the_run_cannot_get_on(noise):
    results = [(minimize(fun, np.ones(3), jac=True), x) for fun, x in (fit(seed, noise) for seed in range(20))]
    for r, x in results:
        np.testing.assert_allclose(r.x, x, rtol=1e-8)
    assert sum(r.success for r, _ in results) >= 16


@numba.njit
def parabola(c, g, t, y):
    """The sum of squares of a parabola's residuals."""
    f = 0.0
    for i in range(t.size):
        r = c[0] + t[i] * (c[1] + t[i] * c[2]) - y[i]
        f += r * r
        g[0] += 2 * r
        g[1] += 2 * r * t[i]
        g[2] += 2 * r * t[i] * t[i]
    return f


def points_near_a_parabola(seed, end=1, points=10):
    rng = np.random.default_rng(seed)
    t = np.linspace(0, end, points)
    return t, np.polynomial.Polynomial(rng.standard_normal(3))(t) + 1e-6 * rng.standard_normal(points)


def in_python_at(t, y):
    def fun(c):
        g = np.zeros(3)
        return parabola(c, g, t, y), g

    return fun


def test_every_driver_begins_again_where_the_run_cannot_get_on():
    begun_again = 0
    for seed in range(4):
        args = points_near_a_parabola(seed)
        r = minimize(parabola, np.ones(3), args=args)
        begun_again += int(r.state.scalars[record.STALLS] > 0)
        assert r.success
        np.testing.assert_allclose(r.x, np.polynomial.Polynomial.fit(*args, 2).convert().coef, rtol=1e-6)
        for backend in ("numpy", "numba"):
            other = minimize(in_python_at(*args), np.ones(3), jac=True, backend=backend)
            assert (other.nit, other.nfev, other.message) == (r.nit, r.nfev, r.message)
            assert same_bits(other.state.vectors, r.state.vectors)
            assert same_bits(other.state.scalars, r.state.scalars)
        rows = minimize_many(parabola, [np.ones(3)] * 16, args=args, workers=1)
        assert set(rows.nit) == {r.nit}
        assert same_bits(rows.x, np.tile(r.x, (16, 1)))
    assert begun_again >= 2


def test_a_run_that_has_begun_again_can_be_continued_at_any_iteration():
    args = points_near_a_parabola(0)
    whole = minimize(parabola, np.ones(3), args=args)
    for nit in (whole.nit - 150, whole.nit - 20, whole.nit - 1):
        part = minimize(parabola, np.ones(3), args=args, maxiter=nit)
        rest = minimize(parabola, np.ones(3), args=args, warm_start=part)
        assert same_bits(rest.state.vectors, whole.state.vectors)


@pytest.mark.parametrize(
    ("seed", "given"), [(4, {}), (10, {}), (20, {}), (2, {"patience": 300}), (4, {"patience": 300})]
)
def test_a_run_that_comes_back_has_converged_though_another_point_became_the_best_or_patience_is_over(seed, given):
    """Rounding errors make the value at a point nearby the lowest, where the gradient is larger than gtol."""
    args = points_near_a_parabola(seed, end=4, points=20)
    r = minimize(parabola, np.ones(3), args=args, **given)
    assert (r.success, r.state.scalars[record.STALLS]) == (True, 1)
    assert given or np.abs(r.jac).max() > 1e-10
    np.testing.assert_allclose(r.x, np.polynomial.Polynomial.fit(*args, 2).convert().coef, rtol=1e-6)
    assert minimize(parabola, np.ones(3), args=args, warm_start=r, **given).nit == 0
    for backend in ("numpy", "numba"):
        other = minimize(in_python_at(*args), np.ones(3), jac=True, backend=backend, **given)
        assert (other.nit, other.nfev, other.message) == (r.nit, r.nfev, r.message)
        assert same_bits(other.state.vectors, r.state.vectors)
        assert same_bits(other.state.scalars, r.state.scalars)
    rows = minimize_many(parabola, [np.ones(3)] * 16, args=args, workers=1, **given)
    assert set(rows.message) == {r.message}
    assert set(rows.nit) == {r.nit}
    assert same_bits(rows.x, np.tile(r.x, (16, 1)))


@pytest.mark.parametrize("given", [{"gtol": 1e-10}, {"xtol": 1e-14}])
def test_with_a_tolerance_that_is_given_it_does_not_begin_again(given):
    for seed in range(4):
        r = minimize(parabola, np.ones(3), args=points_near_a_parabola(seed), **given)
        assert r.success
        assert r.state.scalars[record.STALLS] == 0


@pytest.mark.parametrize("noise", [1e-8, 1e-4])
def test_a_run_that_begins_at_the_minimum_mostly_ends_after_a_window(noise):
    results = [minimize(fun, x, jac=True) for fun, x in (fit(seed, noise) for seed in range(10))]
    assert all(r.success for r in results)
    assert np.median([r.nit for r in results]) <= 100


def test_a_stationary_start_is_a_minimum():
    assert minimize(lambda x: (3.0, np.zeros(2)), [0.0, 1.0], jac=True).status == 0
    assert minimize(lambda x: (0.0, np.zeros(2)), [0.0, 1.0], jac=True).status == 0


@pytest.mark.parametrize(
    ("best_f", "slope", "given", "smooth"),
    [
        (1.0, 1e-5, {}, False),
        (1.0, 5e-7, {}, True),
        (1.0, 1e-5, {"xtol": 1e-9}, True),
        (1.0, 1e-5, {"ftol": 1e-9}, True),
        (1e-30, 1e-5, {}, True),
        (1.0, 1e20, {}, None),
        (1e-30, 1e20, {}, True),
    ],
)
def test_a_claim_of_a_smooth_minimum_needs_a_small_gradient(best_f, slope, given, smooth):
    """Without a tolerance of the user's. And none is made where the last bits of x change the value too much."""
    constants = rule_constants(np.dtype(float), (0.8, 1.1), (0.0, np.inf), False)
    state = begin(np.ones(2), (2,), 0.01, None, constants, "irprop-", False, 20.0)
    unset = {"maxiter": None, "maxfev": None, "f_target": None, "patience": None, "xtol": None, "ftol": None}
    set_stopping_rules(state, gtol=None, window=100, **{**unset, **given})
    state.scalars[record.FIRST_F], state.scalars[record.BEST_F] = 1e3, best_f
    state.vectors[record.BEST_G] = slope
    status = begin_check(state.vectors, state.scalars)
    assert status == (Status.KINK if smooth is None else Status.CONTINUE)
    if smooth is not None:
        assert bool(state.scalars[record.SMOOTH]) == smooth
