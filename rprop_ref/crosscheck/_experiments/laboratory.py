"""Running scripts on an implementation: many side by side, or one by one if it takes one coordinate only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._core.dtypes import named as dtype_named
from .._cases.case import Array, Case
from .._comparison.observe import CouldNotRun, Factory, observe
from .._comparison.trajectory import QUANTITIES, Trajectory

#: Hidden from `observe`: experiments look at x and at the caller's gradient only.
_STATE = frozenset(("prev", "step_size"))


def words(alphabet: Sequence[float], length: int) -> Array:
    """All sequences of gradients over an alphabet, shape (length, number of them), in the alphabet's order."""
    return np.array(list(itertools.product(alphabet, repeat=length))).T


def long_words(alphabet: Sequence[float], length: int, more: int) -> Array:
    """The same, each followed by some more gradients, drawn at random from the alphabet."""
    first = words(alphabet, length)
    return np.vstack([first, np.random.default_rng(2).choice(alphabet, (more, first.shape[1]))])


def moves_of(x: Array) -> Array:
    """How far x moves at each step from a start at 0, shape (steps, coordinates)."""
    moves: Array = np.diff(np.vstack([np.zeros(x.shape[1]), x]), axis=0)
    return moves


def special_gradients(lacks: frozenset[str]) -> tuple[float, ...]:
    """NaN and the infinities, as far as an implementation takes them."""
    features = ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "inf"))
    return tuple(value for value, feature in features if feature not in lacks)


class Laboratory:
    """An implementation, and what it takes.

    Attributes
    ----------
    dtype : str
        The dtype of the experiments.
    alone : bool
        Whether it takes one coordinate at a time only.
    """

    def __init__(self, factory: Factory, dtype: str) -> None:
        self.factory, self.dtype, self.alone = factory, dtype, False

    def run(self, g: Array, x0: Any = 0.0, *, loss: Sequence[float] | None = None, **setting: Any) -> Trajectory:
        """Run gradients of shape (steps, coordinates).

        Raises
        ------
        CouldNotRun
            If the implementation fails in these experiments.
        """
        dtype = dtype_named(self.dtype)
        steps, size = g.shape
        start = np.broadcast_to(np.asarray(x0, float), (size,)).astype(dtype)
        losses = tuple(float(v) for v in (loss if loss is not None else (1.0,) * steps))
        with np.errstate(all="ignore"):
            case = Case(
                "experiment", "", self.dtype, g.astype(dtype), start, loss=losses, **{"lr": 0.1, **setting}
            )
        return self.observed(case)

    def observed(self, case: Case) -> Trajectory:
        """Run a case; raises CouldNotRun if the implementation fails before its last step."""
        if not self.alone:
            trajectory = observe(self.factory, case, _STATE)
            if trajectory.steps == case.steps and trajectory.error is None:
                return trajectory
            if case.size == 1:
                raise CouldNotRun(str(trajectory.error))
        apart = [observe(self.factory, _named(case).alone(i), _STATE) for i in range(case.size)]
        failed = next((t for t in apart if t.steps < case.steps or t.error is not None), None)
        if failed is not None:
            raise CouldNotRun(str(failed.error))
        self.alone = True
        joint = {
            q: np.concatenate([t.shown()[q] for t in apart], axis=1) for q in QUANTITIES if q in apart[0].shown()
        }
        return Trajectory(case, joint["x"], None, None, joint["gradient"])


def _named(case: Case) -> Case:
    return case if len(case.scripts) == case.size else Case(**{**case.__dict__, "scripts": ("",) * case.size})
