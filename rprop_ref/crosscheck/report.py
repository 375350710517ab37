"""What `check` returns: the verdict, where the two part, and why; as text, JSON or HTML."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .deviations import RULES, remedy
from .diagnose import Diagnosis
from .observe import Divergence, hexadecimal
from .shrink import script

IDENTICAL, ROUNDING = "identical", "same rule, rounding differs"
DIFFERENT, FAILED = "a different rule", "could not run"

#: So many explanations are printed in full.
SHOWN = 6

#: The version of the layout of `Report.to_json`.
JSON_VERSION = 1


@dataclass(frozen=True)
class Behaviour:
    """A row of the behaviour sheet: what was measured on a short script."""

    what: str
    script: str
    expected: tuple[float, ...]
    got: tuple[float, ...]
    error: str | None = None


@dataclass
class Report:
    """How an implementation compares with the rule it claims to be.

    Attributes
    ----------
    claim : str
        The rule.
    verdict : str
        "identical", "same rule, rounding differs", "a different rule" or "could not run".
    ulps : float
        By how many units in the last place it differs at most; 0 if identical, infinite if it is another rule.
    first_divergence : Divergence or None
        The first difference on the first case that shows one.
    divergences : list of Divergence
        The same for every case that shows one.
    smallest : Divergence or None
        The first difference on the smallest case that was found.
    diagnosis : Diagnosis or None
        Which known deviations explain it; None if there is nothing to explain.
    cases, random : int
        How many cases of the catalogue, and how many at random, were run.
    left_out : dict of str to int
        How many cases needed something that the implementation does not have.
    refused : list of str
        Cases that ended with an error before the first step, and the error.
    failed_need : str or None
        What all cases with errors need, and few others do: a name for ``without=``.
    unsteady : list of str
        Cases that gave other results when they were run again.
    signs : bool
        Whether its `prev` holds signs only.
    zeros : bool
        Whether some parameter is +0 instead of -0, or -0 instead of +0, which counts as equal otherwise.
    compared : tuple of str
        What was compared.
    behaviour : list of Behaviour
        What it does, measured, if no known deviation explains it.
    factory : str
        The line that makes the name ``factory`` known in `script`.
    """

    claim: str
    verdict: str
    ulps: float
    divergences: list[Divergence] = field(default_factory=list)
    smallest: Divergence | None = None
    diagnosis: Diagnosis | None = None
    cases: int = 0
    random: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    failed_need: str | None = None
    unsteady: list[str] = field(default_factory=list)
    signs: bool = False
    zeros: bool = False
    compared: tuple[str, ...] = ("x",)
    behaviour: list[Behaviour] = field(default_factory=list)
    factory: str = "from my_module import factory"

    @property
    def agrees(self) -> bool:
        """Whether it is the claimed rule to the last bit."""
        return self.verdict == IDENTICAL

    @property
    def first_divergence(self) -> Divergence | None:
        """Where it parts from the claimed rule, on the first case on which it does."""
        return self.divergences[0] if self.divergences else None

    def agrees_within(self, ulps: float) -> bool:
        """Whether it is the claimed rule but for rounding by at most so many units in the last place."""
        return self.verdict in (IDENTICAL, ROUNDING) and self.ulps <= ulps

    def script(self, factory: str | None = None) -> str:
        """A script of about ten lines that shows the smallest failure; empty if there is none."""
        found = self.smallest or self.first_divergence
        return "" if found is None else script(found, factory or self.factory)

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        claim = "the paper's algorithm box" if self.claim == "paper" else self.claim
        if self.verdict == IDENTICAL:
            return f"This is {claim}, to the last bit."
        if self.verdict == ROUNDING:
            return f"This is {claim}; rounding differs by at most {_plural(self.ulps, 'ulp')}."
        if self.verdict == DIFFERENT:
            return f"This is not {claim}."
        return "This could not be run."

    def __str__(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> list[str]:
        lines = [self.headline]
        agree = self.cases + self.random - len(self.divergences) - len(self.refused)
        lines.append(
            f"{agree} of {self.cases + self.random} cases agree "
            f"({self.cases} of the catalogue, {self.random} at random); compared: {', '.join(self.compared)}."
            f"{' Its prev holds signs only.' if self.signs else ''}"
        )
        if self.left_out:
            left_out = ", ".join(f"{n} ({what!r})" for what, n in self.left_out.items())
            lines.append(f"Left out, for what they need: {left_out}.")
        if self.refused:
            lines.append(f"Refused: {_plural(len(self.refused), 'case')}, the first of them {self.refused[0]}")
        if self.failed_need is not None:
            need = self.failed_need
            lines.append(f"All errors are in cases that need {need!r}; without=[{need!r}] leaves these out.")
        elif self.refused and self.verdict == FAILED:
            lines.append("What an implementation does not have can be left out with without= and dtypes=.")
        if self.zeros:
            lines.append("Some zeros have the other sign; that counts as equal.")
        for name in self.unsteady[:3]:
            lines.append(f"Not reproducible: {name} gives other results when it is run again.")
        if len(self.unsteady) > 3:
            lines.append(f"Not reproducible: {len(self.unsteady) - 3} more.")
        if self.unsteady and agree and len(self.unsteady) == sum(d.quantity != "error" for d in self.divergences):
            lines.append(
                "All that repeats is the rule. Memory may be read before it is written, or runs may share state."
            )
        if self.first_divergence is not None:
            lines += ["", f"First difference: {self.first_divergence}"]
        if self.smallest is not None:
            lines += ["", "Smallest script:", *("    " + line for line in self.script().splitlines())]
        if self.diagnosis is not None:
            lines += ["", *self._diagnosis_lines(self.diagnosis)]
        if self.behaviour:
            lines += ["", "What it does, by x after each step (and what the rule does):"]
            for row in self.behaviour:
                got = row.error or _numbers(row.got)
                mark = "  " if not row.error and _same(row.got, row.expected) else "! "
                lines.append(f"  {mark}{row.what:<26}{row.script:<28} {got}   ({_numbers(row.expected)})")
        return lines

    def _diagnosis_lines(self, diagnosis: Diagnosis) -> list[str]:
        rule = RULES[self.claim]
        found = diagnosis.explanations
        if diagnosis.state_only:
            whole = not (self.refused or self.unsteady or any(d.quantity == "error" for d in self.divergences))
            where = "everywhere" if whole else f"in all that was seen in {_plural(diagnosis.cases, 'case')}"
            return [
                f"Diagnosis: x is that of {self.claim} {where}, to the bit; "
                f"what is shown as {' and '.join(diagnosis.state_only)} is not.",
                f"If it means something else, leave it out: without={list(diagnosis.state_only)}.",
            ]
        if not found:
            lines = ["Diagnosis: no known deviation, alone or combined, explains all of it."]
            for near in diagnosis.nearest:
                names = " + ".join(a.name for a in near.changes) or f"{self.claim} as it is"
                lines.append(f"  {near.matched} of {near.scripts} scripts: {names}")
                lines.append(f"      first fails at {near.fails}")
            return lines
        what = "all of it" if diagnosis.complete else "x, but not what is shown as step_size or prev"
        if self.refused or self.unsteady:
            # What was not seen may be anything.
            cases = _plural(diagnosis.cases, "case")
            what = f"all that was seen in {cases}" if diagnosis.complete else f"x in {cases}, but not its state"
        if len(found) == 1:
            lines = [f"Diagnosis ({what}, to the bit):"]
        else:
            lines = [f"Diagnosis: {len(found)} explanations ({what}, to the bit) that no case tells apart:"]
        for number, explanation in enumerate(found[:SHOWN], 1):
            if len(found) > 1:
                lines.append(f"  explanation {number}")
            for a in explanation.changes:
                known = f" Known in: {', '.join(a.known_in)}." if a.known_in else ""
                lines.append(f"  * {a.name} ({a.stage}). {a.does}{known}")
                lines.append(f"      To agree: {remedy(rule, a)}")
        if len(found) > SHOWN:
            rest = [" + ".join(explanation.names) for explanation in found[SHOWN:]]
            more = ", ".join(rest[:SHOWN]) + (" ..." if len(rest) > SHOWN else "")
            lines.append(f"  and {len(rest)} more: {more}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Everything in the report, as plain data."""
        diagnosis = None
        if self.diagnosis is not None:
            rule = RULES[self.claim]
            diagnosis = {
                "complete": self.diagnosis.complete,
                "state_only": list(self.diagnosis.state_only),
                "cases": self.diagnosis.cases,
                "tried": self.diagnosis.tried,
                "explanations": [
                    [
                        {
                            "name": a.name,
                            "stage": a.stage,
                            "does": a.does,
                            "to_agree": remedy(rule, a),
                            "known_in": list(a.known_in),
                        }
                        for a in explanation.changes
                    ]
                    for explanation in self.diagnosis.explanations
                ],
                "nearest": [
                    {
                        "names": [a.name for a in near.changes],
                        "matched": near.matched,
                        "scripts": near.scripts,
                        "fails": near.fails,
                    }
                    for near in self.diagnosis.nearest
                ],
            }
        return {
            "version": JSON_VERSION,
            "claim": self.claim,
            "verdict": self.verdict,
            "ulps": _plain(self.ulps),
            "cases": self.cases,
            "random": self.random,
            "left_out": self.left_out,
            "refused": self.refused,
            "failed_need": self.failed_need,
            "unsteady": self.unsteady,
            "compared": list(self.compared),
            "prev_holds_signs": self.signs,
            "signs_of_zeros_differ": self.zeros,
            "divergences": [_divergence(d) for d in self.divergences],
            "smallest": None if self.smallest is None else {**_divergence(self.smallest), "script": self.script()},
            "diagnosis": diagnosis,
            "behaviour": [
                {
                    "what": row.what,
                    "script": row.script,
                    "expected": [_plain(v) for v in row.expected],
                    "got": [_plain(v) for v in row.got],
                    "error": row.error,
                }
                for row in self.behaviour
            ],
        }

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON; numbers that JSON has not are strings ("nan", "inf", "-inf")."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def _repr_html_(self) -> str:
        colour = {IDENTICAL: "#1a7f37", ROUNDING: "#9a6700"}.get(self.verdict, "#cf222e")
        head, *rest = self._lines()
        return (
            f'<div style="border-left: 4px solid {colour}; padding-left: 1em">'
            f'<p style="color: {colour}"><b>{html.escape(head)}</b></p>'
            f"<pre>{html.escape(chr(10).join(rest))}</pre></div>"
        )

    def to_html(self) -> str:
        """The report as a page of its own."""
        title = html.escape(f"Rprop crosscheck: {self.claim}")
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
            f"<body>\n<h1>{title}</h1>\n{self._repr_html_()}\n</body>\n</html>\n"
        )


def _divergence(found: Divergence) -> dict[str, Any]:
    numeric = found.quantity != "error"
    return {
        "case": found.case.name,
        "reason": found.case.reason,
        "dtype": found.case.dtype,
        "script": found.script,
        "step": found.step,
        "coordinate": found.coordinate,
        "quantity": found.quantity,
        "expected": _plain(found.expected) if numeric else None,
        "got": _plain(found.got) if numeric else str(found.got),
        "expected_hex": hexadecimal(found.expected) if numeric else None,
        "got_hex": hexadecimal(found.got) if numeric else None,
        "ulps": _plain(found.ulps),
    }


def _plain(value: Any) -> float | str:
    value = float(value)
    return value if np.isfinite(value) else str(value)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{v:.6g}" for v in values)


def _same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def _plural(count: float, noun: str) -> str:
    return f"{count:.3g} {noun}{'' if count == 1 else 's'}"
