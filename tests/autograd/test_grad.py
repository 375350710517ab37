"""autograd.grad."""

from __future__ import annotations

import numpy as np
import pytest
from leaves import leaf

from rprop_ref import autograd


def test_grad_leaves_the_gradients_of_leaves_alone():
    x = leaf(1.0, 2.0)
    h = x * 2
    y = np.sum(h * h)
    gx, gh = autograd.grad(y, [x, h])
    assert gx.tolist() == [8.0, 16.0]
    assert gh.tolist() == [4.0, 8.0]
    assert x.grad is None


def test_only_needed_gradients_are_computed():
    calls = []
    probe = autograd.register_vjp(lambda x: x + 0, lambda g, ans, x: calls.append(1) or g)
    x, y = leaf(1.0), leaf(2.0)
    autograd.grad(probe(x) * y, y)
    assert not calls


def test_grad_outputs():
    x = leaf(1.0, 2.0)
    (g,) = autograd.grad(x * x, x, np.array([1.0, 10.0]))
    assert g.tolist() == [2.0, 40.0]
    (g,) = autograd.grad([x * x, x * 3], [x], [np.ones(2), np.ones(2)])
    assert g.tolist() == [5.0, 7.0]
    a, b = autograd.grad(np.sum(x), [x, x])
    assert a.tolist() == b.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda x, y: autograd.grad(x.sum(), y),
            RuntimeError,
            "The differentiated Tensor at index 0 appears to not",
        ),
        (
            lambda x, y: autograd.grad(y.detach()[0], x),
            RuntimeError,
            "element 0 of tensors does not require grad",
        ),
        (
            lambda x, y: autograd.grad(x.sum(), y.detach()),
            RuntimeError,
            "One of the differentiated Tensors does not",
        ),
        (
            lambda x, y: autograd.grad(x * 2, x),
            RuntimeError,
            "grad can be implicitly created only for scalar outputs",
        ),
        (lambda x, y: autograd.grad([x.sum()], [x], []), RuntimeError, "got 1 tensors and 0 gradients"),
        (
            lambda x, y: autograd.grad(x.sum(), []),
            RuntimeError,
            "`inputs` argument to `grad\\(\\)` cannot be empty",
        ),
        (lambda x, y: autograd.grad(x.sum(), [x.data]), TypeError, "inputs of grad\\(\\) must be Tensors"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(leaf(1.0, 2.0), leaf(3.0, 4.0))


def test_unused_inputs_are_none_if_allowed():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    assert autograd.grad(x.sum(), [y], allow_unused=True) == (None,)


def test_the_graph_behind_the_inputs_is_not_freed():
    w = leaf(3.0)
    p = w * 2
    for _ in range(2):
        assert autograd.grad(p * p, p)[0] == 12
    (p * p).backward()
    assert w.grad == 24
