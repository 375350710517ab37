"""Runs of `minimize` as a whole: when they end, how they are continued, and what they show."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import killed
import numpy as np
import problems
import pytest
import scipy
import scipy.optimize
from cases import sampled
from curved_valley import in_python, rosenbrock
from scipy.optimize import OptimizeResult

from numba_kernels import flat
from rprop_ref import Parameter, Rprop, minimize, save_checkpoint
from rprop_ref._common import npz
from rprop_ref._core import record
from rprop_ref._core.stopping import SETTLING_STEPS
from rprop_ref._minimizer import progress
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

X0 = np.array([-1.2, 1.0, 0.3])

#: How many runs are killed; `make fuzz` sets it to 100.
KILLS = int(os.environ.get("KILLED_RUNS", "5"))

OPTIONS = (
    record.MAXITER,
    record.MAXFEV,
    record.GTOL,
    record.XTOL,
    record.FTOL,
    record.WINDOW,
    record.F_TARGET,
    record.PATIENCE,
)


def barred(x):
    """Not finite beyond a point on the way to the minimum."""
    f, g = in_python(x)
    return (f if x[0] < 0.4 else np.nan), g


def assert_same_ends(a, b):
    for name in ("fun", "x", "jac", "step_size", "prev"):
        assert same_bits(np.asarray(a[name]), np.asarray(b[name])), name
    assert same_bits(a.state.vectors, b.state.vectors)
    others = np.setdiff1d(np.arange(record.ENTRIES), OPTIONS)
    assert same_bits(a.state.scalars[others], b.state.scalars[others])


class TestStoppingRules:
    def test_the_status_is_a_plain_number_also_where_a_clock_or_a_callback_ends_the_run(self):
        def stop(x):
            raise StopIteration

        for options in ({"maxtime": 0.0}, {"callback": stop}, {"maxiter": 3}):
            assert type(minimize(problems.sphere, [1.0, 2.0], **options).status) is int

    @pytest.mark.parametrize("fun", [rosenbrock, in_python])
    def test_maxfev_ends_the_run(self, fun):
        jac = None if fun is rosenbrock else True
        for limit in (1, 2, 50):
            r = minimize(fun, X0, jac=jac, maxfev=limit)
            assert (r.status, r.success, r.nfev) == (4, False, limit)
            assert r.message == "Maximum number of function evaluations has been exceeded."
        r = minimize(problems.sphere, [3.0, 1.0, 2.0], maxfev=10)
        assert r.nfev in (12, 16), "finite differences count, and a gradient is completed"

    def test_maxfev_holds_where_the_objective_is_not_finite(self):
        r = minimize(lambda x: (0.0 if x[0] == 1 else np.nan, np.ones(1)), [1.0], jac=True, maxfev=7)
        assert (r.status, r.nfev, r.x[0]) == (4, 7, 1)

    def test_a_retreat_that_maxfev_interrupts_costs_no_evaluation_when_it_goes_on(self):
        options = {"jac": True, "lr": 0.5, "etas": (0.5, 2.0), "gtol": 0, "xtol": 0}
        whole = minimize(barred, X0, maxiter=30, **options)
        assert whole.nfev > whole.nit + 10
        for limit in range(1, whole.nfev):
            first = minimize(barred, X0, maxfev=limit, **options)
            second = minimize(barred, X0, warm_start=first, maxiter=30 - first.nit, **options)
            assert_same_ends(second, whole)
            assert first.nfev + second.nfev == whole.nfev

    def test_f_target_ends_the_run(self):
        for sign in (1, -1):
            seen = []

            def callback(intermediate_result):
                seen.append(intermediate_result.fun)  # noqa: B023

            r = minimize(
                lambda x, s=sign: s * problems.sphere(x),
                [3.0],
                jac=lambda x, s=sign: s * problems.sphere_der(x),
                f_target=sign * 0.5,
                maximize=sign < 0,
                callback=callback,
            )
            assert (r.status, r.success) == (0, True)
            assert sign * r.fun <= 0.5
            assert all(sign * f > 0.5 for f in seen[:-1])
            assert seen[-1] == r.fun

    def test_ftol_compares_values_that_are_a_window_apart(self):
        values = [10.0 * 0.5**k for k in range(20)] + [1e-5] * 30
        for window, nit in ((5, 25), (10, 30), (30, 60)):
            given = itertools.chain(values, itertools.repeat(1e-5))
            r = minimize(
                lambda x, given=given: (next(given), np.full(1, 1e-9)),
                [1.0],
                jac=True,
                ftol=1e-6,
                window=window,
                maxiter=70,
            )
            assert (r.status, r.success, r.nit) == (0, True, nit if window < 30 else 60), window
        # (After a long pattern move it may fall by less, until the steps have grown.)
        options = {"ftol": 1e-3, "window": 5, "maxiter": 500, "pattern_every": None}
        r = minimize(lambda x: (-x[0], -np.ones(1)), [1.0], jac=True, **options)
        assert r.status == 1, "in each window it falls by more than ftol times itself"

    @pytest.mark.parametrize("variant", RULES)
    def test_ftol_does_not_mistake_overshooting_for_convergence(self, variant):
        """Within a few iterations the value often does not fall, even at the start of a run."""
        for window, (fun, jac, x0, solution) in itertools.product((2, 3, 8), problems.PROBLEMS.values()):
            r = minimize(
                fun, x0, jac=jac, variant=variant, ftol=1e-12, window=window, backend="numba", maxiter=10**6
            )
            assert r.success, r
            assert r.fun - fun(solution) <= 1e-9, (window, r)

    def test_ftol_does_not_mistake_a_retreat_for_convergence(self):
        """Beyond 0.4 the objective is not finite; steps there are tiny, and so are the gains."""
        r = minimize(barred, X0, jac=True, ftol=1e-3, window=3, gtol=0, variant="irprop-", lr=0.3, maxiter=5000)
        retreat_nit = r.state.scalars[record.RETREAT_NIT]
        assert not r.success or r.nit - retreat_nit >= SETTLING_STEPS

    def test_patience_ends_the_run(self):
        values = itertools.chain([3.0, 2.0, 2.5, 2.0, 1.0], itertools.repeat(1.0))
        r = minimize(lambda x: (next(values), np.ones(1)), [1.0], jac=True, patience=6)
        assert (r.status, r.success, r.nit, r.fun) == (6, False, 10, 1.0)
        assert r.message == "The objective has not improved for `patience` iterations."

    @pytest.mark.parametrize("variant", RULES)
    @pytest.mark.parametrize("x0", [3.0, -0.3, 1e6, 1.07])
    def test_a_sign_change_in_one_dimension_is_not_convergence(self, variant, x0):
        """After a change of sign most rules store a gradient of zero, and the point may stay where it is."""
        for options in ({}, {"ftol": 1e-12}, {"patience": 200}, {"xtol": 1e-9, "gtol": 0}):
            r = minimize(problems.sphere, [x0], jac=problems.sphere_der, variant=variant, lr=0.7, **options)
            assert r.success or r.status == 6, r
            assert r.x[0] == pytest.approx(1, abs=1e-5), options

    @pytest.mark.parametrize("backend", ["numpy", "numba"])
    def test_first_steps_below_xtol_are_not_convergence(self, backend):
        """First steps of 1% are below an xtol of 2%, but the run has not come to rest: the steps grow first."""
        for xtol in (0.011, 0.02, 0.5):
            r = minimize(problems.sphere, [5.0, -4.0], jac=problems.sphere_der, xtol=xtol, backend=backend)
            assert r.success
            assert (np.abs(r.x - 1) <= xtol).all(), (xtol, r)

    def test_jac_may_overwrite_the_array_that_it_returned(self):
        """After a step that led nowhere the earlier gradient is used, even if its array has been overwritten."""
        buffer = np.zeros(1)

        def jac(x):
            buffer[:] = 2 * (x - 3)
            return buffer

        def fun(x):
            return float((x[0] - 3) ** 2)

        expected = minimize(fun, [1.0], jac=jac)
        r = minimize(fun, [1.0], jac=jac, callback=lambda x: jac(x + 100))
        assert_same_ends(r, expected)
        assert r.nfev < r.nit, "some steps led nowhere"

    def test_maxtime_holds_when_evaluations_become_slower(self):
        """The speed of a run so far does not tell how long the next evaluation takes."""

        def slower(x):
            time.sleep(0.02 if x[0] < 0.9 else 0)
            return x @ x, 2 * x

        small = {"lr": 1e-3, "step_sizes": (0, 1e-3), "gtol": 0, "xtol": 0}
        r = minimize(slower, [1.5], jac=True, maxtime=0.5, maxiter=1000, backend="numba", **small)
        assert r.status == 5

    def test_maxtime_holds_for_a_python_objective(self):
        def slow(x):
            time.sleep(0.01)
            return in_python(x)

        minimize(slow, X0, jac=True, maxiter=1)  # load everything before the time counts
        r = minimize(slow, X0, jac=True, maxtime=0.1)
        assert (r.status, r.success, r.message) == (5, False, "Maximum time has been exceeded.")
        assert 2 <= r.nit <= 11
        assert minimize(slow, X0, jac=True, maxtime=0).nfev == 1

    def test_no_point_is_evaluated_twice_in_a_row(self):
        seen = []

        def fun(x):
            seen.append(x.copy())
            return problems.sphere(x), problems.sphere_der(x)

        r = minimize(fun, [3.0], jac=True, return_all=True)
        assert r.nfev == len(seen) < r.nit + 1
        assert len(r.allvecs) == r.nit + 1
        assert all((a != b).any() for a, b in itertools.pairwise(seen))


class TestWarmStart:
    @pytest.mark.parametrize("bounds", [None, [(None, 0.6), (-0.2, 2), (None, None)]])
    @pytest.mark.parametrize("variant", RULES)
    def test_two_runs_in_a_row_equal_one_long_run(self, variant, bounds):
        rng = random.Random(3)
        for fun, backend in ((rosenbrock, None), (in_python, "numpy"), (in_python, "numba"), (barred, "numpy")):
            jac = None if fun is rosenbrock else True
            options = {"jac": jac, "bounds": bounds, "variant": variant, "backend": backend, "lr": 0.05}
            options |= {"gtol": 0, "xtol": 0}
            total = 150
            whole = minimize(fun, X0, maxiter=total, **options)
            a = rng.randrange(whole.nit)
            first = minimize(fun, X0, maxiter=a, **options)
            kept = first.state.vectors.copy()
            second = minimize(fun, np.zeros(3), maxiter=whole.nit - a, warm_start=first, **options)
            assert_same_ends(second, whole)
            assert (first.nit, second.nit) == (a, whole.nit - a)
            assert first.nfev + second.nfev == whole.nfev
            assert same_bits(first.state.vectors, kept), "continuing a result does not change it"

    def test_any_stopping_rule_may_have_ended_the_first_run(self):
        whole = minimize(rosenbrock, X0, gtol=0, xtol=0, maxiter=4000)

        def stop(x):
            raise StopIteration

        for ended in ({"gtol": 1e-2}, {"f_target": 0.1}, {"maxfev": 77}, {"callback": stop}, {"maxtime": 0}):
            first = minimize(rosenbrock, X0, **{"gtol": 0, "xtol": 0, "maxiter": 4000, **ended})
            assert first.nit < 4000
            second = minimize(
                rosenbrock,
                X0,
                gtol=0,
                xtol=0,
                maxiter=4000 - first.nit,
                warm_start=pickle.loads(pickle.dumps(first)),
            )
            assert_same_ends(second, whole)

    def test_warm_start_works_through_scipy(self):
        first = scipy.optimize.minimize(in_python, X0, jac=True, method=minimize, options={"maxiter": 20})
        second = scipy.optimize.minimize(
            in_python, X0, jac=True, method=minimize, options={"maxiter": 30, "warm_start": first}
        )
        assert_same_ends(second, minimize(in_python, X0, jac=True, maxiter=50))

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"x0": X0[:2]}, r"with x of shape \(3,\) and dtype float64, but x0 has shape \(2,\)"),
            ({"x0": X0.astype("f4")}, "but x0 has shape .* and dtype float32"),
            (
                {"variant": "rprop+"},
                "^variant must be the same as in the run that warm_start continues: 'irprop-'$",
            ),
            ({"etas": (0.5, 1.2)}, r"^etas and step_sizes must be the same .*: \(0.8, 1.1\) and \(0.0, inf\)$"),
            ({"bounds": [(0, 1)] * 3}, "^bounds must be the same .*: None$"),
            ({"maximize": True}, "^maximize must be the same .*: False$"),
        ],
    )
    def test_arguments_of_another_run_are_refused(self, change, text):
        first = minimize(in_python, X0, jac=True, maxiter=3)
        with pytest.raises(ValueError, match=text):
            minimize(**{"fun": in_python, "x0": X0, "jac": True, "warm_start": first, **change})
        with pytest.raises(TypeError, match="but is OptimizeResult without its state"):
            minimize(in_python, X0, jac=True, warm_start=OptimizeResult(x=X0))

    def test_the_result_holds_the_step_sizes_and_the_stored_gradient(self):
        p = Parameter(X0.copy())
        o = Rprop([p], lr=0.02, step_sizes=(0, np.inf))
        for _ in range(100):
            p.grad = in_python(p.data)[1]
            o.step()
        r = minimize(in_python, X0, jac=True, lr=0.02, etas=(0.5, 1.2), maxiter=100, pattern_every=None)
        assert same_bits(r.step_size, o.state[p]["step_size"])
        assert same_bits(r.prev, o.state[p]["prev"])
        assert repr(r.state) == "<state of a run of minimize: 100 iterations, x of shape (3,)>"


RUN = {"gtol": 0, "xtol": 0, "maxiter": 300, "bounds": [(None, 0.6), (None, None), (None, None)]}


class TestCheckpoints:
    def test_a_place_that_cannot_be_written_to_is_refused_before_the_run(self, tmp_path):
        seen = []

        def fun(x):
            seen.append(x)
            return x @ x, 2 * x

        for place, error in [(tmp_path / "nowhere" / "run.npz", FileNotFoundError), (tmp_path, IsADirectoryError)]:
            with pytest.raises(error, match=re.escape(str(place))):
                minimize(fun, X0, jac=True, checkpoint=place)
        with pytest.raises(TypeError):
            minimize(fun, X0, jac=True, checkpoint=5)
        assert not seen

    @pytest.mark.parametrize("compiled", [True, False])
    def test_a_run_that_raised_is_resumed(self, compiled, tmp_path):
        whole = minimize(rosenbrock, X0, **RUN)
        path = tmp_path / "run.npz"
        seen = []

        def failing(x):
            seen.append(x)
            if len(seen) == 123:
                raise ZeroDivisionError
            return in_python(x)

        with pytest.raises(ZeroDivisionError):
            minimize(failing, X0, jac=True, checkpoint=path, checkpoint_every=10, **RUN)
        fun, jac = (rosenbrock, None) if compiled else (in_python, True)
        resumed = minimize(fun, X0, jac=jac, resume=path, checkpoint=path, **RUN)
        assert_same_ends(resumed, whole)
        assert (resumed.nit, resumed.nfev, resumed.njev) == (whole.nit, whole.nfev, whole.njev)
        # The file now holds the end of the run. Resuming adds nothing, unless `maxiter` allows more.
        again = minimize(fun, X0, jac=jac, resume=path, **RUN)
        assert_same_ends(again, whole)
        more = minimize(fun, X0, jac=jac, resume=path, **{**RUN, "maxiter": 400})
        assert_same_ends(more, minimize(rosenbrock, X0, **{**RUN, "maxiter": 400}))

    def test_checkpoints_are_written_regularly_and_do_not_change_the_run(self, tmp_path, monkeypatch):
        written = []
        real = npz.write

        def write(path, kind, version, tree):
            written.append(int(tree["scalars"][record.NIT]))
            real(path, kind, version, tree)

        monkeypatch.setattr(npz, "write", write)
        for fun, jac in ((rosenbrock, None), (in_python, True)):
            r = minimize(fun, X0, jac=jac, checkpoint=tmp_path / "a", checkpoint_every=70, **RUN)
            assert written == [70, 140, 210, 280, 300]
            written.clear()
            assert_same_ends(r, minimize(fun, X0, jac=jac, **RUN))

    def test_a_run_from_a_warm_start_is_resumed(self, tmp_path):
        path = tmp_path / "run.npz"
        first = minimize(rosenbrock, X0, **{**RUN, "maxiter": 30})
        second = minimize(rosenbrock, X0, warm_start=first, checkpoint=path, **{**RUN, "maxiter": 40})
        third = minimize(rosenbrock, X0, resume=path, **{**RUN, "maxiter": 50})
        assert (second.nit, third.nit) == (40, 50)
        assert_same_ends(third, minimize(rosenbrock, X0, **{**RUN, "maxiter": 80}))

    @pytest.mark.parametrize("run", sampled(range(KILLS), (1,)))
    def test_a_killed_process_is_resumed(self, run, tmp_path):
        path = tmp_path / "run.npz"
        moment = random.Random(run).random()
        child = subprocess.Popen(
            [sys.executable, killed.__file__, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline()
            time.sleep(1.2 * moment)
            child.kill()
        whole = minimize(killed.fun, **killed.RUN)
        if path.exists():
            resumed = minimize(killed.fun, resume=path, **killed.RUN)
        else:  # killed before the first checkpoint
            resumed = minimize(killed.fun, **killed.RUN)
        assert_same_ends(resumed, whole)
        assert (resumed.nit, resumed.nfev) == (whole.nit, whole.nfev)
        other_files = [p.name for p in Path(tmp_path).iterdir() if p != path]
        assert len(other_files) <= 1, "at most the file that was being written"

    def test_files_that_are_not_checkpoints_are_refused(self, tmp_path):
        good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
        minimize(in_python, X0, jac=True, maxiter=5, checkpoint=good)
        content = good.read_bytes()

        def refused(text):
            with pytest.raises(ValueError, match=text):
                minimize(in_python, X0, jac=True, resume=bad)

        for length in (0, 1, len(content) // 2, len(content) - 1):
            bad.write_bytes(content[:length])
            refused("is damaged, or is not an rprop_ref run of minimize")
        for place in range(0, len(content), 97):
            bad.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            try:
                r = minimize(in_python, X0, jac=True, maxiter=5, resume=bad)
            except ValueError as error:
                assert "bad.npz" in str(error)
            else:  # a byte of the archive that has no meaning
                assert r.nit == 5
        np.savez(bad, x=np.array([Hostile()], object))
        refused("is damaged, or is not|is not an rprop_ref run")
        bad.write_bytes(pickle.dumps(Hostile()))
        refused("is damaged, or is no")
        save_checkpoint(bad, Rprop([Parameter(np.ones(3))]))
        refused("is an rprop_ref checkpoint, not a run of minimize")
        with pytest.raises(FileNotFoundError):
            minimize(in_python, X0, jac=True, resume=tmp_path / "none")
        assert not Hostile.ran

    @pytest.mark.parametrize(
        "change",
        [
            {"vectors": np.zeros((record.ROWS, 4))},
            {"vectors": np.zeros((record.ROWS + 1, 3))},
            {"vectors": np.zeros((record.ROWS, 3), "i8")},
            {"vectors": np.zeros((record.ROWS, 3), "f4")},
            {"vectors": [1.0]},
            {"scalars": np.zeros(record.ENTRIES - 1)},
            {"scalars": np.full(record.ENTRIES, 0.5)},
            {"scalars": np.full(record.ENTRIES, np.inf)},
            {"constants": np.zeros(6)},
            {"shape": (10**9, 10**9)},
            {"shape": (-1, -3)},
            {"shape": 3},
            {"variant": "__import__('os')"},
            {"variant": ["a"]},
            {"maximize": 1},
            {"counts": (0, 0)},
            {"counts": (0, 0, "a")},
            {"counts": None},
            {"samples": np.zeros(4)},
            {"samples": np.full(4, np.nan)},
            {"samples": np.ones(3)},
            {"samples": np.ones(4, "f4")},
            {"samples": None},
            {"more": 1},
        ],
    )
    def test_checkpoints_with_wrong_contents_are_refused(self, change, tmp_path):
        path = tmp_path / "run.npz"
        minimize(in_python, X0, jac=True, maxiter=5, checkpoint=path)
        tree = npz.read(path, "run of minimize", 7)
        npz.write(path, "run of minimize", 7, {**tree, **change})
        with pytest.raises(ValueError, match=r"run\.npz'.* holds no state of a run of minimize"):
            minimize(in_python, X0, jac=True, resume=path)


class Hostile:
    """Sets `ran` when it is unpickled."""

    ran = False

    def __reduce__(self):
        return setattr, (Hostile, "ran", True)


class TestProgress:
    def test_without_tqdm_a_line_per_second_is_printed(self, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        monkeypatch.setattr(progress, "INTERVAL", 0.0)
        r = minimize(rosenbrock, X0, maxiter=60_000, gtol=0, xtol=0, progress=True)
        out, err = capsys.readouterr()
        assert out == ""
        lines = err.splitlines()
        assert len(lines) > 1
        number = r"[-+.\de]+"
        line = rf"(\d+) iterations \[{number} it/s\] f={number}, \|g\|={number}, steps {number} to {number}"
        shown = [int(re.fullmatch(line, each)[1]) for each in lines]
        assert shown == sorted(shown)
        assert shown[-1] == r.nit == 60_000
        monkeypatch.setattr(progress, "INTERVAL", 1e9)
        minimize(in_python, X0, jac=True, maxiter=5, progress=True)
        assert len(capsys.readouterr().err.splitlines()) == 1, "the last one is always shown"

    def test_with_tqdm_a_bar_is_shown(self, capsys):
        pytest.importorskip("tqdm", reason="needs tqdm, of the extra 'progress'")
        r = minimize(in_python, X0, jac=True, maxiter=40, progress=True)
        shown = capsys.readouterr().err
        assert "40it" in shown
        assert "%" not in shown, "nobody knows when the run will end"
        assert f"f={r.fun:.6g}" in shown
        assert "it/s" in shown

    def test_the_rate_counts_the_iterations_since_the_run_was_resumed(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        path = tmp_path / "run.npz"
        minimize(in_python, X0, jac=True, maxiter=40, checkpoint=path)
        minimize(in_python, X0, jac=True, maxiter=40, resume=path, progress=True)
        assert capsys.readouterr().err.startswith("40 iterations [0 it/s]")

    def test_progress_does_not_change_the_run(self, capsys):
        assert_same_ends(minimize(rosenbrock, X0, progress=True), minimize(rosenbrock, X0))


def difference_objective(x):
    """At the top of a module, so that it can be sent to another process."""
    return float(np.sum((x - 1) ** 2 * np.arange(1, x.size + 1)) + np.cos(x[0]))


class TestWorkers:
    @pytest.mark.parametrize("scheme", ["2-point", "3-point"])
    def test_all_kinds_of_workers_give_the_same_bits(self, scheme):
        expected = minimize(difference_objective, [3.0, -2.0, 0.5], jac=scheme, maxiter=60, trace=True)
        failed = expected.trace.pattern_moves - expected.trace.pattern_moves_kept
        calls = []

        def counting(function, points):
            calls.append(len(points))
            return [function(p) for p in points]

        with ThreadPoolExecutor(3) as pool:
            for workers in (counting, pool.map, pool, 1):
                r = minimize(difference_objective, [3.0, -2.0, 0.5], jac=scheme, maxiter=60, workers=workers)
                assert_same_ends(r, expected)
        assert sum(calls) + expected.njev + failed == expected.nfev

    def test_the_gradient_is_scipys(self):
        from scipy.optimize._numdiff import approx_derivative

        x0 = np.array([3.0, -2.0, 0.5])
        for scheme in ("2-point", "3-point"):
            r = minimize(difference_objective, x0, jac=scheme, maxiter=0)
            assert same_bits(r.jac, approx_derivative(difference_objective, x0, method=scheme))

    @pytest.mark.exhaustive
    def test_two_processes_can_be_used_after_a_parallel_kernel(self):
        """A fork would hang here: threads of OpenMP do not survive it."""
        a = np.ones(1 << 17)
        constants = np.array([0.5, 1.2, 0, 50, 0, 1, 1.0])
        flat.step("irprop-", a.copy(), a, a.copy(), a.copy(), constants, parallel=True)
        expected = minimize(difference_objective, [3.0, -2.0], maxiter=5)
        assert_same_ends(minimize(difference_objective, [3.0, -2.0], maxiter=5, workers=2), expected)

    def test_an_objective_that_cannot_be_sent_is_refused(self):
        with pytest.raises(TypeError, match="the objective cannot be sent to other processes"):
            minimize(lambda x: x @ x, [1.0], workers=2)


BOUNDS = [(-5.0, 5.0)] * 2


class TestGlobalOptimizers:
    def options(self):
        return {"method": minimize, "jac": problems.himmelblau_der, "bounds": BOUNDS}

    def test_basinhopping(self):
        r = scipy.optimize.basinhopping(
            problems.himmelblau, [0.0, 0.0], niter=5, seed=1, minimizer_kwargs=self.options()
        )
        assert r.fun < 1e-18
        assert r.lowest_optimization_result.success

    def test_dual_annealing(self):
        r = scipy.optimize.dual_annealing(
            problems.himmelblau, BOUNDS, maxiter=20, minimizer_kwargs=self.options(), seed=1
        )
        assert r.fun < 1e-18
        assert r.success

    def test_differential_evolution(self):
        polished = []

        def polish(fun, x0, **kwargs):
            polished.append(minimize(fun, x0, **kwargs))
            return polished[-1]

        if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17):
            pytest.skip("SciPy before 1.17 takes no callable for polish")
        r = scipy.optimize.differential_evolution(problems.himmelblau, BOUNDS, polish=polish, maxiter=15, seed=1)
        (last,) = polished
        assert last.fun < 1e-8
        assert r.fun == last.fun
        assert same_bits(r.x, last.x)
