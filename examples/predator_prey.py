"""An ODE fitted to counts, with noisy differences: Canadian lynx and snowshoe hares, 1900 to 1920.

The parameters of the Lotka-Volterra equations are fitted to the logarithms of the pelts that the Hudson's Bay
Company traded. The simulation computes in single precision, as simulations on a GPU do, so the sum of squares has
seven good digits: differences over SciPy's 1.5e-8 are all rounding error, and its quasi-Newton methods end where
they begin. Wider differences see the slope. The table says what each method makes of them; Nelder-Mead needs none.

    python examples/predator_prey.py

References
----------
P. Howard, "Modeling basics", lecture notes, Texas A&M University 2009 (the data, in thousands of pelts).
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numba
import numpy as np
from scipy.optimize import minimize as scipy_minimize

from rprop_ref import minimize, starts

HARES = np.fromstring(
    "30 47.2 70.2 77.4 36.3 20.6 18.1 21.4 22 25.4 27.1 40.3 57 76.6 52.3 19.5 11.2 7.6 14.6 16.2 24.7", sep=" "
)
LYNX = np.fromstring(
    "4 6.1 9.8 35.2 59.4 41.7 19 13 8.3 9.1 7.4 8 12.3 19.5 45.7 51.1 29.7 15.8 9.7 10.1 8.6", sep=" "
)
OBSERVED = np.log([HARES, LYNX]).astype(np.float32)

#: Of the logarithms of four rates (births, deaths of hares; deaths, births of lynx) and of both first counts.
RANGES = np.log([(0.2, 1.5), (0.01, 0.1), (0.2, 1.5), (0.01, 0.1), (15, 60), (2, 15)])
STARTS = 10
EVALUATIONS = 2000


@numba.njit
def simulation(rates: Any, first: Any) -> Any:
    """The logarithms of both counts in each year, by the classical Runge-Kutta method in single precision."""
    a, b, c, d = rates
    z = np.log(first)
    h = np.float32(0.05)
    result = np.empty((2, 21), np.float32)
    result[:, 0] = z
    k = np.empty((4, 2), np.float32)
    for year in range(1, 21):
        for _ in range(20):
            for stage in range(4):
                w = np.float32(0) if stage == 0 else np.float32(1) if stage == 3 else np.float32(0.5)
                at = z + w * h * k[stage - 1]
                k[stage, 0] = a - b * np.exp(at[1])
                k[stage, 1] = d * np.exp(at[0]) - c
            z = z + h / np.float32(6) * (k[0] + np.float32(2) * (k[1] + k[2]) + k[3])
        result[:, year] = z
    return result


def sum_of_squares(logarithms: np.ndarray) -> float:
    """Of the residuals of the logarithms of the counts; infinity where a count leaves the range of the numbers."""
    with np.errstate(over="ignore"):
        numbers = np.exp(logarithms.astype(np.float32))
    f = np.sum((simulation(numbers[:4], numbers[4:]) - OBSERVED) ** 2)
    return float(f) if np.isfinite(f) else np.inf


class Counted:
    """The objective, and how often it has been called; it ends a run after `EVALUATIONS`."""

    def __init__(self) -> None:
        self.calls, self.lowest = 0, np.inf

    def __call__(self, x: np.ndarray) -> float:
        if self.calls == EVALUATIONS:
            raise StopIteration
        self.calls += 1
        f = sum_of_squares(x)
        self.lowest = min(self.lowest, f)
        return f


#: The methods, with their options; Rprop's are those of `rprop_ref.minimize`.
METHODS: dict[str, dict[str, Any]] = {
    "Rprop": {"method": minimize, "options": {"gradient": "3-point", "finite_diff_rel_step": 1e-3, "lr": 0.05}},
    "L-BFGS-B": {"method": "L-BFGS-B"},
    "BFGS": {"method": "BFGS"},
    "Nelder-Mead": {"method": "Nelder-Mead"},
    "L-BFGS-B, eps 1e-2": {"method": "L-BFGS-B", "options": {"eps": 1e-2}},
    "BFGS, eps 1e-2": {"method": "BFGS", "options": {"eps": 1e-2}},
}


def main() -> None:
    """How low each method comes, from the same starts and with as many evaluations at most."""
    x0s = starts(RANGES, STARTS, seed=0)
    rows: dict[str, list[tuple[float, int]]] = {}
    for name, arguments in METHODS.items():
        rows[name] = []
        for x0 in x0s:
            fun = Counted()
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", RuntimeWarning)
                with contextlib.suppress(StopIteration):
                    scipy_minimize(fun, x0, **arguments)
            rows[name].append((fun.lowest, fun.calls))
    lowest = min(f for row in rows.values() for f, _ in row)
    print(f"the lowest sum of squares is {lowest:.4f}; {STARTS} starts")
    print("method              within 1% of it   median sum of squares   median evaluations")
    for name, row in rows.items():
        values, calls = np.transpose(row)
        near = np.sum(values < 1.01 * lowest)
        print(f"{name:18}  {near:15}  {np.median(values):22.4f}  {np.median(calls):19.0f}")


if __name__ == "__main__":
    main()
