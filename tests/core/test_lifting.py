"""Small step sizes are lifted where a pattern move begins, in runs without bounds."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from numba_kernels import iterate
from rprop_ref import minimize
from rprop_ref._core import pattern, record, vectors
from rprop_ref._core.constants import rule_constants
from rprop_ref._minimizer.starting import begin
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

DTYPES = ["float16", "float32", "float64"]


def oracle(size, x, g, span, share, size_max):
    """In Python's numbers, one variable after the other."""
    kind = size.dtype.type
    lengths = [max(abs(float(a)), float(b)) for a, b in zip(x, span, strict=True)]
    moving = [float(s) / n for s, n, d in zip(size, lengths, g, strict=True) if d and n]
    largest = max([r for r in moving if r < math.inf], default=0.0)
    lifted = []
    with np.errstate(over="ignore"):
        for s, length in zip(size, lengths, strict=True):
            least = min(kind(share * largest * length), size_max)
            lifted.append(least if 0 < s < least < math.inf else s)
    return np.array(lifted, size.dtype)


@numba.njit(error_model="numpy")
def compiled(size, x, g, span, share, size_max):
    lift(size, x, g, span, share, size_max)


lift = iterate.functions(RULES["irprop-"])["lift"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_lift_is_the_oracles(dtype, rng):
    """With step sizes of all magnitudes, 0 and infinity, variables and gradients that are 0, and limits."""
    finfo = np.finfo(dtype)
    lifted = limited = left = 0
    for _ in range(500):
        n = int(rng.integers(1, 9))
        decades = (math.log10(float(finfo.max)) if rng.random() < 0.3 else 3.0) - 0.1
        size, x, span = (10.0 ** rng.uniform(-decades, decades, (3, n))).astype(dtype)
        size[rng.random(n) < 0.2] = rng.choice([0.0, finfo.tiny, np.inf])
        x *= rng.choice([-1, 0, 1], n).astype(dtype)
        x[rng.random(n) < 0.05] = np.inf
        span[rng.random(n) < 0.1] = 0
        g = rng.choice([-1.0, 0.0, 1.0], n).astype(dtype)
        size_max = finfo.dtype.type(rng.choice([np.inf, 1e-2, 10.0]))
        expected = oracle(size, x, g, span, 1 / pattern.PARTS_OF_LARGEST, size_max)
        for function in (vectors.lift, compiled):
            if function is compiled and dtype == "float16":
                continue
            result = size.copy()
            with np.errstate(all="ignore"):
                function(result, x, g, span, 1 / pattern.PARTS_OF_LARGEST, size_max)
            assert same_bits(result, expected)
        lifted += (expected > size).any()
        limited += ((expected > size) & (expected == size_max)).any()
        left += (expected == size).all()
    assert min(lifted, limited, left) > 10


def lifted(size, x=(3.0, -3.0), g=(1.0, 1.0), span=(1.0, 1.0)):
    """The step sizes after they were lifted to a thousandth."""
    array = np.array(size)
    vectors.lift(array, np.array(x), np.array(g), np.array(span), 1e-3, np.inf)
    return array.tolist()


def test_small_step_sizes_are_lifted_beside_the_largest_one():
    assert lifted([1.0, 1e-9]) == [1.0, pytest.approx(1e-3)]
    assert lifted([1e-9, 1.0], x=(3.0, -30.0)) == [pytest.approx(1e-4), 1.0]


@pytest.mark.parametrize("size", [[0.0, 0.0], [1.0, 0.0], [1.0, 2e-3], [2e-3, 1.0], [1e-9, 1e-9]], ids=str)
def test_nothing_is_lifted_that_is_0_or_large_enough(size):
    assert lifted(size) == size


def test_the_step_size_of_a_variable_whose_gradient_is_0_does_not_count_as_the_largest():
    assert lifted([1.0, 1e-9], g=(0.0, 1.0)) == [1.0, 1e-9]
    assert lifted([1.0, 1e-9], g=(1.0, 0.0)) == [1.0, pytest.approx(1e-3)]


def test_variables_at_0_have_the_lengths_that_they_had_at_the_start():
    assert lifted([3.0, 1e-9], x=(3.0, 0.0), span=(1.0, 0.5)) == [3.0, pytest.approx(5e-4)]


@pytest.mark.parametrize("stays", [False, True], ids=["goes on", "leads nowhere"])
@pytest.mark.parametrize("bounds", [None, (np.full(2, -9.0), np.full(2, 9.0))], ids=["free", "bounded"])
def test_a_pattern_move_lifts_wherever_it_leads_but_within_bounds(bounds, stays):
    constants = rule_constants(np.dtype(float), (0.8, 1.1), (0.0, np.inf), False)
    state = begin(np.array([1.0, 2.0]), (2,), 0.01, bounds, constants, "irprop-", False, 20.0)
    rows, scalars = state.vectors, state.scalars
    rows[record.X] = rows[record.BASE] if stays else (2.0, 2.0)
    rows[record.LAST_G] = 1
    rows[record.SIZE] = 0.5, 1e-30
    pattern.begin_pattern_move(rows, scalars, constants)
    assert (scalars[record.PATTERN] == 0) == stays
    expected = 2e-3 * 0.5 / (1.0 if stays else 2.0)
    assert rows[record.SIZE].tolist() == [0.5, 1e-30 if bounds else pytest.approx(expected)]


def chained_rosenbrock(sigma, seed=0):
    """Toint's chain of 40 variables; the gradient has noise relative to its largest component.

    Returns the objective, and the list of the true values at all points, which it fills.
    """
    rng = np.random.default_rng(seed)
    seen = []

    def fun(x):
        t, u = x[:-1] - x[1:] ** 2, x[1:] - 1
        f, g = float(np.sum(36 * t * t + u * u)), np.zeros_like(x)
        g[:-1] += 72 * t
        g[1:] += 2 * u - 144 * t * x[1:]
        seen.append(f)
        noise = sigma * rng.standard_normal(x.size + 1)
        return f * (1 + noise[0]), g + np.abs(g).max() * noise[1:]

    return fun, seen


def run(sigma, seed=0, **options):
    """The result, and the lowest true value relative to the first one."""
    fun, seen = chained_rosenbrock(sigma, seed)
    options = {"maxfev": 3000, "maxiter": np.inf, "backend": "numpy", **options}
    r = minimize(fun, np.full(40, -1.0), jac=True, **options)
    return r, min(seen) / seen[0]


@pytest.fixture
def without_lift(monkeypatch):
    monkeypatch.setattr(pattern, "lift", lambda *_: None)


@pytest.mark.parametrize("seed", range(3))
def test_noise_does_not_end_a_run_whose_small_step_sizes_are_lifted(seed):
    r, lowest = run(1e-3, seed)
    assert r.success
    assert lowest < 1e-15


@pytest.mark.parametrize("seed", range(3))
def test_without_the_lift_step_sizes_shrink_to_nothing_and_the_run_gets_nowhere(seed, without_lift):
    r, lowest = run(1e-3, seed)
    assert not r.success
    assert lowest > 1e-3
    assert r.step_size.min() < 1e-40 < 1e-6 < r.step_size.max()


def decay_beside_a_square(seed):
    """A fit of an exponential decay to noisy data, plus the square of a third variable; with a start."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 9)
    y = 3 * np.exp(-1.7 * t) + 0.01 * rng.standard_normal(9)

    def fun(x):
        e = np.exp(-x[1] * t)
        r = x[0] * e - y
        return 1e8 * (r @ r) + x[2] ** 2, 2e8 * np.array([r @ e, -x[0] * (r @ (t * e)), x[2] / 1e8])

    return fun, np.array([1.0, 1.0, 2.0]) * rng.uniform(0.8, 1.2, 3)


def claims():
    return sum(minimize(*decay_beside_a_square(seed), jac=True, backend="numpy").success for seed in range(10))


def test_runs_end_with_success_though_the_minimum_of_a_variable_is_at_0():
    assert claims() == 10


def test_few_of_them_do_without_the_lift(without_lift):
    assert claims() < 5


def test_a_run_of_the_rule_alone_lifts_nothing():
    """Without pattern moves, all steps are those of the rule."""
    r, _ = run(1e-3, pattern_every=None)
    assert r.step_size.min() < 1e-40


def test_a_variable_that_begins_at_its_minimum_keeps_no_other_from_its_own():
    """Its gradient is 0, and its step size stays what it was."""
    r = minimize(lambda x: (x @ x, 2 * x), [0.0, 3.0], jac=True, gtol=0)
    assert r.success
    assert r.step_size[0] == 0.01
    assert abs(r.x[1]) < 1e-25


def test_a_healthy_run_has_the_same_bits_with_and_without_it(monkeypatch):
    """Variables in units of their own have step sizes of their own, which are alike beside the variables."""
    units = np.array([1e-9, 1.0, 1e9])

    def fun(x):
        y = x / units
        return rosen(y), rosen_der(y) / units

    def vectors_of_a_run():
        return minimize(fun, np.array([-1.2, 1.0, 0.3]) * units, jac=True, backend="numpy").state.vectors

    with_it = vectors_of_a_run()
    monkeypatch.setattr(pattern, "lift", lambda *_: None)
    assert same_bits(vectors_of_a_run(), with_it)


def test_a_trace_has_the_lifted_step_sizes_with_which_the_next_iteration_begins():
    r, _ = run(1e-3, maxfev=400, trace=True)
    assert same_bits(r.trace.size[-1], r.step_size)
    growth = r.trace.size[1:] / r.trace.size[:-1]
    assert (growth > 1.1 + 1e-12).any()
    assert growth.min() >= 0.8 - 1e-12
