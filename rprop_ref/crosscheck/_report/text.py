"""The report as text: what differs and what to change, the smallest script, the tiers, and all details."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._cases.tiers import ORDINARY
from .._comparison.comparison import FAILED
from .._diagnosis.result import Diagnosis
from .._experiments.result import Decompiled
from .advice import LEAVE_OUT, advice_on
from .outcome import Outcome, plural

#: How many explanations are printed in full.
EXPLANATIONS_SHOWN = 6

#: How many different errors are told.
ERRORS_SHOWN = 3

#: How many cases that are not reproducible are named.
UNSTEADY_SHOWN = 3


def report_lines(report: Outcome) -> list[str]:
    """The lines of a report: `summary_lines`, and `detail_lines` below."""
    details = detail_lines(report)
    return summary_lines(report) + (["", *details] if details else [])


def summary_lines(report: Outcome) -> list[str]:
    """What it is and where it is not, what to change, the smallest script, and the tiers."""
    lines = [report.headline, *_what_to_do(report)]
    if report.smallest is not None:
        script = report.script().splitlines()
        lines += ["", "Smallest Python script that shows it:", *("    " + line for line in script)]
    if report.divergences:
        lines += ["", *_tiers(report)]
    return lines


def detail_lines(report: Outcome) -> list[str]:
    """What was run, and all that is known about the differences."""
    blocks = [[*_what_was_run(report), *_errors(report), *_remarks(report)]]
    if report.diagnosis is not None and not _is_learned(report):
        blocks.append(_diagnosis(report, report.diagnosis))
    learned = report.learned
    # The first line has all that there is to say of what is no per-coordinate sign rule.
    has_more = learned is not None and (learned.rule is not None or learned.not_found)
    if learned is not None and has_more and (_is_learned(report) or _found_nothing(report)):
        blocks.append(_learned(report, learned))
    if report.behaviour and not _is_learned(report):
        blocks.append(_behaviour(report))
    return [line for block in blocks for line in ("", *block)][1:]


def _what_to_do(report: Outcome) -> list[str]:
    """What to change, and what to leave out if it does not matter."""
    lines = []
    if report.to_agree:
        several = report.diagnosis is not None and len(report.diagnosis.explanations) > 1
        lines.append(
            f"To agree{', if the first explanation below is right' if several else ''}: {report.to_agree}"
        )
    if "Not explained" in report.headline:
        lines += [
            f"Not explained: {tier.failing} of {tier.cases + tier.random} cases of {tier.tier}; "
            f"the first: {tier.first}"
            for tier in report.unexplained_tiers
        ]
    advice = advice_on(report.only_error)
    if advice:
        lines.append(advice)
    if report.diagnosis is not None and report.diagnosis.state_only:
        names = list(report.diagnosis.state_only)
        means, it = ("means", "it") if len(names) == 1 else ("mean", "them")
        lines.append(f"If {' and '.join(names)} {means} something else here, leave {it} out: without={names}.")
    elif report.differs_only_in:
        words = ",".join(report.differs_only_in)
        lines.append(
            f"If these cases do not matter to you, leave them out: without={list(report.differs_only_in)}, "
            f'or --without "{words}". The rest is {report.claim}, to the bit.'
        )
    return lines


def _is_learned(report: Outcome) -> bool:
    """Whether the experiments have found the rule, and no known deviations explain it."""
    has_rule = report.learned is not None and report.learned.rule is not None
    if report.diagnosis is None or not has_rule:
        return False
    return _found_nothing(report) or any(explanation.learned for explanation in report.diagnosis.explanations)


def _found_nothing(report: Outcome) -> bool:
    return report.diagnosis is not None and report.diagnosis.found_nothing


def _learned(report: Outcome, learned: Decompiled) -> list[str]:
    """What the experiments have shown."""
    lines = [f"By experiments: {learned.headline}"]
    if learned.rule is None:
        return lines
    if learned.rule.nearest == report.claim and report.points:
        for point in report.points:
            known_in = _known_in(report, point.text, point.known_in)
            # Where there is no name, the text is what it does.
            named = "" if point.does.lower().startswith(point.text.lower()) else f"{point.text}. "
            lines.append(f"  * {named}{point.does}{known_in}")
    else:
        lines += [f"  * {sentence}" for sentence in learned.rule.differences]
    lines.append("report.rule is this rule: print it, run it, or read report.rule.source().")
    return lines


def _tiers(report: Outcome) -> list[str]:
    """How many cases of each tier agree, and the points that are seen there first."""
    lines = [f"Cases that agree with {report.claim}:"]
    for tier, count in report.tiers.items():
        first = "" if count.first is None else f"; first: {count.first.case.name}, step {count.first.step}"
        lines.append(f"  {tier:<18}{count.cases - count.differing} of {count.cases}{first}")
        told = tier != ORDINARY and count.differing
        lines += [f"      {point.text}" for point in report.points if told and point.tier == tier and point.remedy]
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
    if not report.errors:
        return []
    lines = []
    early = ", all before the first step" if len(report.refused) == report.errors.total() else ""
    if report.only_error and report.verdict == FAILED:  # the first line has the error
        lines.append(f"{plural(report.errors.total(), 'case')} ended with this error{early}.")
    elif report.only_error:
        failed = plural(report.errors.total(), "case")
        lines.append(f"{failed} ended with the same error{early}: {report.only_error}")
    else:
        for error, count in report.errors.most_common(ERRORS_SHOWN):
            lines.append(f"{plural(count, 'case')} ended with an error: {error}")
        if len(report.errors) > ERRORS_SHOWN:
            lines.append(f"There were {plural(len(report.errors) - ERRORS_SHOWN, 'other error')}.")
    if report.failed_need is not None:
        need = report.failed_need
        lines.append(f"All errors are in cases that need {need!r}; without=[{need!r}] leaves these cases out.")
    elif report.refused and report.verdict == FAILED and not advice_on(report.only_error):
        lines.append(LEAVE_OUT)
    return lines


def _remarks(report: Outcome) -> list[str]:
    lines = []
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
    does = "does" if len(diagnosis.state_only) == 1 else "do"
    return [f"Diagnosis: x agrees with {report.claim} {extent}, to the bit, but {state} {does} not."]


def _leads(report: Outcome, diagnosis: Diagnosis) -> list[str]:
    told = "Diagnosis: no known deviation, alone or combined with others, explains everything."
    lines = [f"{told} The nearest are:"] if diagnosis.nearest else [told]
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
    for number, explanation in enumerate(explanations[:EXPLANATIONS_SHOWN], 1):
        if len(explanations) > 1:
            lines.append(f"  explanation {number}")
        for deviation in explanation.changes:
            known_in = _known_in(report, deviation.name, deviation.known_in) if number == 1 else ""
            lines.append(f"  * {deviation.name} ({deviation.stage}). {deviation.does}{known_in}")
            if number > 1:  # the second line of the report has those of the first explanation
                lines.append(f"      To agree: {report.remedy(deviation)}")
            elif not report.remedy(deviation):
                lines.append("      Makes no difference once the rest is mended.")
    rest = [" + ".join(explanation.names) for explanation in explanations[EXPLANATIONS_SHOWN:]]
    if rest:
        dots = " ..." if len(rest) > EXPLANATIONS_SHOWN else ""
        lines.append(f"  and {len(rest)} more: {', '.join(rest[:EXPLANATIONS_SHOWN])}{dots}")
    return lines


def _known_in(report: Outcome, name: str, packages: Sequence[str]) -> str:
    """Where something is known from, unless the first line has it."""
    told = f" Known in: {', '.join(packages)}."
    return "" if not packages or (name in report.headline and told in report.headline) else told


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
