"""Objectives with known minima, each with its gradient."""

from __future__ import annotations

import numpy as np
from scipy.optimize import rosen, rosen_der


def sphere(x):
    return float(np.sum((x - 1) ** 2))


def sphere_der(x):
    return 2 * (x - 1)


def scaled(x):
    """A quadratic whose variables differ in scale by a million."""
    w = np.logspace(-3, 3, x.size)
    return float(np.sum(w * (x - 2) ** 2))


def scaled_der(x):
    return 2 * np.logspace(-3, 3, x.size) * (x - 2)


def himmelblau(x):
    return float((x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2)


def himmelblau_der(x):
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return np.array([4 * a * x[0] + 2 * b, 2 * a + 4 * b * x[1]])


def log_barrier(x):
    """Not finite where x <= 0; its minimum is at 1."""
    with np.errstate(all="ignore"):
        return float(np.sum(x - np.log(x)))


def log_barrier_der(x):
    with np.errstate(all="ignore"):
        return 1 - 1 / x


#: name: (fun, jac, x0, solution)
PROBLEMS = {
    "sphere": (sphere, sphere_der, np.array([3.0, -2.0, 0.0]), np.ones(3)),
    "scaled": (scaled, scaled_der, np.full(6, -1.0), np.full(6, 2.0)),
    "rosenbrock": (rosen, rosen_der, np.array([-1.2, 1.0]), np.ones(2)),
    "himmelblau": (himmelblau, himmelblau_der, np.zeros(2), np.array([3.0, 2.0])),
    "barrier": (log_barrier, log_barrier_der, np.array([0.01, 30.0]), np.ones(2)),
}
