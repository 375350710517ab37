"""`step_table`: the table that one fills in when doing Rprop by hand, and how a filled-in one is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import rules
from .._common import display
from .._core import events as _events
from .._core import numpy_step
from .._core.checks import check_etas, check_variant
from .._core.constants import rule_constants

_BRANCHES = {
    _events.KEPT: "first or neutral",
    _events.GREW: "same sign",
    _events.SHRANK: "sign changed",
    _events.UNDERFLOW: "product underflows",
}


class Step(NamedTuple):
    """One line of a `StepTable`."""

    gradient: float
    stored: float
    product: float
    branch: str
    step_size: float
    move: float
    x: float


class StepTable:
    """The steps of one coordinate, computed by `step_table`.

    Attributes
    ----------
    rows : list of Step
        Each with ``gradient``, ``stored`` (the gradient that the step before has stored: 0 in the first step, and
        after a change of sign with the rules that clear it), ``product`` (of these two), ``branch`` (in words),
        ``step_size`` (after the adaptation), ``move`` (what is added to x) and ``x`` (after the step).
    rule : str
        The rule.
    x0 : float
        The start.
    """

    def __init__(self, rule: str, x0: float, rows: list[Step], assumption: str, hints: list[str]) -> None:
        self.rule = rule
        self.x0 = x0
        self.rows = rows
        self._title = rule + assumption
        self._hints = hints

    def check(self, rows: Sequence[Mapping[str, Any] | Sequence[Any]], tolerance: float = 1e-3) -> Marks:
        """Compare with a table that was filled in by hand.

        Parameters
        ----------
        rows : sequence
            A dict for each step, with any of the columns as keys; or a sequence of all columns, with None for an
            empty cell. A branch may be in upper or lower case, and one half of "first or neutral" is enough.
        tolerance : float, optional
            How far a number may be off, relative to the right one.

        Returns
        -------
        Marks
            ``right`` says whether everything is right; printing it lists the mistakes, each with a hint. Only the
            first mistake of each step is listed, since the later cells follow from it.

        Raises
        ------
        ValueError
            If there are more rows than steps, or if a column is unknown.
        """
        if len(rows) > len(self.rows):
            raise ValueError(f"the table has {len(self.rows)} steps, but {len(rows)} rows were given")
        wrong = []
        filled = 0
        for number, given in enumerate(rows):
            cells = dict(given) if isinstance(given, Mapping) else dict(zip(Step._fields, given, strict=False))
            unknown = cells.keys() - set(Step._fields)
            if unknown or len(given) > len(Step._fields):
                raise ValueError(f"the columns are {', '.join(Step._fields)}, but row {number + 1} is {given!r}")
            for name in Step._fields:
                value = cells.get(name)
                if value is None:
                    continue
                filled += 1
                if not _agrees(value, getattr(self.rows[number], name), tolerance):
                    wrong.append((number + 1, name, value, self._hints[number]))
                    break
        return Marks(wrong, filled, len(self.rows) * len(Step._fields))

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        head = ["step", "gradient", "stored", "product", "branch", "step size", "move", "x"]
        lines = [["start", "", "", "", "", "", "", f"{self.x0:g}"]]
        for number, row in enumerate(self.rows, 1):
            lines.append([str(number), *(v if isinstance(v, str) else f"{v:.6g}" for v in row)])
        return head, lines

    def __str__(self) -> str:
        return f"{self._title}\n" + display.text_table(*self._cells(), left=(4,))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return display.html_table(*self._cells(), caption=self._title, left=(4,))


class Marks:
    """What `StepTable.check` says about a table.

    Attributes
    ----------
    right : bool
        Whether every cell is filled in and right.
    wrong : list of (int, str, object, str)
        The mistakes: number of the step, column, what was filled in, and a hint.
    """

    def __init__(self, wrong: list[tuple[int, str, Any, str]], filled: int, cells: int) -> None:
        self.wrong = wrong
        self.filled = filled
        self.right = not wrong and filled == cells
        self._cells = cells

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        if self.right:
            return f"All {self._cells} cells are right."
        if not self.wrong:
            return f"All {self.filled} filled-in cells are right; {self._cells - self.filled} are empty."
        mistakes = (
            f"Step {step}, {column.replace('_', ' ')}: {value} is not right. {hint}"
            for step, column, value, hint in self.wrong
        )
        return "\n".join(display.wrapped(mistake) for mistake in mistakes)

    def __repr__(self) -> str:
        return str(self)


def step_table(
    gradients: Sequence[float],
    rule: str = rules.DEFAULT,
    *,
    x0: float = 0.0,
    lr: float = 0.1,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float | None, float | None] = (1e-6, 50),
    losses: Sequence[float] | None = None,
) -> StepTable:
    """Make the table of Rprop steps that a student would fill in, for one coordinate.

    Parameters
    ----------
    gradients : sequence of float
        The gradient of each step; only its sign matters to the result.
    rule : str, optional
        The rule; elsewhere this option is called ``variant``.
    x0 : float, optional
        The start.
    lr : float, optional
        The first step size.
    etas, step_sizes : (float, float), optional
        As for `Rprop`.
    losses : sequence of float, optional
        The loss at each step, for "irprop+", which undoes a move only if the loss rose. By default the table
        assumes that it rises at every change of sign.

    Returns
    -------
    StepTable
        Print it, or let a notebook show it. ``rows`` has the numbers, and ``check`` marks a filled-in table.

    Raises
    ------
    ValueError
        If the rule is unknown, an option is outside its allowed range, or there is not one loss for each gradient.

    Examples
    --------
    >>> from rprop_ref import step_table
    >>> step_table([1, 1, -1])
    irprop-
     step  gradient  stored  product  branch            step size   move      x
    start                                                                     0
        1         1       0        0  first or neutral        0.1   -0.1   -0.1
        2         1       1        1  same sign              0.12  -0.12  -0.22
        3        -1       1       -1  sign changed           0.06      0  -0.22
    """
    check_variant(rule)
    check_etas(etas)
    if not lr >= 0:
        raise ValueError(f"Invalid learning rate: {lr}")
    try:
        gradients = [float(g) for g in gradients]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the gradients must be numbers, one for each step, but are {gradients!r}") from error
    if losses is not None and len(losses) != len(gradients):
        raise ValueError(
            f"there must be a loss for each gradient, but there are {len(losses)} for {len(gradients)}"
        )
    constants = rule_constants(np.dtype(np.float64), etas, step_sizes, False)
    x, prev, size = (np.array([v], float) for v in (x0, 0.0, lr))
    rows, hints = [], []
    for t, gradient in enumerate(gradients):
        worse = losses is None or (t > 0 and losses[t] > losses[t - 1])
        g = np.array([gradient], float)
        before = _Before(x.item(), prev.item(), size.item())
        stored, old_size = prev.copy(), size.copy()
        numpy_step.run(rule, x, g, prev, size, constants, worse)
        event = int(_events.events(rule, g, stored, old_size, size, constants, worse)[0])
        row = _row(event, before, gradient, size.item(), x.item())
        rows.append(row)
        hints.append(_hint(event, before, row, etas))
    assumed = losses is None and rules.RULES[rule].compares_losses
    return StepTable(rule, x0, rows, ", assuming that the loss rises at each change of sign" * assumed, hints)


class _Before(NamedTuple):
    """The coordinate before a step."""

    x: float
    prev: float
    size: float


def _row(event: int, before: _Before, gradient: float, size: float, x: float) -> Step:
    move = {
        _events.MOVED: -float(np.sign(gradient)) * size,
        _events.HELD: 0.0,
        _events.UNDONE: float(np.sign(before.prev)) * before.size,
    }[event & _events.MOVE]
    branch = _BRANCHES[event & _events.CHANGE]
    # Adding 0 makes a -0 a 0, which is what one writes by hand.
    return Step(gradient, before.prev + 0.0, gradient * before.prev + 0.0, branch, size, move + 0.0, x)


def _hint(event: int, before: _Before, row: Step, etas: tuple[float, float]) -> str:
    """The step in words."""
    factor = {_events.GREW: etas[1], _events.SHRANK: etas[0]}.get(event & _events.CHANGE)
    if factor is None:
        adaptation = f"the step size stays {row.step_size:g}"
    else:
        adaptation = f"the step size is {before.size:g} * {factor:g} = {row.step_size:g}"
    if event & (_events.LOWER | _events.UPPER):
        adaptation += " after the clamp"
    move = {
        _events.MOVED: f"the move goes against the sign of the gradient: {row.move:g}",
        _events.HELD: "this rule stays where it is",
        _events.UNDONE: f"this rule takes the last move back: {row.move:g}",
    }[event & _events.MOVE]
    return (
        f"The product is {row.gradient:g} * {row.stored:g} = {row.product:g}: {row.branch}; {adaptation}; {move}; "
        f"x is {before.x:g} + {row.move:g} = {row.x:g}."
    )


def _agrees(given: Any, right: float | str, tolerance: float) -> bool:
    if isinstance(right, str):
        return str(given).strip().lower() in (right, *(right.split(" or ")))
    try:
        return abs(float(given) - right) <= tolerance * abs(right) + 1e-9
    except (TypeError, ValueError):
        return False
