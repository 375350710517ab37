"""BBOB's 24 functions without noise, and 24 with, in 2, 5, 10 and 20 dimensions: values only, by coco-experiment.

The functions with noise are those without, with noise that is normal, uniform or Cauchy's, moderate or severe. Six
of BBOB's 30 are left out: they differ from those without noise, so their true values are not known.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np

from .problem import Array, Problem

DIMENSIONS = (2, 5, 10, 20)
FUNCTIONS = 24

#: Functions with noise, in threes (normal, uniform, Cauchy's), and the one without.
NOISY = {101: 1, 104: 8, 107: 1, 110: 8, 113: 7, 119: 14, 122: 17, 128: 21}

#: With noise that is relative to the value, finite differences must reach far; the box has a width of 10.
NOISY_DIFFERENCE = 0.1


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


def noisy_names() -> list[str]:
    """As `names`, for the functions with noise."""
    return [f"f{first + k}-{n}" for n in DIMENSIONS for first in NOISY for k in range(3)]


def load_noisy(suite: str, name: str) -> Problem:
    """The first instance of a function with noise; its true values are those of the one without.

    Cauchy's noise is added to the value plus 1,000 or 10, a constant that no method here notices. Noise is drawn
    in the order of the evaluations, so a run depends on those made before it since the problem was loaded.
    """
    import cocoex

    function, n = (int(part) for part in name[1:].split("-"))
    without = load(suite, f"f{NOISY[function - (function - 101) % 3]}-{n}")
    one = cocoex.Suite("bbob-noisy", "", f"dimensions: {n} function_indices: {function - 100} instance_indices: 1")
    noisy = one[0]

    def shown(x: Array) -> float:
        assert one is not None  # which owns the problem
        return float(noisy(x))

    start = np.random.default_rng([function, n]).uniform(-4, 4, n)
    return replace(without, suite=suite, name=name, x0=start, shown=shown, difference=NOISY_DIFFERENCE)
