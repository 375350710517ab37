"""Pictures, drawn with matplotlib (extra ``plot``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .rules import RULES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .demo import Row
    from .trace import Trace

Array = np.ndarray[Any, Any]

#: Colours of the events, which colour-blind readers can tell apart, too.
EVENT_COLOURS = {"kept": "0.6", "grew": "#0072b2", "shrank": "#d55e00", "clamped": "#000000"}

#: The lines of single coordinates, each with its own marker. For more coordinates their distribution is drawn.
MARKERS = "o^sDvP<>X*ph"

#: Largest number of rows or columns of pixels in a picture of many coordinates.
PIXELS = 400


def require_matplotlib() -> None:
    """Raise ModuleNotFoundError with what to install, if matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError(
            "drawing needs matplotlib, which is not installed; install it with: pip install 'rprop-ref[plot]'"
        )


def check_file(file: str | PathLike[str]) -> None:
    """Raise ValueError if matplotlib cannot write a picture to this file."""
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    path = Path(file)
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise ValueError(f"cannot draw to {path}: its ending must be one of {', '.join(sorted(kinds))}")
    if not path.parent.is_dir():
        raise ValueError(f"cannot draw to {path}: there is no folder {path.parent}")


def fits_figure(rows: Iterable[Row], *, figure: Figure | None = None) -> Figure:
    """Draw the data of each problem, and the models that Rprop fitted from both starts.

    Parameters
    ----------
    rows : iterable of Row
        What `rprop_ref.demo.runs` yields.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    require_matplotlib()
    # A figure without pyplot opens no window and leaves the user's backend alone.
    from matplotlib.figure import Figure

    rows = list(rows)
    problems = list(dict.fromkeys(row.problem for row in rows))
    columns = min(4, len(problems))
    lines = -(-len(problems) // columns)
    if figure is None:
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
    figure.suptitle("NIST StRD problems: the data, and the fits of rprop_ref.minimize from NIST's two starts")
    return figure


def fits(rows: Iterable[Row], file: str | PathLike[str]) -> None:
    """Write `fits_figure` to a file; its ending decides the format (png, pdf, svg ...)."""
    fits_figure(rows).savefig(file, dpi=150)


def _axes(ax: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """The given axes, or those of a new figure without pyplot (see `fits_figure`)."""
    require_matplotlib()
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").subplots()


def path(
    trace: Trace,
    fun: Callable[[Array], Any] | None = None,
    *,
    coordinates: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
) -> Axes:
    """Draw the path of two coordinates over contours of the objective.

    Parameters
    ----------
    trace : Trace
    fun : callable, optional
        ``fun(x) -> float`` with x of shape (n,). For the contours the other coordinates are fixed at the last
        row. By default no contours are drawn.
    coordinates : (int, int), optional
        The two coordinates.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` can be saved.
    """
    if trace.n < 2 or not len(trace):
        raise ValueError(
            f"a path needs at least 1 row and 2 coordinates, but the trace has {len(trace)} and {trace.n}"
        )
    ax = _axes(ax, 5.6, 4.6)
    i, j = coordinates
    a, b = trace.x[:, i].astype(float), trace.x[:, j].astype(float)
    if fun is not None:
        _contours(ax, fun, trace.x[-1], (i, j), _window(a), _window(b))
    ax.plot(a, b, "-", lw=1, color="0.25", zorder=2)
    shrank = trace.where("shrank")[:, [i, j]].any(axis=1)
    for which, colour, label in (
        (~shrank, EVENT_COLOURS["grew"], "same signs"),
        (shrank, EVENT_COLOURS["shrank"], "a sign changed"),
    ):
        if which.any():
            ax.plot(a[which], b[which], "o", ms=3, color=colour, label=label, zorder=3)
    ax.plot(a[0], b[0], "s", ms=7, mfc="none", mec="k", label="start", zorder=4)
    ax.plot(a[-1], b[-1], "*", ms=11, mfc="w", mec="k", label="end", zorder=4)
    ax.set_xlabel(f"x[{i}]")
    ax.set_ylabel(f"x[{j}]")
    ax.legend(fontsize=8, loc="best")
    return ax


def _window(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


def _contours(
    ax: Axes,
    fun: Callable[[Array], Any],
    x: Array,
    coordinates: tuple[int, int],
    across: tuple[float, float],
    up: tuple[float, float],
) -> None:
    left, bottom = np.linspace(*across, 81), np.linspace(*up, 81)
    values = np.empty((bottom.size, left.size))
    point = x.astype(float)
    with np.errstate(all="ignore"):
        for r, b in enumerate(bottom):
            for c, a in enumerate(left):
                point[list(coordinates)] = a, b
                values[r, c] = fun(point.copy())
        lowest = np.nanmin(np.where(np.isfinite(values), values, np.nan))
        # The levels are equally spaced in the logarithm of the height above the lowest value.
        height = np.log10(values - lowest + 1e-3 * np.nanmedian(np.abs(values - lowest)))
    finite = np.isfinite(height)
    if finite.any() and np.ptp(height[finite]) > 0:
        ax.contourf(left, bottom, np.where(finite, height, np.nan), levels=14, cmap="Greys", alpha=0.6, zorder=0)


#: The height of the strip below the step sizes of many coordinates, as a share of the axes.
STRIP = 0.12


def step_sizes(trace: Trace, *, coordinates: Sequence[int] | None = None, ax: Axes | None = None) -> Axes:
    """Draw step sizes over the iterations, coloured by what happened to them.

    Parameters
    ----------
    trace : Trace
    coordinates : sequence of int, optional
        By default all. Up to 12 are drawn as one line each, with coloured markers whose shape tells the
        coordinate. For more, range and median of their distribution are drawn, with a strip below that shows how
        many of them grew, shrank and kept their size.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    chosen = np.arange(trace.n) if coordinates is None else np.asarray(coordinates)
    time, size = trace.iteration, trace.size[:, chosen].astype(float)
    clamped = (trace.where("at lower clamp") | trace.where("at upper clamp"))[:, chosen]
    grew, shrank = trace.where("grew")[:, chosen], trace.where("shrank")[:, chosen]
    kinds = {"kept": ~(grew | shrank | clamped), "grew": grew & ~clamped, "shrank": shrank & ~clamped}
    kinds["clamped"] = clamped
    if chosen.size <= len(MARKERS):
        ax.plot(time, size, "-", lw=0.7, color="0.75", zorder=1)
        for name, which in kinds.items():
            if which.any():
                ax.plot([], [], "s", ms=5, color=EVENT_COLOURS[name], label=name)
            for column, marker in enumerate(MARKERS[: chosen.size]):
                here = which[:, column]
                ax.plot(time[here], size[here, column], marker, ms=3, mew=0, color=EVENT_COLOURS[name])
        for coordinate, marker in zip(chosen, MARKERS, strict=False):
            ax.plot([], [], marker, ls="-", lw=0.7, ms=4, color="0.4", label=f"x[{coordinate}]")
    else:
        with np.errstate(all="ignore"):
            low, lower, middle, upper, high = np.nanquantile(size, [0, 0.1, 0.5, 0.9, 1], axis=1)
        ax.fill_between(time, low, high, color="0.88", lw=0, label=f"all {chosen.size:,} coordinates")
        ax.fill_between(time, lower, upper, color="0.7", lw=0, label="80% of them")
        ax.plot(time, middle, "-", lw=1.2, color="k", label="median")
        _shares(ax, time, kinds)
    if (size > 0).any():
        ax.set_yscale("log")
    ax.set_xlabel("iteration")
    ax.set_ylabel("step size")
    # Not on the strip, if there is one.
    bottom = STRIP if ax.child_axes else 0.0
    ax.legend(fontsize=8, loc="best", bbox_to_anchor=(0.0, bottom, 1.0, 1.0 - bottom))
    return ax


def _shares(ax: Axes, time: Array, kinds: dict[str, Array]) -> None:
    """Draw a strip at the bottom: the share of each event in each row."""
    strip = ax.inset_axes((0.0, 0.0, 1.0, STRIP), zorder=0)
    parts = [which.mean(axis=1) for which in kinds.values()]
    strip.stackplot(time, parts, colors=[EVENT_COLOURS[name] for name in kinds], lw=0)
    strip.set(xlim=ax.get_xlim(), ylim=(0, 1), xticks=[], yticks=[])
    for name in kinds:
        ax.plot([], [], "s", color=EVENT_COLOURS[name], label=f"{name} (strip below)")
    # Make room for the strip.
    low, high = (np.log10(v) if v > 0 else -12.0 for v in ax.dataLim.intervaly)
    if high > low:
        ax.set_ylim(10 ** (low - 0.2 * (high - low)), 10 ** (high + 0.05 * (high - low)))


def flips(trace: Trace, *, ax: Axes | None = None) -> Axes:
    """Draw where the gradient changed its sign, as a raster of iterations and coordinates.

    Parameters
    ----------
    trace : Trace
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With more than 400 coordinates or rows, several share a pixel, which is darker the more of them change.
    """
    ax = _axes(ax)
    from matplotlib.patches import Patch

    shrank = trace.where("shrank").T.astype(float)
    picture = _binned(_binned(shrank, 0), 1)
    darkest = max(float(picture.max(initial=0)), 1e-9)
    last = int(trace.iteration[-1]) if len(trace) else 0
    ax.imshow(
        picture,
        aspect="auto",
        interpolation="nearest",
        cmap="Greys",
        vmin=0,
        vmax=darkest,
        extent=(-0.5, last + 0.5, trace.n - 0.5, -0.5),
    )
    ax.set_xlabel("iteration")
    ax.set_ylabel("coordinate")
    locator: Any = ax.yaxis.get_major_locator()
    locator.set_params(integer=True)
    share = 100 * shrank.mean() if shrank.size else 0
    ax.set_title(f"changes of sign: {share:.0f}% of the steps", fontsize=10, loc="left")
    # In the row of the title: inside, a legend would cover the raster.
    is_binned = picture.shape != shrank.shape
    dark, light = (f"{100 * darkest:.0f}% changed", "0%") if is_binned else ("changed", "not")
    handles = [Patch(fc="k", ec="k", label=dark), Patch(fc="w", ec="k", label=light)]
    ax.legend(
        handles=handles,
        fontsize=8,
        ncols=2,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        borderaxespad=0.2,
        handlelength=1,
        columnspacing=1,
    )
    return ax


def _binned(values: Array, axis: int) -> Array:
    """Means of consecutive entries, at most `PIXELS` of them."""
    count = values.shape[axis]
    if count <= PIXELS:
        return values
    edges = np.linspace(0, count, PIXELS + 1).astype(int)
    sums = np.add.reduceat(values, edges[:-1], axis=axis)
    widths = np.diff(edges)
    means: Array = sums / (widths[:, None] if axis == 0 else widths)
    return means


def rules(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any = None,
    *,
    maxiter: int = 200,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draw the best value so far over the iterations, for every rule from the same start.

    Parameters
    ----------
    fun, x0, jac
        As for `minimize`.
    maxiter : int, optional
        Iterations of each rule.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    **options
        Further options of `minimize`, such as ``lr`` and ``etas``.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from ._minimizer.minimize import minimize

    ax = _axes(ax)
    maximize = bool(options.get("maximize"))
    best = {}
    for rule in RULES.values():
        # The rules alone, unless the caller asks for pattern moves.
        options = {"pattern_every": None, **options}
        result = minimize(fun, x0, jac=jac, maxiter=maxiter, variant=rule.name, trace=True, **options)
        better = np.maximum if maximize else np.minimum
        best[rule] = result.trace.iteration, better.accumulate(result.trace.f)
    for rule, (time, f) in best.items():
        ax.plot(time, f, rule.line, lw=1.3, color=rule.colour, label=rule.name)
    if all((f > 0).all() for _, f in best.values()):
        ax.set_yscale("log")
    ax.set_xlabel("iteration")
    ax.set_ylabel(f"{'highest' if maximize else 'lowest'} f so far")
    ax.legend(fontsize=8, loc="best")
    return ax
