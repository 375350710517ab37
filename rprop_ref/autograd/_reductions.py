"""Vjps of sums, means, extremes, norms, sorting, and the like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ._primitives import add_primitive, composite, conj, is_constant, one, primitive
from ._traced import values


def with_kept_axes(ans, ndim, axis, keepdims):
    """The result of a reduction in the shape that it has with ``keepdims=True``."""
    if keepdims or ans.ndim == ndim:
        return ans
    if axis is None:
        return ans.reshape((1,) * ndim)
    if type(axis) is int:
        place = axis % ndim
        return ans.reshape((*ans.shape[:place], 1, *ans.shape[place:]))
    axes = normalize_axis_tuple(axis, ndim)
    lengths = iter(ans.shape)
    return ans.reshape(tuple(1 if i in axes else next(lengths) for i in range(ndim)))


def expanded(g, x, axis, keepdims):
    """The gradient of a reduction, repeated for every element that went into it."""
    if not is_constant(g):
        return np.broadcast_to(with_kept_axes(g, x.ndim, axis, keepdims), x.shape)
    out = np.empty(x.shape, g.dtype)
    out[...] = g if axis is None else with_kept_axes(g, x.ndim, axis, keepdims)
    return out


def selected(where, g, x):
    """The gradient of a reduction with ``where=``, in the shape of `x`: 0 where it leaves elements out."""
    return np.where(np.broadcast_to(where, x.shape), g, 0)


def count_reduced(x, axis, where=True):
    """How many elements are reduced to one; with ``where=`` an array, with the reduced axes kept."""
    if where is not True:
        return np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=True)
    if axis is None:
        return x.size
    return math.prod(x.shape[i] for i in normalize_axis_tuple(axis, x.ndim))


def summed(g, _ans, _x, axis=None, dtype=None, _out=None, keepdims=False, *, initial=None, where=True):
    result = expanded(g, _x, axis, keepdims)
    return result if where is True else selected(where, result, _x)


def extreme(g, ans, x, axis=None, _out=None, keepdims=False, *, initial=None, where=True):
    # Ties share the gradient, as in torch's amax.
    best = with_kept_axes(ans, x.ndim, axis, keepdims)
    is_best = (x == best) | (np.isnan(x) & np.isnan(best))
    if where is not True:
        is_best = is_best & where
    ties = np.add.reduce(is_best, axis=axis if axis is None else normalize_axis_tuple(axis, x.ndim), keepdims=True)
    if initial is not None:
        # Also with the initial value, which may be the only one.
        ties = ties + (values(best) == initial)
    share = with_kept_axes(g, x.ndim, axis, keepdims) / np.maximum(ties, 1).astype(g.dtype)
    return np.where(is_best, share, 0)


def mean(g, _ans, _x, axis=None, dtype=None, _out=None, keepdims=False, *, where=True):
    n = count_reduced(_x, axis, where)
    if where is not True:
        g, n = with_kept_axes(g, _x.ndim, axis, keepdims), np.maximum(n, 1)
        wide = g if g.dtype.itemsize > 2 else g.astype(np.float32)
        return selected(where, (wide / n.astype(wide.real.dtype)).astype(g.dtype), _x)
    # In 16 bits a large n overflows or is inexact.
    share = g / n if g.dtype.itemsize > 2 else (g.astype(np.float32) / n).astype(g.dtype)
    return expanded(share, _x, axis, keepdims)


def in_dtype(x, dtype, takes_real_parts=True):
    """The values as NumPy has converted them, for which complex numbers lose their imaginary parts."""
    if dtype is None or x.dtype == dtype:
        return x
    narrows = x.dtype.kind == "c" and np.dtype(dtype).kind != "c"
    if np.dtype(dtype).kind not in "fc" or (narrows and not takes_real_parts):
        raise TypeError(
            f"there is no rule for the gradient with dtype={np.dtype(dtype)} of values of dtype {x.dtype}"
        )
    return (np.real(x) if narrows else x).astype(dtype)


def prod(g, _ans, x, axis=None, dtype=None, _out=None, keepdims=False, *, initial=None, where=True):
    """The product of the other factors, from those before and those after: correct for zeros as well."""
    x = in_dtype(x, dtype)
    if initial is not None:
        g = g * conj(np.asarray(initial, g.dtype))
    if where is not True:
        return selected(where, prod(g, None, np.where(where, x, one(x)), axis, None, None, keepdims), x)
    if not x.size:
        return expanded(g, x, axis, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if not axes:
        return g
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*rest, *axes)
    rows = np.reshape(np.transpose(x, order), (*(x.shape[i] for i in rest), -1))
    ones = np.ones((*rows.shape[:-1], 1), x.dtype)
    before = np.cumprod(np.concatenate([ones, rows[..., :-1]], -1), axis=-1)
    after = np.flip(np.cumprod(np.concatenate([ones, np.flip(rows, -1)[..., :-1]], -1), axis=-1), -1)
    others = np.reshape(before * after, tuple(x.shape[i] for i in order))
    return with_kept_axes(g, x.ndim, axis, keepdims) * conj(np.transpose(others, np.argsort(order)))


def cumsum(g, _ans, _x, axis=None, dtype=None, _out=None):
    if axis is None or not _x.ndim:
        return np.reshape(np.flip(np.cumsum(np.flip(g))), _x.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)


def cumprod(g, ans, x, axis=None, dtype=None, _out=None):
    """Each product divided by each factor; where that would divide 0 or infinity, factor by factor in O(n * n)."""
    x = in_dtype(x, dtype)
    if axis is None or not x.ndim:
        return np.reshape(cumprod(g, ans, np.ravel(x), 0), x.shape)
    if not x.size:
        return g
    sizes = np.abs(ans if isinstance(ans, np.ndarray) else ans.data)
    # Subnormal products are excluded too: they have lost digits to underflow.
    if sizes.dtype.kind == "f" and np.all((sizes >= np.finfo(sizes.dtype).tiny) & np.isfinite(sizes)):
        return np.flip(np.cumsum(np.flip(g * conj(ans), axis), axis=axis), axis) / conj(x)
    rows, g = np.moveaxis(x, axis, -1), np.moveaxis(g, axis, -1)
    n = rows.shape[-1]
    parts = []
    for k in range(n):
        without = np.concatenate([rows[..., :k], np.ones((*rows.shape[:-1], 1), x.dtype), rows[..., k + 1 :]], -1)
        parts.append(np.sum(g[..., k:] * conj(np.cumprod(without, axis=-1)[..., k:]), axis=-1))
    return np.moveaxis(np.stack(parts, -1), -1, axis)


def deviations(x, axis, n, factor, where=True):
    """Deviations from the mean, times a factor, divided by `n` degrees of freedom."""
    if where is not True:
        from_mean = x - np.mean(x, axis=axis, keepdims=True, where=where)
        share = from_mean * (factor / np.where(n > 0, n, 1)).astype(x.real.dtype)
        return selected(where, np.where(n > 0, share, np.where(from_mean == 0, np.nan, np.inf).astype(x.dtype)), x)
    from_mean = x - np.mean(x, axis=axis, keepdims=True)
    # Without degrees of freedom, torch's convention; NumPy warns of it.
    return from_mean * (factor / n) if n > 0 else np.where(from_mean == 0, np.nan, np.inf)


def variance(g, _ans, x, axis=None, dtype=None, _out=None, ddof=0, keepdims=False, *, correction=None, where=True):
    # (NumPy subtracts the mean of the real parts from complex numbers.)
    x = in_dtype(x, dtype, takes_real_parts=False)
    n = count_reduced(x, axis, where) - (ddof if correction is None else correction)
    # The variance is real, also in a complex dtype.
    g = with_kept_axes(np.real(g), x.ndim, axis, keepdims)
    return g * deviations(x, axis, n, 2, where)


def standard_deviation(
    g, ans, x, axis=None, dtype=None, _out=None, ddof=0, keepdims=False, *, correction=None, where=True
):
    # (NumPy subtracts the mean of the real parts from complex numbers.)
    x = in_dtype(x, dtype, takes_real_parts=False)
    n = count_reduced(x, axis, where) - (ddof if correction is None else correction)
    g, ans = np.real(g), np.real(ans)
    is_zero = ans == 0
    # 0 where all elements are equal, as in torch.
    g = with_kept_axes(np.where(is_zero, 0, g / np.where(is_zero, 1, ans)), x.ndim, axis, keepdims)
    return g * deviations(x, axis, n, 1, where)


def sort(g, _ans, x, axis=-1, kind=None, order=None, *, stable=None):
    if axis is None:
        return np.reshape(sort(g, None, np.ravel(x), 0), x.shape)
    values = x if isinstance(x, np.ndarray) else x.data
    back = np.argsort(np.argsort(values, axis=axis, kind="stable"), axis=axis)
    return np.take_along_axis(g, back, axis)


REDUCTIONS: dict[Any, Any] = {
    np.sum: summed,
    np.mean: mean,
    np.prod: prod,
    np.max: extreme,
    np.min: extreme,
    np.amax: extreme,
    np.amin: extreme,
    np.var: variance,
    np.std: standard_deviation,
    np.cumsum: cumsum,
    np.cumprod: cumprod,
    np.sort: sort,
}
for _fun, _vjp in REDUCTIONS.items():
    add_primitive(_fun, _vjp)


def _norm_vjp(g, ans, x, axis, keepdims):
    is_zero = ans == 0
    return with_kept_axes(np.where(is_zero, 0, g / np.where(is_zero, 1, ans)), x.ndim, axis, keepdims) * x


@primitive(_norm_vjp)
def norm2(x, axis, keepdims):
    """The square root of the sum of squares, with a gradient of 0 at 0."""
    return np.sqrt(np.add.reduce(np.real(x * np.conjugate(x)), axis=axis, keepdims=keepdims))


def _normp_vjp(g, ans, x, ord, axis, keepdims):
    size = np.abs(x)
    zeros, is_zero = size == 0, ans == 0
    powers = np.where(zeros, 0, np.where(zeros, 1, size) ** (ord - 1))
    # 0 at 0 for every order, as in torch.
    scale = np.where(is_zero, 0, g / np.where(is_zero, 1, ans) ** (ord - 1))
    return with_kept_axes(scale, x.ndim, axis, keepdims) * (np.sign(x) * powers)


@primitive(_normp_vjp)
def normp(x, ord, axis, keepdims):
    return np.linalg.norm(x, ord, axis, keepdims)


@composite(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    ndim = x.ndim
    if axis is None and (ord is None or (ord == 2 and ndim == 1) or (ord == "fro" and ndim == 2)):
        return norm2(x, tuple(range(ndim)), keepdims)
    axes = normalize_axis_tuple(range(ndim) if axis is None else axis, ndim)
    if len(axes) == 1:
        if ord is None or ord == 2:
            return norm2(x, axes, keepdims)
        if ord == np.inf:
            return np.max(np.abs(x), axis=axes, keepdims=keepdims)
        if ord == -np.inf:
            return np.min(np.abs(x), axis=axes, keepdims=keepdims)
        if ord == 0:
            return np.sum(np.sign(np.abs(x)), axis=axes, keepdims=keepdims)
        if isinstance(ord, str):
            raise ValueError(f"Invalid norm order '{ord}' for vectors")
        return normp(x, ord, axes, keepdims)
    if len(axes) == 2:
        if ord in (None, "fro"):
            return norm2(x, axes, keepdims)
        if ord in (1, -1, np.inf, -np.inf):
            inner, outer = axes if abs(ord) == 1 else axes[::-1]
            sums = np.sum(np.abs(x), axis=inner, keepdims=True)
            result = (np.max if ord > 0 else np.min)(sums, axis=outer, keepdims=True)
            return result if keepdims else np.squeeze(result, axes)
        if ord in (2, -2, "nuc"):
            reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
            result = reduce(np.linalg.svdvals(np.moveaxis(x, axes, (-2, -1))), axis=-1)
            return np.expand_dims(result, axes) if keepdims else result
    return NotImplemented


@composite(np.linalg.vector_norm)
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if ord == 2:
        return norm2(x, axes, keepdims)
    return norm(x, ord, axes[0], keepdims) if len(axes) == 1 else NotImplemented


@composite(np.linalg.matrix_norm)
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    return norm(x, ord, (-2, -1), keepdims)


# ---- logsumexp and softmax, which NumPy does not have


def _logsumexp_vjp(g, ans, x, axis, keepdims):
    return with_kept_axes(g, x.ndim, axis, keepdims) * conj(
        np.exp(x - with_kept_axes(ans, x.ndim, axis, keepdims))
    )


@primitive(_logsumexp_vjp)
def _logsumexp(x, axis, keepdims):
    top = np.maximum.reduce(x.real, axis=axis, keepdims=True)
    if not np.logical_and.reduce(np.isfinite(top), axis=None):
        top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        result = np.log(np.add.reduce(np.exp(x - top), axis=axis, keepdims=True))
    result = result + top
    return result if keepdims else result.squeeze(axis)


@primitive(lambda g, ans, _x, axis: ans * (g - np.sum(g * ans, axis=axis, keepdims=True)))
def _softmax(x, axis):
    if np.iscomplexobj(x):
        raise TypeError(f"softmax is a function of real numbers, but got an array of dtype {x.dtype}")
    exps = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    return exps / np.add.reduce(exps, axis=axis, keepdims=True)
