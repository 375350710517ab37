"""What `check` returns: the verdict, the first difference, and the diagnosis."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

from .._comparison.comparison import IDENTICAL, ROUNDING
from .data import report_data
from .outcome import Outcome
from .text import detail_lines, report_lines, summary_lines


@dataclass
class Report(Outcome):
    """How an implementation compares with the rule it claims to be.

    Attributes
    ----------
    claim : str
        The rule.
    verdict : str
        "identical", "same rule, rounding differs", "a different rule" or "could not run".
    ulps : float
        The largest difference in units in the last place; 0 if identical, infinite if it is more than rounding.
    first_divergence : Divergence or None
        The first difference on the first case that has one.
    divergences : list of Divergence
        The first difference on every case that has one.
    smallest : Divergence or None
        The first difference on the smallest failing case that was found.
    diagnosis : Diagnosis or None
        The known deviations that explain it; None if there is nothing to explain.
    cases, random : int
        How many conformance cases, and how many random ones, were run.
    left_out : dict of str to int
        How many cases were left out, for each feature that they need and the implementation does not have.
    refused : list of str
        The cases that ended with an error before the first step, and the errors.
    failed_need : str or None
        The feature that all cases with errors need and few others do: a name for ``without=``.
    unsteady : list of str
        The cases that gave other results when they were run again.
    signs : bool
        Whether its `prev` holds signs only.
    zeros : bool
        Whether x is somewhere +0 instead of -0, or -0 instead of +0, which counts as equal.
    compared : tuple of str
        The quantities that were compared.
    behaviour : list of Behaviour
        Measurements of what it does, if no known deviation explains it.
    dtypes : tuple of str
        The dtypes it was compared in.
    tiers : dict of str to TierCount
        For each tier, how many cases agree with the claimed rule.
    learned : Decompiled or None
        What was learned by experiments; `rule` is its rule.
    rule : Rule or None
        The rule that it follows, as a table and as code.
    points : list of Point
        What differs, with what to change; those that explain most first.
    errors : Counter of str
        The errors that cases ended with, and in how many cases each.
    differs_only_in : tuple of str
        Names for ``without=`` with which it would be the claimed rule.
    factory : str
        The line that defines the name ``factory`` in `script`.
    """

    def __str__(self) -> str:
        return "\n".join(report_lines(self)) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Everything in the report, as plain data."""
        return report_data(self)

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON. NaN and the infinities are strings: "nan", "inf", "-inf"."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def _repr_html_(self) -> str:
        colour = {IDENTICAL: "#1a7f37", ROUNDING: "#9a6700"}.get(self.verdict, "#cf222e")
        head, *rest = summary_lines(self)
        details = "\n".join(detail_lines(self))
        return (
            f'<div style="border-left: 4px solid {colour}; padding-left: 1em">'
            f'<p style="color: {colour}"><b>{html.escape(head)}</b></p>'
            f"<pre>{html.escape(chr(10).join(rest))}</pre>"
            f"<details><summary>Details</summary><pre>{html.escape(details)}</pre></details></div>"
        )

    def to_html(self) -> str:
        """The report as an HTML page."""
        title = html.escape(f"Rprop crosscheck: {self.claim}")
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
            f"<body>\n<h1>{title}</h1>\n{self._repr_html_()}\n</body>\n</html>\n"
        )
