"""A table that runs: a factory, as `crosscheck.check` needs it, whose steps are made by the table's source."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .._cases.dtypes import COMPLEX
from .._comparison.observe import observe
from .._comparison.trajectory import Trajectory
from .joint import can_join, run_together
from .names import summary
from .source import source
from .table import Table


class Rule:
    """A rule that was learned from an implementation.

    ``print(rule)`` shows its table, ``rule.source()`` is NumPy code, and ``rule(x0, lr=..., ...)`` makes an
    optimizer that runs this code.

    Attributes
    ----------
    table : Table
    nearest : str
        The nearest of the five rules.
    differences : tuple of str
        What it does that the nearest rule does not, in sentences.
    """

    accepts_lr_array = True

    def __init__(self, table: Table, nearest: str = "", differences: tuple[str, ...] = ()) -> None:
        self.table, self.nearest, self.differences = table, nearest, differences

    def source(self) -> str:
        """NumPy code of the rule: ``start`` makes a state, ``step`` returns the new x and updates the state."""
        return source(self.table)

    def summary(self, rule: str = "") -> list[str]:
        """What it does that a rule (by default the nearest) does not, in few words; ordinary use if it differs."""
        return summary(self.table, rule or self.nearest)

    def __str__(self) -> str:
        return str(self.table)

    def __repr__(self) -> str:
        return f"<rule: {self.table.title}>"

    @cached_property
    def _functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        names: dict[str, Any] = {}
        exec(compile(self.source(), "<decompiled rule>", "exec"), names)
        return names["start"], names["step"]

    def on_cases(self, cases: Sequence[Case]) -> list[Trajectory]:
        """What it does on each of some cases: x, and the caller's gradient, after each step.

        The same as running one case after the other, but cases are run side by side where they can be.
        """
        joined = dict(run_together(self.table, *self._functions, [case for case in cases if can_join(case)]))
        return [
            Trajectory(case, joined[case]["x"], None, None, joined[case]["gradient"])
            if case in joined else observe(self, case, frozenset(("prev", "step_size")))
            for case in cases
        ]  # fmt: skip

    def __call__(
        self,
        x0: Array,
        *,
        lr: Any = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        maximize: bool = False,
    ) -> RunningRule:
        """Make an optimizer of an array of parameters; `x0` is not changed."""
        return RunningRule(self.table, *self._functions, x0, lr, (*etas, *step_sizes), maximize)


class RunningRule:
    """An optimizer that runs the source of a table.

    Attributes
    ----------
    x : ndarray
        The parameters.
    prev, step_size : ndarray
        The memory, and the step sizes.
    """

    accepts_none = True

    def __init__(
        self, table: Table, start: Any, step: Any, x0: Array, lr: Any, numbers: tuple[float, ...], maximize: bool
    ) -> None:
        x0 = np.asarray(x0)
        self._table, self._start, self._step, self._maximize = table, start, step, maximize
        self._shape, self._dtype = x0.shape, x0.dtype
        self._x = self._reals(x0)
        lr = np.broadcast_to(lr, x0.shape).reshape(-1) if isinstance(lr, np.ndarray) else lr
        if isinstance(lr, np.ndarray) and x0.dtype.name in COMPLEX:
            lr = np.repeat(lr, 2)
        self._lr, self._numbers, self._last_grad = lr, numbers, None
        self._s = self._begun(self._lr)
        self._x = np.asarray(getattr(self._s, "x", self._x), self._x.dtype)  # it may be kept in another dtype

    def _begun(self, lr: Any) -> SimpleNamespace:
        state = SimpleNamespace()
        with np.errstate(all="ignore"):
            self._start(state, self._x, lr, *self._numbers)
        if hasattr(state, "way") and self._maximize:
            state.way = -1
        return state

    def step(self, grad: Any, loss: float | None = None) -> Array:
        """Make a step, and return the new parameters. `grad` may be None, or changed if the rule does so."""
        table, s = self._table, self._s
        missing = grad is None
        if missing and table["None"] == "skipped":
            return self.x
        raw = np.zeros_like(self._x) if missing else self._reals(np.asarray(grad, self._dtype))
        negated = self._maximize and table["maximize"] != "ignored"
        g = -raw if negated else raw
        value = np.nan if loss is None else float(loss)
        if self._maximize and table["loss under maximize"] != "not reversed":
            value = -value if table["loss under maximize"] == "reversed" else -np.inf
        kept = "kept" if self._maximize else table["caller's array"]
        if (
            table["caller's array"] != "copied"
            and kept == table["caller's array"]
            and grad is self._last_grad
            and not missing
        ):
            own = -g if table["direction"] == "up" else g.copy()
            s.prev = np.sign(own) if str(table["compare"]).startswith("stored") else own
            if hasattr(s, "flipped"):
                s.flipped = s.flipped & (s.prev == 0)
        arguments = (value,) if table.uses_loss else ()
        with np.errstate(all="ignore"):
            self._x = np.asarray(self._step(s, self._x, g, self._lr, *self._numbers, *arguments), self._x.dtype)
        self._last_grad = grad
        if isinstance(grad, np.ndarray):
            self._touch(grad, raw)
        return self.x

    def _touch(self, grad: Array, raw: Array) -> None:
        """Write into the caller's gradient what the rule writes."""
        answer = str(self._table["caller's gradient"])
        after = -raw if answer.startswith("negated") and self._maximize else raw
        if "zeroed" in answer and not (self._maximize and "own" in answer):
            after = np.where(self._s.flip, 0, after)
        if after is not raw and grad.flags.writeable:
            grad[...] = self._shaped(after.astype(self._x.dtype))

    @property
    def x(self) -> Array:
        """The parameters."""
        return self._shaped(self._x)

    @property
    def prev(self) -> Array:
        """The memory."""
        return self._shaped(self._s.prev)

    @property
    def step_size(self) -> Array:
        """The step sizes."""
        return self._shaped(self._s.size)

    def set(self, *, lr: Any = None, etas: Any = None, step_sizes: Any = None) -> None:
        """Set hyperparameters; the rule may ignore them."""
        down, up, lo, hi = self._numbers
        if etas is not None and self._table["etas set"] == "used":
            down, up = etas
        if step_sizes is not None and self._table["limits set"] == "used":
            lo, hi = step_sizes
        self._numbers = (down, up, lo, hi)
        if lr is not None and self._table["lr set"] != "ignored":
            self._lr = lr
            if self._table["lr set"] == "resets":
                self._s.size = np.full_like(self._s.size, lr)

    def save(self) -> Any:
        """The state, without the parameters."""
        return copy.deepcopy(vars(self._s))

    def load(self, state: Any) -> None:
        """Continue from a saved state; the rule may have left something out of it."""
        fresh, lacks = self._begun(self._lr), self._table["saved"]
        self._s = SimpleNamespace(**copy.deepcopy(state))
        if hasattr(fresh, "x"):
            self._s.x = fresh.x
        lost = {"no memory": ("prev", "flipped"), "no step size": ("size",), "no last move": ("last",)}.get(
            str(lacks), ()
        )
        for name in lost:
            if hasattr(fresh, name):
                setattr(self._s, name, getattr(fresh, name))
        if lacks == "no last move" and hasattr(fresh, "before"):
            self._s.before = self._x.copy()

    def _reals(self, a: Array) -> Array:
        flat = np.ascontiguousarray(a).reshape(-1)
        return flat.view(COMPLEX[flat.dtype.name]).copy() if flat.dtype.name in COMPLEX else flat.copy()

    def _shaped(self, a: Array) -> Array:
        flat = np.ascontiguousarray(np.asarray(a, self._x.dtype))
        return flat.view(self._dtype).reshape(self._shape).copy()
