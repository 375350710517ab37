"""A run that cannot get on begins again, and has converged if it comes to rest at the same point, but at a kink."""

from __future__ import annotations

import numpy as np
import pytest

from rprop_ref._core import record
from rprop_ref._core.constants import rule_constants
from rprop_ref._core.stalling import MAX_STALLS, end_or_begin_again, keep_largest_effect, status_after_stall
from rprop_ref._core.status import Status
from rprop_ref._minimizer.messages import run_message
from rprop_ref._minimizer.options import set_stopping_rules
from rprop_ref._minimizer.starting import begin

UNSET = {
    "maxiter": None,
    "maxfev": None,
    "f_target": None,
    "patience": None,
    "gtol": None,
    "xtol": None,
    "ftol": None,
}


def stalled(size_max=np.inf, dtype=float, size_min=0.0, bounds=None, **given):
    """A run at (2, 0) that began at (1, 3), and whose step sizes are exhausted."""
    x0 = np.array([1.0, 3.0], dtype)
    constants = rule_constants(np.dtype(dtype), (0.8, 1.1), (size_min, size_max), False)
    state = begin(x0, (2,), 0.01, bounds, constants, "irprop-", False, 20.0)
    set_stopping_rules(state, window=100, **{**UNSET, **given})
    vectors, scalars = state.vectors, state.scalars
    scalars[record.NIT], scalars[record.FIRST_F], scalars[record.BEST_F] = 700, 1e3, 1.0
    vectors[record.LAST_X] = 2, 0
    vectors[record.SIZE], vectors[record.PREV] = 1e-20, 1
    return state


def stall(state, x=(2.0, 0.0), g=(1e-4, 0.0)):
    vectors = state.vectors
    x, g = np.array(x, vectors.dtype), np.array(g, vectors.dtype)
    return end_or_begin_again(vectors, state.scalars, state.constants, x, g)


def go(state, x=(2.0, 0.0), g=(1e5, 0.0), best_g_max=1e-11):
    """An iteration on the way, where the gradient is g."""
    state.scalars[record.BEST_G_MAX] = best_g_max
    keep_largest_effect(state.vectors, state.scalars, np.array(x), np.array(g))


def after_stall(state, x, status, g=(1e-4, 0.0)):
    return status_after_stall(state.vectors, state.scalars, np.array(x), np.array(g), status)


def test_at_the_first_stall_it_begins_again_with_step_sizes_of_a_thousandth():
    state = stalled()
    assert stall(state) == Status.CONTINUE
    assert state.vectors[record.SIZE].tolist() == [2e-3, 3e-3]
    assert state.vectors[record.PREV].tolist() == [0, 0]
    assert state.vectors[record.STALLED_X].tolist() == [2, 0]
    assert [state.scalars[entry] for entry in (record.STALLS, record.RETREAT_NIT)] == [1, 700]


@pytest.mark.parametrize(
    ("limits", "sizes"), [({"size_max": 2.5e-3}, [2e-3, 2.5e-3]), ({"size_min": 2.5e-3}, [2.5e-3, 3e-3])]
)
def test_step_sizes_stay_within_their_limits(limits, sizes):
    state = stalled(**limits)
    assert stall(state) == Status.CONTINUE
    assert state.vectors[record.SIZE].tolist() == sizes


@pytest.mark.parametrize(("x", "same"), [((2 + 1e-7, 1e-7), True), ((2 + 1e-6, 0.0), False), ((2.0, 1e-5), False)])
def test_it_has_converged_if_it_comes_to_rest_at_the_same_point(x, same):
    state = stalled()
    stall(state)
    go(state)
    assert stall(state, x) == (Status.CONVERGED if same else Status.CONTINUE)


def test_float32_points_are_the_same_within_its_precision():
    state = stalled(dtype=np.float32)
    assert stall(state) == Status.CONTINUE
    go(state)
    assert stall(state, (2.0002, 0.0)) == Status.CONVERGED


@pytest.mark.parametrize(
    ("way", "g", "claimed"),
    [
        ((1e3, 0.0), (2e-5, 0.0), False),
        ((1e3, 0.0), (4e-5, 0.0), True),
        ((0.0, 1e3), (4e-5, 0.0), False),
        ((0.0, 1e3), (0.0, 4e-5), True),
        ((1e-4, 0.0), (1e-4, 0.0), True),
    ],
    ids=str,
)
def test_a_gradient_that_is_not_small_beside_those_on_the_way_is_checked(way, g, claimed):
    """The variables have lengths 2 and 3."""
    state = stalled()
    assert stall(state, g=g) == Status.CONTINUE
    for best_g_max, gradient in ((1e-9, (1e9, 1e9)), (1e-11, way), (1e-11, np.array(way) / 9)):
        go(state, g=gradient, best_g_max=best_g_max)
    assert stall(state, g=g) == (Status.CLAIMED if claimed else Status.CONVERGED)
    x = state.vectors[record.BEST_X] = 2, 0
    state.vectors[record.BEST_G] = g
    for status in (Status.CLAIMED, Status.KINK, Status.NO_IMPROVEMENT):
        assert after_stall(state, x, status, g) == (status if claimed else Status.CONVERGED)


