"""What a rule is called holds in everything that it does, also where the search never needed an entry."""

from __future__ import annotations

import numpy as np
import pytest
from cases import sampled
from implementations import ours
from strangers import STRANGERS, Stranger

from benchmarks.random_tables import random_table
from rprop_ref.crosscheck import Rule, check, decompile
from rprop_ref.crosscheck._cases.conformance import conformance_cases
from rprop_ref.crosscheck._cases.randomized import random_cases
from rprop_ref.crosscheck._comparison.expected import expected_trajectories
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._report.points import Cases, points_of_rule
from rprop_ref.crosscheck._requests import missing_features
from rprop_ref.crosscheck._table.five import NAMES, completed, expected
from rprop_ref.crosscheck._table.names import points
from rprop_ref.crosscheck._table.table import Table


class Signs(Stranger):
    """iRprop- with some of its parts written another way; those differ only outside of ordinary use."""

    def sign(self, g):
        return np.sign(g)

    def seen(self, g):
        return g

    def stored(self, g):
        return g

    def update(self, g, loss):
        g = self.seen(g)
        q = g * self.prev
        factor = np.where(q > 0, self.up, np.where(q < 0, self.down, self.kind(1)))
        self.size = np.minimum(np.maximum(self.size * factor, self.lo), self.hi)
        g = np.where(q < 0, 0, g)
        self.x, self.prev = self.x - self.sign(g) * self.size, self.stored(g)


class Poisoned(Signs):
    """A NaN gradient makes x NaN."""


class Clipped(Signs):
    def seen(self, g):
        return np.clip(g, -1, 1)


class Torch7(Signs):
    def stored(self, g):
        return np.sign(g)


class WithoutNan(Signs):
    def sign(self, g):
        return np.where(g > 0, self.kind(1), np.where(g < 0, -self.kind(1), self.kind(0)))


#: What each is told to do in an outer tier that nothing in ordinary use shows.
SIGNS = {
    Poisoned: "Where the gradient is NaN: makes x NaN.",
    Clipped: "A factor of 0 counts.",
    Torch7: "Where the gradient is NaN: makes x NaN.",
    WithoutNan: "A sign change is where the product is negative.",
}
RULES = {
    **{name: ours(name) for name in NAMES},
    **{stranger.__name__: stranger for stranger in (*STRANGERS, *SIGNS)},
    **{f"table {seed}": Rule(random_table(seed)) for seed in (300, 302, 7006, 8010, 9007, 9100, 9147)},
}


@pytest.mark.parametrize("name", sampled(RULES, ["irprop-", "Torch7", "Accord"]))
def test_a_title_holds_on_the_cases_of_check_and_so_do_the_remedies(name):
    factory, dtypes = RULES[name], ["float64", "float32"]
    lacks = missing_features(factory, dtypes)
    found = decompile(factory, dtypes=dtypes, without=lacks & {"save", "set", "none", "lr per coordinate"})
    assert found.explained, found.headline
    nearest, table = found.rule.nearest, found.rule.table
    cases = [case for case in conformance_cases(dtypes) if not case.needs & lacks]
    cases += random_cases(0, dtypes, 60, lambda feature: feature not in lacks)
    claimed = expected_trajectories(nearest, cases)
    seen = [observe(factory, case, frozenset(("prev", "step_size"))) for case in cases]
    told = points_of_rule(found.rule, nearest, Cases(claimed, seen, signs_only=False))
    remedied = {point.text for point in told if point.remedy}
    keys = [key for text, keys in points(table, nearest, everything=True) if text in remedied for key in keys]
    mended = Rule(Table({**table.entries, **{key: expected(nearest, key) or table.plainest(key) for key in keys}},
                        table.symmetric, table.uses_loss))  # fmt: skip
    report = check(mended, nearest, dtypes=dtypes, without=lacks - {"bounds"}, diagnosis=False)
    assert report.agrees, (nearest, found.rule.differences, told, report.headline)
    assert bool(found.rule.differences) == (not table.title == f"This is {nearest}")
    if not found.rule.differences:
        assert not keys


@pytest.mark.parametrize("stranger", sampled(SIGNS, [Poisoned, Clipped]))
def test_what_only_an_outer_tier_shows_is_told(stranger):
    found = decompile(stranger, dtypes=["float64", "float32"])
    assert found.rule.nearest == "irprop-"
    assert SIGNS[stranger] in found.rule.differences
    assert not found.headline.startswith("This is irprop-")


def test_what_was_not_tried_is_not_told():
    found = decompile(Poisoned, dtypes=["float64"], without=["nan", "inf", "etas", "lr outside step_sizes"])
    assert found.rule.differences == ()
    assert "NaN" not in str(found.rule)


def test_a_row_that_is_never_met_gets_no_entries():
    def keys(*lacks):
        return set(completed("rprop-", {}, lacks, symmetric=True, uses_loss=False))

    assert {"nan: move", "nan product 0: memory"} <= keys() - keys("nan", "inf")
    assert {"nan product: factor", "nan: factor"} & keys("nan") == {"nan product: factor"}
    assert not any(key.startswith(("rose", "first", "after")) for key in keys())
