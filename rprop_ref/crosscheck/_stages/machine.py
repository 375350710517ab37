"""A simulator that runs many rules on many coordinates at once.

`Machine` keeps arrays of shape (rules, coordinates). Rules that differ in a few slots share the work in the
others, and rules can be dropped after any step. So tens of thousands of rules can be tried in a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._cases.case import Array
from .._cases.dtypes import float_range
from .batch import Batch
from .stages import ARITHMETIC, CONSTANT_SLOTS, SLOTS, Alternative, Arithmetic, Changes, Composition, Slot

#: Slots whose results may have to be flushed to zero; "scale" is a case of its own, and the others only compare,
#: choose and copy.
_ARITHMETIC_SLOTS = ("product", "undo", "displace", "arrive", "stored")

#: What a caller may do between two steps.
_BETWEEN_STEPS = ("resumed", "lr_edited")


class _StepValues:
    """The values computed so far in a step, as attributes; with `rows`, only these rows of them.

    A value that is the same for all rules may have one row only; it is passed on as it is.
    """

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


class Machine:
    """Run many rules on one batch, step by step. All of them share one `Arithmetic`.

    Parameters
    ----------
    composition : Composition
        The rule that all of them deviate from.
    changes : sequence of tuples of Alternative
        For each rule, its deviations from `composition`. One in the slot "arithmetic" is ignored: all rules share
        that of `composition`.
    batch : Batch
        The cases to run them on.

    Attributes
    ----------
    alive : ndarray of int
        The positions in `changes` of the rules that are left, one for each row of the other arrays.
    t : int
        The number of steps made.
    state : dict of str to ndarray, shape (rules, coordinates)
        What one step passes to the next.
    gradient : ndarray, shape (rules, coordinates)
        What the caller's gradient array holds after the last step.
    """

    def __init__(self, composition: Composition, changes: Sequence[Changes], batch: Batch) -> None:
        self.composition, self.batch = composition, batch
        self.alive = np.arange(len(changes))
        self._overrides = self._rows_of_alternatives(changes)
        arithmetic: Arithmetic = composition[ARITHMETIC].function
        self._work, self._store = arithmetic.work(batch.dtype), arithmetic.store(batch.dtype)
        self._flush, self._exact = arithmetic.flush, arithmetic.exact_constants
        self.t = 0
        self._constants: dict[str, Array] = {}
        self.evaluate_constants()
        self.state = self._initial_state((len(changes), batch.size))
        self.gradient = np.zeros((len(changes), batch.size), batch.dtype)
        self._waiting: dict[str, Array] = {}

    def _rows_of_alternatives(self, changes: Sequence[Changes]) -> dict[str, list[tuple[Alternative, Array]]]:
        """For each slot, the alternatives that differ from the composition's, and the rows that have them."""
        # By identity, which is fast: there are a hundred thousand sets of the same few alternatives.
        rows: dict[int, list[int]] = defaultdict(list)
        for row, alternatives in enumerate(changes):
            for alternative in alternatives:
                rows[id(alternative)].append(row)
        overrides: dict[str, list[tuple[Alternative, Array]]] = {}
        for some in rows.values():
            alternative = next(a for a in changes[some[0]] if rows[id(a)] is some)
            if alternative.slot != ARITHMETIC and alternative != self.composition[alternative.slot]:
                overrides.setdefault(alternative.slot, []).append((alternative, np.array(some)))
        return overrides

    def _initial_state(self, shape: tuple[int, int]) -> dict[str, Array]:
        return {
            "x": self._stored(np.broadcast_to(self.batch.x0, shape)),
            "memory": np.zeros(shape, self._store),
            "size": self._stored(np.broadcast_to(self._constants["first_size"], shape)),
            "saved_x": self._stored(np.broadcast_to(self.batch.x0, shape)),
            "last_move": np.zeros(shape, self._store),
            "stepped": np.zeros(shape, bool),
            "last_loss": np.full(shape, np.nan),
            "was_worse": np.zeros(shape, bool),
            "best_loss": np.full(shape, np.inf),
            "stopped": np.zeros(shape, bool),
        }

    @property
    def x(self) -> Array:
        """The parameters, shape (rules, coordinates), in the dtype of the batch, as a caller would see them."""
        return self._shown("x")

    @property
    def prev(self) -> Array:
        """The stored gradients, like `x`."""
        return self._shown("memory")

    @property
    def step_size(self) -> Array:
        """The step sizes, like `x`."""
        return self._shown("size")

    def _shown(self, name: str) -> Array:
        with np.errstate(all="ignore"):
            return self.state[name].astype(self.batch.dtype)

    def _stored(self, a: Array) -> Array:
        return a.astype(self._store)

    def keep(self, rows: Array) -> None:
        """Keep only the rules where `rows`, of shape (rules,), is True."""
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
        self._waiting = {name: a[rows] for name, a in self._waiting.items()}
        self.gradient = self.gradient[rows]

    def evaluate_constants(self) -> None:
        """Compute the constants of the next step."""
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

    def step(self) -> None:
        """Make the next step of the batch."""
        with np.errstate(all="ignore"):
            if self.t and self.batch.constants_change[self.t]:
                self.evaluate_constants()
            self._round_resumed_x()
            given = self._given_gradients()
            values = self._initial_values(given)
            self._evaluate(values, SLOTS[CONSTANT_SLOTS:])
            self._update_state(values, given)
        self.t += 1

    def _round_resumed_x(self) -> None:
        """Where a case resumes, round x to the parameters' dtype: a caller passes it back in no other."""
        resumed = self.batch.resumed[self.t]
        if self._store != self.batch.dtype and resumed.any():
            self.state["x"] = np.where(resumed, self.x.astype(self._store), self.state["x"])

    def _given_gradients(self) -> Array:
        batch, t = self.batch, self.t
        given = np.broadcast_to(batch.g[t], self.state["x"].shape)
        if batch.objectives:
            given = given.copy()
            x = self.x if t else np.broadcast_to(batch.x0, given.shape)
            for columns, objective in batch.objectives:
                given[:, columns] = objective.gradient(x[:, columns])
        return given

    def _initial_values(self, given: Array) -> dict[str, Any]:
        """The values that a step starts from."""
        batch, t, state, work = self.batch, self.t, self.state, self._work
        one_row = {
            "lr": batch.lr[t],
            "none": batch.none[t],
            "loss": batch.loss[t],
            "maximize": batch.maximize,
            "reused": batch.reused,
            "bounded": batch.bounded,
            "lower": batch.lower.astype(work),
            "upper": batch.upper.astype(work),
        }
        return {
            **self._constants,
            **{name: a[None, :] for name, a in one_row.items()},
            **{name: self._since_last_step(name) for name in _BETWEEN_STEPS},
            **{name: a.astype(work) if a.dtype == self._store else a for name, a in state.items()},
            # Losses are float64, and stay so even if the state is stored in float64 and computed in another dtype.
            "last_loss": state["last_loss"],
            "best_loss": state["best_loss"],
            "raw": given,
            "given": self._flushed(given.astype(work)),
            "first_step": ~state["stepped"],
            "work_dtype": work,
            "zero": work.type(0),
            "one": work.type(1),
            "starts": batch.starts,
            "case": batch.case,
        }

    def _since_last_step(self, name: str) -> Array:
        """Where this was done since the last step that was made: a step that is skipped does not undo it."""
        now: Array = getattr(self.batch, name)[self.t][None, :]
        return now | self._waiting[name] if name in self._waiting else now

    def _evaluate(self, values: dict[str, Any], slots: Sequence[Slot]) -> None:
        """Evaluate slots in order, and add their outputs to `values`."""
        all_rows = _StepValues(values)
        for slot in slots:
            results = self.composition[slot.name].function(all_rows)
            results = list(results) if len(slot.outputs) > 1 else [results]
            overrides = self._overrides.get(slot.name)
            if overrides:
                shape = (self.alive.size, self.batch.size)
                results = [np.array(np.broadcast_to(a, shape)) for a in results]
                for alternative, rows in overrides:
                    others = alternative.function(_StepValues(values, rows))
                    for result, other in zip(results, others if len(slot.outputs) > 1 else (others,), strict=True):
                        result[rows] = other
            for name, result in zip(slot.outputs, results, strict=True):
                values[name] = self._flushed_result(slot.name, result, values) if self._flush else result

    def _flushed_result(self, slot: str, result: Any, values: dict[str, Any]) -> Any:
        """Flush the results of arithmetic; numbers that are only copied keep their bits, subnormal or not."""
        if slot == "scale":
            # A factor of 1 stands for no multiplication. Otherwise a subnormal operand counts as zero, too.
            base, same = values["base"], values["factor"] == values["one"]
            return np.where(
                same, result, np.where(base == self._flushed(base), self._flushed(result), values["zero"])
            )
        return self._flushed(result) if slot in _ARITHMETIC_SLOTS else result

    def _flushed(self, a: Array) -> Array:
        if not self._flush or a.dtype == np.float16:  # computed in float32, where no float16 is subnormal
            return a
        smallest = a.dtype.type(float_range(a.dtype).smallest_normal)
        return np.where(np.abs(a) < smallest, np.copysign(a.dtype.type(0), a), a)

    def _update_state(self, values: dict[str, Any], given: Array) -> None:
        """Store the results of a step, except where the coordinate is skipped or has stopped."""
        state, loss = self.state, self.batch.loss[self.t][None, :]
        unchanged = values["skipped"] | state["stopped"]
        still = {name: values[name] & unchanged for name in _BETWEEN_STEPS if values[name].any()}
        self._waiting = {name: np.broadcast_to(a, self.gradient.shape) for name, a in still.items() if a.any()}
        results = {
            "saved_x": state["x"],
            "x": self._stored(values["new_x"]),
            "memory": self._stored(values["new_prev"]),
            "size": self._stored(values["kept_size"]),
            "last_move": self._stored(np.where(values["flip"], values["zero"], values["move"])),
            "stepped": np.True_,
            "last_loss": loss,
            "was_worse": loss > state["last_loss"],
            "best_loss": np.fmin(loss, state["best_loss"]),
        }
        self.state = {name: np.where(unchanged, state[name], result) for name, result in results.items()}
        self.state["stopped"] = state["stopped"] | (values["halted"] & ~unchanged)
        self.gradient = np.where(unchanged, given, values["touched"]).astype(self.batch.dtype)
