"""The option `samples` of `minimize`: means of several evaluations at each point."""

from __future__ import annotations

import pickle

import numba
import numpy as np
import pytest

from rprop_ref import minimize, minimize_many, starts
from rprop_ref._core import record
from rprop_ref._minimizer.samples import WINDOW, AveragedObjective, next_number, set_number
from rprop_ref._minimizer.state import POINTS, SAMPLES
from rprop_ref.bits import same_bits

X0 = np.array([-1.2, 1.0, 0.3])
CENTRE = np.array([0.3, -2.0, 1.5])
SCALE = np.array([1.0, 30.0, 0.1])
FIELDS = ("x", "fun", "jac", "nit", "status", "message", "step_size", "prev")


def bowl(x):
    return float(SCALE @ (x - CENTRE) ** 2), 2 * SCALE * (x - CENTRE)


@numba.njit
def compiled_bowl(x, g):
    f = 0.0
    for i in range(x.size):
        g[i] = 2 * (i + 1) * (x[i] - 0.5)
        f += (i + 1) * (x[i] - 0.5) ** 2
    return f


class Noisy:
    """The bowl with noise of a given share of the value and of the largest component; counts its calls."""

    def __init__(self, sigma, seed=0, absolute=0.0):
        self.sigma, self.absolute = sigma, absolute
        self.rng = np.random.default_rng(seed)
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        f, g = bowl(x)
        noise = self.rng.standard_normal(x.size + 1)
        f_scale, g_scale = self.sigma * abs(f) + self.absolute, self.sigma * abs(g).max() + self.absolute
        return f + f_scale * noise[0], g + g_scale * noise[1:]


def assert_same(result, expected, fields=FIELDS):
    for name in fields:
        same = result[name] == expected[name] if name == "message" else same_bits(result[name], expected[name])
        assert same, name


@pytest.mark.parametrize("samples", [3, *(pytest.param(k, marks=pytest.mark.exhaustive) for k in (2, 10))])
@pytest.mark.parametrize(
    ("fun", "options"),
    [
        (bowl, {"jac": True}),
        (bowl, {"jac": True, "bounds": [(-2, 0.2), (-3, None), (None, 1.0)]}),
        (lambda x: tuple(-v for v in bowl(x)), {"jac": True, "maximize": True}),
        (lambda x: np.sum(SCALE * (x - CENTRE) ** 2), {"jac": "autograd"}),
        (compiled_bowl, {}),
        (compiled_bowl, {"backend": "numba"}),
        (lambda x: bowl(x)[0], {"jac": "2-point", "maxiter": 300}),
        (lambda x: 10 * abs(x[0] - x[1]) + abs(x[1] + x[2] - 2), {"jac": "autograd"}),  # a check of a claim
    ],
)
def test_the_mean_of_equal_values_is_that_value(fun, options, samples):
    """So a run without noise is the same, whatever the number, but for its counts."""
    alone = minimize(fun, X0, **options)
    result = minimize(fun, X0, samples=samples, **options)
    assert_same(result, alone)
    assert result.nfev == samples * alone.nfev or options["jac"] == "2-point"
    assert result.samples == samples
    assert "samples" not in alone


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_the_mean_of_zeros_has_their_sign(zero):
    result = minimize(lambda x: (zero, np.full(3, zero)), X0, jac=True, samples=4)
    assert same_bits(result.fun, zero)
    assert same_bits(result.jac, np.full(3, zero))


@pytest.mark.parametrize("unit", [1e-200, 2.0**600, 1e200])
def test_the_number_is_adapted_in_any_unit(unit):
    """Squares of such gradients overflow, or vanish."""

    def run(unit):
        fun = Noisy(0.0, absolute=10.0)
        options = {"jac": True, "samples": "auto", "maxfev": 2000, "gtol": 0}
        return minimize(lambda x: tuple(unit * v for v in fun(x)), X0, **options)

    result = run(unit)
    assert result.samples > 10
    if unit == 2.0**600:  # which changes no digit
        assert same_bits(result.x, run(1.0).x)


def test_the_units_of_the_variables_do_not_matter():
    def run(units):
        fun = Noisy(0.0, absolute=10.0)

        def in_units(z):
            f, g = fun(z / units)
            return f, g / units

        options = {"jac": True, "samples": "auto", "maxfev": 2000, "gtol": 0}
        return minimize(in_units, X0 * units, **options)

    units = 2.0 ** np.array([20, 0, -20])
    result, expected = run(units), run(np.ones(3))
    assert (result.samples, result.nfev) == (expected.samples, expected.nfev)
    assert same_bits(result.x / units, expected.x)


