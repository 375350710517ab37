"""The mistakes of every day are named in the first line of a report."""

from __future__ import annotations

import pytest
from cases import sampled
from everyday import MISTAKES, everyday

from rprop_ref.crosscheck import check


@pytest.mark.parametrize("name", sampled(MISTAKES, ["etas swapped", "memory not zeroed"]))
def test_a_mistake_is_named_in_the_first_line(name):
    report = check(everyday(name), "irprop-", dtypes=["float64"])
    assert report.headline.startswith("This is not irprop-: ")
    assert MISTAKES[name] in str(report).splitlines()[0]
    assert report.headline.count(";") <= 1


@pytest.mark.exhaustive
def test_two_mistakes_are_both_named_in_the_first_line():
    names = "a limit per branch, >=", "memory not zeroed"
    report = check(everyday(*names), "irprop-", dtypes=["float64"])
    for name in names:
        assert MISTAKES[name] in report.headline
