"""Vjps of products of matrices, einsum, and linear algebra."""

from __future__ import annotations

import math
import operator
import string

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ._primitives import (
    PRIMITIVES,
    add_primitive,
    as_array,
    composite,
    conj,
    conj_transpose,
    is_constant,
    primitive,
)

# ---- products


def _matmul_x(g, _ans, _x, y):
    if y.ndim == 1:
        return (g[..., None] if _x.ndim > 1 else g) * conj(y)
    if _x.ndim == 1:
        return (conj(y) @ g[..., None])[..., 0]
    return g @ conj_transpose(y)


def _matmul_y(g, _ans, x, _y):
    if x.ndim == 1:
        if _y.ndim == 1:
            return g * conj(x)
        return conj(x)[:, None] * g[..., None, :]
    if _y.ndim == 1:
        return (conj_transpose(x) @ g[..., None])[..., 0]
    return conj_transpose(x) @ g


add_primitive(np.matmul, _matmul_x, _matmul_y, broadcasts=True)
PRIMITIVES[operator.matmul] = PRIMITIVES[np.matmul]


@composite(np.linalg.matmul, exact=True)
def matmul(x1, x2):
    return x1 @ x2


@composite(np.vecdot, np.linalg.vecdot)
def vecdot(x1, x2, *, axis=-1):
    return np.sum(conj(x1) * x2, axis=axis)


def matvec(x1, x2):
    return (x1 @ x2[..., None])[..., 0]


def vecmat(x1, x2):
    return (conj(x1)[..., None, :] @ x2)[..., 0, :]


# In NumPy 2.2 and later.
for _fun in (matvec, vecmat):
    if hasattr(np, _fun.__name__):
        composite(getattr(np, _fun.__name__))(_fun)


def _dot_a(g, _ans, _a, b):
    if np.ndim(_a) == 0 or np.ndim(b) == 0:
        return g * conj(b)
    if _a.ndim <= 2 and b.ndim <= 2:
        return _matmul_x(g, None, _a, b)
    free = [i for i in range(b.ndim) if i != max(b.ndim - 2, 0)]
    return np.tensordot(g, conj(b), (list(range(_a.ndim - 1, g.ndim)), free))


def _dot_b(g, _ans, a, _b):
    if np.ndim(a) == 0 or np.ndim(_b) == 0:
        return g * conj(a)
    if a.ndim <= 2 and _b.ndim <= 2:
        return _matmul_y(g, None, a, _b)
    free = list(range(a.ndim - 1))
    return np.moveaxis(np.tensordot(conj(a), g, (free, free)), 0, max(_b.ndim - 2, 0))


add_primitive(np.dot, _dot_a, _dot_b, broadcasts=True)


@composite(np.inner)
def inner(a, b):
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return np.tensordot(a, b, (-1, -1))


@composite(np.vdot)
def vdot(a, b):
    a, b = as_array(a), as_array(b)
    return np.ravel(conj(a)) @ np.ravel(b)


@composite(np.outer, np.linalg.outer)
def outer(a, b):
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@composite(np.kron)
def kron(a, b):
    ndim = max(np.ndim(a), np.ndim(b))
    first = (1,) * (ndim - np.ndim(a)) + np.shape(a)
    second = (1,) * (ndim - np.ndim(b)) + np.shape(b)
    left = np.reshape(a, [n for m in first for n in (m, 1)])
    right = np.reshape(b, [n for m in second for n in (1, m)])
    return np.reshape(left * right, [m * n for m, n in zip(first, second, strict=True)])


