"""A rule on many cases at once: the steps that `RunningRule` makes case by case, for all coordinates together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .._cases.dtypes import COMPLEX
from .table import Table

#: Cases of about the same length are run together; those that end earlier get zeros until the longest ends.
_LENGTHS = (8, 16, 40, 100, 10**9)

Shown = dict[str, Array]


def can_join(case: Case) -> bool:
    """Whether a case can be run beside others; its first call has to be a step."""
    return (
        case.bounds is None and case.dtype != "bfloat16" and 0 not in case.none
        and not (isinstance(case.lr, np.ndarray) and case.dtype in COMPLEX)
    )  # fmt: skip


def run_together(
    table: Table, start: Callable[..., None], step: Callable[..., Any], cases: Sequence[Case]
) -> Iterator[tuple[Case, Shown]]:
    """Each case with x and the caller's gradient after each step, as two arrays of shape (steps, coordinates)."""
    groups: dict[Any, list[Case]] = {}
    for case in cases:
        length = next(i for i, most in enumerate(_LENGTHS) if case.steps <= most)
        groups.setdefault((case.real, length), []).append(case)
    for some in groups.values():
        joint = _Joint(table, start, step, some)
        x, gradient = joint.run()
        for case, first in zip(some, joint.starts, strict=True):
            own = slice(first, first + case.size)
            yield case, {"x": x[: case.steps, own], "gradient": gradient[: case.steps, own]}


