"""Every block of code of the site runs, and prints what the page says; the notebooks run."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rprop_ref
from rprop_ref import cli, trace
from rprop_ref._teaching import step_table

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [page for page in PAGES if "_build" not in page.parts]


#: Its code is for arrays on a GPU.
GPU = ROOT / "docs" / "cuda.md"


def blocks(page, kind):
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", page.read_text(), re.S | re.M)


def with_blocks(kind):
    pages = [p for p in PAGES if blocks(p, kind) and (kind, p) != ("python", GPU)]
    return pytest.mark.parametrize("page", pages, ids=lambda p: p.stem)


def test_no_page_has_blocks_that_are_not_run():
    known = {"python", "{plot}", "console", "{toctree}", "sh", "{eval-rst}", "{literalinclude}"}
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), re.M)
        assert {(fence.split() or ["nothing"])[0] for fence in fences[::2]} <= known, page
        assert set(fences[1::2]) <= {""}, page


def test_code_for_a_gpu():
    """Steps of torch's CUDA tensors are only compiled here; many starts run in Numba's simulator."""
    *others, many = blocks(GPU, "python")
    for block in others:
        compile(block, str(GPU), "exec")
    code = many.replace("1_000_000", "20") + "\nprint(result.success.all())\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


@with_blocks("python")
def test_sessions_print_what_the_page_says(page):
    tried = doctest.DocTestRunner()
    text = "\n".join(blocks(page, "python"))
    parsed = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    assert parsed.examples
    assert all(">>>" in block for block in blocks(page, "python"))
    tried.run(parsed)
    assert tried.summarize(verbose=False).failed == 0


@with_blocks("{plot}")
def test_figures_are_drawn(page):
    plt = pytest.importorskip("matplotlib.pyplot", reason="drawing needs the extra 'plot'")
    plt.switch_backend("agg")
    for block in blocks(page, "{plot}"):
        exec(compile(block, str(page), "exec"), {})
        (number,) = plt.get_fignums()
        assert any(ax.has_data() or ax.images for ax in plt.figure(number).axes)
        plt.figure(number).canvas.draw()
        plt.close("all")


@pytest.mark.parametrize("module", [trace, step_table], ids=lambda m: m.__name__)
def test_docstrings(module):
    tried = doctest.testmod(module)
    assert tried.attempted > 0
    assert tried.failed == 0


@with_blocks("console")
def test_commands_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks(page, "console")).splitlines():
        assert line.startswith("$ python -m rprop_ref ")
        assert cli.main(line.split()[4:]) == 0


@with_blocks("sh")
def test_commands_with_placeholders_are_understood(page, monkeypatch):
    """Ours are parsed; they would take minutes, or a file that there is not."""
    monkeypatch.setattr("rprop_ref.crosscheck.command.run", lambda arguments: 0)
    monkeypatch.setattr("rprop_ref.cli._bench", lambda arguments: 0)
    for line in "".join(blocks(page, "sh")).splitlines():
        command = shlex.split(line, comments=True)
        if command[:2] == ["pip", "install"]:
            continue
        if command[0] == "pytest":
            assert (ROOT / command[1]).is_dir()
            continue
        assert command[:3] == ["python", "-m", "rprop_ref"]
        assert cli.main(command[3:]) == 0


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+\.(?:md|ipynb))", page.read_text()):
            assert (page.parent / target).is_file(), f"{page}: {target}"


def test_commands_in_the_readme_are_targets_of_make():
    """Its Python is run by `test_examples`; demo and test are targets that are run as they stand."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    commands = [line.split()[1] for block in blocks for line in block.splitlines() if line.startswith("make ")]
    assert {"demo", "test"} <= set(commands)
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in commands)


def test_every_public_name_is_in_the_reference():
    """The build of the site looks closer; this needs no Sphinx."""
    text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    for name in rprop_ref.__all__:
        assert re.search(rf"\b{name}\b", text), name
