"""Many runs of `rprop_ref.minimize` at once on the GPU: each thread does the whole loop of one run.

The last axis of the records is that of the runs, so that neighbouring threads read neighbouring numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda, iterate
from cuda_kernels._cuda import cuda
from rprop_ref import rules
from rprop_ref._core import record
from rprop_ref._core.status import Status

Array = np.ndarray[Any, Any]

STAYED = Status.STAYED.value

#: Threads of a block.
THREADS = 128

#: Iterations of a run in one launch. Ctrl-C takes effect between launches.
MAX_ITERATIONS = 20_000


def make_kernel(fun: Any, variant: str, dtype: str) -> Callable[..., None]:
    """Build the kernel for one objective, rule and dtype (float32 or float64), not yet compiled."""
    advance = iterate.build(variant, dtype)

    def run(vectors, scalars, points, gradients, status, constants, sign, max_iterations, args):
        i = cuda.grid(1)
        if i < status.size:
            rows, entries = vectors[:, :, i], scalars[:, i]
            x, g = points[:, i], gradients[:, i]
            code = status[i]
            iterations = 0
            while code < 0 and iterations < max_iterations:
                f = entries[record.LAST_F]
                if code != STAYED:
                    for j in range(x.size):
                        x[j] = rows[record.X, j]
                        g[j] = 0
                    f = np.float64(fun(x, g, *args))
                    if sign < 0:
                        f = -f
                        for j in range(x.size):
                            g[j] = -g[j]
                    entries[record.NFEV] += 1
                    entries[record.NJEV] += 1
                code = advance(rows, entries, constants, 0, f, g)
                iterations += 1
            status[i] = code

    return run


@functools.lru_cache(maxsize=64)
def kernel(fun: Any, rule: rules.Rule, dtype: str) -> Any:
    return cuda.jit(make_kernel(fun, rule.name, dtype))


def is_device_function(fun: Any) -> bool:
    """Whether `fun` was compiled by ``cuda.jit(device=True)``, so that kernels can call it."""
    if _cuda.SIMULATED:
        return bool(getattr(fun, "_device", False))
    return bool(getattr(fun, "targetoptions", {}).get("device", False)) and hasattr(fun, "py_func")


def run(
    fun: Any,
    args: tuple[Any, ...],
    vectors: Array,
    scalars: Array,
    constants: Array,
    variant: str,
    sign: int,
) -> tuple[Array, Array, Array]:
    """Carry runs from their records to their ends.

    Parameters
    ----------
    fun : device function
        ``fun(x, g, *args) -> f``, which writes the gradient into g; both are strided arrays of shape (n,).
    args : tuple
        Numbers, and arrays on the GPU.
    vectors : ndarray, shape (rows, n, m)
        The records of m runs that have not begun (see `rprop_ref._core.record`), float32 or float64.
    scalars : ndarray of float64, shape (entries, m)
    constants : ndarray
        Those of `rprop_ref._core.constants.rule_constants`.
    variant : str
    sign : int
        -1 to maximize the objective, otherwise 1; the records hold its value times this sign.

    Returns
    -------
    vectors, scalars, status : ndarray
        The final records, and the last result of `iteration.advance` for each run, shape (m,).
    """
    _, n, m = vectors.shape
    device_vectors, device_scalars, device_constants, status = (
        cuda.to_device(a) for a in (vectors, scalars, constants, np.full(m, Status.CONTINUE, np.int64))
    )
    points, gradients = (cuda.device_array((n, m), vectors.dtype) for _ in range(2))
    arrays = device_vectors, device_scalars, points, gradients, status, device_constants
    compiled = kernel(fun, rules.RULES[variant], vectors.dtype.name)
    while True:
        _cuda.launch(compiled, -(-m // THREADS), THREADS, 0, *arrays, sign, MAX_ITERATIONS, args)
        codes = status.copy_to_host()
        if (codes >= 0).all():
            return device_vectors.copy_to_host(), device_scalars.copy_to_host(), codes
