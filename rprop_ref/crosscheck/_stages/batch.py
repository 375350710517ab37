"""Many cases as one: their coordinates side by side in the same arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._cases.case import Array, Case


class Batch:
    """Cases of one dtype side by side, as arrays of shape (T, N): T steps, N coordinates.

    Attributes
    ----------
    dtype : numpy.dtype
        The dtype of a coordinate.
    steps, size : int
        T, the steps of the longest case, and N.
    x0 : ndarray, shape (N,)
        The starting points.
    g : ndarray, shape (T, N)
        The gradients; 0 where there is none, and after the end of a case.
    none : ndarray of bool, shape (T, N)
        Where the gradient is None, or the case is over.
    resumed, lr_edited : ndarray of bool, shape (T, N)
        Where, before the step, the state is saved and loaded; where `lr` is set.
    lr, eta_minus, eta_plus, low, high : ndarray of float64, shape (T, N)
        The hyperparameters at each step, as given.
    loss : ndarray of float64, shape (T, N)
        The loss that is passed to the step; 0 after the end of a case.
    maximize : ndarray of bool, shape (N,)
    reused : ndarray of bool, shape (N,)
        Where the caller passes the same gradient array, overwritten, at every step.
    bounded : ndarray of bool, shape (N,)
        Where x has bounds.
    lower, upper : ndarray, shape (N,)
        The bounds; infinite where there are none.
    starts : ndarray of int, shape (cases,)
        The first coordinate of each case.
    case : ndarray of int, shape (N,)
        The case of each coordinate.
    lengths : ndarray of int, shape (N,)
        The number of steps of its case.
    objectives : list of (slice, objective)
        Coordinates whose gradient is that of an objective at x instead of `g`.
    constants_change : list of bool
        For each step, whether a hyperparameter differs from the step before; True at the first.
    """

    dtype: np.dtype[Any]
    x0: Array
    g: Array
    none: Array
    resumed: Array
    lr_edited: Array
    lr: Array
    eta_minus: Array
    eta_plus: Array
    low: Array
    high: Array
    loss: Array
    maximize: Array
    reused: Array
    bounded: Array
    lower: Array
    upper: Array
    starts: Array
    case: Array
    lengths: Array
    objectives: list[tuple[slice, Any]]

    def __init__(self, cases: Sequence[Case]) -> None:
        self.steps, self.size = max(c.steps for c in cases), sum(c.size for c in cases)
        self._allocate(cases)
        for start, case in zip(self.starts, cases, strict=True):
            columns = slice(int(start), int(start) + case.size)
            self._copy_case(case, columns)
            self._copy_hyperparameters(case, columns)
        changes = np.zeros(self.steps, bool)
        changes[0] = True
        for a in (self.lr, self.eta_minus, self.eta_plus, self.low, self.high):
            same = (a[1:] == a[:-1]) | (np.isnan(a[1:]) & np.isnan(a[:-1]))
            changes[1:] |= ~same.all(axis=1)
        self.constants_change = changes.tolist()

    def _allocate(self, cases: Sequence[Case]) -> None:
        self.dtype = cases[0].real
        shape, size = (self.steps, self.size), self.size
        self.x0 = np.concatenate([c.x0 for c in cases])
        self.g, self.loss = np.zeros(shape, self.dtype), np.zeros(shape)
        self.none, self.resumed, self.lr_edited = (np.zeros(shape, bool) for _ in range(3))
        self.lr, self.eta_minus, self.eta_plus, self.low, self.high = (np.zeros(shape) for _ in range(5))
        self.maximize, self.reused, self.bounded = (np.zeros(size, bool) for _ in range(3))
        self.lower, self.upper = np.full(size, -np.inf, self.dtype), np.full(size, np.inf, self.dtype)
        self.lengths = np.zeros(size, int)
        self.case = np.repeat(np.arange(len(cases)), [c.size for c in cases])
        self.starts = np.cumsum([0, *(c.size for c in cases)])[:-1]
        self.objectives = []

    def _copy_case(self, case: Case, columns: slice) -> None:
        self.g[: case.steps, columns] = case.g
        self.loss[: case.steps, columns] = np.array(case.loss or np.full(case.steps, np.nan))[:, None]
        self.maximize[columns], self.reused[columns] = case.maximize, case.reused
        self.lengths[columns] = case.steps
        if case.bounds is not None:
            self.bounded[columns] = True
            self.lower[columns], self.upper[columns] = case.bounds
        if case.objective is not None:
            self.objectives.append((columns, case.objective))
        missing, resumed = (sorted(t for t in some if t < self.steps) for some in (case.none, case.resumed))
        self.none[case.steps :, columns] = True
        self.none[missing, columns] = True
        self.g[missing, columns] = 0
        self.resumed[resumed, columns] = True

    def _copy_hyperparameters(self, case: Case, columns: slice) -> None:
        edits = {t: edit for t, edit in case.edits.items() if t < self.steps}
        current = {"lr": case.lr, "etas": case.etas, "step_sizes": case.step_sizes}
        for t in sorted({0, *edits}):  # each holds until the next one
            edit = edits.get(t, {})
            current |= edit
            self.lr_edited[t, columns] = "lr" in edit
            self.lr[t:, columns] = current["lr"]
            self.eta_minus[t:, columns], self.eta_plus[t:, columns] = current["etas"]
            self.low[t:, columns], self.high[t:, columns] = current["step_sizes"]
