"""NumPy's functions that call a function: along an axis, over axes, or piece by piece."""

from __future__ import annotations

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ._primitives import as_array, composite


@composite(np.apply_along_axis)
def apply_along_axis(func1d, axis, arr, *args):
    arr = as_array(arr)
    axis = normalize_axis_index(axis, arr.ndim)
    rows = np.moveaxis(arr, axis, -1)
    rest = rows.shape[:-1]
    results = [as_array(func1d(rows[i], *args)) for i in np.ndindex(rest)]
    found = np.reshape(np.stack(results), rest + results[0].shape)
    # What the function returns takes the place of the axis.
    last = range(len(rest), found.ndim)
    return np.moveaxis(found, last, range(axis, axis + len(last)))


@composite(np.apply_over_axes)
def apply_over_axes(func, a, axes):
    a = as_array(a)
    for axis in np.atleast_1d(axes).tolist():
        result = func(a, axis)
        a = result if result.ndim == a.ndim else np.expand_dims(result, normalize_axis_index(axis, a.ndim))
    return a


@composite(np.piecewise)
def piecewise(x, condlist, funclist, *args):
    x = as_array(x)
    conditions = np.asarray(condlist, bool)
    if np.ndim(condlist[0]) == 0 and x.ndim:
        conditions = conditions[None]
    if len(funclist) == len(conditions) + 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, axis=0, keepdims=True)])
    result = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            result[condition] = function
        elif np.any(condition):
            result[condition] = function(x[condition], *args)
    return result
