"""Objectives in machine code: every form is accepted, and only the time of a run depends on it."""

from __future__ import annotations

import _thread
import collections
import ctypes
import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import scipy.optimize
from cases import compiled_rules_and_dtypes, sampled
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import types
from scipy import LowLevelCallable

from numba_kernels import loop, objective
from rprop_ref import minimize
from rprop_ref._core import record
from rprop_ref._core.constants import rule_constants
from rprop_ref._minimizer import drivers, jitted_objective
from rprop_ref._minimizer.minimize import OPTIONS
from rprop_ref._minimizer.options import set_stopping_rules
from rprop_ref._minimizer.recognize import recognize
from rprop_ref._minimizer.starting import begin
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

C_SIGNATURE = types.float64(
    types.intc, types.CPointer(types.float64), types.CPointer(types.float64), types.voidptr
)
X0 = np.array([-1.2, 1.0, 0.3])


@numba.njit
def writing(x, g, a=1.0):
    """Rosenbrock's function, term by term."""
    f = 0.0
    for i in range(x.size - 1):
        t, u = x[i + 1] - x[i] * x[i], a - x[i]
        f += 100 * t * t + u * u
        g[i] += -400 * t * x[i] - 2 * u
        g[i + 1] += 200 * t
    return f


@numba.njit
def returning(x):
    g = np.zeros_like(x)
    return writing(x, g), g


@numba.njit
def value(x):
    return writing(x, np.zeros_like(x))


@numba.njit
def gradient(x):
    g = np.zeros_like(x)
    writing(x, g)
    return g


@numba.cfunc(C_SIGNATURE, cache=True)
def c_function(n, x, g, data):
    return writing(numba.carray(x, (n,)), numba.carray(g, (n,)))


@numba.cfunc(types.float64(types.intc, *[types.CPointer(types.float64)] * 3), cache=True)
def c_function_with_data(n, x, g, data):
    return writing(numba.carray(x, (n,)), numba.carray(g, (n,)), data[0])


_POINTER = ctypes.POINTER(ctypes.c_double)
_CTYPE = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, _POINTER, _POINTER, ctypes.c_void_p)

FORMS = {
    "writing": {"fun": writing},
    "writing, jac=True": {"fun": writing, "jac": True},
    "returning": {"fun": returning},
    "returning, jac=True": {"fun": returning, "jac": True},
    "pair": {"fun": value, "jac": gradient},
    "cfunc": {"fun": c_function},
    "cfunc with data": {"fun": c_function_with_data, "args": np.ones(1)},
    "LowLevelCallable of a cfunc": {"fun": LowLevelCallable(c_function.ctypes)},
    "LowLevelCallable of ctypes": {
        "fun": LowLevelCallable(
            _CTYPE(c_function_with_data.address), ctypes.cast((ctypes.c_double * 1)(1.0), ctypes.c_void_p)
        )
    },
}


def assert_same_results(a, b):
    """Two results agree to the bit, in everything but the message."""
    assert (a.status, a.nit, a.nfev, a.njev) == (b.status, b.nit, b.nfev, b.njev)
    for name in ("fun", "x", "jac", "step_size", "prev"):
        assert same_bits(np.asarray(a[name]), np.asarray(b[name])), name
    assert same_bits(a.state.vectors, b.state.vectors)
    assert same_bits(a.state.scalars, b.state.scalars)


