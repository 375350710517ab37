"""Many arrays in one launch: a table of their addresses replaces gathering and scattering.

The work is cut into chunks of at most `CHUNK` elements of one array, and each block takes one chunk after the
other. Only the addresses of the gradients change from step to step, and often not even these.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cuda_kernels import _cuda, _numbers, flat
from cuda_kernels._cuda import cuda
from cuda_kernels._numbers import INTEGER, device, load, store
from cuda_kernels.flat import count_step, loss_rose
from rprop_ref import rules
from rprop_ref._core.constants import make_split

Array = np.ndarray[Any, Any]

#: Elements that a block steps at a time, at most.
CHUNK = 1 << 12

#: Columns of the table: the addresses of parameter, stored gradient, step size and counter, and the length.
COLUMNS = 5

#: Addresses that one launch of `write_addresses` takes as arguments.
ADDRESSES_PER_LAUNCH = 64


def make_kernel(variant: str, dtype: str) -> Callable[..., None]:
    """Build the kernel of one rule and one real dtype, not yet compiled."""
    span, split = flat.build_span(variant), device(make_split(_numbers.converter(dtype)))
    chunk_length = CHUNK

    def step(table, grads, chunks, n, worse, constants):
        c, direction = split(constants)
        rose = loss_rose(worse)
        i, stride = cuda.threadIdx.x, cuda.blockDim.x
        chunk = cuda.blockIdx.x
        while chunk < n:
            row = load(chunks, 2 * chunk, INTEGER)
            first = load(chunks, 2 * chunk + 1, INTEGER)
            g = load(grads, row, INTEGER)
            x = load(table, COLUMNS * row, INTEGER)
            prev = load(table, COLUMNS * row + 1, INTEGER)
            size = load(table, COLUMNS * row + 2, INTEGER)
            counter = load(table, COLUMNS * row + 3, INTEGER)
            stop = load(table, COLUMNS * row + 4, INTEGER)
            if first == 0 and i == 0:
                count_step(counter)
            if stop > first + chunk_length:
                stop = first + chunk_length
            span(x, g, prev, size, first + i, stop, stride, rose, direction, c)
            chunk += cuda.gridDim.x

    return step


@functools.cache
def kernel(rule: rules.Rule, dtype: str) -> Any:
    return cuda.jit(make_kernel(rule.name, dtype))


def write_addresses(target, first, n, addresses):
    """Write addresses that came as arguments of the launch into an array."""
    i = cuda.threadIdx.x
    if i < n:
        store(target, first + i, addresses[i])


@functools.cache
def _write_kernel() -> Any:
    return cuda.jit(write_addresses)


class Addresses:
    """An array of addresses on the GPU, which is written again when an address changes.

    Writing follows the order of the stream and never waits on the host. Once a graph reads the array, it is never
    written again, since the graph may be replayed at any time.
    """

    def __init__(self, n: int) -> None:
        self._array = _cuda.allocate(8 * n)
        self._written: Array | None = None
        # Written by graphs whose launches carry the addresses.
        self._graph_array = _cuda.allocate(8 * n)
        self._read_by_graphs: list[Any] = []
        # Pinned memory of the host that the GPU copies from, each with the event that completes after the copy.
        self._staging: list[tuple[Array, Any]] = []

    def write(self, addresses: Array, stream: int) -> int:
        """Write the addresses unless they are there already; return the address of the array."""
        is_new = self._written is None or not np.array_equal(addresses, self._written)

        if _cuda.is_capturing(stream):
            if is_new:
                self._write_by_launches(addresses, stream)
                return _cuda.address(self._graph_array)
            if not self._is_read_by_a_graph():
                self._read_by_graphs.append(self._array)
        elif is_new:
            if self._is_read_by_a_graph():
                self._array = _cuda.allocate(addresses.nbytes)
            staged = self._free_staging(addresses.size)
            staged[:] = addresses
            target = _cuda.bytes_at(_cuda.address(self._array), addresses.nbytes)
            target.copy_to_device(staged.view(np.uint8), stream=_cuda.stream(stream))
            self._staging.append((staged, _cuda.record_event(stream)))
            self._written = addresses
        return _cuda.address(self._array)

    def _is_read_by_a_graph(self) -> bool:
        return any(self._array is array for array in self._read_by_graphs)

    def warm_up(self, stream: int) -> None:
        """Load the kernel that only a recorded step needs; during the recording it cannot be loaded."""
        if not _cuda.SIMULATED:
            self._write_by_launches(np.zeros(1, np.int64), stream)

    def _write_by_launches(self, addresses: Array, stream: int) -> None:
        """Pass the addresses as arguments of launches, which a graph stores."""
        target = _cuda.address(self._graph_array)
        for first in range(0, addresses.size, ADDRESSES_PER_LAUNCH):
            part = addresses[first : first + ADDRESSES_PER_LAUNCH].tolist()
            padded = (*part, *[0] * (ADDRESSES_PER_LAUNCH - len(part)))
            arguments = target, first, len(part), padded
            _cuda.launch(_write_kernel(), 1, ADDRESSES_PER_LAUNCH, stream, *arguments)

    def _free_staging(self, n: int) -> Array:
        """Pinned memory that the GPU has already copied, or new memory."""
        for i, (_, event) in enumerate(self._staging):
            if _cuda.has_completed(event):
                return self._staging.pop(i)[0]
        pinned: Array = cuda.pinned_array(n, np.int64)
        return pinned


class Table:
    """Parameters on the GPU that are stepped in one launch.

    Parameters
    ----------
    rows : sequence of (int, int, int, int, int)
        For each parameter: the addresses of its values, stored gradients and step sizes (contiguous), that of its
        counter or 0, and the number of its reals.
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        table = np.array(rows, np.int64).reshape(-1, COLUMNS)
        lengths = table[:, 4]
        chunks_per_row = np.maximum(-(-lengths // CHUNK), 1)  # an empty array still counts its step
        row = np.repeat(np.arange(len(rows)), chunks_per_row)
        chunks_before = np.cumsum(chunks_per_row) - chunks_per_row
        first = (np.arange(row.size) - np.repeat(chunks_before, chunks_per_row)) * CHUNK
        self._chunks = row.size
        # If all arrays are short, one thread per element of the longest.
        longest = int(lengths.max(initial=1))
        self._threads = min(max(32, 1 << (longest - 1).bit_length()), flat.THREADS)
        self._table, self._chunk_starts = _copied(table), _copied(np.stack([row, first], axis=1))
        self._grads = Addresses(len(rows))

    def warm_up(self, stream: int) -> None:
        """Prepare for steps that are recorded in a graph."""
        self._grads.warm_up(stream)

    def run(
        self,
        variant: str,
        dtype: str,
        grads: Array,
        constants: tuple[Any, ...],
        *,
        worse: int = 0,
        stream: int = 0,
    ) -> None:
        """Step all parameters once.

        `grads` are the addresses of the gradients, an int64 for each row; the other arguments are those of
        `flat.run`.
        """
        grad_addresses = self._grads.write(grads, stream)
        table, starts = _cuda.address(self._table), _cuda.address(self._chunk_starts)
        blocks = min(self._chunks, flat.BLOCKS * _cuda.multiprocessors())
        arguments = table, grad_addresses, starts, self._chunks, worse, constants
        _cuda.launch(kernel(rules.RULES[variant], dtype), blocks, self._threads, stream, *arguments)


def _copied(integers: Array) -> Any:
    memory = _cuda.allocate(integers.nbytes)
    _cuda.from_host(_cuda.address(memory), np.ascontiguousarray(integers, np.int64), 0)
    return memory
