"""`minimize`, called directly and through SciPy."""

from __future__ import annotations

import warnings

import numpy as np
import problems
import pytest
import scipy.optimize
from scipy.optimize import OptimizeResult, OptimizeWarning, basinhopping
from scipy.optimize._numdiff import approx_derivative

from numba_kernels import loading
from rprop_ref import Parameter, Rprop, backends, minimize, minimize_many
from rprop_ref._core import record
from rprop_ref.bits import same_bits
from rprop_ref.nist import get
from rprop_ref.rules import RULES

SUCCESS = "Optimization terminated successfully."


def both_ways(fun, x0, **kwargs):
    """The results of a direct call and of one through SciPy, which takes the options apart from the arguments."""
    arguments = {k: kwargs.pop(k) for k in ("args", "jac", "callback", "tol") if k in kwargs}
    yield minimize(fun, x0, **arguments, **kwargs)
    yield scipy.optimize.minimize(fun, x0, method=minimize, **arguments, options=kwargs)


class TestMinima:
    @pytest.mark.parametrize("variant", RULES)
    @pytest.mark.parametrize("name", problems.PROBLEMS)
    def test_known_minima_are_found(self, name, variant):
        fun, jac, x0, solution = problems.PROBLEMS[name]
        r = minimize(fun, x0, jac=jac, variant=variant, backend="numba", maxiter=200_000)
        assert r.success, r
        np.testing.assert_allclose(r.x, solution, rtol=1e-6)

    def test_nist_to_six_digits_where_a_fixed_smallest_step_size_fails(self):
        p = get("Misra1a")
        for x0 in p.starts:
            r = minimize(p.objective, x0, jac=True, maxiter=30_000, backend="numba")
            np.testing.assert_allclose(r.x, p.certified, rtol=1e-6)
            r = minimize(p.objective, x0, jac=True, maxiter=30_000, backend="numba", step_sizes=(1e-6, 50))
            assert np.max(np.abs(r.x / p.certified - 1)) > 1e-6

    @pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs", None, False])
    def test_finite_differences(self, scheme):
        calls = []

        def fun(x):
            calls.append(x)
            return ((x - 1) ** 2).sum()

        r = minimize(fun, [3.0, -2.0], jac=scheme, trace=True)
        assert r.success, r
        np.testing.assert_allclose(r.x, 1, atol=1e-5)
        assert r.nfev == len(calls)
        per_gradient = {"3-point": 4, "cs": 2}.get(scheme, 2)
        failed = r.trace.pattern_moves - r.trace.pattern_moves_kept
        assert r.nfev == r.njev * (1 + per_gradient) + failed

    @pytest.mark.parametrize("scheme", ["2-point", "3-point"])
    @pytest.mark.parametrize("step", [1e-3, [1e-3, 1e-2, 0.5]])
    def test_finite_differences_take_relative_steps(self, scheme, step):
        x0, bounds = np.array([2.0, -4.0, 3.0]), [(None, 2.001), (None, None), (3.0, 3.0)]
        points = []

        def fun(x):
            points.append(x)
            return float(np.sum(np.exp(x)))

        options = {"bounds": bounds, "finite_diff_rel_step": step, "maxiter": 0}
        r = minimize(fun, x0, jac=scheme, **options)
        steps = np.broadcast_to(step, 3)
        assert any(np.isclose(abs(p[1] - x0[1]), 4 * steps[1], rtol=1e-9) for p in points)
        assert all(p[2] == 3.0 and p[0] <= 2.001 for p in points)
        free = approx_derivative(
            lambda x: np.exp(x).sum() + np.exp(3.0), x0[:2], method=scheme, rel_step=steps[:2],
            bounds=([-np.inf] * 2, [2.001, np.inf]),
        )  # fmt: skip
        np.testing.assert_allclose(r.jac[:2], free, rtol=1e-9)
        assert same_bits(minimize_many(fun, [x0, x0], jac=scheme, **options).jac[1], r.jac)

    def test_wide_differences_see_the_slope_of_a_rounded_objective(self):
        def fun(x):
            return round(float(np.sum((x - 1) ** 2)), 4)

        with pytest.warns(OptimizeWarning, match="Every finite difference at x0 is exactly 0"):
            assert not minimize(fun, [3.0, -2.0]).success
        np.testing.assert_allclose(minimize(fun, [3.0, -2.0], finite_diff_rel_step=1e-2).x, 1, atol=0.02)

    @pytest.mark.parametrize("step", [0, np.nan, np.inf, "wide", [1e-3, 0.0], [1e-3] * 3, 1e-3j])
    def test_steps_of_finite_differences_that_are_refused(self, step):
        with pytest.raises(
            ValueError, match=r"finite_diff_rel_step must be a number other than 0, or an array of"
        ):
            minimize(problems.sphere, [1.0, 2.0], finite_diff_rel_step=step)

    def test_the_scheme_is_an_option_because_scipy_drops_the_string(self):
        counts = [
            scipy.optimize.minimize(
                problems.sphere, [3.0], method=minimize, options={"gradient": g, "maxiter": 3}
            ).nfev
            for g in ("2-point", "3-point")
        ]
        assert counts == [8, 12]

    def test_the_gradient_decides_between_equal_values(self):
        """Of two points whose values agree to within rounding, the one with the smaller gradient is returned."""
        values = iter([(1.0, 5.0), (1.0 + 2e-16, 1.0), (1.0 + 1e-12, 0.5), (3.0, 0.1)])
        r = minimize(lambda x: next(values), [1.0], jac=True, maxiter=3)
        assert (r.fun, r.jac[0]) == (1.0 + 2e-16, 1.0)


