"""The lesson in a terminal: right and wrong answers, and what is neither."""

from __future__ import annotations

import numpy as np

from rprop_ref import cli, lesson, step_table


class Reader:
    """Gives prepared answers, and keeps what it was asked and told."""

    def __init__(self, answers):
        self.answers, self.said = iter(answers), []

    def read(self, prompt):
        self.said.append(prompt)
        return next(self.answers)

    def text(self):
        return "\n".join(self.said)


def predictions():
    return [
        f"{row.step_size} {row.x}" for rule in lesson.LEVELS for row in step_table(lesson.GRADIENTS, rule).rows
    ]


def test_right_answers_are_right():
    # The first step that differs, and the place in the list of mistakes, by hand.
    found = ["3, 6", "2, 2", "1, 5", "4, 4", "1 1", "4 3"]
    reader = Reader([*predictions(), *found])
    assert lesson.run(reader.read, reader.said.append) == 0
    assert reader.said[-1] == "31 of 31 right."
    assert "C: x" in reader.text()
    assert "Right: step 2. Moves by the step size from before the adaptation. To agree:" in reader.text()


def test_wrong_answers_are_explained_and_nonsense_is_asked_again():
    reader = Reader(["", "0.1", "a b", "0.12 -0.1", "0.12, -0.22", "q"])
    assert lesson.run(reader.read, reader.said.append) == 0
    assert reader.said[-1] == "1 of 2 right."
    assert reader.text().count("Two numbers are needed") == 3
    assert "Step 1, step size: 0.12 is not right. The product is 1 * 0 = 0" in reader.text()
    wrong = Reader([*predictions(), *["5 1"] * 6])
    lesson.run(wrong.read, wrong.said.append)
    assert wrong.said[-1] == "25 of 31 right."


def test_every_program_differs_from_the_others():
    paths = [
        lesson._path(lesson.changed(lesson.COMPOSITIONS["irprop-"], [lesson.DEVIATIONS[b]])) for b in lesson.BUGS
    ]
    assert len(np.unique(np.array(paths), axis=0)) == len(lesson.BUGS)


def test_the_command_ends_with_the_input(monkeypatch, capsys):
    def nothing(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", nothing)
    assert cli.main(["lesson"]) == 0
    assert capsys.readouterr().out.endswith("0 of 0 right.\n")
