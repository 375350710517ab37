"""`minimize_many`, `starts` and `distinct_minima`."""

from __future__ import annotations

import concurrent.futures
import multiprocessing.dummy
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import problems
import pytest
from cases import sampled
from scipy.optimize import Bounds, OptimizeResult, OptimizeWarning

import rprop_ref
from rprop_ref import distinct_minima, minimize, minimize_many, starts
from rprop_ref._common.workers import LARGEST_PIECE, pieces
from rprop_ref.bits import same_bits

FIELDS = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "success")


def himmelblau(x):
    """With its gradient, and at the top level, so that it can be sent to processes."""
    return problems.himmelblau(x), problems.himmelblau_der(x)


def fragile(x, limit):
    """Raises to the right of a limit."""
    if x[0] > limit:
        raise ArithmeticError(f"{x[0]} is too far")
    return problems.himmelblau(x), problems.himmelblau_der(x)


def over_two_processes(fun, x0s, **kwargs):
    return minimize_many(fun, x0s, workers=2, **kwargs)


def over_threads(fun, x0s, **kwargs):
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        return minimize_many(fun, x0s, workers=executor, **kwargs)


def over_a_pool(fun, x0s, **kwargs):
    with multiprocessing.dummy.Pool(2) as pool:
        return minimize_many(fun, x0s, workers=pool.imap, **kwargs)


WAYS = {
    "here": minimize_many,
    "processes": over_two_processes,
    "threads": over_threads,
    "a pool's imap": over_a_pool,
    "map": lambda fun, x0s, **kwargs: minimize_many(fun, x0s, workers=map, **kwargs),
}


def check_rows(result, expected):
    """Every row equals the result of a single run, to the bit."""
    for i, row in enumerate(expected):
        for name in FIELDS:
            assert same_bits(np.asarray(result[name][i], float), np.asarray(row[name], float)), (i, name)
        assert result["message"][i] == row["message"]


class TestRows:
    @pytest.mark.parametrize("way", sampled(WAYS, [way for way in WAYS if way != "processes"]))
    def test_each_equals_a_single_run_wherever_it_is_run(self, way):
        x0s = starts([(-5, 5)] * 2, 40, seed=3)
        result = WAYS[way](himmelblau, x0s, jac=True, maxiter=300)
        expected = [minimize(himmelblau, x0, jac=True, maxiter=300) for x0 in x0s]
        check_rows(result, expected)
        best = min(range(40), key=lambda i: expected[i].fun)
        assert result.best.index == best
        assert result.best.fun == expected[best].fun
        assert same_bits(result.best.x, expected[best].x)

    def test_columns_have_the_right_types_and_shapes(self):
        x0s = np.array([[3.0, 2.0, 1.0], [0.0, 1.0, -1.0]], np.float32)
        before = x0s.copy()
        result = minimize_many(problems.sphere, x0s, jac=problems.sphere_der)
        assert isinstance(result, OptimizeResult)
        assert result.x.shape == result.jac.shape == (2, 3)
        assert result.x.dtype == result.jac.dtype == np.float32
        assert result.fun.dtype == np.float64
        assert result.success.dtype == bool
        assert all(result[k].shape == (2,) and result[k].dtype == np.int64 for k in ("nit", "nfev", "status"))
        assert len(result.message) == 2
        assert same_bits(x0s, before)

    def test_lists_of_integers_with_args_and_finite_differences(self):
        result = minimize_many(
            lambda x, a: float(((x - a) ** 2).sum()), [[3, 4], [5, 6]], args=2, gradient="3-point"
        )
        np.testing.assert_allclose(result.x, 2, atol=1e-5)

    @pytest.mark.parametrize("way", ["here", "processes"])
    def test_a_start_that_raises_is_reported_and_the_others_finish(self, way):
        x0s = starts([(-3, 3)] * 2, 12, seed=0)
        x0s[[2, 7], 0] = 9.0, 10.0
        result = WAYS[way](fragile, x0s, args=(8.0,), jac=True)
        assert result.message[2] == "ArithmeticError: 9.0 is too far"
        failed = result.status == 100
        assert failed.nonzero()[0].tolist() == [2, 7]
        assert not result.success[failed].any()
        assert result.success[~failed].all()
        assert np.isnan(result.fun[failed]).all()
        assert same_bits(result.x[failed], x0s[failed])
        assert result.best.index not in (2, 7)

    def test_all_starts_may_fail(self):
        with pytest.warns(RuntimeWarning, match="at every start; at the first: ArithmeticError: 9.0 is too far"):
            result = minimize_many(fragile, [[9.0, 1.0], [10.0, 1.0]], args=(8.0,), jac=True)
        assert result.status.tolist() == [100, 100]
        assert result.best.index == 0
        assert np.isnan(result.best.fun)


