"""The mistakes of every day are named in the first line of a report."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from cases import sampled, thinned
from everyday import MISTAKES, Everyday, everyday, pairs
from everyday_programs import in_c, in_javascript

from rprop_ref.crosscheck import Program, check

#: In `make test`; of the others, pairs have more.
QUICK = ("etas swapped", "memory not zeroed", "sign of zero")


@pytest.mark.parametrize("name", sampled([*QUICK, *(m for m in thinned(MISTAKES, 2) if m not in QUICK)], QUICK))
def test_a_mistake_is_named_in_the_first_line(name):
    report = check(everyday(name), "irprop-", dtypes=["float64"])
    assert report.headline.startswith("This is not irprop-: ")
    assert MISTAKES[name] in str(report).splitlines()[0]
    assert report.headline.count(";") <= 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("names", thinned(pairs(), 9), ids=" and ".join)
def test_two_mistakes_are_both_named_in_the_first_line(names):
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
@pytest.mark.parametrize(
    ("language", "name"),
    thinned([(language, name) for language in ("c", "javascript") for name in MISTAKES], 6),
)
def test_the_mistake_of_a_program_is_named_in_the_first_line(language, name, commands):
    report = checked(commands[language], name)
    assert report.headline.startswith("This is not irprop-: ")
    assert MISTAKES[name] in report.headline
    assert report.headline.count(";") <= 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("language", ["c", "javascript"])
def test_the_program_without_a_mistake_agrees(language, commands):
    assert checked(commands[language], "none").agrees


class ElseIf(Everyday):
    """A port in which agreement is followed by `else if (product <= 0)`."""

    def step(self, grad, loss=None):
        for i, g in enumerate(grad.tolist()):
            gradient = self.way * g
            q, size = gradient * self.prev[i], self.size[i]
            if q > 0:
                size = min(size * self.up, self.high)
            elif q < 0 or (q == 0 and "<=" in self.mistakes):
                size, gradient = max(size * self.down, self.low), 0.0
            if "limits" not in self.mistakes:
                size = min(max(size, self.low), self.high)
            self.x[i] -= ((gradient > 0) - (gradient < 0)) * size
            self.prev[i], self.size[i] = gradient, size
        return list(self.x)


@pytest.mark.exhaustive
def test_the_remedies_of_what_was_learned_are_those_that_are_needed():
    def checked(*mistakes):
        return check(
            lambda x0, **setting: ElseIf(mistakes, np.asarray(x0), **setting), "irprop-", dtypes=["float64"]
        )

    both = checked("<=", "limits")
    assert both.diagnosis.explanations[0].learned
    assert [(point.text, bool(point.remedy)) for point in both.points] == [
        ("a zero product is a flip", True),
        ("one limit per branch", True),
    ]
    assert both.headline.startswith("This is not irprop-: a zero product is a flip")
    assert both.to_agree == (
        "Where the product is 0, keep the step size and the gradient: a sign change is where it is < 0. "
        "Clamp at both ends on every step; the upper limit wins."
    )
    one = checked("limits")  # the first remedy is applied
    assert [point.text for point in one.points if point.remedy] == ["one limit per branch"]
    assert checked().agrees