@pytest.mark.parametrize("samples", [3, "auto"])
def test_the_objective_may_write_each_gradient_into_the_same_array(samples):
    results = []
    for buffer in (None, np.empty(3)):
        fun = Noisy(0.5)

        def with_buffer(x, fun=fun, buffer=buffer):
            f, g = fun(x)
            if buffer is None:
                return f, g
            buffer[:] = g
            return f, buffer

        results.append(minimize(with_buffer, X0, jac=True, maxiter=30, samples=samples))
    assert_same(*results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [2, 4, 16])
def test_means_are_those_that_a_user_would_compute(number, dtype):
    """The noise is of few bits, so that its means are exact, in whatever order they are computed."""

    def noisy(x, rng):
        f, g = bowl(x.astype(float))
        noise = rng.integers(-8, 9, x.size + 1) / 8
        exact = np.round(np.r_[f, g] * 1024) / 1024
        return exact[0] + noise[0], (exact[1:] + noise[1:]).astype(dtype)

    def mean(x):
        both = [noisy(x, rng) for _ in range(number)]
        return sum(f for f, _ in both) / number, np.mean([g.astype(float) for _, g in both], axis=0).astype(dtype)

    rng = np.random.default_rng(3)
    expected = minimize(mean, X0.astype(dtype), jac=True, maxiter=200)
    rng = np.random.default_rng(3)
    result = minimize(lambda x: noisy(x, rng), X0.astype(dtype), jac=True, maxiter=200, samples=number)
    assert result.x.dtype == dtype
    assert_same(result, expected)
    assert result.nfev == number * expected.nfev
    assert result.njev == number * expected.njev


def test_all_evaluations_are_counted():
    for options in ({"samples": 7}, {"samples": "auto"}):
        fun = Noisy(0.3)
        result = minimize(fun, X0, jac=True, maxfev=3000, **options)
        assert result.nfev == result.njev == fun.calls
        assert fun.calls < 3000 + result.samples
    calls = []

    def values(x):
        calls.append(x)
        return bowl(x)[0]

    result = minimize(values, X0, samples=3, maxiter=20)
    assert result.nfev == len(calls)
    assert result.njev == len(calls) / 4  # a value and three differences


@pytest.mark.parametrize("absolute", [0.0, 0.3])
def test_means_end_nearer_to_the_minimum(absolute):
    def errors(**options):
        runs = [minimize(Noisy(1.0, seed, absolute), X0, jac=True, maxfev=4000, **options) for seed in range(5)]
        return np.median([bowl(run.x)[0] for run in runs])

    single = errors()
    assert errors(samples=10) < single / 3
    assert errors(samples="auto") < single / 10


def test_the_norm_test():
    assert next_number(2, noise=3.0, signal=1.0) == 3  # at least one more, at most half of it
    assert next_number(10, noise=10.0, signal=1.0) == 15
    assert next_number(10, noise=1.2, signal=1.0) == 12
    assert next_number(10, noise=1.0, signal=1.0) == 10
    assert next_number(10, noise=0.6, signal=1.0) == 10
    assert next_number(10, noise=0.4, signal=1.0) == 5
    assert next_number(2, noise=0.0, signal=1.0) == 2
    assert next_number(10, noise=1.0, signal=0.0) == 15
    assert next_number(10, noise=1.0, signal=-0.1) == 15


@pytest.mark.parametrize("units", [1.0, np.array([2.0**-20, 1.0, 2.0**20])], ids=["alike", "units"])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
def test_the_number_follows_the_noise(spread, units):
    """Along a slope of 1 everywhere, the variance of a mean is less than 1, and not much less than needed."""

    def number(seed):
        rng = np.random.default_rng(seed)

        def slope(x):
            return float((x / units).sum()), (1 + spread * rng.standard_normal(x.size)) / units

        return minimize(slope, X0 * units, jac=True, maxiter=300, maxfev=np.inf, samples="auto", gtol=0).samples

    assert max(2, spread**2) <= np.median([number(seed) for seed in range(3)]) <= max(2, 6 * spread**2)


