"""What an implementation does on a case, what it should do, and where the two part."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import rules
from .._core.dtypes import is_half
from .._core.dtypes import named as dtype_named
from ..bits import same_elements
from .cases import COMPLEX, Case, batch
from .deviations import RULES
from .stages import Array, Machine, Rule, limits

Factory = Callable[..., Any]

#: What is compared, in this order.
QUANTITIES = ("x", "step_size", "prev", "gradient")


#: How many bits of a number are stored.
MANTISSA_BITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}

#: Frames below this are ours.
_PACKAGE = str(Path(__file__).parent.parent)


class CouldNotRun(Exception):  # noqa: N818 - it says what happened
    """The implementation failed, or answered with something that is no answer."""


class Slipped(CouldNotRun):
    """Answers have been taken for those to other questions, so that nothing seen in this run counts."""


@dataclass
class Trajectory:
    """What there is to see of one case: arrays of shape (steps, coordinates), None for what is not shown."""

    case: Case
    x: Array
    step_size: Array | None
    prev: Array | None
    gradient: Array
    error: str | None = None
    turned: bool = field(default=False, init=False)  # whether `prev` has been negated, see `turn`

    def turn(self) -> None:
        """Negate a memory that is shown as it was before maximize has negated it."""
        if self.case.maximize and self.prev is not None:
            self.prev, self.turned = -self.prev, True

    @property
    def refused(self) -> bool:
        """Whether there was an error before the first step was made."""
        return self.error is not None and not self.steps

    @property
    def steps(self) -> int:
        """How many steps were made; fewer than the case has if there was an error."""
        return len(self.x)

    def shown(self) -> dict[str, Array]:
        """The quantities that there are."""
        return {q: a for q in QUANTITIES if (a := getattr(self, q)) is not None}


@dataclass(frozen=True)
class Divergence:
    """Where an implementation first does something else.

    Attributes
    ----------
    case : Case
    step : int
        From 1.
    coordinate : int
    quantity : str
        "x", "step_size", "prev", "gradient" (the caller's array was written to), or "error".
    expected, got
        Numbers in the dtype of the case; for an error, `got` is its text.
    ulps : float
        How far apart, in units in the last place at the largest magnitude that x has had so far.
    turned : bool
        Whether the memory has been negated for the comparison, as it is shown before maximize negates it.
    """

    case: Case
    step: int
    coordinate: int
    quantity: str
    expected: Any
    got: Any
    ulps: float
    turned: bool = False

    @property
    def script(self) -> str:
        """What the coordinate is about."""
        return self.case.scripts[self.coordinate] if self.coordinate < len(self.case.scripts) else ""

    def __str__(self) -> str:
        where = f"{self.case}, step {self.step}"
        if self.quantity == "error":
            return f"{where}: {self.got}"
        ulps = "" if not np.isfinite(self.ulps) else f", {self.ulps:.3g} ulps"
        return (
            f"{where}, {self.script}: {self.quantity} is {_number(self.got)} instead of {_number(self.expected)}"
            f" ({hexadecimal(self.got)}, not {hexadecimal(self.expected)}{ulps})"
        )


def _number(value: Any) -> str:
    return repr(float(value))


def hexadecimal(value: Any) -> str:
    """A float as a hexadecimal literal, exact in every dtype."""
    return float(value).hex()


def observe(factory: Factory, case: Case, without: frozenset[str] = frozenset()) -> Trajectory:
    """Run a case, and copy everything there is to see after each step. Never raises for what `factory` does."""
    run = _Run(factory, case, without)
    error = None
    try:
        # Products overflow here, and NaNs are given, on purpose: no reason for NumPy to warn.
        with np.errstate(all="ignore"):
            run.all_steps()
    except CouldNotRun as failure:
        error = str(failure)
        if isinstance(failure, Slipped) or not getattr(factory, "answers_are_known", True):
            run.seen = {q: [] for q in QUANTITIES}
    except (Exception, SystemExit) as failure:
        error = in_a_line(failure)
    return run.trajectory(error)


def in_a_line(failure: BaseException) -> str:
    """Which exception, what it says, and where it was raised, as far as that is not in this package."""
    text = " ".join(f"{type(failure).__name__}: {failure}".split())
    outside = [f for f in traceback.extract_tb(failure.__traceback__) if not f.filename.startswith(_PACKAGE)]
    # Rather the caller's own line than that of a library it has called.
    own = [f for f in outside if "site-packages" not in f.filename and not f.filename.startswith("<frozen")]
    if not outside:
        return text
    frame = (own or outside)[-1]
    return f"{text} ({Path(frame.filename).name}:{frame.lineno}, in {frame.name})"


class _Run:
    def __init__(self, factory: Factory, case: Case, without: frozenset[str]) -> None:
        self.factory, self.case, self.without = factory, case, without
        self.seen: dict[str, list[Array]] = {q: [] for q in QUANTITIES}
        self.hidden = set(without)

    def all_steps(self) -> None:
        case = self.case
        rule = self._made(self._out(case.x0))
        x = case.x0
        buffer = self._out(case.x0)
        for t in range(case.steps):
            if t in case.resumed:
                state = rule.save()
                rule = self._made(self._out(x))
                rule.load(state)
            if t in case.edits:
                rule.set(**case.edits[t])
            raw = case.g[t]
            if case.objective is not None:
                with np.errstate(all="ignore"):
                    raw = case.objective.gradient(x[None, :])[0]
            if t in case.none:
                answer = rule.step(None, loss=case.loss[t])
                given = np.zeros_like(raw)
            else:
                g = self._out(raw)
                if case.reused:
                    buffer[...] = g
                    g = buffer
                answer = rule.step(g, loss=case.loss[t])
                given = self._in(g, "the gradient")
            seen = {"x": self._in(answer, "step()"), "gradient": given}
            for name in ("step_size", "prev"):
                value = getattr(rule, name, None) if name not in self.hidden else None
                if value is None:
                    self.hidden.add(name)
                else:
                    seen[name] = self._in(value, name)
            # All of a step or nothing: what comes last may fail.
            x = seen["x"]
            for name, values in seen.items():
                self.seen[name].append(values)
        if getattr(self.factory, "checks_runs", False):
            rule.finish()

    def _made(self, x: Array) -> Any:
        case = self.case
        setting: dict[str, Any] = {"etas": case.etas, "step_sizes": case.step_sizes, "maximize": case.maximize}
        setting["lr"] = case.lr.copy() if isinstance(case.lr, np.ndarray) else case.lr
        if case.bounds is not None:
            setting["bounds"] = case.bounds
        if getattr(self.factory, "takes_objective", False):
            setting["objective"] = case.objective
        return self.factory(x, **setting)

    def _out(self, a: Array) -> Array:
        """A copy for the implementation: complex, if the case is."""
        return a.view(dtype_named(self.case.dtype)).copy() if self.case.dtype in COMPLEX else a.copy()

    def _in(self, value: Any, what: str) -> Array:
        """A copy of what the implementation shows, as reals in the dtype of the case."""
        case = self.case
        try:
            array = np.asarray(value)
            allowed = (np.number, np.bool_) if case.dtype in COMPLEX else (np.integer, np.floating, np.bool_)
            # The scalars of ml_dtypes are none of NumPy's.
            if not issubclass(array.dtype.type, allowed) and array.dtype != case.real:
                raise TypeError(f"of dtype {array.dtype}")
            if case.dtype in COMPLEX:
                array = np.ascontiguousarray(array, dtype_named(case.dtype)).reshape(-1).view(case.real)
            with np.errstate(all="ignore"):
                array = np.array(array, case.real).reshape(-1)
        except (TypeError, ValueError) as error:
            raise CouldNotRun(f"{what} gave {_short(value)}, which is no array of numbers ({error})") from None
        if array.size == 1 != case.size and what != "step()":
            array = np.full(case.size, array[0])
        if array.shape != case.x0.shape:
            raise CouldNotRun(f"{what} gave {array.size} numbers for {case.size} coordinates")
        return array

    def trajectory(self, error: str | None) -> Trajectory:
        case = self.case
        steps = len(self.seen["x"])

        def stacked(name: str) -> Array:
            return np.array(self.seen[name], case.real).reshape(steps, case.size)

        optional = {q: None if q in self.hidden else stacked(q)[:steps] for q in ("step_size", "prev")}
        return Trajectory(case, stacked("x"), gradient=stacked("gradient"), error=error, **optional)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def expected(claim: str, cases: Sequence[Case]) -> list[Trajectory]:
    """What the claimed rule does: the text in `rprop_ref.rules`; for the paper's box, the machine's."""
    found: dict[int, Trajectory] = {}
    for dtype in dict.fromkeys(c.real for c in cases):
        which = [i for i, c in enumerate(cases) if c.real == dtype]
        # Long cases apart, so that the short ones need not be padded.
        for some in ([i for i in which if cases[i].steps <= 40], [i for i in which if cases[i].steps > 40]):
            if some:
                ours = [cases[i] for i in some]
                traced = _by_text(claim, ours) if claim in rules.RULES else trace(RULES[claim], ours)
                found.update(zip(some, traced, strict=True))
    return [found[i] for i in range(len(cases))]


def _by_text(claim: str, cases: Sequence[Case]) -> list[Trajectory]:
    joint = batch(cases)
    kind = joint.dtype
    rule = rules.build(claim, np.where)
    zero, one = kind.type(0), kind.type(1)
    x, prev = joint.x0.copy(), np.zeros_like(joint.x0)
    seen: dict[str, list[Array]] = {q: [] for q in QUANTITIES}
    with np.errstate(all="ignore"):
        size = _constant(joint.lr[0], kind)
        last_loss = np.full(joint.size, np.nan)
        before = x
        for t in range(joint.steps):
            names = (joint.eta_minus, joint.eta_plus, joint.low, joint.high)
            constants = (*(_constant(a[t], kind) for a in names), zero, one)
            raw = joint.g[t].copy()
            for columns, objective in joint.closed:
                raw[columns] = objective.gradient(x[None, columns])[0]
            g = np.where(joint.maximize, -raw, raw)
            loss = joint.loss[t]
            worse = np.where(joint.maximize, loss < last_loss, loss > last_loss)
            none = joint.none[t]
            new_x, *after = rule(x, g, prev, size, worse, constants)
            if joint.bounded.any():
                back = (g * prev < zero) & rules.RULES[claim].undoes(worse)
                new_x = np.where(new_x < joint.lower, joint.lower, new_x)
                new_x = np.where(new_x > joint.upper, joint.upper, new_x)
                new_x = np.where(joint.bounded & back, before, new_x)
                before = np.where(none, before, x)
            x, prev, size = (np.where(none, a, b) for a, b in zip((x, prev, size), (new_x, *after), strict=True))
            last_loss = np.where(none, last_loss, loss)
            for name, value in zip(QUANTITIES, (x, size, prev, raw), strict=True):
                seen[name].append(value)
    return _cut(cases, joint.starts, {name: np.array(values, kind) for name, values in seen.items()})


def _constant(value: Array, kind: np.dtype[Any]) -> Array:
    return value.astype(np.float32).astype(kind) if is_half(kind) else value.astype(kind)


def trace(rule: Rule, cases: Sequence[Case]) -> list[Trajectory]:
    """What a rule does on cases of one dtype."""
    joint = batch(cases)
    machine = Machine(rule, [()], joint)
    seen: dict[str, list[Array]] = {q: [] for q in QUANTITIES}
    for _ in range(joint.steps):
        machine.step()
        for name, value in zip(
            QUANTITIES, (machine.x, machine.step_size, machine.prev, machine.gradient), strict=True
        ):
            seen[name].append(value[0])
    return _cut(cases, joint.starts, {name: np.array(values, joint.dtype) for name, values in seen.items()})


def _cut(cases: Sequence[Case], starts: Array, seen: dict[str, Array]) -> list[Trajectory]:
    found = []
    for case, start in zip(cases, starts, strict=True):
        parts = {q: a[: case.steps, start : start + case.size] for q, a in seen.items()}
        found.append(Trajectory(case, parts["x"], parts["step_size"], parts["prev"], parts["gradient"]))
    return found


def same(quantity: str, a: Array, b: Array, *, signs: bool = False) -> Array:
    """Where two arrays of a quantity hold the same bits; `signs`: the memory is one of signs only.

    Any NaN is the same as any other, and so are +0 and -0: no rule ever acts on the sign of a zero, and ways of
    writing the same rule differ in it. `zeros_differ` notices it.
    """
    if quantity == "prev" and signs:
        with np.errstate(invalid="ignore"):
            a, b = np.sign(a), np.sign(b)
    return same_elements(np.ascontiguousarray(a), np.ascontiguousarray(b), signed_zeros=False)


def zeros_differ(wanted: Trajectory, got: Trajectory) -> bool:
    """Whether a parameter is a zero of the other sign somewhere."""
    a, b = wanted.x[: got.steps], got.x
    return bool(((a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))).any())


def divergence(wanted: Trajectory, got: Trajectory, *, signs: bool = False) -> Divergence | None:
    """The first difference: the earliest step, there the first quantity, of that the first coordinate."""
    case, steps = got.case, got.steps
    found = []
    for order, (quantity, values) in enumerate(got.shown().items()):
        target = getattr(wanted, quantity)[: len(values)]
        differs = ~same(quantity, target, values, signs=signs)
        if differs.any():
            step, coordinate = (int(i) for i in np.argwhere(differs)[0])
            found.append((step, order, coordinate, quantity, target, values))
    if found:
        step, _, coordinate, quantity, target, values = min(found, key=lambda f: f[:3])
        far = ulps(wanted, got, quantity)[step, coordinate]
        wanted_value, got_value = target[step, coordinate], values[step, coordinate]
        return Divergence(case, step + 1, coordinate, quantity, wanted_value, got_value, float(far), got.turned)
    if got.error is not None and got.error != wanted.error:
        return Divergence(case, steps + 1, 0, "error", None, got.error, np.inf)
    return None


def ulps(wanted: Trajectory, got: Trajectory, quantity: str) -> Array:
    """How far apart, in units in the last place; infinite if it is no matter of rounding.

    The unit is that at the largest magnitude which the quantity has had so far in this coordinate: an error made
    at 1 is not more of an error when x comes back to 0.
    """
    values = getattr(got, quantity)
    target = getattr(wanted, quantity)[: len(values)]
    kind = values.dtype
    a, b = target.astype(np.float64), values.astype(np.float64)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(a), np.abs(b))
        if quantity == "x":
            size = np.maximum(size, np.abs(got.case.x0.astype(np.float64)))
        size = np.maximum.accumulate(np.where(np.isfinite(size), size, 0), axis=0)
        away = np.abs(a - b) / _unit(size, kind)
        away = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, away)
        return np.where(np.isfinite(a) & np.isfinite(b) | (away == 0), away, np.inf)


def _unit(size: Array, kind: np.dtype[Any]) -> Array:
    bits, lowest = MANTISSA_BITS[kind.name], int(np.log2(limits(kind)[0]))
    exponent = np.frexp(size)[1] - 1
    return np.ldexp(1.0, np.maximum(np.where(size == 0, lowest, exponent - bits), lowest))
