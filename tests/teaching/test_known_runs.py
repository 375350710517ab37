"""`Trace.explain` on runs of known kind: nearly always right, and never noise where there is none."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
from known_runs import known_runs, quadratic, stepped

from rprop_ref import minimize


def said(trace):
    return [finding.name for finding in trace.explain().findings]


#: Of some 200 runs; or all, if the environment variable ALL is set.
SHARE = 1 if os.environ.get("ALL") else 0.3


@pytest.mark.parametrize(("seed", "share"), [(0, 0.1), pytest.param(1, SHARE, marks=pytest.mark.exhaustive)])
def test_runs_of_known_kind(seed, share):
    table, right, runs = Counter(), 0, 0
    for run in known_runs(seed, share):
        names = said(run.trace)
        runs += 1
        right += names in run.right
        table[run.kind, ", ".join(names) or "nothing"] += 1
        assert not {"noise", "value and gradient"} & set(names) or run.kind in ("noise", "batches"), (
            run.kind,
            names,
        )
    print(*(f"{kind:20} {names:24} {count}" for (kind, names), count in sorted(table.items())), sep="\n")
    print(f"{right} of {runs} right")
    assert right >= 0.95 * runs, table


def ridge(x):
    a, b = np.sign(x[0] - x[1]), np.sign(x[0] + x[1] - 2)
    return 10 * abs(x[0] - x[1]) + abs(x[0] + x[1] - 2), np.array([10 * a + b, b - 10 * a])


@pytest.mark.parametrize("variant", ["irprop-", "rprop+"])
def test_a_false_rest_on_a_kink_is_told_from_a_minimum(variant):
    start = np.array([-3.0, 4.0])
    assert said(minimize(ridge, start, jac=True, trace=True, variant=variant).trace) == ["kink"]
    assert said(stepped(ridge, start, 300, variant=variant, step_sizes=(0, 50))) == ["kink"]
    assert said(stepped(ridge, start, 60, variant=variant, step_sizes=(0, 50))) == ["kink"]


def test_without_losses_a_valley_is_known_by_its_steps(rng):
    objective, _ = quadratic(rng, 5, 1e5)
    trace = stepped(lambda x: (np.nan, objective(x)[1]), np.ones(5), 300, step_sizes=(0, 50))
    (finding,) = trace.explain().findings
    assert finding.name == "valley"
    assert finding.coordinates.tolist() == [0, 1, 2, 3, 4]
    assert "L-BFGS-B" in finding.advice
