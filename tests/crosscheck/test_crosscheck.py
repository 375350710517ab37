"""The referee: an implementation that is right agrees, and a mistake gets its name."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import naive
import numpy as np
import pytest

import rprop_ref
from benchmarks.unknown_rules import unknown_rules
from rprop_ref import crosscheck, rules
from rprop_ref._core import vectors
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    DEVIATIONS,
    CouldNotRun,
    check,
    checking,
    conformance_cases,
    mutant,
    profile,
)
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._cases.randomized import random_cases
from rprop_ref.crosscheck._comparison.divergence import same_values
from rprop_ref.crosscheck._comparison.expected import expected_trajectories, run_composition
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._stages.batch import Batch
from rprop_ref.crosscheck._stages.compositions import deviations_from, differences
from rprop_ref.crosscheck._stages.machine import Machine
from rprop_ref.crosscheck._stages.optimizer import ComposedOptimizer
from rprop_ref.crosscheck._stages.stages import ARITHMETIC, SLOTS, STAGES, changed

ROOT = Path(rprop_ref.__file__).parent.parent


def everything(feature):
    return True


class Ours:
    """`rprop_ref.Rprop` as the referee wants it."""

    accepts_none = True

    def __init__(self, variant, x0, **setting):
        self.parameter = rprop_ref.Parameter(x0)
        self.optimizer = rprop_ref.Rprop([self.parameter], variant=variant, **setting)
        self.lr = setting["lr"]

    def step(self, grad, loss=None):
        self.parameter.grad = grad
        self.optimizer.step(loss=loss)
        return self.parameter.data

    def _state(self, name, before):
        state = self.optimizer.state.get(self.parameter)
        return state[name] if state else np.full_like(self.parameter.data, before)

    @property
    def prev(self):
        return self._state("prev", 0)

    @property
    def step_size(self):
        complex_too = self.parameter.data.dtype.kind == "c"
        return self._state("step_size", complex(self.lr, self.lr) if complex_too else self.lr)

    def set(self, **setting):
        self.optimizer.param_groups[0].update(setting)

    def save(self):
        return self.optimizer.state_dict()

    def load(self, state):
        self.optimizer.load_state_dict(state)


def ours(variant):
    return lambda x0, **setting: Ours(variant, x0, **setting)


class Branches:
    """What people write: iRprop- by the book, in NumPy, for float64."""

    def __init__(self, x0, *, lr, etas, step_sizes, maximize):
        self.x, self.size, self.prev = x0, np.full_like(x0, lr), np.zeros_like(x0)
        self.etas, self.limits, self.way = etas, step_sizes, -1 if maximize else 1

    def step(self, grad, loss=None):
        g = self.way * grad
        q = g * self.prev
        self.size[q > 0] *= self.etas[1]
        self.size[q < 0] *= self.etas[0]
        self.size = np.clip(self.size, *self.limits)
        g = np.where(q < 0, 0, g)
        self.x = self.x - np.sign(g) * self.size
        self.prev = g
        return self.x


# --- the stages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", rules.RULES)
@pytest.mark.parametrize("dtype", available_reals())
def test_the_machine_the_text_and_the_oracle_agree_on_every_case(variant, dtype):
    cases = [*conformance_cases([dtype]), *random_cases(5, [dtype], 30, everything)]
    for case, by_machine, by_text in zip(
        cases, run_composition(COMPOSITIONS[variant], cases), expected_trajectories(variant, cases), strict=True
    ):
        for name in ("x", "step_size", "prev", "gradient"):
            assert same_bits(getattr(by_machine, name), getattr(by_text, name)), (case.name, name)
        if case.objective or case.edits or case.bounds or isinstance(case.lr, np.ndarray) or dtype == "float16":
            continue
        grads = [None if t in case.none else g for t, g in enumerate(case.g)]
        oracle = naive.run(variant, case.x0, grads, lr=case.lr, etas=case.etas, step_sizes=case.step_sizes,
                           maximize=case.maximize, losses=case.loss)  # fmt: skip
        for i, name in enumerate(("x", "prev", "step_size")):
            assert same_bits(np.array([state[i] for state in oracle]), getattr(by_text, name)), (case.name, name)


def test_many_rules_at_once_do_what_each_does_alone():
    base = COMPOSITIONS["irprop-"]
    chosen = [(), *((a,) for a in deviations_from(base) if a.slot != ARITHMETIC)]
    joint = Batch(conformance_cases(["float32"])[:8])
    together = Machine(base, chosen, joint)
    alone = [Machine(base, [changes], joint) for changes in chosen]
    for t in range(joint.steps):
        together.step()
        for machine in alone:
            machine.step()
        if t == 5:  # every third goes on
            together.keep(np.arange(len(chosen)) % 3 == 0)
            alone = alone[::3]
        for row, machine in enumerate(alone):
            assert same_bits(together.x[row], machine.x[0])
            assert same_bits(together.step_size[row], machine.step_size[0])


def test_every_slot_belongs_to_a_stage_and_every_alternative_to_a_slot():
    assert {slot.stage for slot in SLOTS} == set(STAGES)
    slots = {slot.name for slot in SLOTS} | {ARITHMETIC}
    for alternative in DEVIATIONS.values():
        assert alternative.slot in slots
        assert alternative.does.endswith(".")
        assert alternative.fix.endswith(".")
    for rule in COMPOSITIONS.values():
        assert set(rule) == slots


@pytest.mark.parametrize("name", ["computed in double", "one step late", "etas in double", "last point restored"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_runner_is_the_machine_one_step_at_a_time(name, dtype):
    if dtype not in available_reals():
        pytest.skip("bfloat16 needs ml_dtypes")
    rule = changed(COMPOSITIONS["rprop+"], (DEVIATIONS[name],))
    for case in conformance_cases([dtype])[:30]:
        stepped, traced = observe(mutant("rprop+", [name]), case), run_composition(rule, [case])[0]
        for quantity, values in stepped.shown().items():
            assert same_bits(values, getattr(traced, quantity)), (case.name, quantity)


#: The causes of divergence that are known in the family, and what stands for each: all of the catalogue.
CAUSES = {
    "flip move": ("irprop-", ["moves on at a flip", "takes the move back at a flip", "stays at a flip",
                              "takes the move back if the loss rose"]),
    "flip memory": ("irprop-", ["memory kept at a flip", "memory not updated at a flip", "memory negated at a flip"]),
    "growth": ("irprop-", ["memory starts as the first gradient", "a zero product grows", "steps never grow"]),
    "lag": ("irprop-", ["one step late", "first call only stores"]),
    "adapting after the move": ("irprop-", ["adapts after the move"]),
    "error test": ("irprop+", [n for n in DEVIATIONS if n.startswith("error test") and n != "error test: rose"]),
    "underflow": ("irprop-", ["signs compared", "stores the sign", "stores the move"]),
    "NaN gradient": ("irprop-", ["NaN poisons", "skips NaN gradients", "NaN leaves the memory",
                                 "NaN gradient becomes zero", "a NaN product makes the step the smallest"]),
    "infinite gradient": ("irprop-", ["a NaN product shrinks", "a NaN product grows"]),
    "exact zero": ("irprop-", ["zero leaves the memory", "zero is positive", "zero is negative",
                               "a zero product is a flip", "a zero product grows, but not at first",
                               "a zero product shrinks", "no move at zero"]),
    "missing gradient": ("irprop-", ["missing gradient is zero"]),
    "clamp of the first step": ("irprop-", ["first step not clamped"]),
    "clamp when neutral": ("irprop-", ["not clamped when neutral", "one limit per branch", "only the move is clamped",
                                       "clamped before scaling"]),
    "limits that cross": ("irprop-", ["lower limit wins", "no lower limit", "no upper limit", "no limits"]),
    "flip found by the factor": ("rprop+", ["flip found by the factor", "flip found by the sign"]),
    "rounding of constants": ("irprop-", ["etas in double", "constants rounded once", "float16 lr rounded once",
                                          "float16 constants rounded once", "bfloat16 etas not rounded",
                                          "an eta- of 0 counts"]),
    "compute type": ("irprop-", ["computed in float32", "computed in double", "computed in double, constants rounded",
                                 "state in double", "16 bits computed in float32",
                                 "16 bits computed in float32, constants rounded", "16 bits kept in float32"]),
    "subnormals": ("irprop-", ["subnormals flushed"]),
    "thresholds": ("irprop-", [n for n in DEVIATIONS if " under 1e-" in n]),
    "taking back": ("rprop+", ["last point restored", "takes back the shrunk step", "takes back the wrong way",
                               "goes back and forth again"]),
    "sign convention": ("irprop-", ["mirrored", "maximize has no effect",
                                    "memory holds the gradient before maximize"]),
    "shared step size": ("irprop-", ["shared step size"]),
    "magnitude": ("irprop-", ["moves by gradient times step"]),
    "lr": ("irprop-", ["lr re-read", "etas read once", "limits read once", "step size never kept"]),
    "order of options": ("irprop-", ["etas swapped", "limits swapped", "etas hard-coded", "limits hard-coded"]),
    "asymmetry": ("irprop-", ["flips to positive are missed", "negative agreement is missed"]),
    "side effects": ("irprop-", ["writes zeros into the gradient", "negates the gradient in place",
                                 "negates and zeroes the gradient in place", "memory is the caller's array"]),
    "resume": ("rprop+", ["memory lost on resume", "step size lost on resume", "last move lost on resume"]),
    "stop rule": ("irprop-", ["stops when the memory is zero"]),
    "bounds": ("rprop+", ["takes back the unclipped move", "bounds have no effect", "step size cut at a wall"]),
}  # fmt: skip

#: For each cause: a deviation that stands for it, a dtype and a case, and which other causes have deviations that fail this case, too: what makes no move, or the opposite one,
#: fails wherever x should move; what does not clamp at all does not clamp at first; what grows on every product of 0
#: grows where one has underflowed.
ALONE = {
    "flip move": ("moves on at a flip", "float64", "flip unseen, move", set()),
    "flip memory": ("memory not updated at a flip", "float64", "steps unseen, memory", set()),
    "growth": ("memory starts as the first gradient", "float64", "first steps unseen", set()),
    "lag": ("one step late", "float64", "infinite steps only", {"exact zero", "order of options"}),
    "adapting after the move": ("adapts after the move", "float64", "first steps unseen, clamped",
                                {"clamp of the first step", "clamp when neutral", "limits that cross", "order of options"}),
    "error test": ("error test: rose or equal", "float64", "flip unseen, taken back",
                   {"flip move", "sign convention"}),
    "underflow": ("stores the sign", "float64", "steps unseen, product underflows", {"exact zero", "growth"}),
    "NaN gradient": ("NaN poisons", "float64", "a NaN alone", set()),
    "infinite gradient": ("a NaN product grows", "float64", "steps unseen, infinite gradients", {"magnitude"}),
    "exact zero": ("zero is positive", "float64", "a zero alone", set()),
    "missing gradient": ("missing gradient is zero", "float64", "flip unseen, missing gradient", set()),
    "clamp of the first step": ("first step not clamped", "float64", "first steps unseen, clamped",
                                {"adapting after the move", "clamp when neutral", "limits that cross", "order of options"}),
    "clamp when neutral": ("only the move is clamped", "float64", "steps unseen, a limit lifted",
                           {"limits that cross", "order of options"}),
    "limits that cross": ("lower limit wins", "float64", "steps unseen, crossed limits", set()),
    "flip found by the factor": ("flip found by the factor", "float32", "steady steps, eta- that rounds to 1",
                                 {"exact zero", "lag", "sign convention"}),
    "rounding of constants": ("constants rounded once", "bfloat16", "steps unseen, rounded twice", {"compute type"}),
    "compute type": ("computed in float32", "float64", "steps unseen, many digits", set()),
    "subnormals": ("subnormals flushed", "float32", "a step of zero", {"order of options"}),
    "thresholds": ("gradients under 1e-13 are zero", "float64", "flip unseen, small gradients", set()),
    "taking back": ("last point restored", "float32", "flip unseen, taken back",
                    {"compute type", "exact zero", "flip move", "sign convention"}),
    "sign convention": ("mirrored", "float64", "steps unseen, mirrored", set()),
    "shared step size": ("shared step size", "float64", "flip unseen, shared", set()),
    "magnitude": ("moves by gradient times step", "float64", "steps unseen, a large gradient", set()),
    "lr": ("lr re-read", "float64", "steps unseen, lr", set()),
    "order of options": ("etas swapped", "float64", "steps unseen, flips", set()),
    "asymmetry": ("flips to positive are missed", "float64", "flip unseen, upwards", set()),
    "side effects": ("writes zeros into the gradient", "float64", "basics", set()),
    "resume": ("memory lost on resume", "float64", "flip unseen, resumed", set()),
    "stop rule": ("stops when the memory is zero", "float64", "steady steps, zero first",
                  {"exact zero", "lag", "sign convention"}),
    "bounds": ("bounds have no effect", "float64", "between walls", set()),
}  # fmt: skip


def test_all_of_the_catalogue_stands_for_some_cause():
    named = [name for _, names in CAUSES.values() for name in names]
    assert len(named) == len(set(named))
    alone = sum(not others for *_, others in ALONE.values())
    assert f"fails ({alone} causes)" in (ROOT / "docs" / "crosscheck.md").read_text()
    assert set(DEVIATIONS) - set(named) == {a.name for a in COMPOSITIONS["irprop-"].values()} - {
        "flip found by the factor"
    }


@pytest.mark.parametrize("cause", CAUSES)
def test_a_case_that_nothing_else_fails_or_little(cause):
    name, dtype, what, also = ALONE[cause]
    if dtype not in available_reals():
        pytest.skip("bfloat16 needs ml_dtypes")
    claim, names = CAUSES[cause]
    quantity = "gradient" if cause == "side effects" else "x"
    (case,) = (c for c in conformance_cases([dtype]) if c.name == what)

    def fails(name):
        rules = COMPOSITIONS[claim], changed(COMPOSITIONS[claim], (DEVIATIONS[name],))
        right, wrong = (getattr(run_composition(rule, [case])[0], quantity) for rule in rules)
        return not same_values(quantity, right, wrong).all()

    assert name in names
    assert fails(name)
    assert {other for other, (_, names) in CAUSES.items() if other != cause and any(map(fails, names))} == also


def test_for_every_known_cause_there_are_scripts_that_show_it_and_nothing_else_does_the_same():
    cases = {dtype: [c for c in conformance_cases([dtype]) if c.steps <= 24] for dtype in available_reals()}
    for claim in ("irprop-", "irprop+", "rprop+"):
        own = set(COMPOSITIONS[claim].values())
        named = [n for rule, names in CAUSES.values() if rule == claim for n in names if DEVIATIONS[n] not in own]
        seen = dict.fromkeys(["", *named], b"")
        for some in cases.values():
            for name in seen:
                changes = (DEVIATIONS[name],) if name else ()
                for traced in run_composition(changed(COMPOSITIONS[claim], changes), some):
                    for values in traced.shown().values():
                        seen[name] += (values.astype(np.float64) + 0.0).tobytes()  # no zero is negative
        assert len(set(seen.values())) == len(seen), claim


# --- what is right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", rules.RULES)
def test_the_rprop_of_this_package_agrees_in_every_dtype(variant):
    report = check(ours(variant), variant, dtypes=[*available_reals(), "complex64", "complex128"], random=40)
    assert report.agrees, str(report)
    assert report.first_divergence is None
    assert report.diagnosis is None
    assert report.ulps == 0
    assert not report.zeros
    assert report.compared == ("x", "step_size", "prev", "gradient")
    assert report.headline == f"This is {variant}, to the last bit."
    assert report.left_out.keys() == {"lr per coordinate", "bounds"}


@pytest.mark.parametrize("variant", rules.RULES)
def test_a_step_of_minimize_within_bounds_agrees(variant):
    class Bounded:
        def __init__(self, x0, *, lr, etas, step_sizes, maximize, bounds=(-np.inf, np.inf)):
            kind, self.way = x0.dtype.type, -1 if maximize else 1
            self.x, self.prev, self.step_size = x0, np.zeros_like(x0), np.full_like(x0, lr)
            self.last_x, self.before, self.bounds = x0.copy(), x0.copy(), tuple(map(kind, bounds))
            self.constants, self.loss = tuple(map(kind, (*etas, *step_sizes, 0, 1, 1))), np.nan

        def step(self, grad, loss=None):
            worse = loss * self.way > self.loss * self.way
            self.loss = loss
            vectors.move_within_bounds(
                variant, self.x, self.way * grad, self.prev, self.step_size, self.constants, worse, self.last_x,
                *self.bounds, self.before, rules.RULES[variant].undoes(worse),
            )  # fmt: skip
            self.last_x[:] = self.x
            return self.x

    def factory(x0, **setting):
        return Bounded(x0, **setting)

    factory.accepts_bounds = True
    # Of cases without bounds, those that take no move back: there minimize restores points all the same.
    without = ["objectives"] if variant in ("rprop+", "irprop+") else []
    report = check(factory, variant, dtypes=["float64", "float32"], without=without, random=0, diagnosis=False)
    assert "bounds" not in report.left_out
    assert not report.refused
    bounded = [d for d in report.divergences if d.case.bounds]
    assert not bounded, str(bounded[0])
    if variant not in ("rprop+", "irprop+"):
        assert report.agrees, str(report)


def test_what_people_write_agrees():
    crosscheck.assert_conforms(Branches, dtypes="float64", without=["nan", "etas"], random=30)


def test_two_rules_called_irprop_minus_are_told_apart():
    report = check(ours("irprop-go"), random=20)
    assert report.verdict == "a different rule"
    names = {explanation.names for explanation in report.diagnosis.explanations}
    assert names == {("flip found by the sign", "moves on at a flip")}
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


@pytest.mark.parametrize("name", SINGLES)
def test_a_single_deviation_is_named(name):
    dtypes = ["float64", "float16"] if DEVIATIONS[name].slot in ("constants", ARITHMETIC) else ["float64"]
    if name in ("subnormals flushed", "flip found by the sign"):
        dtypes = ["float32"]
    report, found = diagnosed("irprop-", [name], dtypes=dtypes, random=20)
    assert {name} in found
    assert all(len(names) == 1 for names in found)
    assert report.verdict != "identical"
    text = str(report)
    assert name in text
    assert DEVIATIONS[name].does in text
    assert COMPOSITIONS["irprop-"][DEVIATIONS[name].slot].fix in text


@pytest.mark.parametrize(
    ("claim", "names"),
    [
        ("irprop+", ["error test: rose or equal"]),
        ("irprop+", ["error test: one step late"]),
        ("irprop+", ["error test: NaN is worse"]),
        ("irprop+", ["takes back the wrong way"]),
        ("rprop+", ["last point restored"]),
        ("rprop+", ["last move lost on resume"]),
        ("irprop-", ["mirrored", "NaN poisons"]),
        ("rprop-", ["moves by gradient times step", "no lower limit"]),
        ("irprop-go", ["one step late", "a zero product grows"]),
        ("irprop-", ["one step late", "not clamped when neutral", "stores the move", "flip found by the sign",
                     "a NaN product shrinks", "NaN poisons"]),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}",
)  # fmt: skip
def test_combinations_are_named(claim, names):
    _, found = diagnosed(claim, names, dtypes=["float64"], random=20)
    assert set(names) in found


def test_behavioural_equals_are_all_listed():
    _, found = diagnosed("irprop-", ["stores the sign"], dtypes=["float64"], without=["prev"], random=10)
    assert found == [{"signs compared"}, {"stores the sign"}]
    report, found = diagnosed("irprop-", ["stores the sign"], dtypes=["float64"], random=10)
    assert report.signs
    assert {"stores the sign"} in found
    assert "Its prev holds signs only." in str(report)


#: Of fifty; `make bench` has all of them.
UNKNOWN = ("grows by 1.1", "momentum")


@pytest.mark.parametrize("unknown", [row for row in unknown_rules() if row[0] in UNKNOWN], ids=lambda row: row[0])
def test_a_rule_that_is_not_in_the_catalogue_is_never_given_a_name(unknown):
    rule = changed(COMPOSITIONS["irprop-"], (unknown[1],))
    report = check(lambda x0, **setting: ComposedOptimizer(rule, x0, **setting), dtypes=["float64"], random=20)
    assert report.verdict in ("a different rule", "same rule, rounding differs")
    assert report.diagnosis.explanations == []
    assert 1 <= len(report.diagnosis.nearest) <= 3
    assert "no known deviation" in str(report)
    assert {row.what for row in report.behaviour} >= {"first step", "flip", "zero", "NaN", "maximize"}


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_the_behaviour_sheet_in_every_dtype(dtype):
    (change,) = (row[1] for row in unknown_rules() if row[0] == "grows by 1.1")
    rule = changed(COMPOSITIONS["irprop-"], (change,))
    report = check(lambda x0, **setting: ComposedOptimizer(rule, x0, **setting), dtypes=dtype, random=0)
    rows = {row.what: row for row in report.behaviour}
    assert all(row.error is None for row in rows.values())
    assert rows["first step"].got == rows["first step"].expected
    assert rows["agreement"].got != rows["agreement"].expected
    assert float(rows["product underflows"].script.split()[2]) > 0


def test_what_is_shown_as_state_may_be_something_else():
    class Odd(ComposedOptimizer):
        prev = property(lambda self: 7 * self.x)

    rule = changed(COMPOSITIONS["irprop-"], (DEVIATIONS["mirrored"],))
    report = check(lambda x0, **setting: Odd(rule, x0, **setting), dtypes=["float64"], random=5)
    assert [e.names for e in report.diagnosis.explanations] == [("mirrored",)]
    assert not report.diagnosis.complete
    assert "explains x, to the bit, but not the step_size or prev shown" in str(report)


def test_results_that_change_from_run_to_run_are_noticed():
    rng = np.random.default_rng(3)

    class Uninitialised(Branches):
        def step(self, grad, loss=None):
            bad = np.isnan(grad)
            self.size[bad] = rng.random(bad.sum())
            return super().step(np.where(bad, 0, grad), loss)

    report = check(Uninitialised, dtypes=["float64"], random=40)
    assert report.verdict == "a different rule"
    assert report.unsteady
    assert "NaN gradients" in report.unsteady[0]
    assert "Not reproducible" in str(report)


def test_what_does_not_repeat_is_given_no_name():
    calls = 0

    class Once(Branches):
        def step(self, grad, loss=None):
            nonlocal calls
            calls += 1
            return super().step(grad, loss) * (1.01 if calls == 40 else 1)

    report = check(Once, dtypes=["float64"], without=["nan", "etas"], random=5)
    assert report.verdict == "a different rule"
    assert len(report.unsteady) == 1
    assert report.diagnosis is None
    assert "All reproducible results agree with the rule." in str(report)


def test_one_that_is_never_the_same_is_given_no_name():
    rng = np.random.default_rng(5)

    class Noise(Branches):
        def __init__(self, x0, **setting):
            super().__init__(x0, **setting)
            self.noise = 1e-3 * rng.random() if rng.random() < 0.3 else 0

        def step(self, grad, loss=None):
            return super().step(grad, loss) + self.noise

    report = check(Noise, dtypes=["float64"], without=["nan", "etas"], random=60)
    assert len(report.unsteady) > 10
    assert report.diagnosis is None
    assert report.behaviour == []
    assert "All reproducible results agree with the rule." in str(report)


def test_what_repeats_is_shown_rather_than_what_does_not():
    rng = np.random.default_rng(5)

    class Mixed(Branches):
        def step(self, grad, loss=None):
            if self.way == -1:
                self.way = 1
            return super().step(grad, loss) + (rng.random() if grad.size == 6 else 0)

    report = check(Mixed, dtypes=["float64"], without=["nan", "etas"], random=0)
    assert report.unsteady
    assert report.smallest.case.maximize
    assert [e.names for e in report.diagnosis.explanations] == [("maximize has no effect",)]


@pytest.mark.parametrize("name", ["prev", "step_size"])
def test_a_right_rule_whose_state_is_shown_otherwise_is_given_no_name(name):
    class Odd(ComposedOptimizer):
        pass

    setattr(Odd, name, property(lambda self: 2 * getattr(super(Odd, self), name) + 1))
    report = check(lambda x0, **setting: Odd(COMPOSITIONS["irprop-"], x0, **setting), dtypes=["float64"], random=5)
    assert report.verdict == "a different rule"
    assert report.diagnosis.state_only == (name,)
    assert f"without=['{name}']" in str(report)
    assert report.diagnosis.explanations == []
    assert report.behaviour == []
    assert "x agrees with irprop- everywhere, to the bit" in str(report)
    assert json.loads(report.to_json())["diagnosis"]["state_only"] == [name]


def test_a_jump_is_no_rounding():
    class Jumps(ComposedOptimizer):
        t = 0

        def step(self, grad, loss=None):
            self.t += 1
            x = super().step(grad, loss)
            return x + x.dtype.type(0.5) * (self.t == 45)

    report = check(
        lambda x0, **setting: Jumps(COMPOSITIONS["irprop-"], x0, **setting), dtypes=["bfloat16"], random=0
    )
    assert report.divergences
    assert report.verdict == "a different rule"


def test_noise_that_shows_late_is_noticed_before_nothing_explains_it():
    rng = np.random.default_rng(5)

    class Late(ComposedOptimizer):
        def step(self, grad, loss=None):
            x = super().step(grad, loss)
            return x + (rng.random() if x.size == 6 else 0)

    rule = changed(COMPOSITIONS["irprop-"], (DEVIATIONS["moves on at a flip"],))
    report = check(lambda x0, **setting: Late(rule, x0, **setting), dtypes=["float64"], random=20)
    assert report.unsteady
    assert [e.names for e in report.diagnosis.explanations] == [("moves on at a flip",)]


@pytest.mark.parametrize("signs", [False, True])
def test_a_memory_is_recognised_by_the_first_case_that_can_be_run(signs):
    class One(Branches):
        """For one coordinate only; shows its memory from before maximize, or signs."""

        def __init__(self, x0, **setting):
            if x0.size > 1:
                raise ValueError("one coordinate only")
            super().__init__(x0, **setting)
            self.inner = np.zeros_like(x0)

        def step(self, grad, loss=None):
            self.prev = self.inner
            x = super().step(grad, loss)
            self.inner = self.prev
            self.prev = np.sign(self.inner) if signs else self.way * self.inner
            return x

    report = check(One, dtypes="float64", without=["nan", "etas"], random=0)
    assert report.verdict == "could not run"
    assert report.divergences == []


def test_what_little_was_seen_is_said():
    calls = 0

    class Brief(ComposedOptimizer):
        def step(self, grad, loss=None):
            nonlocal calls
            calls += 1
            if calls > 30:
                raise MemoryError
            return super().step(grad, loss)

    rule = changed(COMPOSITIONS["irprop-"], (DEVIATIONS["memory kept at a flip"],))
    report = check(lambda x0, **setting: Brief(rule, x0, **setting), dtypes=["float64"], random=0)
    assert 0 < report.diagnosis.cases < 5
    assert "everything observed in" in str(report)
    assert len(str(report).splitlines()) < 80


def test_what_all_that_was_refused_needs_is_said():
    class NoNaN(Branches):
        def step(self, grad, loss=None):
            if np.isnan(grad).any():
                raise ValueError("not a number")
            return super().step(grad, loss)

    report = check(NoNaN, dtypes=["float64"], without=["etas"])
    assert report.verdict == "could not run"
    assert report.failed_need == "nan"
    assert "All errors are in cases that need 'nan'; without=['nan'] leaves these cases out." in str(report)
    assert "ValueError: not a number (test_crosscheck.py:" in str(report)
    assert check(NoNaN, dtypes=["float64"], without=["etas", "nan"], random=0).agrees


# --- verdicts and reports -------------------------------------------------------------------------------------


def test_rounding_is_told_from_another_rule():
    factory = mutant("irprop-", ["etas in double"])
    report = check(factory, dtypes=["float32"], random=20)
    assert report.verdict == "same rule, rounding differs"
    assert 0 < report.ulps < 100
    assert report.agrees_within(report.ulps)
    assert not report.agrees_within(report.ulps / 2)
    assert not report.agrees
    assert "rounding differs by at most" in report.headline
    crosscheck.assert_conforms(factory, ulps=report.ulps, dtypes=["float32"], random=20)
    with pytest.raises(AssertionError, match="etas in double"):
        crosscheck.assert_conforms(factory, dtypes=["float32"], random=20)


def test_the_report_in_all_its_forms():
    report = check(mutant("irprop-", ["moves on at a flip"]), dtypes=["float64"], random=5)
    first = report.first_divergence
    assert (first.case.name, first.step, first.quantity) == ("basics", 2, "x")
    assert first.script == "flips"
    assert float(first.expected) == -0.1
    assert float(first.got) == -0.05
    assert (-0.05).hex() in str(first)
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
        ("irprop-", ["moves on at a flip"], {"without": ["scripts"]}, "x"),
        ("irprop-", ["moves on at a flip"], {"without": ["scripts"], "dtypes": ["bfloat16"]}, "x"),
        ("irprop-", ["moves on at a flip"], {"dtypes": ["complex64"]}, "x"),
        ("irprop-", ["memory kept at a flip"], {"dtypes": ["float32"]}, "prev"),
        ("irprop-", ["memory is the caller's array"], {}, "x"),
        ("irprop-", ["writes zeros into the gradient"], {}, "gradient"),
        ("irprop-", ["etas in double"], {"dtypes": ["float16"]}, "step_size"),
        ("irprop-", ["etas in double"], {"dtypes": ["float32"], "without": ["step_size"]}, "x"),
        ("irprop-", ["lr re-read"], {"dtypes": ["float32"]}, "x"),
        ("rprop+", ["memory lost on resume"], {"dtypes": ["float32"]}, "x"),
        ("irprop-", ["missing gradient is zero"], {"dtypes": ["float32"]}, "prev"),
        ("rprop+", ["step size cut at a wall"], {"without": ["inf", "nan"]}, "step_size"),
        ("irprop-", ["maximize has no effect"], {}, "x"),
        ("irprop-", ["moves on at a flip"], {"dtypes": ["complex64"], "without": ["scripts"]}, "x"),
        ("irprop-", ["no lower limit"], {"dtypes": ["complex128"], "without": ["scripts"]}, "x"),
    ],
)  # fmt: skip
def test_the_smallest_script_runs_and_shows_the_difference(claim, names, options, quantity):
    if "bfloat16" in options.get("dtypes", ()) and "bfloat16" not in available_reals():
        pytest.skip("bfloat16 needs ml_dtypes")
    report = check(mutant(claim, names), claim, **{"dtypes": ["float64"], **options}, random=0, diagnosis=False)
    assert report.smallest.quantity == quantity
    text = report.script(f"from rprop_ref import crosscheck; factory = crosscheck.mutant({claim!r}, {names!r})")
    assert len(text.splitlines()) <= 15
    printed = []
    # What is written there is run as it stands; only what it prints is kept.
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
def test_scripts_do_what_the_referee_does(change, names, monkeypatch):
    dtype = change.get("dtype", "float64")
    g = np.array([[1, 1], [1, 1], [1, -1], [1, 1], [1, 1]], dtype)
    case = crosscheck.Case("made up", "to be written down", **{"dtype": dtype, **change}, g=g, x0=np.zeros(2, dtype),
                           loss=(0.0,) * 5, scripts=("a", "b"))  # fmt: skip
    monkeypatch.setattr(checking, "conformance_cases", lambda dtypes: [case])
    factory = mutant("irprop-", names)

    def wrapped(x0, **setting):
        run = factory(x0, **setting)
        step = run.step
        run.step = lambda grad, loss=None: step(grad, loss=loss).tolist()  # many return a list
        return run

    wrapped.accepts_lr_array = True
    report = check(wrapped, dtypes=dtype, random=0, diagnosis=False)
    assert not report.agrees
    printed = []
    text = report.script(f"from rprop_ref import crosscheck; factory = crosscheck.mutant('irprop-', {names!r})")
    exec(text, {"print": lambda *values: printed.append(values)})
    assert float(report.smallest.got) in printed[report.smallest.step - 1][1]


def test_a_memory_from_before_maximize_is_recognised_also_in_scripts():
    class Raw(Branches):
        """Shows the memory as it was given, and has two steps in it wrong; `signs`: shows its sign."""

        signs = wrong = False

        def __init__(self, x0, **setting):
            super().__init__(x0, **setting)
            self.inner, self.t = np.zeros_like(x0), 0

        def step(self, grad, loss=None):
            self.prev = self.inner
            x = super().step(grad, loss)
            self.inner, self.t = self.prev, self.t + 1
            shown = self.way * (np.sign(self.inner) if self.signs else self.inner)
            self.prev = np.where(self.wrong and self.t == 4 and self.way == -1, 7, shown)
            return x

    without = ["nan", "etas"]
    assert check(Raw, dtypes="float64", without=without, random=20).agrees
    signs = type("Signs", (Raw,), {"signs": True})
    assert check(signs, dtypes="float64", without=without, random=20).agrees
    wrong = type("Wrong", (Raw,), {"wrong": True})
    report = check(wrong, dtypes="float64", without=without, random=0, diagnosis=False)
    assert report.smallest.quantity == "prev"
    assert report.smallest.step == 4
    assert report.smallest.case.size == 1
    printed = []
    exec(report.script("pass"), {"factory": wrong, "print": lambda *values: printed.append(values)})
    assert float(report.smallest.got) in printed[3][1]
    other = type("Other", (signs,), {"wrong": True})
    assert check(other, dtypes="float64", without=without, random=0).verdict == "a different rule"


def test_the_script_of_an_error_ends_with_it():
    report = check(Stumbles, dtypes=["float64"], without=["nan", "etas"], random=0)
    assert report.verdict == "could not run"
    assert report.smallest.case.size == 1
    assert report.smallest.case.steps == 2
    with pytest.raises(RuntimeError, match="not yet written"):
        exec(report.script("from test_crosscheck import Stumbles as factory"), {"print": lambda *values: None})


def test_the_random_search_finds_what_the_catalogue_does_not_hold(monkeypatch):
    monkeypatch.setattr(checking, "conformance_cases", lambda names: conformance_cases(names)[:1])

    def third_zero(s):
        return np.where(s.g == 0.5, s.zero, s.own_product)

    rule = changed(
        COMPOSITIONS["irprop-"], (crosscheck.Alternative("odd", "agreement", "Odd.", "Odd.", third_zero),)
    )
    report = check(
        lambda x0, **setting: ComposedOptimizer(rule, x0, **setting),
        dtypes=["float64"],
        random=100,
        without=["inf"],
        diagnosis=False,
    )
    names = {d.case.name.split()[0] for d in report.divergences}
    assert "random" in names
    assert report.smallest.case.size == 1
    assert report.smallest.case.steps <= 3


def test_could_not_run():
    def nothing(x0, **setting):
        raise RuntimeError("no licence")

    report = check(nothing, dtypes=["float64"], random=3)
    assert report.verdict == "could not run"
    assert "RuntimeError: no licence" in str(report)

    class Wordy(Branches):
        def step(self, grad, loss=None):
            return "fine"

    report = check(Wordy, dtypes=["float64"], random=3)
    assert report.verdict == "could not run"
    assert "which is no array of numbers" in str(report)

    class Short(Branches):
        def step(self, grad, loss=None):
            return super().step(grad)[:-1]

    report = check(Short, dtypes=["float64"], random=3)
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
def test_answers_that_are_no_arrays_of_real_numbers(changes, text):
    report = check(type("Odd", (Branches,), changes), dtypes=["float64"], random=3)
    assert report.verdict == "could not run"
    assert text in str(report)
    assert len(report.refused) == report.cases + report.random


def test_one_dtype_that_it_does_not_have_is_no_other_rule():
    def double_only(x0, **setting):
        if x0.dtype != np.float64:
            raise TypeError("only float64")
        return Ours("irprop-", x0, **setting)

    report = check(double_only, dtypes=["float64", "float32"], random=10)
    assert report.verdict == "could not run"
    assert report.divergences == []
    assert "only float64" in str(report)
    assert "without=" in str(report)
    assert check(double_only, dtypes=["float64", "float32"], without=["float32"], random=10).agrees


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
def test_bad_arguments(options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        check(Branches, **options)


def test_bad_arguments_elsewhere(tmp_path):
    with pytest.raises(TypeError, match="factory should be callable, as factory"):
        check(None)
    with pytest.raises(TypeError, match="factory should be callable, as factory"):
        crosscheck.closest_profiles("my_module:factory")
    with pytest.raises(
        CouldNotRun, match=re.escape("no case could be run: ZeroDivisionError: division by zero (test_c")
    ):
        crosscheck.closest_profiles(lambda x0, **setting: 1 / 0, dtypes="float64")
    with pytest.raises(ValueError, match=r"ulps=-1 should be a number, 0 or larger"):
        crosscheck.assert_conforms(Branches, ulps=-1)
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


def test_the_first_difference_is_announced_at_once():
    seen = []
    report = check(mutant("irprop-", ["mirrored"]), dtypes=["float64"], random=0, on_divergence=seen.append)
    assert seen == [report.first_divergence]


# --- profiles -------------------------------------------------------------------------------------------------


def moves(name, gradients, lr=0.1):
    run = profile(name)(np.zeros(1), lr=lr)
    return [round(float(run.step(np.array([g]), loss=0.0)[0]), 6) for g in gradients]


def test_profiles_make_the_first_moves_that_their_packages_make():
    script = (1, 1, 1, -1, 1, 1, 1)
    assert moves("torch", script) == [-0.1, -0.22, -0.364, -0.364, -0.436, -0.5224, -0.62608]
    assert moves("optax-0.2.8", script) == [0, -0.1, -0.22, -0.22, -0.22, -0.292, -0.3784]
    assert moves("pints-0.6.1", script[:6]) == [-0.12, -0.264, -0.4368, -0.4368, -0.5232, -0.62688]
    assert moves("opencv", script) == [-0.1, -0.22, -0.364, -0.292, -0.364, -0.4504, -0.55408]
    assert moves("neurolab-0.3.5", script) == [-0.1, -0.22, -0.364, -0.292, -0.328, -0.3712, -0.42304]


@pytest.mark.parametrize("name", ["optax-0.2.8", "mindspore", "neuralnet", "trainrp"])
def test_a_profile_is_known_by_its_deviations(name):
    known = profile(name)
    run = known(np.zeros(3))
    assert run.step_size[0] == pytest.approx(known.lr)
    best = crosscheck.closest_profiles(known, dtypes=["float64"])
    assert best[0][1] == best[0][2]
    equals = {row[0] for row in best if row[1] == row[2]}
    assert name in equals
    assert known.about in str(known)
    assert set(differences(COMPOSITIONS[known.rule], known.composition)) == set(known.changes)


def test_unknown_profiles():
    with pytest.raises(ValueError, match="unknown profile 'tensorflow'; choose from torch, "):
        profile("tensorflow")


# --- the guide ------------------------------------------------------------------------------------------------


def test_the_guide_prints_what_it_says():
    text = (ROOT / "docs" / "crosscheck.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "crosscheck.md", "crosscheck.md", 0))
    assert runner.summarize(verbose=False).attempted > 20
    assert runner.summarize(verbose=False).failed == 0
    for row in re.findall(r"^\| `(\{.*?\})`", text, re.M):
        assert '"op"' in row


def test_the_docstring_of_check():
    tried = doctest.testmod(checking)
    assert tried.attempted > 4
    assert tried.failed == 0


def test_every_public_name_has_a_docstring_and_is_in_the_guide_or_documented():
    for name in crosscheck.__all__:
        assert getattr(crosscheck, name).__doc__ or isinstance(getattr(crosscheck, name), dict)