class TestAgainstOthers:
    @pytest.mark.parametrize("variant", RULES)
    def test_it_equals_a_loop_over_the_optimizer(self, variant):
        fun, jac, x0, _ = problems.PROBLEMS["rosenbrock"]
        steps = 300
        options = {"etas": (0.6, 1.3), "step_sizes": (1e-9, 0.5), "variant": variant}
        p = Parameter(x0.copy())
        o = Rprop([p], lr=0.02, **options)
        expected = [x0]
        for _ in range(steps):
            p.grad = jac(p.data)
            o.step(loss=fun(p.data))
            expected.append(p.data.copy())
        for backend in ("numpy", "numba"):
            r = minimize(
                fun,
                x0,
                jac=jac,
                lr=0.02,
                gtol=0,
                maxiter=steps,
                pattern_every=None,
                return_all=True,
                backend=backend,
                **options,
            )
            assert r.nit == steps
            assert same_bits(np.array(r.allvecs), np.array(expected))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_backends_and_ways_of_calling_agree_to_the_bit(self, dtype):
        fun, jac, x0, _ = problems.PROBLEMS["himmelblau"]
        results = []
        for backend in ("numpy", "numba", None):
            for r in both_ways(fun, x0.astype(dtype), jac=jac, maxiter=150, gtol=0, backend=backend):
                results.append(r)
                assert r.x.dtype == r.jac.dtype == dtype
        for r in results[1:]:
            assert same_bits(r.x, results[0].x)
            assert same_bits(r.jac, results[0].jac)
            assert (r.fun, r.nit, r.nfev, r.status) == tuple(
                results[0][k] for k in ("fun", "nit", "nfev", "status")
            )

    def test_changing_to_numba_within_a_run_changes_no_bits(self, monkeypatch):
        fun, jac, x0, _ = problems.PROBLEMS["rosenbrock"]
        expected = minimize(fun, x0, jac=jac, maxiter=200, backend="numpy")
        monkeypatch.setattr(backends, "SECONDS_BEFORE_NUMBA", 1.0)
        monkeypatch.setattr(loading, "is_made", lambda kernel: False)
        monkeypatch.setattr(backends, "_seconds_in_numpy", backends.SECONDS_BEFORE_NUMBA - 10.5e-6)
        steps, real = [], backends.spend

        def spend(seconds):
            steps.append(seconds)
            real(1e-6)

        monkeypatch.setattr(backends, "spend", spend)
        monkeypatch.setattr(loading, "ready", lambda kernel: loading.make(kernel) or True)
        result = minimize(fun, x0, jac=jac, maxiter=200)
        assert 5 < len(steps) < 20, "the run should have begun with NumPy and then changed to Numba"
        assert same_bits(result.x, expected.x)

    def test_a_hundred_thousand_variables(self):
        n = 100_000
        target = np.linspace(-1, 1, n)
        a, b = (
            minimize(
                lambda x: (float(np.max((x - target) ** 2)), 2 * (x - target)),
                np.ones(n),
                jac=True,
                maxiter=20,
                backend=backend,
            )
            for backend in ("numpy", "numba")
        )
        assert same_bits(a.x, b.x)

    def test_it_serves_basinhopping_as_local_minimizer(self):
        r = basinhopping(
            lambda x: float(np.cos(14.5 * x[0] - 0.3) + (x[0] + 0.2) * x[0]),
            [1.0],
            niter=10,
            seed=1,
            minimizer_kwargs={
                "method": minimize,
                "jac": lambda x: -14.5 * np.sin(14.5 * x - 0.3) + 2 * x + 0.2,
            },
        )
        assert r.x[0] == pytest.approx(-0.195, abs=1e-3)
        assert r.lowest_optimization_result.success


