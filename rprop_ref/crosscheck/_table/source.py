"""A table as NumPy code, in the style of `rprop_ref.rules`: the code that a decompiled rule is, and runs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .events import Event, all_events, choice, condition, grouped, row_and_sign
from .grammar import Answer
from .machine import NOT_FLUSHED
from .table import Table
from .tidying import renamed, tidied

#: Each move as a direction and a length; x becomes x - direction * length.
_DIRECTIONS = {
    "new": ("sign", "size"), "old": ("sign", "base"), "none": ("0", "size"), "uphill": ("-sign", "size"),
    "undo recomputed": ("-np.sign(prev)", "base"), "undo shrunk": ("-np.sign(prev)", "size"),
    "on": ("np.sign(prev)", "size"), "+new": ("-1", "size"), "-new": ("1", "size"), "+old": ("-1", "base"),
    "-old": ("1", "base"), "nan": ("np.nan", "size"), "sign bit": ("np.copysign(1, g)", "size"),
}  # fmt: skip

_FIRST_SIZES = {
    "lr": "lr", "lr limited": "np.minimum(np.maximum(lr, lo), hi)", "lr at most hi": "np.minimum(lr, hi)",
    "lr at least lo": "np.maximum(lr, lo)", "0": "0", "lo": "lo", "hi": "hi",
    "up lr": "lr * up", "down lr": "lr * down",
}  # fmt: skip

_LOSS_TESTS = {
    "rose": "loss > s.loss", "rose or equal": "loss >= s.loss", "late": "s.rose", "best": "loss > s.best",
    "rose or NaN": "(loss > s.loss) | (loss != loss)", "fell": "loss < s.loss",
}  # fmt: skip

_PRODUCTS = {
    "product": "g * prev", "signs": "np.sign(g) * np.sign(prev)",
    "product in float32": "(g * prev).astype(np.float32)",
    "stored sign": "g * prev", "stored move": "g * prev",
}  # fmt: skip


#: Written after step sizes that are rounded to float32.
_TO_FLOAT32 = ".astype(np.float32).astype(x.dtype)"


class _Writer:
    """Writes the code of one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        own_first, own_after = table["start memory"] == "own", table["after a flip"] == "own"
        self.events = all_events(uses_loss=table.uses_loss, own_first=own_first, own_after=own_after)
        self.lines: list[str] = []

    def answers(self, field: str) -> dict[Answer, list[Event]]:
        """The events by the answer in a field."""
        return grouped(self.events, lambda event: self.table.answer(*row_and_sign(event), field))

    def texts(self, field: str, text_of: dict[str, str]) -> dict[str, list[Event]]:
        """The events by the text that stands for their answer; a number stands for itself."""
        groups: dict[str, list[Event]] = {}
        for answer, events in self.answers(field).items():
            text = text_of.get(answer, answer) if isinstance(answer, str) else _number(answer)
            groups.setdefault(text, []).extend(events)
        return groups

    def where(self, events: Iterable[Event], new: str, old: str, every: Iterable[Event]) -> str:
        """`new` for these events, and `old` for the others of `every`."""
        events = list(events)
        others = [e for e in every if e not in events]
        return new if not others else f"np.where({condition(events, others)}, {new}, {old})"

    def add(self, line: str) -> None:
        self.lines.append(line)

    # --- the parts of a step ------------------------------------------------------------------------------------

    def compare(self) -> None:
        """The gradient, the memory, and what is compared."""
        table = self.table
        if table["direction"] == "up":
            self.add("g = -g")
        if table["subnormals"] != "count":
            self.add("g = flushed(g)")
        if isinstance(table["small gradients"], float):
            self.add(f"g = np.where(np.abs(g).astype(float) < {table['small gradients']!r}, 0, g)")
        begins = {"first": self._stored("g", "1"), "1": "np.ones_like(g)", "-1": "-np.ones_like(g)"}
        first = begins.get(str(table["start memory"]))
        self.add(f"prev = {first} if s.steps == 0 else s.prev" if first else "prev = s.prev")
        product = _PRODUCTS[str(table["compare"])]
        self.add(f"q = {product}" if table["subnormals"] == "count" else f"q = flushed({product})")
        if isinstance(table["small products"], float):
            self.add(f"q = np.where(np.abs(q).astype(float) < {table['small products']!r}, 0, q)")
        if table.uses_loss:
            self.add(f"rose = {_LOSS_TESTS[str(table['loss test'])]}")
        if table["start memory"] == "own":
            self.add("first = np.full(g.shape, s.steps == 0)")

    def adapt(self) -> None:
        """The step size."""
        table = self.table
        floor = table["floor"]
        kept = "np.full_like(s.size, lr)" if table["base"] == "lr" else "s.size"
        if table["step sizes"] == "float32":
            kept = f"{kept}{_TO_FLOAT32}"
        self.add(f"base = np.maximum({kept}, {_number(floor)})" if isinstance(floor, float) else f"base = {kept}")
        values = {
            "1": "1",
            "up": "up",
            "down": "down",
            "up down": "up * down",
            "up up": "up * up",
            "down down": "down * down",
        }
        absolute = {"0": "0", "lr": "lr", "lo": "lo", "hi": "hi"}
        factors = self.texts("factor", {**values, **dict.fromkeys(absolute, "1")})
        by_factor = table.flips_by_factor
        if not by_factor:
            self.add("flip = q < 0")
        factor = choice(factors, "1")
        if by_factor:  # what counts as a sign change is not known before the factor
            factor = renamed(factor.replace("np.where(flip,", "np.where(q < 0,"), "flip", "(q < 0)")
        self.add(f"factor = {factor}")
        if table["factor of 0"] == "is 1" and factor != "1":
            self.add("factor = np.where(factor == 0, 1, factor)")
        if by_factor:
            self.add("flip = factor == down")
        if "zeroed" in str(table["caller's gradient"]):
            self.add("s.flip = flip")
        rounded = table["arithmetic"] in _ETAS_NOT_ROUNDED
        self.add("size = (base * factor).astype(x.dtype)" if rounded else "size = base * factor")
        if table["subnormals"] == "all flushed":
            self.add("size = np.where(factor == 1, base, np.where(base == flushed(base), flushed(size), 0))")
        every = [e for events in self.answers("factor").values() for e in events]
        for answer, events in self.answers("factor").items():
            if answer in absolute:
                self.add(f"size = {self.where(events, self._filled(absolute[str(answer)]), 'size', every)}")
        self.limit()

    @staticmethod
    def _filled(text: str) -> str:
        return f"np.full_like(base, {text})"

    def limit(self) -> None:
        """The limits of the step size; `length` is the step size that x moves by, if that is another one."""
        groups = self.answers("limits")
        every = [e for events in groups.values() for e in events]

        def those(*names: str) -> list[Event]:
            return [e for name in names for e in groups.get(name, [])]

        if groups.get("before"):
            clamped = f"{_clamped('base')} * factor"
            self.add(f"size = {self.where(those('before'), clamped, 'size', every)}")
        low, high = those("both", "lo"), those("both", "hi", "both, lo wins")
        if low and set(low) == set(high):
            self.add(f"size = {self.where(low, _clamped('size'), 'size', every)}")
        else:
            if low:
                self.add(f"size = {self.where(low, 'np.maximum(size, lo)', 'size', every)}")
            if high:
                self.add(f"size = {self.where(high, 'np.minimum(size, hi)', 'size', every)}")
        if those("both, lo wins"):
            self.add(f"size = {self.where(those('both, lo wins'), 'np.maximum(size, lo)', 'size', every)}")
        self.length = "size"
        if those("move only"):
            self.length = "length"
            self.add(f"length = {self.where(those('move only'), _clamped('size'), 'size', every)}")
        if self.table["step sizes"] == "float32":
            for name in dict.fromkeys(("size", self.length)):
                self.add(f"{name} = {name}{_TO_FLOAT32}")
        self.old = "base"
        if self.table["move by"] == "lr times size":
            self.add(f"length = {self.length} * lr")
            self.add("old = base * lr")
            self.length, self.old = "length", "old"

    def move(self) -> None:
        """x."""
        groups = self.answers("move")
        every = [e for events in groups.values() for e in events]
        self._move_by_sign(groups, every)
        self._other_moves(groups, every)
        flushes = self._flush_small_moves(groups, every)
        if self.table["late"] == "yes":
            self._move_late(every)
        arrived = self._arrived(groups, every)
        self._arrive(f"flushed({arrived})" if flushes else arrived, groups)
        self._stop_at_walls()

    def _move_by_sign(self, groups: dict[Answer, list[Event]], every: list[Event]) -> None:
        """The moves that are a direction times a length."""
        at_rest = self._at_rest(groups)
        directions: dict[str, list[Event]] = {}
        lengths: dict[str, list[Event]] = {}
        for answer, those in groups.items():
            direction, length = self._direction_and_length(answer)
            moving = [e for e in those if e not in at_rest]
            if moving:
                directions.setdefault(direction, []).extend(moving)
                length = {"size": self.length, "base": self.old}.get(length, length)
                lengths.setdefault(length, []).extend(moving)
        # Where small gradients do not move x, the sign is not that of the gradient.
        threshold = self.table["small moves"]
        is_known = not isinstance(threshold, float)
        if any("sign" in d.replace("np.sign(prev)", "") for d in directions):
            self.add("sign = np.sign(g)")
            if not is_known:
                self.add(f"sign = np.where(np.abs(g).astype(float) < {threshold!r}, 0, sign)")
        direction = _direction(directions) if is_known else choice(directions, "sign")
        length = choice(lengths, self.length)
        if "np.where" in direction:
            self.add(f"sign = {direction}" + (".astype(x.dtype)" if _forgets_the_dtype(direction) else ""))
            direction = "sign"
        self.add(f"move = -{direction} * {length}" if direction != "0" else f"move = 0 * {length}")
        if at_rest:
            self.add(f"move = {self.where(at_rest, '0', 'move', every)}")

    def _other_moves(self, groups: dict[Answer, list[Event]], every: list[Event]) -> None:
        """The moves that depend on the last one; and, where the move is looked at, those that x makes in parts."""
        moves = {"undo": "-s.last", "repeat": "s.last"}
        if self.table["late"] == "yes" or self._has_walls or self._keeps_the_last(groups):
            moves["back and forth"] = f"-{self._sign_that_moves} * ({self.old} - {self.length})"
            moves["restore"] = "s.before - x"
        for answer, text in moves.items():
            if answer in groups:
                self.add(f"move = {self.where(groups[answer], text, 'move', every)}")

    def _flush_small_moves(self, groups: dict[Answer, list[Event]], every: list[Event]) -> bool:
        """Flush moves that are subnormal; returns whether such results are flushed."""
        if self.table["subnormals"] != "all flushed":
            return False
        small = [e for answer, events in groups.items() if answer not in NOT_FLUSHED for e in events]
        if small:
            self.add(f"move = {self.where(small, 'flushed(move)', 'move', every)}")
        return True

    def _move_late(self, every: list[Event]) -> None:
        """The move of the step before is made, and this one is stored."""
        made = self.texts("late move", {"made": "s.pending", "dropped": "0", "at once": "move"})
        at_once = self.answers("late move").get("at once")
        pending = self.where(at_once, "0", "move", every) if at_once else "move"
        self.add(f"move, s.pending = {choice(made, 's.pending')}, {pending}")

    def _arrived(self, groups: dict[Answer, list[Event]], every: list[Event]) -> str:
        """Where x arrives: it is not always x + move, because of rounding."""
        is_looked_at = self.table["subnormals"] == "all flushed" or self._has_walls or self._keeps_the_last(groups)
        if self.lines[-1].startswith("move = -") and not is_looked_at:
            arrived = f"x - {self.lines.pop().removeprefix('move = -')}"
        else:
            arrived = "x + move"
        if self.table["late"] == "yes":
            return arrived
        if "back and forth" in groups:
            sign = self._sign_that_moves
            there_and_back = f"(x - {sign} * {self.old}) + {sign} * {self.length}"
            arrived = self.where(groups["back and forth"], there_and_back, arrived, every)
        if "restore" in groups:
            arrived = self.where(groups["restore"], "s.before", arrived, every)
        return arrived

    def _arrive(self, arrived: str, groups: dict[Answer, list[Event]]) -> None:
        """Set x, and store what a later step may take back."""
        only_stores = self.table["first move"] == "none"
        if only_stores:
            arrived = f"x if s.steps == 0 else {arrived}"
        self.add(f"s.before, x = x, {arrived}" if "restore" in groups else f"x = {arrived}")
        if self._keeps_the_last(groups):
            self.add("s.last = np.zeros_like(x) if s.steps == 0 else move" if only_stores else "s.last = move")

    def _stop_at_walls(self) -> None:
        """x, if walls stop it."""
        if self._has_walls:
            wall = _number(float(self.table["walls"]))
            stops = {
                "ahead": f"np.where(move < 0, np.maximum(x, -{wall}), np.minimum(x, {wall}))",
                "both": f"np.minimum(np.maximum(x, -{wall}), {wall})",
            }
            self.add(f"x = {stops[str(self.table['walls act'])]}")

    @property
    def _sign_that_moves(self) -> str:
        """The sign of the gradient, 0 where that is too small to move x."""
        threshold = self.table["small moves"]
        if isinstance(threshold, float):
            return f"np.where(np.abs(g).astype(float) < {threshold!r}, 0, np.sign(g))"
        return "np.sign(g)"

    @property
    def _has_walls(self) -> bool:
        return isinstance(self.table["walls"], float)

    @staticmethod
    def _keeps_the_last(groups: dict[Answer, list[Event]]) -> bool:
        """Whether a move depends on the last one."""
        return "undo" in groups or "repeat" in groups

    def _at_rest(self, groups: dict[Answer, list[Event]]) -> list[Event]:
        """The events in which x stays where it is, also if the step size is infinite."""
        none = groups.get("none", [])
        at_rest = [e for e in none if e.gradient != "nan"] if self.table["no move"] == "none" else []
        if self.table["sign of 0"] == "none":
            at_rest += [e for e in none if e.gradient == "nan"]
            signed = [e for answer in ("new", "old", "uphill") for e in groups.get(answer, [])]
            at_rest += [e for e in signed if e.gradient == "0"]
        return at_rest

    def _direction_and_length(self, answer: Answer) -> tuple[str, str]:
        if not isinstance(answer, str):
            return "sign", _number(answer)
        return _DIRECTIONS.get(answer, ("sign", "size"))

    def _stored(self, g: str, length: str) -> str:
        move = f"np.sign({g}) * {length}"
        if self.table["subnormals"] == "all flushed":
            move = f"flushed({move})"
        return {"stored sign": f"np.sign({g})", "stored move": move}.get(str(self.table["compare"]), g)

    def remember(self) -> None:
        """The memory."""
        gradient = "s.way * g" if self.table["maximize"] == "memory not negated" else "g"
        new = self._stored(gradient, self.length)
        stored = self.texts(
            "memory", {"new": new, "0": "0", "kept": "prev", "negated": f"-{new}" if new == "g" else f"-({new})"}
        )
        text = choice(stored, new)
        if self.table["after a flip"] == "own":
            self.add(f"s.prev, s.size = {text if text != '0' else 'np.zeros_like(g)'}, size")
            self.add("s.flipped = flip & (s.prev == 0)")
        else:
            self.add(f"s.prev, s.size = {text if text != '0' else 'np.zeros_like(g)'}, size")


