"""The demo: NIST's certified regression problems, fitted by Rprop and by L-BFGS-B."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.optimize import minimize as scipy_minimize

from . import backends
from ._minimizer.minimize import minimize
from .nist import PROBLEMS, Problem, correct_digits
from .rules import DEFAULT

#: Most iterations of either method.
MAXITER = 30_000

#: A run counts as solved if it has at least this many correct digits.
SOLVED = 6.0

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fit:
    """One run of one method: its result and its cost."""

    x: Array
    digits: float
    iterations: int
    evaluations: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """Both methods on one problem, from one of NIST's two starting points (1 or 2)."""

    problem: Problem
    start: int
    rprop: Fit
    lbfgsb: Fit


def runs(problems: Sequence[Problem] = PROBLEMS, maxiter: int = MAXITER) -> Iterator[Row]:
    """Fit every problem from both of NIST's starting points.

    No tolerance stops a method early: each goes on until it makes no more progress or has made `maxiter`
    iterations.
    """
    for problem in problems:
        for i, x0 in enumerate(problem.starts):
            yield Row(
                problem,
                i + 1,
                _fit(problem, x0, method=minimize, options={"maxiter": maxiter, "gtol": 0.0}),
                _fit(
                    problem,
                    x0,
                    method="L-BFGS-B",
                    options={"maxiter": maxiter, "maxfun": 20 * maxiter, "ftol": 0.0, "gtol": 0.0},
                ),
            )


def _fit(problem: Problem, x0: Array, **method: Any) -> Fit:
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        result: OptimizeResult = scipy_minimize(problem.objective, x0, jac=True, **method)
    seconds = time.perf_counter() - began
    return Fit(
        result.x,
        correct_digits(result.x, problem.certified),
        int(result.nit),
        int(result.nfev),
        seconds,
    )


def warm_up() -> float:
    """Load Numba and the compiled iteration, if that works, before anything is timed; return the seconds taken."""
    began = time.perf_counter()
    backends.resolve(None, 1, np.dtype(float), "iterate", DEFAULT, at_once=True)
    return time.perf_counter() - began


_HEAD = f"{'':17}|{'Rprop (rprop_ref.minimize)':^33}|{'L-BFGS-B (SciPy)':^33}"
_COLUMNS = f"{'problem':<10}{'start':>6} |" + f"{'iter':>7}{'eval':>8}{'seconds':>9}{'digits':>8} |" * 2


def table(rows: Iterator[Row], done: list[Row] | None = None) -> Iterator[str]:
    """Yield the lines of the table, each as soon as its runs have ended, then the score; append rows to `done`."""
    yield _HEAD
    yield _COLUMNS.removesuffix(" |")
    yield "-" * (len(_COLUMNS) - 2)
    solved = {"rprop": 0, "lbfgsb": 0}
    total = 0
    for row in rows:
        if done is not None:
            done.append(row)
        total += 1
        line = f"{row.problem.name:<10}{row.start:>6} |"
        for name in solved:
            fit: Fit = getattr(row, name)
            solved[name] += fit.digits >= SOLVED
            line += f"{fit.iterations:>7}{fit.evaluations:>8}{fit.seconds:>9.2f}{fit.digits:>8.1f} |"
        yield line.removesuffix(" |")
    yield ""
    yield (
        f"{SOLVED:g} or more correct digits in the worst parameter: "
        f"Rprop {solved['rprop']} of {total}, L-BFGS-B {solved['lbfgsb']} of {total}"
    )
