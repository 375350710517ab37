"""Averages, quantiles, covariances, and the reductions that leave NaN out, in terms of other functions."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ._primitives import as_array, composite, conj, is_constant, primitive
from ._reductions import with_kept_axes


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


# ---- quantiles


def _sorted_rows(a, axis):
    """The elements that are reduced to one, sorted along a last axis; NaN comes last."""
    if axis is None:
        return np.sort(np.ravel(a), axis=-1)
    axes = normalize_axis_tuple(axis, a.ndim)
    rest = [i for i in range(a.ndim) if i not in axes]
    n = math.prod(a.shape[i] for i in axes)
    return np.sort(np.reshape(np.transpose(a, (*rest, *axes)), (*(a.shape[i] for i in rest), n)), axis=-1)


@composite(np.median)
def median(a, axis=None, *, keepdims=False):
    ndim = a.ndim
    rows = _sorted_rows(a, axis)
    n = rows.shape[-1]
    middle = np.mean(rows[..., (n - 1) // 2 : n // 2 + 1], axis=-1)
    if n:
        # As in torch: a NaN, which is sorted to the end, is the median and gets the gradient.
        last = rows[..., -1]
        middle = np.where(np.isnan(last), last, middle)
    return with_kept_axes(middle, ndim, axis, False) if keepdims else middle


@composite(np.quantile)
def quantile(a, q, axis=None, *, method="linear", keepdims=False):
    return _quantile(a, q, axis, method, keepdims, leave_out_nan=False)


@composite(np.percentile)
def percentile(a, q, axis=None, *, method="linear", keepdims=False):
    return quantile(a, _hundredth(q), axis, method=method, keepdims=keepdims)


@composite(np.nanquantile)
def nanquantile(a, q, axis=None, *, method="linear", keepdims=False):
    return _quantile(a, q, axis, method, keepdims, leave_out_nan=True)


@composite(np.nanpercentile)
def nanpercentile(a, q, axis=None, *, method="linear", keepdims=False):
    return nanquantile(a, _hundredth(q), axis, method=method, keepdims=keepdims)


@composite(np.nanmedian)
def nanmedian(a, axis=None, *, keepdims=False):
    return _quantile(a, 0.5, axis, "linear", keepdims, leave_out_nan=True)


def _hundredth(q):
    return q / 100 if type(q) in (int, float) else np.true_divide(q, 100)


def _quantile(a, q, axis, method, keepdims, leave_out_nan):
    if not is_constant(q):
        return NotImplemented
    rows = _sorted_rows(a, axis)
    numbers = np.sum(~np.isnan(rows), axis=-1, keepdims=True)
    n = numbers if leave_out_nan else rows.shape[-1]
    parts = []
    for share in np.ravel(q):
        place = np.broadcast_to(_place_of(share, n, method), numbers.shape)
        low = np.floor(place)
        first, second = (
            np.take_along_axis(rows, end.astype(int), axis=-1)[..., 0] for end in (low, np.ceil(place))
        )
        weight = (place - low)[..., 0]
        if type(q) in (int, float) and rows.dtype.kind == "f":
            weight = weight.astype(rows.dtype)
        part = first + (second - first) * weight
        if not leave_out_nan:
            # NaN is sorted to the end.
            part = np.where(np.isnan(rows[..., -1]), rows[..., -1], part)
        parts.append(with_kept_axes(part, a.ndim, axis, False) if keepdims else part)
    return np.reshape(np.stack(parts), np.shape(q) + parts[0].shape)


def _place_of(share, n, method):
    """Where a quantile lies among `n` sorted elements, between the numbers of two of them."""
    if method == "linear":
        return share * np.maximum(n - 1, 0)
    if np.ndim(n):
        # (Among no elements, at the first.)
        return np.reshape([_place_of(share, int(m), method) for m in np.ravel(n)], np.shape(n))
    # The quantile of 0, 1, ..., n - 1 is its own place.
    return np.quantile(np.arange(max(n, 1.0)), share, method=method)


# ---- without NaN


def _numbers(a, where):
    """The array with 0 in place of NaN, and where its elements count."""
    is_number = ~np.isnan(a)
    # Replaced, since 0 times NaN would be NaN in second derivatives.
    return np.where(is_number, a, 0), is_number if where is True else is_number & where


@composite(np.nansum)
def nansum(a, axis=None, *, keepdims=False, initial=None, where=True):
    a, where = _numbers(as_array(a), where)
    return np.sum(a, axis=axis, keepdims=keepdims, where=where)


@composite(np.nanmean)
def nanmean(a, axis=None, *, keepdims=False, where=True):
    a, where = _numbers(as_array(a), where)
    return np.mean(a, axis=axis, keepdims=keepdims, where=where)


@composite(np.nanprod)
def nanprod(a, axis=None, *, keepdims=False, initial=None, where=True):
    a, where = _numbers(as_array(a), where)
    return np.prod(a, axis=axis, keepdims=keepdims, initial=1 if initial is None else initial, where=where)


@composite(np.nanmax)
def nanmax(a, axis=None, *, keepdims=False, initial=None, where=True):
    a, where = _numbers(as_array(a), where)
    return np.max(a, axis=axis, keepdims=keepdims, initial=-np.inf if initial is None else initial, where=where)


@composite(np.nanmin)
def nanmin(a, axis=None, *, keepdims=False, initial=None, where=True):
    a, where = _numbers(as_array(a), where)
    return np.min(a, axis=axis, keepdims=keepdims, initial=np.inf if initial is None else initial, where=where)


@composite(np.nanvar)
def nanvar(a, axis=None, *, ddof=0, keepdims=False, where=True, correction=None):
    a, where = _numbers(as_array(a), where)
    ddof = ddof if correction is None else correction
    return np.var(a, axis=axis, ddof=ddof, keepdims=keepdims, where=where)


@composite(np.nanstd)
def nanstd(a, axis=None, *, ddof=0, keepdims=False, where=True, correction=None):
    a, where = _numbers(as_array(a), where)
    ddof = ddof if correction is None else correction
    return np.std(a, axis=axis, ddof=ddof, keepdims=keepdims, where=where)


@composite(np.nancumsum)
def nancumsum(a, axis=None):
    return np.cumsum(np.where(np.isnan(a), 0, a), axis=axis)


@composite(np.nancumprod)
def nancumprod(a, axis=None):
    return np.cumprod(np.where(np.isnan(a), 1, a), axis=axis)


# ---- cumulative sums and products, which NumPy has since 2.1


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    return _cumulative(np.cumsum, np.zeros_like, x, axis, dtype, include_initial)


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    return _cumulative(np.cumprod, np.ones_like, x, axis, dtype, include_initial)


def _cumulative(accumulate, like, x, axis, dtype, include_initial):
    axis = 0 if axis is None else axis
    result = accumulate(x, axis=axis, dtype=dtype)
    if not include_initial:
        return result
    shape = list(result.shape)
    shape[axis] = 1
    return np.concatenate([like(np.empty(shape, result.dtype)), result], axis)


for _fun in (cumulative_sum, cumulative_prod):
    if hasattr(np, _fun.__name__):
        composite(getattr(np, _fun.__name__))(_fun)


# ---- covariances


@composite(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    parts = [as_array(part) for part in (m, y) if part is not None]
    dtype = np.result_type(*parts, float) if dtype is None else np.dtype(dtype)
    rows = []
    for part in parts:
        matrix = np.atleast_2d(part)
        rows.append((matrix if rowvar or part.ndim == 1 else np.transpose(matrix)).astype(dtype))
    x = rows[0] if len(rows) == 1 else np.concatenate(rows, 0)
    n = x.shape[1]
    ddof = int(bias == 0) if ddof is None else ddof
    weights = np.ones(n) if fweights is None else np.asarray(fweights, float)
    if aweights is not None:
        weights = weights * aweights
    # In the dtype in which NumPy computes it: its rounding decides on which side of 0 it is.
    if np.iscomplexobj(weights):
        return NotImplemented
    total = np.sum(weights.astype(np.result_type(x.dtype, weights.dtype)))
    freedom = np.real(total - ddof * (1 if aweights is None else np.sum(weights * aweights) / total))
    weights = weights.astype(x.real.dtype)
    x = x - (x @ weights / np.sum(weights))[:, None]
    # Without degrees of freedom NumPy warns, and divides by 0.
    return np.squeeze(x @ conj((x * weights).T) / np.where(freedom > 0, freedom, 0)).astype(dtype)


@composite(np.corrcoef)
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    covariances = cov(x, y, rowvar, dtype=dtype)
    if covariances.ndim == 0:
        return covariances / covariances
    deviations = np.sqrt(np.real(np.diagonal(covariances)))
    return covariances / deviations[:, None] / deviations


# ---- histograms


def _bincount_vjp(g, _ans, weights, _x, _minlength):
    return g[_x]


@primitive(_bincount_vjp)
def _weighted_counts(weights, x, minlength):
    return np.bincount(x, weights, minlength)


@composite(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    return _weighted_counts(as_array(weights), as_array(x), minlength)


@composite(np.histogram)
def histogram(a, bins=10, range=None, density=None, weights=None):
    if not is_constant(a, bins, range):
        return NotImplemented
    a, weights = np.ravel(a), np.ravel(weights)
    edges = np.histogram_bin_edges(a, bins, range)
    # The last bin has both ends.
    inside = (a >= edges[0]) & (a <= edges[-1])
    places = np.minimum(np.searchsorted(edges, a[inside], "right") - 1, len(edges) - 2)
    counts = _weighted_counts(weights[inside], places, len(edges) - 1)
    return (counts / np.diff(edges) / np.sum(counts) if density else counts), edges