def _direction(directions: dict[str, list[Event]]) -> str:
    """The shortest expression of the direction: where the sign is known, it may be written as a number, too."""
    signs = directions.get("sign", [])
    alike = {text: [e for e in signs if e.gradient == sign] for text, sign in (("1", "+"), ("-1", "-"))}
    ways = [choice(directions, "sign", alike)]
    if signs and all(e.gradient in "+-" for e in signs):
        others = {text: events for text, events in directions.items() if text != "sign"}
        for text, events in alike.items():
            if events:
                others[text] = [*others.get(text, []), *events]
        ways.append(choice(others))
    return min(ways, key=len)


def _forgets_the_dtype(direction: str) -> bool:
    """Whether `np.where` makes another dtype of it than that of x.

    Of two Python numbers it makes an array of integers, with which float32 becomes float64; and of bfloat16 and
    NaN, which is a Python float, it makes float32.
    """
    return "np.nan" in direction or re.search(r", (0|-?1), (0|-?1)\)", direction) is not None


def _clamped(name: str) -> str:
    """A name within both limits; `np.clip` returns bfloat16 as float32."""
    return f"np.minimum(np.maximum({name}, lo), hi)"


def _number(value: float) -> str:
    """A number in the dtype of x: `np.where` of two Python numbers is in float64."""
    return f"x.dtype.type({value!r})"


