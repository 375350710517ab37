"""Names for what a table does that one of the five rules does not: the short form of its differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .five import expected
from .grammar import ANSWERS, FLIPS, GLOBALS, Answer, field_of, row_of
from .table import Table, folded

#: Rows without a sign change or agreement. "nan" and "nan product" are told only if nothing else differs.
_NEUTRAL = ("first", "fresh", "after", "zero", "rest")
_NAN = ("nan", "nan product")

_FIELDS = ("factor", "limits", "move", "memory", "late move")

Entries = dict[str, Answer]


#: What differs, in a few words, and the entries that this is about.
Point = tuple[str, list[str]]


def summary(table: Table, rule: str) -> list[str]:
    """What differs from a rule: names where a few entries have one, and sentences for the rest."""
    return [text for text, _ in points(table, rule)]


def points(table: Table, rule: str, *, everything: bool = False) -> list[Point]:
    """The same, each with the entries that it is about; `everything` is more than ordinary use."""
    left = {
        key: answer for key, answer in table.entries.items()
        if answer != (expected(rule, key) if row_of(key) else _usual(rule, key))
    }  # fmt: skip
    ordinary = {key: answer for key, answer in left.items() if row_of(key) not in _NAN and key not in _OUTER}
    if everything:
        return list(_points(table, left))
    return list(_points(table, ordinary or left)) or list(_points(table, left))


#: Entries of the whole rule that ordinary use does not show.
_OUTER = frozenset((
    "factor of 0", "no move", "sign of 0", "flip test", "subnormals", "maximize",
    "loss under maximize", "None", "caller's array", "lr set", "etas set", "limits set", "saved",
    "arithmetic", "16-bit constants", "NaN gradient",
))  # fmt: skip


def _usual(rule: str, key: str) -> Answer:
    found = expected(rule, key)
    return found if found is not None else next(iter(GLOBALS[key]))


def _points(table: Table, left: Entries) -> Iterator[Point]:
    left = dict(left)
    if left.get("start memory") == "own":
        del left["start memory"]  # its row says how it differs
    for name, finds in _NAMES.items():
        keys = finds(left)
        if keys:
            yield name, keys
            left = {key: answer for key, answer in left.items() if key not in keys}
    start = left.pop("start", None)
    if start is not None:
        text = table.sentence("start")
        yield f"ignores lr: {_lower(text)}" if "whatever lr says" in text else _lower(text), ["start"]
    for key in [key for key in left if not row_of(key)]:
        yield _lower(table.sentence(key)), [key]
        del left[key]
    yield from _sentences(table, left)


def _sentences(table: Table, left: Entries) -> Iterator[Point]:
    """The rows that are left. Rows that differ in the same way share a sentence."""
    where: dict[str, list[str]] = {}
    about: dict[str, list[str]] = {}
    for row, sign in table.rows():
        prefix = f"{row}{' ' + sign if sign else ''}: "
        fields = [field for field in _FIELDS if prefix + field in left]
        if fields:
            place, _, what = table.row_sentence(row, sign, fields).removesuffix(".").partition(": ")
            where.setdefault(what, []).append(_lower(place))
            about.setdefault(what, []).extend(prefix + field for field in fields)
    for what, places in where.items():
        yield f"{' and '.join(folded(places))}, {what}", about[what]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _those(left: Entries, field: str, answers: tuple[Answer, ...], rows: tuple[str, ...] = ()) -> list[str]:
    """The entries of a field that have one of some answers, in some rows (all if there are none)."""
    return [
        key for key, answer in left.items()
        if field_of(key) == field and row_of(key) and answer in answers and (not rows or row_of(key) in rows)
    ]  # fmt: skip


def _swapped(left: Entries) -> list[str]:
    up, down = _those(left, "factor", ("up",), FLIPS), _those(left, "factor", ("down",), ("same",))
    return [*up, *down] if up and down else []


def _late(left: Entries) -> list[str]:
    return ["late", *_those(left, "late move", tuple(ANSWERS["late move"]))] if left.get("late") == "yes" else []


def _adapts_after(left: Entries) -> list[str]:
    return _those(left, "move", ("old",)) if _those(left, "move", ("old",), ("same",)) else []


def _one_limit(left: Entries) -> list[str]:
    grown, shrunk = _those(left, "limits", ("hi",)), _those(left, "limits", ("lo",))
    return [*grown, *shrunk, *_those(left, "limits", ("none",))] if grown or shrunk else []


def _all_limits(answer: str) -> Callable[[Entries], list[str]]:
    """The limits of all rows, if they are the same where the step size grows and where it shrinks."""

    def finds(left: Entries) -> list[str]:
        keys = [key for key in left if field_of(key) == "limits"]
        alike = {left[key] for key in keys} == {answer} and {"same", "flip"} <= {row_of(key) for key in keys}
        return keys if alike else []

    return finds


def _neutral_limits(left: Entries) -> list[str]:
    """No limits where the step size keeps its length, and both elsewhere."""
    keys = [key for key in left if field_of(key) == "limits"]
    rows = {row_of(key) for key in keys}
    alike = {left[key] for key in keys} == {"none"} and rows <= {*_NEUTRAL, *_NAN} and {"fresh", "zero"} <= rows
    return keys if alike else []


def _zero_product(answer: str) -> Callable[[Entries], list[str]]:
    def finds(left: Entries) -> list[str]:
        keys = _those(left, "factor", (answer,), _NEUTRAL)
        return keys if {"fresh", "zero"} & {row_of(key) for key in keys} else []

    return finds


def _zero_moves(answers: tuple[Answer, ...]) -> Callable[[Entries], list[str]]:
    """Moves at a gradient of 0, also those of rows that differ by its sign."""

    def finds(left: Entries) -> list[str]:
        keys = _those(left, "move", answers, ("zero", "rest"))
        alike = [key for key, answer in left.items() if key.endswith(" 0: move") and answer in answers]
        return list(dict.fromkeys((*keys, *alike))) if keys else []

    return finds


def _zero_flips(left: Entries) -> list[str]:
    """Products of 0 that shrink the step size and clear the memory: all that is done at a sign change."""
    shrunk, cleared = _those(left, "factor", ("down",), _NEUTRAL), _those(left, "memory", ("0",), _NEUTRAL)
    both = {row_of(key) for key in shrunk} & {row_of(key) for key in cleared}
    if not both & {"first", "fresh", "after"}:
        return []
    return [*shrunk, *_those(left, "move", ("none",), _NEUTRAL), *cleared]


def _nan_product(answer: str) -> Callable[[Entries], list[str]]:
    def finds(left: Entries) -> list[str]:
        keys = _those(left, "factor", (answer,), _NAN)
        return keys if {row_of(key) for key in keys} == set(_NAN) else []

    return finds


def _limits_of_lr(left: Entries) -> list[str]:
    if "own limits" not in left:
        return []
    return [key for key in ("own limits", "smallest", "largest") if key in left]


def _has(key: str, name: str) -> Callable[[Entries], list[str]]:
    return lambda left: [key] if key in left and _WHOLE[key].get(left[key]) == name else []


#: The names of answers of the whole rule.
_WHOLE: dict[str, dict[Answer, str]] = {
    "direction": {"up": "mirrored"},
    "step_sizes": {"swapped": "limits swapped"},
    "base": {"lr": "step size never kept"},
    "step sizes": {"float32": "step sizes in float32"},
    "move by": {"lr times size": "moves by lr times the step size"},
    "first move": {"none": "first call only stores"},
    "start memory": {"first": "memory starts as the first gradient"},
    "compare": {"signs": "signs compared", "stored sign": "stores the sign", "stored move": "stores the move"},
    "flip test": {"sign": "flip found by the sign", "factor": "flip found by the factor"},
    "factor of 0": {"counts": "an eta- of 0 counts"},
    "subnormals": {"all flushed": "subnormals flushed"},
    "maximize": {
        "ignored": "maximize has no effect",
        "memory not negated": "memory holds the gradient before maximize",
    },
    "None": {"as 0": "missing gradient is zero"},
    "caller's array": {"kept": "memory is the caller's array"},
    "caller's gradient": {
        "zeroed": "writes zeros into the gradient",
        "negated": "negates the gradient in place",
        "negated, zeroed": "negates and zeroes the gradient in place",
    },
    "loss test": {
        "rose or equal": "error test: rose or equal",
        "late": "error test: one step late",
        "best": "error test: best so far",
        "rose or NaN": "error test: NaN is worse",
        "fell": "error test: reversed",
    },
    "loss under maximize": {"not reversed": "error test: maximize ignored"},
    "lr set": {"resets": "lr re-read", "used": "later lr used"},
    "etas set": {"ignored": "etas read once"},
    "limits set": {"ignored": "limits read once"},
    "saved": {
        "no memory": "memory lost on resume",
        "no step size": "step size lost on resume",
        "no last move": "last move lost on resume",
    },
    "16-bit constants": {
        "rounded": "float16 constants rounded once",
        "bfloat16 through float32": "float16 constants rounded once",
        "bfloat16 lr through float32": "float16 constants rounded once",
        "lr at once": "float16 lr rounded once",
        "float16 lr at once": "float16 lr rounded once",
    },
    "arithmetic": {name: name for name in list(GLOBALS["arithmetic"])[1:]},
}

#: What to change, where that is another thing than for the known deviation of the same name.
REMEDIES = {
    "a zero product is a flip": (
        "Where the product is 0, keep the step size and the gradient: a sign change is where it is < 0."
    ),
    "moves by lr times the step size": "Move x by the step size, without lr.",
    "step sizes in float32": "Keep step sizes in the dtype of x.",
    "limits are multiples of lr": "Take the limits from step_sizes.",
    "0 moves x by its sign bit": "Let the sign of a gradient of 0 be 0.",
}

#: Each name, and which of the entries that differ it stands for.
_NAMES: dict[str, Callable[[Entries], list[str]]] = {
    "etas swapped": _swapped,
    "one step late": _late,
    "adapts after the move": _adapts_after,
    "no lower limit": _all_limits("hi"),
    "no upper limit": _all_limits("lo"),
    "no limits": _all_limits("none"),
    "lower limit wins": _all_limits("both, lo wins"),
    "clamped before scaling": _all_limits("before"),
    "only the move is clamped": _all_limits("move only"),
    "not clamped when neutral": _neutral_limits,
    "one limit per branch": _one_limit,
    "a zero product is a flip": _zero_flips,
    "a zero product grows": _zero_product("up"),
    "a zero product shrinks": _zero_product("down"),
    "zero is positive": _zero_moves(("-new", "-old")),
    "zero is negative": _zero_moves(("+new", "+old")),
    "0 moves x by its sign bit": _zero_moves(("sign bit",)),
    "limits are multiples of lr": _limits_of_lr,
    "memory kept at a flip": lambda left: _those(left, "memory", ("new",), FLIPS),
    "memory negated at a flip": lambda left: _those(left, "memory", ("negated",), FLIPS),
    "memory not updated at a flip": lambda left: _those(left, "memory", ("kept",), FLIPS),
    "moves on at a flip": lambda left: _those(left, "move", ("new",), FLIPS),
    "stays at a flip": lambda left: _those(left, "move", ("none",), FLIPS),
    "zero leaves the memory": lambda left: _those(left, "memory", ("kept",), ("zero", "rest")),
    "a NaN product shrinks": _nan_product("down"),
    "a NaN product grows": _nan_product("up"),
    "skips NaN gradients": lambda left: ["NaN gradient"] if "NaN gradient" in left else [],
    "NaN poisons": lambda left: _those(left, "move", ("nan",), ("nan",)),
    "NaN leaves the memory": lambda left: _those(left, "memory", ("kept",), ("nan",)),
    **{name: _has(key, name) for key, answers in _WHOLE.items() for name in answers.values()},
}
