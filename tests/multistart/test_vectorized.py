"""`minimize_many` with objectives in machine code: each row equals a single run, to the bit."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from typing import Any, ClassVar

import cases
import numba
import numpy as np
import pytest
from numba import float64, types
from test_minimize_many import check_rows, script

from numba_kernels import batched_objective, lanes, objective
from rprop_ref import minimize, minimize_many, starts
from rprop_ref._common import workers
from rprop_ref._multistart import vectorized
from rprop_ref.rules import RULES


@numba.njit
def rosenbrock(x, g):
    f = 0 * x[0]
    for i in range(x.size - 1):
        a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
        f += 100 * a * a + b * b
        g[i] -= 400 * a * x[i] + 2 * b
        g[i + 1] += 200 * a
    return f


@numba.njit(error_model="numpy")
def half_plane(x, g, shift):
    """Not finite where x[0] <= shift: a run that steps there has to retreat."""
    d = x[0] - shift
    g[0] = 1 - 1 / (d * d) if d > 0 else np.nan
    g[1] = 2 * x[1]
    return d + 1 / d + x[1] * x[1] if d > 0 else np.inf


@numba.njit
def waves(x, g):
    """Calls functions that are not plain arithmetic."""
    f = 0 * x[0]
    for i in range(x.size):
        f += np.cos(3 * x[i]) + 0.1 * x[i] ** 2
        g[i] = -3 * np.sin(3 * x[i]) + 0.2 * x[i]
    return f


@numba.njit
def corner(x, g):
    """Some steps lead nowhere, since every coordinate makes the same steps."""
    f = 0 * x[0]
    for i in range(x.size):
        f += abs(x[i] - 1)
        g[i] = 1 if x[i] > 1 else -1
    return f


@numba.njit
def fragile(x, g):
    if x[0] > 8:
        raise ArithmeticError("too far")
    g[0] = 2 * x[0]
    g[1] = 2 * x[1]
    return x[0] * x[0] + x[1] * x[1]


@numba.njit
def ellipsoid(x, g):
    f = 0.0
    for i in range(x.size):
        w = 1e-3 ** (i / (x.size - 1))
        f += w * x[i] * x[i]
        g[i] = 2 * w * x[i]
    return f


@numba.cfunc(float64(types.intc, types.CPointer(float64), types.CPointer(float64), types.voidptr), cache=True)
def bowl(n, x, g, data):
    f = 0.0
    for i in range(n):
        f += (x[i] - i) ** 2
        g[i] = 2 * (x[i] - i)
    return f


#: name: (fun, n, args, options)
OBJECTIVES = {
    "plain arithmetic": (rosenbrock, 2, (), {}),
    "three variables": (rosenbrock, 3, (), {"maxiter": 700}),
    "retreating": (half_plane, 2, (0.5,), {"lr": 2.0}),
    "retreating, with pattern moves": (half_plane, 2, (0.5,), {"lr": 2.0, "pattern_every": 2}),
    "cosines": (waves, 2, (), {"gtol": 1e-6}),
    "staying": (corner, 1, (), {"etas": (0.5, 1.2)}),
    "a C function": (bowl, 4, (), {}),
    "many variables": (rosenbrock, lanes.MAX_VARIABLES + 1, (), {"maxiter": 50}),
}


@pytest.fixture(params=[False, True], ids=["one by one", "in blocks"])
def blocks(request, monkeypatch):
    """Whether objectives are evaluated in all lanes at once."""
    monkeypatch.setattr(vectorized, "COMPILE_FROM", 1 if request.param else 10**9)
    return request.param


def singles(fun, x0s, **kwargs):
    return [minimize(fun, x0, **kwargs) for x0 in x0s]


@pytest.mark.parametrize("name", cases.sampled(OBJECTIVES, [name for name in OBJECTIVES if name != "staying"]))
def test_rows_equal_single_runs(name, blocks):
    fun, n, args, options = OBJECTIVES[name]
    x0s = starts([(-3, 3)] * n, 150, seed=2)
    expected = singles(fun, x0s, args=args, **options)
    if "retreating" in name:
        assert {0, 3} <= {r.status for r in expected}
    if name == "staying":
        assert any(r.nfev < r.nit for r in expected)
    for threads in (1, 3):
        check_rows(minimize_many(fun, x0s, args=args, workers=threads, **options), expected)


# No other kernel takes as long to compile. Without ALL=1: the default rule in both precisions, one rule that takes moves
# back, and one that reads the loss.
RULES_AND_DTYPES = cases.rules_and_dtypes() if os.environ.get("ALL") else cases.rules_and_dtypes()[:4]


@pytest.mark.parametrize(("variant", "dtype"), RULES_AND_DTYPES)
def test_rows_equal_single_runs_for_every_rule_and_dtype(variant, dtype, blocks):
    x0s = starts([(-2, 2)] * 2, 130, seed=4).astype(dtype)
    options = {"variant": variant, "maxiter": 400, "etas": (0.5, 1.2)}
    result = minimize_many(rosenbrock, x0s, **options)
    assert result.x.dtype == dtype
    check_rows(result, singles(rosenbrock, x0s, **options))


OPTIONS_OF_ROWS: list[dict[str, Any]] = [
    {"pattern_every": 3},
    {"pattern_every": 3, "lr": [1e-9, 0.5], "maxiter": 100},  # pattern moves lift the small step sizes
    {"pattern_every": 2, "maxfev": 60},
    {"maximize": True, "maxiter": 5},
    {"bounds": [(-1, 0.5), (None, 2)]},
    {"ftol": 1e-3, "window": 7},
    {"f_target": 0.1},
    {"patience": 4},
    {"maxfev": 60},
    {"maxiter": 0},
    {"maxiter": 1},
    {"lr": [0.5, 0.1], "step_sizes": (1e-3, 0.6)},
    {"xtol": 1e-4},
    {"gtol": 0.0, "xtol": 0.0, "maxiter": 300},
    {"lr": 0.0},
    {"lr": 1e-300},
    {"maxtime": 1000, "maxiter": 100},
    {"pattern_every": 3, "bounds": [(-1, 0.5), (None, 2)]},
]


@pytest.mark.parametrize("options", cases.sampled(OPTIONS_OF_ROWS, OPTIONS_OF_ROWS[:7]), ids=str)
@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
def test_rows_equal_single_runs_for_every_option(options, blocks):
    x0s = starts([(-2, 2)] * 2, 90, seed=4)
    x0s[3] = 0
    check_rows(minimize_many(rosenbrock, x0s, **options), singles(rosenbrock, x0s, **options))


@pytest.mark.parametrize("m", [1, 3, 64, 65, 200])
@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_bits_do_not_depend_on_how_runs_are_grouped(m, piece, monkeypatch):
    monkeypatch.setattr(workers, "LARGEST_PIECE_OF_MACHINE_CODE", piece)
    x0s = starts([(-2, 2)] * 2, 200, seed=4)
    check_rows(minimize_many(rosenbrock, x0s[:m], workers=2), singles(rosenbrock, x0s[:m]))


def test_a_start_that_raises_is_reported_and_the_others_finish(blocks):
    x0s = starts([(-3, 3)] * 2, 80, seed=0)
    x0s[[2, 70], 0] = 9.0, 10.0
    result = minimize_many(fragile, x0s)
    failed = result.status == 100
    assert failed.nonzero()[0].tolist() == [2, 70]
    assert result.message[70] == "ArithmeticError: too far"
    assert np.isnan(result.fun[failed]).all()
    assert (result.x[failed] == x0s[failed]).all()
    rest = np.flatnonzero(~failed)
    check_rows(
        {k: ([v[i] for i in rest] if k == "message" else v[rest]) for k, v in result.items() if k in LISTED},
        singles(fragile, x0s[rest]),
    )


LISTED = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message")


@pytest.mark.exhaustive
def test_a_parallel_objective_is_called_by_one_thread():
    """Numba's workqueue ends the process if two threads enter parallel code at once."""
    code = (
        "import numba, numpy as np\n"
        "from rprop_ref import minimize_many\n"
        "@numba.njit(parallel=True)\n"
        "def fun(x, g):\n"
        "    for i in numba.prange(x.size):\n"
        "        g[i] = 2 * x[i]\n"
        "    return (g * g).sum() / 4\n"
        "print(minimize_many(fun, np.ones((300, 4)), workers=2, maxiter=30).fun.max() < 1, numba.threading_layer())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["True", "workqueue"], done.stderr


def test_x_may_have_any_shape():
    @numba.njit
    def fun(x):
        return (x * x).sum(), 2 * x

    x0s = np.arange(24.0).reshape(4, 2, 3)
    result = minimize_many(fun, x0s)
    assert result.x.shape == result.jac.shape == (4, 2, 3)
    check_rows(result, singles(fun, x0s))


def test_executors_run_machine_code_too():
    x0s = starts([(-2, 2)] * 2, 70, seed=4)
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        check_rows(minimize_many(rosenbrock, x0s, workers=executor), singles(rosenbrock, x0s))


def test_callback_and_progress_work(capsys):
    x0s = starts([(-2, 2)] * 2, 200, seed=4)
    seen = []

    def callback(result):
        seen.append(result.index)
        if len(seen) == 100:
            raise StopIteration

    result = minimize_many(rosenbrock, x0s, callback=callback, progress=True, maxiter=100)
    assert seen == list(range(100))
    assert result.status[100:].tolist() == [99] * 100
    check_rows({k: v[:100] for k, v in result.items() if k in LISTED}, singles(rosenbrock, x0s[:100], maxiter=100))
    minimize_many(rosenbrock, x0s, progress=True, maxiter=100)
    assert "200/200" in capsys.readouterr().err


#: Rules whose kernels are compiled for the test above.
COMPILED = list(RULES) if os.environ.get("ALL") else ["irprop-", "rprop+", "irprop+"]


class TestSharksTest:
    """The test of Rprop in Shark, the library of the authors of iRprop: the median of 100 values is below 1e-15."""

    options: ClassVar = {"lr": 0.01, "etas": (0.5, 1.2), "step_sizes": (0.0, 1e100), "gtol": 0.0, "xtol": 0.0}

    @pytest.mark.parametrize("variant", cases.sampled(COMPILED, ["irprop-"]))
    def test_the_ellipsoid_is_minimized(self, variant, rng):
        result = minimize_many(ellipsoid, rng.random((100, 5)), maxiter=1000, variant=variant, **self.options)
        assert np.median(result.fun) < 1e-15

    @pytest.mark.parametrize("variant", cases.sampled(["irprop+", "irprop-"], ["irprop-"]))
    def test_rosenbrocks_function_is_minimized(self, variant, rng):
        result = minimize_many(rosenbrock, rng.random((100, 5)), maxiter=100_000, variant=variant, **self.options)
        assert np.median(result.fun) < 1e-15


def is_plain(fun, *args, n=2):
    return batched_objective.batched(fun, objective.kind_of((n,), args), n, float) is not None


def test_only_plain_arithmetic_is_compiled_for_a_number_of_variables():
    """The bits of other objectives could change."""

    @numba.njit
    def power(x, g):
        return x[0] ** (x.size - 0.5)

    @numba.njit
    def division(x, g):
        return 1 / x[0]

    @numba.njit(error_model="numpy")
    def safe_division(x, g):
        return 1 / x[0]

    @numba.njit(fastmath=True)
    def fast(x, g):
        return x[0] * x[1]

    @numba.njit
    def through_others(x, g):
        return x[0] + waves(x, g)

    @numba.njit
    def data(x, g, a, b):
        return a * x[0] + np.sqrt(abs(b[0] * x[1]))

    assert is_plain(rosenbrock)
    assert is_plain(rosenbrock, n=10)
    assert is_plain(safe_division)
    assert is_plain(data, 2.0, np.ones(3))
    assert not is_plain(power)
    assert not is_plain(division), "it may raise ZeroDivisionError"
    assert not is_plain(fast)
    assert not is_plain(through_others)
    assert not is_plain(rosenbrock, n=lanes.MAX_VARIABLES + 1)


_ENDLESS = """
import numba, numpy as np
from rprop_ref import minimize_many
@numba.njit
def fun(x, g):
    g[0] = 1.0
    return x[0]
def run(**options):
    minimize_many(fun, np.ones((1000, 1)), gtol=0, xtol=0, step_sizes=(1e-9, 1e-9), workers=2, **options)
run(maxiter=1)  # compile everything before Ctrl-C: LLVM's callbacks swallow a KeyboardInterrupt
print("go", flush=True)
run(maxiter=10**12)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_all_threads(tmp_path):
    file = tmp_path / "endless.py"
    file.write_text(_ENDLESS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, file], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout.readline() == "go\n"
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


_FORK = """
import multiprocessing, numba, numpy as np
from rprop_ref import minimize_many
@numba.njit
def fun(x, g):
    g[0] = 2 * x[0]
    return x[0] * x[0]
def child():
    print(minimize_many(fun, np.ones((500, 1)), workers=2).success.all(), flush=True)
child()
process = multiprocessing.get_context("fork").Process(target=child)
process.start(); process.join(60)
print(process.exitcode)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_can_run_it_again(tmp_path):
    assert script(tmp_path, _FORK).stdout.split() == ["True", "True", "0"]
