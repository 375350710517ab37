"""Arrays of any layout to contiguous ones and back, and arrays filled with one number, on the GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda, _numbers, flat
from cuda_kernels._cuda import cuda
from cuda_kernels._numbers import INTEGER, load, store

#: Elements are moved as words of so many bytes; complex128 as two words.
WORDS = {2: np.int16, 4: np.int32, 8: np.int64}


def make_kernel(width: int) -> Callable[..., None]:
    """The kernel that moves words of a width, before it is compiled."""
    like = WORDS[width](0)

    def move(flat_array, strided, n, layout, dimensions, scatter):
        i = cuda.grid(1)
        while i < n:
            rest, place = i, INTEGER
            for d in range(dimensions):
                extent = load(layout, 2 * d, INTEGER)
                place += rest % extent * load(layout, 2 * d + 1, INTEGER)
                rest //= extent
            if scatter:
                store(strided, place, load(flat_array, i, like))
            else:
                store(flat_array, i, load(strided, place, like))
            i += cuda.gridsize(1)

    return move


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
        """The layout, made once: to make one is to copy it to the GPU."""
        return Layout(shape, strides, itemsize)

    def gather(self, flat_array: int, strided: int, stream: int) -> None:
        """Copy from the strided array into the contiguous one, given by their addresses."""
        self._move(flat_array, strided, False, stream)

    def scatter(self, flat_array: int, strided: int, stream: int) -> None:
        """Copy from the contiguous array into the strided one."""
        self._move(flat_array, strided, True, stream)

    def _move(self, flat_array: int, strided: int, scatter: bool, stream: int) -> None:
        blocks = min(-(-self._n // flat.THREADS), flat.BLOCKS * _cuda.multiprocessors())
        arguments = flat_array, strided, self._n, _cuda.address(self._table), self._dimensions, scatter
        _cuda.launch(_kernel(self._width), blocks, flat.THREADS, stream, *arguments)


def make_fill_kernel(dtype: str) -> Callable[..., None]:
    """The kernel that fills an array of a real dtype, before it is compiled."""
    number = _numbers.kind(dtype)

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
