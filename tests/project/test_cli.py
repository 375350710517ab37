"""The command line, and the pictures that it draws."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rprop_ref import cli, demo, plot
from rprop_ref.nist import PROBLEMS, get


def test_the_demo_prints_a_row_for_every_run_and_the_score(capsys):
    assert cli.main(["demo", "--maxiter", "300"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line[:10].strip() in {p.name for p in PROBLEMS}]
    assert len(rows) == 20
    assert [row.split()[:2] for row in rows[:2]] == [["Misra1a", "1"], ["Misra1a", "2"]]
    assert lines[-1].startswith("6 or more correct digits in the worst parameter: Rprop ")
    assert lines[-1].endswith(" of 20")


def test_the_table_shows_the_results_of_the_runs():
    row = next(demo.runs([get("BoxBOD")], maxiter=5000))
    assert row.start == 1
    assert row.rprop.digits > 6
    assert 0 < row.rprop.evaluations <= row.rprop.iterations + 1
    *_, line, blank, score = demo.table(iter([row]))
    assert line.split("|")[1].split()[0] == str(row.rprop.iterations)
    assert blank == ""
    assert "Rprop 1 of 1" in score


def test_without_matplotlib_the_error_names_the_extra(capsys, monkeypatch):
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo", "--plot", "x.png"]) == 2
    captured = capsys.readouterr()
    assert "pip install 'rprop-ref[plot]'" in captured.err
    assert captured.out == ""


def test_every_problem_is_drawn():
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'plot'")
    figure = plot.fits_figure(list(demo.runs(maxiter=20)))
    shown = [ax.get_title() for ax in figure.axes if ax.axison]
    assert shown == [p.name for p in PROBLEMS]


@pytest.mark.parametrize(
    ("file", "text"), [("x.xyz", "its ending must be one of"), ("nowhere/x.png", "there is no folder nowhere")]
)
def test_a_file_that_cannot_be_written_is_refused_before_the_runs(file, text, capsys):
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'plot'")
    assert cli.main(["demo", "--plot", file]) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_fits_are_drawn_to_a_file(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'plot'")
    file = tmp_path / "fits.png"
    plot.fits(list(demo.runs([get("BoxBOD"), get("DanWood")], maxiter=200)), file)
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "--maxiter", "0"], ["demo", "--maxiter", "x"]])
def test_bad_arguments_give_status_2_and_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: rprop_ref" in capsys.readouterr().err


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "rprop_ref", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("rprop_ref ")
