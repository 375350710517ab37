"""What `minimize` says when something is not as the user thinks: messages, warnings, and where gradients came from."""

from __future__ import annotations

import collections
import copy
import pickle
import re
import sys

import numba
import numpy as np
import problems
import pytest
import scipy.optimize
from numba import float64, types
from scipy.optimize import OptimizeWarning

from rprop_ref import Parameter, Rprop, autograd, minimize, minimize_many
from rprop_ref.bits import same_bits

SUCCESS = "Optimization terminated successfully. "


def bowl(x):
    return float(np.sum((x - 1) ** 2)), 2 * (x - 1)


def smooth(x):
    """Takes Tensors and complex numbers as well."""
    return np.sum((x - 1) ** 2)


def hill(x):
    return tuple(-v for v in bowl(x))


@numba.njit
def bowl_in_machine_code(x, g):
    f = 0.0
    for i in range(x.size):
        f += (x[i] - 1) ** 2
        g[i] = 2 * (x[i] - 1)
    return f


@numba.njit(error_model="numpy")
def falling_in_machine_code(x, g):
    g[0] = -np.exp(x[0])
    return -np.exp(x[0])


def falling(x):
    with np.errstate(over="ignore"):
        return float(-np.exp(x[0])), -np.exp(x)


class TestTheToleranceIsNamed:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"gtol": 1e-3}, r"The largest gradient component, (\S+), is within gtol = 0.001\."),
            (
                {"gtol": 0, "xtol": 1e-3},
                r"Each step size is within xtol = 0.001 times \|x\|, or negligible beside the first\.",
            ),
            (
                {"gtol": 0, "ftol": 1e-3, "window": 90},
                r"In 90 iterations the lowest value fell by (\S+), which is within ftol = 0.001 times max\(\|f\|, 1\)\.",
            ),
            ({"f_target": 0.25}, r"The value (\S+) has reached f_target = 0.25\."),
        ],
    )
    def test_with_its_figure_by_every_driver(self, options, words):
        starts = np.array([[3.0, -2.0], [0.5, 4.0], [-1.0, 1.5]])
        many = minimize_many(bowl_in_machine_code, starts, **options)
        in_python = minimize_many(bowl, starts, jac=True, **options)
        for i, x0 in enumerate(starts):
            r = minimize(bowl, x0, jac=True, **options)
            found = re.fullmatch(SUCCESS + words, r.message)
            assert found, r.message
            if "gtol = 0.001" in r.message:
                assert float(found[1]) == pytest.approx(np.abs(r.jac).max(), rel=0.05)
            if "f_target" in r.message:
                assert float(found[1]) == pytest.approx(r.fun, rel=1e-5)
            assert minimize(bowl_in_machine_code, x0, **options).message == r.message
            assert many.message[i] == in_python.message[i] == r.message
        assert many.best.message == many.message[many.best.index]
        assert many.message == in_python.message

    def test_the_same_when_maximizing(self):
        options = {"jac": True, "maximize": True}
        assert minimize(hill, [3.0], f_target=-0.25, **options).message.endswith("has reached f_target = -0.25.")
        r = minimize(hill, [3.0], gtol=0, ftol=1e-3, **options)
        assert "the highest value rose by" in r.message

    def test_with_bounds_only_the_gradient_that_leads_inward_counts(self):
        options = {"bounds": [(2, 5), (None, None)]}
        r = minimize(bowl, [3.0, 3.0], jac=True, **options)
        assert np.abs(r.jac).max() == 2.0
        assert re.match(
            SUCCESS + r"The largest gradient component, \S+e-1[1-6], is within gtol = 1e-10", r.message
        )
        assert minimize_many(bowl_in_machine_code, [[3.0, 3.0]], **options).message == [r.message]

    def test_of_noise_too(self):
        # The gradient's noise is relative and fades towards the minimum; that of the value does not, so that the
        # lowest one is seen by chance, and long before the end.
        counts = collections.Counter()
        for seed in range(12):
            rng = np.random.default_rng(seed)

            def noisy(x, rng=rng):
                g = x * np.array([1.0, 100.0])
                return (1 + 0.5 * x @ g) * (1 + 0.1 * rng.normal()), g + 0.1 * np.abs(g).max() * rng.normal(size=2)

            r = minimize(noisy, rng.uniform(-2, 2, 2), jac=True, patience=1000)
            if r.success:
                found = re.search("(gtol|xtol|ftol|f_target) = [^ ]+[0-9]", r.message)
                assert found, r.message
                counts[found[1]] += 1
            if "xtol" in r.message:
                words = (
                    r"No lower value since iteration (\d+) of (\d+), and the next step would change the value by at "
                    r"most (\S+), less than it resolves: xtol = 8.9e-16 is met as closely as it can be\."
                )
                since, nit, most = map(float, re.fullmatch(SUCCESS + words, r.message).groups())
                assert r.nit == nit and nit - since >= 1000
                assert most == pytest.approx(8 * np.finfo(float).eps * r.fun, rel=0.05)
        assert counts["gtol"] and counts["xtol"]

    def test_messages_of_many_are_a_sequence(self):
        starts = np.linspace(-3, 3, 40)[:, None]
        result = minimize_many(bowl_in_machine_code, starts)
        messages = result.message
        assert len(messages) == 40
        assert messages[-1] == list(messages)[39]
        assert messages[3:5] == [messages[3], messages[4]]
        assert messages != ["something else"]
        with pytest.raises(IndexError):
            messages[40]
        assert len(repr(messages)) < 600


