"""Every known deviation is found by some case, and by no other cause of its kind."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from cases import sampled

import rprop_ref
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    DEVIATIONS,
    conformance_cases,
)
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._comparison.divergence import same_values
from rprop_ref.crosscheck._comparison.expected import run_composition
from rprop_ref.crosscheck._stages.stages import changed

ROOT = Path(rprop_ref.__file__).parent.parent

cases_of = functools.cache(lambda dtype: tuple(conformance_cases([dtype])))

#: The known causes of differences: for each, a claim and the deviations that it comprises. Together these are all.
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

#: For each cause: one of its deviations, a dtype, a case that this deviation fails, and the other causes with
#: deviations that fail the case, too. Some have to: a deviation that makes no move, or the opposite one, fails
#: wherever x should move; one that never clamps does not clamp the first step; one that grows on every product of 0
#: grows where a product underflows.
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


def test_every_deviation_belongs_to_one_cause():
    named = [name for _, names in CAUSES.values() for name in names]
    assert len(named) == len(set(named))
    alone = sum(not others for *_, others in ALONE.values())
    assert f"fails ({alone} causes)" in (ROOT / "docs" / "crosscheck.md").read_text()
    assert set(DEVIATIONS) - set(named) == {a.name for a in COMPOSITIONS["irprop-"].values()} - {
        "flip found by the factor"
    }


@pytest.mark.parametrize("cause", sampled(CAUSES, list(CAUSES)[::4]))
def test_each_cause_has_a_case_that_few_other_causes_fail(cause):
    name, dtype, case_name, others = ALONE[cause]
    if dtype not in available_reals():
        pytest.skip("bfloat16 needs ml_dtypes")
    claim, names = CAUSES[cause]
    quantity = "gradient" if cause == "side effects" else "x"
    (case,) = (c for c in cases_of(dtype) if c.name == case_name)

    def fails(name):
        compositions = COMPOSITIONS[claim], changed(COMPOSITIONS[claim], (DEVIATIONS[name],))
        right, wrong = (getattr(run_composition(c, [case])[0], quantity) for c in compositions)
        return not same_values(quantity, right, wrong).all()

    assert name in names
    assert fails(name)
    assert {other for other, (_, names) in CAUSES.items() if other != cause and any(map(fails, names))} == others


@pytest.mark.exhaustive
def test_no_two_deviations_of_a_rule_have_the_same_trajectories():
    for claim in dict.fromkeys(claim for claim, _ in CAUSES.values()):
        own = set(COMPOSITIONS[claim].values())
        named = [n for c, names in CAUSES.values() if c == claim for n in names if DEVIATIONS[n] not in own]
        alike = [["", *named]]
        for dtype in available_reals():  # until all have been told apart
            cases = [c for c in conformance_cases([dtype]) if c.steps <= 24] if alike else []
            alike = [group for names in alike for group in _with_the_same_trajectories(claim, names, cases)]
        assert not alike, claim


def _with_the_same_trajectories(claim, names, cases):
    """Those of the deviations that do the same on these cases as another one, in groups."""
    groups = {}
    for name in names:
        seen = b""
        changes = (DEVIATIONS[name],) if name else ()
        for traced in run_composition(changed(COMPOSITIONS[claim], changes), cases):
            for values in traced.shown().values():
                seen += (values.astype(np.float64) + 0.0).tobytes()  # makes every zero positive
        groups.setdefault(seen, []).append(name)
    return [group for group in groups.values() if len(group) > 1]