def test_each_new_beginning_has_its_own_way():
    state = stalled()
    go(state)
    for x in ((2.0, 0.0), (3.0, 0.0)):
        assert state.scalars[record.STALL_EFFECT] == (0 if x[0] == 2 else 2e9)
        assert stall(state, x) == Status.CONTINUE
        assert state.scalars[record.STALL_EFFECT] == 0
        go(state, g=(1e9, 0.0))


def test_a_component_that_a_bound_holds_is_not_steep():
    bounds = np.array([2.0, -9.0]), np.array([9.0, 9.0])
    state = stalled(bounds=bounds, patience=10)
    assert stall(state) == Status.CONTINUE
    state.scalars[record.BEST_G_MAX], state.scalars[record.STALL_EFFECT] = 1e-11, 1.0
    for x, converged in (((2.0, 0.0), True), ((2 + 1e-7, 0.0), False)):
        state.vectors[record.BEST_X], state.vectors[record.BEST_G] = x, (1, 0)
        expected = Status.CONVERGED if converged else Status.NO_IMPROVEMENT
        assert after_stall(state, (7.0, 7.0), Status.NO_IMPROVEMENT) == expected


def test_a_valley_without_end_is_no_success():
    state = stalled()
    for k in range(MAX_STALLS):
        assert stall(state, (2 + k, 0.0)) == Status.CONTINUE
    before = state.vectors.copy()
    assert stall(state, (9.0, 0.0)) == Status.PRECISION_LOSS
    assert np.array_equal(state.vectors, before)
    assert run_message(Status.PRECISION_LOSS, state.scalars, 1).endswith(
        "more than 4 times, each time at another point."
    )


@pytest.mark.parametrize("given", [{"gtol": 1e-2}, {"xtol": 1e-9}, {"ftol": 1e-9}])
def test_a_tolerance_that_is_given_is_enough(given):
    assert stall(stalled(**given)) == Status.CONVERGED


@pytest.mark.parametrize(("best_f", "g"), [(1.0, (4e-7, 3e-7)), (1e-20, (1e-3, 0.0))])
def test_a_gradient_or_a_value_that_is_negligible_is_enough(best_f, g):
    state = stalled()
    state.scalars[record.BEST_F] = best_f
    assert stall(state, g=g) == Status.CONVERGED


@pytest.mark.parametrize("status", [Status.CLAIMED, Status.KINK])
@pytest.mark.parametrize(
    ("x", "given", "same"),
    [((2.0, 1e-7), {}, True), ((2.0, 1e-5), {}, False), ((2.0, 0.0), {"xtol": 1e-9}, False)],
)
def test_at_rest_at_the_same_point_it_has_converged_wherever_the_best_point_is(status, x, given, same):
    state = stalled()
    assert after_stall(state, x, status) == status
    stall(state)
    go(state)
    set_stopping_rules(state, window=100, **{**UNSET, **given})
    expected = Status.CONVERGED if same else status
    assert after_stall(state, x, status) == expected


@pytest.mark.parametrize(
    ("best_x", "best_g_max", "same"),
    [((2.0, 1e-7), 1e-11, True), ((2.0, 1e-5), 1e-11, False), ((2.0, 0.0), 1, False)],
)
def test_when_patience_is_over_the_best_point_decides(best_x, best_g_max, same):
    state = stalled(patience=10)
    stall(state)
    go(state)
    state.vectors[record.BEST_X], state.scalars[record.BEST_G_MAX] = best_x, best_g_max
    expected = Status.CONVERGED if same else Status.NO_IMPROVEMENT
    assert after_stall(state, (7.0, 7.0), Status.NO_IMPROVEMENT) == expected


@pytest.mark.parametrize("status", [Status.ITERATION_LIMIT, Status.EVALUATION_LIMIT, Status.PRECISION_LOSS])
def test_other_ends_stay_what_they_are(status):
    state = stalled()
    stall(state)
    assert after_stall(state, (2.0, 0.0), status) == status
