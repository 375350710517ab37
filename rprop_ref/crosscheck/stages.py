"""A step of any Rprop as five stages, and the machine that runs many rules on many coordinates at once.

The stages are *sense* (what has the gradient done?), *factor* (how does the step size change?), *clamp* (within
which limits?), *move* (where to?) and *remember* (what is kept for the next step?). A stage is made of a few
**slots**, and each slot has **alternatives**: small functions of what is known so far (`deviations` lists them). A
rule is one alternative for each slot; a deviation from a rule is another alternative in one slot. So rules are
combined and searched through as data.

`Machine` keeps arrays of shape (rules, coordinates). Rules that differ in a few slots share all other work, rules
that have been ruled out are dropped on the way, and so tens of thousands can be tried in a second.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

STAGES = ("sense", "factor", "clamp", "move", "remember")


@functools.cache
def limits(kind: np.dtype[Any]) -> tuple[float, float, float]:
    """The smallest subnormal, the smallest normal and the largest number of a dtype."""
    if kind.name == "bfloat16":
        return 2.0**-133, 2.0**-126, 2.0**127 * (2 - 2.0**-7)
    info = np.finfo(kind)
    return float(info.smallest_subnormal), float(info.tiny), float(info.max)


class Slot(NamedTuple):
    """One exchangeable part of a stage, and what it works out."""

    stage: str
    name: str
    outputs: tuple[str, ...]


#: In the order in which a step works them out.
SLOTS = (
    Slot("factor", "etas", ("raw_minus", "raw_plus")),
    Slot("clamp", "limits", ("raw_low", "raw_high")),
    Slot("factor", "constants", ("minus", "plus", "low", "high", "first_size")),
    Slot("sense", "skip", ("skipped",)),
    Slot("sense", "direction", ("turned",)),
    Slot("sense", "filter", ("g",)),
    Slot("sense", "recall", ("recalled",)),
    Slot("sense", "start", ("prev",)),
    Slot("sense", "product", ("q0",)),
    Slot("sense", "agreement", ("q",)),
    Slot("factor", "factor", ("factor0",)),
    Slot("factor", "mend", ("factor",)),
    Slot("factor", "flip", ("flip",)),
    Slot("clamp", "base", ("base",)),
    Slot("clamp", "scale", ("scaled",)),
    Slot("clamp", "clamp", ("new_size", "reach")),
    Slot("move", "worse", ("worse",)),
    Slot("move", "sign", ("sign",)),
    Slot("move", "action", ("steer", "back", "stay")),
    Slot("move", "undo", ("undone",)),
    Slot("move", "length", ("length",)),
    Slot("move", "displace", ("move",)),
    Slot("move", "arrive", ("arrived",)),
    Slot("move", "wall", ("new_x", "kept_size")),
    Slot("remember", "stored", ("stored",)),
    Slot("remember", "at_flip", ("at_flip",)),
    Slot("remember", "memory", ("new_prev",)),
    Slot("remember", "touch", ("touched",)),
    Slot("remember", "halt", ("halted",)),
)

#: These are worked out again only where a case edits hyperparameters.
CONSTANT_SLOTS = 3

#: What an arithmetic works in is decided before any stage; it is an alternative like the others.
ARITHMETIC = "arithmetic"


@dataclass(frozen=True)
class Alternative:
    """One way to fill a slot: a small piece of a rule, with what people should know about it.

    Attributes
    ----------
    name : str
        What a diagnosis calls it.
    slot : str
        The slot it fills.
    does : str
        What a rule with it does, in a sentence.
    fix : str
        What to change to get to it; a diagnosis says this of the alternative the claimed rule has.
    function : callable or Arithmetic
        ``function(s)``: from `s`, which has everything known so far as attributes, the outputs of the slot.
    known_in : tuple of str
        Implementations that have it.
    """

    name: str
    slot: str
    does: str
    fix: str
    function: Any = field(compare=False, repr=False)
    known_in: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def stage(self) -> str:
        """The stage whose part it is."""
        return next((slot.stage for slot in SLOTS if slot.name == self.slot), ARITHMETIC)


Rule = dict[str, Alternative]
Changes = tuple[Alternative, ...]


def changed(rule: Rule, changes: Changes) -> Rule:
    """The rule with other alternatives in some slots."""
    return {**rule, **{a.slot: a for a in changes}}


@dataclass(frozen=True)
class Arithmetic:
    """In which dtype a step is computed, and in which its state is kept.

    `work` and `store` map the dtype of the parameter to another. With `exact_constants` the hyperparameters are
    rounded to the former only; `flush` takes subnormals for zero.
    """

    work: Any
    store: Any
    exact_constants: bool = False
    flush: bool = False


class Batch:
    """Cases of one dtype, side by side: arrays of (steps, coordinates). Built by `cases.batch`.

    Attributes
    ----------
    dtype : numpy.dtype
        That of the parameters (the real one, for complex parameters).
    x0 : ndarray, shape (N,)
    g : ndarray, shape (T, N)
        Gradients; 0 where there is none, and after the end of a case.
    none, resumed, edited : ndarray of bool, shape (T, N)
        Where no gradient is given; where the state went through save and load before the step; where `lr` was
        set anew before the step.
    lr, eta_minus, eta_plus, low, high : ndarray of float64, shape (T, N)
        The hyperparameters at each step, as given.
    loss : ndarray of float64, shape (T, N)
    maximize, reused : ndarray of bool, shape (N,)
        `reused`: the caller gives the same gradient array, overwritten, at every step.
    bounded : ndarray of bool, shape (N,)
        Where x is kept between `lower` and `upper`, in the dtype of the parameters.
    starts, case : ndarray of int
        Where each case begins, shape (cases,), and the case of each coordinate, shape (N,).
    lengths : ndarray of int, shape (N,)
        The number of steps.
    closed : list of (slice, objective)
        Coordinates whose gradient is that of an objective at x instead of `g`.
    """

    dtype: np.dtype[Any]
    x0: Array
    g: Array
    none: Array
    resumed: Array
    edited: Array
    lr: Array
    eta_minus: Array
    eta_plus: Array
    low: Array
    high: Array
    loss: Array
    maximize: Array
    reused: Array
    bounded: Array
    lower: Array
    upper: Array
    starts: Array
    case: Array
    lengths: Array
    closed: list[tuple[slice, Any]]

    def __init__(self, **arrays: Any) -> None:
        self.__dict__.update(arrays)
        self.steps, self.size = self.g.shape
        hyperparameters = (self.lr, self.eta_minus, self.eta_plus, self.low, self.high)
        self.varies = [
            t == 0 or any(not np.array_equal(a[t], a[t - 1], equal_nan=True) for a in hyperparameters)
            for t in range(self.steps)
        ]


class _Known:
    """What is known so far in a step, as attributes; only the given rows of it."""

    def __init__(self, values: dict[str, Any], rows: Array | None = None) -> None:
        self.__dict__["_values"], self.__dict__["_rows"] = values, rows

    def __getattr__(self, name: str) -> Any:
        try:
            value = self._values[name]
        except KeyError:
            raise AttributeError(name) from None
        if self._rows is not None and isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[0] > 1:
            value = value[self._rows]
        self.__dict__[name] = value
        return value


#: Slots that do arithmetic; the others compare, choose and copy.
_ARITHMETIC_SLOTS = ("product", "undo", "displace", "arrive", "stored")

#: State that a step hands to the next, all of shape (rules, coordinates).
_STATE = (
    "x",
    "memory",
    "size",
    "saved_x",
    "pending",
    "seen",
    "last_loss",
    "was_worse",
    "best_loss",
    "stopped",
)


class Machine:
    """Run many rules, which share an arithmetic, on one batch; step by step, dropping rules on the way.

    Parameters
    ----------
    rule : Rule
        What all have in common.
    changes : sequence of tuples of Alternative
        For each rule, its alternatives in other slots.
    batch : Batch
    """

    def __init__(self, rule: Rule, changes: Sequence[Changes], batch: Batch) -> None:
        self.rule, self.batch = rule, batch
        self.alive = np.arange(len(changes))
        self._overrides: dict[str, list[tuple[Alternative, Array]]] = {}
        found: dict[Alternative, list[int]] = {}
        for row, alternatives in enumerate(changes):
            for alternative in alternatives:
                if alternative.slot != ARITHMETIC and alternative != rule[alternative.slot]:
                    found.setdefault(alternative, []).append(row)
        for alternative, rows in found.items():
            self._overrides.setdefault(alternative.slot, []).append((alternative, np.array(rows)))
        arithmetic: Arithmetic = rule[ARITHMETIC].function
        self._work, self._store = arithmetic.work(batch.dtype), arithmetic.store(batch.dtype)
        self._flush, self._exact = arithmetic.flush, arithmetic.exact_constants
        self.t = 0
        shape = (len(changes), batch.size)
        self._constants: dict[str, Array] = {}
        self.state: dict[str, Array] = {
            "x": self._kept(np.broadcast_to(batch.x0, shape)),
            "memory": np.zeros(shape, self._store),
            "saved_x": self._kept(np.broadcast_to(batch.x0, shape)),
            "pending": np.zeros(shape, self._store),
            "seen": np.zeros(shape, bool),
            "last_loss": np.full(shape, np.nan),
            "was_worse": np.zeros(shape, bool),
            "best_loss": np.full(shape, np.inf),
            "stopped": np.zeros(shape, bool),
        }
        self.evaluate_constants()
        self.state["size"] = self._kept(np.broadcast_to(self._constants["first_size"], shape))
        #: What the caller's gradient array holds after the last step.
        self.gradient = np.zeros(shape, batch.dtype)

    @property
    def x(self) -> Array:
        """The parameters, shape (rules, coordinates), in the dtype of the parameters."""
        with np.errstate(all="ignore"):
            return self.state["x"].astype(self.batch.dtype)

    @property
    def prev(self) -> Array:
        """The stored gradients."""
        with np.errstate(all="ignore"):
            return self.state["memory"].astype(self.batch.dtype)

    @property
    def step_size(self) -> Array:
        """The step sizes."""
        with np.errstate(all="ignore"):
            return self.state["size"].astype(self.batch.dtype)

    def keep(self, rows: Array) -> None:
        """Drop all rules but those where `rows`, of shape (rules,), is True."""
        if rows.all():
            return
        new_row = np.where(rows, np.cumsum(rows) - 1, -1)
        self.alive = self.alive[rows]
        for slot, overrides in self._overrides.items():
            remaining = ((alternative, new_row[old]) for alternative, old in overrides)
            self._overrides[slot] = [(a, new[new >= 0]) for a, new in remaining if (new >= 0).any()]
        self.state = {name: a[rows] for name, a in self.state.items()}
        self._constants = {
            name: a[rows] if a.shape[0] == rows.size and a.shape[0] > 1 else a
            for name, a in self._constants.items()
        }
        self.gradient = self.gradient[rows]

    def step(self) -> None:
        """Make the next step of the batch."""
        with np.errstate(all="ignore"):
            self._step()

    def _kept(self, a: Array) -> Array:
        return a.astype(self._store)

    def _flushed_result(self, slot: str, result: Any, values: dict[str, Any]) -> Any:
        """Only arithmetic flushes; what is merely kept or chosen stays as it is."""
        if slot == "scale":
            base, same = values["base"], values["factor"] == values["one"]
            return np.where(
                same, result, np.where(base == self._flushed(base), self._flushed(result), values["zero"])
            )
        return self._flushed(result) if slot in _ARITHMETIC_SLOTS else result

    def _flushed(self, a: Array) -> Array:
        if not self._flush or a.dtype == np.float16:  # computed in float32, where none of them is subnormal
            return a
        tiny = limits(a.dtype)[1]
        return np.where(np.abs(a) < a.dtype.type(tiny), np.copysign(a.dtype.type(0), a), a)

    def evaluate_constants(self) -> None:
        """Work out the constants of the step that comes next."""
        batch, t = self.batch, self.t
        given = {
            "etas_given": (batch.eta_minus[t], batch.eta_plus[t]),
            "etas_first": (batch.eta_minus[0], batch.eta_plus[0]),
            "limits_given": (batch.low[t], batch.high[t]),
            "limits_first": (batch.low[0], batch.high[0]),
        }
        values: dict[str, Any] = {
            "dtype": batch.dtype,
            "lr": batch.lr[t][None, :],
            **{name: (a[None, :], b[None, :]) for name, (a, b) in given.items()},
        }
        with np.errstate(all="ignore"):
            self._evaluate(values, SLOTS[:CONSTANT_SLOTS])
            raw = ("raw_minus", "raw_plus", "raw_low", "raw_high")
            self._constants = {name: values[name] for name in raw}
            for name, exact in zip(SLOTS[2].outputs, (*raw, "lr"), strict=True):
                self._constants[name] = values[exact if self._exact else name].astype(self._work)

    def _evaluate(self, values: dict[str, Any], slots: Sequence[Slot]) -> None:
        every = _Known(values)
        for slot in slots:
            results = self.rule[slot.name].function(every)
            results = list(results) if len(slot.outputs) > 1 else [results]
            overrides = self._overrides.get(slot.name)
            if overrides:
                shape = (self.alive.size, self.batch.size)
                results = [np.array(np.broadcast_to(a, shape)) for a in results]
                for alternative, rows in overrides:
                    others = alternative.function(_Known(values, rows))
                    for result, other in zip(results, others if len(slot.outputs) > 1 else (others,), strict=True):
                        result[rows] = other
            for name, result in zip(slot.outputs, results, strict=True):
                values[name] = self._flushed_result(slot.name, result, values) if self._flush else result

    def _step(self) -> None:
        batch, t, state = self.batch, self.t, self.state
        if t and batch.varies[t]:
            self.evaluate_constants()
        work = self._work
        if self._store != batch.dtype and batch.resumed[t].any():
            # What was saved are the parameters as the caller has them.
            self.state["x"] = state["x"] = np.where(batch.resumed[t], self.x.astype(self._store), state["x"])
        given = np.broadcast_to(batch.g[t], state["x"].shape)
        if batch.closed:
            given = given.copy()
            x = self.x if t else np.broadcast_to(batch.x0, given.shape)
            for columns, objective in batch.closed:
                given[:, columns] = objective.gradient(x[:, columns])
        one_row = {
            "lr": batch.lr[t],
            "none": batch.none[t],
            "resumed": batch.resumed[t],
            "edited": batch.edited[t],
            "loss": batch.loss[t],
            "maximize": batch.maximize,
            "reused": batch.reused,
            "bounded": batch.bounded,
            "lower": batch.lower.astype(work),
            "upper": batch.upper.astype(work),
        }
        values: dict[str, Any] = {
            **self._constants,
            **{name: a[None, :] for name, a in one_row.items()},
            **{name: a.astype(work) if a.dtype == self._store else a for name, a in state.items()},
            "last_loss": state["last_loss"],
            "best_loss": state["best_loss"],
            "raw": given,
            "given": self._flushed(given.astype(work)),
            "first": ~state["seen"],
            "kind": work,
            "zero": work.type(0),
            "one": work.type(1),
            "starts": batch.starts,
            "case": batch.case,
        }
        self._evaluate(values, SLOTS[CONSTANT_SLOTS:])
        out = values["skipped"] | state["stopped"]

        def after(name: str, value: Any) -> Array:
            return np.where(out, state[name], value)

        loss = batch.loss[t][None, :]
        self.state = {
            "saved_x": after("saved_x", state["x"]),
            "x": after("x", self._kept(values["new_x"])),
            "memory": after("memory", self._kept(values["new_prev"])),
            "size": after("size", self._kept(values["kept_size"])),
            "pending": after("pending", self._kept(np.where(values["flip"], values["zero"], values["move"]))),
            "seen": after("seen", np.True_),
            "last_loss": after("last_loss", loss),
            "was_worse": after("was_worse", loss > state["last_loss"]),
            "best_loss": after("best_loss", np.fmin(loss, state["best_loss"])),
            "stopped": state["stopped"] | (values["halted"] & ~out),
        }
        self.gradient = np.where(out, given, values["touched"]).astype(batch.dtype)
        self.t += 1
