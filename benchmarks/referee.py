"""How often the referee names a mistake: every known deviation, every pair, 2,000 triples, and 50 unknown rules.

For a mutant, `check` lists all sets of deviations of the smallest size that have the mutant's trajectories, to
the bit, on every case. So the figures follow from trajectories, which are computed for all mutants at once, and
reduced to a number each. A second, held-out set of random cases tells whether two mutants that `check` cannot tell
apart are really equal; if they are not, `check` would give a wrong name. A sample of the same mutants goes through
`check` itself, as a user would call it.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rprop_ref import rules
from rprop_ref.crosscheck import COMPOSITIONS, Alternative, Case, Report, check, conformance_cases, mutant
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._cases.randomized import random_cases
from rprop_ref.crosscheck._stages.batch import Batch
from rprop_ref.crosscheck._stages.compositions import deviations_from
from rprop_ref.crosscheck._stages.machine import Machine
from rprop_ref.crosscheck._stages.optimizer import ComposedOptimizer
from rprop_ref.crosscheck._stages.stages import ARITHMETIC, Changes, Composition, changed

from .leave_one_out import moves_alike
from .unknown_rules import unknown_rules

Array = np.ndarray[Any, Any]

TRIPLES = 2000

#: The seed and the number of the held-out cases.
HELD_OUT = 987, 400

#: Mutants that run on one machine.
MUTANTS_AT_ONCE = 256


def combinations(rule: Composition, size: int) -> list[Changes]:
    """All sets of deviations of a size, each in its own slot."""
    sets = itertools.combinations(deviations_from(rule), size)
    return [changes for changes in sets if len({a.slot for a in changes}) == size]


def random_combinations(rule: Composition, size: int, count: int) -> list[Changes]:
    """Different random sets of deviations of a size."""
    choice, single = random.Random(2026), deviations_from(rule)
    sets: dict[frozenset[Alternative], Changes] = {}
    while len(sets) < count:
        changes = tuple(choice.sample(single, size))
        if len({a.slot for a in changes}) == size:
            sets[frozenset(changes)] = changes
    return list(sets.values())


def signatures(rule: Composition, mutants: Sequence[Changes], cases: Sequence[Case]) -> Array:
    """A number for each mutant; equal if all trajectories are, to the bit (NaNs are equal, and so are zeros)."""
    result = np.zeros(len(mutants), np.uint64)
    rng = np.random.default_rng(7)
    groups: dict[Alternative, list[int]] = defaultdict(list)
    for i, changes in enumerate(mutants):
        groups[next((a for a in changes if a.slot == ARITHMETIC), rule[ARITHMETIC])].append(i)
    for dtype in dict.fromkeys(c.real for c in cases):
        for long in (False, True):
            some = [c for c in cases if c.real == dtype and (c.steps > 24) == long]
            if not some:
                continue
            batch = Batch(some)
            weights = rng.integers(1, 2**63, (batch.steps, 4, batch.size), np.uint64) | np.uint64(1)
            counts = np.arange(batch.steps)[:, None] < batch.lengths
            for arithmetic, rows in groups.items():
                for start in range(0, len(rows), MUTANTS_AT_ONCE):
                    part = rows[start : start + MUTANTS_AT_ONCE]
                    machine = Machine(changed(rule, (arithmetic,)), [mutants[i] for i in part], batch)
                    result[part] += _reduced(machine, weights, counts)
    return result


def _reduced(machine: Machine, weights: Array, counts: Array) -> Array:
    """A weighted sum over the bits of everything that the machine's rules show."""
    total = np.zeros(machine.alive.size, np.uint64)
    for t in range(len(weights)):
        machine.step()
        for values, weight in zip(
            (machine.x, machine.step_size, machine.prev, machine.gradient), weights[t], strict=True
        ):
            bits = np.where(values == 0, values.dtype.type(0), values).view(f"u{values.dtype.itemsize}")
            bits = np.where(np.isnan(values), bits.dtype.type(0x7FC1), bits).astype(np.uint64)
            mixed = (bits ^ (bits >> np.uint64(29))) * weight
            total += np.where(counts[t], mixed ^ (mixed >> np.uint64(32)), np.uint64(0)).sum(
                axis=1, dtype=np.uint64
            )
    return total