@composite(np.tensordot, np.linalg.tensordot, exact=True)
def tensordot(a, b, axes=2):
    if np.ndim(axes) == 0 and not isinstance(axes, (tuple, list)):
        n = int(axes)
        axes_a, axes_b = list(range(np.ndim(a) - n, np.ndim(a))), list(range(n))
    else:
        axes_a, axes_b = ([i] if np.ndim(i) == 0 else list(i) for i in axes)
    shape_a, shape_b = np.shape(a), np.shape(b)
    axes_a = [normalize_axis_index(i, len(shape_a)) for i in axes_a]
    axes_b = [normalize_axis_index(i, len(shape_b)) for i in axes_b]
    if [shape_a[i] for i in axes_a] != [shape_b[i] for i in axes_b]:
        raise ValueError("shape-mismatch for sum")
    free_a = [i for i in range(len(shape_a)) if i not in axes_a]
    free_b = [i for i in range(len(shape_b)) if i not in axes_b]
    rows = tuple(shape_a[i] for i in free_a)
    columns = tuple(shape_b[i] for i in free_b)
    n = math.prod(shape_a[i] for i in axes_a)
    left = np.reshape(np.transpose(a, free_a + axes_a), (math.prod(rows), n))
    right = np.reshape(np.transpose(b, axes_b + free_b), (n, math.prod(columns)))
    return np.reshape(np.dot(left, right), rows + columns)


