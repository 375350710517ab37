"""The report as plain data, for JSON."""

from __future__ import annotations

from typing import Any

from .._comparison.divergence import Divergence, hexadecimal
from .._comparison.json_numbers import decimal
from .._diagnosis.result import Diagnosis, Learned
from .._experiments.result import Decompiled
from .._stages.stages import Alternative
from .outcome import Outcome

#: The version of the layout.
VERSION = 4


def report_data(report: Outcome) -> dict[str, Any]:
    """Everything in a report, as dicts, lists, strings and numbers."""
    smallest = report.smallest
    return {
        "version": VERSION,
        "claim": report.claim,
        "verdict": report.verdict,
        "ulps": decimal(report.ulps),
        "headline": report.headline,
        "points": [
            {
                "text": point.text,
                "to_agree": point.remedy,
                "known_in": list(point.known_in),
                "does": point.does,
                "tier": point.tier,
            }
            for point in report.points
        ],
        "differs_only_in": list(report.differs_only_in),
        "errors": dict(report.errors),
        "cases": report.cases,
        "random": report.random,
        "left_out": report.left_out,
        "refused": report.refused,
        "failed_need": report.failed_need,
        "unsteady": report.unsteady,
        "compared": list(report.compared),
        "prev_holds_signs": report.signs,
        "signs_of_zeros_differ": report.zeros,
        "divergences": [_divergence_data(d) for d in report.divergences],
        "smallest": None if smallest is None else {**_divergence_data(smallest), "python_script": report.script()},
        "diagnosis": None if report.diagnosis is None else _diagnosis_data(report.diagnosis, report),
        "dtypes": list(report.dtypes),
        "tiers": {
            tier: {"cases": count.cases, "differing": count.differing} for tier, count in report.tiers.items()
        },
        "rule": None if report.learned is None else _learned_data(report.learned),
        "behaviour": [
            {
                "what": row.what,
                "script": row.script,
                "expected": [decimal(v) for v in row.expected],
                "got": [decimal(v) for v in row.got],
                "error": row.error,
            }
            for row in report.behaviour
        ],
    }


def _learned_data(learned: Decompiled) -> dict[str, Any]:
    rule = learned.rule
    return {
        "headline": learned.headline,
        "depends_on": list(learned.outside),
        "nearest": None if rule is None else rule.nearest,
        "differences": [] if rule is None else list(rule.differences),
        "entries": {} if rule is None else dict(rule.table.entries),
        "source": None if rule is None else rule.source(),
        "tiers": {tier.tier: tier.explained for tier in learned.tiers},
    }


def _diagnosis_data(diagnosis: Diagnosis, report: Outcome) -> dict[str, Any]:
    return {
        "learned": any(explanation.learned for explanation in diagnosis.explanations),
        "complete": diagnosis.complete,
        "state_only": list(diagnosis.state_only),
        "cases": diagnosis.cases,
        "tried": diagnosis.tried,
        "explanations": [
            [_deviation_data(a, report) for a in explanation.changes] for explanation in diagnosis.explanations
        ],
        "nearest": [
            {
                "names": [a.name for a in lead.changes],
                "matched": lead.matched,
                "scripts": lead.scripts,
                "fails": lead.fails,
            }
            for lead in diagnosis.nearest
        ],
    }


def _deviation_data(deviation: Alternative | Learned, report: Outcome) -> dict[str, Any]:
    return {
        "name": deviation.name,
        "stage": deviation.stage,
        "does": deviation.does,
        "to_agree": report.remedy(deviation),
        "known_in": list(deviation.known_in),
    }


def _divergence_data(divergence: Divergence) -> dict[str, Any]:
    numeric = divergence.quantity != "error"
    return {
        "id": divergence.case.id,
        "case": divergence.case.name,
        "reason": divergence.case.reason,
        "dtype": divergence.case.dtype,
        "script": divergence.script,
        "step": divergence.step,
        "coordinate": divergence.coordinate,
        "quantity": divergence.quantity,
        "expected": decimal(divergence.expected) if numeric else None,
        "got": decimal(divergence.got) if numeric else str(divergence.got),
        "expected_hex": hexadecimal(divergence.expected) if numeric else None,
        "got_hex": hexadecimal(divergence.got) if numeric else None,
        "ulps": decimal(divergence.ulps),
    }
