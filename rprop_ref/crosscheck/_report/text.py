"""The report as text: the headline, what was run, the first difference, the diagnosis, and measured behaviour."""

from __future__ import annotations

import numpy as np

from .._comparison.comparison import FAILED
from .._diagnosis.result import Diagnosis
from .._experiments.decompile import Decompiled
from .._stages.compositions import COMPOSITIONS, remedy
from .outcome import Outcome, plural

#: How many explanations are printed in full.
EXPLANATIONS_SHOWN = 6

#: How many cases that are not reproducible are named.
UNSTEADY_SHOWN = 3


def report_lines(report: Outcome) -> list[str]:
    """The lines of a report; the first is its headline, then what it does and what to change."""
    lines = [report.headline]
    if report.diagnosis is not None and not report.diagnosis.found_nothing:
        lines += ["", *_diagnosis(report, report.diagnosis)]
    if (
        report.learned is not None
        and not report.agrees
        and (report.diagnosis is None or report.diagnosis.found_nothing)
    ):
        lines += ["", *_learned(report.learned)]
    if report.smallest is not None:
        script = report.script().splitlines()
        lines += ["", "Smallest Python script that shows it:", *("    " + line for line in script)]
    if report.divergences:
        lines += ["", *_tiers(report)]
    lines += ["", *_what_was_run(report), *_errors(report), *_remarks(report)]
    if report.first_divergence is not None:
        lines += ["", f"First difference: {report.first_divergence}"]
    if report.diagnosis is not None and report.diagnosis.found_nothing:
        lines += ["", *_diagnosis(report, report.diagnosis)]
    if report.behaviour and not _has_rule(report):
        lines += ["", *_behaviour(report)]
    return lines


def _learned(learned: Decompiled) -> list[str]:
    """What the experiments have shown."""
    lines = [f"By experiments: {learned.headline}"]
    if learned.rule is None:
        return lines
    lines += [f"  * {sentence}" for sentence in learned.rule.differences]
    for tier in learned.tiers:
        if not tier.explained:
            lines.append(
                f"  Not explained: {tier.failing} of {tier.cases + tier.random} cases of {tier.tier}; "
                f"the first: {tier.first}"
            )
    lines.append("report.rule is this rule: print it, run it, or read report.rule.source().")
    return lines


def _has_rule(report: Outcome) -> bool:
    """Whether the experiments have found the rule, so that nothing has to be guessed."""
    return report.learned is not None and report.learned.rule is not None


def _tiers(report: Outcome) -> list[str]:
    lines = [f"Cases that agree with {report.claim}:"]
    for tier, count in report.tiers.items():
        first = "" if count.first is None else f"; first: {count.first.case.name}, step {count.first.step}"
        lines.append(f"  {tier:<18}{count.cases - count.differing} of {count.cases}{first}")
    return lines


def _agreeing(report: Outcome) -> int:
    return report.cases + report.random - len(report.divergences) - len(report.refused)


def _what_was_run(report: Outcome) -> list[str]:
    lines = [
        f"{_agreeing(report)} of {report.cases + report.random} cases agree "
        f"({report.cases} fixed, {report.random} random; {', '.join(report.dtypes)}). "
        f"Compared: {', '.join(report.compared)}."
        f"{' Its prev holds signs only.' if report.signs else ''}"
    ]
    if report.left_out:
        left_out = (f"{n} that need{'s' if n == 1 else ''} {need!r}" for need, n in report.left_out.items())
        lines.append(f"Cases left out: {', '.join(left_out)}.")
    return lines


def _errors(report: Outcome) -> list[str]:
    lines = []
    if report.refused:
        count = plural(len(report.refused), "case")
        lines.append(f"Ended with an error before the first step: {count}. The first: {report.refused[0]}")
    if report.failed_need is not None:
        need = report.failed_need
        lines.append(f"All errors are in cases that need {need!r}; without=[{need!r}] leaves these cases out.")
    elif report.refused and report.verdict == FAILED:
        lines.append("If the implementation lacks a feature or a dtype, leave it out with without= or dtypes=.")
    return lines


