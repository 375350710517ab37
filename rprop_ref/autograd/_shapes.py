"""Vjps of the functions that move elements: shapes, indexing, joining and splitting."""

from __future__ import annotations

import builtins
import itertools
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ._primitives import (
    BUFFERS,
    PLAIN,
    PRIMITIVES,
    add_primitive,
    as_array,
    composite,
    is_constant,
    primitive,
    unbroadcast,
)


def is_basic(index: Any) -> bool:
    """Whether an index makes a view, which takes no element twice."""
    items = index if type(index) is tuple else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, slice, np.integer)) for i in items)


@primitive(lambda g, _ans, _x, index, shape: g[index])
def scatter(x, index, shape):
    """Zeros, with `x` added at an index; an element that is indexed twice gets both values."""
    out = np.zeros(shape, x.dtype)
    if is_basic(index) or (type(index) is np.ndarray and index.dtype == bool):
        out[index] = x
    else:
        np.add.at(out, index, x)
    return out


def getitem(x, index):
    return x[index]


add_primitive(getitem, lambda g, _ans, _x, index: scatter(g, index, _x.shape), view=True)


def _last(index, shape):
    """Number the elements of `x[index]`; also, for each element of `x`, the last number that is written to it."""
    taken = np.empty(shape, bool)[index]
    numbers = np.arange(taken.size).reshape(taken.shape)
    last = np.full(shape, -1)
    last[index] = numbers
    return last, numbers


def _set_values(g, value_shape, index):
    taken = g[index]
    if not is_basic(index):
        # Of several values written to one element only the last remains.
        last, numbers = _last(index, g.shape)
        taken = np.where(last[index] == numbers, taken, 0)
    # NumPy accepts values with extra axes of length one.
    extra = builtins.max(len(value_shape) - np.ndim(taken), 0)
    return np.reshape(unbroadcast(taken, value_shape[extra:]), value_shape)


@primitive(
    lambda g, _ans, _x, _value, index: setitem(g, np.zeros((), g.dtype), index),
    lambda g, _ans, _x, _value, index: _set_values(g, np.shape(_value), index),
)
def setitem(x, value, index):
    """A copy of `x` with new values at an index."""
    out = np.array(x)
    out[index] = value
    return out


def _places(x, view_ops):
    """For each element of the view of `x` that `view_ops` take, its place in `x`."""
    x = x if isinstance(x, np.ndarray) else x.data
    # The array has the memory layout of x, on which the order of the elements of a view may depend.
    places = np.empty_like(x, dtype=np.intp)
    places[...] = np.arange(x.size).reshape(x.shape)
    for op, args, kwargs in view_ops:
        places = op.fun(places, *args, **kwargs)
    return places


def _overwrite_x(g, _ans, _x, _value, view_ops):
    return setitem(np.ravel(g), np.zeros((), g.dtype), _places(_x, view_ops)).reshape(g.shape)


@primitive(_overwrite_x, lambda g, _ans, _x, _value, view_ops: np.ravel(g)[_places(_x, view_ops)])
def overwrite(x, value, view_ops):
    """A copy of `x` with new values in the view that `view_ops` take."""
    return setitem(np.ravel(x), value, _places(x, view_ops)).reshape(x.shape)


@primitive(lambda g, _ans, _x, _dtype, _order, _casting: g)
def astype(x, dtype, order, casting):
    if x.dtype.kind == "c" and dtype.kind != "c" and casting == "unsafe":
        x = x.real  # without NumPy's warning
    return x.astype(dtype, order, casting)


def _unravelled(g, x, order):
    """The gradient with respect to `x` of a reshape in this order."""
    order = "C" if order is None else order.upper()
    if order in "CF":
        return np.reshape(g, x.shape, order)
    flags = (x if isinstance(x, np.ndarray) else x.data).flags
    if flags.c_contiguous or flags.f_contiguous or order == "A":
        return np.reshape(g, x.shape, "F" if flags.fnc else "C")
    # In the order of the axes in memory: those with the largest strides first.
    strides = (x if isinstance(x, np.ndarray) else x.data).strides
    axes = sorted(range(x.ndim), key=lambda i: -abs(strides[i]))
    return np.transpose(np.reshape(g, [x.shape[i] for i in axes]), _inverse(axes, x.ndim))