class TestResult:
    def test_fields_and_types_of_a_success(self):
        for r in both_ways(problems.sphere, [3.0, 2.0], jac=problems.sphere_der):
            assert isinstance(r, OptimizeResult)
            assert {"x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message"} <= set(r)
            assert r.success is True
            assert r.status == 0
            assert r.message.startswith(SUCCESS)
            assert type(r.fun) is float
            assert r.fun == problems.sphere(r.x)
            assert same_bits(r.jac, problems.sphere_der(r.x))
            assert r.nfev == r.njev <= r.nit + 1
            assert np.max(np.abs(r.jac)) <= 1e-10

    def test_maxiter_ends_the_run(self):
        for limit in (0, 1, 7):
            for r in both_ways(problems.sphere, [3.0], jac=problems.sphere_der, maxiter=limit):
                assert (r.status, r.success, r.nit, r.nfev) == (1, False, limit, limit + 1)
                assert r.message == "Maximum number of iterations has been exceeded."

    @pytest.mark.parametrize("jac", [None, "3-point", "cs", lambda x: 2 * x])
    @pytest.mark.parametrize("x0", [[1.0], [1.0, 2.0], [0.0, 3.0]])
    def test_a_run_converges_to_a_minimum_at_zero(self, x0, jac):
        r = minimize(lambda x: (x * x).sum(), x0, jac=jac)
        assert r.success, r
        np.testing.assert_allclose(r.x, 0, atol=1e-5)
        r = minimize(lambda x: (x * x).sum(), x0, jac=lambda x: 2 * x, gtol=0)
        assert r.success, r
        np.testing.assert_allclose(r.x, 0, atol=1e-25)

    def test_coming_to_rest_away_from_the_best_point_is_not_success(self):
        """The third point happens to be in a narrow well; the run passes it and converges elsewhere."""
        c, w = 2.4 - 0.1 - 0.11 - 2e-3, 1e-3

        def well(x):
            return 1000 * np.exp(-(((x[0] - c) / w) ** 2))

        r = minimize(
            lambda x: float((x[0] ** 2 - 2) ** 2 / 4 - well(x)),
            [2.4],
            jac=lambda x: np.array([x[0] * (x[0] ** 2 - 2) + well(x) * 2 * (x[0] - c) / w**2]),
            lr=0.1,
        )
        assert (r.status, r.success) == (2, False)
        assert r.x[0] == pytest.approx(2.19)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_ending_at_the_edge_of_the_domain_is_not_success(self, sign):
        """Downhill, or uphill if the gradient has the wrong sign, the run leaves the unit box."""

        def fun(x):
            return -sign * float(x @ x) if (np.abs(x) <= 1).all() else np.nan

        r = minimize(fun, [0.3, 0.5], jac=lambda x: -2 * x)
        assert not r.success

    @pytest.mark.parametrize(
        "x0",
        [np.array([2e-5, 2.0], "f2"), np.array([5e-324, 3.0]), np.array([2e-321]), np.array([1e-44, 2], "f4")],
    )
    def test_starts_so_small_that_1_percent_of_them_is_no_step(self, x0):
        r = minimize(lambda x: float(((x.astype(float) - 1) ** 2).sum()), x0, jac=lambda x: 2 * (x - 1))
        assert r.success, r
        np.testing.assert_allclose(r.x, 1, rtol=max(1e-9, 2 * np.finfo(x0.dtype).eps))

    def test_a_loose_xtol_is_success(self):
        r = minimize(problems.sphere, [3.0, 4.0], jac=problems.sphere_der, xtol=0.05)
        assert r.success

    def test_gtol_overrides_tol(self):
        r = minimize(problems.sphere, [3.0], jac=problems.sphere_der, tol=0.5, gtol=1e-8)
        assert abs(r.jac[0]) <= 1e-8

    def test_tol_sets_gtol(self):
        for r in both_ways(problems.sphere, [3.0], jac=problems.sphere_der, tol=0.5):
            assert r.success
            assert 1e-3 < abs(r.jac[0]) <= 0.5

    def test_xtol_ends_the_run(self):
        r = minimize(problems.sphere, [3.0], jac=problems.sphere_der, xtol=1e-3, gtol=0)
        assert r.success
        assert 1e-9 < abs(r.x[0] - 1) < 1e-2

    def test_first_steps_that_lead_nowhere_are_not_success(self):
        for lr in (0.0, 1e-20):
            r = minimize(problems.sphere, [3.0], jac=problems.sphere_der, lr=lr)
            assert (r.status, r.success, r.nit) == (2, False, 0)
            assert r.message == "Desired error not necessarily achieved due to precision loss."

    def test_a_stationary_point_that_is_not_the_best_is_not_success(self):
        """As at the top of a cosine: the gradient is zero, and no further step is made."""
        values = iter([(0.0, 1.0), (1.0, 0.0), (1.0, 0.0)])
        r = minimize(lambda x: next(values), [1.0], jac=True)
        assert (r.status, r.success, r.fun, r.x[0]) == (2, False, 0.0, 1.0)

    def test_return_all_gives_every_point(self):
        for r in both_ways(problems.sphere, [3.0], jac=problems.sphere_der, maxiter=5, return_all=True):
            assert len(r.allvecs) == r.nit + 1
            assert r.allvecs[0] == 3.0
            assert len({float(x[0]) for x in r.allvecs}) == 6

    def test_disp_prints_a_summary(self, capsys):
        minimize(problems.sphere, [3.0], jac=problems.sphere_der)
        assert capsys.readouterr().out == ""
        r = minimize(problems.sphere, [3.0], jac=problems.sphere_der, disp=True)
        assert capsys.readouterr().out.splitlines() == [
            r.message,
            f"         Current function value: {r.fun:f}",
            f"         Iterations: {r.nit}",
            f"         Function evaluations: {r.nfev}",
            f"         Gradient evaluations: {r.njev}",
        ]
        with pytest.warns(OptimizeWarning, match="Maximum number of iterations"):
            minimize(problems.sphere, [3.0], jac=problems.sphere_der, maxiter=2, disp=True)


