"""Many small arrays in one kernel call: gather them into one flat array, step it, scatter it back.

A kernel call costs about as much as the arithmetic on a thousand elements, so small arrays are worth
copying together. (Handing the kernel their addresses would cost more: reading 1,000 addresses in Python
takes ten times as long as `numpy.concatenate` takes to gather 1,000 arrays of 64 elements.)

Nothing here needs Numba; the step itself is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def as_reals(array: Array) -> Array:
    """View a contiguous array as a flat one of reals: each complex number becomes two."""
    flat = array.reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def slices(flat: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Cut a flat array into consecutive views of the given shapes."""
    views, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape, dtype=np.intp))
        views.append(flat[start:stop].reshape(shape))
        start = stop
    return views


def joined(arrays: Sequence[Array]) -> Array | None:
    """The flat array that the given arrays are consecutive slices of, or None if they are not.

    `slices` makes such arrays. State that is kept so needs no gathering and no scattering.
    """
    base = arrays[0].base
    if base is None or base.ndim != 1 or not base.flags.carray:
        return None
    address = start = _address(arrays[0])
    for array in arrays:
        if array.base is not base or array.dtype != base.dtype or not array.flags.carray:
            return None
        if _address(array) != address:
            return None
        address += array.nbytes
    first = (start - _address(base)) // base.itemsize
    return base[first : first + (address - start) // base.itemsize]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


class Gathered:
    """Some arrays of one dtype, together with the flat buffers in which they are stepped.

    Parameters
    ----------
    params, prevs, sizes : sequence of ndarray
        Parameters, stored gradients and step sizes. Any shapes and layouts, one dtype, no overlaps.

    Notes
    -----
    `step` changes all three in place. The buffers live as long as this object: five times the memory of the
    parameters, or three times where `prevs` and `sizes` are slices of one array each (`slices`).
    """

    def __init__(self, params: Sequence[Array], prevs: Sequence[Array], sizes: Sequence[Array]) -> None:
        self._params = list(params)
        shapes = [p.shape for p in params]
        dtype = params[0].dtype
        total = sum(p.size for p in params)
        self._x = np.empty(total, dtype)
        self._g = np.empty(total, dtype)
        self._x_parts = slices(self._x, shapes)
        self._prev, self._prev_to_copy = self._buffer(prevs)
        self._size, self._size_to_copy = self._buffer(sizes)
        self._flat = [as_reals(a) for a in (self._x, self._g, self._prev, self._size)]

    @staticmethod
    def _buffer(arrays: Sequence[Array]) -> tuple[Array, list[tuple[Array, Array]]]:
        flat = joined(arrays)
        if flat is not None:
            return flat, []
        flat = np.empty(sum(a.size for a in arrays), arrays[0].dtype)
        return flat, list(zip(arrays, slices(flat, [a.shape for a in arrays]), strict=True))

    def step(
        self, run: Callable[..., None], variant: str, grads: Sequence[Array], constants: Array, worse: bool
    ) -> None:
        """Make one step of all arrays with ``run(variant, x, g, prev, size, constants, worse)``."""
        np.concatenate(self._params, axis=None, out=self._x)
        np.concatenate(grads, axis=None, out=self._g)
        for kept in (self._prev_to_copy, self._size_to_copy):
            for array, part in kept:
                part[...] = array
        run(variant, *self._flat, constants, worse)
        for param, part in zip(self._params, self._x_parts, strict=True):
            param[...] = part
        for kept in (self._prev_to_copy, self._size_to_copy):
            for array, part in kept:
                array[...] = part
