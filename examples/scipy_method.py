"""An objective whose gradient says where to go, but not how far: finding a narrow peak from far away.

Five variables with scales from 0.01 to 100 must all be near their targets before the peak can be seen. At the
start the largest component of the gradient is about 5e-8. A method that takes a small gradient for convergence
stops there and reports success, unless it is told not to. Rprop looks at the signs of the gradient, and its
default tolerance is small.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

import rprop_ref

target = np.array([0.03, -2.0, 10.0, 0.5, -300.0])
width = np.array([0.01, 0.1, 1.0, 10.0, 100.0])


def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Minus the height of the peak at x, and the gradient of that."""
    distance = (x - target) / width
    height = np.exp(-0.5 * distance @ distance)
    return -float(height), height * distance / width


start = target + 3 * width
tight = {"Rprop": {"gtol": 0.0}, "L-BFGS-B": {"gtol": 0.0, "ftol": 0.0}, "BFGS": {"gtol": 1e-300}}
print("The peak has height 1. How high does each method get, and does it report success?")
print(f"{'':32}{'height found':>13}{'evaluations':>13}{'error, in widths':>18}   success")
misled = []
for options in ({}, tight):
    for name, method in (("Rprop", rprop_ref.minimize), ("L-BFGS-B", "L-BFGS-B"), ("BFGS", "BFGS")):
        result = minimize(loss, start, jac=True, method=method, options=options.get(name, {}))
        error = np.max(np.abs(result.x - target) / width)
        title = f"{name}, {'no' if options else 'default'} tolerances"
        print(f"{title:32}{-result.fun:13.6f}{result.nfev:13d}{error:18.1e}   {result.success}")
        if result.success and -result.fun < 0.5:
            misled.append(title)
print("Success was reported far from the peak by:", "; ".join(misled) or "none")