def source(table: Table) -> str:
    """The code of a table: ``start`` makes a state, and ``step`` returns the new x and updates the state."""
    writer = _Writer(table)
    writer.compare()
    writer.adapt()
    writer.move()
    writer.remember()
    writer.add("return x")
    helpers = [*_FLUSHED, "", ""] if table["subnormals"] != "count" else []
    return "\n".join(
        ["import numpy as np", "", "", *helpers, *_start(table), "", "", *_step(table, tidied(writer.lines)), ""]
    )


#: A function that other lines use.
_FLUSHED = (
    "def flushed(v):",
    '    """The same numbers, with 0 for subnormal ones; 16 bits are computed in float32."""',
    "    return np.where(abs(v) < np.finfo(np.float64 if v.dtype == np.float64 else np.float32).tiny, 0, v)",
)


def _start(table: Table) -> list[str]:
    size = table["start"]
    first = _FIRST_SIZES[size] if isinstance(size, str) else repr(size)
    prev = "np.zeros_like(x0)"
    lines = ["def start(s, x0, lr, down, up, lo, hi):", f'    """{table.sentence("start")}."""']
    if table["arithmetic"] in _KEPT:
        lines.append(f"    s.x = x0 = x0.astype({_wide(table, 'x0')})  # not rounded to the dtype of x")
    lines += _constants(table, "x0")
    lines.append(f"    s.steps, s.prev, s.size = 0, {prev}, np.full_like(x0, {first})")
    needed = {"s.last": ("undo", "repeat"), "s.before": ("restore",)}
    moves = {answer for key, answer in table.entries.items() if key.endswith(": move")}
    optional = [
        ("s.last = np.zeros_like(x0)", bool(moves & set(needed["s.last"]))),
        ("s.before = x0", bool(moves & set(needed["s.before"]))),
        ("s.pending = np.zeros_like(x0)", table["late"] == "yes"),
        ("s.loss, s.best, s.rose = np.nan, np.inf, False", table.uses_loss),
        ("s.way = 1  # -1 if it maximizes", table["maximize"] == "memory not negated"),
        ("s.flipped = np.zeros(x0.shape, bool)", table["after a flip"] == "own"),
    ]
    return [*lines, *(f"    {line}" for line, used in optional if used)]


