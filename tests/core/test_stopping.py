"""Each stopping rule is written in one place: whoever makes the iterations reads it there."""

from __future__ import annotations

import functools

import numba
import numpy as np
import pytest
from sixth_rule import SIXTH
from stopping_cases import CASES, MAXITER, MAXITER_CASE, OBJECTIVES, OPTIONS, disable

from rprop_ref import minimize, minimize_many
from rprop_ref._core.status import Status
from rprop_ref.bits import same_bits

jitted = functools.cache(numba.njit)


def in_python(fun):
    def evaluate(x):
        g = np.zeros_like(x)
        return fun(x, g), g

    return evaluate


def statuses(case, variant):
    """The status of the run, from each of those who make iterations."""
    options = {**OPTIONS, **case.options, "variant": variant}
    fun = OBJECTIVES[case.objective]
    found = {
        backend: minimize(in_python(fun), [case.start], jac=True, backend=backend, **options).status
        for backend in ("numpy", "numba")
    }
    found["machine code"] = minimize(jitted(fun), [case.start], **options).status
    # Enough of them for most to end in the lanes of a block.
    rows = minimize_many(jitted(fun), np.full((16, 1), case.start), workers=1, **options).status
    found["many in machine code"] = rows[0] if len(set(rows)) == 1 else rows.tolist()
    return {name: Status(status) for name, status in found.items()}


def all_are(status):
    return dict.fromkeys(("numpy", "numba", "machine code", "many in machine code"), status)


@pytest.mark.parametrize("case", [*CASES, MAXITER_CASE], ids=lambda case: case.name)
def test_each_rule_ends_its_run(case):
    assert statuses(case, "irprop-") == all_are(case.status)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Initial guess is not within the specified bounds")
def test_rules_that_are_disabled_in_their_one_place_end_no_run(monkeypatch):
    """Together, and for a rule that only tests know: kernels are compiled for it alone, which takes long.

    Only the limits that are larger remain.
    """
    variant = disable(monkeypatch, SIXTH)
    for case in CASES:
        assert statuses(case, variant) == all_are(Status.ITERATION_LIMIT), case.name
    assert statuses(MAXITER_CASE, variant) == all_are(Status.EVALUATION_LIMIT)
    assert_every_driver_runs_by_it(variant)


def bowl(x, g):
    f = 0.0
    for i in range(x.size):
        g[i] = 2 * (x[i] - 0.3)
        f += (x[i] - 0.3) ** 2
    return f


def assert_every_driver_runs_by_it(variant):
    options = {"variant": variant, "maxiter": 60, "step_sizes": (1e-3, np.inf)}
    starts = np.linspace(-2, 2, 16).reshape(8, 2)
    plain, compiled = in_python(bowl), numba.njit(bowl)
    for bounds in (None, [(-1, 1), (-1, 0.25)]):
        expected = [minimize(plain, x0, jac=True, bounds=bounds, backend="numpy", **options) for x0 in starts]
        assert expected[0].x.round(1).tolist() == [0.3, 0.3 if bounds is None else 0.2]
        for x0, e in zip(starts, expected, strict=True):
            assert same_bits(minimize(plain, x0, jac=True, bounds=bounds, backend="numba", **options).x, e.x)
            assert same_bits(minimize(compiled, x0, bounds=bounds, **options).x, e.x)
        many = minimize_many(compiled, starts, bounds=bounds, **options)
        assert same_bits(many.x, np.array([e.x for e in expected]))


def test_the_limit_of_iterations_is_where_the_other_runs_would_end():
    r = minimize(in_python(OBJECTIVES["bowl"]), [2.0], jac=True, **OPTIONS)
    assert (r.status, r.nit) == (Status.ITERATION_LIMIT, MAXITER)
