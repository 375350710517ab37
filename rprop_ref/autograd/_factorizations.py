"""Vjps of the singular value decomposition and QR, and what is made of them: condition numbers, least squares."""

from __future__ import annotations

import math

import numpy as np

from ._linalg import check_phases, over
from ._primitives import as_array, composite, conj_transpose, primitive


def _undetermined_vjp(g, _ans, _x, _columns):
    if np.any(np.asarray(g if isinstance(g, np.ndarray) else g.data) != 0):
        raise RuntimeError(
            "the loss depends on columns that complete an orthonormal basis, which the matrix does not determine; "
            "write svd(a, full_matrices=False), or qr(a) without mode='complete'"
        )
    return np.zeros(_x.shape, g.dtype)


@primitive(_undetermined_vjp, None)
def _undetermined(x, columns):
    """Columns that the matrix does not determine; a gradient that is not 0 cannot flow through them."""
    return columns


def _with_columns(x, columns):
    """The columns of `x`, which have a gradient, and further ones, which have none."""
    return np.concatenate([x, _undetermined(x, columns)], -1) if columns.shape[-1] else x


# ---- singular values


def _svd_vjp(g, ans, _a, _full):
    m, n = _a.shape[-2:]
    u, s, v = ans[..., :m, :], np.real(ans[..., m, :]), ans[..., m + 1 :, :]
    gu, gs, gv = g[..., :m, :], np.real(g[..., m, :]), g[..., m + 1 :, :]
    uu, vv = conj_transpose(u) @ gu, conj_transpose(v) @ gv
    check_phases(uu + vv, "svd_backward: The singular vectors")
    columns, rows = s[..., None, :], s[..., :, None]
    diagonal = np.eye(min(m, n))
    # Where singular values coincide, only the vectors have no gradient. It is 0 / 0 if they are not used.
    gaps = np.where(diagonal == 1, 1, (columns - rows) * (columns + rows))
    skew_u, skew_v = uu - conj_transpose(uu), vv - conj_transpose(vv)
    inner = over(skew_u, gaps) * columns + rows * over(skew_v, gaps)
    # On the diagonal are the phases, which only complex vectors have.
    inner = np.where(diagonal == 1, over(skew_u, 2 * columns), inner) + gs[..., None, :] * diagonal
    gradient = u @ inner @ conj_transpose(v)
    if m > n:
        gradient = gradient + over(gu - u @ uu, columns) @ conj_transpose(v)
    if n > m:
        gradient = gradient + u @ conj_transpose(over(gv - v @ vv, columns))
    return gradient


@primitive(_svd_vjp)
def _svd(a, full):
    """The left vectors, the singular values as one row, and the right vectors, one below the other."""
    k = min(a.shape[-2:])
    if not np.isfinite(a).all():
        # NumPy's singular values are NaN; with the vectors, LAPACK may never return.
        return np.full((*a.shape[:-2], sum(a.shape[-2:]) + 1, k), np.nan, a.dtype)
    u, s, vh = np.linalg.svd(a, full)
    return np.concatenate([u[..., :k], s[..., None, :].astype(u.dtype), conj_transpose(vh)[..., :k]], -2)


@composite(np.linalg.svd)
def svd(a, full_matrices=True, compute_uv=True):
    m = a.shape[-2]
    if not compute_uv:
        return svdvals(a)
    parts = _svd(a, bool(full_matrices))
    u, v = parts[..., :m, :], parts[..., m + 1 :, :]
    if full_matrices:
        whole = np.linalg.svd(a if isinstance(a, np.ndarray) else a.data)
        k = parts.shape[-1]
        u = _with_columns(u, whole[0][..., k:])
        v = _with_columns(v, conj_transpose(whole[2])[..., k:])
    return u, np.real(parts[..., m, :]), conj_transpose(v)


@composite(np.linalg.svdvals)
def svdvals(x):
    return np.real(_svd(x, False)[..., x.shape[-2], :])


@composite(np.linalg.cond)
def cond(x, p=None):
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    first, second = (np.linalg.norm(y, p, (-2, -1)) for y in (x, np.linalg.inv(x)))
    return first * second


# ---- eigenvalues of matrices that need not be symmetric


def _eig_vjp(g, ans, _a):
    values, vectors = ans[..., 0], ans[..., 1:]
    products = conj_transpose(vectors) @ g[..., 1:]
    check_phases(products, "linalg_eig_backward: The eigenvectors")
    diagonal = np.eye(values.shape[-1])
    # The vectors have length one.
    lengths = np.real(np.diagonal(products, 0, -2, -1))[..., None, :]
    inner = products - conj_transpose(vectors) @ vectors * lengths
    gaps = np.conj(values[..., None, :] - values[..., :, None])
    # Where eigenvalues coincide, only the vectors have no gradient. It is 0 / 0 if they are not used.
    inner = over(np.where(diagonal == 1, 0, inner), gaps) + g[..., 0][..., None, :] * diagonal
    return np.linalg.solve(conj_transpose(vectors), inner @ conj_transpose(vectors))


