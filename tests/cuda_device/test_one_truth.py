"""What the GPU's kernels are made from: the table of rules, and the one text of the stopping rules."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda
from sixth_rule import NAME, SIXTH, copy_of
from stopping_cases import CASES, MAXITER_CASE, OBJECTIVES, OPTIONS, disable

from cuda_kernels import arrays
from rprop_ref import Parameter, Rprop, minimize_many
from rprop_ref._core.status import Status
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES


def statuses(case, variant):
    fun = cuda.jit(device=True)(OBJECTIVES[case.objective])
    options = {**OPTIONS, **case.options, "variant": variant}
    rows = minimize_many(fun, np.full((2, 1), case.start), **options)
    return [Status(status) for status in rows.status]


@pytest.mark.parametrize("case", [*CASES, MAXITER_CASE], ids=lambda case: case.name)
def test_each_rule_ends_its_run(case):
    assert statuses(case, "irprop-") == [case.status] * 2


def test_rules_that_are_disabled_in_their_one_place_end_no_run(monkeypatch):
    """Together, since the kernel is compiled without any of them. Only the limits that are larger remain."""
    variant = disable(monkeypatch, RULES["irprop-"])
    for case in CASES:
        assert statuses(case, variant) == [Status.ITERATION_LIMIT] * 2, case.name
    assert statuses(MAXITER_CASE, variant) == [Status.EVALUATION_LIMIT] * 2


@pytest.mark.parametrize("make", [None, RULES["rprop-"].make], ids=["new", "replaced under its name"])
def test_a_sixth_rule_steps_arrays_on_the_gpu(make, monkeypatch, rng):
    monkeypatch.setitem(RULES, NAME, copy_of(SIXTH, NAME, make))
    start, grads = rng.standard_normal(50), [rng.standard_normal(50) for _ in range(4)]
    host = Parameter(start.copy())
    device = Parameter(arrays.from_host([start])[0])
    for p in (host, device):
        optimizer = Rprop([p], lr=0.125, step_sizes=(0.0625, 50), variant=NAME)
        for g in grads:
            p.grad = g if p is host else arrays.from_host([g])[0]
            optimizer.step()
    assert same_bits(device.data.copy_to_host(), host.data)
