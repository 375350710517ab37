"""Tables and summaries for people to read, in text and HTML."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

_CELL = "padding:.15em .6em"

#: How many entries of a long list a summary shows.
SHOWN = 6

#: Characters in a line of text.
WIDTH = 88


def wrapped(text: str, indent: str = "", further: str = "  ") -> str:
    """The text in lines of at most `WIDTH` characters: the first with `indent`, the others with `further`."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=further)


def text_table(head: Sequence[str], lines: Iterable[Sequence[str]], left: Collection[int] = ()) -> str:
    """A table in text. Columns are aligned right, those numbered in `left` to the left."""
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
    """The same in HTML. It sets no colours, so that it is readable in light and dark notebooks."""

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
    """A title, then a line for each name and value."""
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in pairs)])


def array_text(a: Any) -> str:
    """The first few entries of an array, in one line."""
    a = np.asarray(a)
    flat = a.reshape(-1)
    shown = ", ".join(f"{v:.6g}" for v in flat[:SHOWN].tolist())
    return f"[{shown}{f', ... {flat.size} in all' if flat.size > SHOWN else ''}]"
