"""Many arrays in one launch: a table of their addresses takes the place of gathering and scattering them.

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
from cuda_kernels.flat import count, loss_rose
from rprop_ref._core.constants import make_split

Array = np.ndarray[Any, Any]

#: Elements that a block steps at a time.
CHUNK = 1 << 12

#: The columns of the table: addresses of parameter, stored gradient, step size and counter, and the length.
COLUMNS = 5

#: So many addresses are handed over in one launch, where they cannot be copied.
HANDED = 64


def make_kernel(variant: str, dtype: str) -> Callable[..., None]:
    """The kernel of one rule and one real dtype, before it is compiled."""
    span, split = flat.build_span(variant), device(make_split(_numbers.kind(dtype)))
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
                count(counter)
            if stop > first + chunk_length:
                stop = first + chunk_length
            span(x, g, prev, size, first + i, stop, stride, rose, direction, c)
            chunk += cuda.gridDim.x

    return step


@functools.cache
def kernel(variant: str, dtype: str) -> Any:
    return cuda.jit(make_kernel(variant, dtype))


def hand_over(target, first, n, values):
    """Write the numbers that came with the launch into an array of integers."""
    i = cuda.threadIdx.x
    if i < n:
        store(target, first + i, values[i])


@functools.cache
def _hand_over() -> Any:
    return cuda.jit(hand_over)


class Addresses:
    """Addresses on the GPU, as an array that is written anew when one of them changes.

    It is written in the order of the stream, without waiting on the host for anything. An array that a graph reads
    is left alone from then on, since the graph may be replayed at any time.
    """

    def __init__(self, n: int) -> None:
        self._current = _cuda.allocate(8 * n)
        self._known: Array | None = None
        # Written by graphs that brought their addresses themselves.
        self._brought = _cuda.allocate(8 * n)
        self._recorded: list[Any] = []
        # Pages of the host that the GPU copies from, each with the event that says that it has.
        self._pages: list[tuple[Array, Any]] = []

    def write(self, addresses: Array, stream: int) -> int:
        """Write them, if they are other ones than before; returns where they are."""
        is_new = self._known is None or not np.array_equal(addresses, self._known)
        if _cuda.is_capturing(stream):
            if is_new:
                self._record(addresses, stream)
                return _cuda.address(self._brought)
            if not any(self._current is kept for kept in self._recorded):
                self._recorded.append(self._current)
        elif is_new:
            if any(self._current is kept for kept in self._recorded):
                self._current = _cuda.allocate(addresses.nbytes)
            page = self._free_page(addresses.size)
            page[:] = addresses
            target = _cuda.bytes_at(_cuda.address(self._current), addresses.nbytes)
            target.copy_to_device(page.view(np.uint8), stream=_cuda.stream(stream))
            self._pages.append((page, _cuda.mark(stream)))
            self._known = addresses
        return _cuda.address(self._current)

    def warm_up(self, stream: int) -> None:
        """Load what only a recording needs: while one is going on it may be too late."""
        if not _cuda.SIMULATED:
            self._record(np.zeros(1, np.int64), stream)

    def _record(self, addresses: Array, stream: int) -> None:
        """Let the addresses travel in the launches themselves, which a graph keeps."""
        target = _cuda.address(self._brought)
        for first in range(0, addresses.size, HANDED):
            part = addresses[first : first + HANDED].tolist()
            values = (*part, *[0] * (HANDED - len(part)))
            _cuda.launch(_hand_over(), 1, HANDED, stream, target, first, len(part), values)

    def _free_page(self, n: int) -> Array:
        """One that the GPU has read, or a new one."""
        for i, (_, event) in enumerate(self._pages):
            if _cuda.has_happened(event):
                return self._pages.pop(i)[0]
        page: Array = cuda.pinned_array(n, np.int64)
        return page


class Table:
    """Some arrays on the GPU that are stepped together.

    Parameters
    ----------
    rows : sequence of (int, int, int, int, int)
        Of each parameter: the addresses of its values, stored gradients and step sizes (contiguous), that of its
        counter or 0, and the number of its reals.
    """

    def __init__(self, rows: Sequence[tuple[int, int, int, int, int]]) -> None:
        table = np.array(rows, np.int64).reshape(-1, COLUMNS)
        lengths = table[:, 4]
        per_row = np.maximum(-(-lengths // CHUNK), 1)  # an empty array still counts its step
        row = np.repeat(np.arange(len(rows)), per_row)
        first = (np.arange(row.size) - np.repeat(np.cumsum(per_row) - per_row, per_row)) * CHUNK
        self.elements = int(lengths.sum())
        self._chunks = row.size
        # A thread for each element of the longest array, if they are all short.
        longest = int(lengths.max(initial=1))
        self._threads = min(max(32, 1 << (longest - 1).bit_length()), flat.THREADS)
        self._fixed = [_on_device(table), _on_device(np.stack([row, first], axis=1))]
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
        """Make one step of all of them.

        `grads` are the addresses of the gradients, an int64 for each row; the rest is as for `flat.run`.
        """
        where = self._grads.write(grads, stream)
        table, chunks = (_cuda.address(a) for a in self._fixed)
        blocks = min(self._chunks, flat.BLOCKS * _cuda.multiprocessors())
        step = kernel(variant, dtype)
        _cuda.launch(step, blocks, self._threads, stream, table, where, chunks, self._chunks, worse, constants)


def _on_device(integers: Array) -> Any:
    memory = _cuda.allocate(integers.nbytes)
    _cuda.from_host(_cuda.address(memory), np.ascontiguousarray(integers, np.int64), 0)
    return memory