def _inverse(axes, ndim):
    return None if axes is None else np.argsort([a % ndim for a in axes])


def _repeat(g, _ans, x, repeats, axis=None):
    if axis is None:
        return np.reshape(_repeat(g, None, np.reshape(x, -1), repeats, 0), x.shape)
    axis = normalize_axis_index(axis, x.ndim)
    counts = np.broadcast_to(repeats, x.shape[axis])
    owner = np.repeat(np.arange(x.shape[axis]), counts)
    return scatter(g, (slice(None),) * axis + (owner,), x.shape)


def _tile(g, _ans, x, reps):
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    shape = (1,) * (len(reps) - x.ndim) + x.shape
    reps = (1,) * (x.ndim - len(reps)) + reps
    pairs = [n for pair in zip(reps, shape, strict=True) for n in pair]
    return np.reshape(np.sum(np.reshape(g, pairs), axis=tuple(range(0, len(pairs), 2))), x.shape)


def _negated(shift):
    return -shift if np.ndim(shift) == 0 else tuple(-s for s in shift)


def _diagonal(g, _ans, x, offset=0, axis1=0, axis2=1):
    rows, columns = x.shape[axis1], x.shape[axis2]
    n = g.shape[-1]
    i, j = np.arange(n) + builtins.max(-offset, 0), np.arange(n) + builtins.max(offset, 0)
    rest = tuple(np.delete(x.shape, [axis1 % x.ndim, axis2 % x.ndim]))
    # The two indexed axes come first.
    out = scatter(np.moveaxis(g, -1, 0), (i, j), (rows, columns, *rest))
    return np.moveaxis(out, (0, 1), (axis1, axis2))


def _trace(g, _ans, x, offset=0, axis1=0, axis2=1):
    n = np.empty(x.shape, bool).diagonal(offset, axis1, axis2).shape[-1]
    return _diagonal(np.broadcast_to(g[..., None], (*g.shape, n)), None, x, offset, axis1, axis2)


def _take(g, _ans, x, indices, axis=None, _out=None, mode="raise"):
    if axis is None:
        n = x.size
        return np.reshape(scatter(g, (_wrapped(indices, n, mode),), (n,)), x.shape)
    axis = normalize_axis_index(axis, x.ndim)
    return scatter(g, (slice(None),) * axis + (_wrapped(indices, x.shape[axis], mode),), x.shape)


def _wrapped(indices, n, mode):
    indices = np.asarray(indices)
    return indices % n if mode == "wrap" else np.clip(indices, 0, n - 1) if mode == "clip" else indices


def _take_along_axis(g, _ans, x, indices, axis=-1):
    if axis is None:
        return np.reshape(scatter(g, (indices,), (x.size,)), x.shape)
    axis = normalize_axis_index(axis, x.ndim)
    grid = list(np.ogrid[tuple(slice(n) for n in x.shape)])
    grid[axis] = indices
    return scatter(g, tuple(grid), x.shape)


def moved(x, move):
    """What a function returns that only moves and repeats elements; `move` calls it with their numbers."""
    return np.ravel(x)[move(np.arange(x.size).reshape(x.shape))]


