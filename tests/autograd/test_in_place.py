"""Changes in place, of Tensors and of views."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from leaves import INPLACE, leaf

from rprop_ref import Parameter, Rprop, Tensor, autograd, no_grad


def test_a_leaf_that_requires_grad_changes_only_inside_no_grad():
    x = leaf(1.0, 2.0)
    message = "leaf Variable that requires grad is being used in an in-place operation"
    for change in (
        lambda: x.__iadd__(1), lambda: x.__isub__(1), lambda: x.__imul__(2), lambda: x.__itruediv__(2),
        lambda: x.__ipow__(2), lambda: x.__setitem__(0, 1.0), lambda: x[:1].__iadd__(1), lambda: np.exp(x, out=x),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=message):
            change()
    assert x.data.tolist() == [1.0, 2.0]
    with no_grad():
        x += 1
        x[0] = 7.0
        x[1:] *= 2
    assert x.data.tolist() == [7.0, 6.0]
    assert x.is_leaf


def test_changes_of_a_computed_value_are_recorded():
    x = leaf(1.0, 2.0)
    y = x * 1
    memory = y.data
    y += x
    y *= 3
    y -= 1
    y /= 2
    y[0] = x[1] * 5
    assert y.data is memory
    np.sum(y).backward()
    assert x.grad.tolist() == [0.0, 3 + 5.0]


def test_adding_a_computed_value_to_a_constant_is_recorded():
    x, t = leaf(1.0, 2.0), Tensor(np.zeros(2))
    t += x
    assert t.requires_grad
    t.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("use", "origin"),
    [
        (lambda h: h * h, "numpy.multiply"),
        (lambda h: np.sin(h), "numpy.multiply"),
        (lambda h: h @ h, "numpy.multiply"),
        (lambda h: np.einsum("i,i", h, h), "numpy.multiply"),
    ],
)
def test_backward_refuses_changed_operands(use, origin):
    x = leaf(1.0, 2.0)
    h = x * 2
    loss = np.sum(use(h))
    h += 1
    with pytest.raises(
        RuntimeError,
        match=rf"{INPLACE}: \[float64 \[2\]\], which is output 0 of .*, is at version 1; expected version 0",
    ):
        loss.backward()
    assert x.grad is None


def test_backward_refuses_changed_results():
    x = leaf(1.0, 2.0)
    h = np.tanh(x)
    loss = np.sum(h + 0)
    with no_grad():
        h *= 2
    with pytest.raises(RuntimeError, match=rf"{INPLACE}: .*output 0 of numpy.tanh, is at version 1"):
        loss.backward()
    h = np.tanh(x)
    h *= 2
    with pytest.raises(RuntimeError, match=INPLACE):
        h.sum().backward()


def test_values_that_no_vjp_reads_may_change():
    x = leaf(1.0, 2.0)
    h = x * 2
    y = h + 1
    h *= 5
    np.sum(y + np.sum(h)).backward()
    assert x.grad.tolist() == [2 + 20.0, 2 + 20.0]


@pytest.mark.parametrize("join", [np.concatenate, np.stack])
def test_values_may_change_after_they_are_joined(join):
    x = leaf(1.0, 2.0)
    h = x * 1
    y = join([h, h])
    h *= 5
    np.sum(y).backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_operands_may_overlap_with_the_result():
    x = leaf(1.0, 2.0, 3.0)
    t = x * 1
    t[1:] += t[:-1]
    t *= t
    assert t.data.tolist() == [1.0, 9.0, 25.0]
    t.sum().backward()
    assert x.grad.tolist() == [2 + 6.0, 6 + 10.0, 10.0]


def _times_the_one_before(t):
    t[1:] *= t[:-1]


def _divided_by_the_reverse(t):
    t /= t[::-1]


def _to_the_power_of_the_next(t):
    np.power(t[1:], t[:-1], out=t[:-1])


def _written_through_a_view(t):
    before, after = t[:-1], t[1:]
    before *= 2.0
    after *= before
    before -= after * 3.0


def _times_detached(t):
    t[1:] *= (t.detach() if isinstance(t, Tensor) else t.copy())[:-1]


@pytest.mark.parametrize(
    "change",
    [_times_the_one_before, _divided_by_the_reverse, _to_the_power_of_the_next, _written_through_a_view],
)
def test_gradients_of_operands_that_overlap_with_the_result(change):
    """The values that a gradient needs are those before the change."""

    def fun(x):
        t = x * 1.0
        change(t)
        return t * t

    x = np.array([0.7, 1.1, 1.6, 2.3])
    np.testing.assert_array_equal(fun(Tensor(x, requires_grad=True)).data, fun(x))
    assert autograd.gradcheck(fun, x)


def test_an_overlapping_operand_that_is_detached_is_a_constant():
    x = leaf(2.0, 3.0, 5.0)
    t = x * 1.0
    _times_detached(t)
    t.sum().backward()
    assert t.data.tolist() == [2.0, 6.0, 15.0]
    assert x.grad.tolist() == [1.0, 2.0, 3.0]


def test_sorting_in_place():
    x = leaf(3.0, 1.0, 2.0)
    weights = np.array([1.0, 10.0, 100.0])
    for change in (Tensor.sort, lambda t: t.partition([0, 1])):
        t, x.grad = x * 1.0, None
        assert change(t) is None
        assert t.data.tolist() == [1.0, 2.0, 3.0]
        np.sum(t * weights).backward()
        assert x.grad.tolist() == [100.0, 1.0, 10.0]
        with pytest.raises(RuntimeError, match="leaf Variable"):
            change(x)
        assert x.data.tolist() == [3.0, 1.0, 2.0]


def test_backward_refuses_changed_leaves():
    x = leaf(1.0, 2.0)
    loss = np.sum(x * x)
    with no_grad():
        x += 1
    with pytest.raises(RuntimeError, match=rf"{INPLACE}: \[float64 \[2\]\] is at version 1"):
        loss.backward()


def test_a_step_counts_as_a_change():
    x = Parameter(np.ones(2))
    o = Rprop([x])
    loss = np.sum(x * x)
    loss.backward(retain_graph=True)
    o.step()
    with pytest.raises(RuntimeError, match=INPLACE):
        loss.backward()


def test_views_see_a_change_of_their_base():
    x = leaf(1.0, 2.0, 3.0)
    h = x * 1
    view = h[:2]
    square = view * view
    h[0] = x[2] * 5
    with pytest.raises(RuntimeError, match=INPLACE):
        np.sum(square).backward()
    np.sum(view * [1.0, 10.0]).backward()
    assert x.grad.tolist() == [0.0, 10.0, 5.0]


def test_a_view_of_a_constant_sees_that_a_history_is_written_to_it():
    x = leaf(1.0, 2.0)
    buffer = np.zeros_like(x)
    row, whole = buffer[:1], buffer.reshape(2, 1)
    assert not row.requires_grad
    buffer[0] = x[0] * 3
    with pytest.raises(RuntimeError, match="leave the tape"):
        np.asarray(whole)
    assert row.requires_grad
    assert not row.is_leaf
    np.sum(row + np.sum(whole)).backward()
    assert x.grad.tolist() == [6.0, 0.0]
    row = buffer[:1]
    buffer[0] = x[1] * 1
    assert autograd.grad(row, x)[0].tolist() == [0.0, 1.0]


def _changed(x, w, take):
    t = x * 1
    view = take(t)
    view += 1
    view *= w
    view *= view
    return t


@pytest.mark.parametrize(
    "take",
    [
        lambda t: t[1:][:, 0],
        lambda t: t.T[0],
        lambda t: t.reshape(-1)[2:4],
        lambda t: np.ravel(t.T, order="K")[1::2],
        lambda t: np.flip(np.swapaxes(t, 0, 1)[:, 1:], 1)[0],
    ],
)
def test_changes_of_views_of_views_are_recorded(take):
    start = np.arange(1.0, 7.0).reshape(3, 2)
    expected = start.copy()
    inner = take(expected)
    inner[...] = ((inner + 1) * 2) ** 2
    assert _changed(leaf(start), 2.0, take).data.tolist() == expected.tolist()
    weights = np.arange(6.0).reshape(3, 2)
    assert autograd.gradcheck(lambda x, w: np.sum(_changed(x, w, take) * weights), [start, np.array(2.0)])


def test_changes_of_views_count_after_their_base_is_gone():
    x = leaf(1.0, 2.0)
    h = np.tanh(x)
    first, second, d = h[:1], h[1:], h.detach()
    loss = np.sum(h + 0)
    del h
    first *= 2
    with pytest.raises(RuntimeError, match=rf"{INPLACE}: .*output 0 of numpy.tanh, is at version 1; expected"):
        loss.backward()
    square = second * second
    d += 1
    with pytest.raises(RuntimeError, match=INPLACE):
        square.sum().backward()


def test_a_tensor_of_a_tensor_shares_its_memory():
    x = leaf(1.0, 2.0)
    loss = np.sum(x * x)
    other = Tensor(x)
    other += 1
    with pytest.raises(RuntimeError, match=INPLACE):
        loss.backward()


def test_a_recorded_backward_pass_checks_for_changes_too():
    x = leaf(1.0, 2.0)
    h = np.exp(x)
    (g,) = autograd.grad(np.sum(h), x, create_graph=True)
    with no_grad():
        h *= 2
    with pytest.raises(RuntimeError, match=INPLACE):
        g.sum().backward()


def test_views_see_a_change_of_their_leaf():
    x = leaf(1.0, 2.0, 3.0)
    d = x.detach()
    loss = np.sum(x * x)
    d += 1
    assert (d * 2).data.tolist() == [4.0, 6.0, 8.0]
    with pytest.raises(RuntimeError, match=INPLACE):
        loss.backward()
    view = x[:2]
    with no_grad():
        x *= 2
    np.sum(view * view).backward()
    assert x.grad.tolist() == [8.0, 12.0, 0.0]


@pytest.mark.parametrize("change", [lambda v: v.__iadd__(1), lambda v: np.copyto(v, 1.0)])
def test_views_that_cannot_be_changed(change):
    h = leaf(1.0, 2.0) * 1
    with no_grad():
        untracked = h[:1]
    for view in (untracked, (leaf(1.0 + 1j, 2.0, dtype=complex) * 1).real):
        with pytest.raises((RuntimeError, TypeError), match=r"t\[index\] = value"):
            change(view)
    assert h.data.tolist() == [1.0, 2.0]


def test_changes_in_place_make_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        for take in (lambda t: t[1:], lambda t: t.reshape(2, 1)):
            x = leaf(1.0, 2.0)
            h = x * 1
            view = take(h)
            view *= view
            h[0] = np.sin(h[1])
            h *= h
            seen = [weakref.ref(t) for t in (h, view)]
            del h, view
            assert [s() for s in seen] == [None, None]
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_change_keeps_the_old_values_that_its_gradient_needs():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * 1
    h *= w  # the gradient of w needs the old h
    h **= 2
    np.sum(h).backward()
    np.testing.assert_allclose(x.grad, 2 * x.data * w.data**2)
    np.testing.assert_allclose(w.grad, 2 * w.data * x.data**2)


def test_a_detached_value_does_not_keep_the_graph():
    x = leaf(1.0, 2.0)
    y = np.exp(x)
    seen = weakref.ref(y)
    d = y.detach()
    del y
    assert seen() is None
    d += 1
    assert (d * 2).requires_grad is False


def test_overwriting_with_constants_stops_the_gradient():
    x = leaf(1.0, 2.0)
    h = x * 1
    np.add(np.ones(2), 1, out=h)
    assert h.data.tolist() == [2.0, 2.0]
    assert not h.requires_grad


def test_a_failed_change_changes_nothing():
    x = leaf(1.0, 2.0)
    h = x * x
    node = h._node
    for change in (lambda: h.__iadd__(np.ones(3)), lambda: h.__setitem__(5, 1.0), lambda: h.__setitem__(0, x)):
        with pytest.raises((ValueError, IndexError, TypeError)):
            change()
    assert h._node is node
    h.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("index", [0, slice(1, None), (slice(None), 1), (Ellipsis, slice(0, 1)), -1])
def test_rows_of_a_buffer_can_be_changed_repeatedly(index):
    x, w = leaf([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    out, expected = np.zeros_like(x), np.zeros((2, 2))
    for _ in range(3):
        out[index] += x[index]
        out[index] *= x[index]
        expected[index] += x.data[index]
        expected[index] *= x.data[index]
    assert out.data.tolist() == expected.tolist()
    np.sum(out * w).backward()

    def parts(x):
        total = np.zeros_like(x[index])
        for _ in range(3):
            total = (total + x[index]) * x[index]
        return np.sum(total * w[index])

    assert x.grad.tolist() == autograd.value_and_grad(parts)(x.data)[1].tolist()


def test_a_view_can_be_changed_and_used():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = x * 1.0
    row = y[0]
    row += x[1] * 2
    np.sum(row * row).backward(retain_graph=True)
    assert x.grad.tolist() == [[14.0, 20.0], [28.0, 40.0]]
    x.grad = None
    np.sum(y).backward()
    assert x.grad.tolist() == [[1.0, 1.0], [3.0, 3.0]]


def test_refused_augmented_assignments():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match="view of a leaf"):
        x[0] += 1
    out = np.zeros_like(x)
    with pytest.raises(ValueError, match="non-broadcastable"):
        out[0] += x
    with pytest.raises(TypeError, match="Cannot cast"):
        Tensor(np.zeros(2, int))[:1] += x[0, :1]


@pytest.mark.parametrize("view", [np.squeeze, np.real, lambda x: x.real])
def test_results_that_are_the_operand_itself_are_views(view):
    x = leaf([1.0, 2.0])
    y = view(x)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        y *= 2
    z = leaf([1.0 + 1j], dtype=complex)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        z.imag[...] = 2
    assert x.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("subscripts", ["ij->ji", "ii->i", "ij->ij"])
def test_einsum_of_one_operand_is_a_copy_that_refuses_changes(subscripts):
    """In NumPy it is a view, and they would change the operand."""
    x = leaf(np.ones((2, 2)))
    y = np.einsum(subscripts, x)
    for change in (lambda: y.__imul__(2), lambda: y.__setitem__(0, 2.0)):
        with pytest.raises(ValueError, match="read-only"):
            change()
    assert y.data.tolist() == np.einsum(subscripts, x.data).tolist()
    assert x.data.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    rows = np.einsum("ij->i", x)
    rows += 1
    assert rows.data.tolist() == [3.0, 3.0]


def test_parts_and_shapes_that_are_assigned_to_say_what_to_write():
    z, x = leaf(1.0, 2.0) * (1 + 1j), leaf(1.0, 2.0) * 1
    for tensor, name, value, advice in (
        (z, "real", 1.0, r"write z = x \+ 1j \* y"),
        (z, "imag", 1.0, r"write z = x \+ 1j \* y"),
        (x, "shape", (2, 1), r"write t = t.reshape\(\(2, 1\)\)"),
    ):
        with pytest.raises(TypeError, match=advice):
            setattr(tensor, name, value)
    x.real *= 3
    assert x.data.tolist() == [3.0, 6.0]


def test_the_method_conj_of_real_numbers_is_no_copy():
    def fun(x):
        y = x * 1
        z = y.conj()
        z *= x
        return np.sum(y * y.conjugate())

    x = np.array([1.5, -0.5])
    assert autograd.value_and_grad(fun)(x)[0] == fun(x)
    assert autograd.gradcheck(fun, [x])


@pytest.mark.parametrize(
    "write",
    [
        lambda t: np.add.at(t, [0], 1.0),
        lambda t: np.copyto(t, 5.0),
        lambda t: np.put(t, [0], 5.0),
        lambda t: np.putmask(t, [True, False], 5.0),
        lambda t: np.place(t, [True, False], [5.0]),
        lambda t: np.put_along_axis(t, np.array([0]), 5.0, 0),
        lambda t: np.fill_diagonal(t.reshape(2, 1), 5.0),
        lambda t: np.copyto(dst=t, src=5.0),
    ],
)
def test_every_write_is_counted(write):
    for detach in (True, False):
        x = leaf(1.0, 2.0)
        y = np.sum(x * x)
        with no_grad():
            write(x.detach() if detach else x)
        with pytest.raises(RuntimeError, match=INPLACE):
            y.backward()
    with pytest.raises((RuntimeError, TypeError)):
        write(leaf(1.0, 2.0))


def test_retain_grad_applies_to_the_changed_value():
    x = leaf(1.0, 1.0)
    y = x * 2
    y.retain_grad()
    y *= 3
    np.sum(y * y).backward()
    assert y.grad.tolist() == [12.0, 12.0]
    assert x.grad.tolist() == [72.0, 72.0]


def test_tensors_of_integers_refuse_values_with_gradients():
    buffer = Tensor(np.zeros(2, int))
    with pytest.raises(RuntimeError, match="of dtype int64, which cannot"):
        buffer[0] = leaf(1.5)
    assert buffer.data.tolist() == [0, 0]