#: What etas are, if they are not rounded to the dtype of x.
_ETAS_NOT_ROUNDED = {
    "etas in double": "np.float64(v)",
    "bfloat16 etas not rounded": 'np.float64(v) if {0}.dtype.name == "bfloat16" else {0}.dtype.type({1})',
}


_BOTH, _BFLOAT16 = "itemsize == 2", 'dtype.name == "bfloat16"'

#: Arrays with which lr, and other hyperparameters, go through float32.
_THROUGH_FLOAT32 = {
    "rounded": ("", ""),
    "through float32": (_BOTH, _BOTH),
    "lr at once": ("", _BOTH),
    "float16 lr at once": (_BFLOAT16, _BOTH),
    "bfloat16 through float32": (_BFLOAT16, _BFLOAT16),
    "bfloat16 lr through float32": (_BFLOAT16, ""),
}


def _constants(table: Table, array: str) -> list[str]:
    all_single = table["constants"] == "float32"
    rounded, lr, names = "np.float32(v)" if all_single else "v", "", "lr, down, up, lo, hi"
    own, other = _THROUGH_FLOAT32[str(table["16-bit constants"])]
    if other and not all_single:
        rounded = f"np.float32(v) if {array}.{other} else v"
    if own != other:
        names = "down, up, lo, hi"
        lr = f"np.float32(lr) if {array}.{own} else lr" if own else "lr"
        if all_single:
            once = "itemsize == 2" if not own else 'dtype.name == "float16"'
            lr = f"lr if {array}.{once} else np.float32(lr)"
    if table["arithmetic"] in _ETAS_NOT_ROUNDED:
        names = names.replace("down, up, ", "")
        names = names if "," in names else f"{names},"
    lines = [f"    lr = {array}.dtype.type({lr})"] if lr else []
    lines.append(f"    {names} = ({array}.dtype.type({rounded}) for v in ({names}))")
    etas = _ETAS_NOT_ROUNDED.get(str(table["arithmetic"]), "").format(array, rounded)
    if etas:
        lines.append(f"    down, up = ({etas} for v in (down, up))")
    if table["step_sizes"] == "swapped":
        lines.append("    lo, hi = hi, lo")
    unit = " * lr" if table["own limits"] == "times lr" else ""
    for name, key in (("lo", "smallest"), ("hi", "largest")):
        if isinstance(table[key], float):
            lines.append(f"    {name} = {array}.dtype.type({table[key]!r}){unit}")
    return lines


