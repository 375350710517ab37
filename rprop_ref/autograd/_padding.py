"""`numpy.pad`, in all modes that NumPy has a name for."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._primitives import as_array, composite, is_constant, primitive
from ._shapes import moved


def _pad_vjp(g, _ans, _x, pad_width):
    widths = np.broadcast_to(pad_width, (_x.ndim, 2))
    return g[tuple(slice(before, before + n) for (before, _), n in zip(widths, _x.shape, strict=True))]


@primitive(_pad_vjp)
def _with_zeros(x, pad_width):
    return np.pad(x, pad_width)


_STATISTICS: dict[str, Any] = {"maximum": np.max, "mean": np.mean, "median": np.median, "minimum": np.min}


@composite(np.pad)
def pad(
    array, pad_width, mode="constant", *, constant_values=0, end_values=0, stat_length=None, reflect_type="even"
):
    if not is_constant(pad_width):
        return NotImplemented
    if isinstance(pad_width, dict):
        # From axes to their widths.
        widths = np.zeros((array.ndim, 2), int)
        for axis, width in pad_width.items():
            widths[axis] = width
    else:
        widths = np.broadcast_to(pad_width, (array.ndim, 2))
    if mode == "constant" and is_constant(constant_values) and not np.any(constant_values):
        return _with_zeros(array, widths)
    if mode in ("edge", "wrap") or (mode in ("reflect", "symmetric") and reflect_type == "even"):
        return moved(array, lambda places: np.pad(places, widths, mode=mode))
    # One number, a pair, or a pair for each axis.
    given = {"constant": constant_values, "linear_ramp": end_values}.get(mode, stat_length)
    given = np.broadcast_to(as_array(given), (array.ndim, 2))
    # As NumPy: one axis after the other, each with what the others have added.
    for axis, (before, after) in enumerate(widths.tolist()):
        rows = np.moveaxis(array, axis, 0)
        first = _end(rows, before, mode, given[axis, 0])
        last = _end(np.flip(rows, 0), after, mode, given[axis, 1])
        if first is NotImplemented or last is NotImplemented:
            return NotImplemented
        array = np.moveaxis(np.concatenate([first, rows, np.flip(last, 0)], 0), 0, axis)
    return array


def _end(rows, n, mode, given):
    """The `n` rows before the first one."""
    shape = (n, *rows.shape[1:])
    if mode == "constant":
        return np.broadcast_to(given, shape).astype(rows.dtype)
    if mode == "linear_ramp":
        shares = np.reshape(np.arange(n).astype(rows.real.dtype) / max(n, 1), (n,) + (1,) * (rows.ndim - 1))
        return (given + (rows[:1] - given) * shares).astype(rows.dtype)
    if mode in _STATISTICS:
        return np.broadcast_to(_STATISTICS[mode](rows[:given], axis=0, keepdims=True), shape)
    start = int(mode == "reflect")
    if mode not in ("reflect", "symmetric") or n > len(rows) - start:
        return NotImplemented
    # Odd: reflected in the point at the edge.
    return 2 * rows[:1] - np.flip(rows[start : n + start], 0)