class TestWhatAResultHasNot:
    def results(self):
        many = minimize_many(bowl, [[3.0], [2.0]], jac=True)
        for method in (minimize, scipy.optimize.minimize):
            options = {} if method is minimize else {"method": minimize}
            yield method(bowl, [3.0], jac=True, **options), "give minimize the option "
        for result in (many, many.best):
            yield result, "call minimize with the start and "

    def test_what_was_not_asked_for_is_missing_with_the_option_to_ask_by(self):
        for result, words in self.results():
            for name, option in (("trace", "trace=True"), ("allvecs", "return_all=True")):
                assert not hasattr(result, name)
                with pytest.raises(AttributeError, match=f"no '{name}'; {words}{option}$") as raised:
                    getattr(result, name)
                assert raised.value.name == name
                assert name not in dir(result) and name not in result and result.get(name) is None
        asked = minimize(bowl, [3.0], jac=True, trace=True, return_all=True)
        assert len(asked.trace) == len(asked.allvecs)

    def test_of_other_names_those_are_told_that_it_has(self):
        result = minimize(bowl, [3.0], jac=True)
        with pytest.raises(
            AttributeError, match="the result has no 'hess_inv', only message, success, status, fun"
        ):
            result.hess_inv  # noqa: B018

    def test_copies_and_pickles_are_results(self):
        for result, _ in self.results():
            for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
                assert type(other) is type(result) and isinstance(other, scipy.optimize.OptimizeResult)
                assert repr(other.fun) == repr(result.fun) and dir(other) == dir(result)
                with pytest.raises(AttributeError, match="trace=True"):
                    other.trace  # noqa: B018


class TestNotFinite:
    @pytest.mark.parametrize("fun", [falling, falling_in_machine_code])
    def test_an_objective_that_falls_to_minus_infinity(self, fun):
        jac = True if fun is falling else None
        with np.errstate(over="ignore"):
            r = minimize(fun, [1.0], jac=jac)
        assert not r.success
        assert r.message.endswith("The objective was -inf at a point: it is unbounded below, or overflows.")
        assert minimize_many(falling_in_machine_code, [[1.0]]).message == [r.message]

    def test_one_that_rises_to_infinity_when_maximizing(self):
        with np.errstate(over="ignore"):
            r = minimize(lambda x: tuple(-v for v in falling(x)), [1.0], jac=True, maximize=True)
        assert r.message.endswith("The objective was inf at a point: it is unbounded above, or overflows.")

    @pytest.mark.parametrize(
        ("value", "gradient", "words"),
        [
            (np.nan, 1.0, "The objective is nan at x0."),
            (np.inf, 1.0, "The objective is inf at x0."),
            (-np.inf, 1.0, "The objective was -inf at a point: it is unbounded below, or overflows."),
            (1.0, np.nan, "The gradient is not finite at x0."),
        ],
    )
    def test_at_the_start(self, value, gradient, words):
        r = minimize(lambda x: (value, np.array([gradient])), [2.0], jac=True)
        assert (r.status, r.message) == (3, f"NaN result encountered. {words}")

    def test_near_the_last_finite_point(self):
        r = minimize(lambda x: 5.0 if x[0] == 2.0 else np.nan, [2.0], jac=lambda x: np.ones(1))
        words = "The objective is nan everywhere near the last finite point."
        assert (r.status, r.message) == (3, f"NaN result encountered. {words}")


