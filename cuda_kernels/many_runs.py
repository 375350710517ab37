"""Many runs of `rprop_ref.minimize` at once on the GPU: a thread for each, the whole loop there.

Records lie side by side, so that neighbouring threads read neighbouring numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda, iterate
from cuda_kernels._cuda import cuda
from rprop_ref._core import record
from rprop_ref._core.status import Status

Array = np.ndarray[Any, Any]

STAYED = Status.STAYED.value

#: Threads of a block.
THREADS = 128

#: Iterations in one launch; between launches Ctrl-C is heard.
MAX_ITERATIONS = 20_000


def make_kernel(fun: Any, variant: str, dtype: str) -> Callable[..., None]:
    """The kernel for one objective, rule and dtype (float32 or float64), before it is compiled."""
    advance = iterate.build(variant, dtype)

    def run(vectors, scalars, points, gradients, status, constants, sign, max_iterations, args):
        i = cuda.grid(1)
        if i < status.size:
            rows, entries = vectors[:, :, i], scalars[:, i]
            x, g = points[:, i], gradients[:, i]
            code = status[i]
            done = 0
            while code < 0 and done < max_iterations:
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
                done += 1
            status[i] = code

    return run


@functools.lru_cache(maxsize=64)
def kernel(fun: Any, variant: str, dtype: str) -> Any:
    return cuda.jit(make_kernel(fun, variant, dtype))


def is_device_function(fun: Any) -> bool:
    """Whether this is a function that was compiled for kernels to call, by ``cuda.jit(device=True)``."""
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
    """Take runs from their records to their ends.

    Parameters
    ----------
    fun : device function
        ``fun(x, g, *args) -> f``, which writes the gradient into g; both are strided arrays of shape (n,).
    args : tuple
        Numbers, and arrays on the GPU.
    vectors : ndarray, shape (rows, n, m)
        The records of m runs that have not begun, see `rprop_ref._core.record`; float32 or float64.
    scalars : ndarray of float64, shape (entries, m)
    constants : ndarray
    variant : str
    sign : int
        -1 if the objective is to be maximized; then it is the negative of its value that the records have.

    Returns
    -------
    vectors, scalars, status : ndarray
        The records in the end, and what `iteration.advance` returned last, shape (m,).
    """
    _, n, m = vectors.shape
    on_device = [cuda.to_device(a) for a in (vectors, scalars, np.empty((n, m), vectors.dtype))]
    gradients = cuda.device_array((n, m), vectors.dtype)
    status = cuda.to_device(np.full(m, Status.CONTINUE, np.int64))
    constants_on_device = cuda.to_device(constants)
    launched = kernel(fun, variant, vectors.dtype.name)
    while True:
        arguments = *on_device, gradients, status, constants_on_device, sign, MAX_ITERATIONS, args
        _cuda.launch(launched, -(-m // THREADS), THREADS, 0, *arguments)
        codes = status.copy_to_host()
        if (codes >= 0).all():
            return on_device[0].copy_to_host(), on_device[1].copy_to_host(), codes
