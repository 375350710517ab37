"""How many runs with the same options begin, whether they then run on the CPU or on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._core import record
from .._minimizer.starting import first_points, first_scalars
from .._minimizer.state import RunState

Array = np.ndarray[Any, Any]


class Beginnings(NamedTuple):
    """Where m runs of n variables begin.

    Attributes
    ----------
    x, step_sizes : ndarray, shape (m, n)
        First points, within the bounds, and first step sizes.
    xtol, size_floor : ndarray of float64, shape (m,)
        Entries XTOL and SIZE_FLOOR of each record.
    scalars : ndarray of float64, shape (ENTRIES,)
        The other scalars of a record, the same for all runs.
    """

    x: Array
    step_sizes: Array
    xtol: Array
    size_floor: Array
    scalars: Array


@dataclass(frozen=True)
class SameOptions:
    """The options that many runs share.

    Attributes
    ----------
    state : RunState
        Of any run with these options. Rule, bounds and stopping rules are read from it, its points are not.
    lr, xtol
        The options of these names. What they mean depends on the start, if they are not numbers.
    """

    state: RunState
    lr: ArrayLike | str | None
    xtol: float | None

    @property
    def sign(self) -> int:
        """-1 if the runs maximize: then their records hold the negatives of values and gradients. Else 1."""
        return -1 if self.state.maximize else 1

    def begin(self, points: Array) -> Beginnings:
        """The beginnings of runs from some starts, shape (m, \\*shape of x)."""
        state, m = self.state, len(points)
        starts = np.ascontiguousarray(points.reshape(m, state.vectors.shape[1]))
        first = first_points(starts, state.shape, self.lr, state.bounds)
        xtol = first.default_xtol if self.xtol is None else np.full(m, self.xtol, float)
        scalars = first_scalars(starts.dtype)
        scalars[record.MAXITER :] = state.scalars[record.MAXITER :]
        return Beginnings(first.x, first.step_sizes, xtol, first.size_floor, scalars)
