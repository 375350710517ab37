"""Hyperparameters of a Gaussian process: Rprop as the `optimizer` of scikit-learn's GaussianProcessRegressor.

scikit-learn maximizes the marginal likelihood with L-BFGS-B, and takes any other method as a function of three
arguments. Rprop is a usual choice there (Blum and Riedmiller 2013; the library limbo). The variables are
logarithms of length scales and variances, so all first steps may be the same: 0.1.

The data are scikit-learn's diabetes set: a length scale for each of its 10 variables, fitted to 120 patients and
tested on the others, by each method from the same three starts.

    python examples/gaussian_process.py

References
----------
M. Blum, M. Riedmiller, "Optimization of Gaussian process hyperparameters using Rprop", European Symposium on
Artificial Neural Networks, 2013.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize as scipy_minimize

import rprop_ref

try:
    from sklearn.datasets import load_diabetes
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
except ModuleNotFoundError:
    sys.exit("This example needs scikit-learn: pip install scikit-learn")

Array = np.ndarray[Any, Any]

TRAINING = 120


def rprop(fun: Callable[[Array], tuple[float, Array]], theta: Array, bounds: Array) -> tuple[Array, float]:
    """What ``GaussianProcessRegressor(optimizer=...)`` takes: returns the best point and its value."""
    result = rprop_ref.minimize(fun, theta, jac=True, bounds=bounds, lr=0.1, etas=(0.5, 1.2), ftol=1e-6, window=20)
    return result.x, result.fun


def lbfgsb(fun: Callable[[Array], tuple[float, Array]], theta: Array, bounds: Array) -> tuple[Array, float]:
    """What scikit-learn does by default."""
    result = scipy_minimize(fun, theta, jac=True, method="L-BFGS-B", bounds=bounds)
    return result.x, result.fun


def counted(
    optimizer: Callable[..., tuple[Array, float]], counts: list[int]
) -> Callable[..., tuple[Array, float]]:
    """The optimizer, and the evaluations of value and gradient that it makes appended to `counts`."""

    def run(fun: Callable[[Array], tuple[float, Array]], theta: Array, bounds: Array) -> tuple[Array, float]:
        counts.append(0)

        def count(theta: Array) -> tuple[float, Array]:
            counts[-1] += 1
            return fun(theta)

        return optimizer(count, theta, bounds)

    return run


def main() -> None:
    """Fit the process with both methods from three starts, and print a table."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x / x.std(axis=0), (y - y.mean()) / y.std()
    order = np.random.default_rng(0).permutation(y.size)
    train, test = order[:TRAINING], order[TRAINING:]
    print("method    start  evaluations  log likelihood  test error")
    for start, length in enumerate((1.0, 3.0, 30.0), 1):
        for name, optimizer in (("Rprop", rprop), ("L-BFGS-B", lbfgsb)):
            counts: list[int] = []
            kernel = ConstantKernel(1.0) * RBF(np.full(x.shape[1], length), (1e-2, 1e4)) + WhiteKernel(0.5)
            process = GaussianProcessRegressor(kernel, optimizer=counted(optimizer, counts))
            with warnings.catch_warnings():
                # A variable that explains nothing gets the longest scale that the bounds allow.
                warnings.simplefilter("ignore", ConvergenceWarning)
                process.fit(x[train], y[train])
            error = np.sqrt(np.mean((process.predict(x[test]) - y[test]) ** 2))
            likelihood = process.log_marginal_likelihood_value_
            print(f"{name:8}  {start:5}  {sum(counts):11}  {likelihood:14.4f}  {error:10.4f}")


if __name__ == "__main__":
    main()
