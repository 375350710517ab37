"""The results of many runs as columns: one array for each field of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from .._core.status import Status, message_of, reported

Array = np.ndarray[Any, Any]


@dataclass
class Rows:
    """The results of m runs; row i is what `minimize` returns for start i.

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
        is_success: Array = self.status == Status.CONVERGED
        return is_success

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

    def replace(self, i: int, row: Rows) -> None:
        """Put a single row in the place of row i."""
        for field in fields(Rows):
            getattr(self, field.name)[i] = getattr(row, field.name)[0]


def of_results(results: Sequence[OptimizeResult]) -> Rows:
    """Rows from results of `minimize`."""
    columns = {field.name: [result[field.name] for result in results] for field in fields(Rows)}
    return Rows(columns.pop("message"), **{name: np.array(values) for name, values in columns.items()})


def of_arrays(*, status: Array, fun: Array, x: Array, nit: Array, jac: Array, nfev: Array, sign: int) -> Rows:
    """Rows from entries of the records of m runs.

    Parameters
    ----------
    status, fun, nit, nfev : ndarray, shape (m,)
    x, jac : ndarray, shape (m, \\*shape of x)
    sign : int
        -1 if the records hold negated values and gradients, else 1.
    """
    codes = status.astype(int).tolist()
    return Rows(
        message=[message_of(code) for code in codes],
        status=np.array([reported(code) for code in codes], int),
        fun=sign * fun,
        x=x,
        nit=np.maximum(nit, 0).astype(int),  # -1 before the first evaluation
        jac=sign * jac,
        nfev=nfev.astype(int),
        njev=nfev.astype(int),
    )


def of_error(start: Array, error: Exception) -> Rows:
    """A single row, for a run whose objective raised an exception."""
    return without_result(start[None], Status.RAISED, f"{type(error).__name__}: {error}")


def without_result(starts: Array, status: int, message: str) -> Rows:
    """Rows for m starts without a result, shape (m, \\*shape of x), all with the same status and message."""
    zeros = np.zeros(len(starts), int)
    return Rows(
        message=[message] * len(starts),
        status=zeros + status,
        fun=np.full(len(starts), np.nan),
        x=starts.copy(),
        nit=zeros,
        jac=np.full_like(starts, np.nan),
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
