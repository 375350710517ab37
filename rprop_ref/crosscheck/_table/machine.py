"""One coordinate of a rule, step by step; it asks for an entry of the table only where that may make a difference.

`advance` makes a step. Where the step depends on an entry of the table, it says what every answer would give, and
whoever is asked (`Known`, or the search in `_experiments.search`) chooses. So a rule with fifty entries costs no
more than the few entries that a script really uses.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from .._cases.dtypes import float_range
from .grammar import Answer, Grammar, keyed


class Asked(Protocol):
    """What the machine asks."""

    grammar: Grammar

    def choose(
        self, key: str, evaluate: Callable[[Any], Any], possible: Callable[[Any], bool] | None = None
    ) -> Any:
        """What the answer of an entry gives, of answers that give what is possible."""


class Known:
    """A table that is fully known, as the machine asks for it."""

    def __init__(self, values: Mapping[str, Answer], grammar: Grammar) -> None:
        self.values, self.grammar = values, grammar

    def choose(
        self, key: str, evaluate: Callable[[Any], Any], possible: Callable[[Any], bool] | None = None
    ) -> Any:
        """What the answer of an entry gives."""
        return evaluate(self.values[key])


def same(a: Any, b: Any) -> bool:
    """Whether two numbers are equal, or both NaN."""
    return bool(a == b or (a != a and b != b))


def group_of(outcome: Any) -> Any:
    """Something that is equal for equal outcomes; NaN is equal to NaN, and 0 to -0."""
    if isinstance(outcome, tuple):
        return tuple(map(group_of, outcome))
    return "nan" if outcome != outcome else outcome


class Constants(NamedTuple):
    """The hyperparameters of a step, in the dtype at hand."""

    lr: Any
    down: Any
    up: Any
    lo: Any
    hi: Any


class Memory(NamedTuple):
    """What may have been stored: all of it is kept until something depends on which it is."""

    gradient: Any
    sign: Any
    move: Any


class Settings(NamedTuple):
    """What does not change in a run, and what the rule was found to depend on."""

    constants: Constants
    kind: Any = float  # makes a number of the dtype at hand
    maximize: bool = False
    reused: bool = False
    symmetric: bool = True
    uses_loss: bool = False


class State(NamedTuple):
    """The state of one coordinate between two steps."""

    x: Any
    size: Any
    memory: Memory
    touched: Any  # the caller's gradient after the step
    last: Any  # the last move
    before: Any  # x before the last step
    pending: Any  # the move that a late rule makes in the next step
    constants: Constants  # the current hyperparameters, as they were given
    used: Constants  # as they are used
    steps: int = 0
    flipped: bool = False  # whether a sign change has cleared the memory
    loss: float = math.nan
    best: float = math.inf
    highest: float = -math.inf
    rose: bool = False
    fell: bool = False
    given: bool = False  # whether the last step had a gradient of the caller's


class Call(NamedTuple):
    """One call of step, and what was done before it."""

    gradient: Any  # None if it is missing
    loss: float = math.nan
    set: tuple[str, ...] = ()  # which hyperparameters have been set before this step
    resumed: bool = False  # whether the state was saved and loaded before this step
    constants: Constants | None = None  # those after `set`


def begin(known: Asked, x0: Any, settings: Settings) -> State:
    """The state before the first step."""
    c, kind = _constants(known, settings.constants, settings.kind), settings.kind
    size = known.choose("start", lambda answer: _first_size(answer, c, kind))
    zero = kind(0)
    return State(x0, size, Memory(zero, zero, zero), zero, zero, x0, zero, settings.constants, c)


def _constants(known: Asked, given: Constants, kind: Any) -> Constants:
    def rounded(answer: str) -> Constants:
        return given if answer == "given" else Constants(*(kind(np.float32(v)) for v in given))

    found: Constants = known.choose("constants", rounded)
    in_order = found
    found = known.choose(
        "step_sizes",
        lambda answer: in_order if answer == "in order" else in_order._replace(lo=in_order.hi, hi=in_order.lo),
    )

    def own(answer: Answer) -> Any:
        length = kind(answer)  # numbers of its own are in the dtype at hand
        return known.choose("own limits", lambda unit: length * found.lr if unit == "times lr" else length)

    lo = known.choose("smallest", lambda answer: found.lo if answer == "given" else own(answer))
    hi = known.choose("largest", lambda answer: found.hi if answer == "given" else own(answer))
    return found._replace(lo=lo, hi=hi)


def _first_size(answer: Answer, c: Constants, kind: Any) -> Any:
    if isinstance(answer, float):
        return kind(answer)
    return {
        "lr": c.lr, "lr limited": _at_most(_at_least(c.lr, c.lo), c.hi), "lr at most hi": _at_most(c.lr, c.hi),
        "lr at least lo": _at_least(c.lr, c.lo), "0": kind(0), "lo": c.lo, "hi": c.hi, "up lr": c.lr * c.up,
        "down lr": c.lr * c.down,
    }[answer]  # fmt: skip


def _rounded(answer: str, size: Any, kind: Any) -> Any:
    return kind(np.float32(size)) if answer == "float32" else size


def _at_most(size: Any, hi: Any) -> Any:
    return hi if size > hi else size


def _at_least(size: Any, lo: Any) -> Any:
    return lo if size < lo else size


class Observed(NamedTuple):
    """What was observed after a step, as far as answers have to give it."""

    x: Any
    gradient: Any
    ahead: Any = None  # x after the next step, if that is one like any other


def advance(known: Asked, state: State, call: Call, settings: Settings, observed: Observed | None = None) -> State:
    """Make a step."""
    kind = settings.kind
    zero = kind(0)
    if call.set or call.resumed:
        state = _prepared(known, state, call, settings)
    raw = call.gradient
    if raw is None:
        if known.choose("None", lambda answer: answer) == "skipped":
            return state._replace(touched=zero)
        raw = zero
    g = raw
    if settings.maximize:
        g, _ = known.choose("maximize", lambda answer: _with_sign_bit(raw if answer == "ignored" else -raw))
    given = g
    g, _ = known.choose("direction", lambda answer: _with_sign_bit(-given if answer == "up" else given))
    whole = g
    if abs(g) < 1 and g != 0:
        g = known.choose("subnormals", lambda answer: zero if answer != "count" and abs(g) < _tiny(kind) else g)
        g = known.choose(
            "small gradients", lambda answer: zero if answer != "count" and float(abs(g)) < answer else g
        )
    if g != g:
        # Where losses are not compared, it does not matter which are kept.
        end = "" if settings.uses_loss else ", with its loss"
        taken = known.choose("NaN gradient", lambda answer: answer.removesuffix(end))
        if taken != "taken":
            return _skipped(state, raw, call.loss) if taken == "skipped" else _unheard(state, raw)
    c = state.used
    memory = _recalled(known, state, g, whole, settings, call)
    m, seen = _compared(known, memory, g, kind)
    rose = _worse(known, state, call, settings) if settings.uses_loss else False
    row, sign = _row(known, state, m, seen, g, rose)
    key = _keyed(row, sign, settings)
    # --- the step size
    kept = known.choose("base", lambda answer: state.size if answer == "kept" else c.lr)
    kept = known.choose("step sizes", lambda answer: _rounded(answer, kept, kind))
    base = known.choose("floor", lambda answer: kept if answer == "none" else _at_least(kept, kind(answer)))
    factor, absolute = known.choose(f"{key}: factor", lambda answer: _factor(answer, c, kind))
    if absolute:
        scaled = factor
    else:
        if factor == zero:
            factor = known.choose("factor of 0", lambda answer: factor if answer == "counts" else kind(1))
        scaled = base if factor == 1 else _product(known, base, factor, kind)
    size, length = known.choose(f"{key}: limits", lambda answer: _limited(answer, scaled, base, factor, c))
    size, length = known.choose(
        "step sizes", lambda answer: tuple(_rounded(answer, v, kind) for v in (size, length))
    )
    old, length = known.choose(
        "move by", lambda answer: (base, length) if answer == "size" else (base * c.lr, length * c.lr)
    )
    # --- what counts as a sign change
    if c.down == 1 and row not in ("flip", "rose", "nan") and not absolute and factor == 1:
        row, key = known.choose(
            "flip test", lambda answer: (row, key) if answer == "sign" else _flip(rose, sign, settings)
        )
    elif c.down == 0 and row in ("flip", "rose") and not absolute and factor == 1:
        neutral = _keyed("fresh", sign, settings)
        row, key = known.choose("flip test", lambda answer: (row, key) if answer == "sign" else ("fresh", neutral))
    # --- the move
    downhill = -_sign(g, kind)
    if abs(g) < 1 and downhill:
        downhill = known.choose(
            "small moves", lambda answer: zero if answer != "count" and float(abs(g)) < answer else downhill
        )

    def moved(answer: Answer) -> tuple[Any, Any]:
        x, move = _moved(answer, state, downhill, g, m, old, length, known)
        return _flushed(known, x, kind), move

    seen_x = seen_gradient = None
    if observed is not None:
        seen_x = _reaches(observed.x, known.grammar.numbers.get("walls"))
        seen_gradient = functools.partial(same, observed.gradient)
    if state.steps == 0 and known.choose("first move", lambda answer: answer) == "none":
        x, applied, pending = state.x, zero, zero
    elif known.choose("late", lambda answer: answer) == "yes":

        def made(answer: str) -> tuple[Any, Any, bool]:
            if answer == "at once":
                move = known.choose(f"{key}: move", lambda answer: moved(answer)[1])
            else:
                move = state.pending if answer == "made" else zero
            return _flushed(known, state.x + move, kind), move, answer == "at once"

        x, applied, at_once = known.choose(f"{key}: late move", made, seen_x)
        seen_later = None
        if observed is not None and observed.ahead is not None:
            seen_later = _leads_to(observed.ahead, x, known, kind)
        pending = zero
        if not at_once:
            pending = known.choose(f"{key}: move", lambda answer: moved(answer)[1], seen_later)
    else:
        x, applied = known.choose(f"{key}: move", moved, seen_x)
        pending = zero
    if x - x != 0 or abs(x) > 1:
        x = known.choose("walls", lambda answer: _walled(answer, x, applied, known))
    # --- the memory
    flips = row in ("flip", "rose")
    own = _sign_or_nan(g, kind)
    stored = Memory(g, own, _flushed(known, own * length, kind))
    if settings.maximize:
        stored = known.choose(
            "maximize", lambda answer: Memory(*(-v for v in stored)) if answer == "memory not negated" else stored
        )
    remembered = known.choose(f"{key}: memory", lambda answer: _remembered(answer, stored, memory, zero))
    cleared = flips and known.choose("compare", lambda answer: _stored(remembered, answer) == 0)
    touched = known.choose(
        "caller's gradient", lambda answer: _touched(answer, raw, flips, settings.maximize), seen_gradient
    )
    loss = call.loss
    return State(
        x, size, remembered, touched, applied, state.x, pending, state.constants, c, state.steps + 1, cleared,
        loss,
        min(loss, state.best) if loss == loss else state.best,
        max(loss, state.highest) if loss == loss else state.highest, loss > state.loss, loss < state.loss,
        call.gradient is not None,
    )  # fmt: skip


def _with_sign_bit(g: Any) -> tuple[Any, bool]:
    """A gradient, and its sign bit: 0 and NaN may move x by it, though they are equal to -0 and -NaN."""
    return g, math.copysign(1, g) < 0


def _skipped(state: State, raw: Any, loss: float) -> State:
    """The state after a step that leaves it as it is."""
    heard = loss == loss
    return state._replace(
        touched=raw, steps=state.steps + 1, loss=loss, best=min(loss, state.best) if heard else state.best,
        highest=max(loss, state.highest) if heard else state.highest,
        rose=loss > state.loss, fell=loss < state.loss, given=True,
    )  # fmt: skip


def _unheard(state: State, raw: Any) -> State:
    """The same without its loss."""
    return state._replace(touched=raw, steps=state.steps + 1, given=True)


def _reaches(observed: Any, walls: tuple[float, ...] | None) -> Callable[[Any], bool]:
    """Whether a new x is the observed one, or so large that a wall may have stopped it there."""
    nearest = min(walls, default=math.inf) if walls else math.inf
    return lambda new: same(new[0], observed) or abs(new[0]) > nearest


def _leads_to(ahead: Any, x: Any, known: Asked, kind: Any) -> Callable[[Any], bool] | None:
    """Whether a move leads to what is observed after the next step; None if that may not be made."""
    grammar = known.grammar
    if grammar.numbers.get("walls") or "at once" in grammar.late_moves:
        return None
    if "dropped" in grammar.late_moves and same(x, ahead):
        return None
    return lambda move: same(_flushed(known, x + move, kind), ahead)


def _prepared(known: Asked, state: State, call: Call, settings: Settings) -> State:
    """The state after saving and loading it, and after setting lr."""
    kind = settings.kind
    if call.resumed:
        zero = kind(0)
        first = begin(known, state.x, settings)
        state = known.choose("saved", lambda answer: {
            "all": state,
            "no memory": state._replace(memory=Memory(zero, zero, zero), flipped=False),
            "no step size": state._replace(size=first.size),
            "no last move": state._replace(last=zero, before=state.x),
        }[answer])  # fmt: skip
    if "lr" in call.set and call.constants is not None:
        lr, before = call.constants.lr, state
        size, current = known.choose("lr set", lambda answer: {
            "ignored": (before.size, before.constants.lr), "resets": (lr, lr), "used": (before.size, lr),
        }[answer])  # fmt: skip
        state = state._replace(size=size, constants=state.constants._replace(lr=current))
    if call.set:
        state = state._replace(constants=_constants_after(known, call, state.constants))
        state = state._replace(used=_constants(known, state.constants, kind))
    return state


def _constants_after(known: Asked, call: Call, before: Constants) -> Constants:
    """The hyperparameters of this step and those after it, where some have been set."""
    new = call.constants
    assert new is not None
    if "etas" in call.set:
        down, up = known.choose(
            "etas set", lambda answer: (new.down, new.up) if answer == "used" else (before.down, before.up)
        )
        before = before._replace(down=down, up=up)
    if "step_sizes" in call.set:
        lo, hi = known.choose(
            "limits set", lambda answer: (new.lo, new.hi) if answer == "used" else (before.lo, before.hi)
        )
        before = before._replace(lo=lo, hi=hi)
    return before


# --- events ---------------------------------------------------------------------------------------------------


@functools.cache
def _tiny(kind: Any) -> float:
    # 16 bits are computed in float32, where no float16 is subnormal.
    return float_range(np.dtype(np.float64 if issubclass(kind, float) else np.float32)).smallest_normal


def _recalled(known: Asked, state: State, g: Any, whole: Any, settings: Settings, call: Call) -> Memory:
    kind = settings.kind
    memory = state.memory
    if state.steps == 0:

        def first(answer: Answer) -> Memory:
            if answer in ("0", "own"):
                return memory
            one = kind(1) if answer == "1" else kind(-1)
            sign = _sign_or_nan(g, kind)
            return Memory(g, sign, sign) if answer == "first" else Memory(one, one, one)

        memory = known.choose("start memory", first)
    elif settings.reused and state.given and not call.resumed and call.gradient is not None:
        sign = _sign_or_nan(whole, kind)
        memory = known.choose(
            "caller's array",
            lambda answer: (
                memory
                if answer == "copied" or (settings.maximize and answer != "kept")
                else Memory(whole, sign, sign)
            ),
        )
    return memory


def _sign(v: Any, kind: Any) -> Any:
    return kind(1) if v > 0 else kind(-1) if v < 0 else kind(0)


def _sign_or_nan(v: Any, kind: Any) -> Any:
    return _sign(v, kind) if v == v else v


def _compared(known: Asked, memory: Memory, g: Any, kind: Any) -> tuple[Any, Any]:
    """The sign of the memory, and that of the comparison: 1, -1, 0 or NaN."""
    zero = kind(0)
    own = _sign_or_nan(g, kind)

    def result(answer: str) -> tuple[Any, Any]:
        stored = _stored(memory, answer)
        sign = _sign_or_nan(stored, kind)
        if answer == "product in float32":
            q = float(np.float32(g * stored))
        else:
            q = own * sign if answer == "signs" else g * stored
        if q != q or q == 0 or abs(q) >= 1:
            return sign, q if q != q else _sign(q, kind)
        flushed = known.choose("subnormals", lambda a: a != "count" and abs(q) < _tiny(kind))
        small = known.choose("small products", lambda a: a != "count" and float(abs(q)) < a)
        return sign, zero if flushed or small else _sign(q, kind)

    found: tuple[Any, Any] = known.choose("compare", result)
    return found


def _stored(memory: Memory, compare: str) -> Any:
    """What is stored, if things are compared in this way."""
    return {"stored sign": memory.sign, "stored move": memory.move}.get(compare, memory.gradient)


def _worse(known: Asked, state: State, call: Call, settings: Settings) -> bool:
    now = (call.loss, state.loss, state.best, state.rose)
    if settings.maximize:
        reverse = (-call.loss, -state.loss, -state.highest, state.fell)
        # As if every loss were the best that there is.
        never = (-math.inf, math.nan if state.steps == 0 else -math.inf, -math.inf, False)
        ways = {"reversed": reverse, "not reversed": now, "never worse": never}
        now = known.choose("loss under maximize", ways.__getitem__)
    loss, last, best, late = now
    rose: bool = known.choose("loss test", lambda answer: {
        "rose": loss > last, "rose or equal": loss >= last, "late": late, "best": loss > best,
        "rose or NaN": loss > last or loss != loss, "fell": loss < last,
    }[answer])  # fmt: skip
    return rose


def _row(known: Asked, state: State, m: Any, seen: Any, g: Any, rose: bool) -> tuple[str, str]:
    """The row of the table, and the sign that tells its two halves apart."""
    sign = "+" if g > 0 else "-" if g < 0 else "0"
    if g != g:
        return "nan", "0"
    if state.steps == 0 and known.choose("start memory", lambda answer: answer == "own"):
        return "first", sign
    if seen != seen:
        return "nan product", sign
    if seen > 0:
        return "same", sign
    if seen < 0:
        return ("rose" if rose else "flip"), sign
    if g == 0:
        return ("rest", "0") if m == 0 or m != m else ("zero", "+" if m > 0 else "-")
    if state.flipped and m == 0:
        return known.choose("after a flip", lambda answer: "fresh" if answer == "as fresh" else "after"), sign
    return "fresh", sign


def _keyed(row: str, sign: str, settings: Settings) -> str:
    return keyed(row, sign, symmetric=settings.symmetric)


def _flip(rose: bool, sign: str, settings: Settings) -> tuple[str, str]:
    row = "rose" if rose else "flip"
    return row, _keyed(row, sign, settings)


# --- answers --------------------------------------------------------------------------------------------------


def _factor(answer: Answer, c: Constants, kind: Any) -> tuple[Any, bool]:
    """What the step size is multiplied by or, with True, set to."""
    if isinstance(answer, float):
        return kind(answer), False
    if answer in ("lr", "lo", "hi", "0"):
        return {"lr": c.lr, "lo": c.lo, "hi": c.hi, "0": kind(0)}[answer], True
    return {
        "1": kind(1), "up": c.up, "down": c.down, "up down": c.up * c.down, "up up": c.up * c.up,
        "down down": c.down * c.down,
    }[answer], False  # fmt: skip


def _limited(answer: str, scaled: Any, base: Any, factor: Any, c: Constants) -> tuple[Any, Any]:
    """The step size that is stored, and the one that x moves by."""
    if answer == "before":
        size = _at_most(_at_least(base, c.lo), c.hi) * factor
    elif answer == "move only":
        return scaled, _at_most(_at_least(scaled, c.lo), c.hi)
    elif answer == "both, lo wins":
        size = _at_least(_at_most(scaled, c.hi), c.lo)
    else:
        size = _at_least(scaled, c.lo) if answer in ("both", "lo") else scaled
        size = _at_most(size, c.hi) if answer in ("both", "hi") else size
    return size, size


def _moved(
    answer: Answer, state: State, downhill: Any, g: Any, m: Any, old: Any, new: Any, known: Asked
) -> tuple[Any, Any]:
    """The new x, and the move."""
    x = state.x
    if answer == "restore":
        return state.before, state.before - x
    if answer == "back and forth":
        return (x + downhill * old) - downhill * new, downhill * (old - new)
    if answer == "none" or (answer in ("new", "old", "uphill") and downhill == 0):
        key = "no move" if answer == "none" and g == g else "sign of 0"
        move = known.choose(key, lambda a: 0 * new if a == "times 0" else type(x)(0))
        return x + move, move
    toward = -m if m == m else m
    move = _move(answer, state, downhill, g, toward, old, new)
    if answer not in NOT_FLUSHED:
        move = _flushed(known, move, type(x))
    return x + move, move


def _move(answer: Answer, state: State, downhill: Any, g: Any, toward: Any, old: Any, new: Any) -> Any:
    """A move that is a direction times a length, or one that was made before."""
    match answer:
        case "new":
            return downhill * new
        case "old":
            return downhill * old
        case "uphill":
            return -downhill * new
        case "undo":
            return -state.last
        case "repeat":
            return state.last
        case "undo recomputed":
            return -toward * old
        case "undo shrunk":
            return -toward * new
        case "on":
            return toward * new
        case "+new":
            return new
        case "-new":
            return -new
        case "+old":
            return old
        case "-old":
            return -old
        case "sign bit":
            return new if math.copysign(1, g) < 0 else -new
        case "nan":
            return state.x * math.nan
        case _:
            return downhill * type(state.x)(answer)


#: Moves of which only what they lead to is flushed.
NOT_FLUSHED = ("undo recomputed", "undo shrunk")


def _flushed(known: Asked, value: Any, kind: Any) -> Any:
    """A result, 0 if it is subnormal and these are flushed."""
    if value == 0 or not abs(value) < _tiny(kind):
        return value
    return known.choose("subnormals", lambda answer: kind(0) if answer == "all flushed" else value)


def _product(known: Asked, base: Any, factor: Any, kind: Any) -> Any:
    """A step size times a factor; a subnormal one is 0 before, too, if these are flushed."""
    scaled = base * factor
    if 0 < abs(base) < _tiny(kind):
        return known.choose("subnormals", lambda answer: kind(0) if answer == "all flushed" else scaled)
    return _flushed(known, scaled, kind)


def _walled(answer: Answer, x: Any, move: Any, known: Asked) -> Any:
    if answer == "none":
        return x
    wall = type(x)(answer)

    def stopped(how: str) -> Any:
        if how == "both":
            return min(max(x, -wall), wall)
        return max(x, -wall) if move < 0 else min(x, wall)

    return known.choose("walls act", stopped)


def _remembered(answer: str, stored: Memory, last: Memory, zero: Any) -> Memory:
    if answer == "new":
        return stored
    if answer == "kept":
        return last
    return Memory(zero, zero, zero) if answer == "0" else Memory(*(-v for v in stored))


def _touched(answer: str, raw: Any, flips: bool, maximize: bool) -> Any:
    zeroed = "zeroed" in answer and flips and not (maximize and "own" in answer)
    if zeroed:
        return type(raw)(0)
    return -raw if maximize and answer.startswith("negated") else raw
