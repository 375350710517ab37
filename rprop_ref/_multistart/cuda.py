"""`minimize_many` with an objective for the GPU: what goes into `cuda_kernels.many_runs`, and what comes out."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cuda_kernels.arrays import is_on_device

from .. import backends
from .._core import record
from .._core.status import message_of
from .._minimizer import state as _state
from .._minimizer.state import RunState
from . import rows

Array = np.ndarray[Any, Any]


def recognize(fun: Any, jac: Any, args: tuple[Any, ...], dtype: np.dtype[Any], backend: str | None) -> bool:
    """Whether an objective is for the GPU: a function that was compiled with ``cuda.jit(device=True)``.

    Raises
    ------
    TypeError
        If it is, but cannot be used; if `backend` is "cuda" and it is not.
    RuntimeError
        If there is no GPU.
    """
    if "numba.cuda" in sys.modules:
        from cuda_kernels import many_runs

        if many_runs.is_device_function(fun):
            if backend not in (None, "cuda"):
                raise TypeError(f"backend={backend!r} cannot run an objective that is compiled for the GPU")
            backends.require_cuda()
            if jac not in (None, True):
                raise TypeError(
                    "an objective on the GPU is fun(x, g, *args) -> f, which writes the gradient into g; "
                    f"jac must be None or True, but is {jac!r}"
                )
            if dtype not in (np.float32, np.float64):
                raise TypeError(f"on the GPU x0s must be float32 or float64, but has dtype {dtype}")
            for i, value in enumerate(args):
                if not (isinstance(value, (int, float, np.number)) or is_on_device(value)):
                    raise TypeError(
                        "the args of an objective on the GPU must be numbers and arrays there "
                        f"(numba.cuda.to_device), but args[{i}] is of type {type(value).__name__}"
                    )
            return True
    if backend == "cuda":
        raise TypeError(
            "backend='cuda' runs objectives that are compiled for the GPU, by numba.cuda.jit(device=True), as "
            f"fun(x, g, *args) -> f; but this one is of type {type(fun).__name__}"
        )
    return False


def run(
    fun: Any, args: tuple[Any, ...], state: RunState, lr: ArrayLike | str | None, xtol: float | None, points: Array
) -> rows.Rows:
    """The results of runs from some starts, of shape (m, \\*shape); `state` is of a run with these options."""
    from cuda_kernels import many_runs

    m, n, dtype = len(points), state.vectors.shape[1], state.vectors.dtype
    starts = points.reshape(m, n)
    vectors = np.zeros((len(state.vectors), n, m), dtype)
    if state.box is not None:
        lower, upper = state.box
        starts = np.minimum(np.maximum(starts, lower), upper)
        vectors[record.LOWER], vectors[record.UPPER] = lower[:, None], upper[:, None]
        vectors[record.MOVE_START] = starts.T
    vectors[[record.X, record.LAST_X, record.BEST_X]] = starts.T
    with np.errstate(all="ignore"):
        sizes = _state.first_sizes(starts, state.shape, lr).astype(dtype)
        least_xtol, floor = _state.least(starts, sizes)
    vectors[record.SIZE] = sizes.T
    template = _state.unstarted(dtype)
    template[record.MAXITER :] = state.scalars[record.MAXITER :]
    scalars = np.repeat(template[:, None], m, axis=1)
    scalars[record.XTOL] = least_xtol if xtol is None else xtol
    scalars[record.SIZE_FLOOR] = floor
    sign = -1 if state.maximize else 1
    vectors, scalars, status = many_runs.run(fun, args, vectors, scalars, state.constants, state.variant, sign)
    # A run that never met a finite value has no best point; it ends where it began.
    found = scalars[record.NIT] >= 0
    x = np.where(found, vectors[record.BEST_X], vectors[record.LAST_X])
    g = np.where(found, vectors[record.BEST_G], vectors[record.LAST_G])
    nfev = scalars[record.NFEV].astype(int)
    return rows.Rows(
        message=list(map(message_of, status.tolist())),
        status=status.astype(int),
        fun=sign * np.where(found, scalars[record.BEST_F], scalars[record.LAST_F]),
        x=np.ascontiguousarray(x.T).reshape(points.shape),
        nit=np.maximum(scalars[record.NIT], 0).astype(int),
        jac=sign * np.ascontiguousarray(g.T).reshape(points.shape),
        nfev=nfev,
        njev=nfev.copy(),
    )
