"""Pictures, drawn with matplotlib (extra ``plot``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .demo import Row


def require_matplotlib() -> None:
    """Raise ModuleNotFoundError, saying what to install, if matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError(
            "drawing needs matplotlib, which is not installed; install it with: pip install 'rprop-ref[plot]'"
        )


def check_file(file: str | PathLike[str]) -> None:
    """Raise ValueError if matplotlib could not write a picture to this file."""
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    path = Path(file)
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise ValueError(f"cannot draw into {path}: its ending must be one of {', '.join(sorted(kinds))}")
    if not path.parent.is_dir():
        raise ValueError(f"cannot draw into {path}: there is no folder {path.parent}")


def fits_figure(rows: Sequence[Row]) -> Figure:
    """Draw the data of each problem, and the model fitted from each start by Rprop.

    Parameters
    ----------
    rows : sequence of Row
        What `rprop_ref.demo.runs` yields.

    Returns
    -------
    matplotlib.figure.Figure
    """
    require_matplotlib()
    # The object interface: no window, no change of the user's backend.
    from matplotlib.figure import Figure

    problems = list(dict.fromkeys(row.problem for row in rows))
    columns = min(4, len(problems))
    lines = -(-len(problems) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * lines), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
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
    for ax in axes[len(problems) :]:
        ax.set_axis_off()
    figure.supxlabel("predictor x", fontsize=9)
    figure.supylabel("response y", fontsize=9)
    figure.suptitle("NIST StRD problems: the data, and what rprop_ref.minimize found from NIST's two starts")
    return figure


def fits(rows: Sequence[Row], file: str | PathLike[str]) -> None:
    """Draw `fits_figure` into a file; the ending decides the format (png, pdf, svg ...)."""
    fits_figure(rows).savefig(file, dpi=150)