class TestGuards:
    """An objective that is not defined somewhere says so by returning infinity: the run steps back."""

    @staticmethod
    def value(x):
        return np.sum(x - np.log(x))

    @pytest.mark.parametrize("outside", [np.inf, np.nan, float("inf"), np.float32(np.inf), np.array([np.inf])])
    def test_with_autograd(self, outside):
        seen = []

        def fun(x):
            if np.any(x <= 0):
                seen.append(x)
                return outside
            return self.value(x)

        r = minimize(fun, [5.0, 0.01], jac="autograd", lr=3.0)
        assert seen
        assert r.success
        np.testing.assert_allclose(r.x, 1, rtol=1e-9)
        again = minimize(autograd.value_and_grad(fun), [5.0, 0.01], jac=True, lr=3.0)
        assert same_bits(r.x, again.x)

    @pytest.mark.parametrize(
        "outside",
        [np.inf, np.float32(np.nan), np.array(np.inf), np.array([np.inf]), (np.inf, None), (np.nan, None)],
    )
    def test_with_the_gradient_of_the_objective(self, outside):
        r = minimize(
            lambda x: outside if np.any(x <= 0) else (self.value(x), 1 - 1 / x), [5.0, 0.01], jac=True, lr=3.0
        )
        np.testing.assert_allclose(r.x, 1, rtol=1e-9)

    def test_with_a_jac_that_has_none_there(self):
        r = minimize(
            lambda x: np.inf if np.any(x <= 0) else self.value(x),
            [5.0, 0.01],
            jac=lambda x: None if np.any(x <= 0) else 1 - 1 / x,
            lr=3.0,
        )
        np.testing.assert_allclose(r.x, 1, rtol=1e-9)

    @pytest.mark.parametrize("scheme", ["2-point", "3-point", "autograd"])
    def test_all_gradients_step_back_alike(self, scheme):
        r = minimize(lambda x: np.inf if np.any(x <= 0) else self.value(x), [5.0, 0.01], jac=scheme, lr=3.0)
        np.testing.assert_allclose(r.x, 1, rtol=1e-4)

    @pytest.mark.parametrize("constant", [3.0, 0, np.float64(1e300), np.array([2.0]), True])
    def test_a_finite_constant_is_refused(self, constant):
        with pytest.raises(TypeError, match="does not depend on its argument .* return numpy.inf, but no finite"):
            minimize(lambda x: constant, [1.0], jac="autograd")

    @pytest.mark.parametrize("error", [np.linalg.LinAlgError, FloatingPointError, ValueError])
    def test_exceptions_stay_the_users(self, error):
        def fun(x):
            raise error("math domain error")

        for jac in ("autograd", "2-point", True, lambda x: x):
            with pytest.raises(error, match="^math domain error$"):
                minimize(fun, [1.0], jac=jac)

    def test_several_arguments_have_undefined_gradients(self):
        value, gradients = autograd.value_and_grad(lambda a, b: -np.inf, (0, 1))(np.zeros(2), np.float32([1]))
        assert value == -np.inf
        assert [(g.shape, g.dtype) for g in gradients] == [((2,), "f8"), ((1,), "f4")]
        assert np.isnan(gradients[0]).all()


def in_single_precision(x):
    return np.sum(np.float32(x) ** 2)