def count_by_trajectories(claim: str = rules.DEFAULT, triples: int = TRIPLES) -> dict[str, Any]:
    """Count, for singles, pairs and triples, how many would be named, listed as equals, and named wrongly."""
    rule = COMPOSITIONS[claim]
    cases = conformance_cases()
    held_out = _held_out_cases()
    mutants: dict[int, list[Changes]] = {
        0: [()],
        1: combinations(rule, 1),
        2: combinations(rule, 2),
        3: random_combinations(rule, 3, triples),
    }
    seen = {
        size: signatures(rule, some, [*cases, *random_cases(0, available_reals(), 100, _has_all)])
        for size, some in mutants.items()
    }
    held = {size: signatures(rule, some, held_out) for size, some in mutants.items()}
    smaller: dict[int, set[int]] = {}  # for each signature, those of its explanations on the held-out cases
    figures: dict[str, Any] = {"claim": claim}
    for size in mutants:
        counts: Counter[str] = Counter()
        fresh: dict[int, set[int]] = defaultdict(set)
        for mine, truth in zip(seen[size].tolist(), held[size].tolist(), strict=True):
            if mine not in smaller:
                counts["named"] += 1
                fresh[mine].add(truth)
            else:
                counts["equal to a smaller set" if smaller[mine] == {truth} else "wrong"] += 1
        counts["listed with others that held-out cases tell apart"] = sum(len(v) > 1 for v in fresh.values())
        smaller.update(fresh)
        if size:
            figures[str(size)] = {"mutants": len(mutants[size]), **counts}
    return figures


def _held_out_cases() -> list[Case]:
    seed, count = HELD_OUT
    return random_cases(seed, available_reals(), count, _has_all)


def _has_all(feature: str) -> bool:
    return True


def count_by_check(claim: str, mutants: Sequence[Changes]) -> Counter[str]:
    """Run `check` on mutants, and compare its explanations with what they are."""
    rule = COMPOSITIONS[claim]
    held_out = _held_out_cases()
    counts: Counter[str] = Counter()
    for changes in mutants:
        factory = mutant(claim, [a.name for a in changes])
        report = check(factory, claim)
        listed = [()] if report.agrees else _known(report)
        if not listed and report.rule is not None and report.learned is not None and report.learned.explained:
            counts["described" if moves_alike(report.rule, factory, held_out) else "wrong"] += 1
        elif not listed:
            counts["no known deviation"] += 1
        elif frozenset(changes) in {frozenset(c) for c in listed}:
            counts["named"] += 1
        else:
            truth, *others = signatures(rule, [changes, *listed], held_out).tolist()
            counts["equal to a smaller set" if set(others) == {truth} else "wrong"] += 1
    return counts


def count_unknown_rules(claim: str = rules.DEFAULT) -> Counter[str]:
    """Run `check` on rules with unknown deviations, and see whether any name it gives them is right."""
    rule = COMPOSITIONS[claim]
    counts: Counter[str] = Counter()
    held_out = _held_out_cases()
    for name, change in unknown_rules():
        factory = _factory(changed(rule, (change,)))
        report = check(factory, claim)
        if report.agrees:
            print(f"  not noticed: {name}", flush=True)
            counts["not noticed"] += 1
        elif not (listed := _known(report)):
            counts["no known deviation"] += 1
        else:
            truth, *others = signatures(rule, [(change,), *listed], held_out).tolist()
            right = set(others) == {truth}
            counts["equal to known deviations" if right else "wrong"] += 1
            names = [tuple(a.name for a in changes) for changes in listed]
            print(f"  {'equal' if right else 'WRONG'}: {name} = {names}", flush=True)
    return counts


def _known(report: Report) -> list[Changes]:
    """The sets of known deviations that are listed as explanations; what was learned has no names."""
    if report.diagnosis is None:
        return []
    return [
        tuple(a for a in explanation.changes if isinstance(a, Alternative))
        for explanation in report.diagnosis.explanations if not explanation.learned
    ]  # fmt: skip


def _factory(rule: Composition) -> Callable[..., ComposedOptimizer]:
    def factory(x0: Array, **setting: Any) -> ComposedOptimizer:
        return ComposedOptimizer(rule, x0, **setting)

    return factory


def run(sample: int = 40, claim: str = rules.DEFAULT) -> dict[str, Any]:
    """Compute and print all figures of one rule."""
    began = time.perf_counter()
    figures: dict[str, Any] = {"trajectories": count_by_trajectories(claim)}
    for size in "123":
        print(f"{claim}, sets of {size}: {figures['trajectories'][size]}", flush=True)
    rule, choice = COMPOSITIONS[claim], random.Random(11)
    chosen = {
        "every single": combinations(rule, 1),
        f"{sample} pairs": choice.sample(combinations(rule, 2), sample),
        f"{sample // 2} triples": random_combinations(rule, 3, sample // 2),
    }
    for what, mutants in chosen.items():
        figures[what] = dict(count_by_check(claim, mutants))
        print(f"{claim}, through check, {what}: {figures[what]}", flush=True)
    figures["unknown rules"] = dict(count_unknown_rules(claim))
    print(f"{claim}, 50 rules with unknown deviations: {figures['unknown rules']}", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")
    return figures


def every_rule() -> None:
    """Compute and print all figures of each rule."""
    for claim in rules.RULES:
        run(claim=claim)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--claim", default=rules.DEFAULT)
    arguments = parser.parse_args()
    run(arguments.sample, arguments.claim)
