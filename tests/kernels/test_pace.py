"""The choice between sequential and parallel steps, in simulated surroundings where each call takes a known time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import assert_same_runs, engine, run

from numba_kernels import flat
from numba_kernels.pace import Pace

IDLE = {False: 28e-6, True: 17e-6}
BETWEEN_BLAS_CALLS = {False: 30e-6, True: 3.5e-3}


def make_calls(pace, surroundings, count, noise=None):
    """Make some calls; return the seconds of each, and which way each went."""
    seconds, ways = [], []
    for i in range(count):
        ways.append(pace.parallel)
        seconds.append(surroundings[pace.parallel] * (1.0 if noise is None else noise[i]))
        pace.note(seconds[-1])
    return np.array(seconds), np.array(ways)


@pytest.mark.parametrize(
    "surroundings", [IDLE, BETWEEN_BLAS_CALLS, {False: 5e-3, True: 2.8e-3}, {False: 1.0, True: 1.0}]
)
def test_all_calls_together_take_little_more_than_in_the_better_way(surroundings):
    seconds, _ = make_calls(Pace(), surroundings, 5000)
    assert seconds[:1000].sum() <= 1.4 * 1000 * min(surroundings.values())
    assert seconds.sum() <= 1.1 * 5000 * min(surroundings.values())


@settings(max_examples=50, deadline=None)
@given(
    ratio=st.floats(0.01, 100).filter(lambda r: not 0.8 < r < 1.25),
    width=st.floats(0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_better_way_is_found_however_much_better_it_is_and_through_noise(ratio, width, seed):
    noise = np.random.default_rng(seed).lognormal(0, width, 10_000)
    surroundings = {False: 1e-4, True: 1e-4 * ratio}
    seconds, ways = make_calls(Pace(), surroundings, len(noise), noise)
    assert np.mean(ways == (ratio < 1)) > 0.9
    assert seconds.sum() <= 1.2 * min(surroundings.values()) * noise.sum()


def test_the_first_call_may_load_a_kernel():
    pace = Pace()
    make_calls(pace, {False: 0.5, True: 0.5}, 1)
    make_calls(pace, IDLE, 2)
    assert pace.parallel
    make_calls(pace, {False: 0.5, True: 0.5}, 1)
    _, ways = make_calls(pace, IDLE, 2000)
    assert np.mean(ways) > 0.9


@pytest.mark.parametrize("calls_before", [10, 100, 100_000])
def test_a_change_of_the_surroundings_is_noticed(calls_before):
    pace = Pace()
    make_calls(pace, IDLE, calls_before)
    _, ways = make_calls(pace, BETWEEN_BLAS_CALLS, 1000)
    assert ways.sum() <= 10, "calls that took a hundred times too long"
    make_calls(pace, BETWEEN_BLAS_CALLS, calls_before)
    seconds, ways = make_calls(pace, IDLE, 100_000)
    assert ways[50_000:].mean() > 0.9
    assert seconds.sum() <= 1.4 * 100_000 * min(IDLE.values())


def test_measured_steps_go_both_ways_and_have_the_bits_of_sequential_ones(rng, monkeypatch):
    n, steps = 1000, 40
    x0, grads = rng.standard_normal(n), rng.standard_normal((steps, n))
    with engine("sequential") as backend:
        expected = run(x0, grads, backend=backend)
    ways = []

    class Alternating(Pace):
        def note(self, seconds):
            assert seconds > 0
            ways.append(self.parallel)
            self.parallel = not self.parallel

    monkeypatch.setattr(flat, "PARALLEL_FROM", n)
    monkeypatch.setattr(flat, "paces", [Alternating() for _ in flat.paces])
    result = run(x0, grads, backend="numba")
    assert ways == [False, True] * (steps // 2)
    assert_same_runs(result, expected)
