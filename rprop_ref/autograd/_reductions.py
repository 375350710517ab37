"""Vjps of sums, means, extremes, norms, sorting, and the like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ._primitives import add_primitive, as_array, composite, conj, is_constant, primitive


def with_kept_axes(ans, ndim, axis, keepdims):
    """The result of a reduction in the shape that it has with ``keepdims=True``."""
    if keepdims or ans.ndim == ndim:
        return ans
    if axis is None:
        return np.reshape(ans, (1,) * ndim)
    axes = normalize_axis_tuple(axis, ndim)
    lengths = iter(ans.shape)
    return np.reshape(ans, tuple(1 if i in axes else next(lengths) for i in range(ndim)))


def expanded(g, x, axis, keepdims):
    """The gradient of a reduction, repeated for every element that went into it."""
    if not is_constant(g):
        return np.broadcast_to(with_kept_axes(g, x.ndim, axis, keepdims), x.shape)
    out = np.empty(x.shape, g.dtype)
    out[...] = g if axis is None else with_kept_axes(g, x.ndim, axis, keepdims)
    return out


def count_reduced(x, axis):
    """How many elements are reduced to one."""
    if axis is None:
        return x.size
    return math.prod(x.shape[i] for i in normalize_axis_tuple(axis, x.ndim))


def extreme(g, ans, x, axis=None, _out=None, keepdims=False):
    # Ties share the gradient, as in torch's amax.
    best = with_kept_axes(ans, x.ndim, axis, keepdims)
    is_best = (x == best) | (np.isnan(x) & np.isnan(best))
    ties = np.add.reduce(is_best, axis=axis if axis is None else normalize_axis_tuple(axis, x.ndim), keepdims=True)
    return np.where(is_best, with_kept_axes(g, x.ndim, axis, keepdims) / ties.astype(g.dtype), 0)


def mean(g, _ans, _x, axis=None, dtype=None, _out=None, keepdims=False):
    n = count_reduced(_x, axis)
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


def prod(g, _ans, x, axis=None, dtype=None, _out=None, keepdims=False):
    """The product of the other factors, from those before and those after: correct for zeros as well."""
    x = in_dtype(x, dtype)
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
    if axis is None:
        return np.reshape(np.flip(np.cumsum(np.flip(g))), _x.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)


def cumprod(g, ans, x, axis=None, dtype=None, _out=None):
    """Each product divided by each factor; where that would divide 0 or infinity, factor by factor in O(n * n)."""
    x = in_dtype(x, dtype)
    if axis is None:
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


def deviations(x, axis, n, factor):
    """Deviations from the mean, times a factor, divided by `n` degrees of freedom."""
    from_mean = x - np.mean(x, axis=axis, keepdims=True)
    # Without degrees of freedom, torch's convention; NumPy warns of it.
    return from_mean * (factor / n) if n > 0 else np.where(from_mean == 0, np.nan, np.inf)


def variance(g, _ans, x, axis=None, dtype=None, _out=None, ddof=0, keepdims=False, *, correction=None):
    # (NumPy subtracts the mean of the real parts from complex numbers.)
    x = in_dtype(x, dtype, takes_real_parts=False)
    n = count_reduced(x, axis) - (ddof if correction is None else correction)
    # The variance is real, also in a complex dtype.
    g = with_kept_axes(np.real(g), x.ndim, axis, keepdims)
    return g * deviations(x, axis, n, 2)


def standard_deviation(g, ans, x, axis=None, dtype=None, _out=None, ddof=0, keepdims=False, *, correction=None):
    # (NumPy subtracts the mean of the real parts from complex numbers.)
    x = in_dtype(x, dtype, takes_real_parts=False)
    n = count_reduced(x, axis) - (ddof if correction is None else correction)
    g, ans = np.real(g), np.real(ans)
    is_zero = ans == 0
    # 0 where all elements are equal, as in torch.
    g = with_kept_axes(np.where(is_zero, 0, g / np.where(is_zero, 1, ans)), x.ndim, axis, keepdims)
    return g * deviations(x, axis, n, 1)


def sort(g, _ans, x, axis=-1, kind=None, order=None, *, stable=None):
    if axis is None:
        return np.reshape(sort(g, None, np.ravel(x), 0), x.shape)
    values = x if isinstance(x, np.ndarray) else x.data
    back = np.argsort(np.argsort(values, axis=axis, kind="stable"), axis=axis)
    return np.take_along_axis(g, back, axis)


REDUCTIONS: dict[Any, Any] = {
    np.sum: lambda g, _ans, _x, axis=None, dtype=None, _out=None, keepdims=False: expanded(g, _x, axis, keepdims),
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


@composite(np.polyval)
def polyval(p, x):
    x = as_array(x)
    result = np.zeros_like(x)
    for coefficient in p:
        result = result * x + coefficient
    return result


@composite(np.ptp)
def ptp(a, axis=None, keepdims=False):
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@composite(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    if returned:
        return NotImplemented
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    a, weights = as_array(a), as_array(weights)
    # As NumPy: added up in the dtype of the result.
    weights = weights.astype(np.result_type(a.dtype, weights.dtype, *["f8"] * (a.dtype.kind in "biu")), copy=False)
    if np.shape(weights) != np.shape(a):
        shape = [1] * np.ndim(a)
        shape[axis] = -1
        weights = np.reshape(weights, shape)
    total = np.sum(np.broadcast_to(weights, np.shape(a)), axis=axis, keepdims=keepdims)
    return np.sum(a * weights, axis=axis, keepdims=keepdims) / total


@composite(np.median)
def median(a, axis=None, *, keepdims=False):
    ndim = a.ndim
    rows = np.ravel(a) if axis is None else np.moveaxis(a, axis, -1)
    n = rows.shape[-1]
    rows = np.sort(rows, axis=-1)
    middle = np.mean(rows[..., (n - 1) // 2 : n // 2 + 1], axis=-1)
    if n:
        # As in torch: a NaN, which is sorted to the end, is the median and gets the gradient.
        last = rows[..., -1]
        middle = np.where(np.isnan(last), last, middle)
    return with_kept_axes(middle, ndim, axis, False) if keepdims else middle


@composite(np.quantile)
def quantile(a, q, axis=None, *, method="linear", keepdims=False):
    if method != "linear" or not is_constant(q) or (keepdims and np.ndim(q)) or isinstance(axis, tuple):
        return NotImplemented
    ndim = a.ndim
    rows = np.sort(np.ravel(a) if axis is None else np.moveaxis(a, axis, -1), axis=-1)
    place = np.asarray(q) * (rows.shape[-1] - 1)
    low = np.floor(place)
    first, second = (np.take(rows, end.astype(int), axis=-1) for end in (low, np.ceil(place)))
    share = place - low
    if type(q) in (int, float) and rows.dtype.kind == "f":
        share = share.astype(rows.dtype)
    quantiles = first + (second - first) * share
    # NaN is sorted to the end.
    last = np.reshape(rows[..., -1], rows.shape[:-1] + (1,) * place.ndim)
    quantiles = np.where(np.isnan(last), last, quantiles)
    quantiles = np.moveaxis(quantiles, range(quantiles.ndim - place.ndim, quantiles.ndim), range(place.ndim))
    return with_kept_axes(quantiles, ndim, axis, False) if keepdims else quantiles


@composite(np.percentile)
def percentile(a, q, axis=None, *, method="linear", keepdims=False):
    q = q / 100 if type(q) in (int, float) else np.true_divide(q, 100)
    return quantile(a, q, axis, method=method, keepdims=keepdims)


@composite(np.nansum)
def nansum(a, axis=None, *, keepdims=False):
    return np.sum(np.where(np.isnan(a), 0, a), axis=axis, keepdims=keepdims)


@composite(np.nanmean)
def nanmean(a, axis=None, *, keepdims=False):
    result = nansum(a, axis, keepdims=keepdims) / np.sum(~np.isnan(a), axis=axis, keepdims=keepdims)
    # Division by an array of integers promotes lower precisions to float64.
    return result if a.dtype.kind in "iub" else result.astype(a.dtype)


# ---- logsumexp and softmax, which NumPy does not have


def _logsumexp_vjp(g, ans, x, axis, keepdims):
    return with_kept_axes(g, x.ndim, axis, keepdims) * conj(
        np.exp(x - with_kept_axes(ans, x.ndim, axis, keepdims))
    )


@primitive(_logsumexp_vjp)
def _logsumexp(x, axis, keepdims):
    top = np.maximum.reduce(x.real, axis=axis, keepdims=True)
    if not np.isfinite(top).all():
        top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        result = np.log(np.add.reduce(np.exp(x - top), axis=axis, keepdims=True))
    result = result + top
    return result if keepdims else np.squeeze(result, axis)


@primitive(lambda g, ans, _x, axis: ans * (g - np.sum(g * ans, axis=axis, keepdims=True)))
def _softmax(x, axis):
    if np.iscomplexobj(x):
        raise TypeError(f"softmax is a function of real numbers, but got an array of dtype {x.dtype}")
    exps = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    return exps / np.add.reduce(exps, axis=axis, keepdims=True)
