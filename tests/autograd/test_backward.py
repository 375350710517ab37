"""The backward pass."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from leaves import SECOND_TIME, leaf

from rprop_ref import Parameter, Rprop, autograd


def test_gradients_accumulate_in_place():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 7.0]
    assert type(first) is np.ndarray


def test_zero_grad_can_keep_the_array():
    x = Parameter(np.ones(2))
    o = Rprop([x])
    x.sum().backward()
    before = x.grad
    o.zero_grad(set_to_none=False)
    x.sum().backward()
    assert x.grad is before
    assert before.tolist() == [1.0, 1.0]


def test_gradients_do_not_share_memory():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = np.ones(2)
    (x + y).backward(seed)
    assert not np.shares_memory(x.grad, y.grad)
    assert not np.shares_memory(x.grad, seed)
    z = leaf(1.0, 2.0)
    z.reshape(2, 1).T.backward(np.ones((1, 2)))
    z.grad[:] = 7  # an array of its own, and writable


def test_backward_does_not_write_to_a_read_only_gradient():
    x = leaf(1.0, 2.0)
    x.grad = np.broadcast_to(np.array(1.0), 2)
    x.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_the_gradient_of_a_value_used_twice_is_a_sum():
    x = leaf(2.0)
    y = x * x
    (y * y + y + y).backward()
    assert x.grad == 4 * 8 + 2 * 4


def test_the_gradient_of_a_leaf_with_respect_to_itself_is_one():
    x = leaf(2.0)
    x.backward()
    assert x.grad == 1.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: (x * 2).backward(), "grad can be implicitly created only for scalar outputs"),
        (
            lambda x: x.detach().backward(),
            "element 0 of tensors does not require grad and does not have a grad_fn",
        ),
        (lambda x: (x * 2).backward(np.ones(3)), r"Mismatch in shape: grad_output\[0\] has a shape of \(3,\)"),
        (lambda x: (x[0] * 2j).backward(), "only for real scalar outputs but got complex128"),
        (lambda x: x.detach().retain_grad(), "can't retain_grad on Tensor that has requires_grad=False"),
        (lambda x: x[:1].detach_(), "Can't detach views in-place. Use detach"),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(leaf(1.0, 2.0))


def test_the_graph_is_freed():
    x = leaf(1.0, 2.0)
    loss = np.sum(x * x)
    loss.backward()
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        loss.backward()
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        autograd.grad(loss, x)
    loss = np.sum(x * x)
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_a_shared_part_is_freed_too():
    x = leaf(1.0, 2.0)
    h = np.exp(x)
    a, b = np.sum(h * h), np.sum(np.sin(h))
    a.backward()
    before = x.grad.copy()
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        b.backward()
    assert (x.grad == before).all()


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    assert (x.retains_grad, y.retains_grad) == (False, True)
    np.sum(y * y).backward()
    assert y.grad.tolist() == [6.0, 12.0]
    z = x * 3
    np.sum(z).backward()
    assert z.grad is None


def test_saved_arrays_are_freed():
    x = leaf(*range(10))
    y = np.exp(x)
    kept = weakref.ref(y.data)
    loss = np.sum(np.sin(y))
    del y
    assert kept() is not None
    loss.backward()
    assert kept() is None


def test_arrays_that_no_vjp_reads_are_not_saved():
    x = leaf(1.0, 2.0)
    h = x * 2.0
    seen = weakref.ref(h.data)
    y = np.exp(h + 1.0)
    del h
    assert seen() is None
    (g,) = autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()
    np.testing.assert_allclose(x.grad, 4 * np.exp(2 * x.data + 1))


def test_detach_and_clone():
    x = leaf(1.0, 2.0)
    d = (x * 2).detach()
    assert not d.requires_grad
    np.sum(x.clone() * d).backward()
    assert x.grad.tolist() == [2.0, 4.0]
    y = x * 2
    y.detach_()
    assert y.is_leaf
    assert not y.requires_grad
    assert not np.shares_memory(x.clone().data, x.data)
    assert np.shares_memory(x.detach().data, x.data)


def test_gradients_have_the_precision_of_their_leaves():
    x = leaf(1.0, 2.0, dtype="f4")
    loss = np.mean(2.0 * x / 3 + x**2 - np.sqrt(x) * 0.5)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32
    y = leaf(1.0, 2.0, dtype="f4")
    mixed = np.sum(y * np.array([1.0, 2.0]))
    mixed.backward()
    assert mixed.dtype == np.float64
    assert y.grad.dtype == np.float32


def test_half_precision():
    x = Parameter(np.array([1.0, 2.0], "f2"))
    loss = np.sum(np.tanh(x @ np.ones((2, 2), "f2")) * 2.0)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float16
    Rprop([x]).step()


def test_real_and_complex_operands_mixed():
    x, z = leaf(2.0, 3.0), leaf(1 + 1j, 2 - 1j, dtype=complex)
    np.sum(np.abs(x * z) ** 2).backward()
    np.testing.assert_allclose(x.grad, 2 * x.data * np.abs(z.data) ** 2)
    np.testing.assert_allclose(z.grad, 2 * x.data**2 * z.data)


def test_data_that_are_replaced_after_recording():
    x = leaf(1.0, 2.0)
    loss = np.sum(x**2)
    x.data = np.array([10.0, 20.0])
    loss.backward()  # with the recorded data
    assert x.grad.tolist() == [2.0, 4.0]
    y = leaf(1.0, 2.0)
    loss = np.sum(y**2)
    y.data = np.zeros(3)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient of size"):
        loss.backward()


def test_a_leaf_that_no_longer_requires_a_gradient_gets_none():
    x = leaf(1.0)
    y = x * x
    x.requires_grad = False
    y.backward()
    assert x.grad is None


def test_indices_and_masks_are_copied():
    x, i, mask = leaf(1.0, 2.0), np.array([0]), np.array([True, False])
    y = np.sum(x[i]) + np.sum(x[mask]) + np.sum(np.take(x, i)) + np.sum(np.where(mask, x, 0))
    i[:] = 1
    mask[:] = [False, True]
    y.backward()
    assert x.grad.tolist() == [4.0, 0.0]
