"""`python -m rprop_ref lesson`: predict steps, and find the bug, in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._common import display
from ._teaching.step_table import step_table
from .crosscheck._stages.compositions import COMPOSITIONS
from .crosscheck._stages.deviations import DEVIATIONS
from .crosscheck._stages.optimizer import ComposedOptimizer
from .crosscheck._stages.stages import changed
from .explorer import BUGS

#: The gradients of both parts. Each of `BUGS` shows in a different way.
GRADIENTS = (1, 1, -1, 1, 1)

#: From the simplest rule on.
LEVELS = ("rprop-", "rprop+", "irprop-", "irprop-go", "irprop+")

_INTRODUCTION = """One variable starts at 0. The first step size is 0.1, the factors are 0.5 and 1.2.
Answer with two numbers, the step size and the next x, or q to quit."""


class _Quit(Exception):  # noqa: N818 - it is no error
    """The reader has had enough."""


def run(read: Callable[[str], str], write: Callable[[str], Any]) -> int:
    """Ask questions until all are answered, or until the reader answers "q".

    Parameters
    ----------
    read : callable
        Shows a prompt and returns the answer, as `input` does.
    write : callable
        Shows a line, as `print` does.

    Returns
    -------
    int
        The exit status, 0.
    """
    score = [0, 0]
    try:
        write(_INTRODUCTION)
        for level, rule in enumerate(LEVELS, 1):
            write(f"\nLevel {level} of {len(LEVELS)}: {rule}")
            _predict(rule, score, read, write)
        write("\nSix programs claim to be irprop-; each has one mistake. Answer with the first step that")
        write("differs and the number of the mistake.")
        for letter, bug in zip("ABCDEF", BUGS, strict=True):
            _find(letter, bug, score, read, write)
    except (_Quit, EOFError):
        write("")
    write(f"{score[0]} of {score[1]} right.")
    return 0


def _predict(rule: str, score: list[int], read: Callable[[str], str], write: Callable[[str], Any]) -> None:
    table = step_table(GRADIENTS, rule)
    for step, row in enumerate(table.rows):
        prompt = f"step {step + 1}: gradient {row.gradient:g}, stored {row.stored:g} > "
        size, x = _two_numbers(prompt, read, write)
        marks = table.check([*[{}] * step, {"step_size": size, "x": x}])
        _mark(not marks.wrong, score)
        write("Right." if not marks.wrong else str(marks))


def _find(
    letter: str, bug: str, score: list[int], read: Callable[[str], str], write: Callable[[str], Any]
) -> None:
    right = COMPOSITIONS["irprop-"]
    rule, program = _path(right), _path(changed(right, (DEVIATIONS[bug],)))
    steps = [str(step) for step in range(1, len(GRADIENTS) + 1)]
    lines = [
        ["gradient", *(str(g) for g in GRADIENTS)],
        ["irprop-: x", *(f"{x:.6g}" for x in rule)],
        [f"{letter}: x", *(f"{x:.6g}" for x in program)],
    ]
    write("\n" + display.text_table(["step", *steps], lines, left=(0,)))
    mistakes = sorted(BUGS)
    write("\n".join(f"  {number}. {DEVIATIONS[name].does}" for number, name in enumerate(mistakes, 1)))
    answer = _two_numbers(f"program {letter} > ", read, write)
    first = next(k for k, (a, b) in enumerate(zip(rule, program, strict=True), 1) if a != b)
    is_right = answer == (first, mistakes.index(bug) + 1)
    _mark(is_right, score)
    fix = right[DEVIATIONS[bug].slot].fix
    write(f"{'Right' if is_right else 'No'}: step {first}. {DEVIATIONS[bug].does} To agree: {fix}")


def _path(composition: Any) -> list[float]:
    program = ComposedOptimizer(composition, np.zeros(1), lr=0.1)
    return [program.step(np.array([float(g)])).item() for g in GRADIENTS]


def _mark(is_right: bool, score: list[int]) -> None:
    score[0] += is_right
    score[1] += 1


def _two_numbers(prompt: str, read: Callable[[str], str], write: Callable[[str], Any]) -> tuple[float, float]:
    """Ask until the answer is two numbers."""
    while True:
        answer = read(prompt).strip()
        if answer.lower() in ("q", "quit"):
            raise _Quit
        try:
            first, second = (float(part) for part in answer.replace(",", " ").split())
        except ValueError:
            write(f"Two numbers are needed, such as 0.1 -0.1, but the answer was {answer!r}. q quits.")
        else:
            return first, second
