"""Networks with early stopping, as in the papers on Rprop: breast cancer and diabetes, the five rules.

Half of the rows train the network, a quarter says when to stop, and a quarter tests it. Every 5 epochs the error
of the second part is looked at, and training ends once it is 5% above its lowest so far (Prechelt's criterion
GL5); the weights of the lowest count. Each row of the table is the mean over networks that differ in their first
weights and in the parts. Gradient descent with momentum has the best of four rates.

"irprop+" takes a move back only where the error of the training part rose. These runs end before it ever does, so
"irprop-" makes the same steps.

The data come with scikit-learn; the sets of Prechelt's collection PROBEN1 have the same names and other rows.

    python examples/early_stopping.py

References
----------
L. Prechelt, "PROBEN1: a set of neural network benchmark problems and benchmarking rules", University of Karlsruhe,
technical report 21/94, 1994.
C. Igel and M. Huesken, "Empirical evaluation of the improved Rprop learning algorithms", Neurocomputing 50, 2003.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rprop_ref import Parameter, Rprop, rules

try:
    from sklearn.datasets import load_breast_cancer, load_diabetes
except ModuleNotFoundError:
    sys.exit("The data of this example come with scikit-learn: pip install scikit-learn")

Array = np.ndarray[Any, Any]

HIDDEN = 8
NETWORKS = 5
MAX_EPOCHS = 1000
RATES = (0.003, 0.01, 0.03, 0.1)


class Network:
    """One hidden layer of tanh; the mean square of the errors and its gradient, in plain NumPy."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.weights = [
            rng.normal(0, 1 / np.sqrt(rows), (rows, columns))
            for rows, columns in ((inputs + 1, HIDDEN), (HIDDEN + 1, outputs))
        ]

    def outputs(self, x: Array) -> tuple[Array, Array]:
        """The hidden layer and the outputs."""
        hidden = np.tanh(x @ self.weights[0][:-1] + self.weights[0][-1])
        return hidden, hidden @ self.weights[1][:-1] + self.weights[1][-1]

    def error(self, x: Array, y: Array) -> float:
        return float(np.mean((self.outputs(x)[1] - y) ** 2))

    def gradients(self, x: Array, y: Array) -> tuple[float, list[Array]]:
        hidden, outputs = self.outputs(x)
        slope = 2 * (outputs - y) / y.size
        back = (slope @ self.weights[1][:-1].T) * (1 - hidden**2)
        gradients = [np.vstack([a.T @ b, b.sum(axis=0, keepdims=True)]) for a, b in ((x, back), (hidden, slope))]
        return float(np.mean((outputs - y) ** 2)), gradients


#: ``step(gradients, error)`` changes the weights in place.
Step = Callable[[list[Array], float], None]


def rprop(variant: str) -> Callable[[list[Array]], Step]:
    """Steps of one rule, with the settings of the papers."""

    def start(weights: list[Array]) -> Step:
        parameters = [Parameter(weight) for weight in weights]  # of the same memory
        optimizer = Rprop(parameters, lr=0.0125, etas=(0.5, 1.2), step_sizes=(0.0, 50.0), variant=variant)

        def step(gradients: list[Array], error: float) -> None:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step(loss=error)

        return step

    return start


def momentum(rate: float) -> Callable[[list[Array]], Step]:
    """Gradient descent with a momentum of 0.9."""

    def start(weights: list[Array]) -> Step:
        moves = [np.zeros_like(weight) for weight in weights]

        def step(gradients: list[Array], error: float) -> None:
            for weight, move, gradient in zip(weights, moves, gradients, strict=True):
                move[:] = 0.9 * move - rate * gradient
                weight[:] = weight + move

        return step

    return start


def train(x: Array, y: Array, seed: int, start: Callable[[list[Array]], Step]) -> tuple[int, float]:
    """The epoch of the lowest error on the second part, and the error on the third there."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    parts = np.split(order, [len(x) // 2, 3 * len(x) // 4])
    (x0, y0), (x1, y1), (x2, y2) = ((x[part], y[part]) for part in parts)
    network = Network(x.shape[1], y.shape[1], rng)
    step = start(network.weights)
    lowest, best = np.inf, (0, np.inf)
    for epoch in range(1, MAX_EPOCHS + 1):
        error, gradients = network.gradients(x0, y0)
        step(gradients, error)
        if epoch % 5 == 0:
            validation = network.error(x1, y1)
            if validation < lowest:
                lowest, best = validation, (epoch, network.error(x2, y2))
            if not validation <= 1.05 * lowest:
                break
    return best


def data() -> dict[str, tuple[Array, Array]]:
    """Inputs and outputs of each set, with mean 0 and standard deviation 1."""
    sets = {"cancer": load_breast_cancer(return_X_y=True), "diabetes": load_diabetes(return_X_y=True)}
    scaled = {}
    for name, (x, target) in sets.items():
        y = target.reshape(-1, 1).astype(float)
        scaled[name] = (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean(axis=0)) / y.std(axis=0)
    return scaled


def main() -> None:
    for name, (x, y) in data().items():
        print(f"\n{name}: {len(x)} rows, {x.shape[1]} inputs; means of {NETWORKS} networks")
        print("method                    epochs   error of the test part")
        for variant in rules.RULES:
            show(variant, [train(x, y, seed, rprop(variant)) for seed in range(NETWORKS)])
        tried = {rate: [train(x, y, seed, momentum(rate)) for seed in range(NETWORKS)] for rate in RATES}
        rate = min(tried, key=lambda rate: np.mean([error for _, error in tried[rate]]))
        show(f"momentum, rate {rate:g}", tried[rate])


def show(name: str, results: list[tuple[int, float]]) -> None:
    epochs, errors = np.transpose(results)
    print(f"{name:22}  {epochs.mean():8.0f}   {errors.mean():.4f} +- {errors.std(ddof=1):.4f}")


if __name__ == "__main__":
    main()