@primitive(_eig_vjp)
def _eig(a):
    """The eigenvalues as an additional column before the eigenvectors."""
    values, vectors = np.linalg.eig(a)
    return np.concatenate([values[..., None], vectors], -1)


_EIG = type(np.linalg.eig(np.eye(1)))


@composite(np.linalg.eig, exact=True)
def eig(a):
    parts = _eig(a)
    return _EIG(parts[..., 0], parts[..., 1:])


@composite(np.linalg.eigvals)
def eigvals(a):
    # The order without eigenvectors may be another one.
    return in_order(_eig(a)[..., 0], np.linalg.eigvals(a if isinstance(a, np.ndarray) else a.data))


def in_order(values, expected):
    """The values, each in the place of the expected one that it is closest to."""
    array = values if isinstance(values, np.ndarray) else values.data
    if np.allclose(expected, array):
        return values
    order = np.argmin(np.abs(expected[..., :, None] - array[..., None, :]), axis=-1)
    if np.any(np.sort(order, axis=-1) != np.arange(order.shape[-1])):
        raise ValueError("the eigenvalues come in another order with eigenvectors than without, and some coincide")
    return np.take_along_axis(values, order, -1)


# ---- QR


def _qr_vjp(g, ans, _a, _mode):
    m, n = _a.shape[-2:]
    k = min(m, n)
    q, r = ans[..., :m, :], np.swapaxes(ans[..., m:, :], -1, -2)
    gq, gr = g[..., :m, :], np.swapaxes(g[..., m:, :], -1, -2)
    if n == k:
        return _tall_qr(gq, gr, q, r)
    # The further columns are q times those of r.
    further = q @ r[..., k:]
    left = _tall_qr(gq + further @ conj_transpose(gr[..., k:]), gr[..., :k], q, r[..., :k])
    return np.concatenate([left, q @ gr[..., k:]], -1)


def _tall_qr(gq, gr, q, r):
    upper = np.triu(gr @ conj_transpose(r) - conj_transpose(q) @ gq)
    hermitian = upper + conj_transpose(upper)
    # The diagonal of r is real.
    hermitian = np.where(np.eye(r.shape[-1]) == 1, hermitian / 2, hermitian)
    return conj_transpose(np.linalg.solve(r, conj_transpose(gq + q @ hermitian)))


@primitive(_qr_vjp)
def _qr(a, mode):
    """The matrix q, and below it the transpose of r."""
    k = min(a.shape[-2:])
    q, r = np.linalg.qr(a, mode)
    return np.concatenate([q[..., :k], np.swapaxes(r[..., :k, :], -1, -2)], -2)


@composite(np.linalg.qr)
def qr(a, mode="reduced"):
    m, n = a.shape[-2:]
    if mode not in ("reduced", "complete", "r"):
        return NotImplemented
    parts = _qr(a, "reduced" if mode == "r" else mode)
    q, r = parts[..., :m, :], np.swapaxes(parts[..., m:, :], -1, -2)
    if mode == "r":
        return r
    if mode == "complete" and m > n:
        q = _with_columns(q, np.linalg.qr(a if isinstance(a, np.ndarray) else a.data, mode)[0][..., n:])
        r = np.concatenate([r, np.zeros((*r.shape[:-2], m - n, n), r.dtype)], -2)
    return q, r


# ---- least squares, and equations of tensors


@composite(np.linalg.lstsq)
def lstsq(a, b, rcond=None):
    a, b = as_array(a), as_array(b)
    if rcond is None or rcond == -1:
        dtype = np.result_type(a, b, np.float32)
        rcond = np.finfo(dtype).eps * (1 if rcond == -1 else max(a.shape))
    x = np.linalg.pinv(a, rcond) @ b
    s = svdvals(a)
    rank = int(np.sum(s > rcond * np.max(s, initial=0)))
    # As NumPy: no sums of squares where they are 0, or not unique.
    residuals = np.sum(np.abs(np.reshape(b - a @ x, (len(a), -1))) ** 2, axis=0)
    return x, residuals if rank == a.shape[1] < len(a) else residuals[:0], rank, s


@composite(np.linalg.tensorsolve)
def tensorsolve(a, b, axes=None):
    a, b = as_array(a), as_array(b)
    for axis in () if axes is None else axes:
        a = np.moveaxis(a, axis, -1)
    shape = a.shape[b.ndim - a.ndim :] if a.ndim > b.ndim else ()
    return np.reshape(np.linalg.solve(np.reshape(a, (-1, math.prod(shape))), np.ravel(b)), shape)


@composite(np.linalg.tensorinv)
def tensorinv(a, ind=2):
    shape = a.shape[ind:] + a.shape[:ind]
    return np.reshape(np.linalg.inv(np.reshape(a, (math.prod(a.shape[:ind]), -1))), shape)
