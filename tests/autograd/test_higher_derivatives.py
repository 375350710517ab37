"""Backward passes that are recorded themselves."""

from __future__ import annotations

import numpy as np
from leaves import leaf

from rprop_ref import Parameter, Rprop, Tensor, autograd


def test_create_graph():
    x = Parameter(np.array([1.0, 2.0]))
    np.sum(x**3).backward(create_graph=True)
    assert isinstance(x.grad, Tensor)
    assert x.grad.requires_grad
    g = x.grad
    x.grad = None
    np.sum(g).backward()
    assert x.grad.tolist() == [6.0, 12.0]
    assert type(x.grad) is np.ndarray


def test_backward_adds_to_a_gradient_that_has_a_graph():
    x = leaf(1.0, 2.0)
    np.sum(x**3).backward(create_graph=True)
    first = x.grad
    np.sum(x**2).backward()
    assert x.grad is not first
    assert x.grad.tolist() == [5.0, 16.0]


def test_a_step_with_a_gradient_that_has_a_graph():
    x = Parameter(np.array([1.0, 2.0]))
    o = Rprop([x], lr=0.5)
    for _ in range(2):
        o.zero_grad()
        np.sum(x**3).backward(create_graph=True)
        o.step()
    np.testing.assert_allclose(x.data, [0.5 - 0.6, 1.5 - 0.6])
    o.zero_grad(set_to_none=False)
    assert x.grad.tolist() == [0.0, 0.0]
    assert type(x.grad) is np.ndarray


def test_tenth_derivative():
    y = x = leaf(0.5)
    y = np.sin(x)
    for _ in range(10):
        (y,) = autograd.grad(y, x, create_graph=True)
    np.testing.assert_allclose(y.data, -np.sin(0.5))


def test_hessian_of_a_network(rng):
    w = Parameter(rng.standard_normal((3, 2)))
    x = rng.standard_normal((4, 3))
    assert autograd.gradcheck(lambda w: autograd.logsumexp(np.tanh(x @ w), axis=1), w)