class _Joint:
    """Cases of one dtype, one after the other in one array of coordinates."""

    def __init__(
        self, table: Table, start: Callable[..., None], step: Callable[..., Any], cases: Sequence[Case]
    ) -> None:
        self.table, self.start, self.step, self.cases = table, start, step, cases
        self.sizes = [case.size for case in cases]
        self.following: list[tuple[slice, Any]] = []  # the coordinates of each objective
        self.starts = [int(n) for n in np.cumsum([0, *self.sizes[:-1]])]
        self.steps = max(case.steps for case in cases)
        self.x0: Array = np.concatenate([case.x0 for case in cases])
        self.lr = self._each([case.lr for case in cases])
        self.numbers = [
            self._each([numbers[k] for case in cases for numbers in [(*case.etas, *case.step_sizes)]])
            for k in range(4)
        ]
        self.maximize = self._each([case.maximize for case in cases]).astype(bool)
        self.reused = self._each([case.reused for case in cases]).astype(bool)
        for case, first in zip(cases, self.starts, strict=True):
            if case.objective is not None:
                self.following.append((slice(first, first + case.size), case.objective))
        self.unusual = any(case.none or case.resumed or case.edits or case.reused for case in cases)
        own = [slice(first, first + case.size) for case, first in zip(cases, self.starts, strict=True)]
        self.none = [(part, case.none) for part, case in zip(own, cases, strict=True) if case.none]
        self.resumed = [(part, case.resumed) for part, case in zip(own, cases, strict=True) if case.resumed]
        self.edits = [(part, case.edits) for part, case in zip(own, cases, strict=True) if case.edits]

    def _each(self, values: Sequence[Any]) -> Array:
        """One value for each case (or for each of its coordinates), for each coordinate."""
        if any(isinstance(v, np.ndarray) for v in values):
            return np.concatenate([np.full(n, v, np.float64) for n, v in zip(self.sizes, values, strict=True)])
        return np.repeat(np.array(values, np.float64), self.sizes)

    def _where(self, steps: Sequence[tuple[slice, frozenset[int]]], t: int) -> Array:
        """The coordinates whose set of steps contains this one."""
        where = np.zeros(self.x0.shape, bool)
        for part, some in steps:
            if t in some:
                where[part] = True
        return where

    def run(self) -> tuple[Array, Array]:
        """x and the caller's gradients after each step."""
        with np.errstate(all="ignore"):
            self.s = self._begun()
            self.x = np.asarray(getattr(self.s, "x", self.x0), self.x0.dtype)  # it may be kept in another dtype
            gradients, losses = self._scripts()
            self.last_given = np.zeros(self.x0.shape, bool)  # whether the caller's array was given before
            shown = [self._one_step(t, gradients[t], losses[t]) for t in range(self.steps)]
        return np.array([x for x, _ in shown]), np.array([g for _, g in shown])

    def _begun(self) -> SimpleNamespace:
        state = SimpleNamespace()
        self.start(state, self.x0, self.lr, *self.numbers)
        if hasattr(state, "way"):
            state.way = np.where(self.maximize, -1, 1).astype(self.x0.dtype)
        for name, value in vars(state).items():
            if name != "steps":
                setattr(state, name, np.broadcast_to(value, self.x0.shape))
        return state

    def _scripts(self) -> tuple[Array, Array]:
        g = np.zeros((self.steps, self.x0.size), self.x0.dtype)
        loss = np.zeros((self.steps, self.x0.size))
        for case, first in zip(self.cases, self.starts, strict=True):
            g[: case.steps, first : first + case.size] = case.g
            loss[: case.steps, first : first + case.size] = np.array(case.loss)[: case.steps, None]
        return g, loss

    def _one_step(self, t: int, raw: Array, loss: Array) -> tuple[Array, Array]:
        at = self.x if t else self.x0
        for own, objective in self.following:
            raw[own] = objective.gradient(at[None, own])[0]
        missing = self._between(t) if self.unusual else None
        if missing is not None:
            raw = np.where(missing, raw.dtype.type(0), raw)
        table, s = self.table, self.s
        g = np.where(self.maximize, -raw, raw) if table["maximize"] != "ignored" else raw
        if table["loss under maximize"] != "not reversed":
            loss = np.where(self.maximize, -loss if table["loss under maximize"] == "reversed" else -np.inf, loss)
        if self.unusual:
            self._reuse(g, missing)
        saved = dict(vars(s))
        arguments = (loss,) if table.uses_loss else ()
        x = np.asarray(self.step(s, self.x, g, self.lr, *self.numbers, *arguments), self.x.dtype)
        touched = self._touched(raw)
        if missing is not None and missing.any():
            if table["None"] == "skipped":
                x = np.where(missing, self.x, x)
                for name, value in saved.items():
                    if name != "steps":
                        setattr(s, name, np.where(missing, value, getattr(s, name)))
            touched = np.where(missing, raw.dtype.type(0), touched)
        self.x = x
        return x, touched

    def _between(self, t: int) -> Array:
        """What happens before a step: saving and loading, and setting hyperparameters; where no gradient is."""
        resumed = self._where(self.resumed, t)
        if resumed.any():
            self._resume(resumed)
        for part, edits in self.edits:
            if t in edits:
                self._set(part, edits[t])
        return self._where(self.none, t)

    def _resume(self, resumed: Array) -> None:
        fresh, s = self._begun(), self.s
        lost = {"no memory": ("prev", "flipped"), "no step size": ("size",), "no last move": ("last",)}
        for name in lost.get(str(self.table["saved"]), ()):
            if hasattr(fresh, name):
                setattr(s, name, np.where(resumed, getattr(fresh, name), getattr(s, name)))
        if self.table["saved"] == "no last move" and hasattr(fresh, "before"):
            s.before = np.where(resumed, self.x, s.before)
        if hasattr(s, "x"):
            s.x = np.where(resumed, self.x.astype(s.x.dtype), s.x)
        self.last_given = self.last_given & ~resumed

    def _set(self, own: slice, edit: dict[str, Any]) -> None:
        for name, first in (("etas", 0), ("step_sizes", 2)):
            if name in edit and self.table["etas set" if name == "etas" else "limits set"] == "used":
                for k in (0, 1):
                    self.numbers[first + k] = self.numbers[first + k].copy()
                    self.numbers[first + k][own] = edit[name][k]
        if "lr" in edit and self.table["lr set"] != "ignored":
            self.lr = self.lr.copy()
            self.lr[own] = edit["lr"]
            if self.table["lr set"] == "resets":
                size = np.array(self.s.size)
                size[own] = edit["lr"]
                self.s.size = size

    def _reuse(self, g: Array, missing: Array | None) -> None:
        """Where the memory is the caller's own array, and that is used again: the memory is the new gradient."""
        table, s = self.table, self.s
        given = self.reused if missing is None else self.reused & ~missing
        kept = table["caller's array"]
        if kept != "copied":
            where = given & self.last_given
            if kept != "kept":
                where = where & ~self.maximize
            own = -g if table["direction"] == "up" else g
            s.prev = np.where(where, np.sign(own) if str(table["compare"]).startswith("stored") else own, s.prev)
            if hasattr(s, "flipped"):
                s.flipped = s.flipped & (s.prev == 0)
        skipped = missing if missing is not None and table["None"] == "skipped" else False
        self.last_given = np.where(skipped, self.last_given, given)

    def _touched(self, raw: Array) -> Array:
        answer = str(self.table["caller's gradient"])
        after = np.where(self.maximize, -raw, raw) if answer.startswith("negated") else raw
        if "zeroed" in answer:
            flips = self.s.flip
            after = np.where(flips & ~self.maximize if "own" in answer else flips, raw.dtype.type(0), after)
        return after
