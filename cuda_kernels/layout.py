"""Copies between arrays of any layout and contiguous ones, and filling with one number, on the GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda, _numbers, flat
from cuda_kernels._cuda import cuda
from cuda_kernels._numbers import INTEGER, load, store

#: Elements are copied as integers of the same width in bytes; complex128 as two of them.
WORDS = {2: np.int16, 4: np.int32, 8: np.int64}


def make_kernel(width: int) -> Callable[..., None]:
    """Build the kernel that copies words of one width, not yet compiled."""
    like = WORDS[width](0)

    def copy(flat_array, strided, n, layout, dimensions, scatter):
        i = cuda.grid(1)
        while i < n:
            rest, position = i, INTEGER
            for d in range(dimensions):
                length = load(layout, 2 * d, INTEGER)
                position += rest % length * load(layout, 2 * d + 1, INTEGER)
                rest //= length
            if scatter:
                store(strided, position, load(flat_array, i, like))
            else:
                store(flat_array, i, load(strided, position, like))
            i += cuda.gridsize(1)

    return copy


@functools.cache
def _kernel(width: int) -> Any:
    return cuda.jit(make_kernel(width))


class Layout:
    """Where the elements of a strided array are, in C order.

    Parameters
    ----------
    shape, strides : tuple of int
        The strides in bytes.
    itemsize : int
    """

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
        self._width = min(itemsize, 8)
        if itemsize > 8:
            shape, strides = (*shape, itemsize // 8), (*strides, 8)
        self._n = int(np.prod(shape, dtype=np.int64))
        # The last axis comes first, since it runs fastest.
        pairs = [(n, stride // self._width) for n, stride in zip(reversed(shape), reversed(strides), strict=True)]
        self._dimensions = len(pairs)
        table = np.array(pairs, np.int64).reshape(-1)
        self._table = _cuda.allocate(table.nbytes)
        _cuda.from_host(_cuda.address(self._table), table, 0)

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def of(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> Layout:
        """The layout, made once, since making one copies it to the GPU."""
        return Layout(shape, strides, itemsize)

    def gather(self, flat_array: int, strided: int, stream: int) -> None:
        """Copy from the strided array into the contiguous one; both are given by their addresses."""
        self._copy(flat_array, strided, False, stream)

    def scatter(self, flat_array: int, strided: int, stream: int) -> None:
        """Copy from the contiguous array into the strided one."""
        self._copy(flat_array, strided, True, stream)

    def _copy(self, flat_array: int, strided: int, scatter: bool, stream: int) -> None:
        blocks = min(-(-self._n // flat.THREADS), flat.BLOCKS * _cuda.multiprocessors())
        arguments = flat_array, strided, self._n, _cuda.address(self._table), self._dimensions, scatter
        _cuda.launch(_kernel(self._width), blocks, flat.THREADS, stream, *arguments)


def make_fill_kernel(dtype: str) -> Callable[..., None]:
    """Build the kernel that fills an array of a real dtype, not yet compiled."""
    number = _numbers.converter(dtype)

    def write(target, n, value):
        i = cuda.grid(1)
        while i < n:
            store(target, i, number(value))
            i += cuda.gridsize(1)

    return write


@functools.cache
def _fill_kernel(dtype: str) -> Any:
    return cuda.jit(make_fill_kernel(dtype))


def fill(dtype: str, target: int, n: int, value: Any, stream: int) -> None:
    """Fill a contiguous array of a real dtype with a number."""
    blocks = min(-(-n // flat.THREADS), flat.BLOCKS * _cuda.multiprocessors())
    number = flat.constant_type(dtype)(value)
    _cuda.launch(_fill_kernel(dtype), blocks, flat.THREADS, stream, target, n, number)