class TestAutograd:
    @staticmethod
    def fun(x, a=1.0):
        """Rosenbrock's function, written for arrays."""
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + a * (1 - x[:-1]) ** 2)

    def test_the_three_ways_to_ask_for_it_agree(self):
        x0 = np.array([-1.2, 1.0])
        direct = minimize(self.fun, x0, jac="autograd")
        option = minimize(self.fun, x0, gradient="autograd")
        scipys = scipy.optimize.minimize(self.fun, x0, method=minimize, options={"gradient": "autograd"})
        given = minimize(scipy.optimize.rosen, x0, jac=scipy.optimize.rosen_der)
        assert direct.success
        np.testing.assert_allclose(direct.x, 1, atol=1e-8)
        for other in (option, scipys):
            assert same_bits(direct.x, other.x)
            assert (direct.nfev, direct.njev, direct.nit) == (other.nfev, other.njev, other.nit)
        assert direct.nfev == direct.njev <= direct.nit + 1
        np.testing.assert_allclose(direct.x, given.x, atol=1e-10)

    def test_the_first_gradient_is_exact_and_the_value_is_that_of_the_function(self):
        x0 = np.array([-1.2, 1.0, 0.5])
        result = minimize(self.fun, x0, jac="autograd", maxiter=0)
        np.testing.assert_allclose(result.jac, scipy.optimize.rosen_der(x0), rtol=1e-13)
        assert result.fun == self.fun(x0)

    def test_arguments_and_float32(self):
        result = minimize(self.fun, np.array([-1.2, 1.0], "f4"), args=(2.0,), jac="autograd", maxiter=5)
        assert result.x.dtype == result.jac.dtype == np.float32

    def test_an_objective_that_leaves_the_tape_is_refused(self):
        for fun, error, words in (
            (lambda x: float(np.sum(x.data**2)), TypeError, "leave the tape"),
            (lambda x: np.sum(np.asarray(x) ** 2), RuntimeError, "would leave the tape"),
            (lambda x: np.sum(np.histogram2d(x, x)[0]), TypeError, "numpy.histogram2d.*register_vjp"),
            (lambda x: 3.0, TypeError, "does not depend on its argument by recorded operations"),
        ):
            with pytest.raises(error, match=words):
                minimize(fun, [1.0, 2.0], jac="autograd")


class TestNotFinite:
    @pytest.mark.parametrize("f", [np.nan, np.inf, -np.inf])
    def test_at_the_start(self, f):
        for r in both_ways(lambda x: f, [1.0, 2.0], jac=lambda x: 2 * x):
            assert (r.status, r.success) == (3, False)
            assert r.message.startswith("NaN result encountered. The objective ")
            np.testing.assert_array_equal(r.x, [1.0, 2.0])
            np.testing.assert_equal(r.fun, f)
            assert (r.nit, r.nfev) == (0, 1)

    def test_a_gradient_that_is_not_finite_at_the_start(self):
        for bad in (np.nan, np.inf):
            r = minimize(lambda x: 1.0, [1.0, 2.0], jac=lambda x, bad=bad: np.array([1.0, bad]))
            assert (r.status, r.success) == (3, False)

    def test_no_differences_are_taken_where_the_objective_is_nan(self):
        r = minimize(lambda x: np.nan, [1.0, 2.0])
        assert (r.status, r.success, r.nfev) == (3, False, 1)

    @pytest.mark.parametrize("backend", ["numpy", "numba"])
    @pytest.mark.parametrize("lr", [0.5, 100.0])
    def test_a_run_retreats_and_goes_on(self, lr, backend):
        fun, jac, x0, solution = problems.PROBLEMS["barrier"]
        seen = []

        def recorded(x):
            seen.append(fun(x))
            return seen[-1]

        r = minimize(recorded, x0, jac=jac, lr=lr, backend=backend)
        assert not np.all(np.isfinite(seen))
        assert r.success
        np.testing.assert_allclose(r.x, solution, rtol=1e-9)

    def test_the_best_point_is_returned_if_every_retreat_fails(self):
        x0 = np.array([2.0])
        r = minimize(lambda x: 5.0 if x[0] == 2.0 else np.nan, x0, jac=lambda x: np.ones(1))
        assert (r.status, r.success, r.fun, r.x[0], r.jac[0], r.nit) == (3, False, 5.0, 2.0, 1.0, 0)

    @pytest.mark.parametrize("etas", [(0.8, 1.1), (0.9999, 1.1)])
    def test_the_number_of_retreats_is_limited(self, etas):
        r = minimize(lambda x: 0.0 if x[0] == 0 else np.nan, [0.0], jac=lambda x: np.ones(1), etas=etas, maxiter=1)
        assert (r.status, r.success) == (3, False)
        assert r.nfev < 1200

    def test_coordinates_that_overflow_come_back(self):
        r = minimize(lambda x: float(-x[0]), [1.0], jac=lambda x: -np.ones(1), etas=(0.5, 1e30), maxiter=2000)
        assert np.isfinite(r.x).all()
        assert r.status in (1, 3)


