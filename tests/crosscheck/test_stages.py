"""The machine and the compositions compute what the rules do."""

from __future__ import annotations

import itertools

import naive
import numpy as np
import pytest
from cases import sampled, thinned

from rprop_ref import rules
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    DEVIATIONS,
    Case,
    conformance_cases,
    mutant,
)
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._cases.randomized import random_cases
from rprop_ref.crosscheck._comparison.expected import expected_trajectories, run_composition
from rprop_ref.crosscheck._comparison.observe import observe, observe_all
from rprop_ref.crosscheck._stages.batch import Batch
from rprop_ref.crosscheck._stages.compositions import PAPER, deviations_from
from rprop_ref.crosscheck._stages.machine import Machine
from rprop_ref.crosscheck._stages.stages import ARITHMETIC, SLOTS, STAGES, changed


def everything(feature):
    return True


def test_the_claims_are_the_rules_and_the_paper():
    assert set(COMPOSITIONS) == {*rules.RULES, PAPER}


@pytest.mark.parametrize("variant", rules.RULES)
@pytest.mark.parametrize("dtype", sampled(available_reals(), ["float32"]))
def test_composition_rule_and_oracle_agree_on_every_case(variant, dtype):
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


def test_what_a_saved_state_lacks_is_lost_also_if_the_next_gradient_is_missing():
    lost = DEVIATIONS["step size lost on resume"]
    case = Case(
        "loaded", "", "float64", np.ones((4, 1)), np.zeros(1), none=frozenset((2,)), resumed=frozenset((2,))
    )
    (x,) = (made.x for made in run_composition(changed(COMPOSITIONS["irprop-"], (lost,)), [case]))
    assert np.allclose(np.diff(x[:, 0]), [-0.12, 0, -0.12])  # the last grows from lr again
    assert same_bits(observe(mutant("irprop-", [lost.name]), case).x, x)


def test_rules_that_run_together_give_the_same_bits_as_alone():
    base = COMPOSITIONS["irprop-"]
    chosen = [(), *((a,) for a in deviations_from(base) if a.slot != ARITHMETIC)]
    batch = Batch(conformance_cases(["float32"])[:8])
    together = Machine(base, chosen, batch)
    alone = [Machine(base, [changes], batch) for changes in chosen]
    for t in range(batch.steps):
        together.step()
        for machine in alone:
            machine.step()
        if t == 5:  # keep every third
            together.keep(np.arange(len(chosen)) % 3 == 0)
            alone = alone[::3]
        for row, machine in enumerate(alone):
            assert same_bits(together.x[row], machine.x[0])
            assert same_bits(together.step_size[row], machine.step_size[0])


def test_every_slot_belongs_to_a_stage_and_every_alternative_to_a_slot():
    assert {slot.stage for slot in SLOTS} == set(STAGES)
    slots = {slot.name for slot in SLOTS} | {ARITHMETIC}
    for name, alternative in DEVIATIONS.items():
        assert alternative.name == name
        assert alternative.slot in slots
        assert alternative.does.endswith(".")
        assert alternative.fix.endswith(".")
    for composition in COMPOSITIONS.values():
        assert set(composition) == slots


@pytest.mark.parametrize("name", ["computed in double", "one step late", "etas in double", "last point restored"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_composed_optimizer_makes_the_steps_of_the_machine(name, dtype):
    if dtype not in available_reals():
        pytest.skip("bfloat16 needs ml_dtypes")
    rule = changed(COMPOSITIONS["rprop+"], (DEVIATIONS[name],))
    for case in conformance_cases([dtype])[:30]:
        stepped, traced = observe(mutant("rprop+", [name]), case), run_composition(rule, [case])[0]
        for quantity, values in stepped.shown().items():
            assert same_bits(values, getattr(traced, quantity)), (case.name, quantity)


#: One of so many deviations, each in another dtype than the one before it.
SOME = list(zip(itertools.cycle(["float64", "complex64", "float16"]), thinned(DEVIATIONS, 6), strict=False))


@pytest.mark.parametrize(("dtype", "name"), sampled(SOME, SOME[1:2]))
def test_a_mutant_makes_the_same_steps_in_one_case_and_in_many_at_once(dtype, name):
    rule = mutant("irprop+", [name])
    cases = [case for case in conformance_cases([dtype]) if case.steps <= 24]
    cases += random_cases(5, [dtype], 20, everything)
    for case, together in zip(cases, observe_all(rule, cases), strict=True):
        alone = observe(rule, case)
        assert alone.error is None
        for quantity, values in alone.shown().items():
            assert same_bits(values, getattr(together, quantity)), (case.name, quantity)
