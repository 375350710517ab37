"""`Trace.explain`: each finding in a run with that fault, and no findings in healthy runs."""

from __future__ import annotations

import re

import numpy as np
import problems
import pytest
from cases import sampled
from known_runs import stepped

from rprop_ref import Parameter, Rprop, Trace, minimize, nist, rules


def traced(gradient, x0, steps, **options):
    """The trace of some steps of `Rprop` with this gradient."""
    return stepped(lambda x: (0.0, gradient(x).astype(x.dtype)), x0, steps, **options)


def names(trace):
    return [finding.name for finding in trace.explain().findings]


def sphere(x):
    return 2 * (x - 1)


START = [3.0, -2.0, 0.5]


def regression(batch=None):
    """The gradient of least squares with 1,000 points, from all of them or from random batches of this size."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(1000, 5))
    y = a @ np.arange(5.0) + rng.normal(size=1000)

    def gradient(x):
        rows = slice(None) if batch is None else rng.integers(0, 1000, batch)
        return a[rows].T @ (a[rows] @ x - y[rows]) / len(y[rows])

    return gradient


every_rule = pytest.mark.parametrize("variant", rules.RULES)


class TestHealthy:
    @pytest.mark.parametrize("variant", sampled(rules.RULES, ["irprop-"]))
    @pytest.mark.parametrize("name", problems.PROBLEMS)
    def test_the_test_problems_have_no_findings(self, name, variant):
        fun, jac, x0, _ = problems.PROBLEMS[name]
        is_fast = name != "rosenbrock" or variant == "irprop-"  # thousands of iterations
        for options in (
            {"maxiter": None if is_fast else 1000},
            {"etas": (0.5, 1.2), "maxiter": 500},
            {"etas": (0.5, 1.2), "maxiter": 500, "pattern_every": None},
            {"maxiter": 50},
        ):
            r = minimize(fun, x0, jac=jac, variant=variant, trace=True, **options)
            explanation = r.trace.explain()
            found = [finding.name for finding in explanation.findings]
            if name == "rosenbrock" and not r.success and r.nit > 100:
                # With pattern moves some runs are nearly through the valley by then, and do not creep.
                assert found == ["valley"] or (not found and r.fun < 1e-5)
                continue
            assert not found
            assert str(explanation).endswith("Nothing looks wrong.")

    @every_rule
    @pytest.mark.parametrize(
        "gradient",
        [sphere, np.sign, lambda x: np.sign(x) * np.abs(x) ** 0.1, lambda x: np.float32(1e-15) * sphere(x)],
        ids=["sphere", "kink", "steep", "small"],
    )
    def test_kinks_are_not_noise_and_small_gradients_are_not_underflow(self, gradient, variant):
        assert names(traced(gradient, [3.0, -2.1, 0.7], 100, variant=variant, step_sizes=(0, 50))) == []

    @every_rule
    def test_the_full_batch_is_not_noise(self, variant):
        assert names(traced(regression(), np.zeros(5), 300, variant=variant, step_sizes=(0, 50))) == []

    def test_a_run_from_a_plain_into_mountains_is_not_noise(self):
        problem = nist.get("MGH09")
        trace = minimize(problem.objective, problem.starts[0], jac=True, trace=True, maxiter=4000).trace
        assert names(trace) == ["valley"]

    def test_one_of_many_coordinates_may_start_at_its_minimum(self):
        minimum = np.linspace(-3, 3, 1001) + 1e-5  # one of them is this near to 0
        assert names(traced(lambda x: x - minimum, np.zeros(1001), 60, step_sizes=(0, 50))) == []

    def test_a_few_steps_are_not_judged(self):
        assert names(traced(sphere, START, 10, step_sizes=(0.1, 50))) == []

    @pytest.mark.parametrize("maximize", [False, True])
    def test_kinks_along_the_axes_are_not_noise(self, maximize):
        sign = -1 if maximize else 1
        trace = traced(lambda x: sign * np.sign(x), [1.3, -0.77], 60, maximize=maximize, step_sizes=(1e-9, 50))
        assert names(trace) == []


class TestFaults:
    @every_rule
    def test_lower_clamp(self, variant):
        trace = traced(sphere, START, 200, variant=variant, step_sizes=(1e-2, 50))
        (finding,) = trace.explain().findings
        assert finding.name == "lower clamp"
        assert "0.01" in finding.what
        assert "lower the smallest step size" in finding.advice
        assert finding.coordinates.tolist() == [0, 1, 2]

    @every_rule
    def test_step_sizes_of_zero(self, variant):
        trace = traced(sphere, [1 + 1e-12, 0.5], 2000, variant=variant, step_sizes=(0, 50), lr=0.0)
        (finding,) = trace.explain().findings
        assert finding.name == "lower clamp"
        assert "shrunk to zero" in finding.what

    @every_rule
    def test_upper_clamp(self, variant):
        trace = traced(sphere, [30.0, -20.0, 9.0], 200, variant=variant, step_sizes=(1e-6, 1e-2))
        (finding,) = trace.explain().findings
        assert finding.name == "upper clamp"
        assert "raise the largest step size" in finding.advice

    @every_rule
    def test_oscillation(self, variant):
        assert names(traced(sphere, START, 200, variant=variant, etas=(0.99, 1.2))) == ["oscillation"]

    @every_rule
    def test_underflow(self, variant):
        trace = traced(lambda x: 1e-25 * sphere(x), np.array(START, np.float32), 100, variant=variant)
        (finding,) = trace.explain().findings
        assert finding.name == "underflow"
        assert "float32" in finding.what

    @pytest.mark.parametrize("variant", sampled(rules.RULES, ["irprop-"]))
    @pytest.mark.parametrize(("smallest", "steps"), [(0, 400), (1e-6, 400), (1e-9, 1000)])
    def test_noise(self, variant, smallest, steps):
        trace = traced(regression(20), np.zeros(5), steps, variant=variant, step_sizes=(smallest, 50))
        (finding,) = trace.explain().findings
        assert finding.name == "noise"
        assert "Rprop needs full batches" in finding.advice

    def test_noise_is_explained_by_the_product_of_the_etas(self):
        trace = traced(regression(20), np.zeros(5), 400, step_sizes=(0, 50))
        (finding,) = trace.explain().findings
        assert "The product of the etas is 0.6: the closer to 1" in finding.advice
        trace.groups[0]["etas"] = (0.9, 1.2)
        (finding,) = trace.explain().findings
        assert "The product of the etas is 1.08: with 1 or more" in finding.advice

    def test_noise_is_found_in_nearly_all_of_many_coordinates(self, rng):
        trace = traced(lambda x: x + rng.normal(size=x.size), np.full(3000, 3.0), 300)
        (finding,) = trace.explain().findings
        assert finding.name == "noise"
        assert finding.coordinates.size > 2900

    @every_rule
    def test_noise_when_maximizing(self, variant):
        gradient = regression(20)
        trace = traced(lambda x: -gradient(x), np.zeros(5), 400, variant=variant, maximize=True)
        assert names(trace) == ["noise"]

    def test_very_many_kinks_look_like_noise_and_are_mentioned(self, rng):
        a = rng.normal(size=(200, 30))
        y = a[:, :4].sum(axis=1) + rng.normal(size=200)
        trace = traced(lambda x: a.T @ np.sign(a @ x - y) / 200, np.zeros(30), 600, step_sizes=(0, 50))
        (finding,) = trace.explain().findings
        assert "or the objective has very many kinks" in finding.what
        assert "already comes from all the data, look for kinks" in finding.advice

    @every_rule
    def test_first_step_too_large(self, variant):
        trace = traced(sphere, [1.001, 0.999, 1.002], 60, variant=variant, lr=10.0)
        (finding,) = trace.explain().findings
        assert finding.name == "first step too large"

    def test_first_step_out_of_the_domain(self):
        fun, jac, _, _ = problems.PROBLEMS["barrier"]
        assert names(minimize(fun, [3.0, 3.0], jac=jac, trace=True, lr=1.0).trace) == []
        trace = minimize(fun, [3.0, 3.0], jac=jac, trace=True, lr=1e3).trace
        assert names(trace) == ["first step too large"]

    @every_rule
    def test_first_step_too_small(self, variant):
        trace = traced(sphere, START, 150, variant=variant, lr=1e-8, step_sizes=(1e-10, 50))
        (finding,) = trace.explain().findings
        assert finding.name == "first step too small"
        assert finding.coordinates.tolist() == [0, 1, 2]

    @every_rule
    def test_eta_minus_that_rounds_to_1(self, variant):
        trace = traced(sphere, np.array(START, np.float32), 60, variant=variant, etas=(0.99999999, 1.2))
        (finding,) = trace.explain().findings
        assert finding.name == "eta- rounds to 1"
        frozen = rules.RULES[variant].sign_change == rules.FACTOR_IS_ETA_MINUS
        assert ("never move" in finding.what) == frozen
        assert names(traced(sphere, np.array(START), 60, variant=variant, etas=(0.9, 1.2))) != ["eta- rounds to 1"]

    def test_eta_plus_that_rounds_to_1(self):
        trace = traced(sphere, np.array(START, np.float16), 60, etas=(0.5, 1.0001))
        assert names(trace) == ["eta+ rounds to 1"]

    def test_zero_gradients_and_gradients_that_are_not_finite(self):
        def gradient(x):
            return np.array([2 * x[0], 0.0, np.nan])

        explanation = traced(gradient, START, 30).explain()
        coordinates = {finding.name: finding.coordinates.tolist() for finding in explanation.findings}
        assert coordinates == {"no gradient": [1], "gradient not finite": [2]}


def noisy_values(level, rng, offset=1.0):
    """A bowl whose values have relative noise, and whose gradients have noise that fades towards the minimum."""

    def fun(x):
        f, g = offset + np.sum(np.arange(1, x.size + 1) * (x - 1) ** 2), 2 * np.arange(1, x.size + 1) * (x - 1)
        return f * (1 + level * rng.normal()), g * (1 + level * rng.normal(size=x.size))

    return fun


class TestValueAndGradient:
    @every_rule
    @pytest.mark.parametrize("n", [2, 5, 10])
    def test_noise_of_the_value_is_seen(self, variant, n, rng, tmp_path):
        for maximize, pattern_every in ((False, 20), (True, None)):
            noisy, sign = noisy_values(0.1, rng), -1 if maximize else 1
            r = minimize(
                lambda x: tuple(sign * v for v in noisy(x)),  # noqa: B023
                rng.normal(size=n) * 3,
                jac=True, variant=variant, maximize=maximize, pattern_every=pattern_every, maxiter=300, trace=True,
            )  # fmt: skip
            finding = r.trace.explain().findings[0]
            assert finding.name == "value and gradient" and len(finding.coordinates) == n
            assert "check_grad" in finding.advice
            r.trace.save(tmp_path / "trace.npz")
            assert str(Trace.load(tmp_path / "trace.npz").explain()) == str(r.trace.explain())

    def test_a_term_that_is_missing_in_the_gradient_is_seen(self):
        trace = stepped(lambda x: (np.sum(x**2) - 10 * np.sum(x), 2 * x), np.array([30.0, 20.0]), 60)
        assert names(trace) == ["value and gradient"]

    @pytest.mark.parametrize("factor", [0.5, -1e3, 1e-6])
    def test_a_gradient_with_another_factor_is_none(self, factor):
        # Rprop reads signs only, and people leave out the 2 of a square, or the number of points.
        trace = stepped(
            lambda x: (np.sum((x - 1) ** 2), factor * 2 * (x - 1)), np.array(START), 25, maximize=factor < 0
        )
        assert names(trace) == []

    @pytest.mark.parametrize("variant", sampled(rules.RULES, ["irprop-", "rprop+"]))
    def test_nor_are_nonconvex_objectives_constants_and_roundings(self, variant):
        def waves(x):
            return 10 * np.sum(1 - np.cos(6 * x)) + x @ x, 60 * np.sin(6 * x) + 2 * x

        def single(x):
            f, g = waves(x.astype(np.float32))
            return float(np.float32(f)), g.astype(float)

        def constant(x):
            return 7.0, waves(x)[1]

        for fun in (waves, single, constant):
            for steps in (60, 300):
                for trace in (
                    minimize(fun, START, jac=True, variant=variant, maxiter=steps, trace=True).trace,
                    stepped(fun, np.array(START), steps, variant=variant, step_sizes=(0, 50)),
                ):
                    assert "value and gradient" not in names(trace), fun


def test_coordinates_are_numbered_through_all_parameters():
    a, b = Parameter(np.array(START)), Parameter(np.array(START, np.float32))
    optimizer = Rprop([{"params": [a]}, {"params": [b], "etas": (0.99999999, 1.2)}])
    with Trace.attach(optimizer) as trace:
        for _ in range(30):
            a.grad, b.grad = sphere(a.data), sphere(b.data)
            optimizer.step()
    (finding,) = trace.explain().findings
    assert finding.coordinates.tolist() == [3, 4, 5]


def test_a_parameter_without_gradients_is_not_a_fault():
    a, b = Parameter(np.array(START)), Parameter(np.ones(2))
    optimizer = Rprop([a, b])
    with Trace.attach(optimizer) as trace:
        for _ in range(40):
            a.grad = sphere(a.data)
            optimizer.step()
    assert names(trace) == []
    assert np.isnan(trace.size[:, 3:]).all()
    assert "of irprop- on 5 coordinates" in str(trace.explain())


def test_findings_are_the_same_after_thinning():
    for gradient, name in ((regression(20), "noise"), (sphere, "lower clamp")):
        p = Parameter(np.zeros(5))
        optimizer = Rprop([p])
        with Trace.attach(optimizer, limit=100_000) as trace:
            for _ in range(1500):
                p.grad = gradient(p.data)
                optimizer.step()
        assert trace.stride > 1
        assert names(trace) == [name]


def shares(trace):
    """The percentages of steps with the same sign, another one, and neither, as the summary tells them."""
    text = " ".join(trace.explain().summary)
    kept, changed = map(int, re.search(r"kept its sign in (\d+)% .* changed it in (\d+)%", text).groups())
    neutral = re.search(r"The other (\d+)% were neutral: ([^.]*)\.", text)
    return kept, changed, *(neutral.groups() if neutral else (0, ""))


@every_rule
def test_the_shares_of_the_steps_add_up(variant):
    trace = traced(sphere, START, 60, variant=variant)
    kept, changed, neutral, why = shares(trace)
    steps, first = trace.n * trace.steps, 100 / trace.steps
    products = trace.counts["grew"].sum() + trace.counts["shrank"].sum()
    assert int(neutral) == pytest.approx(100 * (1 - products / steps), abs=1)
    assert kept + changed + int(neutral) == 100
    cleared = rules.RULES[variant].memory == rules.CLEARED
    assert (int(neutral) > 20) == cleared and (cleared or int(neutral) == pytest.approx(first, abs=1))
    assert why == "the gradient or the stored one was 0" + (", as the latter is after a change" if cleared else "")


def test_each_cause_of_neutral_steps_is_told():
    zeros = traced(np.zeros_like, START, 30)
    assert shares(zeros) == (0, 0, "100", "the gradient or the stored one was 0")
    tiny = traced(lambda x: np.full_like(x, 1e-200), START, 30)
    assert shares(tiny)[-1] == "the gradient or the stored one was 0, or their product underflowed"
    with np.errstate(invalid="ignore"):
        nan = traced(lambda x: np.full_like(x, np.nan), START, 30)
    assert shares(nan)[-1] == "the gradient or the stored one was 0, or the gradient was not finite"
    assert "kept its sign" not in str(
        minimize(lambda x: (0.0, 0 * x), START, jac=True, trace=True).trace.explain()
    )