class TestFlatStart:
    """Finite differences that are all exactly 0 say nothing about the slope."""

    @pytest.mark.parametrize(
        ("fun", "scheme"),
        [
            (in_single_precision, "2-point"),  # the steps of "3-point" are larger than the resolution of float32
            (lambda x: 7.0, "2-point"),
            (lambda x: 7.0, "3-point"),
            (lambda x: float(np.round(x).sum()), "3-point"),
            (lambda x: np.float16(np.sum(x**2)), "3-point"),
        ],
    )
    def test_is_no_success(self, fun, scheme):
        with pytest.warns(OptimizeWarning, match="Every finite difference at x0 is exactly 0") as caught:
            r = minimize(fun, [1.0, 2.0], jac=scheme)
        assert [w.filename for w in caught] == [__file__]
        assert (r.success, r.status, r.nit, r.fun) == (False, 2, 0, fun(np.array([1.0, 2.0])))
        assert r.jac.tolist() == [0, 0]
        assert "float32" in r.message

    def test_of_complex_steps_through_real_values(self):
        with pytest.warns(OptimizeWarning, match="returned real numbers for complex x"):
            r = minimize(lambda x: float(np.abs(x - 3).sum()), [1.0], jac="cs")
        assert (r.success, r.status) == (False, 2)

    @pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
    def test_a_start_at_the_minimum_is_success(self, scheme):
        assert minimize(lambda x: np.sum(x**2), [0.0, 0.0], jac=scheme).success

    def test_one_difference_that_is_not_0_is_enough(self):
        assert minimize(lambda x: in_single_precision(x[:1]) + (x[1] - 3) ** 2, [1.0, 2.0]).nit > 0

    def test_a_target_that_is_reached_is_success(self):
        r = minimize(in_single_precision, [1.0], f_target=2.0)
        assert (r.success, r.message) == (
            True,
            SUCCESS + "The largest gradient component, 0, is within gtol = 1e-05.",
        )
        r = minimize(lambda x: -in_single_precision(x), [1.0], f_target=-2.0, maximize=True)
        assert r.success

    def test_variables_that_are_all_fixed_or_absent_are_success(self):
        assert minimize(in_single_precision, [1.0], bounds=[(1, 1)]).success
        assert minimize(in_single_precision, np.zeros(0)).success

    def test_a_run_that_continues_from_it_looks_again(self, tmp_path):
        file = tmp_path / "run.npz"
        with pytest.warns(OptimizeWarning):
            flat = minimize(in_single_precision, [1.0], checkpoint=file)
        for how in ({"warm_start": flat}, {"resume": file}):
            with pytest.warns(OptimizeWarning, match="Every finite difference"):
                assert not minimize(in_single_precision, [1.0], **how).success
            assert minimize(lambda x: np.sum((x - 2) ** 2), [1.0], **how).x[0] == pytest.approx(2, abs=1e-4)

    def test_later_points_may_be_flat_also_where_a_run_is_resumed(self):
        def fun(x):
            return float(x[0] ** 2) if x[0] > 1 else 7.0

        whole = minimize(fun, [3.0], lr=1.0)
        resumed = minimize(fun, [3.0], warm_start=minimize(fun, [3.0], lr=1.0, maxiter=1))
        assert (whole.status, whole.nit, whole.x[0]) == (2, 2, 2.0)
        assert (resumed.status, resumed.nit, resumed.message) == (2, 1, whole.message)
        assert same_bits(resumed.x, whole.x)

    def test_many_starts_report_it_in_their_rows(self):
        with pytest.warns(OptimizeWarning, match="Every finite difference"):
            result = minimize_many(in_single_precision, [[1.0], [0.0]])
        assert result.status.tolist() == [2, 0], "near 0 float32 has the resolution"
        assert "exactly 0" in result.message[0]

    def test_disp_warns_once(self, capsys):
        with pytest.warns(OptimizeWarning) as caught:
            minimize(in_single_precision, [1.0], disp=True)
        assert len(caught) == 1


class TestWhereGradientsCameFrom:
    @pytest.mark.parametrize(
        ("fun", "jac", "source", "text"),
        [
            (smooth, problems.sphere_der, "jac", "jac"),
            (bowl, True, "fun", "fun (jac=True)"),
            (smooth, "autograd", "autograd", "autograd"),
            (smooth, None, "2-point", "finite differences (2-point)"),
            (smooth, "3-point", "3-point", "finite differences (3-point)"),
            (smooth, "cs", "cs", "finite differences (cs)"),
            (bowl_in_machine_code, None, "compiled", "compiled"),
        ],
    )
    def test_results_say_it(self, fun, jac, source, text):
        one = minimize(fun, [3.0, 2.0], jac=jac, maxiter=3)
        seen = []
        many = minimize_many(fun, [[3.0, 2.0], [1.0, 0.0]], jac=jac, maxiter=3, callback=seen.append)
        assert {r.gradient for r in (one, many, many.best, *seen)} == {source}
        for result in (one, many):
            assert re.search(rf"gradient from +{re.escape(text)}\n", f"{result}\n")

    def test_scipy_drops_the_string(self):
        """The README warns of it. Should SciPy once pass it on, its warning can go."""
        r = scipy.optimize.minimize(smooth, [3.0], method=minimize, jac="autograd")
        assert r.gradient == "2-point"
        r = scipy.optimize.minimize(smooth, [3.0], method=minimize, options={"gradient": "autograd"})
        assert r.gradient == "autograd"

    def test_objectives_in_machine_code_with_other_drivers(self):
        r = minimize(bowl_in_machine_code, [3.0], backend="numpy")
        assert r.gradient == "compiled"
        assert minimize_many(bowl_in_machine_code, [[3.0]], maxtime=60, workers=map).gradient == "compiled"