def _remarks(report: Outcome) -> list[str]:
    lines = []
    if report.differs_only_in is not None:
        feature = report.differs_only_in
        lines.append(
            f"All differences are in cases that need {feature!r}. If you do not care about these, leave them out "
            f'(without=["{feature}"], or --without "{feature}"): the rest is {report.claim}, to the bit.'
        )
    if report.zeros:
        lines.append("Some zeros have the other sign, which counts as equal.")
    for name in report.unsteady[:UNSTEADY_SHOWN]:
        lines.append(f"Not reproducible: {name} gave other results when it was run again.")
    if len(report.unsteady) > UNSTEADY_SHOWN:
        lines.append(f"Not reproducible: {plural(len(report.unsteady) - UNSTEADY_SHOWN, 'more case')}.")
    numeric = sum(d.quantity != "error" for d in report.divergences)
    if report.unsteady and _agreeing(report) and len(report.unsteady) == numeric:
        lines.append(
            "All reproducible results agree with the rule. "
            "Perhaps memory is read before it is written, or runs share state."
        )
    return lines


def _diagnosis(report: Outcome, diagnosis: Diagnosis) -> list[str]:
    if diagnosis.state_only:
        return _only_state_differs(report, diagnosis)
    if not diagnosis.explanations:
        return _leads(report, diagnosis)
    return _explanations(report, diagnosis)


def _only_state_differs(report: Outcome, diagnosis: Diagnosis) -> list[str]:
    all_seen = not (report.refused or report.unsteady or any(d.quantity == "error" for d in report.divergences))
    extent = "everywhere" if all_seen else f"in everything observed in {plural(diagnosis.cases, 'case')}"
    state = " and ".join(diagnosis.state_only)
    does, means, it = ("does", "means", "it") if len(diagnosis.state_only) == 1 else ("do", "mean", "them")
    return [
        f"Diagnosis: x agrees with {report.claim} {extent}, to the bit, but {state} {does} not.",
        f"If {state} {means} something else here, leave {it} out: without={list(diagnosis.state_only)}.",
    ]


def _leads(report: Outcome, diagnosis: Diagnosis) -> list[str]:
    told = "Diagnosis: no known deviation, alone or combined with others, explains everything."
    if _has_rule(report):
        return [told]
    lines = [f"{told} The nearest are:"]
    for lead in diagnosis.nearest:
        names = " + ".join(a.name for a in lead.changes) or f"{report.claim} as it is"
        lines.append(f"  {names}: reproduces {lead.matched} of {lead.scripts} scripts")
        lines.append(f"      and first fails at {lead.fails}")
    return lines


def _explanations(report: Outcome, diagnosis: Diagnosis) -> list[str]:
    explanations = diagnosis.explanations
    explained = _explained(report, diagnosis)
    if len(explanations) == 1:
        lines = [f"Diagnosis (explains {explained}):"]
    else:
        lines = [
            f"Diagnosis: {len(explanations)} explanations, which no case tells apart. "
            f"Each of them explains {explained}:"
        ]
    rule = COMPOSITIONS[report.claim]
    for number, explanation in enumerate(explanations[:EXPLANATIONS_SHOWN], 1):
        if len(explanations) > 1:
            lines.append(f"  explanation {number}")
        for deviation in explanation.changes:
            known_in = f" Known in: {', '.join(deviation.known_in)}." if deviation.known_in else ""
            lines.append(f"  * {deviation.name} ({deviation.stage}). {deviation.does}{known_in}")
            lines.append(f"      To agree: {remedy(rule, deviation)}")
    rest = [" + ".join(explanation.names) for explanation in explanations[EXPLANATIONS_SHOWN:]]
    if rest:
        dots = " ..." if len(rest) > EXPLANATIONS_SHOWN else ""
        lines.append(f"  and {len(rest)} more: {', '.join(rest[:EXPLANATIONS_SHOWN])}{dots}")
    return lines


def _explained(report: Outcome, diagnosis: Diagnosis) -> str:
    """What the explanations explain. Nothing is known about what was not seen, or not reproducible."""
    if report.refused or report.unsteady:
        cases = plural(diagnosis.cases, "case")
        everything, x = f"everything observed in {cases}, to the bit", f"x in {cases}, to the bit"
    else:
        everything, x = "everything, to the bit", "x, to the bit"
    return everything if diagnosis.complete else f"{x}, but not the step_size or prev shown"


def _behaviour(report: Outcome) -> list[str]:
    lines = ["Measured behaviour: x after each step, with that of the rule in parentheses."]
    for row in report.behaviour:
        agrees = not row.error and np.array_equal(row.got, row.expected, equal_nan=True)
        mark = "  " if agrees else "! "
        got = row.error or _numbers(row.got)
        lines.append(f"  {mark}{row.what:<26}{row.script:<28} {got}   ({_numbers(row.expected)})")
    return lines


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{v:.6g}" for v in values)
