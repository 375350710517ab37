"""The grammars in which a table is looked for, the plainest first: what kind of rule it may be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import CouldNotRun
from .._table.grammar import GLOBALS, Answer, Grammar, keyed
from .laboratory import Laboratory, moves_of, words
from .lateness import late_moves, seems_late
from .search import Numbers
from .strands import Nature
from .traits import FALLING, MIXED, SETTING
from .units import Units

#: What a measured length may be, beside a first step.
LENGTHS = ("largest", "smallest", "floor")

#: Entries that are known already, and the answers that are left.
Fixed = dict[str, tuple[Answer, ...]]

#: The entries about units, if nothing is unusual.
USUAL_UNITS: Fixed = {"step sizes": ("in the dtype",), "move by": ("size",), "own limits": ("lengths",)}


def grammars(nature: Nature, units: Units, *, mirrored: bool = False) -> Iterator[tuple[Nature, Grammar]]:
    """The grammars to try, the plainest first, each with the nature that it stands for.

    Parameters
    ----------
    nature : Nature
    units : Units
        How lengths are understood.
    mirrored : bool
        Whether mirrored gradients mirror the run in ordinary use.
    """
    memories = ("0", "first", "1", "-1")
    if not nature.symmetric:
        # Perhaps it is the memory only that begins with a sign, or a move at NaN that has one, and all else is
        # symmetric.
        alike, some = replace(nature, symmetric=True), memories if mirrored else ("1", "-1")
        yield from ((alike, grammar) for grammar in _grammars_of(alike, units, some))
    yield from ((nature, grammar) for grammar in _grammars_of(nature, units, memories))
    if not nature.symmetric:
        yield from ((alike, grammar) for grammar in _grammars_of(alike, units, some, "own"))


def _grammars_of(
    nature: Nature, units: Units, memories: tuple[Answer, ...], after_a_flip: Answer = "as fresh"
) -> Iterator[Grammar]:
    """The grammars of a nature, with what the memory may begin as, and the row that follows a sign change."""
    laboratory, numbers = units.laboratory, units.numbers
    first = laboratory.run(words((1.0, -1.0), 4), **SETTING).x.astype(np.float64)
    own = {**USUAL_UNITS, **units.fixed, **_uphill_at_nan(nature), **_by_sign_bit(laboratory, nature)}
    for lengths in _few_lengths(laboratory):
        kinds = _kinds(laboratory, nature, first, numbers, memories, lengths, after_a_flip)
        for (fixed, wide), roles in itertools.product(kinds, _roles(units)):
            yield Grammar(nature.symmetric, wide, numbers, {**fixed, **own, **roles})


def _kinds(
    laboratory: Laboratory,
    nature: Nature,
    first: Array,
    numbers: Numbers,
    memories: tuple[Answer, ...],
    lengths: Fixed,
    after_a_flip: Answer,
) -> list[tuple[Fixed, bool]]:
    """How a rule may begin and what follows a sign change, each with whether rare answers are allowed."""
    direction, *others = _directions(first)
    rounded: Fixed = {
        "constants": ("given" if nature.single else _constants(laboratory),),
        "direction": (direction,),
        "start": _starts(first, numbers),
    }
    any_way: Fixed = {name: _first(rounded[name][0], GLOBALS[name]) for name in ("constants", "direction")}
    begins: Fixed = {"start memory": memories, **rounded, **lengths, "first move": ("made",)}
    own_first: Fixed = {**begins, "start memory": ("own",)}
    own_after: Fixed = {"after a flip": ("own",)}
    turned: list[Fixed] = [{**begins, "direction": (other,)} for other in others]

    def rows_of_their_own(when: Fixed) -> list[tuple[Fixed, bool]]:
        if "0" not in memories:
            return []
        some = [{**own_first, **when}, {**begins, **when, **own_after}, {**own_first, **when, **own_after}]
        wide = [{**own_first, **when, **any_way}, {**begins, **when, **own_after, **any_way}]
        return [*((fixed, False) for fixed in some), *((fixed, True) for fixed in wide)]

    usual: Fixed = {"late": ("no",), "after a flip": (after_a_flip,)}
    late: Fixed = {**usual, "late": ("yes",)}
    kinds: list[tuple[Fixed, bool]] = []
    if not first[0].any() and seems_late(laboratory):
        kinds += [({**begins, **late, **late_moves("made")}, False)]
        stays = {**late, **late_moves("made", "dropped")}
        kinds += [({**some, **stays}, False) for some in (begins, *turned)]
        kinds += rows_of_their_own(stays)
    kinds.append(({**begins, **usual}, False))
    if not first[0].any() and first[1].any():
        kinds.append(({**begins, **usual, "first move": ("none",)}, False))
    kinds += [({**some, **usual}, False) for some in turned]
    if not first[0].any():
        kinds.append(({**begins, **late}, False))
    kinds += rows_of_their_own(usual)
    if not first[0].any() and "0" in memories:
        kinds.append(({**own_first, **late}, False))
    return kinds


def _roles(units: Units) -> Iterator[Fixed]:
    """What measured lengths may be: a first step, a limit, a floor, or a pair; then nothing, or any of it."""
    numbers = units.numbers
    if "own limits" in units.fixed:
        names = [name for name in ("largest", "smallest") if name in numbers]
        for values in itertools.product(*(numbers[name] for name in names)):
            yield {name: (value,) for name, value in zip(names, values, strict=True)}
        return
    given = {name: _plain(name) for name in LENGTHS if name in numbers}
    roles = [(role, number) for role in ("start", *LENGTHS) for number in numbers.get(role, ())]
    for role, number in roles:
        if role == "largest":
            others = [(name, v) for name, v in roles if name in ("smallest", "floor") and v < number]
            yield from ({**given, role: (number,), name: (v,)} for name, v in others)
    yield from ({**given, role: (number,)} for role, number in roles)
    if given:
        yield given
    yield {}


def _starts(x: Array, numbers: Numbers) -> tuple[Answer, ...]:
    """How step sizes may begin, by the lengths of the first moves: as given, or multiplied or limited."""
    words, own = tuple(GLOBALS["start"]), numbers.get("start", ())
    # The first move may be made one step late.
    moved = x[0] if x[0].any() else x[1]
    lengths, lr, (down, up), (lo, hi) = np.abs(moved), SETTING["lr"], SETTING["etas"], SETTING["step_sizes"]
    sizes = {"0": 0.0, "lo": lo, "hi": hi, "up lr": lr * up, "down lr": lr * down}
    factors = (1.0, up, down, *numbers.get("factor", ()))

    def may_show(size: float) -> bool:
        """Whether one of the first moves has this length, which may have been limited."""
        return any(abs(v - length) <= 1e-6 * length for v in (size, min(max(size, lo), hi)) for length in lengths)

    possible = tuple(word for word in words if any(may_show(sizes.get(word, lr) * f) for f in factors))
    return (*possible, *own, *(word for word in words if word not in possible))


def _constants(laboratory: Laboratory) -> str:
    """Whether hyperparameters are rounded to float32: then it does the same if they are rounded before."""

    def run(kind: type[np.floating[Any]] | type[float]) -> Array:
        rounded: dict[str, Any] = {"lr": float(kind(SETTING["lr"]))}
        rounded |= {name: tuple(float(kind(v)) for v in SETTING[name]) for name in ("etas", "step_sizes")}
        return laboratory.run(words((1.0, -1.0, 0.0), 4), loss=MIXED[:4], **rounded).x

    as_given = run(float)
    alike = [np.array_equal(as_given, run(kind), equal_nan=True) for kind in (np.float32, np.float16)]
    return "float32" if laboratory.dtype == "float64" and alike == [True, False] else "given"


def _few_lengths(laboratory: Laboratory) -> list[Fixed]:
    """What it may mean if all steps have few lengths: those of lr and its multiples, or of a limit."""
    lr, etas, smallest = SETTING["lr"], SETTING["etas"], SETTING["step_sizes"][0]
    x = laboratory.run(words((1.0, -1.0), 5), loss=FALLING, **SETTING).x.astype(np.float64)
    lengths = np.unique(np.abs(np.diff(x, axis=0)))
    moves = lengths[lengths > 1e-12]
    usual: Fixed = {"base": ("kept",), "step_sizes": ("in order",)}

    def are(*some: float) -> bool:
        return bool(moves.size and (np.abs(moves[:, None] - some) <= 1e-6 * np.array(some)).any(axis=1).all())

    if are(smallest):
        swapped: Fixed = {**usual, "step_sizes": ("swapped",)}
        return [swapped, usual] if _has_many_lengths_if_limits_cross(laboratory) else [usual, swapped]
    # Where all steps are by lr, sizes may be kept and never be changed.
    if are(lr, lr * etas[0], lr * etas[1]) and not are(lr):
        return [{**usual, "base": ("lr",)}, usual]
    return [usual]


def _has_many_lengths_if_limits_cross(laboratory: Laboratory) -> bool:
    """Whether steps have many lengths if the limits are given in the other order: it may have swapped them."""
    crossed = {**SETTING, "step_sizes": SETTING["step_sizes"][::-1]}
    try:
        x = laboratory.run(words((1.0, -1.0), 5), loss=FALLING, **crossed).x.astype(np.float64)
    except CouldNotRun:
        return False
    lengths = np.abs(np.diff(x, axis=0))
    return len(np.unique(np.round(np.log(lengths[lengths > 1e-12]), 3))) > 2


def _directions(x: Array) -> list[Answer]:
    """The way that most moves go, uphill or downhill; and the other, if some may go that way."""
    g = words((1.0, -1.0), len(x))
    moves = moves_of(x)
    if not x[0].any():  # perhaps each move is made one step late
        g, moves = g[:-1], moves[1:]
    uphill = np.sign(g * moves)
    if uphill.sum() > 0:  # few rules go uphill; this one may go downhill where the loss rises
        return ["up", "down"]
    return ["down"] if (uphill <= 0).all() else ["down", "up"]


def _uphill_at_nan(nature: Nature) -> Fixed:
    """The moves where the product is NaN, if most of the other moves go uphill."""
    keys = {f"{keyed('nan product', sign, symmetric=nature.symmetric)}: move" for sign in "+-0"}
    return {key: (*Grammar(nature.symmetric).answers(key), "uphill") for key in keys}


def _by_sign_bit(laboratory: Laboratory, nature: Nature) -> Fixed:
    """The moves where the gradient is 0, if -0 moves x elsewhere."""
    g = np.vstack([np.repeat(words((1.0, -1.0, 0.0), 2), 2, axis=1), np.tile([0.0, -0.0], 9)])
    x = laboratory.run(g, **SETTING).x[-1]
    if np.array_equal(x[::2], x[1::2], equal_nan=True):
        return {}
    keys = {
        f"{keyed(row, sign, symmetric=nature.symmetric)}: move"
        for row in ("first", "zero", "rest")
        for sign in "+-0"
    }
    return {key: (*Grammar(nature.symmetric).answers(key), "sign bit") for key in keys}


def _plain(name: str) -> tuple[Answer, ...]:
    """The plainest answer of an entry of the whole rule, alone."""
    return (next(iter(GLOBALS[name])),)


def _first(answer: Answer, answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """Some answers, this one first."""
    return tuple(dict.fromkeys((answer, *answers)))
