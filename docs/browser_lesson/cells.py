"""Runs cells as a notebook does: prints, the last value, figures. The page loads this into its Python."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import linecache
import logging
import os
import sys
import traceback
from typing import Any

os.environ.setdefault("MPLBACKEND", "agg")
# Every page has a new Python, in which matplotlib would say that it builds its font cache.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

_namespace: dict[str, Any] = {"__name__": "__main__"}


def run_cell(source: str) -> str:
    """Run a cell; returns JSON: a list of ``["text" or "html" or "error", content]``, in order."""
    written, parts = io.StringIO(), []
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        try:
            value = _evaluate(source)
        except BaseException:
            error = _shortened_traceback()
        else:
            error = ""
    if written.getvalue():
        parts.append(["text", written.getvalue()])
    if error:
        parts.append(["error", error])
    elif value is not None:
        shown = getattr(value, "_repr_html_", None)
        parts.append(["html", shown()] if shown else ["text", repr(value)])
    return json.dumps([*parts, *(["html", figure] for figure in _figures())])


def _evaluate(source: str) -> Any:
    """Execute the cell. The value is that of its last line, if that is an expression without a semicolon."""
    name = f"<cell {len(linecache.cache)}>"
    # So that a traceback shows the lines.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree = ast.parse(source, name)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, name, "exec"), _namespace)
    return eval(compile(last, name, "eval"), _namespace) if last else None


def _shortened_traceback() -> str:
    """The traceback without the frames of this file."""
    kind, error, frames = sys.exc_info()
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(kind, error, frames))


def _figures() -> list[str]:
    """The open figures of matplotlib, as SVG, if it was imported; they are closed."""
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return []
    drawn = []
    for number in plt.get_fignums():
        file = io.StringIO()
        plt.figure(number).savefig(file, format="svg")
        drawn.append(file.getvalue().partition("<svg")[2])
    plt.close("all")
    return ["<svg" + text for text in drawn]
