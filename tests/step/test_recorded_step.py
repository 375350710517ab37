"""Gradients through steps: against derivatives by hand, finite differences, and torch where it can do it."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from tensors import from_torch, to_torch

from rprop_ref import Parameter, Rprop, Tensor, autograd, no_grad
from rprop_ref.bits import same_bits

# Coordinates whose step size grows, shrinks, stays, grows beyond the upper limit, shrinks below the lower one.
GRADS = [1.0, 1.0, 1.0, 1.0, 1.0]
PREVS = [1.0, -1.0, 0.0, 1.0, -1.0]
SIZES = [0.1, 0.1, 0.1, 49.0, 1e-6]


def tensor(values, dtype="f8"):
    return Tensor(np.array(values, dtype), requires_grad=True)


def one_step(dtype="f8", **options):
    w, g, prev, size = (tensor(v, dtype) for v in (np.ones(5), GRADS, PREVS, SIZES))
    p = w.clone()
    p.grad = g.clone()
    optimizer = Rprop([p], differentiable=True, **options)
    optimizer.state[p] = {"step": np.zeros((), "f4"), "prev": prev.clone(), "step_size": size.clone()}
    optimizer.step(loss=1.0)
    return (p, optimizer.state[p]["prev"], optimizer.state[p]["step_size"]), (w, g, prev, size)


def gradients(output, inputs):
    return [g.real for g in autograd.grad(np.sum(np.real(output)), inputs, retain_graph=True)]


class TestOneStep:
    @pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
    def test_every_derivative_is_torchs(self, dtype):
        (p, prev, size), (w, g, before, start) = one_step(dtype)
        for gradient, expected in zip(
            gradients(p, (w, g, before, start)),
            (
                [1] * 5,
                [0] * 5,
                [0] * 5,
                [np.float32(-1.2) if "4" in dtype or dtype == "c8" else -1.2, 0, -1, 0, 0],
            ),
        ):
            np.testing.assert_array_equal(gradient, expected)
        np.testing.assert_array_equal(gradients(prev, (g,))[0], [1, 0, 1, 1, 0])
        np.testing.assert_allclose(gradients(size, (start,))[0], [1.2, 0.5, 1, 0, 0], rtol=1e-7)

    def test_gradients_pass_at_the_limits_but_not_beyond(self):
        w, size = tensor(np.ones(5)), tensor([60, 1e-9, 0.1, 50, 1e-6])
        p = w.clone()
        p.grad = np.ones(5)
        optimizer = Rprop([p], differentiable=True)
        optimizer.state[p] = {"step": np.zeros((), "f4"), "prev": np.zeros(5), "step_size": size.clone()}
        optimizer.step()
        np.testing.assert_array_equal(gradients(p, (size,))[0], [0, 0, -1, -1, -1])

    @pytest.mark.peers
    @pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
    @pytest.mark.parametrize("maximize", [False, True])
    def test_step_and_derivatives_are_torchs(self, dtype, maximize, rng):
        import torch

        dtype = cases.dtype_named(dtype)
        for _ in range(20):
            arrays = [rng.choice([-2.0, -1.0, 0.0, 1.0, 3.0], (3, 8)).astype(dtype) for _ in range(3)]
            arrays.append(rng.choice([1e-7, 0.1, 2.0, 49.0, 70.0], (3, 8)).astype(dtype))
            if dtype.kind == "c":
                arrays = [a + 1j * np.roll(a, 1) for a in arrays]
            arrays = [a.astype(dtype) for a in arrays]
            ours = [Tensor(a.copy(), requires_grad=True) for a in arrays]
            theirs = [to_torch(a).requires_grad_() for a in arrays]
            results = []
            for library, (w, g, prev, size) in ((Rprop, ours), (torch.optim.Rprop, theirs)):
                p = w.clone()
                p.grad = g.clone()
                o = library([p], differentiable=True, maximize=maximize)
                step = np.zeros((), "f4") if library is Rprop else torch.zeros(())
                o.state[p] = {"step": step, "prev": prev.clone(), "step_size": size.clone()}
                o.step()
                results.append((p, o.state[p]["prev"], o.state[p]["step_size"]))
            for mine, other in zip(*results):
                assert same_bits(mine.data, from_torch(other), signed_zeros=dtype.kind != "c")
                weights = rng.standard_normal((3, 8)).astype(dtype)
                a = autograd.grad(mine, ours, weights, retain_graph=True, allow_unused=True)
                b = torch.autograd.grad(other, theirs, to_torch(weights), retain_graph=True, allow_unused=True)
                for x, y in zip(a, b):
                    expected = np.zeros((3, 8), dtype) if y is None else from_torch(y)
                    np.testing.assert_array_equal(np.zeros((3, 8), dtype) if x is None else x, expected)


class TestTheSameBits:
    @pytest.mark.parametrize("dtype", cases.DTYPES)
    @pytest.mark.parametrize("variant", cases.VARIANTS)
    def test_a_recorded_step_has_the_bits_of_a_plain_one(self, dtype, variant, rng):
        dtype = cases.dtype_named(dtype)
        start = cases.mixed(rng, dtype, 30)
        p, q = Tensor(start.copy(), requires_grad=True).clone(), Parameter(start.copy())
        options = {"variant": variant, "lr": 0.1, "maximize": dtype.kind == "f"}
        recorded, plain = Rprop([p], differentiable=True, **options), Rprop([q], **options)
        losses = cases.losses(rng, 20)
        for grad, loss in zip(cases.gradients(rng, dtype, 30, 20), losses):
            p.grad = q.grad = grad
            recorded.step(loss=loss)
            plain.step(loss=loss)
            assert same_bits(p.data, q.data)
            for key in ("step", "prev", "step_size"):
                value = recorded.state[p][key]
                assert same_bits(value.data if isinstance(value, Tensor) else value, plain.state[q][key])

    def test_without_anything_to_differentiate_the_memory_stays_the_same(self):
        x = np.array([1.0, 2.0])
        p = Parameter(x, requires_grad=False)
        p.grad = np.ones(2)
        Rprop([p], lr=0.5, differentiable=True).step()
        np.testing.assert_array_equal(x, [0.5, 1.5])
        assert p.data is x

    def test_a_parameter_listed_twice_is_stepped_twice(self):
        p, q = tensor([1.0]).clone(), Parameter(np.ones(1))
        with pytest.warns(UserWarning, match="duplicate"):
            recorded = Rprop([p, p], differentiable=True)
        with pytest.warns(UserWarning, match="duplicate"):
            plain = Rprop([q, q])
        for g in (1.0, -1.0, 1.0):
            p.grad = q.grad = np.array([g])
            recorded.step()
            plain.step()
        assert same_bits(p.data, q.data)
        assert recorded.state[p]["step"] == 6


def run(w, hyper, variant, steps, *, graph=True):
    """Steps on a function whose gradient changes sign; the gradients carry a graph."""
    lr, minus, plus, smallest, largest = hyper
    p = w * 1.0
    optimizer = Rprop(
        [p], lr=lr, etas=(minus, plus), step_sizes=(smallest, largest), variant=variant, differentiable=True
    )
    for _ in range(steps):
        loss = np.sum(np.cosh(p) + 0.3 * np.sin(3 * p))
        (p.grad,) = autograd.grad(loss, (p,), create_graph=graph)
        optimizer.step(loss=loss)
    return np.sum(p * np.arange(1.0, p.size + 1) + p**2)


HYPER = [0.3, 0.4, 1.3, 0.05, 0.5]


class TestManySteps:
    @pytest.mark.parametrize("variant", cases.VARIANTS)
    def test_all_derivatives_agree_with_finite_differences(self, variant):
        start = [2.0, -1.5, 0.7, 0.1]
        w, hyper = tensor(start), [tensor(h) for h in HYPER]
        run(w, hyper, variant, 8).backward()

        def value(start, hyper):
            return run(tensor(start), [tensor(h) for h in hyper], variant, 8).item()

        eps = 1e-6
        for i in range(5):
            up, down = ([h + s * eps * (j == i) for j, h in enumerate(HYPER)] for s in (1, -1))
            numeric = (value(start, up) - value(start, down)) / (2 * eps)
            assert abs(hyper[i].grad - numeric) < 1e-6 * max(1, abs(numeric)), i
        assert np.any([h.grad != 0 for h in hyper])
        for i in range(4):
            up, down = ([v + s * eps * (j == i) for j, v in enumerate(start)] for s in (1, -1))
            numeric = (value(up, HYPER) - value(down, HYPER)) / (2 * eps)
            assert abs(w.grad[i] - numeric) < 1e-6 * max(1, abs(numeric)), i

    def test_derivatives_of_three_steps_worked_out_by_hand(self):
        # Gradients 1, 1, 1 in the first coordinate; 1, -1 (left out, half the step), -1 in the second.
        w, lr, minus, plus = tensor([5.0, 5.0]), tensor(0.1), tensor(0.5), tensor(1.2)
        p = w.clone()
        optimizer = Rprop([p], lr=lr, etas=(minus, plus), differentiable=True)
        for grad in ([1.0, 1.0], [1.0, -1.0], [1.0, -1.0]):
            p.grad = np.array(grad)
            optimizer.step()
        first = autograd.grad(p[0], (w, lr, minus, plus), retain_graph=True)
        second = autograd.grad(p[1], (w, lr, minus, plus))
        for gradient, expected in zip(first, ([1, 0], -(1 + 1.2 + 1.44), 0, -0.1 * (1 + 2 * 1.2))):
            np.testing.assert_allclose(gradient, expected, rtol=1e-14)
        for gradient, expected in zip(second, ([0, 1], -1 + 0.5, 0.1, 0)):
            np.testing.assert_allclose(gradient, expected, rtol=1e-14)

    def test_a_clamped_step_has_a_derivative_with_respect_to_the_limit(self):
        largest = tensor(50.0)
        p = tensor([1.0]).clone()
        p.grad = np.ones(1)
        optimizer = Rprop([p], lr=100, step_sizes=(1e-6, largest), differentiable=True)
        optimizer.step()
        np.sum(p).backward()
        assert largest.grad == -1

    def test_second_derivatives_agree_with_finite_differences(self):
        lr = tensor(0.3)

        def slope(lr):
            return autograd.grad(
                run(tensor([2.0, -1.5]), [lr, *HYPER[1:]], "irprop-", 5), (lr,), create_graph=True
            )[0]

        (second,) = autograd.grad(slope(lr), (lr,))
        eps = 1e-5
        numeric = (slope(tensor(0.3 + eps)).item() - slope(tensor(0.3 - eps)).item()) / (2 * eps)
        assert abs(second) > 1
        assert abs(second - numeric) < 1e-5 * abs(second)

    def test_steps_are_recorded_in_no_grad_too(self):
        lr = tensor(0.1)
        p = tensor([1.0]).clone()
        p.grad = np.ones(1)
        with no_grad():
            Rprop([p], lr=lr, differentiable=True).step()
        np.sum(p).backward()
        assert lr.grad == -1

    def test_a_graph_recorded_before_a_step_stays_valid(self):
        w = tensor([3.0])
        p = w.clone()
        optimizer = Rprop([p], differentiable=True)
        before = np.sum(p**3)
        slope = autograd.grad(before, (p,), create_graph=True)[0]
        p.grad = np.ones(1)
        optimizer.step()
        (curvature,) = autograd.grad(np.sum(slope), (w,), create_graph=True)
        assert curvature.item() == 18
        assert autograd.grad(np.sum(curvature), (w,))[0] == 6

    @pytest.mark.parametrize("dtype", ["f2", "f4", "c8", "c16"])
    def test_lr_reaches_every_dtype(self, dtype):
        lr = tensor(0.125)
        p = tensor([1.0, 2.0], dtype).clone()
        optimizer = Rprop([p], lr=lr, differentiable=True)
        p.grad = np.full(2, 1 - 1j if "c" in dtype else 1, dtype)
        optimizer.step()
        np.sum(np.real(p) + np.imag(p)).backward()
        assert lr.grad == (0 if "c" in dtype else -2)


class TestRefusals:
    def test_a_leaf_that_requires_a_gradient_is_refused(self):
        p = Parameter(np.ones(1))
        p.grad = np.ones(1)
        optimizer = Rprop([p], differentiable=True)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
            optimizer.step()
        assert p.data == 1
        assert not optimizer.state

    def test_foreach_is_refused(self):
        p = tensor([1.0]).clone()
        p.grad = np.ones(1)
        with pytest.raises(AssertionError, match="_foreach ops don't support autograd"):
            Rprop([p], foreach=True, differentiable=True).step()

    def test_an_lr_that_requires_a_gradient_needs_a_recorded_step(self):
        p = Parameter(np.ones(1))
        p.grad = np.ones(1)
        with pytest.raises(TypeError, match=r"full_like\(\): argument 'fill_value' .* must be Number, not Tensor"):
            Rprop([p], lr=tensor(0.1)).step()

    def test_an_lr_of_two_elements_is_refused(self):
        with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
            Rprop([Parameter(np.ones(1))], lr=Tensor(np.ones(2)))

    def test_a_refused_step_changes_nothing(self):
        p, q = tensor([1.0]).clone(), tensor([1.0, 2.0]).clone()
        optimizer = Rprop([p, q], differentiable=True)
        p.grad, q.grad = np.ones(1), np.ones(2)
        optimizer.step()
        optimizer.state[q]["prev"] = np.zeros(3)
        before, steps = p.data.copy(), optimizer.state[p]["step"].copy()
        with pytest.raises(ValueError, match=r"prev has shape \(3,\)"):
            optimizer.step()
        assert same_bits(p.data, before)
        assert optimizer.state[p]["step"] == steps


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_lr_may_be_a_tensor_of_one_element(shape):
    p = Parameter(np.ones(1))
    p.grad = np.ones(1)
    optimizer = Rprop([p], lr=Tensor(np.full(shape, 0.1, "f4")))
    optimizer.step()
    assert p.data == 1 - float(np.float32(0.1))
