"""The mistakes of every day are named in the first line of a report."""

from __future__ import annotations

import shutil

import pytest
from cases import sampled
from everyday import MISTAKES, everyday
from everyday_programs import in_c, in_javascript

from rprop_ref.crosscheck import Program, check


@pytest.mark.parametrize("name", sampled(MISTAKES, ["etas swapped", "memory not zeroed"]))
def test_a_mistake_is_named_in_the_first_line(name):
    report = check(everyday(name), "irprop-", dtypes=["float64"])
    assert report.headline.startswith("This is not irprop-: ")
    assert MISTAKES[name] in str(report).splitlines()[0]
    assert report.headline.count(";") <= 1


@pytest.mark.exhaustive
def test_two_mistakes_are_both_named_in_the_first_line():
    names = "a limit per branch, >=", "memory not zeroed"
    report = check(everyday(*names), "irprop-", dtypes=["float64"])
    for name in names:
        assert MISTAKES[name] in report.headline


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    compiler, folder = shutil.which("cc"), tmp_path_factory.mktemp("everyday")
    return {
        "c": in_c(folder, compiler) if compiler else None,
        "javascript": in_javascript(folder) if shutil.which("node") else None,
    }


def checked(command, mistake):
    if command is None:
        pytest.skip("needs a C compiler, or node")
    with Program(["env", f"MISTAKE={mistake}", *command]) as program:
        return check(program, "irprop-")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("language", ["c", "javascript"])
def test_the_mistake_of_a_program_is_named_in_the_first_line(language, name, commands):
    report = checked(commands[language], name)
    assert report.headline.startswith("This is not irprop-: ")
    assert MISTAKES[name] in report.headline
    assert report.headline.count(";") <= 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("language", ["c", "javascript"])
def test_the_program_without_a_mistake_agrees(language, commands):
    assert checked(commands[language], "none").agrees
