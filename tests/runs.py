"""Runs of our `Rprop` that record everything, for comparing with others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from numba_kernels import flat
from rprop_ref import Parameter, Rprop

Array = np.ndarray[Any, Any]

#: The ways to make a step. All must give the same bits.
ENGINES = ("numpy", "sequential", "parallel, 1 thread", "parallel, 2 threads")


def engines_for(dtype: np.dtype[Any]) -> tuple[str, ...]:
    return ENGINES[:1] if dtype.itemsize == 2 else ENGINES


@contextmanager
def engine(name: str) -> Iterator[str]:
    """Make steps in one of the `ENGINES`; gives the value for ``backend=``."""
    if name == "numpy":
        yield "numpy"
        return
    threshold, threads = flat.PARALLEL_FROM, numba.get_num_threads()
    flat.PARALLEL_FROM = 1 << 62
    if name != "sequential":
        flat.PARALLEL_FROM = 0
        numba.set_num_threads(int(name.split()[1]))
    try:
        yield "numba"
    finally:
        flat.PARALLEL_FROM = threshold
        numba.set_num_threads(threads)


def run(
    x0: Array,
    grads: Sequence[Array | None],
    *,
    losses: Sequence[float] | None = None,
    **options: Any,
) -> list[tuple[Array, Array, Array]]:
    """Step one parameter with the gradients given; parameter, memory and step size after each step."""
    param = Parameter(x0.copy())
    optimizer = Rprop([param], **options)
    found = []
    for i, grad in enumerate(grads):
        param.grad = grad
        optimizer.step(loss=None if losses is None else losses[i])
        state = optimizer.state[param]
        found.append((param.data.copy(), state["prev"].copy(), state["step_size"].copy()))
    return found
