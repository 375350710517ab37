"""An implementation that is right agrees, and a mistake is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cases import sampled
from implementations import Branches, ours

from benchmarks.unknown_rules import unknown_rules
from rprop_ref import crosscheck, rules
from rprop_ref._core import vectors
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    DEVIATIONS,
    PROFILES,
    check,
    conformance_cases,
    mutant,
)
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._comparison.behaviour import behaviour_sheet
from rprop_ref.crosscheck._comparison.comparison import Comparison
from rprop_ref.crosscheck._comparison.divergence import first_divergence
from rprop_ref.crosscheck._comparison.expected import expected_trajectories
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._diagnosis import diagnose
from rprop_ref.crosscheck._diagnosis.diagnose import _reduced
from rprop_ref.crosscheck._stages.compositions import remedy
from rprop_ref.crosscheck._stages.optimizer import ComposedOptimizer
from rprop_ref.crosscheck._stages.stages import ARITHMETIC, changed

# --- what is right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "dtypes"),
    [
        ("irprop-", ["float64"]),
        *(
            pytest.param(variant, [*available_reals(), "complex64", "complex128"], marks=pytest.mark.exhaustive)
            for variant in rules.RULES
        ),
    ],
)
def test_the_rprop_of_this_package_agrees_in_every_dtype(variant, dtypes):
    report = check(ours(variant), variant, dtypes=dtypes, random=40)
    assert report.agrees, str(report)
    assert report.first_divergence is None
    assert report.diagnosis is None
    assert report.ulps == 0
    assert not report.zeros
    assert report.compared == ("x", "step_size", "prev", "gradient")
    assert report.headline == f"This is {variant}, to the last bit."
    assert report.left_out.keys() == {"lr per coordinate", "bounds"}


@pytest.mark.parametrize("variant", sampled(rules.RULES, ["irprop-"]))
def test_a_step_of_minimize_within_bounds_agrees(variant):
    class Bounded:
        def __init__(self, x0, *, lr, etas, step_sizes, maximize, bounds=(-np.inf, np.inf)):
            kind, self.direction = x0.dtype.type, -1 if maximize else 1
            self.x, self.prev, self.step_size = x0, np.zeros_like(x0), np.full_like(x0, lr)
            self.last_x, self.before, self.bounds = x0.copy(), x0.copy(), tuple(map(kind, bounds))
            self.constants, self.loss = tuple(map(kind, (*etas, *step_sizes, 0, 1, 1))), np.nan

        def step(self, grad, loss=None):
            worse = loss * self.direction > self.loss * self.direction
            self.loss = loss
            vectors.move_within_bounds(
                variant, self.x, self.direction * grad, self.prev, self.step_size, self.constants, worse, self.last_x,
                *self.bounds, self.before, rules.RULES[variant].undoes(worse),
            )  # fmt: skip
            self.last_x[:] = self.x
            return self.x

    def factory(x0, **setting):
        return Bounded(x0, **setting)

    factory.accepts_bounds = True
    # Taking a move back, minimize restores the point even without bounds, where the rule computes it.
    takes_back = rules.RULES[variant].undoes(worse=True)
    without = ["objectives"] if takes_back else []
    report = check(factory, variant, dtypes=["float64", "float32"], without=without, random=0, diagnosis=False)
    assert "bounds" not in report.left_out
    assert not report.refused
    bounded = [d for d in report.divergences if d.case.bounds]
    assert not bounded, str(bounded[0])
    if not takes_back:
        assert report.agrees, str(report)


def test_a_plain_numpy_implementation_agrees():
    crosscheck.assert_conforms(Branches, dtypes="float64", without=["nan", "etas"], random=30)


@pytest.mark.exhaustive
def test_the_two_rules_called_irprop_minus_are_told_apart():
    report = check(ours("irprop-go"), "irprop-", random=20)
    assert report.verdict == "a different rule"
    names = [set(explanation.names) for explanation in report.diagnosis.explanations]
    assert names == [{"flip found by the sign", "moves on at a flip"}]
    assert report.first_divergence.step == 2
    assert list(report.smallest.case.g.ravel()) == [1, -1]


# --- what is wrong --------------------------------------------------------------------------------------------


def diagnosed(claim, names, **options):
    report = check(mutant(claim, names), claim, **options)
    return report, [set(e.names) for e in report.diagnosis.explanations] if report.diagnosis else []


#: One deviation of each kind; `make bench` has all of them, all pairs and 2,000 triples.
SINGLES = [
    "moves on at a flip", "memory starts as the first gradient", "one step late", "a NaN product shrinks",
    "missing gradient is zero", "flip found by the sign", "subnormals flushed", "shared step size", "lr re-read",
    "memory is the caller's array",
]  # fmt: skip


@pytest.mark.parametrize("name", sampled(SINGLES, ["moves on at a flip", "subnormals flushed", "lr re-read"]))
def test_a_single_deviation_is_named(name):
    dtypes = ["float64", "float16"] if DEVIATIONS[name].slot in ("constants", ARITHMETIC) else ["float64"]
    if name in ("subnormals flushed", "flip found by the sign"):
        dtypes = ["float32"]
    report, explanations = diagnosed("irprop-", [name], dtypes=dtypes, random=20)
    assert {name} in explanations
    assert all(len(names) == 1 for names in explanations)
    assert report.verdict != "identical"
    text = str(report)
    assert name in text
    assert DEVIATIONS[name].does in text
    assert f"To agree: {remedy(COMPOSITIONS['irprop-'], DEVIATIONS[name])}\n" in text


@pytest.mark.parametrize(
    ("claim", "names"),
    [
        ("irprop+", ["error test: rose or equal"]),
        ("irprop-", ["mirrored", "NaN poisons"]),
        *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in (
            ("irprop+", ["error test: one step late"]),
            ("irprop+", ["error test: NaN is worse"]),
            ("irprop+", ["takes back the wrong way"]),
            ("rprop+", ["last point restored"]),
            ("rprop+", ["last move lost on resume"]),
            ("rprop-", ["moves by gradient times step", "no lower limit"]),
            ("irprop-go", ["one step late", "a zero product grows"]),
            ("irprop-", ["one step late", "not clamped when neutral", "stores the move", "flip found by the sign",
                         "a NaN product shrinks", "NaN poisons"]),
        )),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}",
)  # fmt: skip
def test_combinations_are_named(claim, names):
    _, explanations = diagnosed(claim, names, dtypes=["float64"], random=20)
    assert set(names) in explanations


def test_deviations_that_no_case_tells_apart_are_all_listed():
    _, explanations = diagnosed("irprop-", ["stores the sign"], dtypes=["float64"], without=["prev"], random=10)
    assert explanations == [{"signs compared"}, {"stores the sign"}]
    report, explanations = diagnosed("irprop-", ["stores the sign"], dtypes=["float64"], random=10)
    assert report.signs
    assert {"stores the sign"} in explanations
    assert "Its prev holds signs only." in str(report)


#: Two of fifty; `make bench` has all of them.
UNKNOWN = {"grows by 1.1": "complex64", "momentum": "float64"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("unknown", [row for row in unknown_rules() if row[0] in UNKNOWN], ids=lambda row: row[0])
def test_an_unknown_deviation_is_not_given_a_name(unknown):
    rule = changed(COMPOSITIONS["irprop-"], (unknown[1],))
    dtype = UNKNOWN[unknown[0]]
    report = check(
        lambda x0, **setting: ComposedOptimizer(rule, x0, **setting), "irprop-", dtypes=[dtype], random=0
    )
    assert report.verdict in ("a different rule", "same rule, rounding differs")
    assert all(explanation.learned for explanation in report.diagnosis.explanations)
    # Where experiments have explained it, no leads are sought.
    assert 1 <= len(report.diagnosis.nearest) <= 3 or report.learned.explained
    assert ("no known deviation" in str(report)) == (report.learned.rule is None)
    if report.learned.rule is None:
        assert report.learned.outside[0].startswith("signs in a way")
        assert report.learned.headline.startswith("No per-coordinate sign rule was found")
    assert {row.what for row in report.behaviour} >= {"first step", "flip", "zero", "NaN", "maximize"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
def test_the_behaviour_sheet_works_in_every_dtype(dtype):
    (change,) = (row[1] for row in unknown_rules() if row[0] == "grows by 1.1")
    rule = changed(COMPOSITIONS["irprop-"], (change,))
    sheet = behaviour_sheet(
        lambda x0, **setting: ComposedOptimizer(rule, x0, **setting), "irprop-", [dtype], frozenset()
    )
    rows = {row.what: row for row in sheet}
    assert all(row.error is None for row in rows.values())
    assert rows["first step"].got == rows["first step"].expected
    assert rows["agreement"].got != rows["agreement"].expected
    assert float(rows["product underflows"].script.split()[2]) > 0


@pytest.mark.exhaustive
def test_x_is_explained_even_if_prev_means_something_else():
    class Odd(ComposedOptimizer):
        prev = property(lambda self: 7 * self.x)

    rule = changed(COMPOSITIONS["irprop-"], (DEVIATIONS["mirrored"],))
    report = check(lambda x0, **setting: Odd(rule, x0, **setting), "irprop-", dtypes=["float64"], random=5)
    assert [e.names for e in report.diagnosis.explanations] == [("mirrored",)]
    assert not report.diagnosis.complete
    assert "explains x, to the bit, but not the step_size or prev shown" in str(report)


def observed_of(names):
    cases = conformance_cases(["float64"])[:20]
    trajectories = [observe(mutant("irprop-", names), case) for case in cases if not case.needs & {"none"}]
    expected = expected_trajectories("irprop-", [t.case for t in trajectories])
    failing = {
        i
        for i, (a, b) in enumerate(zip(expected, trajectories, strict=True))
        if first_divergence(a, b) is not None
    }
    return COMPOSITIONS["irprop-"], trajectories, failing


@pytest.mark.exhaustive
def test_a_search_that_goes_on_tries_nothing_twice(monkeypatch):
    tried = []
    all_sets = diagnose._all_sets
    monkeypatch.setattr(diagnose, "_all_sets", lambda rule, size: tried.append(size) or all_sets(rule, size))
    names = ["one step late", "a zero product grows", "one limit per branch", "memory kept at a flip"]
    search = diagnose.DeviationSearch(*observed_of(names))
    assert search.diagnosis(2).found_nothing
    assert tried == [1, 2, 3, 1, 2]  # with the state; then x alone
    count = search.diagnosis(2).tried
    assert search.diagnosis(3).tried == count + 1  # whether x is that of the rule
    assert tried.count(3) == 1
    explanation = search.diagnosis().explanations[0]
    assert set(explanation.names) == set(names)
    assert tried.count(3) == 1
    assert search.diagnosis(1).explanations[0] == explanation  # what was found stays found


@pytest.mark.exhaustive
def test_the_parts_of_a_published_set_are_tried_before_the_search_grows_sets(monkeypatch):
    monkeypatch.setattr(diagnose, "_beam_search", lambda evidence: pytest.fail("it should not be needed"))
    published = PROFILES["optax-0.2.8"].changes
    names = [a.name for a in published if a.slot not in ("arithmetic", "constants", "mend")]
    assert len(names) > 5
    search = diagnose.DeviationSearch(*observed_of(names), published=[published])
    assert search.diagnosis(1).found_nothing is False
    (explanation, *_) = search.diagnosis(1).explanations
    assert set(explanation.names) <= set(names)


def test_a_large_explanation_does_not_replace_a_smaller_one():
    small = tuple(DEVIATIONS[name] for name in ("moves on at a flip", "maximize has no effect"))
    large = tuple(DEVIATIONS[name] for name in ("mirrored", "signs compared", "NaN poisons"))
    redundant = (*large, DEVIATIONS["one limit per branch"])

    class Explained:
        """Evidence that only these sets explain."""

        rule = COMPOSITIONS["irprop-"]

        @staticmethod
        def explaining(candidates):
            return [c for c in candidates if frozenset(c) in {frozenset(s) for s in (small, large, redundant)}]

    assert _reduced(Explained(), [redundant, small]) == [small]


def test_results_that_change_from_run_to_run_are_reported():
    rng = np.random.default_rng(3)

    class Uninitialised(Branches):
        def step(self, grad, loss=None):
            bad = np.isnan(grad)
            self.size[bad] = rng.random(bad.sum())
            return super().step(np.where(bad, 0, grad), loss)

    report = check(Uninitialised, "irprop-", dtypes=["float64"], random=40)
    assert report.verdict == "a different rule"
    assert report.unsteady
    assert "NaN gradients" in report.unsteady[0]
    assert "Not reproducible" in str(report)


def test_a_difference_that_is_not_reproducible_is_not_given_a_name():
    calls = 0

    class Once(Branches):
        def step(self, grad, loss=None):
            nonlocal calls
            calls += 1
            return super().step(grad, loss) * (1.01 if calls == 40 else 1)

    report = check(Once, "irprop-", dtypes=["float64"], without=["nan", "etas"], random=5)
    assert report.verdict == "a different rule"
    assert len(report.unsteady) == 1
    assert report.diagnosis is None
    assert "All reproducible results agree with the rule." in str(report)


def test_noise_is_not_given_a_name():
    rng = np.random.default_rng(5)

    class Noise(Branches):
        def __init__(self, x0, **setting):
            super().__init__(x0, **setting)
            self.noise = 1e-3 * rng.random() if rng.random() < 0.3 else 0

        def step(self, grad, loss=None):
            return super().step(grad, loss) + self.noise

    report = check(Noise, "irprop-", dtypes=["float64"], without=["nan", "etas"], random=60)
    assert len(report.unsteady) > 10
    assert report.diagnosis is None
    assert report.behaviour == []
    assert "All reproducible results agree with the rule." in str(report)


def test_a_reproducible_difference_is_shown_rather_than_noise():
    rng = np.random.default_rng(5)

    class Mixed(Branches):
        def step(self, grad, loss=None):
            if self.direction == -1:
                self.direction = 1
            return super().step(grad, loss) + (rng.random() if grad.size == 6 else 0)

    report = check(Mixed, "irprop-", dtypes=["float64"], without=["nan", "etas"], random=0)
    assert report.unsteady
    assert report.smallest.case.maximize
    assert [e.names for e in report.diagnosis.explanations] == [("maximize has no effect",)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["prev", "step_size"])
def test_a_right_rule_with_another_meaning_of_its_state_is_not_given_a_name(name):
    class Odd(ComposedOptimizer):
        pass

    setattr(Odd, name, property(lambda self: 2 * getattr(super(Odd, self), name) + 1))
    report = check(
        lambda x0, **setting: Odd(COMPOSITIONS["irprop-"], x0, **setting), "irprop-", dtypes=["float64"], random=5
    )
    assert report.verdict == "a different rule"
    assert report.diagnosis.state_only == (name,)
    assert f"without=['{name}']" in str(report)
    assert report.diagnosis.explanations == []
    assert report.behaviour == []
    assert "x agrees with irprop- everywhere, to the bit" in str(report)
    assert json.loads(report.to_json())["diagnosis"]["state_only"] == [name]


def test_a_jump_is_not_rounding():
    class Jumps(ComposedOptimizer):
        t = 0

        def step(self, grad, loss=None):
            self.t += 1
            x = super().step(grad, loss)
            return x + x.dtype.type(0.5) * (self.t == 45)

    comparison = Comparison(
        lambda x0, **setting: Jumps(COMPOSITIONS["irprop-"], x0, **setting), "irprop-", frozenset()
    )
    comparison.add([case for case in conformance_cases(["bfloat16"]) if not case.needs & {"none", "bounds"}])
    assert any(comparison.divergences)
    assert comparison.verdict()[0] == "a different rule"


@pytest.mark.exhaustive
def test_noise_in_later_cases_is_found_when_nothing_explains_the_results():
    rng = np.random.default_rng(5)

    class Late(ComposedOptimizer):
        def step(self, grad, loss=None):
            x = super().step(grad, loss)
            return x + (rng.random() if x.size == 6 else 0)

    rule = changed(COMPOSITIONS["irprop-"], (DEVIATIONS["moves on at a flip"],))
    report = check(lambda x0, **setting: Late(rule, x0, **setting), "irprop-", dtypes=["float64"], random=20)
    assert report.unsteady
    assert [e.names for e in report.diagnosis.explanations] == [("moves on at a flip",)]


@pytest.mark.exhaustive
def test_rounding_that_changes_from_run_to_run_is_not_the_same_rule():
    rng = np.random.default_rng(5)

    class Late(ComposedOptimizer):
        def step(self, grad, loss=None):
            x = super().step(grad, loss)
            return x * (1 + np.finfo(x.dtype).eps * (rng.integers(2) if x.size == 6 else 1))

    report = check(
        lambda x0, **setting: Late(COMPOSITIONS["irprop-"], x0, **setting), dtypes=["float64"], random=20
    )
    assert report.unsteady
    assert report.verdict == "a different rule"
    assert not report.agrees_within(4)


def test_an_error_that_does_not_happen_again_is_reported():
    runs = 0

    class FailsOnce(Branches):
        def __init__(self, x0, **setting):
            nonlocal runs
            runs += 1
            super().__init__(x0, **setting)
            self.steps_left = 3 if runs < 6 else 1000

        def step(self, grad, loss=None):
            if not self.steps_left:
                raise RuntimeError("no memory")
            self.steps_left -= 1
            return 1.5 * super().step(grad, loss)

    report = check(FailsOnce, "irprop-", dtypes=["float64"], without=["nan"], random=0, diagnosis=False)
    assert report.verdict == "a different rule"
    assert report.unsteady


@pytest.mark.parametrize("signs", [False, True])
def test_the_meaning_of_prev_is_recognised_from_the_first_case_that_runs(signs):
    class One(Branches):
        """Takes one coordinate only. Its prev is stored before maximize, or holds signs."""

        def __init__(self, x0, **setting):
            if x0.size > 1:
                raise ValueError("one coordinate only")
            super().__init__(x0, **setting)
            self.inner = np.zeros_like(x0)

        def step(self, grad, loss=None):
            self.prev = self.inner
            x = super().step(grad, loss)
            self.inner = self.prev
            self.prev = np.sign(self.inner) if signs else self.direction * self.inner
            return x

    report = check(One, "irprop-", dtypes="float64", without=["nan", "etas"], random=0)
    assert report.verdict == "could not run"
    assert report.divergences == []


def test_a_report_says_how_many_cases_its_explanation_rests_on():
    calls = 0

    class Brief(ComposedOptimizer):
        def step(self, grad, loss=None):
            nonlocal calls
            calls += 1
            if calls > 30:
                raise MemoryError
            return super().step(grad, loss)

    rule = changed(COMPOSITIONS["irprop-"], (DEVIATIONS["memory kept at a flip"],))
    report = check(lambda x0, **setting: Brief(rule, x0, **setting), "irprop-", dtypes=["float64"], random=0)
    assert 0 < report.diagnosis.cases < 5
    assert "everything observed in" in str(report)
    assert len(str(report).splitlines()) < 80


def test_a_report_names_the_feature_that_all_refused_cases_need():
    class NoNaN(Branches):
        def step(self, grad, loss=None):
            if np.isnan(grad).any():
                raise ValueError("not a number")
            return super().step(grad, loss)

    report = check(NoNaN, "irprop-", dtypes=["float64"], without=["etas"])
    assert report.verdict == "could not run"
    assert report.failed_need == "nan"
    assert "All errors are in cases that need 'nan'; without=['nan'] leaves these cases out." in str(report)
    assert "ValueError: not a number (test_check.py:" in str(report)
    assert check(NoNaN, "irprop-", dtypes=["float64"], without=["etas", "nan"], random=0).agrees
