"""All 27 nonlinear-regression problems of NIST's Statistical Reference Datasets, compiled, and solvers for them.

The models and their derivatives are written here. The data, the starts and the certified parameters are read from
NIST's own files, in the folder that the environment variable NIST_STRD_DIR names.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from rprop_ref import nist

Array = np.ndarray[Any, Any]


class Problem(NamedTuple):
    """A dataset and its sum of squares, ``fun(b, g, x, y) -> f``, which writes the gradient to g."""

    file: nist.File
    fun: Any
    args: tuple[Array, Array]


# Each model returns its prediction for the predictors x, and writes its derivatives with respect to b to d. The
# formulas hold for scalars and for arrays, real or complex, so the tests can check them without compiling.
_models: dict[str, Any] = {}


def _model(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a model, and register it under the names of its datasets."""

    def register(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(error_model="numpy")(function)
        for name in names:
            _models[name] = compiled
        return compiled

    return register


@_model("Misra1a", "BoxBOD")
def _saturation(b: Any, x: Any, d: Any) -> Any:
    e = np.exp(-b[1] * x[0])
    d[0] = 1.0 - e
    d[1] = b[0] * x[0] * e
    return b[0] * (1.0 - e)


@_model("Misra1b")
def _misra1b(b: Any, x: Any, d: Any) -> Any:
    u = 1.0 + b[1] * x[0] / 2.0
    d[0] = 1.0 - 1.0 / (u * u)
    d[1] = b[0] * x[0] / (u * u * u)
    return b[0] * d[0]


@_model("Misra1c")
def _misra1c(b: Any, x: Any, d: Any) -> Any:
    u = 1.0 + 2.0 * b[1] * x[0]
    root = np.sqrt(u)
    d[0] = 1.0 - 1.0 / root
    d[1] = b[0] * x[0] / (u * root)
    return b[0] * d[0]


@_model("Misra1d")
def _misra1d(b: Any, x: Any, d: Any) -> Any:
    u = 1.0 + b[1] * x[0]
    d[0] = b[1] * x[0] / u
    d[1] = b[0] * x[0] / (u * u)
    return b[0] * d[0]


@_model("Chwirut1", "Chwirut2")
def _chwirut(b: Any, x: Any, d: Any) -> Any:
    u = b[1] + b[2] * x[0]
    m = np.exp(-b[0] * x[0]) / u
    d[0] = -x[0] * m
    d[1] = -m / u
    d[2] = -x[0] * m / u
    return m


@_model("DanWood")
def _danwood(b: Any, x: Any, d: Any) -> Any:
    p = x[0] ** b[1]
    d[0] = p
    d[1] = b[0] * p * np.log(x[0])
    return b[0] * p


@_model("Lanczos1", "Lanczos2", "Lanczos3")
def _three_exponentials(b: Any, x: Any, d: Any) -> Any:
    m = 0.0 * b[0]
    for i in range(0, 6, 2):
        e = np.exp(-b[i + 1] * x[0])
        d[i] = e
        d[i + 1] = -b[i] * x[0] * e
        m += b[i] * e
    return m


@_model("Gauss1", "Gauss2", "Gauss3")
def _two_peaks(b: Any, x: Any, d: Any) -> Any:
    e = np.exp(-b[1] * x[0])
    d[0] = e
    d[1] = -b[0] * x[0] * e
    m = b[0] * e
    for i in range(2, 8, 3):
        u = (x[0] - b[i + 1]) / b[i + 2]
        e = np.exp(-u * u)
        d[i] = e
        d[i + 1] = b[i] * e * 2.0 * u / b[i + 2]
        d[i + 2] = d[i + 1] * u
        m += b[i] * e
    return m


@_model("Hahn1", "Thurber")
def _cubic_over_cubic(b: Any, x: Any, d: Any) -> Any:
    t = x[0]
    t2 = t * t
    t3 = t2 * t
    bottom = 1.0 + b[4] * t + b[5] * t2 + b[6] * t3
    m = (b[0] + b[1] * t + b[2] * t2 + b[3] * t3) / bottom
    d[0] = 1.0 / bottom
    d[1] = t / bottom
    d[2] = t2 / bottom
    d[3] = t3 / bottom
    d[4] = -m * d[1]
    d[5] = -m * d[2]
    d[6] = -m * d[3]
    return m


@_model("Kirby2")
def _quadratic_over_quadratic(b: Any, x: Any, d: Any) -> Any:
    t = x[0]
    t2 = t * t
    bottom = 1.0 + b[3] * t + b[4] * t2
    m = (b[0] + b[1] * t + b[2] * t2) / bottom
    d[0] = 1.0 / bottom
    d[1] = t / bottom
    d[2] = t2 / bottom
    d[3] = -m * d[1]
    d[4] = -m * d[2]
    return m


@_model("MGH09")
def _mgh09(b: Any, x: Any, d: Any) -> Any:
    t = x[0]
    bottom = t * t + t * b[2] + b[3]
    d[0] = (t * t + t * b[1]) / bottom
    m = b[0] * d[0]
    d[1] = b[0] * t / bottom
    d[2] = -m * t / bottom
    d[3] = -m / bottom
    return m


@_model("MGH10")
def _mgh10(b: Any, x: Any, d: Any) -> Any:
    u = x[0] + b[2]
    e = np.exp(b[1] / u)
    m = b[0] * e
    d[0] = e
    d[1] = m / u
    d[2] = -m * b[1] / (u * u)
    return m


@_model("MGH17")
def _two_exponentials(b: Any, x: Any, d: Any) -> Any:
    e1 = np.exp(-x[0] * b[3])
    e2 = np.exp(-x[0] * b[4])
    d[0] = 1.0
    d[1] = e1
    d[2] = e2
    d[3] = -b[1] * x[0] * e1
    d[4] = -b[2] * x[0] * e2
    return b[0] + b[1] * e1 + b[2] * e2


@_model("Nelson")
def _nelson(b: Any, x: Any, d: Any) -> Any:
    """Predicts log(y)."""
    e = x[0] * np.exp(-b[2] * x[1])
    d[0] = 1.0
    d[1] = -e
    d[2] = b[1] * x[1] * e
    return b[0] - b[1] * e


@_model("Rat42")
def _rat42(b: Any, x: Any, d: Any) -> Any:
    e = np.exp(b[1] - b[2] * x[0])
    u = 1.0 + e
    m = b[0] / u
    d[0] = 1.0 / u
    d[1] = -m * e / u
    d[2] = m * x[0] * e / u
    return m


@_model("Rat43")
def _rat43(b: Any, x: Any, d: Any) -> Any:
    e = np.exp(b[1] - b[2] * x[0])
    u = 1.0 + e
    d[0] = u ** (-1.0 / b[3])
    m = b[0] * d[0]
    d[1] = -m * e / (b[3] * u)
    d[2] = -d[1] * x[0]
    d[3] = m * np.log(u) / (b[3] * b[3])
    return m


@_model("Roszman1")
def _roszman1(b: Any, x: Any, d: Any) -> Any:
    v = x[0] - b[3]
    q = b[2] / v
    slope = 1.0 / (np.pi * (1.0 + q * q) * v)
    d[0] = 1.0
    d[1] = -x[0]
    d[2] = -slope
    d[3] = -slope * q
    return b[0] - b[1] * x[0] - np.arctan(q) / np.pi


@_model("Bennett5")
def _bennett5(b: Any, x: Any, d: Any) -> Any:
    u = b[1] + x[0]
    d[0] = u ** (-1.0 / b[2])
    m = b[0] * d[0]
    d[1] = -m / (b[2] * u)
    d[2] = m * np.log(u) / (b[2] * b[2])
    return m


@_model("Eckerle4")
def _eckerle4(b: Any, x: Any, d: Any) -> Any:
    u = (x[0] - b[2]) / b[1]
    d[0] = np.exp(-0.5 * u * u) / b[1]
    m = b[0] * d[0]
    d[1] = m * (u * u - 1.0) / b[1]
    d[2] = m * u / b[1]
    return m


@_model("ENSO")
def _enso(b: Any, x: Any, d: Any) -> Any:
    m = b[0] + 0.0 * x[0]
    d[0] = 1.0
    a = 2.0 * np.pi * x[0] / 12.0
    d[1] = np.cos(a)
    d[2] = np.sin(a)
    m += b[1] * d[1] + b[2] * d[2]
    for i in range(3, 9, 3):
        a = 2.0 * np.pi * x[0] / b[i]
        d[i + 1] = np.cos(a)
        d[i + 2] = np.sin(a)
        d[i] = (b[i + 1] * d[i + 2] - b[i + 2] * d[i + 1]) * a / b[i]
        m += b[i + 1] * d[i + 1] + b[i + 2] * d[i + 2]
    return m


def _objective(model: Any) -> Any:
    @numba.njit(error_model="numpy")
    def fun(b: Any, g: Any, x: Any, y: Any) -> Any:
        d = np.empty(b.size)
        g[:] = 0.0
        f = 0.0
        for i in range(y.size):
            r = y[i] - model(b, x[i], d)
            f += r * r
            for j in range(b.size):
                g[j] -= 2.0 * r * d[j]
        return f

    return fun


_objectives = {model: _objective(model) for model in dict.fromkeys(_models.values())}


def folder() -> Path | None:
    """The folder with NIST's files, or None if NIST_STRD_DIR is unset."""
    name = os.environ.get("NIST_STRD_DIR")
    return Path(name) if name else None


def problems(files: Path) -> Iterator[Problem]:
    """All 27 problems, in alphabetical order."""
    for name in sorted(_models):
        yield problem(files, name)


def problem(files: Path, name: str) -> Problem:
    """The problem of this name."""
    file = nist.read(files / f"{name}.dat")
    y = np.log(file.y) if name == "Nelson" else file.y.copy()
    return Problem(file, _objectives[_models[name]], (file.x.copy(), y))


def rprop(problem: Problem, start: Array, maxiter: int) -> Array:
    """Solve a problem with `rprop_ref.minimize` and its defaults, in at most `maxiter` iterations."""
    from rprop_ref import minimize

    solution: Array = minimize(problem.fun, start, args=problem.args, maxiter=maxiter, backend="numba").x
    return solution


def scipy_solver(method: str, **tolerances: float) -> Callable[[Problem, Array, int], Array]:
    """The same with a method of SciPy, and with the same compiled objective and gradient."""
    from scipy.optimize import minimize

    def solve(problem: Problem, start: Array, maxiter: int) -> Array:
        def fun(b: Array) -> tuple[float, Array]:
            g = np.empty_like(b)
            return problem.fun(b, g, *problem.args), g

        options = {"maxiter": maxiter, **({"maxfun": maxiter} if method == "L-BFGS-B" else {}), **tolerances}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            solution: Array = minimize(fun, start, jac=True, method=method, options=options).x
        return solution

    return solve


SOLVERS: dict[str, Callable[[Problem, Array, int], Array]] = {
    "Rprop": rprop,
    "L-BFGS-B": scipy_solver("L-BFGS-B"),
    "BFGS": scipy_solver("BFGS"),
    "L-BFGS-B told not to stop": scipy_solver("L-BFGS-B", ftol=0.0, gtol=0.0),
    "BFGS told not to stop": scipy_solver("BFGS", gtol=0.0),
}


def table(files: Path, maxiter: int = 1_000_000) -> dict[str, dict[str, list[float]]]:
    """Correct digits of the worst parameter, by problem and solver: one number for each of the two starts."""
    digits: dict[str, dict[str, list[float]]] = {}
    for problem in problems(files):
        file = problem.file
        digits[file.name] = {
            name: [nist.correct_digits(solve(problem, start, maxiter), file.certified) for start in file.starts]
            for name, solve in SOLVERS.items()
        }
    return digits