class TestCallback:
    def test_the_callback_gets_each_result_in_order(self):
        seen = []
        x0s = starts([(-5, 5)] * 2, 9, seed=1)
        result = over_threads(himmelblau, x0s, jac=True, callback=seen.append)
        assert [r.index for r in seen] == list(range(9))
        check_rows(result, seen)

    @pytest.mark.parametrize("way", ["here", "threads"])
    def test_stop_iteration_ends_the_run(self, way):
        def stop(result):
            if result.index == 3:
                raise StopIteration

        x0s = starts([(-5, 5)] * 2, 9, seed=1)
        result = WAYS[way](himmelblau, x0s, jac=True, callback=stop)
        assert result.status.tolist() == [0] * 4 + [99] * 5
        assert "StopIteration" in result.message[4]
        assert same_bits(result.x[4:], x0s[4:])
        assert result.nfev[4:].tolist() == [0] * 5

    def test_other_exceptions_are_raised(self):
        with pytest.raises(KeyError):
            minimize_many(himmelblau, [[1.0, 2.0]], jac=True, callback=lambda r: {}["nothing"])


class TestRefusals:
    @pytest.mark.parametrize("x0s", [[1.0, 2.0], 3.0])
    def test_a_single_start_is_refused(self, x0s):
        with pytest.raises(ValueError, match="for a single start use minimize"):
            minimize_many(himmelblau, x0s)

    def test_no_start_is_refused(self):
        with pytest.raises(ValueError, match="at least one start"):
            minimize_many(himmelblau, np.zeros((0, 2)))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"etas": (2, 3)}, "Invalid eta"),
            ({"variant": "adam"}, "Invalid variant"),
            ({"lr": [1.0, 2.0, 3.0]}, "lr must be"),
            ({"maxiter": -1}, "maxiter must be"),
            ({"jac": "forward"}, "Invalid jac"),
            ({"jac": 5}, "Invalid jac: 5"),
            ({"return_all": True}, "return_all is for a single run"),
            ({"checkpoint": "file"}, "checkpoint is for a single run"),
        ],
    )
    def test_bad_options_are_refused_before_anything_is_run(self, options, message):
        def never(x):
            raise AssertionError("should not be called")

        with pytest.raises(ValueError, match=message):
            minimize_many(never, [[1.0, 2.0]], **{"jac": True, **options})

    def test_an_unknown_option_warns_once_at_the_users_line(self):
        with pytest.warns(OptimizeWarning, match="Unknown solver options: foo") as caught:
            minimize_many(himmelblau, [[1.0, 2.0], [2.0, 3.0]], jac=True, foo=1)
        assert [w.filename for w in caught] == [__file__]

    @pytest.mark.parametrize("workers", [None, "two", 2.0, True])
    def test_workers_of_another_kind_are_refused(self, workers):
        with pytest.raises(TypeError, match="workers must be a number of processes"):
            minimize_many(himmelblau, [[1.0, 2.0]], jac=True, workers=workers)

    def test_gradient_and_jac_together_are_refused(self):
        with pytest.raises(ValueError, match="gradient and jac each say where gradients come from"):
            minimize_many(himmelblau, [[1.0, 2.0]], jac=True, gradient="cs")

    def test_a_callback_that_cannot_be_called_is_refused(self):
        with pytest.raises(TypeError, match="callback must be callable, but is 5"):
            minimize_many(himmelblau, [[1.0, 2.0]], jac=True, callback=5)

    @pytest.mark.parametrize("workers", [0, -2])
    def test_too_few_workers_are_refused(self, workers):
        with pytest.raises(ValueError, match="at least 1, or -1"):
            minimize_many(himmelblau, [[1.0, 2.0]], jac=True, workers=workers)

    def test_an_objective_that_cannot_be_sent_is_refused(self):
        with pytest.raises(TypeError, match="at the top level of a module, or run them in threads"):
            minimize_many(lambda x: float(x @ x), np.ones((5, 2)), workers=2)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_start_without_a_finite_value_is_not_the_best(sign):
    def fun(x):
        return sign * (float(x @ x) - (np.inf if x[0] == 0 else 0)), sign * 2 * x

    result = minimize_many(fun, [[0.0, 1.0], [1.5, 1.0]], jac=True, maximize=sign < 0)
    assert result.fun[0] == -sign * np.inf
    assert (result.best.index, result.best.success) == (1, True)


