"""NIST's 27 regression problems from their two starts, as problems of a suite."""

from __future__ import annotations

import numpy as np

from .. import nist
from .problem import Array, Problem


def names() -> list[str]:
    """``Misra1a/1`` and so on, if NIST's files are there."""
    return [f"{name}/{start}" for name in sorted(nist._models) for start in (1, 2)]


def load(suite: str, name: str) -> Problem:
    """One problem from one of its starts."""
    files = nist.folder()
    assert files is not None
    dataset, start = name.split("/")
    problem = nist.problem(files, dataset)
    model = nist._models[dataset].py_func
    x, y = problem.args

    def value_and_gradient(b: Array) -> tuple[float, Array]:
        g = np.empty_like(b)
        return float(problem.fun(b, g, x, y)), g

    def absolute(b: Array) -> tuple[float, Array]:
        d = np.zeros((b.size, y.size))
        with np.errstate(all="ignore"):
            r = model(b, x.T, d) - y
        return float(np.abs(r).sum()), d @ np.sign(r)

    return Problem(suite, name, problem.file.starts[int(start) - 1].copy(), value_and_gradient, absolute=absolute)