class TestForms:
    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_has_the_iterates_of_a_python_objective(self, form):
        def python_objective(x):
            g = np.zeros_like(x)
            return writing(x, g), g

        expected = minimize(python_objective, X0, jac=True, maxiter=700, backend="numpy", return_all=True)
        for options in ({}, {"backend": "numpy"}, {"backend": "numba", "return_all": True}):
            result = minimize(x0=X0, maxiter=700, **FORMS[form], **options)
            assert_same_results(result, expected)
            if options.get("return_all"):
                assert same_bits(np.array(result.allvecs), np.array(expected.allvecs))
        arguments = dict(FORMS[form])
        if not isinstance(arguments["fun"], LowLevelCallable):  # SciPy accepts only callable objectives
            result = scipy.optimize.minimize(**arguments, x0=X0, method=minimize, options={"maxiter": 700})
            assert_same_results(result, expected)

    def test_every_form_is_run_in_machine_code(self, monkeypatch):
        monkeypatch.delattr(drivers, "PythonDriver")
        for form in FORMS.values():
            minimize(x0=X0, maxiter=5, **form)

    def test_the_loop_returns_even_if_its_timer_ends_before_it_begins(self, monkeypatch):
        started = []

        class ImmediateTimer:
            def __init__(self, seconds, function, args):
                self.call = function, args

            def start(self):
                function, args = self.call
                function(*args)
                started.append(self)

            def cancel(self):
                pass

        expected = minimize(x0=X0, maxiter=20, gtol=0, **FORMS["writing"])
        monkeypatch.setattr(drivers.threading, "Timer", ImmediateTimer)
        assert_same_results(minimize(x0=X0, maxiter=20, gtol=0, **FORMS["writing"]), expected)
        assert len(started) > 10, "each call of the loop ends with its first iteration"

    @pytest.mark.parametrize("form", ["writing", "returning"])
    def test_jac_may_be_a_bool_of_numpy(self, form, monkeypatch):
        monkeypatch.delattr(drivers, "PythonDriver")
        minimize(x0=X0, maxiter=5, **{**FORMS[form], "jac": np.True_})

    def test_other_gradients_are_left_to_the_loop_in_python(self):
        for jac in ("2-point", None, False, gradient.py_func):
            r = minimize(value, X0, jac=jac, maxiter=50)
            assert r.nit == 50

    @pytest.mark.exhaustive
    def test_single_precision(self):
        x0 = X0.astype("f4")
        for form in ("writing", "returning", "pair"):
            result = minimize(x0=x0, maxiter=200, **FORMS[form])
            assert result.x.dtype == result.jac.dtype == np.float32
            assert_same_results(result, minimize(x0=x0, maxiter=200, backend="numpy", **FORMS[form]))

    def test_x_may_have_any_shape(self):
        @numba.njit
        def fun(x, g, target):
            f = 0.0
            for i in range(x.shape[0]):
                for j in range(x.shape[1]):
                    d = x[i, j] - target[i, j]
                    g[i, j] = 2 * d
                    f += d * d
            return f

        target = np.arange(6.0).reshape(2, 3)
        r = minimize(fun, np.ones((2, 3)), args=(target,))
        assert r.success
        np.testing.assert_allclose(r.x, target, atol=1e-9)
        assert same_bits(
            minimize(c_function, X0.reshape(3, 1), maxiter=50).x.ravel(), minimize(writing, X0, maxiter=50).x
        )

    def test_other_values_of_args_need_no_compilation(self):
        Pair = collections.namedtuple("Pair", "a b")

        @numba.njit
        def fun(x, g, center, scale, nested, shift, nothing, flag):
            f = 0.0
            for i in range(x.size):
                d = x[i] - center[i] - nested[0][i] - nested[1].b
                f += scale * d * d
                g[i] = 2 * scale * d
            if nothing is None and flag:
                f += shift
            return f

        def arguments(k):
            readonly = np.full(2, k + 1.0)
            readonly.flags.writeable = False
            return (np.arange(2.0) * k, 0.5 + k, (readonly, Pair(1, k + 0.5)), int(k), None, True)

        first = minimize(fun, np.ones(2), args=arguments(0))
        signatures = len(loop.kernel(RULES["irprop-"]).signatures)
        compiled = jitted_objective._c_function.cache_info().misses
        for k in (1, 2, 3):
            args = arguments(k)
            gc.collect()
            r = minimize(fun, np.ones(2), args=args)
            assert r.success
            np.testing.assert_allclose(r.x, args[0] + args[2][0] + k + 0.5)
            np.testing.assert_allclose(r.fun, k, atol=1e-15)
        assert not np.allclose(r.x, first.x)
        assert jitted_objective._c_function.cache_info().misses == compiled
        assert len(loop.kernel(RULES["irprop-"]).signatures) == signatures
        # To Numba, arrays that are not contiguous, or in the other byte order, have other types; here they are copied.
        for other in (np.repeat(args[0], 2)[::2], args[0].astype(">f8")):
            assert same_bits(minimize(fun, np.ones(2), args=(other, *args[1:])).x, r.x)
        assert jitted_objective._c_function.cache_info().misses == compiled

    @pytest.mark.exhaustive
    def test_the_name_of_the_second_parameter_decides_where_defaults_allow_two_forms(self):
        @numba.njit
        def plain(x, a=1.0):
            return (x[0] - a) ** 2

        for args, solution in (((), 1.0), ((2.0,), 2.0)):
            r = minimize(plain, [3.0], args=args)
            assert r.success
            assert r.nfev > r.njev, "by finite differences"
            np.testing.assert_allclose(r.x, solution, atol=1e-5)
        np.testing.assert_allclose(minimize(writing, X0[:2], args=(2.0,)).x, [2, 4], rtol=1e-3)

    @pytest.mark.exhaustive
    def test_functions_with_explicit_signatures(self):
        @numba.njit("float64(float64[:], float64[:])")
        def eager(x, g):
            return writing(x, g)

        @numba.njit(["Tuple((float64, float64[:]))(float64[:])"])
        def eager_returning(x):
            return returning(x)

        expected = minimize(writing, X0, maxiter=50)
        for fun in (eager, eager_returning):
            assert_same_results(minimize(fun, X0, maxiter=50), expected)

    def test_the_objective_may_overwrite_x(self):
        @numba.njit
        def hostile(x, g):
            f = writing(x, g)
            x[:] = np.nan
            return f

        @numba.njit
        def hostile_value(x):
            f = value(x)
            x[:] = np.nan
            return f

        expected = minimize(writing, X0, maxiter=50)
        assert_same_results(minimize(hostile, X0, maxiter=50), expected)
        assert_same_results(minimize(hostile_value, X0, jac=gradient, maxiter=50), expected)

    def test_maximize(self):
        @numba.njit
        def hill(x, g):
            f = -writing(x, g)
            for i in range(g.size):  # compiles in a sixth of the time of g[:] = -g
                g[i] = -g[i]
            return f

        for backend in ("numpy", None):
            up, down = (
                minimize(fun, X0, maximize=maximize, maxiter=300, backend=backend)
                for fun, maximize in ((hill, True), (writing, False))
            )
            assert same_bits(up.x, down.x)
            assert up.fun == -down.fun
            assert same_bits(up.jac, -down.jac)
            assert same_bits(up.prev, -down.prev)