SHAPES: dict[Any, Any] = {
    np.reshape: lambda g, _ans, _x, shape, order="C": _unravelled(g, _x, order),
    np.ravel: lambda g, _ans, _x, order="C": _unravelled(g, _x, order),
    np.transpose: lambda g, _ans, _x, axes=None: np.transpose(g, _inverse(axes, _x.ndim)),
    np.swapaxes: lambda g, _ans, _x, axis1, axis2: np.swapaxes(g, axis1, axis2),
    np.moveaxis: lambda g, _ans, _x, source, destination: np.moveaxis(g, destination, source),
    np.squeeze: lambda g, _ans, _x, axis=None: np.reshape(g, _x.shape),
    np.expand_dims: lambda g, _ans, _x, axis: np.reshape(g, _x.shape),
    np.broadcast_to: lambda g, _ans, _x, shape, subok=False: unbroadcast(g, _x.shape),
    np.diagonal: lambda g, _ans, _x, offset=0, axis1=0, axis2=1: _diagonal(g, None, _x, offset, axis1, axis2),
    np.flip: lambda g, _ans, _x, axis=None: np.flip(g, axis),
    np.fliplr: lambda g, _ans, _x: np.fliplr(g),
    np.flipud: lambda g, _ans, _x: np.flipud(g),
    np.rot90: lambda g, _ans, _x, k=1, axes=(0, 1): np.rot90(g, -k, axes),
}
ELEMENTS: dict[Any, Any] = {
    np.tile: lambda g, _ans, _A, reps: _tile(g, None, _A, reps),  # noqa: N803
    np.repeat: lambda g, _ans, _x, repeats, axis=None: _repeat(g, None, _x, repeats, axis),
    np.roll: lambda g, _ans, _x, shift, axis=None: np.roll(g, _negated(shift), axis),
    np.trace: lambda g, _ans, _x, offset=0, axis1=0, axis2=1: _trace(g, None, _x, offset, axis1, axis2),
    np.tril: lambda g, _ans, _x, k=0: np.tril(g, k),
    np.triu: lambda g, _ans, _x, k=0: np.triu(g, k),
    np.take: lambda g, _ans, _x, indices, axis=None, _out=None, mode="raise": _take(
        g, None, _x, indices, axis, None, mode
    ),
    np.take_along_axis: lambda g, _ans, _x, indices, axis=-1: _take_along_axis(g, None, _x, indices, axis),
}
for _fun, _vjp in SHAPES.items():
    add_primitive(_fun, _vjp, view=True)
for _fun, _vjp in ELEMENTS.items():
    add_primitive(_fun, _vjp)


@composite(np.diag)
def diag(v, k=0):
    if v.ndim == 2:
        return np.diagonal(v, k)
    n = v.shape[0] + abs(k)
    i = np.arange(v.shape[0])
    return scatter(v, (i + builtins.max(-k, 0), i + builtins.max(k, 0)), (n, n))


@composite(np.diagflat)
def diagflat(v, k=0):
    return diag(np.ravel(v), k)


# ---- joining


def _part(g, _ans, i, _arrays, axis, starts):
    if axis is None:
        return np.reshape(g[starts[i] : starts[i + 1]], _arrays[i].shape)
    return g[(slice(None),) * (axis % g.ndim) + (slice(starts[i], starts[i + 1]),)]


@primitive(_part, takes_sequence=True)
def _concatenate(arrays, axis, starts):
    return np.concatenate(arrays, axis)


PRIMITIVES[_concatenate].name = "numpy.concatenate"


@composite(np.concatenate, exact=True)
def concatenate(arrays, axis=0):
    # Python's numbers, which NumPy takes with axis=None, have the dtype of the others.
    dtype = np.result_type(*arrays) if any(type(a) in (int, float, complex) for a in arrays) else None
    arrays = tuple(np.asarray(a, dtype) if type(a) in (int, float, complex) else as_array(a) for a in arrays)
    # The starts are computed once, here: each vjp by itself would have to add up all sizes before its own.
    sizes = [a.size if axis is None else a.shape[axis] if a.ndim else 0 for a in arrays]
    return _concatenate(arrays, axis, (0, *itertools.accumulate(sizes)))


def _stack(g, _ans, i, _arrays, axis=0):
    return g[(slice(None),) * (axis % g.ndim) + (i,)]


add_primitive(np.stack, _stack, takes_sequence=True)


@composite(np.atleast_1d)
def atleast_1d(*arys):
    reshaped = tuple(np.reshape(a, (1,)) if np.ndim(a) == 0 else a for a in arys)
    return reshaped[0] if len(reshaped) == 1 else reshaped


