"""NumPy functions that stand in for the GPU's kernels when these are launched on `cuda_driver`.

A maker takes what the kernel is compiled for, and returns the types of the kernel's arguments, as letters of
`cuda_driver.TYPES`, and the function that does the kernel's work. Arrays are given by their addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import dtype_named

from cuda_kernels import flat, layout, loss, many_runs
from cuda_kernels import many_arrays as many
from rprop_ref._core import numpy_step
from rprop_ref._core.constants import COUNT

StandIn = tuple[str, Callable[..., None]]


def array_at(address: int, n: int, dtype: Any) -> Any:
    """An array over the memory at an address."""
    dtype = np.dtype(dtype)
    memory: Any = (ctypes.c_char * (n * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype)


def real(dtype: str) -> str:
    """The letter of a kernel's constants."""
    return "d" if dtype == "float64" else "f"


def _step(variant, dtype, addresses, n, counter, worse, constants):
    dtype = dtype_named(dtype)
    arrays = [array_at(a, n, dtype) for a in addresses]
    worse = bool(worse) if worse in (0, 1) else array_at(worse, 1, np.int64)[0] == 1
    numpy_step.run(variant, *arrays, np.array(constants).astype(dtype), worse)
    if counter:
        array_at(counter, 1, np.float32)[0] += 1


def one_array(variant: str, dtype: str) -> StandIn:
    def step(x, g, prev, size, n, counter, worse, *constants):
        _step(variant, dtype, (x, g, prev, size), n, counter, worse, constants)

    return "q" * 7 + real(dtype) * COUNT, step


def many_arrays(variant: str, dtype: str) -> StandIn:
    width = dtype_named(dtype).itemsize

    def step(table, grads, chunks, n, worse, *constants):
        for row, first in array_at(chunks, 2 * n, np.int64).reshape(n, 2).tolist():
            columns = array_at(table + 8 * many.COLUMNS * row, many.COLUMNS, np.int64)
            x, prev, size, counter, length = columns.tolist()
            g = int(array_at(grads + 8 * row, 1, np.int64)[0])
            addresses = [a + width * first for a in (x, g, prev, size)]
            part = min(length - first, many.CHUNK)
            _step(variant, dtype, addresses, part, counter if first == 0 else 0, worse, constants)

    return "q" * 5 + real(dtype) * COUNT, step


def write_addresses() -> StandIn:
    def write(target, first, n, *addresses):
        array_at(target + 8 * first, n, np.int64)[:] = addresses[:n]

    return "q" * (3 + many.ADDRESSES_PER_LAUNCH), write


def copy_strided(width: int) -> StandIn:
    def copy(flat_array, strided, n, table, dimensions, scatter):
        pairs = array_at(table, 2 * dimensions, np.int64).reshape(dimensions, 2).tolist()
        for i in range(n):
            rest, position = i, 0
            for length, stride in pairs:
                position += rest % length * stride
                rest //= length
            in_strided, in_flat = strided + width * position, flat_array + width * i
            target, source = (in_strided, in_flat) if scatter else (in_flat, in_strided)
            ctypes.memmove(target, source, width)

    return "qqqqq?", copy


def fill(dtype: str) -> StandIn:
    def write(target, n, value):
        array_at(target, n, dtype_named(dtype))[:] = value

    return "qq" + real(dtype), write


def compare_losses(dtype: str) -> StandIn:
    def compare(loss_now, before, worse, maximize):
        value, last = float(array_at(loss_now, 1, dtype)[0]), array_at(before, 1, np.float64)
        array_at(worse, 1, np.int64)[0] = value < last[0] if maximize else value > last[0]
        last[0] = value

    return "qqqq", compare


def many_starts(fun: Any, variant: str, dtype: str) -> StandIn:
    """All runs end at once, with status 0."""
    # An array is passed as two unused words, size, item size, address, shape and strides. The fifth is the status.
    words_before = sum(5 + 2 * ndim for ndim in (3, 2, 2, 2))

    def end(*arguments):
        size, address = arguments[words_before + 2], arguments[words_before + 4]
        array_at(address, size, np.int64)[:] = 0

    return "q" * (words_before + 5), end


#: For each function that compiles a kernel, by module and name: the maker of the stand-in.
MAKERS: dict[tuple[Any, str], Callable[..., StandIn]] = {
    (flat, "kernel"): one_array,
    (many, "kernel"): many_arrays,
    (many, "_write_kernel"): write_addresses,
    (layout, "_kernel"): copy_strided,
    (layout, "_fill_kernel"): fill,
    (loss, "_kernel"): compare_losses,
    (many_runs, "kernel"): many_starts,
}
