"""Verdicts, reports, Python scripts and error messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cases import thinned
from implementations import Branches, Ours

from rprop_ref import crosscheck
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    DEVIATIONS,
    CouldNotRun,
    check,
    checking,
    conformance_cases,
    mutant,
)
from rprop_ref.crosscheck._cases.case import FEATURES
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._cases.tiers import HYPERPARAMETERS, ORDINARY
from rprop_ref.crosscheck._comparison.divergence import first_divergence, ulps_apart
from rprop_ref.crosscheck._comparison.trajectory import Trajectory
from rprop_ref.crosscheck._stages.compositions import remedy
from rprop_ref.crosscheck._stages.optimizer import ComposedOptimizer
from rprop_ref.crosscheck._stages.stages import changed


@pytest.mark.exhaustive
def test_rounding_is_distinguished_from_another_rule():
    factory = mutant("irprop-", ["etas in double"])
    report = check(factory, "irprop-", dtypes=["float32"], random=20)
    assert report.verdict == "same rule, rounding differs"
    assert 0 < report.ulps < 100
    assert report.agrees_within(report.ulps)
    assert not report.agrees_within(report.ulps / 2)
    assert not report.agrees
    assert "rounding differs by at most" in report.headline
    crosscheck.assert_conforms(factory, ulps=report.ulps, dtypes=["float32"], random=20)
    with pytest.raises(AssertionError, match="etas in double"):
        crosscheck.assert_conforms(factory, dtypes=["float32"], random=20)


def test_rounding_elsewhere_does_not_hide_cases_that_raise():
    inner = mutant("irprop-", ["etas in double"])

    def factory(x0, *, maximize, **setting):
        if maximize:
            raise NotImplementedError("no maximize")
        return inner(x0, maximize=maximize, **setting)

    report = check(factory, "irprop-", dtypes=["float32"], random=20)
    assert report.verdict == "could not run"
    assert not report.agrees_within(1e9)
    assert "no maximize" in str(report)


def test_a_report_as_text_json_and_html():
    report = check(mutant("irprop-", ["moves on at a flip"]), "irprop-", dtypes=["float64"], random=5)
    first = report.first_divergence
    assert (first.case.name, first.step, first.quantity) == ("basics", 2, "x")
    assert first.script == "flips"
    assert float(first.expected) == -0.1
    assert float(first.got) == -0.05
    assert str(first).endswith("x is -0.05 instead of -0.1")  # decimals show it
    data = json.loads(report.to_json())
    assert data["verdict"] == report.verdict
    assert data["diagnosis"]["explanations"][0][0]["name"] == "moves on at a flip"
    assert data["smallest"]["step"] == 2
    assert data["divergences"][0]["got_hex"] == (-0.05).hex()
    assert "moves on at a flip" in report._repr_html_()
    assert report.to_html().startswith("<!DOCTYPE html>")
    assert report.to_html().count("<body>") == 1


class Stumbles(Branches):
    def step(self, grad, loss=None):
        if (grad * self.prev < 0).any():
            raise RuntimeError("not yet written")
        return super().step(grad, loss)


@pytest.mark.parametrize(
    ("claim", "names", "options", "quantity"),
    [
        ("irprop-", ["moves on at a flip"], {}, "x"),
        ("irprop-", ["moves on at a flip"], {"dtypes": ["complex64"], "without": ["scripts"]}, "x"),
        ("irprop-", ["memory kept at a flip"], {"dtypes": ["float32"]}, "prev"),
        ("irprop-", ["writes zeros into the gradient"], {}, "gradient"),
        ("rprop+", ["step size cut at a wall"], {"without": ["inf", "nan"]}, "step_size"),
        *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in (
            ("irprop-", ["moves on at a flip"], {"without": ["scripts"]}, "x"),
            ("irprop-", ["moves on at a flip"], {"without": ["scripts"], "dtypes": ["bfloat16"]}, "x"),
            ("irprop-", ["moves on at a flip"], {"dtypes": ["complex64"]}, "x"),
            ("irprop-", ["memory is the caller's array"], {}, "x"),
            ("irprop-", ["etas in double"], {"dtypes": ["float16"]}, "step_size"),
            ("irprop-", ["etas in double"], {"dtypes": ["float32"], "without": ["step_size"]}, "x"),
            ("irprop-", ["lr re-read"], {"dtypes": ["float32"]}, "x"),
            ("rprop+", ["memory lost on resume"], {"dtypes": ["float32"]}, "x"),
            ("irprop-", ["missing gradient is zero"], {"dtypes": ["float32"]}, "prev"),
            ("irprop-", ["maximize has no effect"], {}, "x"),
            ("irprop-", ["no lower limit"], {"dtypes": ["complex128"], "without": ["scripts"]}, "x"),
        )),
    ],
)  # fmt: skip
def test_the_python_script_runs_and_shows_the_difference(claim, names, options, quantity):
    if "bfloat16" in options.get("dtypes", ()) and "bfloat16" not in available_reals():
        pytest.skip("bfloat16 needs ml_dtypes")
    report = check(mutant(claim, names), claim, **{"dtypes": ["float64"], **options}, random=0, diagnosis=False)
    assert report.smallest.quantity == quantity
    text = report.script(f"from rprop_ref import crosscheck; factory = crosscheck.mutant({claim!r}, {names!r})")
    assert len(text.splitlines()) <= 15
    printed = []
    # The script runs as it is; only what it prints is captured.
    exec(text, {"print": lambda *values: printed.append(values)})
    step, got = report.smallest.step, float(report.smallest.got)
    last, values = printed[step - 1]
    assert last == step
    values = np.array([values] if np.ndim(values) == 0 else values).view(float)
    assert got in values
    assert text.rstrip().endswith(f"{quantity} should be {float(report.smallest.expected)!r}, and is {got!r}")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"lr": np.array([0.1, 0.2])}, ["adapts after the move"]),
        ({"reused": True, "none": frozenset([1])}, ["missing gradient is zero"]),
        ({"resumed": frozenset([2]), "edits": {2: {"lr": 1.0}}}, ["lr re-read"]),
        ({"dtype": "float32"}, ["computed in double"]),
    ],
)
def test_the_python_script_repeats_every_feature_of_a_case(change, names, monkeypatch):
    dtype = change.get("dtype", "float64")
    g = np.array([[1, 1], [1, 1], [1, -1], [1, 1], [1, 1]], dtype)
    case = crosscheck.Case("made up", "to be written down", **{"dtype": dtype, **change}, g=g, x0=np.zeros(2, dtype),
                           loss=(0.0,) * 5, scripts=("a", "b"))  # fmt: skip
    monkeypatch.setattr(checking, "conformance_cases", lambda dtypes: [case])
    factory = mutant("irprop-", names)

    def wrapped(x0, **setting):
        run = factory(x0, **setting)
        step = run.step
        run.step = lambda grad, loss=None: step(grad, loss=loss).tolist()  # some implementations return a list
        return run

    wrapped.accepts_lr_array = True
    report = check(wrapped, "irprop-", dtypes=dtype, random=0, diagnosis=False)
    assert not report.agrees
    printed = []
    text = report.script(f"from rprop_ref import crosscheck; factory = crosscheck.mutant('irprop-', {names!r})")
    exec(text, {"print": lambda *values: printed.append(values)})
    assert float(report.smallest.got) in printed[report.smallest.step - 1][1]


def test_a_report_says_everything_once():
    report = check(
        mutant("rprop-", ["one limit per branch"]), "rprop-", dtypes=["float64"], without=["set"], random=0
    )
    first, second, third, *rest = str(report).splitlines()
    assert first == (
        "This is rprop-, except where lr is outside step_sizes: one limit per branch. "
        "Known in: the papers, OpenCV, Shark."
    )
    assert second == "To agree: Clamp at both ends on every step; the upper limit wins."
    assert '--without "lr outside step_sizes"' in third
    text = "\n".join(rest)
    assert text.index("Smallest Python script") < text.index("Cases that agree with") < text.index("Diagnosis")
    for once in (second, "Known in", "Diagnosis", "Smallest", f"instead of {float(report.smallest.expected)!r}"):
        assert str(report).count(once) <= 1
    assert "loss" not in text
    assert "0x" not in text
    assert "<details>" in report._repr_html_()


@pytest.mark.parametrize("word", [*FEATURES, "prev", "step_size"])
def test_the_guide_has_a_sentence_for_every_word_of_without(word):
    guide = (Path(__file__).parents[2] / "docs" / "crosscheck.md").read_text()
    assert re.search(rf'^\| .*`"{word}"`.* \| .+ \|$', guide, re.MULTILINE)


def test_the_smallest_script_of_coupled_coordinates_has_two():
    report = check(
        mutant("irprop-", ["shared step size"]), "irprop-", dtypes=["float64"], random=0, diagnosis=False
    )
    assert report.smallest.case.size == 2
    assert report.smallest.case.steps == 2


def test_losses_are_in_the_script_of_a_rule_that_reads_them():
    report = check(mutant("irprop+", ["error test: reversed"]), "irprop+", dtypes="float64", random=0)
    assert "loss=losses[t]" in report.script()
    reads = type(
        "Reads", (Branches,), {"step": lambda self, grad, loss: Branches.step(self, np.sign(loss) * grad)}
    )
    assert "loss=losses[t]" in check(reads, "rprop-", dtypes="float64", random=0, diagnosis=False).script()


def test_causes_come_in_the_order_of_how_much_each_explains():
    names = ["one limit per branch", "memory kept at a flip"]
    report = check(mutant("irprop-", names), "irprop-", dtypes=["float64"], random=10)
    assert (
        report.headline
        == "This is not irprop-: memory kept at a flip; outside ordinary use: one limit per branch."
    )
    assert [point.text for point in report.points] == ["memory kept at a flip", "one limit per branch"]


@pytest.mark.parametrize(
    ("claim", "names"),
    [
        ("irprop-", ["flip found by the sign", "a zero product shrinks"]),
        *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in thinned((
            ("irprop+", ["error test: reversed", "one limit per branch", "NaN poisons"]),
            ("irprop-", ["a zero product is a flip", "stays at a flip"]),
            ("rprop+", ["takes back the shrunk step", "memory kept at a flip"]),
        ), 3)),
    ],
)  # fmt: skip
def test_the_remedies_lead_to_agreement_and_none_of_them_can_be_left_out(claim, names):
    report = check(mutant(claim, names), claim, dtypes=["float64"], random=20)
    names = report.diagnosis.explanations[0].names
    needed = [point.text for point in report.points if point.remedy]
    inner = {point.text for point in report.points if point.tier in (ORDINARY, HYPERPARAMETERS)}
    assert report.to_agree == " ".join(point.remedy for point in report.points if point.remedy)
    assert {point.text for point in report.points} == set(names)

    def agrees_with(left):
        return check(mutant(claim, left), claim, dtypes=["float64"], random=20, diagnosis=False).agrees

    rest = [name for name in names if name not in needed]
    assert agrees_with(rest)
    assert not any(agrees_with([*rest, name]) for name in needed)
    assert str(report).count("Makes no difference once the rest is mended.") == len(rest)
    common = set.intersection(*(set(explanation.names) for explanation in report.diagnosis.explanations))
    assert all(name in report.headline for name in needed if name in inner & common)
    assert not any(name in report.headline for name in needed if name not in common)
    assert not any(name in report.headline for name in rest)


def test_a_remedy_that_is_not_needed_is_not_printed():
    names = ["flip found by the sign", "a zero product shrinks"]
    report = check(mutant("irprop-", names), "irprop-", dtypes=["float64"], random=0)
    assert report.headline == "This is not irprop-: a zero product shrinks."
    assert report.to_agree == "Grow if the product is > 0, shrink if it is < 0, and otherwise keep the step size."


def test_an_implementation_that_never_moves_is_told_in_one_line():
    class Copies(Branches):
        def step(self, grad, loss=None):
            before = self.x.copy()
            super().step(grad, loss)
            self.x = before
            return before

    report = check(Copies, "rprop-", dtypes=["float64"], random=5)
    assert report.headline == "This is not rprop-: x never moves."
    assert report.to_agree == "Let step return the parameters that it changes."
    assert [e.names for e in report.diagnosis.explanations] == [("x never moves",)]
    assert "Every step returns the parameters that the factory was given." in str(report)


def test_what_a_tier_shows_first_is_told_there():
    report = check(
        mutant("irprop-", ["NaN poisons", "moves on at a flip"]), "irprop-", dtypes=["float64"], random=0
    )
    assert {point.text: point.tier for point in report.points} == {
        "moves on at a flip": "ordinary use",
        "NaN poisons": "numbers",
    }
    told = "This is not irprop-: moves on at a flip (and 1 point that ordinary use does not show). Known in: Shark"
    assert report.headline.startswith(told)
    assert report.to_agree.endswith("Let the sign of a NaN gradient be 0.")
    lines = str(report).splitlines()
    (numbers,) = (i for i, line in enumerate(lines) if line.startswith("  numbers "))
    assert lines[numbers + 1] == "      NaN poisons"
    assert [point["tier"] for point in report.to_dict()["points"]] == ["ordinary use", "numbers"]


@pytest.mark.parametrize(
    ("deviation", "cure"),
    [
        ("a NaN product makes the step the smallest", "Let the factor be 1 where the product is NaN."),
        ("zero is positive", "Let the sign of 0 be 0."),
        ("NaN poisons", "Let the sign of a NaN gradient be 0."),
        ("products under 1e-13 are zero", "Let every product count, however small."),
        ("shared step size", "Give every coordinate a step size of its own."),
        ("subnormals flushed", "Keep subnormal numbers."),
    ],
)
def test_the_remedy_is_that_of_the_deviation_not_of_its_neighbour(deviation, cure):
    assert remedy(COMPOSITIONS["rprop-"], DEVIATIONS[deviation]) == cure


def test_the_same_error_in_all_cases_is_one_error():
    class Scalars(Branches):
        """Loops over NumPy scalars, and takes signs as one does with Python floats."""

        def step(self, grad, loss=None):
            return np.array([x - ((g > 0) - (g < 0)) * 0.1 for x, g in zip(self.x, grad, strict=True)])

    report = check(Scalars, "irprop-", dtypes=["float64"], random=3)
    first, second, *rest = str(report).splitlines()
    assert first.startswith("This could not be run: TypeError: numpy boolean subtract")
    assert second.startswith("Your code subtracts NumPy booleans: gradients are NumPy scalars")
    assert f"{report.cases + report.random} cases ended with this error, all before the first step." in rest
    assert str(report).count("numpy boolean subtract") == 1


@pytest.mark.parametrize(
    ("kind", "dtypes"),
    [(list, ("float64",)), (tuple, ("float64",)), (float, ("float64",)), (np.asarray, ("float64", "float32"))],
)
def test_lists_tuples_and_plain_floats_are_taken_and_asked_for_in_doubles(kind, dtypes):
    class Answers(Branches):
        def step(self, grad, loss=None):
            x = super().step(grad).astype(self.x.dtype)
            if kind is float:
                return float(x[0]) if x.size == 1 else [float(v) for v in x]
            return kind(x if kind is np.asarray else x.tolist())

    report = check(Answers, "irprop-", without=["nan", "etas", "float16", "bfloat16"], random=3)
    assert report.agrees
    assert report.dtypes == dtypes
    assert f"random; {', '.join(dtypes)})" in str(report)


def test_a_stored_gradient_is_measured_by_its_own_magnitude():
    case = crosscheck.Case(
        "made up", "", "float64", np.array([[1e20], [1.0]]), np.zeros(1), loss=(), scripts=("a",)
    )
    expected, observed = (
        Trajectory(case, np.zeros((2, 1)), None, np.array([[1e20], [last]]), case.g) for last in (1.0, 1 + 2**-50)
    )
    assert ulps_apart(expected, observed, "prev").tolist() == [[0], [4]]
    assert first_divergence(expected, observed).ulps == 4
    observed.prev[1] = 0
    assert first_divergence(expected, observed).ulps == np.inf  # more than rounding


@pytest.mark.exhaustive
def test_a_prev_stored_before_maximize_is_recognised_in_cases_and_scripts():
    class Raw(Branches):
        """Its prev is stored before maximize, as signs if `signs`; one step of it is wrong if `wrong`."""

        signs = wrong = False

        def __init__(self, x0, **setting):
            super().__init__(x0, **setting)
            self.inner, self.t = np.zeros_like(x0), 0

        def step(self, grad, loss=None):
            self.prev = self.inner
            x = super().step(grad, loss)
            self.inner, self.t = self.prev, self.t + 1
            shown = self.direction * (np.sign(self.inner) if self.signs else self.inner)
            self.prev = np.where(self.wrong and self.t == 4 and self.direction == -1, 7, shown)
            return x

    without = ["nan", "etas"]
    assert check(Raw, "irprop-", dtypes="float64", without=without, random=20).agrees
    signs = type("Signs", (Raw,), {"signs": True})
    assert check(signs, "irprop-", dtypes="float64", without=without, random=20).agrees
    wrong = type("Wrong", (Raw,), {"wrong": True})
    report = check(wrong, "irprop-", dtypes="float64", without=without, random=0, diagnosis=False)
    assert report.smallest.quantity == "prev"
    assert report.smallest.step == 4
    assert report.smallest.case.size == 1
    printed = []
    exec(report.script("pass"), {"factory": wrong, "print": lambda *values: printed.append(values)})
    assert float(report.smallest.got) in printed[3][1]
    other = type("Other", (signs,), {"wrong": True})
    assert check(other, "irprop-", dtypes="float64", without=without, random=0).verdict == "a different rule"


def test_the_python_script_of_an_error_raises_it():
    report = check(Stumbles, "irprop-", dtypes=["float64"], without=["nan", "etas"], random=0)
    assert report.verdict == "could not run"
    assert report.smallest.case.size == 1
    assert report.smallest.case.steps == 2
    with pytest.raises(RuntimeError, match="not yet written"):
        exec(report.script("from test_report import Stumbles as factory"), {"print": lambda *values: None})


def test_random_cases_find_what_the_conformance_cases_miss(monkeypatch):
    monkeypatch.setattr(checking, "conformance_cases", lambda names: conformance_cases(names)[:1])

    def third_zero(s):
        return np.where(s.g == 0.5, s.zero, s.own_product)

    rule = changed(
        COMPOSITIONS["irprop-"], (crosscheck.Alternative("odd", "agreement", "Odd.", "Odd.", third_zero),)
    )
    report = check(
        lambda x0, **setting: ComposedOptimizer(rule, x0, **setting),
        "irprop-",
        dtypes=["float64"],
        random=100,
        without=["inf"],
        diagnosis=False,
    )
    names = {d.case.name.split()[0] for d in report.divergences}
    assert "random" in names
    assert report.smallest.case.size == 1
    assert report.smallest.case.steps <= 3


def test_an_implementation_that_fails_or_gives_no_numbers_could_not_run():
    def nothing(x0, **setting):
        raise RuntimeError("no licence")

    report = check(nothing, "irprop-", dtypes=["float64"], random=3)
    assert report.verdict == "could not run"
    assert "RuntimeError: no licence" in str(report)

    class Wordy(Branches):
        def step(self, grad, loss=None):
            return "fine"

    report = check(Wordy, "irprop-", dtypes=["float64"], random=3)
    assert report.verdict == "could not run"
    assert "which is no array of numbers" in str(report)

    class Short(Branches):
        def step(self, grad, loss=None):
            return super().step(grad)[:-1]

    report = check(Short, "irprop-", dtypes=["float64"], random=3)
    assert "gave 15 numbers for 16 coordinates" in str(report)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"step": lambda self, grad, loss=None: None}, "step() gave None, which is no array of numbers"),
        ({"step": lambda self, grad, loss=None: Branches.step(self, grad) + 1j}, "(of dtype complex128)"),
        ({"step": lambda self, grad, loss=None: Branches.step(self, grad).astype(str)}, "(of dtype <U32)"),
        ({"step_size": "large"}, "step_size gave 'large', which is no array of numbers"),
        ({"prev": property(lambda self: 1 / 0), "__init__": lambda self, x0, **setting: None,
          "step": lambda self, grad, loss=None: grad}, "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_answers_that_are_not_real_numbers_are_refused(changes, text):
    report = check(type("Odd", (Branches,), changes), "irprop-", dtypes=["float64"], random=3)
    assert report.verdict == "could not run"
    assert text in str(report)
    assert len(report.refused) == report.cases + report.random


def test_a_missing_dtype_does_not_count_as_another_rule():
    def double_only(x0, **setting):
        if x0.dtype != np.float64:
            raise TypeError("only float64")
        return Ours("irprop-", x0, **setting)

    report = check(double_only, "irprop-", dtypes=["float64", "float32"], random=10)
    assert report.verdict == "could not run"
    assert report.divergences == []
    assert "only float64" in str(report)
    assert "without=" in str(report)
    assert check(double_only, "irprop-", dtypes=["float64", "float32"], without=["float32"], random=10).agrees


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"claim": "rprop"}, "unknown claim 'rprop'; choose from irprop-, "),
        ({"dtypes": ["int8"]}, "unknown dtype 'int8'; choose from float64, "),
        ({"without": ["colour"]}, "without='colour' is unknown; choose from "),
        ({"dtypes": ["float32"], "without": ["float32"]}, "no dtype is left to compare"),
        ({"claim": ["irprop-"]}, "unknown claim ['irprop-']; choose from irprop-, "),
        ({"dtypes": 5}, "dtypes=5 should be a list of names"),
        ({"without": 3}, "without=3 should be a list of words"),
        ({"random": -1}, "random=-1 should be an integer, 0 or larger"),
        ({"random": 1.5}, "random=1.5 should be an integer, 0 or larger"),
        ({"seed": "a"}, "seed='a' should be an integer, 0 or larger"),
    ],
)
def test_bad_arguments_of_check_are_refused(options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        check(Branches, **options)


class NoMaximize:
    def __init__(self, x0, *, lr, etas, step_sizes):
        self.x = x0


class NoLoss:
    def __init__(self, x0, *, lr, etas, step_sizes, maximize):
        self.x = x0

    def step(self, grad):
        return self.x


class NoAnswer(NoLoss):
    def step(self, grad, loss=None):
        pass


@pytest.mark.parametrize("factory", [NoMaximize, NoLoss, NoAnswer])
def test_what_cannot_be_run_gets_the_same_advice_everywhere(factory):
    report = str(check(factory, "irprop-", random=0))
    for function in (crosscheck.decompile, crosscheck.closest_profiles):
        with pytest.raises(CouldNotRun) as raised:
            function(factory)
        text = str(raised.value).removeprefix("no case could be run: ")
        error, begins, rest = re.split(r"\. (The factory is|A step is|If the implementation lacks) ", text)
        assert f"This could not be run: {error}\n" in report
        assert f"\n{begins} {rest}\n" in f"{report}\n"


def test_bad_arguments_of_other_functions_are_refused(tmp_path):
    with pytest.raises(TypeError, match="factory should be callable, as factory"):
        check(None)
    with pytest.raises(TypeError, match="factory should be callable, as factory"):
        crosscheck.closest_profiles("my_module:factory")
    with pytest.raises(
        CouldNotRun, match=re.escape("no case could be run: ZeroDivisionError: division by zero (test_report.py:")
    ):
        crosscheck.closest_profiles(lambda x0, **setting: 1 / 0, dtypes="float64")
    with pytest.raises(ValueError, match=r"ulps=-1 should be a number, 0 or larger"):
        crosscheck.assert_conforms(Branches, ulps=-1)
    with pytest.raises(ValueError, match=r"ulps=True should be a number, 0 or larger"):
        crosscheck.assert_conforms(Branches, ulps=True)
    with pytest.raises(ValueError, match="unknown claim 'irprop'; choose from irprop-, "):
        crosscheck.export(tmp_path / "new", "irprop")
    with pytest.raises(ValueError, match="unknown dtype 'float6'; choose from float64, "):
        crosscheck.export(tmp_path / "new", dtypes="float6")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="unknown deviation 'late'; choose from etas as given, "):
        mutant("irprop-", ["late"])
    with pytest.raises(ValueError, match="'no limits' and 'no upper limit' exclude each other"):
        mutant("irprop-", ["no limits", "no upper limit"])
    assert (
        len(conformance_cases("float64"))
        == len(conformance_cases([np.float64]))
        == len(conformance_cases(["float64"]))
    )


def test_on_divergence_is_called_with_the_first_difference():
    seen = []
    report = check(
        mutant("irprop-", ["mirrored"]), "irprop-", dtypes=["float64"], random=0, on_divergence=seen.append
    )
    assert seen == [report.first_divergence]