@composite(np.atleast_2d)
def atleast_2d(*arys):
    reshaped = tuple(np.reshape(a, (1,) * (2 - np.ndim(a)) + np.shape(a)) if np.ndim(a) < 2 else a for a in arys)
    return reshaped[0] if len(reshaped) == 1 else reshaped


@composite(np.atleast_3d)
def atleast_3d(*arys):
    reshaped = []
    for ary in arys:
        a = atleast_2d(ary) if np.ndim(ary) != 1 else np.reshape(ary, (1, -1, 1))
        reshaped.append(np.reshape(a, (*np.shape(a), 1)) if np.ndim(a) == 2 else a)
    return reshaped[0] if len(reshaped) == 1 else tuple(reshaped)


@composite(np.vstack)
def vstack(tup):
    return np.concatenate([atleast_2d(a) for a in tup], 0)


@composite(np.hstack)
def hstack(tup):
    arrays = [atleast_1d(a) for a in tup]
    return np.concatenate(arrays, 0 if np.ndim(arrays[0]) == 1 else 1)


@composite(np.dstack)
def dstack(tup):
    return np.concatenate([atleast_3d(a) for a in tup], 2)


@composite(np.column_stack)
def column_stack(tup):
    return np.concatenate([a if np.ndim(a) >= 2 else np.reshape(a, (-1, 1)) for a in tup], 1)


@composite(np.append)
def append(arr, values, axis=None):
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis)


@composite(np.broadcast_arrays)
def broadcast_arrays(*args):
    shape = np.broadcast_shapes(*(np.shape(a) for a in args))
    return tuple(np.broadcast_to(a, shape) for a in args)


# ---- splitting


