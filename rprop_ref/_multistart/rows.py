"""The results of many runs as columns: one array for each field of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from .._core import record
from .._core.status import Status, reported
from .messages import Messages

Array = np.ndarray[Any, Any]


@dataclass
class Rows:
    """The results of m runs; row i is what `minimize` returns for start i.

    Attributes
    ----------
    x, jac : ndarray, shape (m, \\*shape of x)
    fun, status, nit, nfev, njev : ndarray, shape (m,)
    message : Messages
    gradient : str
        Where gradients came from, as `minimize` reports it; empty if all runs raised exceptions.
    """

    message: Messages
    gradient: str
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
        return Rows(self.message.first(k), self.gradient, **{name: getattr(self, name)[:k] for name in _ARRAYS})

    def row(self, i: int) -> OptimizeResult:
        """The result of one run."""
        return OptimizeResult(
            gradient=self.gradient,
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
        self.message.replace(i, row.message[0])
        for name in _ARRAYS:
            getattr(self, name)[i] = getattr(row, name)[0]


_ARRAYS = tuple(field.name for field in fields(Rows) if field.name not in ("message", "gradient"))


def of_results(results: Sequence[OptimizeResult]) -> Rows:
    """Rows from results of `minimize`."""
    columns = {name: np.array([result[name] for result in results]) for name in _ARRAYS}
    messages = Messages([result.message for result in results], columns["status"])
    return Rows(messages, results[0].gradient, **columns)


def of_records(status: Array, entries: Array, x: Array, jac: Array, options: Array, sign: int) -> Rows:
    """Rows from the records of m runs in machine code.

    Parameters
    ----------
    status : ndarray, shape (m,)
    entries : ndarray of float64, shape (m, len(REPORTED))
        The entries `record.REPORTED` of each.
    x, jac : ndarray, shape (m, \\*shape of x)
    options : ndarray of float64, shape (ENTRIES,)
        A record with the options of all runs.
    sign : int
        -1 if the records hold negated values and gradients, else 1.
    """
    column = dict(zip(record.REPORTED, entries.T, strict=True))
    status, nit, nfev = (a.astype(int) for a in (status, column[record.NIT], column[record.NFEV]))
    return Rows(
        message=Messages([None] * len(status), status, entries, options, sign),
        gradient="compiled",
        status=np.array([reported(code) for code in status.tolist()], int),
        fun=sign * np.where(nit >= 0, column[record.BEST_F], column[record.LAST_F]),
        x=x,
        nit=np.maximum(nit, 0),  # -1 before the first evaluation
        jac=sign * jac,
        nfev=nfev,
        njev=nfev.copy(),
    )


def of_error(start: Array, error: Exception) -> Rows:
    """A single row, for a run whose objective raised an exception."""
    return without_result(start[None], Status.RAISED, f"{type(error).__name__}: {error}")


def without_result(starts: Array, status: int, message: str) -> Rows:
    """Rows for m starts without a result, shape (m, \\*shape of x), all with the same status and message."""
    zeros = np.zeros(len(starts), int)
    return Rows(
        message=Messages([message] * len(starts), zeros + status),
        gradient="",
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
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    gradient = next((part.gradient for part in parts if part.gradient), "")
    return Rows(Messages.joined([part.message for part in parts]), gradient, **columns)
