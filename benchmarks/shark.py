"""The test of Rprop in Shark, the machine-learning library of the authors of iRprop."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rprop_ref import minimize_many
from rprop_ref.rules import RULES

#: The options of the test; its starts are uniform in the unit cube of five dimensions.
OPTIONS: dict[str, Any] = {
    "lr": 0.01,
    "etas": (0.5, 1.2),
    "step_sizes": (0.0, 1e100),
    "gtol": 0.0,
    "xtol": 0.0,
}


@numba.njit
def ellipsoid(x: Any, g: Any) -> Any:
    f = 0.0
    for i in range(x.size):
        w = 1e-3 ** (i / (x.size - 1))
        f += w * x[i] * x[i]
        g[i] = 2.0 * w * x[i]
    return f


@numba.njit
def rosenbrock(x: Any, g: Any) -> Any:
    f = 0.0
    for i in range(x.size - 1):
        a = x[i + 1] - x[i] * x[i]
        b = 1.0 - x[i]
        f += 100.0 * a * a + b * b
        g[i] -= 400.0 * x[i] * a + 2.0 * b
        g[i + 1] += 200.0 * a
    return f


def medians(trials: int = 100) -> dict[str, float]:
    """The median of the final values, by objective and rule. The test asks that each be below 1e-15."""
    x0s = np.random.default_rng(0).uniform(size=(trials, 5))
    cases = [("Ellipsoid", ellipsoid, 1000, rule) for rule in RULES]
    cases += [("Rosenbrock", rosenbrock, 100_000, rule) for rule in ("irprop+", "irprop-")]
    return {
        f"{name}, {rule}": float(np.median(minimize_many(fun, x0s, maxiter=limit, variant=rule, **OPTIONS).fun))
        for name, fun, limit, rule in cases
    }