@composite(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    n = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        each, extra = divmod(n, int(indices_or_sections))
        sizes = [each + 1] * extra + [each] * (int(indices_or_sections) - extra)
        stops = np.cumsum(sizes)[:-1].tolist()
    else:
        stops = [int(i) for i in indices_or_sections]
    before = (slice(None),) * (axis % ary.ndim)
    return [ary[(*before, slice(a, b))] for a, b in zip([0, *stops], [*stops, None], strict=True)]


@composite(np.split)
def split(ary, indices_or_sections, axis=0):
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return array_split(ary, indices_or_sections, axis)


@composite(np.vsplit)
def vsplit(ary, indices_or_sections):
    return split(ary, indices_or_sections, 0)


@composite(np.hsplit)
def hsplit(ary, indices_or_sections):
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


@composite(np.dsplit)
def dsplit(ary, indices_or_sections):
    return split(ary, indices_or_sections, 2)


@composite(np.delete)
def delete(arr, obj, axis=None):
    n = arr.size if axis is None else arr.shape[axis]
    return np.take(arr, np.delete(np.arange(n), obj), axis=axis)


@composite(np.insert)
def insert(arr, obj, values, axis=None):
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = normalize_axis_index(axis, arr.ndim)
    numbers = np.arange(arr.shape[axis])
    count = np.insert(numbers, obj, -1).size - numbers.size
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if not isinstance(obj, slice) and np.ndim(obj) == 0:
        # As NumPy: a single place takes several values.
        values = np.moveaxis(values, 0, axis)
    count = values.shape[axis] if count == 1 else count
    shape = (*arr.shape[:axis], count, *arr.shape[axis + 1 :])
    both = np.concatenate([arr, np.broadcast_to(values, shape).astype(arr.dtype)], axis)
    return np.take(both, np.insert(numbers, obj, numbers.size + np.arange(count)), axis)


@composite(np.resize)
def resize(a, new_shape):
    return moved(as_array(a), lambda places: np.resize(places, new_shape))


@composite(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x, window_shape, axis=None, *, writeable=False):
    return moved(x, lambda places: np.lib.stride_tricks.sliding_window_view(places, window_shape, axis))


@composite(np.partition)
def partition(a, kth, axis=-1, kind="introselect"):
    if axis is None:
        a, axis = np.ravel(a), 0
    array = a if isinstance(a, np.ndarray) else a.data
    # The order that NumPy leaves the elements in is found by their values.
    ranks = np.argsort(np.argsort(np.partition(array, kth, axis), axis=axis), axis=axis)
    return np.take_along_axis(a, np.take_along_axis(np.argsort(array, axis=axis), ranks, axis), axis)


@composite(np.choose)
def choose(a, choices, mode="raise"):
    choices = [as_array(choice) for choice in choices]
    shape = np.broadcast_shapes(np.shape(a), *(c.shape for c in choices))
    numbers = np.broadcast_to(_wrapped(a, len(choices), mode), shape)
    stacked = np.stack([np.broadcast_to(c, shape) for c in choices])
    return np.take_along_axis(stacked, numbers[None], 0)[0]


@composite(np.compress)
def compress(condition, a, axis=None):
    return np.take(a, np.flatnonzero(condition), axis)


@composite(np.extract)
def extract(condition, arr):
    return np.take(arr, np.flatnonzero(condition))


@composite(np.ix_)
def ix_(*args):
    arrays = [as_array(a) for a in args]
    if any(a.dtype == bool for a in arrays):
        return NotImplemented
    return tuple(np.reshape(a, (1,) * i + (-1,) + (1,) * (len(args) - 1 - i)) for i, a in enumerate(arrays))


@composite(np.block)
def block(arrays):
    depth, ndim = _nesting(arrays)
    return _joined(arrays, depth, builtins.max(depth, ndim))


def _nesting(arrays):
    """How deep lists are nested, and the largest number of dimensions in them."""
    if not isinstance(arrays, list):
        return 0, np.ndim(arrays)
    depths, ndims = zip(*map(_nesting, arrays), strict=True)
    return 1 + builtins.max(depths), builtins.max(ndims)


def _joined(arrays, depth, ndim):
    if depth == 0:
        return np.reshape(arrays, (1,) * (ndim - np.ndim(arrays)) + np.shape(arrays))
    return np.concatenate([_joined(a, depth - 1, ndim) for a in arrays], -depth)


@composite(np.meshgrid)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    n = len(xi)
    grids = [np.reshape(x, (1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(xi)]
    if not sparse:
        grids = broadcast_arrays(*grids)
    grids = [np.swapaxes(g, 0, 1) if indexing == "xy" and n > 1 else g for g in grids]
    return tuple(np.copy(g) if copy else g for g in grids)


@composite(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    # Numbers stay numbers, so they take the precision of the other end.
    start, stop = (as_array(end) if isinstance(end, (list, tuple)) else end for end in (start, stop))
    shape = (-1,) + (1,) * builtins.max(np.ndim(start), np.ndim(stop))
    places = np.reshape(np.arange(num).astype(np.result_type(start, stop, float(num))), shape)
    step = (stop - start) / builtins.max(num - 1 if endpoint else num, 1)
    samples = places * step + start
    if endpoint and num > 1:
        # As in NumPy, the last one is exact.
        samples = np.where(places == num - 1, stop, samples)
    samples = np.moveaxis(samples, 0, axis).astype(samples.dtype if dtype is None else dtype, copy=False)
    # NumPy's step is NaN if there is only one sample.
    return (samples, step if num > endpoint else np.nan) if retstep else samples


@composite(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, *, axis=0):
    base = as_array(base) if isinstance(base, (list, tuple)) else base
    if np.ndim(base):
        ndim = np.broadcast(*(np.empty(np.shape(end)) for end in (start, stop, base))).ndim
        start, stop = (np.reshape(end, (1,) * (ndim - np.ndim(end)) + np.shape(end)) for end in (start, stop))
        base = np.expand_dims(np.reshape(base, (1,) * (ndim - np.ndim(base)) + np.shape(base)), axis)
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    return np.power(base, exponents).astype(np.result_type(start, stop, float(num), base))


@composite(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, *, axis=0):
    start, stop = (as_array(end) if isinstance(end, (list, tuple)) else end for end in (start, stop))
    ratio = stop / start
    shares = np.reshape(np.linspace(0, 1, num, endpoint), (-1,) + (1,) * np.ndim(ratio))
    # As NumPy: double precision, whatever the dtypes of the ends.
    samples = (start * ratio**shares).astype(np.result_type(start, stop, np.float64))
    return np.moveaxis(samples, 0, axis)


@composite(np.vander)
def vander(x, N=None, increasing=False):  # noqa: N803
    # As NumPy: no narrower than integers.
    x = as_array(x)
    x = x.astype(np.result_type(x.dtype, int))
    powers = range(len(x) if N is None else N)
    if not powers:
        return NotImplemented
    # By Python's integers, whose derivatives at 0 are defined.
    return np.stack([x**k for k in (powers if increasing else powers[::-1])], -1)


@composite(np.unwrap)
def unwrap(p, discont=None, axis=-1, *, period=2 * np.pi):
    if not is_constant(discont, period):
        return NotImplemented
    # Constants are added, so only the dtype can change.
    return as_array(p).astype(np.result_type(as_array(p).dtype, period))


def unstack(x, /, *, axis=0):
    return tuple(np.moveaxis(x, axis, 0))


def change_dtype(x, dtype, /, *, copy=True):
    return x.astype(dtype, copy=copy)


# In NumPy 2.1 and later.
if hasattr(np, "unstack"):
    composite(np.unstack)(unstack)
    composite(np.astype)(change_dtype)


@composite(np.trim_zeros)
def trim_zeros(filt, trim="fb"):
    filt = as_array(filt)
    if filt.ndim != 1:
        return NotImplemented
    nonzero = np.flatnonzero(filt)
    if not len(nonzero):
        return filt[:0]
    start = nonzero[0] if "f" in trim.lower() else 0
    stop = nonzero[-1] + 1 if "b" in trim.lower() else len(filt)
    return filt[start:stop]


# ---- sets


@composite(np.unique)
def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True):
    array = ar if isinstance(ar, np.ndarray) else ar.data
    if axis is not None:
        return NotImplemented
    _, first, *others = np.unique(array, True, return_inverse, return_counts, equal_nan=equal_nan)
    values = np.ravel(ar)[first]
    found = (values, *[first] * return_index, *others)
    return found if len(found) > 1 else values


@composite(np.union1d)
def union1d(ar1, ar2):
    return np.unique(np.concatenate([np.ravel(ar1), np.ravel(ar2)]))


@composite(np.intersect1d)
def intersect1d(ar1, ar2):
    common = np.unique(ar1)
    return common[np.isin(common, ar2)]


@composite(np.setdiff1d)
def setdiff1d(ar1, ar2):
    values = np.unique(ar1)
    return values[np.isin(values, ar2, invert=True)]


@composite(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x):
    return np.swapaxes(x, -1, -2)


@composite(np.linalg.diagonal)
def matrix_diagonal(x, /, *, offset=0):
    return np.diagonal(x, offset, -2, -1)


@composite(np.linalg.trace)
def matrix_trace(x, /, *, offset=0):
    return np.trace(x, offset, -2, -1)


@composite(np.rollaxis)
def rollaxis(a, axis, start=0):
    axis = normalize_axis_index(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


PLAIN.update(
    [
        *(np.shape, np.ndim, np.size, np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.lexsort),
        *(np.argwhere, np.nonzero, np.flatnonzero, np.count_nonzero, np.any, np.all, np.searchsorted, np.digitize),
        *(np.result_type, np.min_scalar_type, np.shares_memory, np.may_share_memory, np.array2string),
        *(np.array_repr, np.array_str, np.argpartition, np.common_type, np.isin, np.einsum_path),
        *(np.tril_indices_from, np.triu_indices_from, np.diag_indices_from, np.linalg.matrix_rank),
    ]
)
BUFFERS.update([np.zeros_like, np.ones_like, np.empty_like])


@composite(np.full_like)
def full_like(a, fill_value, dtype=None):
    if not is_constant(fill_value):
        return np.broadcast_to(fill_value, np.shape(a)).astype(dtype or a.dtype)
    out = np.empty_like(a, dtype=dtype)
    out[...] = fill_value
    return out
