"""The results of many runs as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

Array = np.ndarray[Any, Any]


@dataclass
class Rows:
    """What `minimize` returned for each of m starts.

    Attributes
    ----------
    x, jac : ndarray, shape (m, \\*shape of x)
    fun, status, nit, nfev, njev : ndarray, shape (m,)
    message : list of m strings
    """

    message: list[str]
    status: Array
    fun: Array
    x: Array
    nit: Array
    jac: Array
    nfev: Array
    njev: Array

    def __len__(self) -> int:
        return len(self.message)

    @property
    def success(self) -> Array:
        """Whether a tolerance was met, shape (m,)."""
        found: Array = self.status == 0
        return found

    def first(self, k: int) -> Rows:
        """The first k rows."""
        return Rows(*(getattr(self, field.name)[:k] for field in fields(Rows)))

    def row(self, i: int) -> OptimizeResult:
        """The result of one run."""
        return OptimizeResult(
            message=self.message[i],
            success=bool(self.success[i]),
            status=int(self.status[i]),
            fun=float(self.fun[i]),
            x=self.x[i].copy(),
            nit=int(self.nit[i]),
            jac=self.jac[i].copy(),
            nfev=int(self.nfev[i]),
            njev=int(self.njev[i]),
        )


def of_results(results: Sequence[OptimizeResult]) -> Rows:
    """Results of `minimize` as columns."""
    columns = {field.name: [result[field.name] for result in results] for field in fields(Rows)}
    return Rows(columns.pop("message"), **{name: np.array(values) for name, values in columns.items()})


def without_result(points: Array, status: int, messages: list[str]) -> Rows:
    """The rows of starts that have no result."""
    zeros = np.zeros(len(points), int)
    return Rows(
        message=messages,
        status=zeros + status,
        fun=np.full(len(points), np.nan),
        x=points.copy(),
        nit=zeros,
        jac=np.full_like(points, np.nan),
        nfev=zeros,
        njev=zeros,
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows of some parts, in order."""
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Rows)
        if field.name != "message"
    }
    return Rows([message for part in parts for message in part.message], **columns)
