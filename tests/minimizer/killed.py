"""A run of `minimize` that a test kills: ``python killed.py CHECKPOINT`` prints a line when it begins."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from rprop_ref import minimize

#: The checkpoint is written so often that some kills interrupt the writing.
RUN: dict[str, Any] = {
    "x0": np.array([-1.2, 1.0, 0.3, -0.7]),
    "jac": True,
    "bounds": [(None, None), (-1.5, 1.5), (None, 0.9), (None, None)],
    "variant": "irprop+",
    "gtol": 0,
    "xtol": 0,
    "maxiter": 1500,
    "checkpoint_every": 15,
}


def fun(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Rosenbrock's function, not finite where the first variable is too large."""
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = np.zeros_like(x)
    g[1:] = 200 * a
    g[:-1] -= 400 * x[:-1] * a + 2 * b
    return (float(100 * a @ a + b @ b) if x[0] < 1 else np.nan), g


if __name__ == "__main__":
    print("begun", flush=True)
    minimize(fun, **RUN, checkpoint=sys.argv[1], backend="numpy")
