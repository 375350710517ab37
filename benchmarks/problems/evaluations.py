"""`Evaluations`: the objective as a method sees it, which counts, records, and ends a run at its budget."""

from __future__ import annotations

import math
import time

import numpy as np

from .modes import Observed
from .problem import Array

#: Two records whose evaluation counts differ by less than this are merged, so a count is at most this much late.
RESOLUTION = 0.01


class EndOfRunError(Exception):
    """The budget of evaluations, or the time, is used up."""


class Evaluations:
    """Count evaluations and keep the best true value by evaluation count.

    Parameters
    ----------
    observed : Observed
        The problem in a mode: what the method sees, and what is true.
    budget : int
        Evaluations after which the run ends. A value with its gradient counts as one. Where there are values only,
        a gradient is n further ones.
    seconds : float
        The same for the time of this thread.
    """

    def __init__(self, observed: Observed, budget: int, seconds: float) -> None:
        self.observed = observed
        self.problem = observed.problem
        self.budget = budget
        self.seconds = seconds
        self.count = 0
        self.best = math.inf
        self.best_x = self.problem.x0.copy()
        self.curve: list[tuple[int, float, float]] = []
        self.ended = False
        self.began = time.thread_time()

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        return self.budget - self.count

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Value and gradient, as the method sees them."""
        x = self._inside(x)
        if self.problem.value_and_gradient is None:
            return self._by_differences(x)
        self._count(1)
        f, g, true = self.observed.value_and_gradient(x)
        self._record(x, true)
        return f, g

    def value(self, x: Array) -> float:
        """The value alone."""
        x = self._inside(x)
        self._count(1)
        f, true = self.observed.value(x)
        self._record(x, true)
        return f

    def _by_differences(self, x: Array) -> tuple[float, Array]:
        f = self.value(x)
        g = np.empty_like(x)
        for i in range(x.size):
            step = self.problem.difference * max(1.0, abs(x[i])) * (1.0 if x[i] >= 0 else -1.0)
            shifted = x.copy()
            shifted[i] += step
            if (shifted != self._inside(shifted)).any():
                shifted[i] = x[i] - step
            g[i] = (self.value(shifted) - f) / (shifted[i] - x[i])
        return f, g

    def _inside(self, x: Array) -> Array:
        """A copy of x; a point outside the bounds is moved in, so that no method gains by leaving them."""
        x = np.array(x, float).reshape(self.problem.x0.shape)
        if self.problem.bounds is not None:
            np.clip(x, *self.problem.bounds, out=x)
        return x

    def _count(self, evaluations: int) -> None:
        if self.left < evaluations or time.thread_time() - self.began > self.seconds:
            raise EndOfRunError
        self.count += evaluations

    def _record(self, x: Array, true: float) -> None:
        if not true < self.best:
            return
        self.best = true
        self.best_x = x
        entry = (self.count, time.thread_time() - self.began, true)
        if self.curve and len(self.curve) > 1 and self.count <= self.curve[-2][0] * (1 + RESOLUTION):
            self.curve[-1] = entry
        else:
            self.curve.append(entry)