def test_disp_counts_the_messages(capsys):
    minimize_many(fragile, [[9.0, 1.0], [1.0, 1.0], [2.0, 1.0]], args=(8.0,), jac=True, disp=True)
    printed = capsys.readouterr().out
    assert "        2  Optimization terminated successfully.\n" in printed
    assert "        1  ArithmeticError: 9.0 is too far\n" in printed


def test_pieces_cover_all_starts_in_order():
    for m in (1, 2, 31, 33, 100, 5000):
        cut = pieces(m)
        assert [i for piece in cut for i in range(m)[piece]] == list(range(m))
        assert max(len(range(m)[piece]) for piece in cut) <= LARGEST_PIECE


def script(folder, text):
    file = folder / "script.py"
    file.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(Path(rprop_ref.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, file], env=environment, capture_output=True, text=True, timeout=100, check=False
    )


_AFTER_OPENMP = """
import numpy as np
from numba_kernels import flat
from rprop_ref import minimize_many
from rprop_ref._core.constants import rule_constants

def in_parallel():
    constants = rule_constants(np.dtype(float), (0.5, 1.2), (0, 1), False)
    flat.kernel("irprop-", True)(*np.ones((4, 100_000)), constants, False)

def fun(x):
    in_parallel()
    return x @ x, 2 * x

if __name__ == "__main__":
    in_parallel()
    print(minimize_many(fun, np.ones((8, 3)), jac=True, maxiter=30, workers=2).fun.max() < 0.1)
"""


@pytest.mark.exhaustive
def test_processes_after_openmp_has_run_do_not_hang(tmp_path):
    """Forked processes would: a child has no threads of OpenMP. Parallel code is run here and in the processes."""
    done = script(tmp_path, _AFTER_OPENMP)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


@pytest.mark.exhaustive
def test_the_error_in_a_script_without_a_guard_names_the_guard(tmp_path):
    done = script(
        tmp_path,
        "from rprop_ref import minimize_many\n"
        "def fun(x):\n"
        "    return float(x @ x), 2 * x\n"
        "minimize_many(fun, [[1.0, 2.0]] * 4, jac=True, workers=2)\n",
    )
    assert done.returncode != 0
    assert "if __name__ == '__main__':" in done.stderr.splitlines()[-1]


class TestStarts:
    def test_they_fill_the_bounds_evenly(self):
        x0s = starts([(-1, 1), (10, 1000), (2, 2)], 64, seed=5)
        assert x0s.shape == (64, 3)
        assert (x0s[:, 2] == 2).all()
        for column, (low, high) in zip(x0s.T[:2], [(-1, 1), (10, 1000)], strict=True):
            cells = np.floor((column - low) / (high - low) * 64).astype(int)
            assert sorted(cells) == list(range(64)), "one in each of 64 equal cells"

    def test_fewer_starts_are_the_first_of_more(self):
        many = starts([(0, 1)] * 2, 100, seed=5)
        assert same_bits(starts([(0, 1)] * 2, 7, seed=5)[:4], many[:4])
        assert not np.array_equal(starts([(0, 1)] * 2, 100, seed=6), many)
        for m in (0, 1, 2, 3):
            assert starts([(0, 1)], m, seed=1).shape == (m, 1)

    def test_bounds_may_be_scipys(self):
        pairs = starts([(0, 1), (0, 2)], 8, seed=1)
        assert same_bits(starts(Bounds(0, [1, 2]), 8, seed=1), pairs)
        assert same_bits(starts(Bounds([0, 0], [1, 2]), 8, seed=1), pairs)

    def test_bounds_may_be_far_apart(self):
        top = np.finfo(float).max
        x0s = starts([(-top, top)], 16, seed=1)
        assert np.isfinite(x0s).all()

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            ([(0, 1), (0, None)], r"finite bounds, but those of variable 1 are \(0.0, None\)"),
            ([(0, np.inf)], "finite bounds"),
            ([(1, 0)], "above the upper one"),
            ([(1, 0, 2)], "must be pairs"),
            (5, "must be pairs"),
            ([(0, "a")], "must be pairs"),
            (Bounds([0, -np.inf], 1), "finite bounds, but those of variable 1"),
        ],
    )
    def test_bad_bounds_are_refused(self, bounds, message):
        with pytest.raises(ValueError, match=message):
            starts(bounds, 4)

    @pytest.mark.parametrize("m", [-1, 1.5, True])
    def test_the_number_of_starts_must_be_a_whole_number(self, m):
        with pytest.raises(ValueError, match="m must be a whole number"):
            starts([(0, 1)], m)


