"""Methods of ufuncs (`reduce`, `outer`, `at` ...) and their arguments ``dtype=`` and ``where=``, with Tensors."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ._inplace import plain_index, set_item, write
from ._primitives import PRIMITIVES, as_array, primitive, unbroadcast
from ._reductions import with_kept_axes
from ._traced import values

#: Methods for which NumPy has functions.
_FUNCTIONS: dict[Any, Any] = {
    (np.add, "reduce"): np.sum,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "reduce"): np.prod,
    (np.multiply, "accumulate"): np.cumprod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
}


def method_of(ufunc: Any, method: str) -> Any:
    """A method of a ufunc, other than `at`, as a function of Tensors."""
    found = _FUNCTIONS.get((ufunc, method))
    return functools.partial(_METHODS[method], ufunc) if found is None else found


def _reduce(ufunc: Any, array: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    array = as_array(array)
    axes = normalize_axis_tuple(range(array.ndim) if axis is None else axis, array.ndim)
    rows = np.moveaxis(array, axes, range(len(axes)))
    rows = np.reshape(rows, (-1, *rows.shape[len(axes) :]))
    # As NumPy: begun with the identity, if there is one; hypot(0, x) is not x.
    first = [] if ufunc.identity is None else [ufunc.identity]
    result = functools.reduce(ufunc, [*first, *rows])
    return with_kept_axes(result, array.ndim, axes, False) if keepdims else result


def _accumulate(ufunc: Any, array: Any, axis: int = 0) -> Any:
    rows = np.moveaxis(as_array(array), axis, 0)
    return np.moveaxis(np.stack(list(itertools.accumulate(rows, ufunc))), 0, axis)


def _reduceat(ufunc: Any, array: Any, indices: Any, axis: int = 0) -> Any:
    rows = np.moveaxis(as_array(array), axis, 0)
    reduce = _FUNCTIONS.get((ufunc, "reduce"))
    parts = []
    for i, j in zip(indices, [*indices[1:], len(rows)], strict=True):
        # Where a stretch does not end after it begins, NumPy takes its first element.
        stretch = rows[i : max(j, i + 1)]
        parts.append(functools.reduce(ufunc, stretch) if reduce is None else reduce(stretch, axis=0))
    return np.moveaxis(np.stack(parts), 0, axis)


def _outer(ufunc: Any, a: Any, b: Any, **kwargs: Any) -> Any:
    return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b, **kwargs)


_METHODS: dict[str, Any] = {"reduce": _reduce, "accumulate": _accumulate, "reduceat": _reduceat, "outer": _outer}


def in_dtype(ufunc: Any, *inputs: Any, dtype: Any) -> Any:
    """The ufunc of values converted as NumPy converts them for a result of a dtype."""
    arrays = [as_array(x) for x in inputs]
    # Not always to the same dtype: the absolute value of a complex number is a float.
    found = ufunc.resolve_dtypes(
        (*(a.dtype for a in arrays), *(None,) * ufunc.nout),
        signature=(*(None,) * ufunc.nin, *(np.dtype(dtype),) * ufunc.nout),
    )
    return ufunc(*(a.astype(to) for a, to in zip(arrays, found, strict=False)))


def write_where(ufunc: Any, inputs: tuple[Any, ...], target: Any, where: Any) -> Any:
    """Write the result of a ufunc into the elements of a Tensor that `where` selects."""
    expected = target._array.copy()
    ufunc(*values(inputs), out=expected, where=where)
    # Computed for these elements only: at others the derivative may be infinite.
    is_written = np.broadcast_to(where, target.shape)
    set_item(target, is_written, ufunc(*(np.broadcast_to(as_array(x), target.shape)[is_written] for x in inputs)))
    # A ufunc may round in another way if the elements lie elsewhere in memory.
    target._array[...] = expected
    return target


# ---- at


@primitive(lambda g, _ans, _x, _value, index: g, lambda g, _ans, _x, _value, index: _gathered(g, index, _value))
def _add_at(x: Any, value: Any, index: Any) -> Any:
    out = np.array(x)
    np.add.at(out, index, value)
    return out


@primitive(lambda g, _ans, _x, _value, index: g, lambda g, _ans, _x, _value, index: -_gathered(g, index, _value))
def _subtract_at(x: Any, value: Any, index: Any) -> Any:
    out = np.array(x)
    np.subtract.at(out, index, value)
    return out


def _gathered(g: Any, index: Any, value: Any) -> Any:
    return unbroadcast(g[index], np.shape(value))


#: The primitives that are recorded when a method `at` writes to a Tensor.
AT = {np.add: PRIMITIVES[_add_at], np.subtract: PRIMITIVES[_subtract_at]}


def write_at(ufunc: Any, tensor: Any, index: Any, value: Any) -> None:
    """Carry out ``ufunc.at(tensor, index, value)``."""
    value = as_array(value)
    write(
        tensor,
        AT[ufunc],
        (tensor, value, plain_index(index)),
        lambda _, v, index: ufunc.at(tensor._array, index, v),
    )
