"""Pictures of runs, compared with approved ones: small PNGs in `tests/golden`.

``UPDATE_GOLDEN=1`` rewrites them; look at them then.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cases import sampled

from rprop_ref import Trace, minimize, plot
from rprop_ref._core import numpy_step
from rprop_ref._core.constants import rule_constants
from rprop_ref.objectives import OBJECTIVES

matplotlib = pytest.importorskip("matplotlib", reason="drawing needs the extra 'plot'")

GOLDEN = Path(__file__).parents[1] / "golden"

#: Largest mean difference of pixels (0 to 1) from the approved picture. Fonts and antialiasing differ this much
#: between versions; a missing or moved curve differs more.
TOLERANCE = 0.005


@pytest.fixture(scope="module")
def valley():
    """A run in two dimensions."""
    o = OBJECTIVES["rosenbrock"]
    return minimize(o.fun, o.start, jac=o.jac, lr=o.lr, maxiter=80, pattern_every=None, trace=True).trace


@pytest.fixture(scope="module")
def wide():
    """A run of 10,000 coordinates of different scales."""
    rng = np.random.default_rng(5)
    n = 10_000
    scale, x = np.exp(rng.normal(size=n)), rng.normal(size=n)
    prev, size = np.zeros(n), np.full(n, 0.01)
    constants = rule_constants(np.dtype(float), (0.5, 1.2), (1e-4, 50), False)
    trace = Trace(step_sizes=(1e-4, 50))
    for _ in range(60):
        before = x.copy(), prev.copy(), size.copy()
        g = scale * x
        numpy_step.run("irprop-", x, g, prev, size, constants)
        trace.record(before[0], float(scale @ before[0] ** 2), g, before[1], before[2], size)
    return trace


PICTURES = {
    "path": lambda valley, wide, ax: plot.path(valley, OBJECTIVES["rosenbrock"].fun, ax=ax),
    "path_of_two_of_many": lambda valley, wide, ax: plot.path(wide, coordinates=(7, 9999), ax=ax),
    "step_sizes": lambda valley, wide, ax: plot.step_sizes(valley, ax=ax),
    "step_sizes_of_many": lambda valley, wide, ax: plot.step_sizes(wide, ax=ax),
    "flips": lambda valley, wide, ax: plot.flips(valley, ax=ax),
    "flips_of_many": lambda valley, wide, ax: plot.flips(wide, ax=ax),
    "rules": lambda valley, wide, ax: plot.rules(
        OBJECTIVES["rosenbrock"].fun, (-1.2, 1.0), OBJECTIVES["rosenbrock"].jac, lr=0.05, ax=ax
    ),
}


def pixels(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255.0


def blurred(a):
    """Means of 4 by 4 pixels, so that a line that moves by one pixel hardly counts."""
    rows, columns = a.shape[0] // 4, a.shape[1] // 4
    return a[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4, 3).mean(axis=(1, 3))


def difference(a, b):
    return float(np.abs(blurred(a) - blurred(b)).mean()) if a.shape == b.shape else 1.0


@pytest.mark.parametrize("name", sampled(PICTURES, ["path", "flips_of_many", "rules"]))
def test_the_picture_is_the_approved_one(name, valley, wide, tmp_path):
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    if matplotlib.__version_info__ < (3, 11):
        pytest.skip(
            "the approved pictures are by matplotlib 3.11; older versions have wider letters, which moves the axes"
        )
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(4.2, 3.2), dpi=75, layout="constrained")
        ax = figure.subplots()
        assert PICTURES[name](valley, wide, ax) is ax
        file = GOLDEN / f"{name}.png"
        if os.environ.get("UPDATE_GOLDEN"):
            figure.savefig(file, dpi=75)
        drawn, approved = pixels(figure), imread(file)[..., :3]
        figure.savefig(tmp_path / file.name, dpi=75)
    assert difference(drawn, approved) < TOLERANCE, f"look at {tmp_path / file.name}"
    # The tolerance is small enough to notice that the lines are missing.
    for line in (*ax.lines, *ax.collections, *ax.images, *ax.child_axes):
        line.set_visible(False)
    assert difference(pixels(figure), approved) > TOLERANCE


def test_without_axes_a_new_figure_is_drawn(valley, wide, tmp_path):
    for ax in (plot.path(valley), plot.step_sizes(valley), plot.flips(wide), plot.step_sizes(wide)):
        ax.figure.savefig(tmp_path / "x.png")
        assert (tmp_path / "x.png").stat().st_size > 3000


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_legends_name_coordinates_and_colours(valley, wide):
    assert legend(plot.step_sizes(valley)) == ["kept", "grew", "shrank", "x[0]", "x[1]"]
    lines = plot.step_sizes(wide, coordinates=range(20, 32)).lines
    assert [line.get_label() for line in lines[-12:]] == [f"x[{i}]" for i in range(20, 32)]
    assert len({line.get_marker() for line in lines[-12:]}) == 12
    assert legend(plot.flips(valley)) == ["changed", "not"]
    assert legend(plot.flips(wide))[0].endswith("% changed")


def test_one_coordinate_has_no_path():
    trace = minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, trace=True, maxiter=3).trace
    with pytest.raises(
        ValueError, match="a path needs at least 1 row and 2 coordinates, but the trace has 4 and 1"
    ):
        plot.path(trace)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch, valley):
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rprop-ref\[plot\]'"):
        plot.flips(valley)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_of_objectives_equal_finite_differences(name, rng):
    o = OBJECTIVES[name]
    for x in rng.uniform(-2, 2, (20, 2)):
        step = 1e-6
        numeric = [(o.fun(x + step * e) - o.fun(x - step * e)) / (2 * step) for e in np.eye(2)]
        np.testing.assert_allclose(o.jac(x), numeric, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(o.jac(np.array(o.minimum)), 0, atol=1e-12)