@numba.njit
def rough(x, g, w, c, edge):
    """Hills and valleys that depend on `w` and `c`; not finite beyond the edge."""
    f = 0.0
    for i in range(x.size):
        j = (i + 1) % x.size
        d = x[i] - c[i]
        g[i] += w[i] * (2 * d - 3 * np.sin(3 * d)) + 0.1 * x[j]
        g[j] += 0.1 * x[i]
        f += w[i] * (d * d + np.cos(3 * d)) + 0.1 * x[i] * x[j]
        if abs(x[i]) > edge:
            return np.nan
    return f


@st.composite
def runs(draw, rules_and_dtypes):
    n = draw(st.integers(1, 5))
    rule, dtype = draw(st.sampled_from(rules_and_dtypes))
    number = st.floats(-5, 5, width=32)
    numbers = st.lists(number, min_size=n, max_size=n)
    options = {
        "args": (np.abs(draw(numbers)) + 1e-3, np.array(draw(numbers)), draw(st.sampled_from([3.0, np.inf]))),
        "x0": np.array(draw(numbers), dtype),
        "variant": rule,
        "etas": draw(st.sampled_from([(0.5, 1.2), (0.8, 1.1), (0.3, 2.0)])),
        "step_sizes": draw(st.sampled_from([(0.0, np.inf), (1e-6, 50), (None, 0.5), (1e-3, None)])),
        "lr": draw(st.sampled_from([None, 0.1, 10.0])),
        "maxiter": draw(st.integers(0, 300)),
        "maximize": draw(st.booleans()),
        "ftol": draw(st.sampled_from([None, 1e-3])),
        "window": 20,
        "patience": draw(st.sampled_from([None, 15])),
    }
    if draw(st.booleans()):
        ends = np.sort(np.array([draw(numbers), draw(numbers)]), axis=0)
        options["bounds"] = list(zip(*ends, strict=True))
    return options


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@settings(max_examples=30, deadline=None)
@given(runs([("irprop-", "f8")]))
def test_all_loops_have_the_same_bits(options):
    check_all_loops(options)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@settings(max_examples=150, deadline=None)
