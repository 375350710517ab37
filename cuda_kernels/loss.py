"""Comparing a loss on the GPU with that of the last step, without copying either to the host."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda
from cuda_kernels._cuda import cuda
from cuda_kernels._numbers import INTEGER, load, store

#: The dtypes that a loss on the GPU may have.
DTYPES = ("float32", "float64")

_DOUBLE = np.float64(0)


def make_kernel(dtype: str) -> Callable[..., None]:
    """Build the kernel that compares losses of one dtype, not yet compiled."""
    like = np.dtype(dtype).type(0)

    def compare(loss, before, worse, maximize):
        value, last = np.float64(load(loss, 0, like)), load(before, 0, _DOUBLE)
        # False if either is NaN, as `before` is at the first step.
        rose = value < last if maximize else value > last
        store(worse, 0, INTEGER + 1 if rose else INTEGER)
        store(before, 0, value)

    return compare


@functools.cache
def _kernel(dtype: str) -> Any:
    return cuda.jit(make_kernel(dtype))


def compare(dtype: str, loss: int, before: int, worse: int, maximize: bool, stream: int) -> None:
    """Write 0 or 1 into `worse`, an int64: whether the loss rose; then store the loss in `before`, a float64.

    The arrays are given by their addresses.
    """
    _cuda.launch(_kernel(dtype), 1, 1, stream, loss, before, worse, int(maximize))
