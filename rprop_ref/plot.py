"""Pictures, drawn with matplotlib (extra ``plot``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .demo import Row


def require_matplotlib() -> None:
    """Raise ModuleNotFoundError, saying what to install, if matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError(
            "drawing needs matplotlib, which is not installed; install it with: pip install 'rprop-ref[plot]'"
        )


def fits(rows: Sequence[Row], file: str | PathLike[str]) -> None:
    """Draw the data of each problem, and the model fitted from each start.

    Parameters
    ----------
    rows : sequence of Row
        What `rprop_ref.demo.runs` yields.
    file : path
        Where to write; the ending decides the format (png, pdf, svg ...).
    """
    require_matplotlib()
    # The object interface: no window, no change of the user's backend.
    from matplotlib.figure import Figure

    problems = list(dict.fromkeys(row.problem for row in rows))
    columns = min(4, len(problems))
    lines = -(-len(problems) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for problem, ax in zip(problems, axes, strict=False):
        ax.plot(problem.x, problem.y, "o", ms=3, color="0.3", label="data")
        grid = np.linspace(problem.x.min(), problem.x.max(), 300)
        for row in rows:
            if row.problem is problem:
                with np.errstate(all="ignore"):
                    response, _ = problem.model(row.rprop.x, grid)
                label = f"start {row.start}: {row.rprop.digits:.1f} digits"
                ax.plot(grid, response, ("-", "--")[row.start - 1], lw=1.2, label=label)
        ax.set_title(problem.name, fontsize=10)
        ax.legend(fontsize=7)
        ax.tick_params(labelsize=7)
    for ax in list(axes)[len(problems) :]:
        ax.set_axis_off()
    figure.suptitle("NIST StRD problems fitted by rprop_ref.minimize")
    figure.savefig(file, dpi=150)