class TestCallbacks:
    def test_both_forms_are_called_once_per_iteration(self):
        xs, results = [], []

        def by_result(*, intermediate_result):
            results.append(intermediate_result)

        for callback in (lambda x: xs.append(x), by_result):
            r = minimize(
                problems.sphere, [3.0], jac=problems.sphere_der, maxiter=6, return_all=True, callback=callback
            )
        assert len(xs) == len(results) == 6
        np.testing.assert_array_equal(xs, r.allvecs[1:])
        for x, result in zip(xs, results, strict=True):
            assert same_bits(x, result.x)
            assert result.fun == problems.sphere(x)

    def test_the_callback_gets_copies(self):
        def spoil(x):
            x[:] = np.nan

        expected = minimize(problems.sphere, [3.0], jac=problems.sphere_der)
        assert same_bits(minimize(problems.sphere, [3.0], jac=problems.sphere_der, callback=spoil).x, expected.x)

    def test_stop_iteration_ends_the_run_as_maxiter_does(self):
        for stop_at in (1, 4):
            seen = []

            def callback(x, seen=seen, stop_at=stop_at):
                seen.append(x)
                if len(seen) == stop_at:
                    raise StopIteration

            for r in both_ways(problems.himmelblau, [0.0, 0.0], jac=problems.himmelblau_der, callback=callback):
                limited = minimize(problems.himmelblau, [0.0, 0.0], jac=problems.himmelblau_der, maxiter=r.nit)
                assert (r.status, r.success, r.nit) == (99, False, stop_at)
                assert r.message == "`callback` raised `StopIteration`."
                assert same_bits(r.x, limited.x)
                assert r.nfev == limited.nfev
                seen.clear()

    def test_a_callable_without_a_signature(self):
        minimize(problems.sphere, [3.0], jac=problems.sphere_der, maxiter=2, callback=dict.fromkeys)