class TestForgottenJac:
    @pytest.mark.parametrize("jac", [None, "3-point", lambda x: x])
    def test_a_pair_asks_for_jac_true(self, jac):
        words = "must return a scalar value. It returned a tuple of 2 values; did you mean jac=True?"
        with pytest.raises(ValueError, match=re.escape(words)):
            minimize(bowl, [3.0, 2.0], jac=jac)

    def test_of_autograd_too(self):
        with pytest.raises(TypeError, match="returned a tuple of 2 values, .* did you mean jac=True"):
            minimize(lambda x: (np.sum(x**2), 2 * x), [3.0, 2.0], jac="autograd")

    @pytest.mark.parametrize(
        ("value", "what"),
        [
            ((1.0, 2.0, 3.0), "a tuple of 3 values"),
            ([1.0] * 4, "a list of 4 values"),
            (np.ones(3), r"an array of shape \(3,\)"),
            (None, "None"),
            ("a", "a str"),
        ],
    )
    def test_anything_else_is_named(self, value, what):
        with pytest.raises(ValueError, match=f"must return a scalar value. It returned {what}.$"):
            minimize(lambda x: value, [3.0])
        if not isinstance(value, str):
            with pytest.raises(ValueError, match=f"must return two values, .* but it returned {what}$"):
                minimize(lambda x: value, [3.0], jac=True)

    def test_many_starts_that_all_fail_warn_with_the_first_exception(self):
        with pytest.warns(RuntimeWarning, match="at every start; at the first: ValueError: .* jac=True") as caught:
            result = minimize_many(bowl, [[3.0], [2.0]])
        assert [w.filename for w in caught] == [__file__]
        assert result.status.tolist() == [100, 100]


