"""What a rule is called holds in everything that it does, also where the search never needed an entry."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import sampled, thinned
from implementations import ours
from strangers import STRANGERS, Stranger

from benchmarks.random_tables import random_table
from rprop_ref.crosscheck import DEVIATIONS, Rule, check, decompile
from rprop_ref.crosscheck._cases.conformance import conformance_cases
from rprop_ref.crosscheck._cases.randomized import random_cases
from rprop_ref.crosscheck._comparison.expected import expected_trajectories
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._experiments.describe import _differences
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
    **{stranger.__name__: stranger for stranger in (*list(STRANGERS)[::3], *SIGNS)},
    **{f"table {seed}": Rule(random_table(seed)) for seed in (300, 9203)},
}


@pytest.mark.parametrize(
    "name", sampled([name for name in RULES if name in thinned(RULES, 6) or name == "Accord"], ["Accord"])
)
def test_a_title_holds_on_the_cases_of_check_and_so_do_the_remedies(name):
    factory, dtypes = RULES[name], ["float64"] if name.startswith("table") else ["float64", "float32"]
    lacks = missing_features(factory, dtypes)
    found = decompile(factory, dtypes=dtypes, without=lacks & {"save", "set", "none", "lr per coordinate"})
    assert found.explained, found.headline
    nearest, table = found.rule.nearest, found.rule.table
    cases = [case for case in conformance_cases(dtypes) if not case.needs & lacks]
    cases += random_cases(0, dtypes, 100, lambda feature: feature not in lacks)
    claimed = expected_trajectories(nearest, cases)
    seen = [observe(factory, case, frozenset(("prev", "step_size"))) for case in cases]
    told = points_of_rule(found.rule, nearest, Cases(claimed, seen, signs_only=False))
    remedied = {point.text for point in told if point.remedy}
    keys = [key for text, keys in points(table, nearest, everything=True) if text in remedied for key in keys]
    entries = {**table.entries, **{key: expected(nearest, key) or table.plainest(key) for key in keys}}
    form = {"symmetric": table.symmetric, "uses_loss": table.uses_loss}
    mended = Rule(Table(completed(nearest, entries, (), **form), **form))  # it is the rule where it has no entry
    report = check(mended, nearest, dtypes=dtypes, without=lacks - {"bounds"}, diagnosis=False)
    assert report.agrees, (nearest, found.rule.differences, told, report.headline)
    assert bool(found.rule.differences) == (table.title != f"This is {nearest}")
    if not found.rule.differences:
        assert not keys
        assert check(found.rule, nearest, dtypes=dtypes, without=lacks - {"bounds"}, diagnosis=False).agrees


@pytest.mark.parametrize("stranger", sampled(SIGNS, [Poisoned]))
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


def _table(symmetric=True, **entries):
    return Table({key.replace("_", " ").replace("  ", ": "): answer for key, answer in entries.items()}, symmetric)


def test_limits_and_a_step_size_of_zero_are_told_in_grammatical_sentences():
    table = _table(same__limits="move only", flip__factor="0", flip__limits="both")
    assert table.row_sentence("same", "", ["limits"]) == (
        "Where the gradient keeps its sign: applies both limits to the step size for the move only, "
        "not to the one that is stored."
    )
    assert table.row_sentence("flip", "", ["factor", "limits"]) == (
        "Where the gradient changes its sign: sets the step size to the smallest."
    )


def test_a_table_that_goes_uphill_tells_the_sign_of_the_callers_gradient():
    entries = {"flip +: move": "new", "flip -: move": "none"}
    down, up = (Table({**entries, "direction": way}, symmetric=False) for way in ("down", "up"))
    assert "(now positive)" in down.row_sentence("flip", "+", ["move"])
    assert "(now negative)" in up.row_sentence("flip", "+", ["move"])


def test_a_row_of_the_first_step_that_is_that_of_a_memory_of_zero_is_no_difference():
    alike = {f"{row}: {field}": expected("rprop-", f"{row}: {field}") for row in ("first", "fresh") for field in
             ("factor", "limits", "move", "memory")}  # fmt: skip
    own = Table({**alike, "start memory": "own"})
    assert list(_differences(own, "rprop-")) == []
    other = Table({**own.entries, "first: factor": "up"})
    assert [text[:18] for text in _differences(other, "rprop-")] == ["At the first step:"]
    later = Table({**own.entries, "fresh: factor": "up"})
    assert "The first step has a row of its own." in list(_differences(later, "rprop-"))


class IntegerSign(Signs):
    """The sign of NaN as an integer, which no table has."""

    def sign(self, g):
        with np.errstate(invalid="ignore"):
            return np.sign(g).astype(np.int64)


@pytest.mark.exhaustive
def test_what_is_not_explained_is_not_called_the_rule():
    report = check(IntegerSign, "irprop-", dtypes=["float64"])
    assert report.headline == "This is irprop-, except where gradients are NaN. Not explained: numbers."
    assert "it is irprop-" not in str(report)
    assert re.search(r"^Not explained: \d+ of \d+ cases of numbers; the first: NaN gradients", str(report), re.M)


class Swapped(Stranger):
    """The limits swapped, in a way that two sets of known deviations explain."""

    def update(self, g, loss):
        q = g * self.prev
        factor = np.where(q > 0, self.up, np.where(q < 0, self.down, self.kind(1)))
        self.size = np.minimum(np.maximum(self.size * factor, self.hi), self.lo)
        g = np.where(q < 0, 0, g)
        self.x, self.prev = self.x - np.where(np.isnan(g), 0, np.sign(g)) * self.size, g


@pytest.mark.exhaustive
def test_only_what_all_explanations_have_is_in_the_first_line():
    report = check(Swapped, "irprop-", dtypes=["float64", "float32"])
    assert "limits swapped" in report.headline
    assert "etas hard-coded" not in report.headline.partition("(")[0]
    common = set.intersection(*(set(e.names) for e in report.diagnosis.explanations))
    assert all(name in common for name in DEVIATIONS if name in report.headline)


@pytest.mark.exhaustive
def test_the_first_line_tells_ordinary_use_first():
    report = check(Clipped, "irprop-", dtypes=["float64", "float32"], random=20)
    assert report.headline == (
        "In ordinary use this is irprop- in x, to the last bit, but not in prev; "
        "outside ordinary use: flip found by the sign; an eta- of 0 counts (and 1 more point)."
    )


def test_a_rule_with_differences_is_not_said_to_differ_everywhere():
    found = decompile(Poisoned, dtypes=["float64"])
    assert found.headline == (
        "This is nearest to irprop-; the point in which it differs explains everything that was tried, to the bit."
    )
