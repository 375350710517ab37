"""Many small arrays in one kernel call: gather them into one flat array, step it, scatter it back.

A kernel call costs about as much as the arithmetic on a thousand elements, so copying small arrays together pays.
(Passing their addresses to the kernel would cost more: reading 1,000 addresses in Python takes ten times as long
as `numpy.concatenate` takes to gather 1,000 arrays of 64 elements.)

Nothing here needs Numba: the caller passes the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core.arrays import as_reals, joined, slices

Array = np.ndarray[Any, Any]


class Gathered:
    """Arrays of one dtype, and the flat buffers in which they are stepped.

    Parameters
    ----------
    params, prevs, sizes : sequence of ndarray
        Parameters, stored gradients and step sizes. Any shapes and layouts, one dtype, no overlaps.

    Notes
    -----
    First `load` the gradients, which changes none of the arrays, then `step`, which changes the other three in
    place. The buffers live as long as this object. They take four times the memory of the parameters, or twice if
    `prevs` and `sizes` are consecutive slices of one array each (`slices`).
    """

    def __init__(self, params: Sequence[Array], prevs: Sequence[Array], sizes: Sequence[Array]) -> None:
        # Views, so that an array that is reshaped in place keeps its old shape here, and so that subclasses of
        # ndarray, whose assignment may differ, become plain arrays.
        self._params = [p.view(np.ndarray) for p in params]
        shapes = [p.shape for p in params]
        dtype = params[0].dtype
        total = sum(p.size for p in params)
        self._x = np.empty(total, dtype)
        self._g = np.empty(total, dtype)
        self._x_parts = slices(self._x, shapes)
        self._prev, self._prev_to_copy = self._buffer(prevs)
        self._size, self._size_to_copy = self._buffer(sizes)
        self._flat = [as_reals(a) for a in (self._x, self._g, self._prev, self._size)]
        #: The caller's arrays that a step writes to.
        self.written = [*params, *(prevs if self._prev_to_copy else ()), *(sizes if self._size_to_copy else ())]
        # NumPy joins arrays along an axis twice as fast as it flattens and joins them.
        tails = {shape[1:] for shape in shapes}
        joinable = all(shapes) and len(tails) == 1 and 0 not in (tail := tails.pop())
        self._axis = 0 if joinable else None
        self._rows = [a.reshape(-1, *tail) if joinable else a for a in (self._x, self._g)]

    @staticmethod
    def _buffer(arrays: Sequence[Array]) -> tuple[Array, list[tuple[Array, Array]]]:
        """A flat array with room for all, and the pairs (array, its part) that each step must copy."""
        flat = joined(arrays)
        if flat is not None:
            return flat, []
        flat = np.empty(sum(a.size for a in arrays), arrays[0].dtype)
        views = [a.view(np.ndarray) for a in arrays]
        return flat, list(zip(views, slices(flat, [a.shape for a in arrays]), strict=True))

    def load(self, grads: Sequence[Array]) -> None:
        """Read the gradients: one for each parameter, of its shape and dtype.

        Raises
        ------
        TypeError, ValueError
            If a dtype or the number of elements is wrong. (The caller checks the shapes.)
        """
        np.concatenate(grads, axis=self._axis, out=self._rows[1], casting="no")

    def step(self, run: Callable[..., None], variant: str, constants: Array, worse: bool) -> None:
        """Make one step of all arrays with ``run(variant, x, g, prev, size, constants, worse)``."""
        np.concatenate(self._params, axis=self._axis, out=self._rows[0])
        for copies in (self._prev_to_copy, self._size_to_copy):
            for array, part in copies:
                part[...] = array
        run(variant, *self._flat, constants, worse)
        for param, part in zip(self._params, self._x_parts, strict=True):
            param[...] = part
        for copies in (self._prev_to_copy, self._size_to_copy):
            for array, part in copies:
                array[...] = part
