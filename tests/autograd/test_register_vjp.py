"""autograd.register_vjp."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.special as sc
from leaves import INPLACE, leaf

from rprop_ref import Tensor, autograd, no_grad


def test_functions_ufuncs_and_numpy_functions_can_be_registered():
    cube = autograd.register_vjp(lambda x: x**3, lambda g, ans, x: 3 * g * x**2)
    assert cube(2.0) == 8.0
    assert type(cube(np.ones(2))) is np.ndarray
    assert autograd.gradcheck(cube, np.array([1.0, -2.0]))
    ufunc = np.frompyfunc(lambda x, y: x * y, 2, 1)
    with pytest.raises(TypeError, match="has no rule"):
        ufunc(leaf(2.0), 3.0)
    from rprop_ref.autograd._primitives import COMPOSITES, PRIMITIVES

    unwrap = COMPOSITES[np.unwrap]
    try:
        assert autograd.register_vjp(sc.ber, lambda g, _ans, x: g * sc.berp(x)) is sc.ber
        assert autograd.gradcheck(sc.ber, np.array([1.0, 2.0]), second_order=False)
        assert autograd.register_vjp(np.unwrap, lambda g, ans, _x, period=None: g) is np.unwrap
        x = leaf(1.0, 9.0)
        np.unwrap(x, period=3.0).sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]
        with pytest.raises(TypeError, match="numpy.unwrap with axis="):
            np.unwrap(x, axis=0)
    finally:
        del PRIMITIVES[sc.ber], PRIMITIVES[np.unwrap]
        COMPOSITES[np.unwrap] = unwrap


def test_broadcasting_and_keywords():
    scaled = autograd.register_vjp(
        lambda x, y, scale=1.0: x * y * scale,
        lambda g, ans, _x, y, scale=1.0: g * y * scale,
        lambda g, ans, x, _y, scale=1.0: g * x * scale,
    )
    x, y = leaf(*np.ones(3)), leaf(2.0)
    scaled(x, y, scale=4.0).sum().backward()
    assert x.grad.tolist() == [8.0] * 3
    assert y.grad == 12.0


def test_arguments_named_with_an_underscore_may_change():
    f = autograd.register_vjp(lambda x: x * 2, lambda g, _ans, _x: g * 2)
    strict = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: g * 2)
    x = leaf(1.0, 2.0)
    for fun, fails in ((f, False), (strict, True)):
        h = x * 1
        y = fun(h)
        h += 1
        if fails:
            with pytest.raises(RuntimeError, match=INPLACE):
                y.sum().backward()
        else:
            y.sum().backward()


def test_wrong_vjps_are_refused():
    with pytest.raises(TypeError, match="needs one callable or None for each argument"):
        autograd.register_vjp(np.unwrap)
    with pytest.raises(TypeError, match="must be callable"):
        autograd.register_vjp("exp", lambda g, ans, x: g)
    f = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: np.ones(5))
    with pytest.raises(RuntimeError, match=r"returned a gradient of shape \(5,\) for an argument of shape \(2,\)"):
        f(leaf(1.0, 2.0)).sum().backward()
    number = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: 2.0)
    x = leaf(1.0)
    number(x).backward()
    assert x.grad == 2.0


def test_a_vjp_may_return_an_array_that_it_keeps():
    kept = np.ones(2)
    f = autograd.register_vjp(lambda x: x * 1, lambda g, ans, x: kept)
    x = leaf(1.0, 2.0)
    f(x).sum().backward()
    (f(x) + f(x)).sum().backward()
    assert kept.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [3.0, 3.0]


def test_fewer_vjps_than_arguments():
    f = autograd.register_vjp(lambda x, y: x * y, lambda g, ans, x, y: g * y)
    with pytest.raises(TypeError, match="argument 1 of .* has no rule"):
        f(leaf(1.0), leaf(2.0))
    with pytest.raises(TypeError, match="the argument y of .* has no rule"):
        f(leaf(1.0), y=leaf(2.0))


def test_bound_methods_as_vjps():
    class Product:
        def first(self, g, _ans, _x, y):
            return g * y

        def second(self, g, _ans, x, _y=1.0):
            return g * x

    f = autograd.register_vjp(lambda x, y=1.0: x * y, Product().first, Product().second)
    x, y = leaf(3.0), leaf(4.0)
    out = f(x, y=y)
    with no_grad():
        y *= 2
    with pytest.raises(RuntimeError, match=INPLACE):
        out.backward()
    out = f(x, y)
    out.backward()
    assert (x.grad, y.grad) == (8.0, 3.0)


def test_vjps_with_arbitrary_keywords():
    def scaled(x, factor=1.0):
        return x * factor

    f = autograd.register_vjp(scaled, lambda g, ans, x, **kw: g * kw["factor"])
    x = leaf(3.0)
    f(x, factor=2.0).backward()
    f(x, factor=Tensor(2.0)).backward()
    assert x.grad == 4.0
    f = autograd.register_vjp(scaled, functools.partial(lambda k, g, ans, x, factor: k * g * factor, 1.0))
    f(x, factor=3.0).backward()
    assert x.grad == 7.0
    with pytest.raises(TypeError, match="argument factor"):
        f(x, factor=leaf(2.0))
