"""Functions of `scipy.special` for Tensors, which are converted to arrays there; its ufuncs take Tensors.

Any other name is scipy.special's, so that this module can be imported in its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sc

from . import _functions, _special
from ._functions import softmax
from ._primitives import as_array
from ._traced import values

__all__ = ["comb", "log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax"]


def __getattr__(name: str) -> Any:
    return getattr(sc, name)


def logsumexp(a: Any, axis: int | tuple[int, ...] | None = None, b: Any = None, keepdims: bool = False) -> Any:
    """The logarithm of a sum of exponentials, each times its `b`; as ``scipy.special.logsumexp``.

    Parameters
    ----------
    a : Tensor or array_like
    axis : int or tuple of int, optional
        The axes to sum over; all by default.
    b : Tensor or array_like, optional
        Factors of the exponentials, which broadcast with `a`.
    keepdims : bool, optional
        Keep the axes, with length one.

    Returns
    -------
    Tensor or ndarray
        A Tensor if an argument is one.
    """
    if b is None:
        return _functions.logsumexp(a, axis, keepdims)
    a, b = np.broadcast_arrays(as_array(a), as_array(b))
    # Constant, so the result does not depend on it.
    top = np.max(np.where(values(b) == 0, -np.inf, np.real(values(a))), axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    sums = np.sum(b * np.exp(np.where(values(b) == 0, top, a) - top), axis=axis, keepdims=True)
    result = np.log(sums) + top
    return result if keepdims else np.squeeze(result, axis)


def log_softmax(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The logarithm of `softmax`, without underflow; as ``scipy.special.log_softmax``.

    Parameters
    ----------
    x : Tensor or array_like
    axis : int or tuple of int, optional
        The axes over which the exponentials of the result sum to one; all by default.

    Returns
    -------
    Tensor or ndarray
        A Tensor if `x` is one.
    """
    x = as_array(x)
    return x - logsumexp(x, axis, keepdims=True)


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of the digamma function; as ``scipy.special.polygamma``.

    Parameters
    ----------
    n : int or array_like of int
    x : Tensor or array_like
        Real.

    Returns
    -------
    Tensor or ndarray
        A Tensor if `x` is one.
    """
    return _special.polygamma(n, as_array(x))


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function; as ``scipy.special.multigammaln``.

    Parameters
    ----------
    a : Tensor or array_like
        Greater than ``(d - 1) / 2``.
    d : int
        The dimension.

    Returns
    -------
    Tensor or ndarray
        A Tensor if `a` is one.
    """
    a = as_array(a)
    # SciPy's errors come first.
    sc.multigammaln(values(a), d)
    d = int(values(d))
    halves = np.arange(d).astype(a.dtype if a.dtype.kind == "f" else float) / 2
    return np.sum(sc.gammaln(a[..., None] - halves), axis=-1) + d * (d - 1) / 4 * float(np.log(np.pi))


def comb(N: Any, k: Any) -> Any:  # noqa: N803
    """The number of combinations of `N` things, `k` at a time; as ``scipy.special.comb`` by default.

    Parameters
    ----------
    N, k : Tensor or array_like
        Also between the integers.

    Returns
    -------
    Tensor or ndarray
        A Tensor if an argument is one; 0 unless ``0 <= k <= N``.
    """
    N, k = as_array(N), as_array(k)  # noqa: N806
    is_possible = (k >= 0) & (k <= N)
    return np.where(is_possible, sc.binom(np.where(is_possible, N, 1.0), np.where(is_possible, k, 0.0)), 0)