@composite(np.cross, np.linalg.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, 0), np.moveaxis(b, axisb, 0)
    if len(a) == len(b) == 2:
        return a[0] * b[1] - a[1] * b[0]
    # The third element of a vector of two is 0.
    a, b = ([*v, 0 * v[0]] if len(v) == 2 else v for v in (a, b))
    parts = [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.moveaxis(np.stack(parts, 0), 0, axisc)


@primitive(lambda g, _ans, _x, a: sparse_times_dense(g, a.conjugate().transpose()))
def sparse_times_dense(x, a):
    """``a @ x``, where `a` is a sparse matrix of SciPy."""
    _check_sparse(a)
    return a @ x


@primitive(lambda g, _ans, _x, a: dense_times_sparse(g, a.conjugate().transpose()))
def dense_times_sparse(x, a):
    """``x @ a``, where `a` is a sparse matrix of SciPy."""
    _check_sparse(a)
    return x @ a


def _check_sparse(a):
    if a.ndim != 2:
        raise TypeError(f"a product of a Tensor and a sparse array of shape {a.shape}; write a.toarray()")


# ---- einsum


def _subscripts(subscripts, operands):
    """The subscripts of each operand and of the result with a letter for every axis, and the unused letters."""
    subscripts = subscripts.replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    unused = [c for c in string.ascii_letters if c not in subscripts]
    inputs, longest = [], 0
    for subs, operand in zip(left.split(","), operands, strict=True):
        hidden = np.ndim(operand) - (len(subs) - 3)
        if "..." in subs:
            longest = max(longest, hidden)
        inputs.append((subs, hidden))
    dots = unused[:longest]
    full = [subs.replace("...", "".join(dots[longest - hidden :])) for subs, hidden in inputs]
    if not arrow:
        letters = "".join(full)
        once = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
        return full, "".join(dots) + "".join(once), unused[longest:]
    return full, right.replace("...", "".join(dots)), unused[longest:]


@primitive(
    lambda g, _ans, i, operands, subscripts, _optimize: _einsum_vjp(g, i, operands, subscripts),
    takes_sequence=True,
)
def _einsum(operands, subscripts, optimize):
    result = np.einsum(subscripts, *operands, optimize=optimize)
    if len(operands) == 1 and result.ndim > 0:
        # For one operand NumPy may return a view, through which the operand could be changed.
        is_view = np.may_share_memory(result, operands[0])
        result = result.copy()
        result.flags.writeable = not is_view
    return result


def _einsum_vjp(g, i, operands, subscripts):
    """The same product with `g` in place of operand `i`, summed over the axes that this does not have."""
    inputs, output, unused = _subscripts(subscripts, operands)
    shape, mine = np.shape(operands[i]), inputs[i]
    others = [
        (s, conj(np.asarray(o) if np.isscalar(o) else o))
        for j, (s, o) in enumerate(zip(inputs, operands, strict=True))
        if j != i
    ]
    sources = [(output, g), *others]
    target = ""
    for letter, n in zip(mine, shape, strict=True):
        if letter in target:
            # A diagonal: the second axis gets a letter of its own, and an identity matrix ties it to the first.
            second = unused.pop()
            sources.append((letter + second, np.eye(n, dtype=g.dtype)))
            target += second
        else:
            target += letter
    letters = set("".join(s for s, _ in sources))
    # Axes of length one, which are broadcast, are left out of the result, and so are summed.
    single = {c for c, n in zip(target, shape, strict=True) if n == 1}
    available = "".join(c for c in target if c in letters and c not in single)
    result = np.einsum(
        ",".join(s for s, _ in sources) + "->" + available, *(o for _, o in sources), optimize=len(sources) > 2
    )
    lengths = dict(zip(available, result.shape, strict=True))
    result = np.reshape(result, [lengths.get(c, 1) for c in target])
    # The gradient is constant along an axis that was summed, or that has length one in all other operands.
    return result if result.shape == shape else result * np.ones(shape, g.dtype)


@composite(np.einsum, exact=True)
def einsum(*operands, optimize=False):
    subscripts = operands[0]
    if not isinstance(subscripts, str):
        # Lists of numbers of axes: einsum(a, [0, 1], b, [1, 2], [0, 2]).
        lists = [_letters(axes) for axes in operands[1::2]]
        subscripts = ",".join(lists)
        if len(operands) % 2:
            subscripts += "->" + _letters(operands[-1])
        operands = (subscripts, *operands[: 2 * len(lists) : 2])
    return _einsum(operands[1:], subscripts, optimize)


def _letters(axes):
    return "".join("..." if axis is Ellipsis else string.ascii_letters[axis] for axis in axes)


# ---- linear algebra


def _solve_b(g, a, _b):
    if _b.ndim == 1:
        # With a stack of matrices `g` is a stack of vectors, which NumPy would take to be a matrix.
        return np.linalg.solve(conj_transpose(a), g[..., None])[..., 0]
    return np.linalg.solve(conj_transpose(a), g)


def _solve_a(g, ans, a, _b):
    gb = _solve_b(g, a, _b)
    if _b.ndim == 1:
        return -gb[..., :, None] * conj(ans)[..., None, :]
    return -gb @ conj_transpose(ans)


add_primitive(np.linalg.solve, _solve_a, lambda g, _ans, a, _b: _solve_b(g, a, _b), broadcasts=True)


def _inv(g, ans, _a):
    inverse = conj_transpose(ans)
    return -inverse @ g @ inverse


def _adjugate(a):
    """The inverse times the determinant; singular matrices have one as well."""
    n = a.shape[-1]
    if is_constant(a):
        if not np.isfinite(a).all():
            # LAPACK may never return.
            return np.full(a.shape, np.nan, a.dtype)
        u, singular_values, vh = np.linalg.svd(a)
        others = [np.prod(np.delete(singular_values, i, -1), axis=-1) for i in range(n)]
        phase = np.linalg.det(u) * np.linalg.det(vh)
        return (phase[..., None, None] * conj_transpose(vh) * np.stack(others, -1)[..., None, :]) @ conj_transpose(
            u
        )
    # Slow, but composed of functions with vjps.
    places = [[i for i in range(n) if i != k] for k in range(n)]
    minors = [
        (-1) ** (i + j) * np.linalg.det(a[..., np.array(places[j], int)[:, None], np.array(places[i], int)])
        for i in range(n)
        for j in range(n)
    ]
    return np.reshape(np.stack(minors, -1), a.shape)


def _det(g, ans, a):
    try:
        return (g * conj(ans))[..., None, None] * conj_transpose(np.linalg.inv(a))
    except np.linalg.LinAlgError:
        return g[..., None, None] * conj_transpose(_adjugate(a))


def _phi(x):
    """The lower triangle, with half the (real) diagonal."""
    lower = np.tril(x, -1)
    diagonal = np.real(np.diagonal(x, 0, -2, -1)) / 2
    return lower + diagonal[..., None, :] * np.eye(x.shape[-1])


def _cholesky(g, ans, _a):
    # Symmetric, as in torch, although NumPy reads one triangle only.
    upper = conj_transpose(ans)
    inverse = np.linalg.inv(upper)
    s = inverse @ _phi(upper @ g) @ conj_transpose(inverse)
    return (s + conj_transpose(s)) / 2


add_primitive(np.linalg.inv, _inv)
add_primitive(np.linalg.det, _det)
add_primitive(np.linalg.cholesky, _cholesky)


def _sign_of_det(g, ans, a):
    if a.dtype.kind != "c":
        return np.zeros(a.shape, a.dtype)
    # The phase changes by the imaginary part of trace(inv(a) da).
    phase = -np.imag(conj(g) * ans)
    return (phase * 1j)[..., None, None] * conj_transpose(np.linalg.inv(a))


@primitive(_sign_of_det)
def _det_sign(a):
    return np.linalg.slogdet(a)[0]


@primitive(lambda g, _ans, a: g[..., None, None] * conj_transpose(np.linalg.inv(a)))
def _det_log(a):
    return np.linalg.slogdet(a)[1]


_SLOGDET = type(np.linalg.slogdet(np.eye(1)))


@composite(np.linalg.slogdet, exact=True)
def slogdet(a):
    return _SLOGDET(_det_sign(a), _det_log(a))


def _pinv(g, ans, a, rcond=None, *, rtol=None):
    # Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973), 413-432.
    inverse, gt = conj_transpose(ans), conj_transpose(g)
    rows = np.eye(a.shape[-2]) - a @ ans
    columns = np.eye(a.shape[-1]) - ans @ a
    return -inverse @ g @ inverse + rows @ gt @ ans @ inverse + inverse @ ans @ gt @ columns


add_primitive(np.linalg.pinv, _pinv)


def _eigh(g, ans, _a, _uplo):
    values, vectors = np.real(ans[..., 0]), ans[..., 1:]
    gaps = values[..., None, :] - values[..., :, None]
    inner = conj_transpose(vectors) @ g[..., 1:]
    check_phases(inner, "linalg_eigh_backward: The eigenvectors")
    diagonal = np.eye(values.shape[-1])
    # Where eigenvalues coincide, only the eigenvectors have no gradient. It is 0 / 0 if they are not used.
    # Hermitian, as in torch, although NumPy reads one triangle only.
    inner = over(np.where(diagonal == 1, 0, inner - conj_transpose(inner)), 2 * gaps)
    # The eigenvalues are real.
    inner = inner + np.real(g[..., 0])[..., None, :] * diagonal
    return vectors @ inner @ conj_transpose(vectors)


def over(numerator, denominator):
    """The quotient, with 0 / 0 = 0."""
    none = (numerator == 0) & (denominator == 0)
    return np.where(none, 0, numerator / np.where(none, 1, denominator))


def check_phases(inner, vectors):
    """Raise, in torch's words, if a loss depends on the phases of these complex vectors, which are arbitrary."""
    products = inner if isinstance(inner, np.ndarray) else inner.data
    if products.dtype.kind == "c":
        phases = np.abs(np.imag(np.diagonal(products, 0, -2, -1)))
        if np.any(phases > np.sqrt(np.finfo(products.dtype).eps) * np.max(np.abs(products), initial=0)):
            raise RuntimeError(
                f"{vectors} in the complex case are specified up to multiplication by e^{{i phi}}. The "
                "specified loss function depends on this quantity, so it is ill-defined."
            )


@primitive(_eigh)
def _eigen(a, uplo):
    """The eigenvalues as an additional column before the eigenvectors."""
    values, vectors = np.linalg.eigh(a, uplo)
    return np.concatenate([values[..., None].astype(vectors.dtype), vectors], -1)


_EIGH = type(np.linalg.eigh(np.eye(1)))


@composite(np.linalg.eigh, exact=True)
def eigh(a, UPLO="L"):  # noqa: N803
    eigen = _eigen(a, UPLO)
    return _EIGH(np.real(eigen[..., 0]), eigen[..., 1:])


@composite(np.linalg.eigvalsh)
def eigvalsh(a, UPLO="L"):  # noqa: N803
    return np.real(_eigen(a, UPLO)[..., 0])


@composite(np.linalg.matrix_power)
def matrix_power(a, n):
    if n < 0:
        a, n = np.linalg.inv(a), -n
    power = None
    while n:
        if n & 1:
            power = a if power is None else power @ a
        n >>= 1
        if n:
            a = a @ a
    if power is None:
        return a * 0 + np.eye(a.shape[-1], dtype=a.dtype)
    return power


@composite(np.linalg.multi_dot)
def multi_dot(arrays):
    product = arrays[0]
    for factor in arrays[1:]:
        product = np.dot(product, factor)
    return product