def _step(table: Table, lines: list[str]) -> list[str]:
    arguments = "s, x, g, lr, down, up, lo, hi" + (", loss" if table.uses_loss else "")
    head, constants = [f"def step({arguments}):", f'    """{table.title}."""'], _constants(table, "x")
    widened, narrowed = _widened(table, lines)
    begins = [*widened, *constants]
    if "constants rounded" in str(table["arithmetic"]):
        begins = [*constants, *widened]
    if table["NaN gradient"] != "taken":
        kept, inside = ", ".join(("x", *_state(lines))), table["arithmetic"] in _KEPT
        begins.insert(len(widened) if inside else 0, f"    skipped, before = np.isnan(g), ({kept})")
        last = f"{kept} = (np.where(skipped, old, new) for old, new in zip(before, ({kept})))"
        narrowed = [last, *narrowed] if inside else [*narrowed[:-1], last, narrowed[-1]]
    body = [*begins, *(f"    {line}" for line in (*lines[:-1], *narrowed))]
    return [*head, *body[:-1], *(f"    {line}" for line in _counted(table, body)), body[-1]]


def _counted(table: Table, body: list[str]) -> list[str]:
    """What is stored of a step for later ones, beside arrays: how many there were, and the loss."""
    lines = ["s.steps += 1"] if any("s.steps" in line for line in body) else []
    if not table.uses_loss:
        return lines
    last, heard = "s.rose, s.loss, s.best", "loss > s.loss, loss, np.fmin(loss, s.best)"
    if table["NaN gradient"] == "skipped, with its loss":
        heard = f"(np.where(skipped, old, new) for old, new in zip(({last}), ({heard})))"
    return [*lines, f"{last} = {heard}"]