@given(runs(compiled_rules_and_dtypes()))
def test_all_loops_have_the_same_bits_for_every_rule(options):
    check_all_loops(options)


def check_all_loops(options):
    """In machine code, in Python with Numba, in Python with NumPy; for any problem, bounds, stopping rule."""
    compiled = minimize(rough, **options)
    assert_same_results(minimize(rough, backend="numpy", **options), compiled)
    args = options.pop("args")

    def plain(x):
        g = np.zeros_like(x)
        return rough(x, g, *args), g

    assert_same_results(minimize(plain, jac=True, backend="numba", **options), compiled)
    if "bounds" in options:
        low, high = np.transpose(options["bounds"])
        assert ((low <= compiled.x) & (compiled.x <= high)).all()


@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
@settings(max_examples=30, deadline=None)
@given(runs([("irprop-", "f8")]), st.integers(0, 100))
def test_a_run_may_go_over_to_machine_code_at_any_iteration(options, made):
    class Late(drivers.SwitchingDriver):
        left = made

        def _is_ready(self):
            self.left -= 1
            return self.left < 0 and super()._is_ready()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drivers, "SwitchingDriver", Late)
        switched = minimize(rough, **options)
    assert_same_results(switched, minimize(rough, backend="numpy", **options))


class TestTheLoop:
    @pytest.mark.exhaustive
    def test_it_is_compiled_once_for_all_objectives_and_cached_on_disk(self):
        code = (
            "import numba, numpy as np\n"
            "from rprop_ref import minimize\n"
            "from numba_kernels import loop\n"
            "from rprop_ref.rules import RULES\n"
            "run = loop.kernel(RULES['irprop-'])\n"
            "@numba.njit\n"
            "def one(x, g):\n    g[0] = 2 * x[0]\n    return x[0] ** 2\n"
            "@numba.njit\n"
            "def two(x, a):\n    return a[0] * x[0] ** 2, 2 * a * x\n"
            "results = minimize(one, [1.0], backend='numba'), minimize(two, [1.0], args=np.ones(1))\n"
            "print(*(r.success for r in results))\n"
            "print(sum(run.stats.cache_hits.values()), sum(run.stats.cache_misses.values()))\n"
        )
        for attempt in range(2):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            solved, counts = done.stdout.splitlines()
            assert solved == "True True"
            assert counts in (("0 1", "1 0") if attempt == 0 else ("1 0",))

    def test_the_callback_is_called_after_every_iteration(self):
        def run(fun, **options):
            seen = []

            def callback(intermediate_result):
                seen.append((intermediate_result.x, intermediate_result.fun))
                if len(seen) == 40:
                    raise StopIteration

            return minimize(fun, X0, callback=callback, **options), seen

        (r, compiled), (q, python) = run(writing), run(writing, backend="numpy")
        assert_same_results(r, q)
        assert (r.status, r.nit, len(compiled)) == (99, 40, 40)
        for (x, f), (y, h) in zip(compiled, python, strict=True):
            assert same_bits(x, y)
            assert f == h == writing(x, np.zeros(3))

    def test_an_exception_of_the_objective_is_raised(self):
        @numba.njit
        def fun(x, g, limit):
            if x[0] > limit:
                raise ValueError("too far")
            g[:] = -1
            return -x[0]

        with pytest.raises(ValueError, match="^too far$"):
            minimize(fun, [1.0], args=(5.0,))
        assert minimize(fun, [1.0], args=(np.inf,), maxiter=5).nit == 5, "the next run does not raise it"

        @numba.njit
        def pair_value(x):
            return x[0] ** 2

        @numba.njit
        def pair_gradient(x):
            if x[0] < 0.5:
                raise ArithmeticError("no gradient")
            return 2 * x

        for backend in (None, "numpy"):
            with pytest.raises(ArithmeticError, match="^no gradient$"):
                minimize(pair_value, [1.0], jac=pair_gradient, backend=backend)

    @pytest.mark.exhaustive
    def test_an_exception_that_does_not_occur_again(self):
        @numba.njit
        def fun(x, g, calls):
            calls[0] += 1
            if calls[0] == 3:
                raise ValueError("once")
            g[:] = 2 * x
            return x[0] ** 2

        with pytest.raises(
            RuntimeError, match=r"raised an exception in compiled code at x = \[.*\], but not when"
        ):
            minimize(fun, [1.0], args=(np.zeros(1),))

    def test_ctrl_c_ends_the_run(self):
        def interrupt():
            time.sleep(0.3)
            _thread.interrupt_main()

        args = np.ones(5), np.zeros(5), np.inf
        minimize(rough, np.ones(5), args=args, maxiter=1)  # compiles: what is interrupted then may go on
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            minimize(rough, np.ones(5), args=args, gtol=0, xtol=0, maxiter=10**12)
        thread.join()

    def test_maxtime_ends_the_run(self):
        r = minimize(writing, X0, gtol=0, xtol=0, maxiter=10**12, maxtime=0.2)
        assert (r.status, r.success, r.message) == (5, False, "Maximum time has been exceeded.")
        assert r.nit > 100

    def test_maxtime_holds_when_evaluations_become_slower(self):
        @numba.njit
        def slower(x, g):
            f, z = 0.0, 0.0
            if x[0] < 0.9:  # some 10 ms
                for i in range(2_000_000):
                    z += np.sqrt(i * 1.0)
            for i in range(x.size):
                f += x[i] * x[i] + 1e-300 * z
                g[i] = 2 * x[i]
            return f

        small = {"lr": 1e-5, "step_sizes": (0, 1e-5), "gtol": 0, "xtol": 0, "pattern_every": None}
        r = minimize(slower, [1.5], maxtime=0.5, maxiter=62_000, **small)
        assert (r.status, r.nit > 59_000) == (5, True)

    def test_runs_in_several_threads(self):
        """Through the interface that the docstring of `compiled_objective` describes."""
        starts = np.random.default_rng(5).uniform(-2, 2, (16, 3))
        args = (np.ones(3), np.zeros(3), np.inf)
        compiled = recognize(rough, None, args, (3,), starts.dtype)
        constants = rule_constants(starts.dtype, (0.8, 1.1), (0, np.inf), False)

        def one(x0):
            state = begin(x0, (3,), None, None, constants, "irprop-", False, OPTIONS["pattern_every"])
            unused = dict.fromkeys(("maxfev", "xtol", "ftol", "f_target", "patience"))
            set_stopping_rules(state, maxiter=2000, gtol=1e-10, window=100, **unused)
            address, data, raised = compiled.bind()
            arrays = state.vectors, state.scalars, constants
            stop = np.zeros(1, np.int64)
            run = loop.kernel(RULES["irprop-"])
            status = run(address, data, raised, 1, *arrays, 10**6, stop, np.empty(3), np.empty(3))
            assert raised[0] == 0
            return status, state.vectors[record.BEST_X]

        with ThreadPoolExecutor(4) as pool:
            ends = list(pool.map(one, starts))
        for x0, (status, x) in zip(starts, ends, strict=True):
            r = minimize(rough, x0, args=args, maxiter=2000)
            assert r.status == status
            assert same_bits(r.x, x)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (
                {"fun": writing, "args": ([1.0],)},
                r"must be arrays, numbers, None, or tuples of them, but args\[0\] is",
            ),
            ({"fun": writing, "args": ("a",)}, r"args\[0\] is 'a' of type str"),
            ({"fun": writing, "args": (object(),)}, r"args\[0\] is <object"),
            ({"fun": writing, "args": (None,)}, "Numba cannot compile the objective writing for these arguments"),
            ({"fun": value, "jac": "autograd"}, "cannot look into a function that Numba has compiled; give"),
            ({"fun": c_function, "jac": gradient}, "a numba.cfunc writes its own gradient, so jac must be None"),
            ({"fun": c_function, "args": (1.0,)}, "can only be one contiguous array"),
            ({"fun": c_function, "x0": np.float32(X0)}, "takes doubles, but x0 has dtype float32"),
            (
                {"fun": numba.cfunc("float64(float64)")(lambda x: x)},
                r"a numba.cfunc must have the signature double \(int n, double \*x, double \*g, void \*data\), but",
            ),
            (
                {"fun": LowLevelCallable(numba.cfunc("float64(float64)")(lambda x: x).ctypes)},
                r"a LowLevelCallable must have the signature .* but has double \(double\)",
            ),
            ({"fun": LowLevelCallable(c_function.ctypes), "args": (1,)}, "takes no args; give it data by"),
            ({"fun": LowLevelCallable(c_function.ctypes), "jac": "cs"}, "writes its own gradient, so jac must be"),
            (
                {"fun": writing, "jac": "2-point"},
                r"a function fun\(x, g, \*args\) writes its own gradient, so jac must be",
            ),
            ({"fun": writing, "x0": np.float16(X0)}, "takes float32 or float64, but x0 has dtype float16"),
            (
                {"fun": writing, "x0": np.float16(X0), "jac": False},
                "writes its own gradient, so jac must be None or",
            ),
        ],
    )
    def test_an_objective_that_cannot_be_called_is_refused(self, arguments, text):
        with pytest.raises(TypeError, match=text):
            minimize(**{"x0": X0, **arguments})

    def test_a_gradient_of_another_shape_is_refused(self):
        @numba.njit
        def both(x):
            return 1.0, np.ones(2)

        @numba.njit
        def jac(x):
            return np.ones(2)

        for fun, gradient in ((both, True), (value, jac)):
            for backend in (None, "numpy"):
                with pytest.raises(ValueError, match=r"shape of x0, which is \(3,\), but has shape \(2,\)"):
                    minimize(fun, X0, jac=gradient, backend=backend)

    def test_a_problem_without_variables(self):
        r = minimize(c_function, np.zeros(0))
        assert (r.fun, r.success) == (0.0, True)


