"""Gradients, conventions and errors compared with those of torch.autograd."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.special as sc

from rprop_ref import Parameter, Tensor, autograd, no_grad
from rprop_ref.autograd import linalg, special

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="compares with torch")


U = [
    "negative",
    "sqrt",
    "square",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "arcsin",
    "arccos",
    "arctan",
    "arcsinh",
]


def _added(x, v):
    np.add.at(x, [0, 2, 0], v)
    return x


B = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "copysign",
    "fmod",
]

#: Name, our call, torch's call, shapes, whether complex numbers are allowed.
CALLS = [
    *((n, getattr(np, n), lambda t, x, n=n: getattr(t, n)(x), [(2, 3)], True) for n in U),
    *((n, getattr(np, n), lambda t, x, n=n: getattr(t, n)(x), [(2, 3)], False) for n in ("floor", "ceil", "trunc", "sign", "deg2rad", "rad2deg", "arctanh")),
    *((n, getattr(np, n), lambda t, x, y, n=n: getattr(t, {"power": "pow"}.get(n, n))(x, y), [(2, 3), (3,)], n in B[:5]) for n in B),
    ("remainder", np.remainder, lambda t, x, y: t.remainder(x, y), [(2, 3), (3,)], False),
    ("abs", np.abs, lambda t, x: t.abs(x), [(2, 3)], True),
    ("angle", np.angle, lambda t, x: t.angle(x), [(2, 3)], True),
    ("real", np.real, lambda t, x: t.real(x), [(2, 3)], True),
    ("conj", np.conj, lambda t, x: t.conj(x), [(2, 3)], True),
    ("x*abs(x)", lambda x: x * np.abs(x), lambda t, x: x * t.abs(x), [(4,)], True),
    ("**2", lambda x: x**2, lambda t, x: x**2, [(4,)], True),
    ("2**", lambda x: 2.0**x, lambda t, x: 2.0**x, [(4,)], True),
    ("clip", lambda x: np.clip(x, 0.4, 0.6), lambda t, x: t.clip(x, 0.4, 0.6), [(8,)], False),
    ("where", lambda x, y: np.where(x > y, x, y), lambda t, x, y: t.where(x > y, x, y), [(2, 3), (3,)], False),
    ("matmul", np.matmul, lambda t, x, y: x @ y, [(2, 3), (3, 4)], True),
    ("matmul stack", np.matmul, lambda t, x, y: x @ y, [(2, 2, 3), (3,)], True),
    ("einsum", lambda x, y: np.einsum("bij,jk->bik", x, y), lambda t, x, y: t.einsum("bij,jk->bik", x, y), [(2, 2, 3), (3, 2)], True),
    ("tensordot", lambda x, y: np.tensordot(x, y, 1), lambda t, x, y: t.tensordot(x, y, 1), [(2, 3), (3, 2)], True),
    ("kron", np.kron, lambda t, x, y: t.kron(x, y), [(2, 2), (2, 3)], True),
    ("vdot", np.vdot, lambda t, x, y: t.vdot(x, y), [(3,), (3,)], True),
    ("outer", np.outer, lambda t, x, y: t.outer(x, y), [(3,), (2,)], True),
    ("sum", lambda x: np.sum(x, axis=1), lambda t, x: t.sum(x, 1), [(2, 3)], True),
    ("mean", lambda x: np.mean(x, axis=0), lambda t, x: t.mean(x, 0), [(2, 3)], True),
    ("prod", lambda x: np.prod(x, axis=0), lambda t, x: t.prod(x, 0), [(2, 3)], True),
    ("var", lambda x: np.var(x, axis=0), lambda t, x: t.var(x, 0, correction=0), [(4, 3)], True),
    ("std", lambda x: np.std(x, ddof=1), lambda t, x: t.std(x), [(4, 3)], True),
    ("amax", lambda x: np.max(x, axis=1), lambda t, x: t.amax(x, 1), [(4, 3)], False),
    ("amin", np.min, lambda t, x: t.amin(x), [(4, 3)], False),
    ("cumsum", lambda x: np.cumsum(x, axis=1), lambda t, x: t.cumsum(x, 1), [(2, 3)], True),
    ("cumprod", lambda x: np.cumprod(x, axis=1), lambda t, x: t.cumprod(x, 1), [(2, 3)], True),
    ("sort", np.sort, lambda t, x: t.sort(x).values, [(2, 4)], False),
    ("diff", np.diff, lambda t, x: t.diff(x), [(2, 4)], True),
    ("logsumexp", lambda x: autograd.logsumexp(x, axis=1), lambda t, x: t.logsumexp(x, 1), [(2, 4)], False),
    ("softmax", lambda x: autograd.softmax(x, axis=1), lambda t, x: t.softmax(x, 1), [(2, 4)], False),
    ("norm", np.linalg.norm, lambda t, x: t.linalg.norm(x), [(2, 4)], True),
    ("norm 1", lambda x: np.linalg.norm(x, 1), lambda t, x: t.linalg.norm(x, 1), [(4,)], True),
    ("norm 3", lambda x: np.linalg.norm(x, 3), lambda t, x: t.linalg.norm(x, 3), [(4,)], True),
    ("norm inf", lambda x: np.linalg.norm(x, np.inf), lambda t, x: t.linalg.norm(x, float("inf")), [(4,)], False),
    ("solve", np.linalg.solve, lambda t, x, y: t.linalg.solve(x, y), [(3, 3), (3, 2)], True),
    ("inv", np.linalg.inv, lambda t, x: t.linalg.inv(x), [(3, 3)], True),
    ("det", np.linalg.det, lambda t, x: t.linalg.det(x), [(3, 3)], True),
    ("slogdet", lambda x: np.linalg.slogdet(x)[1], lambda t, x: t.linalg.slogdet(x)[1], [(3, 3)], True),
    ("sign of det", lambda x: np.linalg.slogdet(x)[0], lambda t, x: t.linalg.slogdet(x)[0], [(3, 3)], True),
    ("cholesky", lambda x: np.linalg.cholesky(x @ np.conj(x.T) + 2 * np.eye(3, dtype=x.dtype)), lambda t, x: t.linalg.cholesky(x @ x.conj().T + 2 * t.eye(3, dtype=x.dtype)), [(3, 3)], True),
    ("cholesky of its argument", lambda x: np.linalg.cholesky(np.eye(3, dtype=x.dtype) * 3 + x * 0.01), lambda t, x: t.linalg.cholesky(t.eye(3, dtype=x.dtype) * 3 + x * 0.01), [(3, 3)], False),
    ("pinv", np.linalg.pinv, lambda t, x: t.linalg.pinv(x), [(4, 2)], True),
    ("pinv of a wide matrix", np.linalg.pinv, lambda t, x: t.linalg.pinv(x), [(2, 4)], True),
    ("eigvalsh", lambda x: np.linalg.eigvalsh(x @ np.conj(x.T)), lambda t, x: t.linalg.eigvalsh(x @ x.conj().T), [(3, 3)], True),
    ("eigvalsh of its argument", np.linalg.eigvalsh, lambda t, x: t.linalg.eigvalsh(x), [(3, 3)], True),
    ("eigh", lambda x: np.abs(np.linalg.eigh(x @ np.conj(x.T))[1]), lambda t, x: t.linalg.eigh(x @ x.conj().T)[1].abs(), [(3, 3)], True),
    ("eigh of its argument", lambda x: np.abs(np.linalg.eigh(x)[1]), lambda t, x: t.linalg.eigh(x)[1].abs(), [(3, 3)], True),
    *((f"{f} {n} {norm}", lambda x, f=f, n=n, norm=norm: getattr(np.fft, f)(x, n, norm=norm), lambda t, x, f=f, n=n, norm=norm: getattr(t.fft, f)(x, n, norm=norm), [(2, 5)], f != "rfft") for f in ("fft", "ifft", "rfft", "irfft") for n in (None, 4, 7) for norm in (None, "ortho")),
    ("fftn", np.fft.fftn, lambda t, x: t.fft.fftn(x), [(2, 3)], True),
    ("fftshift", np.fft.fftshift, lambda t, x: t.fft.fftshift(x), [(2, 3)], True),
    ("quantile", lambda x: np.quantile(x, 0.3, axis=1), lambda t, x: t.quantile(x, 0.3, dim=1), [(2, 6)], False),
    ("gradient", lambda x: np.stack(np.gradient(x)), lambda t, x: t.stack(t.gradient(x)), [(3, 4)], True),
    ("trapezoid", lambda y, x: np.trapezoid(y, np.cumsum(x)), lambda t, y, x: t.trapezoid(y, t.cumsum(x, 0)), [(4,), (4,)], False),
    ("convolve", lambda a, v: np.convolve(a, v[::-1], "valid"), lambda t, a, v: t.nn.functional.conv1d(a[None, None], v[None, None])[0, 0], [(6,), (3,)], False),
    ("compress", lambda x: np.compress([True, False, True], x, 0), lambda t, x: x[[0, 2]], [(3, 2)], True),
    ("index", lambda x: x[[0, 1, 1], 1:], lambda t, x: x[[0, 1, 1], 1:], [(2, 3)], True),
    ("roll", lambda x: np.roll(x, 1, 0), lambda t, x: t.roll(x, 1, 0), [(2, 3)], True),
    ("erf", sc.erf, lambda t, x: t.special.erf(x), [(5,)], False),
    ("expit", sc.expit, lambda t, x: t.special.expit(x), [(5,)], False),
    ("logit", sc.logit, lambda t, x: t.special.logit(x), [(5,)], False),
    ("gammaln", sc.gammaln, lambda t, x: t.special.gammaln(x), [(5,)], False),
    ("psi", sc.psi, lambda t, x: t.special.psi(x), [(5,)], False),
    ("ndtr", sc.ndtr, lambda t, x: t.special.ndtr(x), [(5,)], False),
    ("log_ndtr", sc.log_ndtr, lambda t, x: t.special.log_ndtr(x), [(5,)], False),
    ("ndtri", sc.ndtri, lambda t, x: t.special.ndtri(x), [(5,)], False),
    ("entr", sc.entr, lambda t, x: t.special.entr(x), [(5,)], False),
    ("i0e", sc.i0e, lambda t, x: t.special.i0e(x), [(5,)], False),
    ("xlogy", sc.xlogy, lambda t, x, y: t.special.xlogy(x, y), [(5,), (5,)], False),
    ("xlog1py", sc.xlog1py, lambda t, x, y: t.special.xlog1py(x, y), [(5,), (5,)], False),
    ("eigvals", lambda x: np.abs(np.linalg.eigvals(x)), lambda t, x: t.linalg.eigvals(x).abs(), [(3, 3)], True),
    ("eig", lambda x: np.abs(np.linalg.eig(x)[1]) * np.abs(np.linalg.eig(x)[0]), lambda t, x: t.linalg.eig(x)[1].abs() * t.linalg.eig(x)[0].abs(), [(3, 3)], True),
    ("expm", linalg.expm, lambda t, x: t.linalg.matrix_exp(x), [(3, 3)], True),
    ("solve_triangular", linalg.solve_triangular, lambda t, x, y: t.linalg.solve_triangular(x, y, upper=True), [(3, 3), (3, 2)], True),
    ("cho_solve", lambda x, y: linalg.cho_solve(linalg.cho_factor(x @ np.conj(x.T) + 2 * np.eye(3, dtype=x.dtype), True), y), lambda t, x, y: t.cholesky_solve(y, t.linalg.cholesky(x @ x.conj().T + 2 * t.eye(3, dtype=x.dtype))), [(3, 3), (3, 2)], False),
    ("block_diag", linalg.block_diag, lambda t, x, y: t.block_diag(x, y), [(2, 3), (2, 2)], True),
    ("log_softmax", lambda x: special.log_softmax(x, 1), lambda t, x: t.log_softmax(x, 1), [(2, 5)], False),
    ("multigammaln", lambda x: special.multigammaln(x + 3, 2), lambda t, x: t.special.multigammaln(x + 3, 2), [(5,)], False),
    ("polygamma", lambda x: special.polygamma(2, x).astype(x.dtype), lambda t, x: t.special.polygamma(2, x), [(5,)], False),
    ("i0 of NumPy", np.i0, lambda t, x: t.i0(x), [(5,)], False),
    *((f"quantile, {m}", lambda x, m=m: np.quantile(x, 0.3, axis=1, method=m), lambda t, x, m=m: t.quantile(x, 0.3, dim=1, interpolation=m), [(2, 6)], False) for m in ("lower", "higher", "nearest", "midpoint")),
    ("bincount", lambda w: np.bincount([0, 2, 2], w).astype(w.dtype), lambda t, w: t.zeros(3, dtype=w.dtype).index_add(0, t.tensor([0, 2, 2]), w), [(3,)], False),
    ("add.at", lambda x, v: _added(x * 1, v), lambda t, x, v: x.index_add(0, t.tensor([0, 2, 0]), v), [(3,), (3,)], True),
    *((f"pad, {m}", lambda x, m=m: np.pad(x, 2, m), lambda t, x, n=n: t.nn.functional.pad(x[None, None], (2, 2), n)[0, 0], [(5,)], False) for m, n in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular"))),
]  # fmt: skip

DTYPES = {np.float32: 2e-4, np.float64: 1e-10, np.complex64: 5e-4, np.complex128: 1e-9}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("call", CALLS, ids=lambda c: c[0])
def test_values_and_gradients_are_torchs(torch, rng, call, dtype):
    name, ours, theirs, shapes, takes_complex = call
    is_complex = np.dtype(dtype).kind == "c"
    if is_complex and not takes_complex:
        return
    arrays = [rng.uniform(0.1, 0.9, s) + 1j * rng.uniform(0.1, 0.9, s) * is_complex for s in shapes]
    arrays = [(a if is_complex else a.real).astype(dtype) for a in arrays]
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    x, t = ours(*xs), theirs(torch, *ts)
    assert str(t.dtype) == f"torch.{x.dtype}"
    tolerance = DTYPES[dtype]
    np.testing.assert_allclose(x.data, t.detach().resolve_conj().numpy(), rtol=tolerance, atol=tolerance / 10)
    seed = rng.standard_normal(x.shape).astype(x.dtype)
    if x.dtype.kind == "c":
        seed = seed + 1j * rng.standard_normal(x.shape).astype(x.real.dtype)
    if not t.requires_grad:
        return
    x.backward(seed)
    t.backward(torch.tensor(seed, dtype=t.dtype))
    for a, b in zip(xs, ts):
        if b.grad is None:  # in torch: the result does not depend on the argument
            assert not a.grad.any()
            continue
        assert str(b.grad.dtype) == f"torch.{a.grad.dtype}"
        if name == "psi":  # torch's trigamma is no more accurate
            tolerance = max(tolerance, 1e-8)
        np.testing.assert_allclose(a.grad, b.grad.resolve_conj().numpy(), rtol=tolerance, atol=tolerance)


KINKS = {
    "max": (lambda x: x.max(), lambda t, x: x.max()),
    "amax": (lambda x: x.max(axis=0), lambda t, x: x.amax(0)),
    "min": (lambda x: x.min(), lambda t, x: x.min()),
    "maximum": (lambda x: np.maximum(x, x.data * 0 + 1), lambda t, x: t.maximum(x, t.ones_like(x))),
    "minimum": (lambda x: np.minimum(x, x.data * 0 + 1), lambda t, x: t.minimum(x, t.ones_like(x))),
    "fmax": (lambda x: np.fmax(x, x.data * 0 + 1), lambda t, x: t.fmax(x, t.ones_like(x))),
    "fmin": (lambda x: np.fmin(x, x.data * 0 + 1), lambda t, x: t.fmin(x, t.ones_like(x))),
    "clip": (lambda x: np.clip(x, 0, 1), lambda t, x: x.clip(0, 1)),
    "abs": (np.abs, lambda t, x: x.abs()),
    "sign": (np.sign, lambda t, x: x.sign()),
    "norm": (lambda x: np.linalg.norm(x * 0), lambda t, x: (x * 0).norm()),
    "std": (lambda x: np.std(x * 0), lambda t, x: (x * 0).std(correction=0)),
    "prod": (np.prod, lambda t, x: x.prod()),
    "**2": (lambda x: x**2, lambda t, x: x**2),
    "**1": (lambda x: x**1, lambda t, x: x**1),
    "**0": (lambda x: x**0, lambda t, x: x**0),
    "0**": (lambda x: np.power(np.array([0.0, 0.0, 2.0]), np.abs(x)), lambda t, x: t.tensor([0.0, 0.0, 2.0], dtype=t.float64) ** x.abs()),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_gradients_at_kinks_are_torchs(torch, name):
    ours, theirs = KINKS[name]
    for values in ([1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]):
        x, t = (
            Tensor(np.array(values), requires_grad=True),
            torch.tensor(values, dtype=torch.float64, requires_grad=True),
        )
        ours(x).sum().backward()
        theirs(torch, t).sum().backward()
        np.testing.assert_array_equal(x.grad, t.grad.numpy(), err_msg=str(values))


NAN, INF = float("nan"), float("inf")
POINTS = {
    "clip": (np.clip, lambda t, *a: t.clip(*a), [(1, 1, 1), (1, 1, 2), (2, 1, 2), (0, 1, 1), (2, 1, 1), (1, 2, 1), (3, 2, 1), (NAN, 0, 1)]),
    "xlogy": (sc.xlogy, lambda t, *a: t.special.xlogy(*a), [(0, 2), (0, -1), (0, INF), (0, NAN), (2, 3), (2, 0)]),
    "xlog1py": (sc.xlog1py, lambda t, *a: t.special.xlog1py(*a), [(0, 2), (0, 0), (0, -2), (0, INF), (2, 3), (2, -1)]),
    "arctan2": (np.arctan2, lambda t, *a: t.arctan2(*a), [(0, 0), (-0.0, -0.0), (0, 1)]),
    "logaddexp": (np.logaddexp, lambda t, *a: t.logaddexp(*a), [(INF, 1), (1, INF), (INF, INF), (-INF, 1), (-INF, -INF), (INF, -INF), (1, 2)]),
    "logaddexp2": (np.logaddexp2, lambda t, *a: t.logaddexp2(*a), [(INF, 1), (1, INF), (INF, INF), (-INF, 1), (1, 2)]),
    "power": (np.power, lambda t, *a: t.pow(*a), [(0, -1), (0, -0.5), (0, 0), (0, 1), (0, NAN), (2, -1)]),
    "i1": (sc.i1, lambda t, x: t.special.i1(x), [(0,), (1,)]),
    "i1e": (sc.i1e, lambda t, x: t.special.i1e(x), [(0,), (1,), (-1,)]),
    "median": (lambda *a: np.median(np.stack(a)), lambda t, *a: t.median(t.stack(a)), [(1, NAN, 2), (1, 3, 2)]),
    **{
        f"norm {p}": (lambda *a, p=p: np.linalg.norm(np.stack(a), p), lambda t, *a, p=p: t.linalg.norm(t.stack(a), p), [(0, 0), (0, 2), (-1, 2)])
        for p in (1, 1.5, 2, 3, 4, 0.5, -1)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_gradients_at_special_points_are_torchs(torch, name):
    ours, theirs, points = POINTS[name]
    for values in points:
        xs = [Tensor(np.array(float(v)), requires_grad=True) for v in values]
        ts = [torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in values]
        with np.errstate(all="ignore"):
            ours(*xs).backward()
        theirs(torch, *ts).backward()
        for x, t in zip(xs, ts):
            np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-14, err_msg=str(values))


class Library:
    """What a mistake uses, from torch or from here."""

    def __init__(self, torch=None):
        self.torch = torch
        self.grad = torch.autograd.grad if torch else autograd.grad
        self.no_grad = torch.no_grad if torch else no_grad

    def leaf(self, *values):
        if self.torch:
            return self.torch.tensor(values, dtype=self.torch.float64, requires_grad=True)
        return Tensor(np.array(values, float), requires_grad=True)

    def ones(self, n):
        return self.torch.ones(n, dtype=self.torch.float64) if self.torch else np.ones(n)

    def tanh(self, x):
        return self.torch.tanh(x) if self.torch else np.tanh(x)


def twice(m):
    x = m.leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    y.backward()


def change_leaf(m):
    x = m.leaf(1.0, 2.0)
    x += 1


def change_element(m):
    x = m.leaf(1.0, 2.0)
    x[0] = 1.0


def change_view(m):
    v = m.leaf(1.0, 2.0)[:1]
    v += 1


def changed_result(m):
    y = m.tanh(m.leaf(1.0, 2.0))
    z = y * 1
    y += 1
    z.sum().backward()


def changed_input(m):
    y = m.leaf(1.0, 2.0) * 2
    z = y * y
    y += 1
    z.sum().backward()


def changed_leaf(m):
    x = m.leaf(1.0, 2.0)
    z = x * x
    with m.no_grad():
        x += 1
    z.sum().backward()


MISTAKES = [
    twice,
    change_leaf,
    change_element,
    change_view,
    changed_result,
    changed_input,
    changed_leaf,
    lambda m: (m.leaf(1.0, 2.0) * 2).backward(),
    lambda m: m.leaf(1.0, 2.0).detach().sum().backward(),
    lambda m: (m.leaf(1.0, 2.0) * 2).requires_grad_(False),
    lambda m: setattr(m.leaf(1.0, 2.0) * 2, "requires_grad", False),
    lambda m: m.leaf(1.0, 2.0).detach().retain_grad(),
    lambda m: float(m.leaf(1.0, 2.0)),
    lambda m: m.leaf(1.0, 2.0).item(),
    lambda m: bool(m.leaf(1.0, 2.0)),
    lambda m: bool(m.leaf(1.0, 2.0)[:0]),
    lambda m: len(m.leaf(1.0)[0]),
    lambda m: list(m.leaf(1.0)[0]),
    lambda m: m.grad(m.leaf(1.0).sum(), m.leaf(1.0)),
    lambda m: m.grad(m.leaf(1.0).detach().sum(), m.leaf(1.0)),
    lambda m: m.grad(m.leaf(1.0).sum(), m.leaf(1.0).detach()),
    lambda m: m.grad(m.leaf(1.0, 2.0) * 2, m.leaf(1.0)),
    lambda m: m.grad([m.leaf(1.0).sum()], [m.leaf(1.0)], []),
    lambda m: m.grad(m.leaf(1.0).sum(), []),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__ + str(f.__code__.co_firstlineno))
def test_errors_are_torchs(torch, mistake):
    with pytest.raises(Exception) as theirs:
        mistake(Library(torch))
    with pytest.raises(type(theirs.value)) as ours:
        mistake(Library())
    expected = str(theirs.value)
    if "inplace operation: [" in expected:  # names and dtypes follow
        head, _, _ = expected.partition("[")
        assert str(ours.value).startswith(head)
        version = "is at version 1; expected version 0 instead. Hint: "
        assert version in expected
        assert version in str(ours.value)
    else:
        assert str(ours.value) == expected


def test_float_warns_as_in_torch(torch):
    t, x = torch.tensor(2.0, requires_grad=True), Tensor(np.array(2.0), requires_grad=True)
    with pytest.warns(UserWarning) as ours:
        float(x)
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with pytest.warns(UserWarning) as theirs:
            float(t)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert t.item() == x.item()
            assert f"{t:.2f}" == f"{x:.2f}"
    finally:
        torch.set_warn_always(before)
    assert str(theirs[0].message).startswith(str(ours[0].message))


def test_a_network_trains_as_in_torch(torch, rng):
    from rprop_ref import Rprop

    a, y = rng.standard_normal((20, 4)), rng.integers(0, 3, 20)
    starts = [rng.standard_normal(s) for s in ((4, 8), (8,), (8, 3), (3,))]
    ours = [Parameter(s.copy()) for s in starts]
    theirs = [torch.nn.Parameter(torch.tensor(s)) for s in starts]
    one, two = Rprop(ours), torch.optim.Rprop(theirs)
    for _ in range(30):
        one.zero_grad()
        z = np.tanh(a @ ours[0] + ours[1]) @ ours[2] + ours[3]
        loss = np.mean(autograd.logsumexp(z, axis=1) - z[np.arange(20), y])
        loss.backward()
        one.step()
        two.zero_grad()
        z = torch.tanh(torch.tensor(a) @ theirs[0] + theirs[1]) @ theirs[2] + theirs[3]
        other = torch.nn.functional.cross_entropy(z, torch.tensor(y))
        other.backward()
        two.step()
        assert abs(loss.item() - other.item()) < 1e-9
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-7)


def test_hessians_are_torchs(torch, rng):
    a = rng.uniform(0.2, 1.0, 4)

    def ours(x):
        return np.sum(np.sin(x) * np.log(x)[::-1] + x**3 / (1 + x))

    def theirs(x):
        return torch.sum(torch.sin(x) * torch.log(x).flip(0) + x**3 / (1 + x))

    x = Tensor(a, requires_grad=True)
    (g,) = autograd.grad(ours(x), x, create_graph=True)
    rows = [autograd.grad(g[i], x, retain_graph=True)[0] for i in range(4)]
    np.testing.assert_allclose(
        rows, torch.autograd.functional.hessian(theirs, torch.tensor(a)).numpy(), rtol=1e-10, atol=1e-12
    )


def test_bfloat16_gradients_are_torchs(torch):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs bfloat16 arrays")
    from rprop_ref import Rprop

    x = Parameter(np.array([1.0, 2.0], ml_dtypes.bfloat16))
    t = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.bfloat16))
    np.sum(np.tanh(x) * x).backward()
    torch.sum(torch.tanh(t) * t).backward()
    assert x.grad.dtype == ml_dtypes.bfloat16
    np.testing.assert_allclose(x.grad.astype("f4"), t.grad.float().numpy(), rtol=0.02)
    Rprop([x]).step()


def program(rng):
    """A random program on values that change in place: a list of steps, each a name and numbers."""
    # Most start from copies, because leaves and their views may hardly be changed.
    steps, count = [("copies", 0, 0)] * bool(rng.random() < 0.8), 2
    for _ in range(int(rng.integers(3, 12))):
        kind = rng.choice(
            [
                "mul",
                "add",
                "tanh",
                "square",
                "slice",
                "reshape",
                "flip",
                "iadd",
                "imul",
                "set",
                "detach",
                "in_no_grad",
                "out",
            ],
            p=[0.13, 0.08, 0.1, 0.08, 0.12, 0.08, 0.02, 0.1, 0.1, 0.08, 0.03, 0.05, 0.03],
        )
        steps.append((str(kind), *(int(i) for i in rng.integers(0, count, 2))))
        count += kind not in ("iadd", "imul", "set", "in_no_grad")
    return steps


def execute(steps, m, copying=False):
    """The gradients of the sum of all squared values, and the values; or the error.

    With `copying`, a product in place is made with a copy of its other operand.
    """
    leaves = [m.leaf(1.5, -0.5, 0.25), m.leaf(0.5, 2.0, -1.0)]
    values = list(leaves)
    try:
        for kind, i, j in steps:
            if kind == "copies":
                values = [p * 1 for p in leaves]
                continue
            a, b = values[i], values[j]
            if kind == "mul":
                values.append(a * b[: len(a)] if len(b) > len(a) else a[: len(b)] * b)
            elif kind == "add":
                values.append(a + b if len(a) == len(b) else a + 1)
            elif kind == "tanh":
                values.append(m.tanh(a))
            elif kind == "square":
                values.append(a**2)
            elif kind == "slice":
                values.append(a[:2])
            elif kind == "reshape":
                values.append(a.reshape(-1, 1).T[0, -2:])
            elif kind == "flip":
                values.append(a.flip(0) if m.torch else np.flip(a).copy())
            elif kind == "detach":
                values.append(a.detach())
            elif kind == "out":
                values.append(a * 1)
                values[-1] *= 2
            elif kind == "in_no_grad":
                with m.no_grad():
                    a *= 0.5
            elif kind == "set":
                a[0] = b[1]
            elif len(a) == len(b):
                if kind == "iadd":
                    a += b
                else:
                    a *= b * 1 if copying else b
        total = 0
        for v in values:
            total = total + (v * v).sum()
        total.backward()
    except RuntimeError as error:
        return str(error)
    return [np.zeros(3) if p.grad is None else np.asarray(p.grad) for p in leaves], [v.tolist() for v in values]


def shares_operands(steps):
    """Whether a product in place is made of two values in the same memory."""
    roots = [0, 1]
    for kind, i, j in steps:
        if kind == "imul" and roots[i] == roots[j]:
            return True
        if kind not in ("copies", "iadd", "imul", "set", "in_no_grad"):
            roots.append(roots[i] if kind in ("slice", "reshape", "detach") else len(roots))
    return False


def test_programs_that_change_values_in_place(torch, rng):
    """Values and gradients are torch's, or both libraries refuse the program."""
    outcomes = {"same": 0, "both refuse": 0, "only torch refuses": 0}
    for _ in range(1000):
        steps = program(rng)
        theirs, ours = execute(steps, Library(torch)), execute(steps, Library())
        if isinstance(ours, str):
            assert isinstance(theirs, str), (steps, ours)
            outcomes["both refuse"] += 1
        elif isinstance(theirs, str):
            # torch does not copy an operand that shares its memory with the result, and refuses the program.
            assert shares_operands(steps), (steps, theirs)
            theirs = execute(steps, Library(torch), copying=True)
            if not isinstance(theirs, str):
                outcomes["only torch refuses"] += 1
                for mine, other in zip(ours[0] + ours[1], theirs[0] + theirs[1]):
                    np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12, err_msg=str(steps))
        else:
            outcomes["same"] += 1
            for mine, other in zip(ours[0] + ours[1], theirs[0] + theirs[1]):
                np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12, err_msg=str(steps))
    assert min(outcomes["same"], outcomes["both refuse"]) > 100, outcomes
    assert outcomes["only torch refuses"] > 0
