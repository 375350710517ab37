"""Functions of `scipy.linalg` for Tensors, which scipy.linalg itself converts to arrays.

They are those that `numpy.linalg` does not have, or has with other defaults.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from ._primitives import as_array, conj_transpose, primitive

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "expm",
    "solve",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
]


def solve(a: Any, b: Any) -> Any:
    """Solve ``a @ x = b``; as ``scipy.linalg.solve`` with its default arguments.

    Parameters
    ----------
    a : (n, n) Tensor or array_like
    b : (n,) or (n, k) Tensor or array_like

    Returns
    -------
    Tensor or ndarray
    """
    return np.linalg.solve(as_array(a), as_array(b))


def _triangle(x: Any, lower: bool, unit_diagonal: bool) -> Any:
    return np.tril(x, -int(unit_diagonal)) if lower else np.triu(x, int(unit_diagonal))


def _triangular_b(g: Any, a: Any, lower: bool, unit_diagonal: bool) -> Any:
    return _solve_triangular(conj_transpose(a), g, not lower, unit_diagonal)


def _triangular_a(g: Any, ans: Any, a: Any, _b: Any, lower: bool, unit_diagonal: bool) -> Any:
    gb = _triangular_b(g, a, lower, unit_diagonal)
    columns, x = (v[:, None] if ans.ndim == 1 else v for v in (gb, ans))
    return _triangle(-columns @ conj_transpose(x), lower, unit_diagonal)


@primitive(_triangular_a, lambda g, _ans, a, _b, lower, unit_diagonal: _triangular_b(g, a, lower, unit_diagonal))
def _solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    return scipy.linalg.solve_triangular(a, b, lower=lower, unit_diagonal=unit_diagonal)


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Any:
    """Solve ``a @ x = b`` for a triangular matrix; as ``scipy.linalg.solve_triangular``.

    Parameters
    ----------
    a : (n, n) Tensor or array_like
        Only one triangle is read.
    b : (n,) or (n, k) Tensor or array_like
    trans : {0, 1, 2, "N", "T", "C"}, optional
        Solve for `a` (0), its transpose (1), or its conjugate transpose (2).
    lower : bool, optional
        `a` is a lower triangle; by default an upper one.
    unit_diagonal : bool, optional
        Take the diagonal to be ones, without reading it.

    Returns
    -------
    Tensor or ndarray
    """
    a, b = as_array(a), as_array(b)
    if a.ndim != 2:
        raise ValueError(
            f"a must be one square matrix, but its shape is {a.shape}; for a stack, numpy.linalg.solve"
        )
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"trans must be 0, 1, 2, 'N', 'T' or 'C', but got {trans!r}")
    if trans in (1, "T"):
        a, lower = np.swapaxes(a, 0, 1), not lower
    elif trans in (2, "C"):
        a, lower = conj_transpose(a), not lower
    return _solve_triangular(a, b, bool(lower), bool(unit_diagonal))


def cholesky(a: Any, lower: bool = False) -> Any:
    """The Cholesky factor of a positive-definite matrix; as ``scipy.linalg.cholesky``.

    Parameters
    ----------
    a : (n, n) Tensor or array_like
    lower : bool, optional
        Return L with ``a = L @ L.conj().T``; by default U with ``a = U.conj().T @ U``.

    Returns
    -------
    Tensor or ndarray

    Notes
    -----
    The gradient is that of the Hermitian part of `a`, as torch's.
    """
    a = as_array(a)
    return np.linalg.cholesky(a) if lower else conj_transpose(np.linalg.cholesky(conj_transpose(a)))


def cho_factor(a: Any, lower: bool = False) -> tuple[Any, bool]:
    """The Cholesky factor for `cho_solve`; as ``scipy.linalg.cho_factor``, but with 0 in the other triangle.

    Parameters
    ----------
    a : (n, n) Tensor or array_like
    lower : bool, optional
        Whether to compute the lower factor.

    Returns
    -------
    tuple of (Tensor or ndarray, bool)
        The factor, and `lower`.
    """
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> Any:
    """Solve ``a @ x = b`` with the Cholesky factor of `a`; as ``scipy.linalg.cho_solve``.

    Parameters
    ----------
    c_and_lower : tuple of (Tensor or array_like, bool)
        What `cho_factor` returned.
    b : (n,) or (n, k) Tensor or array_like

    Returns
    -------
    Tensor or ndarray
    """
    c, lower = c_and_lower
    first, second = ("N", "C") if lower else ("C", "N")
    return solve_triangular(c, solve_triangular(c, b, first, lower), second, lower)


def block_diag(*arrs: Any) -> Any:
    """A matrix with these on its diagonal, and 0 elsewhere; as ``scipy.linalg.block_diag``.

    Parameters
    ----------
    *arrs : Tensor or array_like
        Matrices; vectors are rows.

    Returns
    -------
    Tensor or ndarray
    """
    blocks = [np.atleast_2d(as_array(a)) for a in arrs]
    width = sum(block.shape[1] for block in blocks)
    rows, start = [], 0
    for block in blocks:
        end = start + block.shape[1]
        rows.append(np.pad(block, ((0, 0), (start, width - end))))
        start = end
    return np.concatenate(rows, 0)


# ---- functions of matrices


def _expm_vjp(g: Any, _ans: Any, a: Any) -> Any:
    # The derivative is a block of the exponential of a block matrix (Van Loan 1978).
    back, n = conj_transpose(a), a.shape[-1]
    top = np.concatenate([back, g.astype(np.result_type(g, back))], -1)
    bottom = np.concatenate([np.zeros_like(back), back], -1)
    return _expm(np.concatenate([top, bottom], -2))[..., :n, n:]


@primitive(_expm_vjp)
def _expm(a: Any) -> Any:
    return scipy.linalg.expm(a)


def expm(A: Any) -> Any:  # noqa: N803
    """The exponential of a matrix; as ``scipy.linalg.expm``.

    Parameters
    ----------
    A : (..., n, n) Tensor or array_like

    Returns
    -------
    Tensor or ndarray
    """
    return _expm(as_array(A))


def _sylvester_q(g: Any, a: Any, b: Any) -> Any:
    return solve_sylvester(conj_transpose(a), conj_transpose(b), g)


@primitive(
    lambda g, ans, a, b, _q: -_sylvester_q(g, a, b) @ conj_transpose(ans),
    lambda g, ans, a, b, _q: -conj_transpose(ans) @ _sylvester_q(g, a, b),
    lambda g, _ans, a, b, _q: _sylvester_q(g, a, b),
)
def _solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    return scipy.linalg.solve_sylvester(a, b, q)


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solve ``a @ x + x @ b = q``; as ``scipy.linalg.solve_sylvester``.

    Parameters
    ----------
    a : (m, m) Tensor or array_like
    b : (n, n) Tensor or array_like
    q : (m, n) Tensor or array_like

    Returns
    -------
    Tensor or ndarray
    """
    a, b, q = as_array(a), as_array(b), as_array(q)
    m, n = len(np.atleast_1d(a)), len(np.atleast_1d(b))
    if (a.shape, b.shape, q.shape) != ((m, m), (n, n), (m, n)) or not m * n:
        raise ValueError(
            f"a and b must be square, and q of shape (len(a), len(b)), but their shapes are {a.shape}, {b.shape} "
            f"and {q.shape}"
        )
    # SciPy's solution is wrong if some are complex and others, with complex eigenvalues, are not.
    dtype = np.result_type(a, b, q, np.float32)
    return _solve_sylvester(a.astype(dtype), b.astype(dtype), q.astype(dtype))


def _sqrtm_vjp(g: Any, ans: Any, _a: Any) -> Any:
    root = conj_transpose(ans)
    return solve_sylvester(root, root, g)


@primitive(_sqrtm_vjp)
def _sqrtm(a: Any) -> Any:
    root = scipy.linalg.sqrtm(a)
    # Older versions return numbers of 256 bits.
    return root.astype(np.result_type(a.dtype, np.complex64 if np.iscomplexobj(root) else np.float32), copy=False)


def sqrtm(A: Any) -> Any:  # noqa: N803
    """The principal square root of a matrix; as ``scipy.linalg.sqrtm``.

    Parameters
    ----------
    A : (n, n) Tensor or array_like

    Returns
    -------
    Tensor or ndarray
    """
    return _sqrtm(as_array(A))
