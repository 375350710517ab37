"""`numpy.polyval`, `polyfit`, `roots` and the other functions of polynomials' coefficients."""

from __future__ import annotations

import numpy as np

from ._factorizations import in_order
from ._primitives import as_array, composite


@composite(np.polyval)
def polyval(p, x):
    x = as_array(x)
    result = np.zeros_like(x)
    for coefficient in p:
        result = result * x + coefficient
    return result


def _sum(a1, a2, sign):
    a1, a2 = np.atleast_1d(as_array(a1), as_array(a2))
    n = max(len(a1), len(a2))
    a1, a2 = (np.pad(a, (n - len(a), 0)) for a in (a1, a2))
    return a1 + a2 if sign > 0 else a1 - a2


@composite(np.polyadd)
def polyadd(a1, a2):
    return _sum(a1, a2, 1)


@composite(np.polysub)
def polysub(a1, a2):
    return _sum(a1, a2, -1)


def _without_leading_zeros(p):
    p = np.atleast_1d(as_array(p))
    nonzero = np.flatnonzero(p)
    return p[nonzero[0] :] if len(nonzero) else p[-1:]


@composite(np.polymul)
def polymul(a1, a2):
    return np.convolve(*map(_without_leading_zeros, (a1, a2)))


@composite(np.polyder)
def polyder(p, m=1):
    p = as_array(p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@composite(np.polyint)
def polyint(p, m=1, k=None):
    constants = np.zeros(m) if k is None else as_array(k)
    constants = np.broadcast_to(constants, (m,)) if np.size(constants) == 1 else constants
    p = as_array(p)
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), constants[i : i + 1]])
    return p


@composite(np.poly)
def poly(seq_of_zeros):
    roots = as_array(seq_of_zeros)
    if roots.ndim == 2:
        roots = np.linalg.eigvals(roots)
    coefficients = np.ones(1, np.result_type(roots.dtype, float))
    for root in roots:
        coefficients = np.convolve(coefficients, np.stack([np.ones_like(root), -root]))
    # NumPy drops imaginary parts where the roots are pairs of conjugates.
    zeros = roots if isinstance(roots, np.ndarray) else roots.data
    is_real = np.iscomplexobj(zeros) and np.array_equal(np.sort(zeros), np.sort(np.conj(zeros)))
    return np.real(coefficients) if is_real else coefficients


@composite(np.roots)
def roots(p):
    p = np.ravel(p)
    nonzero = np.flatnonzero(p)
    zeros = len(p) - 1 - nonzero[-1]
    p = p[nonzero[0] : nonzero[-1] + 1]
    p = p.astype(np.result_type(p.dtype, float))
    if len(p) < 2:
        return NotImplemented
    companion = np.concatenate([(-p[1:] / p[0])[None], np.eye(len(p) - 2, len(p) - 1, dtype=p.dtype)])
    expected = np.roots(p if isinstance(p, np.ndarray) else p.data)
    found = in_order(np.linalg.eigvals(companion), expected)
    if not np.iscomplexobj(expected):
        # The eigenvalues are complex in newer versions of NumPy.
        found = np.real(found)
    return np.concatenate([found, np.zeros(zeros, found.dtype)])


@composite(np.polyfit)
def polyfit(x, y, deg, rcond=None, w=None):
    x, y = as_array(x) + 0.0, as_array(y) + 0.0
    rows = np.vander(x, deg + 1)
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    if w is not None:
        w = as_array(w) + 0.0
        rows, y = rows * w[:, None], y * (w if y.ndim == 1 else w[:, None])
    scale = np.sqrt(np.sum(rows * rows, axis=0))
    found = np.linalg.lstsq(rows / scale, y, rcond)[0]
    return found / (scale if found.ndim == 1 else scale[:, None])
