"""The runs of `minimize_many` on a GPU, by `cuda_kernels.many_runs`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from cuda_kernels.arrays import is_on_device

from .. import backends
from .._core import record
from .._minimizer.c_objective import is_made_by_numba
from .._minimizer.starting import spans
from .rows import Rows, of_records
from .shared_options import SharedOptions

Array = np.ndarray[Any, Any]


def is_gpu_objective(fun: Any, jac: Any, args: tuple[Any, ...], dtype: np.dtype[Any], backend: str | None) -> bool:
    """Whether an objective is compiled for the GPU, by ``numba.cuda.jit(device=True)``.

    Raises
    ------
    TypeError
        If it is, but the other arguments do not allow it; or if it is not, but `backend` is "cuda".
    RuntimeError
        If it is, but there is no GPU.
    """
    if "numba.cuda" in sys.modules and is_made_by_numba(fun):
        from cuda_kernels import many_runs

        if many_runs.is_device_function(fun):
            _check_arguments(jac, args, dtype, backend)
            return True
    if backend == "cuda":
        raise TypeError(
            "backend='cuda' runs objectives that are compiled for the GPU, by numba.cuda.jit(device=True), as "
            f"fun(x, g, *args) -> f; but this one is of type {type(fun).__name__}"
        )
    return False


def _check_arguments(jac: Any, args: tuple[Any, ...], dtype: np.dtype[Any], backend: str | None) -> None:
    """Raise unless an objective for the GPU can be used with these arguments."""
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
                "the args of an objective on the GPU must be numbers and arrays on it "
                f"(numba.cuda.to_device), but args[{i}] is of type {type(value).__name__}"
            )


def run_on_gpu(fun: Any, args: tuple[Any, ...], options: SharedOptions, points: Array) -> Rows:
    """The results of runs from some starts, of shape (m, \\*shape)."""
    from cuda_kernels import many_runs

    state, initial = options.state, options.initial_values(points)
    m, n = initial.x.shape
    vectors = np.zeros((len(state.vectors), n, m), initial.x.dtype)
    vectors[[record.X, record.LAST_X, record.BEST_X, record.BASE]] = initial.x.T
    vectors[record.SIZE] = initial.step_sizes.T
    vectors[record.SPAN] = spans(initial.x, initial.step_sizes).T
    if state.bounds is not None:
        vectors[record.LOWER], vectors[record.UPPER] = (b[:, None] for b in state.bounds)
        vectors[record.MOVE_START] = initial.x.T
    scalars = np.repeat(initial.scalars[:, None], m, axis=1)
    scalars[record.XTOL], scalars[record.SIZE_FLOOR] = initial.xtol, initial.size_floor
    vectors, scalars, status = many_runs.run(
        fun, args, vectors, scalars, state.constants, state.variant, options.sign
    )
    # A run without a finite value has no best point. Its result is the start, with its value and gradient.
    has_best = scalars[record.NIT] >= 0
    x = np.where(has_best, vectors[record.BEST_X], vectors[record.LAST_X])
    g = np.where(has_best, vectors[record.BEST_G], vectors[record.LAST_G])
    return of_records(
        status,
        np.ascontiguousarray(scalars[list(record.REPORTED)].T),
        np.ascontiguousarray(x.T).reshape(points.shape),
        np.ascontiguousarray(g.T).reshape(points.shape),
        state.scalars,
        options.sign,
    )
