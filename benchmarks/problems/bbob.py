"""BBOB's 24 noiseless functions in 2, 5, 10 and 20 dimensions, from the package coco-experiment: values only."""

from __future__ import annotations

import importlib.util

import numpy as np

from .problem import Array, Problem

DIMENSIONS = (2, 5, 10, 20)
FUNCTIONS = 24


def missing() -> str | None:
    """Why there is no BBOB here, or None."""
    return None if importlib.util.find_spec("cocoex") else "coco-experiment is not installed (extra problems)"


def names() -> list[str]:
    """``f1-2`` and so on: the function and the dimension."""
    return [f"f{f}-{n}" for n in DIMENSIONS for f in range(1, FUNCTIONS + 1)]


def load(suite: str, name: str) -> Problem:
    """The first instance of one function, within [-5, 5], from a start that depends on the name."""
    import cocoex

    function, n = (int(part) for part in name[1:].split("-"))
    problem = cocoex.BareProblem("bbob", function, n, 1)
    rng = np.random.default_rng([function, n])

    def value(x: Array) -> float:
        return float(problem(x))

    bounds = np.full(n, -5.0), np.full(n, 5.0)
    return Problem(suite, name, rng.uniform(-4, 4, n), None, value=value, bounds=bounds)