def test_a_lucky_value_is_forgotten():
    """Where the number grows, the best point is chosen anew."""
    for samples in (1, "auto"):
        noisy = Noisy(0.0, absolute=1.0)

        def fun(x, noisy=noisy):
            f, g = noisy(x)
            return (-1e3 if noisy.calls < 3 else f), g  # the first two evaluations have a lucky value

        result = minimize(fun, X0, jac=True, maxfev=3000, samples=samples)
        if samples == 1:
            assert result.fun == -1e3
        else:
            assert result.samples > 10
            assert abs(result.fun) < 3
            assert bowl(result.x)[0] < 1


def split_runs(first, fun, **options):
    """A run of 60 iterations in two parts."""
    part = minimize(fun, X0, jac=True, maxiter=first, **options)
    return minimize(fun, X0, jac=True, maxiter=60 - first, warm_start=part, **options)


@pytest.mark.parametrize("options", [{}, {"bounds": [(-1.5, 1.2), (None, 3), (0, 2)]}], ids=["free", "bounded"])
@pytest.mark.parametrize("first", [1, 9, 10, 11, 25])
def test_a_run_in_two_parts_is_the_same_run(first, options, tmp_path):
    options = {**options, "samples": "auto", "maxfev": np.inf}
    whole = minimize(Noisy(1.5, 1, 0.5), X0, jac=True, maxiter=60, **options)
    assert whole.samples > 2
    fields = [name for name in FIELDS if name != "nit"]  # that of the second call
    assert_same(split_runs(first, Noisy(1.5, 1, 0.5), **options), whole, fields)

    fun, file = Noisy(1.5, 1, 0.5), tmp_path / "run.npz"
    minimize(fun, X0, jac=True, maxiter=first, checkpoint=file, **options)
    resumed = minimize(fun, X0, jac=True, maxiter=60, resume=file, **options)
    assert_same(resumed, whole)
    assert (resumed.nfev, resumed.samples) == (whole.nfev, whole.samples)


def test_the_number_may_change_between_two_calls():
    fun = Noisy(0.0, absolute=1.0)
    first = minimize(fun, X0, jac=True, maxiter=200)
    second = minimize(fun, X0, jac=True, maxiter=100, warm_start=first, samples=50)
    assert second.samples == 50
    assert second.fun > first.fun  # the luckiest of single values is lower than any of fifty
    third = minimize(fun, X0, jac=True, maxiter=30, warm_start=second, samples="auto")
    assert third.samples >= 25  # adapted from 50 on
    fourth = minimize(fun, X0, jac=True, maxiter=30, warm_start=third)
    assert fourth.nfev <= 33 + 5


def test_a_check_under_way_is_dropped_with_other_means():
    """A check compares with the best point, which is another one then."""

    def kink(x):
        d, s = x[0] - x[1], x[0] + x[1] - 2
        return 10 * abs(d) + abs(s), np.array([10 * np.sign(d) + np.sign(s), -10 * np.sign(d) + np.sign(s)])

    whole = minimize(kink, [-3.0, 4.0], jac=True)
    part = minimize(kink, [-3.0, 4.0], jac=True, maxfev=whole.nfev - 1)
    assert part.state.scalars[record.CHECK] != 0, "the run has ended within the check"
    going_on = minimize(kink, [-3.0, 4.0], jac=True, warm_start=part, samples=2)
    assert (going_on.status, going_on.message) == (whole.status, whole.message)


def test_the_number_stays_while_a_minimum_is_checked():
    """The probes of a check are compared with the best point."""

    def kink(x):
        return abs(x[0]) + abs(x[1] - 1), np.array([np.sign(x[0]), np.sign(x[1] - 1)])

    whole = minimize(kink, [-3.0, 4.0], jac=True)
    state = minimize(kink, [-3.0, 4.0], jac=True, maxfev=whole.nfev - 1).state
    assert state.scalars[record.CHECK] != 0, "the run has ended within the check"
    state.samples[:] = 4, WINDOW, 1, 0
    mean = AveragedObjective(state, True, kink, True, (), (2,), np.dtype(float))
    mean.evaluate(np.zeros(2))
    assert list(state.samples) == [4, WINDOW, 1, 0]
    state.drop_check()
    mean.evaluate(np.zeros(2))
    assert state.samples[SAMPLES] == 6
    assert state.samples[POINTS] == 1


