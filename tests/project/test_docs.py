"""The README and the site: every block of code runs and prints what the page says, and every link leads somewhere."""

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
from rprop_ref import cli, demo, plot, trace
from rprop_ref._teaching import step_table
from rprop_ref.nist import PROBLEMS
from rprop_ref.rules import DEFAULT, RULES

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
REFEREE = ROOT / "docs" / "crosscheck.md"
PAGES = [README, *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)]

#: Its code is for arrays on a GPU.
GPU = ROOT / "docs" / "cuda.md"


def blocks(page, kind):
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", page.read_text(), re.S | re.M)


#: Each of its sessions needs another library.
RECIPES = ROOT / "docs" / "how_to" / "other_libraries.md"

#: Pages whose examples take seconds.
SLOW = {"crosscheck", "check_your_own", "faq", "gallery", "tour", "tutorial"}


def with_blocks(kind):
    pages = [
        pytest.param(p, marks=[pytest.mark.exhaustive] if p.stem in SLOW and kind != "sh" else [])
        for p in PAGES
        if blocks(p, kind) and (kind, p) not in (("python", GPU), ("python", RECIPES))
    ]
    return pytest.mark.parametrize("page", pages, ids=lambda p: p.stem)


def make_targets():
    return re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)


def test_every_kind_of_block_has_a_test():
    tested = {"python", "{plot}", "console", "sh"}
    without_code = {"{raw}", "{toctree}", "{eval-rst}", "{literalinclude}"}
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), re.M)
        kinds = {fence.partition(" ")[0] for fence in fences[::2]}
        # The README's one block of text is the table of the demonstration, see below; those of the referee's guide are
        # tested in tests/crosscheck/test_decompile.py.
        assert kinds <= tested | without_code | ({"text"} if page in (README, REFEREE) else set()), page
        assert set(fences[1::2]) <= {""}, page


@pytest.mark.exhaustive
def test_code_for_a_gpu_compiles_and_many_starts_run_in_the_simulator():
    """Numba's simulator has none of torch's CUDA tensors, so steps of these are only compiled."""
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


def check_session(page, text):
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0))
    result = runner.summarize(verbose=False)
    assert result.attempted > 0
    assert result.failed == 0


@with_blocks("python")
def test_sessions_print_what_the_page_says(page):
    sessions = blocks(page, "python")
    assert all(">>>" in session for session in sessions)
    check_session(page, "\n".join(sessions))


@pytest.mark.parametrize(
    "package",
    [
        pytest.param("sklearn", marks=pytest.mark.exhaustive),
        pytest.param("iminuit", marks=pytest.mark.peers),
        pytest.param("optimagic", marks=pytest.mark.peers),
    ],
)
# Libraries warn about each other.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_recipes_for_other_libraries_print_what_the_page_says(package):
    pytest.importorskip(package, reason=f"{package} is not installed (extra peers; scikit-learn: extra test)")
    sessions = blocks(RECIPES, "python")
    assert len(sessions) == 3
    (session,) = (session for session in sessions if f" {package}" in session)
    check_session(RECIPES, session)


@with_blocks("{plot}")
def test_figures_are_drawn(page):
    plt = pytest.importorskip("matplotlib.pyplot", reason="drawing needs the extra 'plot'")
    plt.switch_backend("agg")
    for block in blocks(page, "{plot}"):
        code = re.sub(r"^:.*\n", "", block, flags=re.M)  # without the options of the directive
        exec(compile(code, str(page), "exec"), {})
        (number,) = plt.get_fignums()
        assert any(ax.has_data() or ax.images for ax in plt.figure(number).axes)
        plt.figure(number).canvas.draw()
        plt.close("all")


def test_the_gallery_has_every_picture_in_a_few_lines():
    shown = blocks(ROOT / "docs" / "gallery.md", "{plot}")
    drawing = {
        name
        for name, function in vars(plot).items()
        if name[0] != "_" and getattr(function, "__annotations__", {}).get("return") in ("Axes", "Figure")
    }
    assert drawing == {name for block in shown for name in re.findall(r"\bplot\.(\w+)\(", block)}
    assert all(len(block.splitlines()) <= 6 for block in shown)


@pytest.mark.parametrize("module", [trace, step_table], ids=lambda m: m.__name__)
def test_docstrings_print_what_they_say(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@with_blocks("console")
def test_commands_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks(page, "console")).splitlines():
        assert line.startswith("$ python -m rprop_ref ")
        assert cli.main(line.split()[4:]) == 0


@with_blocks("sh")
def test_commands_that_cannot_run_here_are_at_least_understood(page, monkeypatch):
    """They install something, take minutes, or name files of the reader. Our own commands are parsed."""
    monkeypatch.setattr("rprop_ref.crosscheck.command.run", lambda arguments: 0)
    monkeypatch.setattr("rprop_ref.cli._bench", lambda arguments: 0)
    for line in "".join(blocks(page, "sh")).splitlines():
        command = shlex.split(line, comments=True)
        if command[:2] == ["pip", "install"]:
            continue
        if command[0] == "make":
            assert command[1] in make_targets()
            continue
        if command[0] == "pytest":
            assert (ROOT / command[1]).is_dir()
            continue
        assert command[:3] == ["python", "-m", "rprop_ref"]
        assert cli.main(command[3:]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_and_make_targets_exist(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#:]+\.(?:md|ipynb|py))", text):
        assert (page.parent / link).is_file(), link
    assert set(re.findall(r"\]\(site:([^)#]+)", text)) <= {"explorer.html", "lesson.html"}
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(make_targets())


def test_the_readme_shows_how_to_run_the_demo_and_the_tests():
    commands = "".join(blocks(README, "sh"))
    assert re.search(r"^make demo\b", commands, re.M)
    assert re.search(r"^make test\b", commands, re.M)


def test_the_readme_shows_the_table_that_the_demo_prints():
    *head, blank, _ = demo.table(iter(()))
    (shown,) = blocks(README, "text")
    lines = shown.splitlines()
    assert lines[: len(head)] == [line.rstrip() for line in head]
    assert {line.split()[0] for line in lines[len(head) : -2]} <= {p.name for p in PROBLEMS}
    assert lines[-2] == blank
    assert re.fullmatch(
        r"6 or more correct digits in the worst parameter: Rprop \d+ of 20, L-BFGS-B \d+ of 20", lines[-1]
    )


def test_the_page_on_nists_problems_has_every_run_of_the_demo():
    rows = re.findall(r"^\| (\w+) \| ([12]) \|", (ROOT / "docs" / "nist.md").read_text(), re.M)
    assert rows == [(p.name, str(start + 1)) for p in PROBLEMS for start in range(len(p.starts))]


def test_the_readmes_table_of_rules_has_the_facts_of_each_rule():
    rows = re.findall(r'^\| `"(.*?)"`(.*?) \| (.*?) \| (.*?) \| (.*?) \|$', README.read_text(), re.M)
    assert rows == [
        (name, " (the default)" * (name == DEFAULT), rule.move, rule.memory, rule.source.replace("ue", "ü"))
        for name, rule in RULES.items()
    ]


def test_the_readme_names_every_public_name():
    for name in rprop_ref.__all__:
        assert f"`{name}`" in README.read_text(), name


def test_every_public_name_is_in_the_reference():
    """The build of the site checks this more closely, but needs Sphinx."""
    text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    for name in rprop_ref.__all__:
        assert re.search(rf"\b{name}\b", text), name
