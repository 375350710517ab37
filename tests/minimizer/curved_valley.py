"""Rosenbrock's function in machine code, and the same called from Python."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit
def rosenbrock(x, g):
    f = 0.0
    for i in range(x.size - 1):
        t, u = x[i + 1] - x[i] * x[i], 1 - x[i]
        f += 100 * t * t + u * u
        g[i] += -400 * t * x[i] - 2 * u
        g[i + 1] += 200 * t
    return f


def in_python(x):
    g = np.zeros_like(x)
    return rosenbrock(x, g), g