class TestTheUsersFunctions:
    """They are compiled with their own options, not with those of the functions that call them."""

    @pytest.mark.parametrize("form", sampled(["writing", "returning", "pair"], ["writing"]))
    def test_division_by_zero_raises_in_a_function_that_was_not_called_before(self, form):
        @numba.njit
        def writing(x, g):
            g[0] = -1.0
            return -x[0] + 0 * (1 / min(x[0] - 1.25, 0.0))

        @numba.njit
        def returning(x):
            return -x[0] + 0 * (1 / min(x[0] - 1.25, 0.0)), -np.ones(1)

        @numba.njit
        def value(x):
            return -x[0] + 0 * (1 / min(x[0] - 1.25, 0.0))

        @numba.njit
        def gradient(x):
            return -np.ones(1)

        options = {
            "writing": {"fun": writing},
            "returning": {"fun": returning},
            "pair": {"fun": value, "jac": gradient},
        }[form]
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                minimize(x0=[1.0], **options)
        fun = options["fun"]
        with pytest.raises(ZeroDivisionError):
            fun(*([np.array([2.0]), np.zeros(1)] if form == "writing" else [np.array([2.0])]))


def test_a_shape_alone_is_packed_as_machine_code_would_write_it():
    shape = (3, 2)
    written = np.zeros(objective._size_of((shape, ())) // 8, np.int64)
    objective._write((shape, ()), written.ctypes.data)
    assert objective.pack(shape, ())[: written.size].tolist() == written.tolist() == [*shape]
