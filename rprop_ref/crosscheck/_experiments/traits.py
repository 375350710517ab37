"""What an implementation depends on: other coordinates, magnitudes, the loss, where x is, time, or chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import CouldNotRun
from .laboratory import Laboratory, words
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

#: Losses that fall, rise, and do both.
FALLING, RISING, MIXED = (5.0, 4.0, 3.0, 2.0, 1.0), (1.0, 2.0, 3.0, 4.0, 5.0), (2.0, 3.0, 3.0, 1.0, 2.0)

#: Moves that differ by less than this part of themselves may differ by rounding.
ROUNDING = 1e-6


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
    if not _close(np.diff(x, axis=0), np.diff(run(g, 3.0), axis=0)):
        traits.outside.append("x itself: the same gradients give other moves from another start")
    traits.nature = _nature(laboratory, rng)
    return traits


def _nature(laboratory: Laboratory, rng: np.random.Generator) -> Nature:
    """Whether anything depends on the loss, or on which sign is which: perhaps only where limits are met."""
    short = words((1.0, -1.0, 0.0), LENGTH)
    longer = rng.choice([1.0, -1.0, 0.0], (20, 24), p=[0.42, 0.42, 0.16])
    falls, other = tuple(np.arange(20.0, 0, -1)), tuple(rng.choice([1.0, 2.0, 2.0, 3.0], 20))
    uses_loss, symmetric = False, True
    for setting in (SETTING, *NARROW):
        for g, losses in ((short, (FALLING, RISING, MIXED)), (longer, (falls, other))):
            runs = [laboratory.run(g, loss=loss, **setting).x.astype(np.float64) for loss in losses]
            mirrored = laboratory.run(-g, loss=losses[-1], **setting).x.astype(np.float64)
            uses_loss = uses_loss or not all(_same(runs[0], x) for x in runs[1:])
            symmetric = symmetric and _same(mirrored, -runs[-1])
    return Nature(symmetric, uses_loss)


def depends_on_time(laboratory: Laboratory) -> bool:
    """Whether the same gradients give other moves after forty gradients of 0 than after twenty."""
    g = words((1.0, -1.0), 4)
    moves = []
    for zeros in (20, 40):
        late = np.vstack([np.zeros((zeros, g.shape[1])), g])
        try:
            x = laboratory.run(late, loss=(1.0,) * len(late), **SETTING).x.astype(np.float64)
        except CouldNotRun:
            return False
        moves.append(np.diff(x[zeros - 1 :], axis=0))
    return not _close(*moves)


def _same(a: Array, b: Array) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def _close(a: Array, b: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.allclose(a, b, rtol=ROUNDING, atol=1e-9, equal_nan=True))
