"""`SharedOptions`: the options that many runs share, and the initial values of these runs, on CPU and GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._core import record
from .._minimizer.starting import first_points, first_scalars
from .._minimizer.state import RunState

Array = np.ndarray[Any, Any]


class InitialValues(NamedTuple):
    """The initial values of m runs of n variables.

    Attributes
    ----------
    x, step_sizes : ndarray, shape (m, n)
        First points, within the bounds, and first step sizes.
    xtol, size_floor : ndarray of float64, shape (m,)
        Entries XTOL and SIZE_FLOOR of each record.
    scalars : ndarray of float64, shape (ENTRIES,)
        The scalars of each record; XTOL and SIZE_FLOOR are to be replaced by the above.
    """

    x: Array
    step_sizes: Array
    xtol: Array
    size_floor: Array
    scalars: Array


@dataclass(frozen=True)
class SharedOptions:
    """The options that many runs share.

    Attributes
    ----------
    state : RunState
        The state of any run with these options. Rule, bounds and stopping rules are read from it; its points are
        not used.
    lr, xtol
        The options of these names. They are not read from `state`, since their defaults depend on the start.
    """

    state: RunState
    lr: ArrayLike | str | None
    xtol: float | None

    @property
    def sign(self) -> int:
        """-1 if the records hold the negatives of values and gradients, else 1."""
        return self.state.sign

    def initial_values(self, points: Array) -> InitialValues:
        """The initial values of runs from some starts, shape (m, \\*shape of x)."""
        state, m = self.state, len(points)
        starts = np.ascontiguousarray(points.reshape(m, state.vectors.shape[1]))
        first = first_points(starts, state.shape, self.lr, state.bounds)
        xtol = first.default_xtol if self.xtol is None else np.full(m, self.xtol, float)
        scalars = first_scalars(starts.dtype)
        # The stopping rules are the last entries of a record, from MAXITER on.
        scalars[record.MAXITER :] = state.scalars[record.MAXITER :]
        return InitialValues(first.x, first.step_sizes, xtol, first.size_floor, scalars)