def naive_minima(result, tol):
    """`distinct_minima` as loops over all pairs: in the order of values, each point absorbs those near it."""
    order = sorted((i for i in range(len(result.fun)) if result.success[i]), key=lambda i: (result.fun[i], i))
    groups = []
    for i in order:
        for group in groups:
            first = result.x[group[0]]
            if all(abs(a - b) <= tol * max(1.0, abs(b)) for a, b in zip(result.x[i], first, strict=True)):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


class TestDistinctMinima:
    def test_himmelblaus_function_has_four(self):
        result = minimize_many(himmelblau, starts([(-5, 5)] * 2, 60, seed=3), jac=True)
        minima = distinct_minima(result)
        assert minima.x.shape == (4, 2)
        assert minima.count.sum() == result.success.sum() == 60
        known = [[3, 2], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]]
        np.testing.assert_allclose(sorted(minima.x.tolist()), sorted(known), rtol=1e-6)
        assert same_bits(minima.x, result.x[minima.index])
        assert same_bits(minima.fun, result.fun[minima.index])
        assert (np.diff(minima.fun) >= 0).all()

    @pytest.mark.parametrize("tol", [0.0, 0.05, 0.3])
    def test_it_agrees_with_loops_over_all_pairs(self, tol, rng):
        m = 60
        result = OptimizeResult(
            x=rng.integers(-8, 8, (m, 2)) / 10,
            fun=rng.integers(0, 9, m).astype(float),
            success=rng.random(m) < 0.8,
        )
        groups = naive_minima(result, tol)
        minima = distinct_minima(result, tol)
        assert minima.index.tolist() == [group[0] for group in groups]
        assert minima.count.tolist() == [len(group) for group in groups]
        best = distinct_minima(result, tol, 3)
        assert best.index.tolist() == minima.index.tolist()[:3]

    def test_runs_without_success_are_left_out_and_never_those_without_a_value(self):
        result = OptimizeResult(
            x=np.zeros((4, 1)),
            fun=np.array([np.nan, 1.0, 0.5, np.inf]),
            success=np.array([False, True, False, False]),
        )
        assert distinct_minima(result).index.tolist() == [1]
        everything = distinct_minima(result, all_runs=True)
        assert (everything.index.tolist(), everything.count.tolist()) == ([2], [2])

    def test_bad_arguments_are_refused(self):
        single = minimize(himmelblau, [1.0, 2.0], jac=True)
        with pytest.raises(
            ValueError, match="result must be a result of minimize_many, but this one is of a single"
        ):
            distinct_minima(single)
        many = minimize_many(himmelblau, [[1.0, 2.0]], jac=True)
        with pytest.raises(ValueError, match="tol must be a number, at least 0, but is -1"):
            distinct_minima(many, tol=-1)
        with pytest.raises(ValueError, match="k must be a whole number, at least 0, but is 1.5"):
            distinct_minima(many, k=1.5)
        with pytest.raises(ValueError, match="k must be a whole number, at least 0, but is True"):
            distinct_minima(many, k=True)

    def test_there_may_be_none(self):
        result = OptimizeResult(x=np.zeros((2, 3)), fun=np.full(2, np.nan), success=np.zeros(2, bool))
        with pytest.warns(OptimizeWarning, match="lists nothing, since no value is finite"):
            minima = distinct_minima(result, all_runs=True)
        assert minima.x.shape == (0, 3)
        assert minima.count.shape == (0,)

    def test_a_warning_says_why_there_are_none(self):
        result = minimize_many(himmelblau, [[1.0, 2.0], [3.0, -1.0]], jac=True, maxiter=3)
        text = (
            "distinct_minima lists nothing, since no run ended with success; all_runs=True lists where they ended. "
            "2 of 2 runs: Maximum number of iterations has been exceeded."
        )
        with pytest.warns(OptimizeWarning, match=f"^{re.escape(text)}$") as warned:
            assert distinct_minima(result).fun.shape == (0,)
        assert warned[0].filename == __file__
        assert distinct_minima(result, all_runs=True).fun.shape == (2,)


def test_constraints_are_refused():
    with pytest.raises(ValueError, match="does not support constraints"):
        minimize_many(lambda x: x @ x, np.ones((2, 2)), constraints=[{"type": "eq"}])
    assert minimize_many(lambda x: x @ x, np.ones((2, 2)), constraints=()).success.all()


@pytest.mark.exhaustive
def test_objectives_for_the_cpu_still_run_after_numba_cuda_is_imported():
    code = """
import numba.cuda
import numpy as np
from rprop_ref import minimize_many
print(minimize_many(lambda x: x @ x, np.ones((2, 2)), jac=lambda x: 2 * x).success.all())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
