"""The notebooks run: cell by cell, and as notebooks where a kernel is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)


def cells(file):
    return [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]


@each
def test_it_is_stored_without_outputs(file):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(file))


@each
@pytest.mark.exhaustive
def test_its_cells_run_in_order(file):
    plt = pytest.importorskip("matplotlib.pyplot", reason="drawing needs the extra 'plot'")
    plt.switch_backend("agg")
    namespace = {"__name__": "__main__"}
    with np.errstate():  # a notebook may change it
        for cell in cells(file):
            exec(compile("".join(cell["source"]), str(file), "exec"), namespace)
    plt.close("all")


@pytest.mark.notebooks
@pytest.mark.filterwarnings("default")  # the kernel's warnings are not ours
@each
def test_it_runs_as_a_notebook(file):
    nbformat = pytest.importorskip("nbformat", reason="runs a kernel (extra 'notebooks')")
    nbclient = pytest.importorskip("nbclient", reason="runs a kernel (extra 'notebooks')")
    pytest.importorskip("ipykernel", reason="runs a kernel (extra 'notebooks')")
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
