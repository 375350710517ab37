"""What the lengths of a rule are: step sizes, or multiples of lr; numbers of the dtype, or of float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import CouldNotRun
from .._comparison.trajectory import Trajectory
from .._table.grammar import Answer
from .laboratory import Laboratory, moves_of, words
from .measure import factors_in_float32, measured, own_limits
from .search import Numbers
from .traits import MIXED, NARROW, SETTING

#: An lr whose double is exact, and limits that are soon met by step sizes that begin with it.
_LR, _NEAR = 0.125, {**NARROW[0], "step_sizes": (0.08, 0.19)}

#: How many times as large an lr is at which no floor is met.
_MUCH_LARGER = 2.0**20


@dataclass(frozen=True)
class Units:
    """One way to understand the lengths that a rule moves by.

    Attributes
    ----------
    laboratory : Laboratory
        Where lengths are measured in these units.
    numbers : Numbers
        Those that were measured there.
    fixed : dict of str to tuple of answers
        What the entries about units are.
    """

    laboratory: Laboratory
    numbers: Numbers
    fixed: dict[str, tuple[Answer, ...]] = field(default_factory=dict)


class _PerLr(Laboratory):
    """A laboratory that sees x in units of lr, which may be so many times as large as it is asked for."""

    def __init__(self, of: Laboratory, times: float = 1.0) -> None:
        super().__init__(of.factory, of.dtype)
        self.alone, self._times = of.alone, times

    def run(self, g: Array, x0: Any = 0.0, **setting: Any) -> Trajectory:
        run = super().run(g, x0, **{**setting, "lr": setting.get("lr", 0.1) * self._times})
        with np.errstate(all="ignore"):
            x = run.x / run.case.lr
        return Trajectory(run.case, x, None, None, run.gradient)


def units(laboratory: Laboratory, numbers: Numbers, lacks: frozenset[str]) -> Iterator[Units]:
    """The units in which a rule may be understood, the likeliest first.

    Parameters
    ----------
    laboratory : Laboratory
    numbers : Numbers
        What was measured in lengths.
    lacks : frozenset of str
        The features that the implementation does not have.
    """
    usual = Units(laboratory, numbers)
    if not _are_float32(laboratory):
        yield from _of_lr(usual, lacks)
        return
    factors = tuple(dict.fromkeys((*numbers.get("factor", ()), *factors_in_float32(laboratory))))
    single = Units(laboratory, {**numbers, "factor": factors} if factors else numbers)
    for one in _of_lr(single, lacks):
        yield replace(one, fixed={**one.fixed, "step sizes": ("float32",), "constants": ("given", "float32")})
    yield usual


def _of_lr(usual: Units, lacks: frozenset[str]) -> Iterator[Units]:
    """The units of a rule whose moves, or limits, may be multiples of lr; and those in which they are not."""
    laboratory, numbers = usual.laboratory, usual.numbers
    per_lr = _PerLr(laboratory)
    limits, of_limits = _limits(per_lr, numbers), []
    if limits:
        # A floor may hide one of them, but not from an lr that is much larger.
        limits = {**_limits(_PerLr(laboratory, _MUCH_LARGER), numbers), **limits}
        rest = {name: values for name, values in numbers.items() if name not in ("largest", "smallest")}
        of_limits = [Units(laboratory, {**rest, **limits}, {"own limits": ("times lr",)})]
    if not (_is_multiplied(laboratory) or _follow_lr(laboratory)):
        yield from (usual, *of_limits)
        return
    lengths = ("largest", "smallest", "floor", "start")
    rest = {name: values for name, values in numbers.items() if name not in lengths}
    of_moves = Units(per_lr, {**measured(per_lr, lacks), **rest}, {"move by": ("lr times size",)})
    yield from (*of_limits, of_moves, usual)


def _limits(per_lr: _PerLr, numbers: Numbers) -> Numbers:
    """Limits of its own that are the same multiples of every lr."""
    return {
        name: some
        for name, values in own_limits(per_lr, numbers).items()
        if (some := tuple(v for v in values if (v >= 2 if name == "largest" else v <= 0.5)))
    }


def _are_float32(laboratory: Laboratory) -> bool:
    """Whether all moves are numbers of float32, or lr times one, though x is not."""
    if laboratory.dtype != "float64":
        return False
    g = words((1.0, -1.0), 5)
    # Multiplied by lr, numbers of float32 stay so if that is a power of two; but so do those times one eta.
    exact, other = (laboratory.run(g, **{**SETTING, "lr": lr}).x for lr in (_LR, SETTING["lr"]))
    moves = moves_of(other)
    given = np.array([0.0, SETTING["lr"], *SETTING["step_sizes"]], np.float32)
    if len(np.setdiff1d(np.abs(moves), given)) < 2:  # nothing was multiplied, and rounded afterwards
        return False
    if not _are_single(moves_of(exact)) or _are_single(exact):
        return False
    return _are_single(moves) or _are_single(moves / SETTING["lr"], 1e-12)


def _are_single(v: Array, lost: float = 0.0) -> bool:
    """Whether float32 holds all of these, but for what rounding has lost."""
    return bool((np.abs(v - np.float32(v)) <= lost * np.abs(v)).all())


def _is_multiplied(laboratory: Laboratory) -> bool:
    """Whether x moves by lr times the only step size that is allowed, which no other rule does by chance."""
    setting: dict[str, Any] = {"lr": 0.137, "etas": (0.43, 1.27), "step_sizes": (0.311, 0.311)}
    try:
        x = laboratory.run(words((1.0, -1.0, 0.0), 5), loss=MIXED, **setting).x.astype(np.float64)
    except CouldNotRun:
        return False
    length = setting["lr"] * setting["step_sizes"][0]
    return bool((np.abs(np.abs(np.diff(x, axis=0)) - length) <= 1e-9 * length).any())


def _follow_lr(laboratory: Laboratory) -> bool:
    """Whether x is twice as far from 0 with twice the lr, also where limits would be met."""
    g = words((1.0, -1.0, 0.0), 5)
    try:
        once, twice = (laboratory.run(g, **{**_NEAR, "lr": lr}).x for lr in (_LR, 2 * _LR))
    except CouldNotRun:
        return False
    return bool(once.any() and np.array_equal(2 * once, twice))
