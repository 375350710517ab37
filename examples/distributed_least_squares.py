"""Least squares on data that stay on the workers of a cluster, with the same bits for any number of workers.

The data are cut into shards, and each worker keeps its shards. A worker receives a point and returns a loss and a
gradient for each shard. They are summed in the order of the shards, wherever they came from. So the number of
workers and the assignment of shards change nothing, not even the last bit.

    python examples/distributed_least_squares.py [numbers of workers]
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

import rprop_ref

Array = np.ndarray[Any, Any]
Shard = tuple[Array, Array]

SHARDS = 8
ROWS = 2_000  # of each shard
TRUTH = np.array([2.0, -1.5, 0.5, 3.0])


def make_shard(seed: int) -> Shard:
    """A shard as its worker would read it from a file of its own: noisy samples of a damped oscillation."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0.0, 2.0, ROWS)
    return t, model(TRUTH, t)[0] + 0.1 * rng.standard_normal(ROWS)


def model(b: Array, t: Array) -> tuple[Array, Array]:
    """``b0 exp(b1 t) cos(b3 t) + b2``, and its derivatives."""
    decay, wave = b[0] * np.exp(b[1] * t), np.cos(b[3] * t)
    columns = [decay / b[0] * wave, t * decay * wave, np.ones_like(t), -t * decay * np.sin(b[3] * t)]
    return decay * wave + b[2], np.array(columns)


def loss_of_shard(shard: Shard, b: Array) -> tuple[float, Array]:
    """The shard's part of the sum of squares and of its gradient. NumPy sums them in a fixed order."""
    t, y = shard
    predicted, columns = model(b, t)
    residuals = predicted - y
    return float(np.sum(residuals**2)), 2.0 * np.sum(columns * residuals, axis=1)


def fit(client: Any) -> OptimizeResult:
    """Minimize the sum over all shards."""
    shards = [client.submit(make_shard, seed, pure=False) for seed in range(SHARDS)]

    def fun(b: Array) -> tuple[float, Array]:
        parts = client.gather([client.submit(loss_of_shard, shard, b, pure=False) for shard in shards])
        loss, gradient = 0.0, np.zeros_like(b)
        for part_of_loss, part_of_gradient in parts:
            loss += part_of_loss
            gradient += part_of_gradient
        return loss, gradient

    return rprop_ref.minimize(fun, np.array([1.0, -1.0, 0.0, 2.5]), jac=True, maxiter=40)


class LocalClient:
    """Does in this process what a dask Client has its workers do."""

    def submit(self, function: Callable[..., Any], *args: Any, pure: bool) -> Any:
        return function(*args)

    def gather(self, results: list[Any]) -> list[Any]:
        return results


def report(where: str, result: OptimizeResult) -> tuple[bytes, float]:
    """Print the fit; return its bits."""
    print(f"{where:10}  b = {result.x.round(3)}  f = {result.fun.hex()}", flush=True)
    return result.x.tobytes(), result.fun


def main(numbers: list[int]) -> None:
    print(f"Fitting {SHARDS * ROWS} observations in {SHARDS} shards")
    print(f"{'truth':10}  b = {TRUTH}")
    expected = report("no cluster", fit(LocalClient()))
    try:
        from dask.distributed import Client, LocalCluster
    except ModuleNotFoundError:
        print("To fit on a cluster as well, install dask.distributed:")
        print("pip install 'rprop-ref[dask]'")
        return
    for number in numbers:
        local = LocalCluster(n_workers=number, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
        with local as cluster, Client(cluster) as client:
            on_cluster = report(f"{number} worker{'s' * (number > 1)}", fit(client))
        if on_cluster != expected:
            sys.exit("The bits differ.")
    print("Every fit has the same bits.")


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1, 2])
