"""How often the referee names a mistake: every known deviation, every pair, 2,000 triples, and 50 unknown rules.

What `check` lists for a mutant are all sets of deviations of the smallest size whose trajectories are the
mutant's to the bit on every case. So the figure follows from the trajectories themselves: they are computed for
all mutants at once, and condensed to a number each. A second, held-out set of cases, drawn at random, tells
whether two mutants that the catalogue cannot tell apart are equal indeed; a name that fails there would be a wrong
one. A sample of the same mutants goes through `check` as a user would call it, one step at a time.
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
from rprop_ref.crosscheck import RULES, Case, catalogue, check, mutant
from rprop_ref.crosscheck.cases import batch, dtypes_here, random_cases
from rprop_ref.crosscheck.deviations import alternatives
from rprop_ref.crosscheck.runner import Runner
from rprop_ref.crosscheck.stages import ARITHMETIC, Alternative, Changes, Machine, Rule, changed

from .unknown_rules import unknown_rules

Array = np.ndarray[Any, Any]

TRIPLES = 2000

VARIANTS = tuple(rules.RULES)


def combinations(rule: Rule, size: int) -> list[Changes]:
    """All sets of so many deviations, each in a slot of its own."""
    sets = itertools.combinations(alternatives(rule), size)
    return [changes for changes in sets if len({a.slot for a in changes}) == size]


def random_combinations(rule: Rule, size: int, count: int) -> list[Changes]:
    """Different sets of so many deviations."""
    choice, single = random.Random(2026), alternatives(rule)
    found: dict[frozenset[Alternative], Changes] = {}
    while len(found) < count:
        changes = tuple(choice.sample(single, size))
        if len({a.slot for a in changes}) == size:
            found[frozenset(changes)] = changes
    return list(found.values())


def signatures(rule: Rule, mutants: Sequence[Changes], cases: Sequence[Case]) -> Array:
    """A number for each mutant, equal where trajectories are, to the bit (NaNs are equal, and so are zeros)."""
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
            joint = batch(some)
            weights = rng.integers(1, 2**63, (joint.steps, 4, joint.size), np.uint64) | np.uint64(1)
            counts = np.arange(joint.steps)[:, None] < joint.lengths
            for arithmetic, rows in groups.items():
                for start in range(0, len(rows), 256):
                    part = rows[start : start + 256]
                    machine = Machine(changed(rule, (arithmetic,)), [mutants[i] for i in part], joint)
                    result[part] += _condensed(machine, weights, counts)
    return result


def _condensed(machine: Machine, weights: Array, counts: Array) -> Array:
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


def figure(claim: str = "irprop-", triples: int = TRIPLES) -> dict[str, Any]:
    """Count, for singles, pairs and triples, how many would be named, listed as equals, and named wrongly."""
    rule = RULES[claim]
    cases = catalogue()
    held_out = random_cases(987, dtypes_here(), 400, lambda feature: True)
    mutants: dict[int, list[Changes]] = {
        0: [()],
        1: combinations(rule, 1),
        2: combinations(rule, 2),
        3: random_combinations(rule, 3, triples),
    }
    seen = {
        size: signatures(rule, some, [*cases, *random_cases(0, dtypes_here(), 100, _has_all)])
        for size, some in mutants.items()
    }
    held = {size: signatures(rule, some, held_out) for size, some in mutants.items()}
    smaller: dict[int, set[int]] = {}  # for each signature, what its explanations do on the held-out cases
    found: dict[str, Any] = {"claim": claim}
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
            found[str(size)] = {"mutants": len(mutants[size]), **counts}
    return found


def _has_all(feature: str) -> bool:
    return True


def blind(claim: str, mutants: Sequence[Changes]) -> Counter[str]:
    """Give mutants to `check`; compare what it lists with what they are."""
    rule = RULES[claim]
    held_out = random_cases(987, dtypes_here(), 400, _has_all)
    counts: Counter[str] = Counter()
    for changes in mutants:
        report = check(mutant(claim, [a.name for a in changes]), claim)
        listed = (
            [()]
            if report.agrees
            else [e.changes for e in report.diagnosis.explanations]
            if report.diagnosis
            else []
        )
        if not listed:
            counts["no known deviation"] += 1
        elif frozenset(changes) in {frozenset(c) for c in listed}:
            counts["named"] += 1
        else:
            truth, *others = signatures(rule, [changes, *listed], held_out).tolist()
            counts["equal to a smaller set" if set(others) == {truth} else "wrong"] += 1
    return counts


def strangers(claim: str = "irprop-") -> Counter[str]:
    """Give rules with changes that are not in the catalogue to `check`; any name for them is looked at closely."""
    rule = RULES[claim]
    counts: Counter[str] = Counter()
    held_out = random_cases(987, dtypes_here(), 400, _has_all)
    for name, change in unknown_rules():
        factory = _factory(changed(rule, (change,)))
        report = check(factory, claim)
        if report.agrees:
            print(f"  not noticed: {name}", flush=True)
            counts["not noticed"] += 1
        elif not report.diagnosis or not report.diagnosis.explanations:
            counts["no known deviation"] += 1
        else:
            listed = [e.changes for e in report.diagnosis.explanations]
            truth, *others = signatures(rule, [(change,), *listed], held_out).tolist()
            right = set(others) == {truth}
            counts["equal to known deviations" if right else "wrong"] += 1
            print(
                f"  {'equal' if right else 'WRONG'}: {name} = {[e.names for e in report.diagnosis.explanations]}",
                flush=True,
            )
    return counts


def _factory(rule: Rule) -> Callable[..., Runner]:
    def factory(x0: Array, **setting: Any) -> Runner:
        return Runner(rule, x0, **setting)

    return factory


def run(sample: int = 40, claim: str = "irprop-") -> dict[str, Any]:
    """The whole figure, printed."""
    began = time.perf_counter()
    found: dict[str, Any] = {"trajectories": figure(claim)}
    for size in "123":
        print(f"{claim}, sets of {size}: {found['trajectories'][size]}", flush=True)
    rule, choice = RULES[claim], random.Random(11)
    chosen = {
        "every single": combinations(rule, 1),
        f"{sample} pairs": choice.sample(combinations(rule, 2), sample),
        f"{sample // 2} triples": random_combinations(rule, 3, sample // 2),
    }
    for what, mutants in chosen.items():
        found[what] = dict(blind(claim, mutants))
        print(f"{claim}, through check, {what}: {found[what]}", flush=True)
    found["unknown rules"] = dict(strangers(claim))
    print(f"{claim}, 50 rules that are not in the catalogue: {found['unknown rules']}", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")
    return found


def every_rule() -> None:
    """The whole figure of each of the five rules."""
    for claim in VARIANTS:
        run(claim=claim)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--claim", default="irprop-")
    arguments = parser.parse_args()
    run(arguments.sample, arguments.claim)
