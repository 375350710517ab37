"""The command line of the referee."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from clients import client

from rprop_ref import cli
from rprop_ref.crosscheck import PROFILES, conformance_vectors, published

MODULE = """
import numpy as np
from rprop_ref import crosscheck
right = crosscheck.profile("torch")
wrong = crosscheck.mutant("irprop-", ["moves on at a flip"])
rounding = crosscheck.mutant("irprop-", ["etas in double"])
def broken(*args, **kwargs): raise RuntimeError("no licence")
number = 3
class Leaves(type(right(np.zeros(1)))):
    def __init__(self, x0, **setting): pass
    def step(self, grad, loss=None): raise SystemExit(0)
def talks(x0, **setting):
    print("here I am")
    return right(x0, **setting)
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    (tmp_path / "theirs.py").write_text(MODULE)
    (tmp_path / "raising.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("theirs", None)

    def run(*arguments):
        status = cli.main(["crosscheck", "--random", "5", *arguments])
        return status, capsys.readouterr()

    yield run
    sys.modules.pop("theirs", None)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["theirs:right", "--dtypes", "float64,float32", "--claim", "irprop-"], 0, "This is irprop-, to the last bit."),
        pytest.param(
            ["theirs:wrong", "--dtypes", "float64"], 0, "This is irprop-go, to the last bit.", marks=pytest.mark.exhaustive,
        ),
        (["theirs:wrong", "--dtypes", "float64", "--claim", "irprop-"], 1, "* moves on at a flip (move)."),
        (["theirs:wrong", "--dtypes", "float64", "--claim", "rprop-", "--like"], 1, "Published implementations that behave like it:"),
        (["theirs:rounding", "--dtypes", "float32", "--claim", "irprop-"], 1, "rounding differs by at most"),
        (["theirs:rounding", "--dtypes", "float32", "--claim", "irprop-", "--ulps", "200"], 0, "rounding differs by at most"),
        (["theirs:broken", "--dtypes", "float64"], 2, "no licence"),
        (["theirs:Leaves", "--dtypes", "float64"], 2, "SystemExit: 0"),
        (["--profile", "shark-3", "--dtypes", "float64", "--claim", "irprop-go"], 1, "* one limit per branch (clamp)."),
    ],
)  # fmt: skip
def test_the_command_prints_the_report_and_returns_the_status(arguments, status, text, command):
    got, printed = command(*arguments)
    assert got == status
    assert text in printed.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["theirs"], "'theirs' should be MODULE:FACTORY"),
        (["theirs:"], "'theirs:' should be MODULE:FACTORY"),
        (["raising:x"], "cannot load raising:x: RuntimeError: no licence"),
        (["--export", "theirs.py/deeper"], "cannot write to theirs.py/deeper: Not a directory"),
        (["--cmd", ""], "the command is empty"),
        (["theirs:nobody"], "cannot load theirs:nobody: module 'theirs' has no attribute 'nobody'"),
        (["nowhere:x"], "cannot load nowhere:x: No module named 'nowhere'"),
        (["theirs:number"], "theirs:number is not callable"),
        (["theirs:right", "--dtypes", "int8"], "unknown dtype 'int8'"),
        (["--cmd", "/nowhere/at/all"], "cannot run /nowhere/at/all"),
        (["theirs.py:right"], "'theirs.py:right' should begin with a module"),
        (["--cmd", "cat", "--timeout", "inf"], "timeout=inf should be a number of seconds"),
        (["--export", ""], "--export needs the name of a folder"),
        (["--release", ""], "--release needs the name of a folder"),
        (["--release", "theirs.py/deeper"], "cannot write to theirs.py/deeper: Not a directory"),
        (["--export", "new", "--dtypes", "float6"], "unknown dtype 'float6'; choose from float64, "),
        (["theirs:right", "--ulps", "-1"], "--ulps -1 should be a number, 0 or larger"),
        (["theirs:right", "--random", "-3"], "random=-3 should be an integer, 0 or larger"),
        (["theirs:right", "--seed", "-3"], "seed=-3 should be an integer, 0 or larger"),
        (["theirs:right", "--dtypes", ""], "dtypes is empty; choose from float64, "),
        (["--export", "new", "--dtypes", ""], "dtypes is empty; choose from float64, "),
        (["--cmd", "python '"], 'the command "python \'" cannot be read: No closing quotation'),
        (["theirs:right", "--json", "--like"], "--like adds to the report as text"),
        (
            ["theirs:broken", "--dtypes", "float64", "--like"],
            "no case could be run: RuntimeError: no licence (theirs.py:",
        ),
    ],
)
def test_the_command_refuses_bad_arguments_in_one_line(arguments, text, command):
    status, printed = command(*arguments)
    assert status == 2
    assert text in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("new").exists()


def test_the_command_prints_json_and_html(command):
    status, printed = command("theirs:wrong", "--claim", "irprop-", "--dtypes", "float64", "--json")
    assert status == 1
    assert json.loads(printed.out)["diagnosis"]["explanations"][0][0]["name"] == "moves on at a flip"
    status, printed = command("theirs:talks", "--claim", "irprop-", "--dtypes", "float64", "--html")
    assert status == 0
    assert printed.out.startswith("<!DOCTYPE html>")
    assert "here I am" in printed.err


def test_the_command_runs_a_program(tmp_path, command):
    status, printed = command("--cmd", " ".join(client(tmp_path)), "--without", "nan", "--claim", "irprop-")
    assert status == 0
    assert "to the last bit" in printed.out


@pytest.mark.exhaustive
def test_the_command_exports_vectors(tmp_path, command):
    status, printed = command("--export", str(tmp_path / "out"), "--dtypes", "float16")
    assert status == 0
    assert printed.out.strip() == str(tmp_path / "out" / "irprop-.float16.json")
    assert (tmp_path / "out" / "irprop-.float16.json").exists()


def test_the_command_releases_vectors(tmp_path, command, monkeypatch):
    monkeypatch.setattr(conformance_vectors, "RELEASED_NUMBERS", 1)
    monkeypatch.setattr(conformance_vectors, "RELEASED_LARGER", ())
    status, printed = command("--release", str(tmp_path / "out"))
    assert status == 0
    assert printed.out.splitlines()[-1] == str(tmp_path / "out" / "SHA256SUMS")
    file = tmp_path / "out" / "vectors" / "irprop-.float64.json"
    file.write_text(file.read_text().replace("0x1", "0x2", 1))
    status, printed = command("--release", str(tmp_path / "out"))
    assert status == 2
    assert f"{file} would change, but is of version 3" in printed.err


def test_the_command_prints_the_page_of_who_computes_what(command, monkeypatch):
    monkeypatch.setattr(published, "PROFILES", {"torch": PROFILES["torch"]})
    status, printed = command("--published")
    assert status == 0
    assert "| torch.optim.Rprop 2.13 on the CPU, eager | `irprop-` | · | · | · | · | · |" in printed.out