def _state(lines: list[str]) -> list[str]:
    """The arrays of the state that a step changes."""
    names = ("s.prev", "s.size", "s.last", "s.pending", "s.before")
    return [name for name in names if any(name in line for line in lines)]


def _widened(table: Table, lines: list[str]) -> tuple[list[str], list[str]]:
    """What a step begins and ends with if it is computed in another dtype than that of x."""
    arithmetic, state = table["arithmetic"], _state(lines)
    before, after = ", ".join(("x", "g", *state)), ", ".join(("x", *state))
    if arithmetic in _KEPT:
        given = f"s.{before}"  # x as it is kept
        return (
            [
                f"    kind, wide = x.dtype, {_wide(table, 'x')}",
                f"    {before} = (v.astype(wide) for v in ({given}))",
            ],
            ["s.x = x", "return x.astype(kind)"],
        )
    if "computed in" not in str(arithmetic):
        return [], lines[-1:]
    return (
        [f"    kind, wide = x.dtype, {_wide(table, 'x')}", f"    {before} = (v.astype(wide) for v in ({before}))"],
        [f"{after} = (v.astype(kind) for v in ({after}))", "return x"],
    )


#: How a step is computed if what it changes is kept in that dtype, and rounded only when it is shown.
_KEPT = ("state in double", "16 bits kept in float32", "computed in float32", "everything in float32")


def _wide(table: Table, array: str) -> str:
    """The dtype that a step is computed in."""
    arithmetic = str(table["arithmetic"])
    if arithmetic.startswith("16 bits"):
        return f"np.float32 if {array}.itemsize == 2 else {array}.dtype"
    if arithmetic == "computed in float32":
        return f"np.float32 if {array}.dtype == np.float64 else {array}.dtype"
    return "np.float64" if "double" in arithmetic else "np.float32"
