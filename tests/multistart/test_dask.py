"""`minimize_many` on a cluster of dask.distributed, made of processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import problems
import pytest
from test_minimize_many import check_rows, fragile, himmelblau

import rprop_ref
from rprop_ref import minimize, minimize_many, starts
from rprop_ref._common.workers import is_dask

ROOT = Path(rprop_ref.__file__).parent.parent


@pytest.fixture(scope="module")
def client():
    from dask.distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


def killer(x, file):
    """Himmelblau's function, but the first process that evaluates it at x[0] > 2.9 is killed."""
    if x[0] > 2.9 and not os.path.exists(file):
        Path(file).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return himmelblau(x)


@pytest.mark.peers
def test_rows_are_those_of_minimize(client):
    x0s = starts([(-5, 5)] * 2, 40, seed=3)
    assert is_dask(client)
    expected = [minimize(himmelblau, x0, jac=True) for x0 in x0s]
    check_rows(minimize_many(himmelblau, x0s, jac=True, workers=client), expected)


@pytest.mark.peers
def test_functions_that_only_cloudpickle_can_pickle(client):
    x0s = starts([(-5, 5)] * 2, 5, seed=3)
    result = minimize_many(lambda x: (float(x @ x), 2 * x), x0s, jac=True, workers=client)
    np.testing.assert_allclose(result.x, 0, atol=1e-10)


@pytest.mark.peers
def test_an_objective_in_machine_code(client):
    import numba

    @numba.njit
    def fun(x, g, a):
        g[:] = 2 * (x - a)
        return ((x - a) ** 2).sum()

    x0s = starts([(-5, 5)] * 2, 8, seed=3)
    expected = [minimize(fun, x0, args=(0.3,)) for x0 in x0s]
    check_rows(minimize_many(fun, x0s, args=(0.3,), workers=client), expected)


@pytest.mark.peers
def test_a_start_that_raises_is_reported(client):
    result = minimize_many(fragile, [[9.0, 1.0], [1.0, 1.0]], args=(8.0,), jac=True, workers=client)
    assert result.message[0] == "ArithmeticError: 9.0 is too far"
    assert result.status.tolist() == [100, 0]


@pytest.mark.peers
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_worker_that_is_killed_costs_no_result(client, tmp_path):
    before = set(client.scheduler_info()["workers"])
    x0s = starts([(-5, 5)] * 2, 40, seed=3)
    file = str(tmp_path / "killed")
    result = minimize_many(killer, x0s, args=(file,), jac=True, workers=client)
    assert os.path.exists(file)
    check_rows(result, [minimize(himmelblau, x0, jac=True) for x0 in x0s])
    client.wait_for_workers(2)
    assert set(client.scheduler_info()["workers"]) != before, "a lost worker should have been replaced"


@pytest.mark.peers
def test_the_example_gives_the_same_bits_on_one_and_more_workers():
    numbers = ["1", "2", "4"] if os.environ.get("ALL") else ["1", "2"]  # each is a process that loads SciPy
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "distributed_least_squares.py", *numbers],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "Every fit has the same bits."
    assert len({line.split("b =")[1] for line in lines[2:-1]}) == 1
    assert len(lines) == 4 + len(numbers)


def test_a_client_is_recognized_by_its_name():
    """Dask is not imported for that: only a user who has imported it can have a Client."""
    client = type("Client", (), {"__module__": "distributed.client", "asynchronous": True})
    assert is_dask(type("OfSomeoneElse", (client,), {})())
    assert not is_dask(type("Client", (), {"__module__": "elsewhere"})())
    with pytest.raises(TypeError, match="asynchronous Client"):
        minimize_many(problems.sphere, [[1.0], [2.0]], workers=client())