class TestOptions:
    @pytest.mark.parametrize(
        ("wrong", "meant"),
        [
            ("learning_rate", "lr"),
            ("LR", "lr"),
            ("max_iter", "maxiter"),
            ("maxfun", "maxfev"),
            ("xatol", "xtol"),
            ("fatol", "ftol"),
            ("step_size", "step_sizes"),
            ("varient", "variant"),
            ("verbose", "disp"),
        ],
    )
    def test_an_unknown_one_is_compared_with_the_known_ones(self, wrong, meant):
        for run, x0 in ((minimize, [3.0]), (minimize_many, [[3.0]])):
            with pytest.warns(OptimizeWarning, match=f"Unknown solver options: {wrong}; did you mean {meant}\\?"):
                run(bowl, x0, jac=True, maxiter=1, **{wrong: 1})

    def test_one_that_resembles_none(self):
        with pytest.warns(OptimizeWarning, match="Unknown solver options: c1, qqq$"):
            minimize(bowl, [3.0], jac=True, maxiter=1, c1=1, qqq=2)
        with pytest.warns(OptimizeWarning, match="Unknown solver options: return_al$"):
            minimize_many(bowl, [[3.0]], jac=True, maxiter=1, return_al=1)

    def test_limits_need_not_be_whole(self):
        """As in SciPy, whose loops run while the number of iterations is less than the limit."""
        for limit, steps in ((10.5, 11), (np.float32(10), 10), (np.array([10]), 10), (0.5, 1), (True, 1)):
            assert minimize(bowl, [3.0], jac=True, maxiter=limit).nit == steps
            theirs = scipy.optimize.minimize(
                scipy.optimize.rosen, [9.0] * 9, method="CG", options={"maxiter": limit}
            )
            assert theirs.nit == steps
        assert minimize(bowl, [3.0], jac=True, maxfev=10.5).nfev == 11
        assert minimize(bowl, [3.0], jac=True, patience=np.inf).success
        assert minimize_many(bowl_in_machine_code, [[3.0]], maxiter=10.5).nit == [11]

    @pytest.mark.parametrize("bounds", [[(1, 2), (0, 9)], scipy.optimize.Bounds([1, 0], 9)])
    def test_a_start_outside_the_bounds_warns_as_in_scipy(self, bounds):
        x0 = [0.5, 3.0]
        with pytest.warns(OptimizeWarning) as theirs:
            scipy.optimize.minimize(problems.sphere, x0, method="Nelder-Mead", bounds=bounds)
        with pytest.warns(OptimizeWarning, match=f"^{theirs[0].message}; it is moved") as caught:
            r = minimize(bowl, x0, jac=True, bounds=bounds, return_all=True)
        assert [w.filename for w in caught] == [__file__]
        assert r.allvecs[0].tolist() == [1, 3]
        assert minimize(bowl, x0, jac=True, bounds=bounds, warm_start=r).success

    @pytest.mark.parametrize("fun", [bowl, bowl_in_machine_code])
    def test_starts_outside_the_bounds_warn_once(self, fun):
        jac = True if fun is bowl else None
        with pytest.warns(OptimizeWarning, match="Initial guess is not within") as caught:
            result = minimize_many(fun, [[0.5], [1.5], [9.0]], jac=jac, bounds=[(1.2, 2)])
        assert [w.filename for w in caught] == [__file__]
        np.testing.assert_array_equal(result.x, 1.2)

    def test_hessians_are_ignored_by_many_starts_too(self):
        with pytest.warns(RuntimeWarning, match=r"does not use Hessian information \(hess\)") as caught:
            assert minimize_many(bowl, [[3.0]], jac=True, hess=lambda x: 2).success.all()
        assert [w.filename for w in caught] == [__file__]

    @pytest.mark.parametrize(
        "option", [{"checkpoint_every": 0}, {"checkpoint_every": 7}, {"resume": ""}, {"trace": 1}]
    )
    def test_options_of_a_single_run_are_refused_whatever_their_value(self, option):
        with pytest.raises(ValueError, match=f"{next(iter(option))} is for a single run"):
            minimize_many(bowl, [[3.0]], jac=True, **option)

    def test_their_defaults_may_be_given(self):
        options = {
            "checkpoint": None,
            "checkpoint_every": 10_000,
            "return_all": False,
            "trace": False,
            "resume": None,
        }
        assert minimize_many(bowl, [[3.0]], jac=True, hess=None, **options).success.all()


class TestWithoutStderr:
    """As under pythonw, and in services."""

    @pytest.mark.parametrize("tqdm", [True, False])
    def test_progress_shows_nothing(self, monkeypatch, capsys, tqdm):
        if not tqdm:
            monkeypatch.setitem(sys.modules, "tqdm", None)
            monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        monkeypatch.setattr(sys, "stderr", None)
        assert minimize(bowl, [3.0], jac=True, progress=True).success
        assert minimize_many(bowl, [[3.0]], jac=True, progress=True).success.all()
        assert minimize_many(bowl_in_machine_code, [[3.0]], progress=True).success.all()
        assert capsys.readouterr().out == ""


@numba.cfunc(float64(types.intc, types.CPointer(float64), types.CPointer(float64), types.voidptr), cache=True)
def with_data(n, x, g, data):
    g[0] = 2 * x[0]
    return x[0] ** 2


@pytest.mark.parametrize("fun", [bowl_in_machine_code, with_data])
def test_masked_arguments_of_machine_code_are_refused(fun):
    with pytest.raises(TypeError, match=r"args\[0\] is a masked array"):
        minimize(fun, [3.0], args=(np.ma.masked_greater([1.0, 2.0], 1),))


def test_traces_of_runs_that_maximize_say_highest():
    trace = minimize(hill, [3.0], jac=True, maximize=True, maxiter=20, trace=True).trace
    assert f"highest {trace.f.max():.6g}" in str(trace)
    assert f"the highest in the trace is {trace.f.max():.6g}" in str(trace.explain())
    p = Parameter(np.array([3.0]))
    optimizer = Rprop([p], maximize=True)
    with trace.attach(optimizer) as attached:
        p.grad = np.ones(1)
        optimizer.step(loss=2.0)
    assert "highest 2" in str(attached)
