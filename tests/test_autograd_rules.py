"""Every row of the tables of rules, against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from autograd_cases import ALL

from rprop_ref import Tensor, autograd
from rprop_ref.autograd import _shapes, _special  # noqa: F401 - so that the rules of the latter are in the table
from rprop_ref.autograd._rules import BUFFERS, COMPOSITES, PLAIN, RULES

OURS = set(RULES) | set(COMPOSITES)


def name_of(case):
    fun, what, _, _ = case
    return f"{getattr(fun, '__name__', fun)}: {what}"


def test_every_rule_has_a_case():
    covered = {case[0] for case in ALL}
    assert not [fun for fun in OURS if fun not in covered]


@pytest.mark.parametrize("case", [c for c in ALL if c[0] not in (_shapes.setitem, _shapes.astype)], ids=name_of)
def test_value(case):
    """On Tensors, a function returns what it returns on arrays."""
    _, _, call, arrays = case
    expected = call(*arrays)
    found = call(*(Tensor(a, requires_grad=True) for a in arrays))
    if not isinstance(expected, (list, tuple)):
        expected, found = [expected], [found]
    for e, f in zip(expected, found, strict=True):
        assert isinstance(f, Tensor)
        assert f.dtype == e.dtype
        assert f.shape == e.shape
        np.testing.assert_allclose(f.data, e, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_gradients(case):
    _, _, call, arrays = case
    with np.errstate(divide="ignore", invalid="ignore"):
        assert autograd.gradcheck(call, arrays)


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_precision_stays(case):
    """Results and gradients of float32 values are float32."""
    _, _, call, arrays = case
    narrow = [a.astype(np.complex64 if a.dtype.kind == "c" else np.float32) for a in arrays]
    expected = call(*(Tensor(a) for a in narrow))
    tensors = [Tensor(a, requires_grad=True) for a in narrow]
    outs = call(*tensors)
    expected, outs = (x if isinstance(x, list) else [x] for x in (expected, outs))
    assert [o.dtype for o in outs] == [e.dtype for e in expected]
    with np.errstate(all="ignore"):
        for out in outs:
            out.backward(np.ones(out.shape), retain_graph=True)
    for t, a in zip(tensors, narrow, strict=True):
        if t.grad is not None:
            assert type(t.grad) is np.ndarray
            assert t.grad.dtype == a.dtype
            assert t.grad.shape == a.shape


@pytest.mark.parametrize("fun", sorted(PLAIN, key=lambda f: f.__name__), ids=lambda f: f.__name__)
def test_plain_functions_do_not_return_tensors(fun):
    x = Tensor(np.array([[1.0, 2.0], [3.0, 0.0]]), requires_grad=True)
    calls = [(x,), (x, x), (x, 1), (x[0], x), ((x[0], x[1]),), (x[0], np.array([1.0, 2.0]))]
    for args in calls:
        try:
            found = fun(*args)
        except (TypeError, ValueError):
            continue
        assert not isinstance(found, Tensor)
        return
    raise AssertionError(f"no call of {fun} worked")


@pytest.mark.parametrize(
    "fun", sorted({*BUFFERS, np.full_like}, key=lambda f: f.__name__), ids=lambda f: f.__name__
)
def test_buffers_take_values_that_require_gradients(fun):
    x = Tensor(np.array([2.0, 3.0]), requires_grad=True)
    out = fun(x, 1.0) if fun is np.full_like else fun(x)
    assert isinstance(out, Tensor)
    assert not out.requires_grad
    out[0] = x[0] ** 2
    out[1] = 5.0
    np.sum(out * x).backward()
    assert x.grad.tolist() == [12.0, 5.0]
