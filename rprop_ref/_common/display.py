"""Tables and summaries in text and HTML, for people to read."""

from __future__ import annotations

import html
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..trace import Trace

_CELL = "padding:.15em .6em"

#: Coordinates, and entries of an array, that a summary shows at most.
SHOWN = 6


#: Characters in a line of text.
WIDTH = 88


def wrapped(text: str, indent: str = "", further: str = "  ") -> str:
    """The text in lines that are not too long."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=further)


def text_table(head: Sequence[str], lines: Iterable[Sequence[str]], left: Collection[int] = ()) -> str:
    """Columns that are set to the right, but for those numbered in `left`."""
    rows = [list(head), *map(list, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def html_table(
    head: Sequence[str], lines: Iterable[Sequence[str]], caption: str = "", left: Collection[int] = ()
) -> str:
    """The same as HTML, without colours of its own: it is readable in light and dark notebooks."""

    def row(cells: Sequence[str], tag: str) -> str:
        styles = [f"{_CELL};text-align:{'left' if i in left else 'right'}" for i in range(len(cells))]
        return "".join(
            f'<{tag} style="{style}">{html.escape(cell)}</{tag}>'
            for cell, style in zip(cells, styles, strict=True)
        )

    top = f'<caption style="text-align:left;font-weight:bold">{html.escape(caption)}</caption>' if caption else ""
    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in lines)
    return f"<table>{top}<thead><tr>{row(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def pairs_text(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    """A title, and a line for each name and value."""
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in pairs)])


def array_text(a: Any) -> str:
    """A few entries of an array, in one line."""
    a = np.asarray(a)
    flat = a.reshape(-1)
    shown = ", ".join(f"{v:.6g}" for v in flat[:SHOWN].tolist())
    return f"[{shown}{f', ... {flat.size} in all' if flat.size > SHOWN else ''}]"


# -------------------------------------------------------------------------------------------------------
# Results


def result_pairs(result: Any) -> list[tuple[str, str]]:
    """What a person wants to know of a result, in order."""
    told = [
        ("", f"{'success' if result.success else 'no success'} ({result.status}): {result.message}"),
        ("fun", f"{result.fun:.10g}"),
        ("x", array_text(result.x)),
        ("largest |gradient|", f"{np.max(np.abs(result.jac), initial=0):.3g}"),
        ("iterations", f"{result.nit}"),
        ("evaluations", f"{result.nfev} of the value, {result.njev} of the gradient"),
    ]
    if "trace" in result:
        told.append(("trace", f"{result.trace!r}: print(result.trace.explain())"))
    return told


def _many_pairs(result: Any) -> list[tuple[str, str]]:
    """The same of many starts."""
    best = result.best
    reasons = Counter(text for text, success in zip(result.message, result.success, strict=True) if not success)
    return [
        ("", f"{int(np.sum(result.success))} of {len(result.fun)} starts with success"),
        ("best fun", f"{best.fun:.10g} (start {best.index})"),
        ("best x", array_text(best.x)),
        ("iterations", f"{int(np.sum(result.nit))} in all, {int(np.max(result.nit))} at most"),
        ("evaluations", f"{int(np.sum(result.nfev))} of the value, {int(np.sum(result.njev))} of the gradient"),
        *(("without success", f"{count}: {text}") for text, count in reasons.most_common(3)),
    ]


def _titled(result: Any) -> tuple[str, str, list[tuple[str, str]]]:
    many = "best" in result
    (_, title), *pairs = _many_pairs(result) if many else result_pairs(result)
    return "minimize_many" if many else "minimize", title, pairs


def result_text(result: Any) -> str:
    """A result of one or of many starts as text."""
    name, title, pairs = _titled(result)
    return pairs_text(f"{name}: {title}", pairs)


def result_html(result: Any) -> str:
    """A result of one or of many starts as HTML."""
    name, title, pairs = _titled(result)
    return html_table((name, title), pairs, left=(0, 1))


# -------------------------------------------------------------------------------------------------------
# Traces


def _trace_title(trace: Trace) -> str:
    rules = ", ".join(dict.fromkeys(group["variant"] for group in trace.groups)) or "nothing recorded yet"
    rows = "every one" if len(trace) == trace.steps else f"{len(trace)} rows, stride {trace.stride}"
    return f"Trace of {rules}: {trace.steps} iterations ({rows}), {trace.n} coordinates"


def _trace_cells(trace: Trace) -> tuple[list[str], list[list[str]]]:
    head = [
        "coordinate",
        "x first",
        "x last",
        "step size first",
        "last",
        "grew",
        "shrank",
        "held",
        "undone",
        "clamped",
    ]
    lines = []
    for i in range(min(trace.n, SHOWN) if len(trace) else 0):
        counts = [int(trace.counts[name][i]) for name in ("grew", "shrank", "held", "undone")]
        clamped = int(trace.counts["at lower clamp"][i] + trace.counts["at upper clamp"][i])
        values = [trace.x[0, i], trace.x[-1, i], trace.size[0, i], trace.size[-1, i]]
        lines.append([str(i), *(f"{v:.6g}" for v in values), *map(str, [*counts, clamped])])
    if trace.n > SHOWN:
        total = [int(trace.counts[name].sum()) for name in ("grew", "shrank", "held", "undone")]
        clamped = int(trace.counts["at lower clamp"].sum() + trace.counts["at upper clamp"].sum())
        lines.append(["all", "", "", "", "", *map(str, [*total, clamped])])
    return head, lines


def _trace_values(trace: Trace) -> str:
    known = trace.f[np.isfinite(trace.f)] if len(trace) else np.zeros(0)
    return (
        f"f from {known[0]:.6g} to {known[-1]:.6g}, lowest {known.min():.6g}" if known.size else "f was not told"
    )


def trace_text(trace: Trace) -> str:
    """A trace as text."""
    lines = [_trace_title(trace)]
    if len(trace):
        lines += [_trace_values(trace), text_table(*_trace_cells(trace))]
    return "\n".join(lines)


def trace_html(trace: Trace) -> str:
    """A trace as HTML."""
    if not len(trace):
        return html.escape(_trace_title(trace))
    caption = f"{_trace_title(trace)}; {_trace_values(trace)}"
    return html_table(*_trace_cells(trace), caption=caption)