def test_the_latest_point_becomes_the_best_one_as_a_whole():
    state = minimize(Noisy(0.0, absolute=10.0), X0, jac=True, maxiter=30, gtol=0).state
    best_before = state.scalars[record.BEST_F]
    set_number(state, 2)
    assert state.scalars[record.BEST_F] == state.scalars[record.LAST_F] > best_before
    assert same_bits(state.vectors[record.BEST_X], state.vectors[record.LAST_X])
    assert state.scalars[record.BEST_G_MAX] == abs(state.vectors[record.BEST_G]).max()
    assert state.scalars[record.LOWEST_NIT] == state.scalars[record.WINDOW_NIT] == state.nit


def test_a_component_that_leads_out_of_the_bounds_does_not_count():
    """Else its gradient, which no step follows, would hide the noise of the others."""
    rng = np.random.default_rng(0)

    def fun(x):
        noise = rng.standard_normal(2)
        return 1e6 * x[0] + x[1] ** 2 + noise[0], np.array([1e6, 2 * x[1] + noise[1]])

    result = minimize(fun, [0.0, 3.0], jac=True, bounds=[(0, 1), (None, None)], samples="auto", maxfev=2000)
    assert result.samples > 10


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_not_evaluated_again(bad):
    calls = []

    def fun(x):
        calls.append(x)
        f, g = bowl(x)
        return (bad if x[0] > 0 else f), g

    alone = minimize(fun, X0, jac=True, maxiter=50)
    before = len(calls)
    result = minimize(fun, X0, jac=True, maxiter=50, samples=5)
    assert_same(result, alone)
    not_finite = sum(x[0] > 0 for x in calls[:before])
    assert not_finite > 0
    assert result.nfev == len(calls) - before == 5 * (before - not_finite) + not_finite


def test_the_last_evaluation_at_a_point_stands_for_all_too_if_it_is_not_finite():
    values = iter([1.0, 2.0, 4.0])
    result = minimize(lambda x: (f := next(values), np.full(3, f if f < 4 else np.inf)), X0, jac=True, samples=3)
    assert (result.fun, result.nfev) == (4, 3)
    assert same_bits(result.jac, np.full(3, np.inf))


def test_a_pickle_from_before_there_were_samples_is_continued():
    whole = minimize(bowl, X0, jac=True, maxiter=30)
    part = minimize(bowl, X0, jac=True, maxiter=10)
    del part.state.samples  # pickled attributes are those that there were
    part = pickle.loads(pickle.dumps(part))
    assert_same(minimize(bowl, X0, jac=True, maxiter=20, warm_start=part, samples=2), whole, ("x", "fun", "jac"))


def test_errors_of_floating_point_are_the_users():
    """The objective runs under the user's settings, at every evaluation."""
    seen = []

    def fun(x):
        seen.append(np.geterr())
        return bowl(x)

    with np.errstate(over="raise", divide="warn", invalid="print", under="call"):
        settings = np.geterr()
        minimize(fun, X0, jac=True, maxiter=5, samples=3)
    assert seen == [settings] * len(seen)


def test_many_starts_are_single_runs():
    x0s = starts([(-2, 2)] * 3, 5, seed=1)
    many = minimize_many(compiled_bowl, x0s, samples=3)
    for i, x0 in enumerate(x0s):
        single = minimize(compiled_bowl, x0, samples=3)
        assert same_bits(many.x[i], single.x)
        assert many.nfev[i] == single.nfev


def test_a_trace_has_the_means():
    result = minimize(Noisy(0.5), X0, jac=True, maxiter=30, samples=4, trace=True)
    alone = minimize(Noisy(0.5), X0, jac=True, maxiter=30, samples=4)
    assert_same(result, alone)
    assert result.trace.steps == 31  # with the last point, from which no step is made


def test_evaluations_are_limited_where_their_number_grows():
    """Otherwise the default of `maxiter` would allow any number of them."""
    result = minimize(Noisy(0.0, absolute=1.0), X0, jac=True, samples="auto", xtol=0)
    assert result.status == 4
    assert 10_000 <= result.nfev < 10_000 + result.samples


@pytest.mark.parametrize("value", [0, -1, 1.5, "many", None, np.nan, [3], True])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match="samples must be a whole number, at least 1, or 'auto', but is"):
        minimize(bowl, X0, jac=True, samples=value)
    with pytest.raises(ValueError, match="samples must be"):
        minimize_many(bowl, [X0], jac=True, samples=value)