class TestArguments:
    def test_the_users_arrays_are_not_changed(self):
        x0 = np.array([3.0, 2.0])
        keep = x0.copy()

        def hostile(x):
            value, gradient = problems.sphere(x), problems.sphere_der(x)
            x[:] = 1e9
            return value, gradient

        r = minimize(hostile, x0, jac=True)
        assert r.success
        np.testing.assert_array_equal(x0, keep)
        assert not np.shares_memory(r.x, x0)

    def test_jac_may_always_return_the_same_array(self):
        buffer = np.empty(2)

        def jac(x):
            buffer[:] = problems.sphere_der(x)
            return buffer

        r = minimize(problems.sphere, [3.0, 2.0], jac=jac)
        assert same_bits(r.x, minimize(problems.sphere, [3.0, 2.0], jac=problems.sphere_der).x)
        assert not np.shares_memory(r.jac, buffer)

    @pytest.mark.parametrize(
        ("x0", "dtype"),
        [
            ([1, 2], "f8"),
            (np.array([1, 2], "u1"), "f8"),
            (np.float32([1, 2]), "f4"),
            (np.array([1, 2], ">f4"), "f4"),
            (3.0, "f8"),
            ([True], "f8"),
        ],
    )
    def test_the_start_decides_the_dtype(self, x0, dtype):
        seen = []
        r = minimize(lambda x: (seen.append(x.dtype), problems.sphere(x))[1], x0, jac=problems.sphere_der)
        assert r.x.dtype == dtype
        assert set(seen) == {np.dtype(dtype)}
        np.testing.assert_allclose(r.x, 1, rtol=1e-6)

    def test_half_precision_is_run_by_numpy(self):
        r = minimize(problems.sphere, np.float16([3.0, 2.0]), jac=problems.sphere_der)
        assert r.x.dtype == np.float16
        np.testing.assert_allclose(r.x, 1, rtol=1e-3)

    def test_gradients_may_be_lists_or_arrays_of_any_layout(self):
        expected = minimize(problems.sphere, [3.0, 2.0], jac=problems.sphere_der).x
        for form in (list, lambda g: np.repeat(g, 2)[::2], np.float32, lambda g: g.astype(">f8")):
            r = minimize(problems.sphere, [3.0, 2.0], jac=lambda x, form=form: form(problems.sphere_der(x)))
            np.testing.assert_allclose(r.x, expected, rtol=1e-6)

    def test_the_librarys_own_arithmetic_never_warns(self):
        with np.errstate(all="raise"):
            minimize(problems.sphere, np.float16([3.0]), jac=problems.sphere_der, lr=1e6, maxiter=3)
            minimize(problems.sphere, np.float32([3.0]), jac=lambda x: np.array([1e300]), maxiter=3)
            minimize(problems.sphere, [1e-310], jac=problems.sphere_der, maxiter=3)

    @pytest.mark.parametrize("scheme", ["2-point", "3-point"])
    def test_the_users_errstate_holds_in_finite_differences(self, scheme):
        seen = []

        def fun(x):
            seen.append(np.geterr()["divide"])
            return problems.sphere(x)

        with np.errstate(divide="raise"):
            minimize(fun, [3.0], jac=scheme, maxiter=2)
        assert set(seen) == {"raise"}

    def test_finite_differences_in_single_precision(self):
        """The objective returns doubles, and its differences are taken in double precision."""
        r = minimize(lambda x: 1e4 + float(np.sum((x.astype(float) - 1) ** 2)), np.float32([0.9, 3.0]))
        np.testing.assert_allclose(r.x, 1, atol=2e-3)

    def test_objectives_may_return_arrays_of_one_element(self):
        for form in (np.array, lambda v: np.array([v]), np.float32, lambda v: np.array([[v]])):
            r = minimize(lambda x, form=form: form(problems.sphere(x)), [3.0], jac=problems.sphere_der)
            assert r.success

    def test_args(self):
        def fun(x, a, b=0.0):
            return float(np.sum((x - a) ** 2) + b)

        def jac(x, a, b=0.0):
            return 2 * (x - a)

        for args in (3.0, (3.0,), (3.0, 1.0)):
            for r in both_ways(fun, [1.0], jac=jac, args=args):
                np.testing.assert_allclose(r.x, 3.0)

    def test_lr_may_be_one_number_or_one_per_coordinate(self):
        x0 = np.array([10.0, -0.5, 0.0])
        steps = {}
        for lr in (None, 0.25, [1.0, 2.0, 3.0]):
            r = minimize(problems.sphere, x0, jac=problems.sphere_der, lr=lr, maxiter=1, return_all=True)
            steps[str(lr)] = np.abs(r.allvecs[1] - x0)
        np.testing.assert_allclose(steps["None"], [0.1, 0.005, 0.01])
        np.testing.assert_allclose(steps["0.25"], 0.25)
        np.testing.assert_allclose(steps["[1.0, 2.0, 3.0]"], [1, 2, 3])

    @pytest.mark.parametrize(
        ("bad", "error", "text"),
        [
            ({"lr": -1}, ValueError, "Invalid learning rate: -1"),
            ({"lr": np.nan}, ValueError, "Invalid learning rate: nan"),
            (
                {"lr": [1.0, 2.0, 3.0]},
                ValueError,
                r"lr must be a number or have the shape of x0, which is \(2,\)",
            ),
            ({"etas": (1.5, 1.2)}, ValueError, "Invalid eta values: 1.5, 1.2"),
            ({"variant": "rprop"}, ValueError, "Invalid variant: 'rprop'; it must be one of"),
            ({"backend": "gpu"}, ValueError, "Invalid backend: 'gpu'; it must be"),
            ({"jac": "4-point"}, ValueError, "Invalid jac: '4-point'; it must be a callable, True"),
            (
                {"gradient": "x", "jac": None},
                ValueError,
                "Invalid gradient: 'x'; it must be one of \\('autograd', ",
            ),
            ({"gradient": True, "jac": None}, ValueError, "Invalid gradient: True"),
            (
                {"gradient": "cs"},
                ValueError,
                "gradient and jac each say where gradients come from; give only one of",
            ),
            ({"tol": -1}, ValueError, "tol must be a number, at least 0, or None, but is -1"),
            ({"resume": True}, TypeError, "resume must be a path, but is True"),
            ({"checkpoint": 3.5}, TypeError, "checkpoint must be a path, but is 3.5"),
            (
                {"bounds": [(0, 1), (2, 1)]},
                ValueError,
                "^An upper bound is less than the corresponding lower bound.$",
            ),
            (
                {"bounds": [(0, 1)] * 3},
                ValueError,
                "^The number of bounds is not compatible with the length of `x0`.$",
            ),
            (
                {"lr": "fast"},
                ValueError,
                "Invalid learning rate: 'fast'; it must be a number, an array of numbers, or",
            ),
            ({"lr": np.inf}, ValueError, "Invalid learning rate: inf"),
            ({"lr": {}}, ValueError, "Invalid learning rate: {}; it must be a number"),
            ({"etas": (0.5,)}, ValueError, r"etas must be a pair of numbers, but is \(0.5,\)"),
            ({"etas": ("a", 2)}, ValueError, r"etas must be a pair of numbers, but is \('a', 2\)"),
            ({"etas": (None, 2)}, ValueError, r"etas must be a pair of numbers, but is \(None, 2\)"),
            ({"step_sizes": 1.0}, ValueError, "step_sizes must be a pair of numbers, but is 1.0"),
            ({"step_sizes": (0, np.nan)}, ValueError, r"step_sizes must be a pair of numbers, but is \(0, nan\)"),
            ({"step_sizes": (None,) * 3}, ValueError, "step_sizes must be a pair of numbers"),
            ({"step_sizes": (1, 0.1)}, ValueError, r"with 0 <= smallest <= largest, but is \(1, 0.1\)"),
            ({"step_sizes": (-1, None)}, ValueError, r"with 0 <= smallest <= largest, but is \(-1, None\)"),
            ({"maximize": "x"}, ValueError, "maximize must be True or False, but is 'x'"),
            ({"callback": 5}, TypeError, "callback must be callable, but is 5"),
            ({"bounds": 5}, ValueError, r"bounds must be a scipy.optimize.Bounds, or a pair .* but is 5"),
            ({"bounds": [(0, "a")] * 2}, ValueError, "bounds must be a scipy.optimize.Bounds, or a pair"),
            ({"gtol": -1}, ValueError, "gtol must be a number, at least 0, or None, but is -1"),
            ({"xtol": -1e-9}, ValueError, "xtol must be a number, at least 0, or None, but is -1e-09"),
            ({"ftol": [1e-9]}, ValueError, r"ftol must be a number, at least 0, or None, but is \[1e-09\]"),
            ({"maxtime": -1}, ValueError, "maxtime must be a number, at least 0, or None, but is -1"),
            ({"maxiter": "a"}, ValueError, "maxiter must be a number, at least 0, or None, but is 'a'"),
            ({"maxiter": [3]}, ValueError, r"maxiter must be a number, at least 0, or None, but is \[3\]"),
            ({"jac": 5}, ValueError, "Invalid jac: 5; it must be a callable, True"),
            ({"jac": lambda x: None}, ValueError, "The gradient must be an array of real numbers, but is None"),
            ({"jac": lambda x: 1j * x}, ValueError, "The gradient must be an array of real numbers, but is array"),
            ({"maxfev": 0}, ValueError, "maxfev must be a number, at least 1, or None, but is 0"),
            ({"window": 1}, ValueError, "window must be a whole number, at least 2, but is 1"),
            ({"patience": 0.5}, ValueError, "patience must be a number, at least 1, or None, but is 0.5"),
            ({"window": True}, ValueError, "window must be a whole number, at least 2, but is True"),
            ({"patience": True}, ValueError, "patience must be a number, at least 1, or None, but is True"),
            ({"maxtime": np.True_}, ValueError, "maxtime must be a number, at least 0, or None, but is np.True_"),
            ({"etas": (0.5, True)}, ValueError, r"etas must be a pair of numbers, but is \(0.5, True\)"),
            (
                {"checkpoint_every": True},
                ValueError,
                "checkpoint_every must be a whole number, at least 1, but is T",
            ),
            ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be a whole number, at least 1, but is 0"),
            ({"f_target": np.nan}, ValueError, "f_target must be a number, or None, but is nan"),
            ({"ftol": "small"}, ValueError, "ftol must be a number, at least 0, or None, but is 'small'"),
            ({"maxtime": np.nan}, ValueError, "maxtime must be a number, at least 0, or None, but is nan"),
            ({"workers": 0}, ValueError, "workers must be at least 1, or -1 for one per processor, but is 0"),
            ({"workers": "all"}, TypeError, "workers must be a number of processes, an executor"),
            ({"warm_start": 3}, TypeError, "warm_start must be a result of rprop_ref.minimize, but is int"),
            ({"warm_start": 3, "resume": "x"}, ValueError, "give only one of them"),
            ({"constraints": {"type": "eq", "fun": sum}}, ValueError, "does not support constraints"),
            ({"maxiter": np.nan}, ValueError, "maxiter must be a number, at least 0, or None, but is nan"),
            ({"maxiter": -1}, ValueError, "maxiter must be a number, at least 0, or None, but is -1"),
            (
                {"jac": lambda x: np.ones(3)},
                ValueError,
                r"shape of x0, which is \(2,\), but has shape \(3,\)",
            ),
            ({"jac": lambda x: np.ones((1, 2))}, ValueError, r"but has shape \(1, 2\)"),
            ({"jac": True}, ValueError, r"must return two values, \(f, gradient\), but it returned a float"),
        ],
    )
    def test_bad_arguments_are_refused(self, bad, error, text):
        with pytest.raises(error, match=text):
            minimize(problems.sphere, [3.0, 2.0], **{"jac": problems.sphere_der, **bad})

    @pytest.mark.parametrize("option", ["maxiter", "gtol"])
    def test_where_scipy_takes_true_as_1_so_does_minimize(self, option):
        arguments = {"x0": [3.0, 2.0], "jac": problems.sphere_der}
        for of in (scipy.optimize.minimize, minimize):
            options = [{option: value} for value in (True, 1)]
            calls = [{**arguments, **(o if of is minimize else {"options": o})} for o in options]
            true, one = (of(problems.sphere, **call) for call in calls)
            assert (true.nit, true.fun) == (one.nit, one.fun)

    @pytest.mark.parametrize("value", [np.ones(2), None, "a", "1.5", 1j])
    def test_an_objective_must_return_a_number(self, value):
        with pytest.raises(ValueError, match="The user-provided objective function must return a scalar value"):
            minimize(lambda x: value, [3.0], jac=problems.sphere_der)

    def test_the_start_may_have_any_shape(self):
        x0 = np.arange(6.0).reshape(2, 3)
        flat = minimize(problems.sphere, x0.ravel(), jac=problems.sphere_der, return_all=True)
        seen = []
        for start in (x0, np.asfortranarray(x0)):
            r = minimize(
                lambda x: (seen.append(x.shape), problems.sphere(x))[1],
                start,
                jac=problems.sphere_der,
                return_all=True,
                callback=lambda x: seen.append(x.shape),
            )
            for name in ("x", "jac", "step_size", "prev"):
                assert r[name].shape == (2, 3)
                assert same_bits(r[name].ravel(), flat[name])
            assert same_bits(np.array(r.allvecs).reshape(-1, 6), np.array(flat.allvecs))
        assert set(seen) == {(2, 3)}
        assert minimize(problems.sphere, x0, jac=None, maxiter=2).x.shape == (2, 3)
        with pytest.raises(ValueError, match="'x0' must only have one dimension"):
            scipy.optimize.minimize(problems.sphere, x0, jac=problems.sphere_der, method=minimize)

    def test_the_start_must_hold_real_numbers(self):
        for bad in ([1j], ["3"], None, [None, 2], np.array(["2020-01-01"], "datetime64[D]")):
            with pytest.raises(ValueError, match="x0 must hold real numbers"):
                minimize(problems.sphere, bad, jac=problems.sphere_der)

    def test_the_start_may_hold_large_integers(self):
        assert minimize(problems.sphere, [10**20, 2], jac=problems.sphere_der, maxiter=0).x.tolist() == [1e20, 2]

    def test_maxiter_may_be_infinite(self, capsys):
        r = minimize(problems.sphere, [3.0], jac=problems.sphere_der, maxiter=np.inf, maxfev=np.inf, progress=True)
        assert r.success
        assert capsys.readouterr().err

    def test_a_problem_without_variables(self):
        r = minimize(lambda x: 4.0, np.zeros(0), jac=lambda x: np.zeros(0))
        assert (r.success, r.fun, r.nit) == (True, 4.0, 0)

    def test_unknown_options_and_hessians_warn_at_the_users_line(self):
        for call in (
            lambda **o: minimize(problems.sphere, [3.0], jac=problems.sphere_der, **o),
            lambda **o: scipy.optimize.minimize(
                problems.sphere, [3.0], jac=problems.sphere_der, method=minimize, options=o
            ),
        ):
            with pytest.warns(OptimizeWarning, match="Unknown solver options: foo, bar") as caught:
                call(foo=1, bar=2)
            assert [w.filename for w in caught] == [__file__]
        with pytest.warns(RuntimeWarning, match=r"does not use Hessian information \(hess\)") as caught:
            minimize(problems.sphere, [3.0], jac=problems.sphere_der, hess=lambda x: 2)
        assert [w.filename for w in caught] == [__file__]

    def test_warnings_of_the_objective_reach_the_user(self):
        def fun(x):
            warnings.warn("mine", UserWarning, stacklevel=1)
            return problems.sphere(x)

        with pytest.warns(UserWarning, match="mine"):
            minimize(fun, [3.0], jac=problems.sphere_der, maxiter=1)


def test_every_row_and_entry_of_the_record_has_a_name():
    numbers = {name: value for name, value in vars(record).items() if name.isupper() and isinstance(value, int)}
    names = list(numbers)
    rows = names[: names.index("ROWS")] + names[names.index("ROWS") + 1 : names.index("BOUNDED_ROWS")]
    assert [numbers[name] for name in rows] == list(range(record.BOUNDED_ROWS))
    entries = names[names.index("BOUNDED_ROWS") + 1 : names.index("ENTRIES")]
    assert [numbers[name] for name in entries] == list(range(record.ENTRIES))
    assert {*names} - {*rows, *entries} == {"ROWS", "BOUNDED_ROWS", "ENTRIES", "SMALL_FIRST_STEPS", "STALLED_X"}
