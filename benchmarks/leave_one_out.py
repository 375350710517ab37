"""Is a mistake understood without its name? Each is struck from the catalogue, and mutants with it are decompiled.

A mutant counts as reproduced if the rule that is found, which is a table and says in sentences what it does, has
its bits in every case of every tier. Held-out random cases tell whether a tier that counts as explained really is;
if not, the description is wrong. A mutant that is no per-coordinate sign rule should be described as such.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rprop_ref import rules
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    DEVIATIONS,
    Alternative,
    Case,
    Decompiled,
    Rule,
    conformance_cases,
    decompile,
    mutant,
)
from rprop_ref.crosscheck._cases.randomized import random_cases_of_tier
from rprop_ref.crosscheck._cases.tiers import ORDINARY, tiers_of
from rprop_ref.crosscheck._comparison.catching import deviations_caught
from rprop_ref.crosscheck._comparison.divergence import same_values
from rprop_ref.crosscheck._comparison.expected import expected_trajectories
from rprop_ref.crosscheck._comparison.observe import Factory, observe
from rprop_ref.crosscheck._stages.compositions import deviations_from
from rprop_ref.crosscheck._table.names import _NAMES

DTYPES = ("float64",)

#: The features that are left out: a table has no walls that are given, and no lr for each coordinate.
LACKS = frozenset(("bounds", "lr per coordinate"))

#: The seed and the number of the held-out cases of each tier.
HELD_OUT = 987, 200

#: Deviations that make a step depend on more than signs, coordinate by coordinate.
OUTSIDE = ("shared step size", "moves by gradient times step", "stops when the memory is zero")


def visible(claim: str) -> list[Alternative]:
    """The deviations from a rule that change x, or the caller's gradient, in float64."""
    cases = [case for case in conformance_cases(DTYPES) if not case.needs & LACKS]
    deviations = deviations_from(COMPOSITIONS[claim])
    caught = deviations_caught(COMPOSITIONS[claim], deviations, expected_trajectories(claim, cases))
    seen = {name for case in caught for name in case.in_x}
    return [a for a in deviations if a.name in seen or a.slot == "touch"]


@contextmanager
def struck(names: tuple[str, ...]) -> Iterator[None]:
    """Strike names from the catalogue, and from the names that a table's differences have."""
    deviations, points = dict(DEVIATIONS), dict(_NAMES)
    for name in names:
        del DEVIATIONS[name]
        _NAMES.pop(name, None)
    try:
        yield
    finally:
        DEVIATIONS.clear()
        DEVIATIONS.update(deviations)
        _NAMES.update(points)


def is_right(found: Decompiled, factory: Factory) -> bool:
    """Whether the tiers that count as explained are, on cases that were not seen."""
    assert found.rule is not None
    seed, count = HELD_OUT
    explained = {tier.tier for tier in found.tiers if tier.explained}
    drawn = [
        case
        for tier in found.tiers if tier.explained
        for case in random_cases_of_tier(tier.tier, seed, DTYPES, count, LACKS)
    ]  # fmt: skip
    # The fixed cases of all tiers, too: what an outer tier needs must not spoil an inner one.
    fixed = [case for case in conformance_cases(DTYPES) if not case.needs & LACKS]
    # A case may touch another tier, which is not explained.
    cases = [case for case in (*drawn, *fixed) if (tiers_of(case) or {ORDINARY}) <= explained]
    return moves_alike(found.rule, factory, cases)


def moves_alike(rule: Rule, factory: Factory, cases: Sequence[Case]) -> bool:
    """Whether a rule moves x as an implementation does, to the bit."""
    for case, made in zip(cases, rule.on_cases(cases), strict=True):
        seen = observe(factory, case)
        if not same_values("x", made.x[: seen.steps], seen.x).all():
            return False
    return True


def decompiled(claim: str, names: tuple[str, ...]) -> str:
    """What becomes of a mutant whose deviations have no names."""
    factory = mutant(claim, list(names))
    with struck(names):
        found = decompile(factory, dtypes=list(DTYPES), without=LACKS)
    if found.rule is None:
        return "described as no such rule" if set(names) & set(OUTSIDE) else "not found"
    if not is_right(found, factory):
        return "wrong"
    return "reproduced" if found.explained else "inner tiers only"


def run(
    claim: str = rules.DEFAULT, count: int | None = None, pairs: int = 0, verbose: bool = False
) -> dict[str, int]:
    """Decompile mutants of a rule, print the figures and return them.

    Parameters
    ----------
    claim : str
    count : int, optional
        How many single deviations; by default all that can be seen.
    pairs : int
        How many random pairs of them.
    verbose : bool
        Whether to print a line for each mutant, not only for those that are not reproduced.
    """
    began, choice, singles = time.process_time(), random.Random(18), visible(claim)
    both = [choice.sample(singles, 2) for _ in range(pairs)]
    chosen = singles if count is None else choice.sample(singles, count)
    mutants = [(a.name,) for a in chosen] + [(a.name, b.name) for a, b in both if a.slot != b.slot]
    figures: Counter[str] = Counter()
    for names in mutants:
        what = decompiled(claim, names)
        figures[what] += 1
        if verbose or what != "reproduced":
            print(f"  {' + '.join(names)}: {what}", flush=True)
    seconds = (time.process_time() - began) / max(len(mutants), 1)
    what = f"{claim}, {len(mutants)} mutants without names (of {len(singles)} single deviations)"
    print(f"{what}: {dict(figures)}, {seconds:.1f} s each", flush=True)
    return dict(figures)


def every_rule() -> dict[str, dict[str, int]]:
    """Single deviations of each rule, and twenty pairs."""
    return {claim: run(claim, pairs=20) for claim in rules.RULES}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--claim", default=rules.DEFAULT)
    parser.add_argument("--count", type=int)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    run(arguments.claim, arguments.count, arguments.pairs, arguments.verbose)
