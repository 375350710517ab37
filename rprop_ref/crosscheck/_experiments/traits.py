"""What an implementation depends on: other coordinates, magnitudes, the loss, where x is, time, or chance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import CouldNotRun
from .laboratory import Laboratory, special_gradients, words
from .strands import Nature

#: The scripts: all words of this length over the three signs.
LENGTH = 5

#: Hyperparameters whose products are all different, so that a step size shows where it comes from. The limits are
#: not so far away that a move by the smallest step size is lost where x has been moved by the largest.
SETTING: dict[str, Any] = {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (1.7e-5, 37.0)}

#: Limits that are met at once, from both sides.
NARROW: tuple[dict[str, Any], ...] = (
    {"lr": 0.1, "etas": (0.5, 1.2), "step_sizes": (0.08, 0.11)},
    {"lr": 0.1, "etas": (0.5, 1.2), "step_sizes": (0.1, 0.15)},
    {"lr": 0.07, "etas": (0.3, 1.7), "step_sizes": (0.01, 0.07)},
)

#: An lr that is above the limits, and one below them.
OUTSIDE_LIMITS: tuple[dict[str, Any], ...] = (
    {"lr": 100.0, "step_sizes": (1e-6, 50.0)}, {"lr": 0.01, "step_sizes": (0.05, 0.2)},
)  # fmt: skip

#: Limits that cross, and none.
UNUSUAL: tuple[dict[str, Any], ...] = (
    {"lr": 0.1, "step_sizes": (1.0, 0.5)}, {"lr": 2.0, "step_sizes": (1.0, 0.5)},
    {"lr": 0.1, "step_sizes": (0.0, np.inf)},
)  # fmt: skip

_NONE, _SAVED = {"none": frozenset((1,))}, {"resumed": frozenset((2,))}
_LARGER: dict[str, Any] = {"maximize": True}
_AGAIN: dict[str, Any] = {"reused": True}

#: What may be done between the first steps of a script, alone and in pairs, with the features that it needs.
CALL_SCRIPTS: tuple[tuple[frozenset[str], dict[str, Any]], ...] = (
    (frozenset(("none",)), {"none": frozenset((0,))}), (frozenset(("none",)), _NONE),
    (frozenset(("save",)), {"resumed": frozenset((1,))}), (frozenset(("save",)), _SAVED),
    (frozenset(("maximize",)), _LARGER), (frozenset(("same array",)), _AGAIN),
    *((frozenset(("set",)), {"edits": {t: {"lr": 0.3}}}) for t in (1, 2)),
    *((frozenset(("set", name)), {"edits": {t: {name: value}}}) for t in (1, 2)
      for name, value in (("etas", (0.6, 1.1)), ("step_sizes", (0.09, 0.1)))),
    (frozenset(("none", "save")), {**_NONE, **_SAVED}), (frozenset(("none", "maximize")), {**_NONE, **_LARGER}),
    *((frozenset(("none", "same array")), {"none": frozenset((t,)), **_AGAIN}) for t in (1, 2)),
    (frozenset(("save", "maximize")), {**_SAVED, **_LARGER}),
    (frozenset(("save", "same array")), {**_SAVED, **_AGAIN}),
    (frozenset(("maximize", "same array")), {**_LARGER, **_AGAIN}),
)  # fmt: skip

#: Losses that fall, rise, and do both.
FALLING, RISING, MIXED = (5.0, 4.0, 3.0, 2.0, 1.0), (1.0, 2.0, 3.0, 4.0, 5.0), (2.0, 3.0, 3.0, 1.0, 2.0)

#: Moves that differ by less than this part of themselves may differ by rounding.
ROUNDING = 1e-6

#: The distance between 1 and the next number.
_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@dataclass
class Traits:
    """What was seen in ordinary use.

    Attributes
    ----------
    outside : list of str
        What x depends on that no table has; empty for a per-coordinate sign rule.
    nature : Nature
    """

    outside: list[str] = field(default_factory=list)
    nature: Nature = field(default_factory=Nature)


def examine(laboratory: Laboratory) -> Traits:
    """Find out what an implementation depends on.

    Raises
    ------
    CouldNotRun
        If it fails in ordinary use.
    """
    g = words((1.0, -1.0, 0.0), LENGTH)
    traits, rng = Traits(), np.random.default_rng(1)

    def run(gradients: Array, x0: float = 0.0, loss: tuple[float, ...] = FALLING) -> Array:
        return laboratory.run(gradients, x0, loss=loss, **SETTING).x.astype(np.float64)

    x = run(g)
    if not _same(x, run(g)):
        traits.outside.append("chance: the same run gives other results when it is made again")
        return traits
    some = rng.permutation(g.shape[1])[: g.shape[1] // 3]
    if not laboratory.alone and not _same(x[:, some], run(g[:, some])):
        traits.outside.append(
            "other coordinates: what x does changes with the gradients beside it (coordinates are coupled)"
        )
        return traits
    magnitudes = np.exp2(rng.uniform(-6, 6, g.shape))
    if not _same(x, run(g * magnitudes)):
        traits.outside.append("magnitudes: gradients of the same signs and other sizes give other moves")
    third = run(g, 1 / 3)
    single = laboratory.dtype == "float64" and _is_single(third)
    # From further away, moves lose as many bits as x has before them.
    lost = 16 * _EPS["float32" if single else laboratory.dtype]
    moves = np.diff(x, axis=0, prepend=0.0)
    others = [np.diff(made, axis=0, prepend=x0) for x0, made in ((1 / 3, third), (3.0, run(g, 3.0)))]
    if not all(_close(moves, other, lost) for other in others):
        traits.outside.append("x itself: the same gradients give other moves from another start")
    traits.nature = _nature(laboratory, rng, Nature(single=single))
    return traits


def _is_single(x: Array) -> bool:
    """Whether float32 holds all of these, as where everything is computed in it."""
    return _same(x, x.astype(np.float32).astype(np.float64))


def _nature(laboratory: Laboratory, rng: np.random.Generator, nature: Nature) -> Nature:
    """Whether anything depends on the loss, or on which sign is which: perhaps only where limits are met."""
    short = words((1.0, -1.0, 0.0), LENGTH)
    longer = rng.choice([1.0, -1.0, 0.0], (20, 24), p=[0.42, 0.42, 0.16])
    falls, other = tuple(np.arange(20.0, 0, -1)), tuple(rng.choice([1.0, 2.0, 2.0, 3.0], 20))
    for setting in (SETTING, *NARROW):
        nature = _told_by(laboratory, nature, short, (FALLING, RISING, MIXED), setting)
        nature = _told_by(laboratory, nature, longer, (falls, other), setting)
    return nature


def _told_by(
    laboratory: Laboratory, nature: Nature, g: Array, losses: tuple[tuple[float, ...], ...],
    setting: dict[str, Any],
) -> Nature:  # fmt: skip
    """A nature, corrected by runs with some losses, and by one that is mirrored."""
    runs = [laboratory.run(g, loss=loss, **setting).x.astype(np.float64) for loss in losses]
    mirrored = laboratory.run(-g, loss=losses[-1], **setting).x.astype(np.float64)
    differs = not all(_same(runs[0], x) for x in runs[1:])
    symmetric = nature.symmetric and _same(mirrored, -runs[-1])
    return replace(nature, symmetric=symmetric, uses_loss=nature.uses_loss or differs)


def beyond_ordinary(laboratory: Laboratory, nature: Nature, lacks: frozenset[str]) -> Nature:
    """The nature, also where gradients, losses or hyperparameters are unusual."""
    special, outside = special_gradients(lacks), "lr outside step_sizes" not in lacks
    plain = words((1.0, -1.0, 0.0), LENGTH)
    losses: tuple[tuple[float, ...], ...] = (FALLING, RISING, MIXED)
    runs = [(plain, losses, setting) for setting in ((*OUTSIDE_LIMITS, *UNUSUAL) if outside else ())]
    if special:
        g = words((1.0, -1.0, 0.0, *special), 4)
        settings = (SETTING, NARROW[0], *(OUTSIDE_LIMITS if outside else ()))
        runs += [(g, tuple(loss[:4] for loss in losses), setting) for setting in settings]
        longer = np.concatenate([_long_words(special), _long_words([v for v in special if v == v])], axis=1)
        other = tuple(np.random.default_rng(4).choice([1.0, 2.0, 2.0, 3.0], len(longer)))
        runs += [(longer, (tuple(np.arange(float(len(longer)), 0, -1)), other), SETTING)]
    if "nan" not in lacks:
        runs.append((plain, (FALLING, (5.0, np.nan, 3.0, np.nan, 1.0)), SETTING))
    if "same array" not in lacks:  # the memory may be the caller's array, and be 0 wherever that is a fresh one
        saved = () if "save" in lacks else (_SAVED,)
        runs += [(plain, losses, {**SETTING, **_AGAIN, **also}) for also in ({}, *saved)]
    for g, some, setting in runs:
        try:
            nature = _told_by(laboratory, nature, g, some, setting)
        except CouldNotRun:
            continue
    return nature


def _long_words(special: Sequence[float]) -> Array:
    """Random sequences with few special gradients, shape (steps, number of them)."""
    letters, weights = (1.0, -1.0, 0.0, *special), (0.35, 0.35, 0.15, *(0.15 / len(special) for _ in special))
    return np.random.default_rng(5).choice(letters, (12, 96), p=np.divide(weights, sum(weights)))


def depends_on_time(laboratory: Laboratory) -> bool:
    """Whether the same gradients give other moves later, though nothing had changed before.

    A gradient of 0 may change the state, a step size for example. It does not if moves are the same after one
    more, or if the first move is still by lr. Then moves are the same after any number, unless steps are counted.
    Nor does it where nothing but lr is allowed as a step size, unless each zero multiplies it nevertheless.
    """
    try:
        runs, fixed = _after_zeros(laboratory, SETTING), _after_zeros(laboratory, _FIXED)
    except CouldNotRun:
        return False
    alike = [_close(earlier, later) for earlier, later in itertools.pairwise(runs)]
    if True in alike and False in alike[alike.index(True) :]:
        return True
    lr = np.full(runs[0].shape[1], SETTING["lr"])
    kept = [moves for moves in runs[1:] if _close(np.abs(moves[0]), lr)]
    firsts = np.array([np.abs(moves[0]) for moves in fixed[1:8]])
    if not _close(firsts[1:] * firsts[0], firsts[:-1] * firsts[1]):
        kept = fixed[1:]
    return not all(_close(kept[0], moves) for moves in kept)


def _after_zeros(laboratory: Laboratory, setting: dict[str, Any]) -> list[Array]:
    """The moves by some gradients after each number of zeros."""
    g = words((1.0, -1.0), 4)
    runs = []
    for zeros in _ZEROS:
        late = np.vstack([np.zeros((zeros, g.shape[1])), g])
        x = laboratory.run(late, loss=(1.0,) * len(late), **setting).x.astype(np.float64)
        runs.append(np.diff(x[zeros - 1 :], axis=0))
    return runs


#: Hyperparameters that fix step sizes at lr.
_FIXED: dict[str, Any] = {"lr": SETTING["lr"], "etas": (1.0, 1.0), "step_sizes": (SETTING["lr"],) * 2}

#: After how many gradients of 0. Pairs that differ by one are at the beginning only.
_ZEROS = (*range(1, 9), 20, 40, 130)


def _same(a: Array, b: Array) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def _close(a: Array, b: Array, lost: float = 0.0) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.allclose(a, b, rtol=ROUNDING, atol=max(1e-9, lost), equal_nan=True))
