"""Flat views of arrays, as reals; a flat array cut into slices, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def as_reals(array: Array) -> Array:
    """View a contiguous array as a flat one of reals: each complex number becomes two."""
    flat = np.asarray(array).reshape(-1)  # a matrix stays two-dimensional when it is flattened
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
    if not isinstance(base, np.ndarray) or base.ndim != 1 or not base.flags.carray:
        return None
    first = following = None
    for array in arrays:
        if array.base is not base or array.dtype != base.dtype or not array.flags.carray:
            return None
        if array.size == 0:  # NumPy does not say where an empty slice is, and it does not matter
            continue
        at = (_address(array) - _address(base)) // base.itemsize
        if first is None:
            first = following = at
        if at != following:
            return None
        following += array.size
    return base[first:following] if first is not None else base[:0]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
