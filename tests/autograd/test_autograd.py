"""Recording, backward passes, in-place changes, and what is refused. Gradients themselves: test_autograd_rules."""

from __future__ import annotations

import copy
import functools
import gc
import math
import pickle
import sys
import threading
import tracemalloc
import warnings
import weakref

import numpy as np
import pytest
import scipy.special as sc

from rprop_ref import Optimizer, Parameter, Rprop, Tensor, autograd, enable_grad, minimize, no_grad

INPLACE = "one of the variables needed for gradient computation has been modified by an inplace operation"
SECOND_TIME = "Trying to backward through the graph a second time"


def leaf(*values, dtype=float):
    return Tensor(np.array(values if len(values) != 1 else values[0], dtype), requires_grad=True)


class TestTensor:
    def test_it_shares_memory(self):
        a = np.zeros(2)
        assert Tensor(a).data is a
        assert Tensor(Tensor(a)).data is a
        assert Tensor([1, 2]).dtype.kind == "i"

    def test_only_numbers_with_a_fraction_require_gradients(self):
        for make in (
            lambda: Tensor([1], requires_grad=True),
            lambda: Tensor([1]).requires_grad_(),
            lambda: Parameter([1], requires_grad=False),
        ):
            with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype can require"):
                make()

    def test_requires_grad_is_a_choice_for_leaves(self):
        x = leaf(1.0, 2.0)
        y = x * 2
        assert (x.is_leaf, y.is_leaf, y.requires_grad) == (True, False, True)
        with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
            y.requires_grad = False
        assert not (x.requires_grad_(False) * 2).requires_grad

    def test_attributes_and_methods_of_arrays(self, rng):
        a = rng.standard_normal((2, 3))
        x = Tensor(a)
        assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, a.dtype, 2)
        for name in ("T", "mT", "real", "imag"):
            np.testing.assert_array_equal(getattr(x, name).data, getattr(a, name))
        calls = {
            "reshape": (3, 2), "transpose": (1, 0), "swapaxes": (0, 1), "take": ([1],), "repeat": (2,),
            **dict.fromkeys(["sum", "mean", "prod", "max", "min", "std", "var", "cumsum", "cumprod"], (1,)),
            **dict.fromkeys(["ravel", "flatten", "squeeze", "copy", "conj", "trace", "diagonal", "round"], ()),
        }  # fmt: skip
        for name, args in calls.items():
            np.testing.assert_allclose(getattr(x, name)(*args).data, getattr(a, name)(*args))
        for name in ("argmax", "argmin", "argsort", "any", "all", "nonzero"):
            np.testing.assert_array_equal(getattr(x, name)(), getattr(a, name)())
        assert [float(v) for v in x.flat] == a.ravel().tolist()
        assert x.tolist() == a.tolist()
        assert [row.tolist() for row in x] == a.tolist()

    def test_comparisons_give_plain_arrays_and_hashes_are_identities(self):
        x, y = leaf(1.0, 2.0), leaf(1.0, 3.0)
        for found, expected in (
            (x == y, [True, False]), (x != y, [False, True]), (x < y, [False, True]), (x >= 2, [False, True]),
            (x <= y, [True, True]), (np.array([2.0, 1.0]) > x, [True, False]), (np.less(x, y), [False, True]),
        ):  # fmt: skip
            assert type(found) is np.ndarray
            assert found.tolist() == expected
        assert len({x, y, x}) == 2
        assert {x: 1}[x] == 1
        assert 2.0 in x
        assert 5.0 not in x

    def test_numbers(self):
        x = Tensor(np.array(2.5))
        assert (float(x), int(x), complex(x), x.item(), f"{x:.2f}", bool(x)) == (2.5, 2, 2.5, 2.5, "2.50", True)
        assert [1, 2, 3][Tensor(1)] == 2
        assert leaf(2.5).item() == 2.5
        assert f"{leaf(2.5):.1f}" == "2.5"

    @pytest.mark.parametrize("convert", [float, int, complex, math.sin], ids=lambda f: f.__name__)
    def test_a_number_that_leaves_the_tape_warns_as_torch_does(self, convert):
        with pytest.warns(UserWarning, match="Converting a tensor with requires_grad=True to a scalar"):
            assert convert(leaf(2.0) * 1) == convert(2.0)

    @pytest.mark.parametrize(
        ("mistake", "error", "text"),
        [
            (lambda x: float(x), ValueError, "only one element tensors can be converted to Python scalars"),
            (lambda x: x.item(), RuntimeError, "a Tensor with 2 elements cannot be converted to Scalar"),
            (lambda x: bool(x), RuntimeError, "Boolean value of Tensor with more than one value is ambiguous"),
            (lambda x: bool(x[:0]), RuntimeError, "Boolean value of Tensor with no values is ambiguous"),
            (lambda x: len(x[0]), TypeError, r"len\(\) of a 0-d tensor"),
            (lambda x: list(x[0]), TypeError, "iteration over a 0-d tensor"),
            (lambda x: x + "a", TypeError, "unsupported operand"),
            (lambda x: x @ object(), TypeError, "unsupported operand"),
            (lambda x: setattr(x, "data", [1.0]), TypeError, "data must be a numpy.ndarray, but got list"),
        ],
    )
    def test_mistakes(self, mistake, error, text):
        with pytest.raises(error, match=text):
            mistake(leaf(1.0, 2.0))

    @pytest.mark.parametrize(
        "leave",
        [
            np.asarray,
            np.array,
            lambda x: np.array([x[0], x[1]]),
            lambda x: np.asarray(x * 2, dtype="f4"),
            lambda x: np.zeros(2).__setitem__(slice(None), x),
            lambda x: np.testing.assert_allclose(x, 0),
        ],
    )
    def test_nothing_leaves_the_tape_silently(self, leave):
        x = leaf(1.0, 2.0)
        with pytest.raises(RuntimeError, match=r"leave the tape.*p\.data.*p\.detach\(\)"):
            leave(x)

    def test_an_element_of_an_array_is_a_number(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.zeros(2)[0] = leaf(1.0, 2.0)[0]
        assert "Converting a tensor with requires_grad=True to a scalar" in str(caught[0].message)

    def test_what_needs_no_gradient_becomes_an_array(self):
        x = leaf(1.0, 2.0)
        assert np.asarray(x.detach()) is not None
        assert np.shares_memory(np.asarray(x.detach()), x.data)
        assert np.asarray(Tensor([1.0]), dtype="f4").dtype == np.float32

    def test_repr(self):
        x = leaf(1.0, 2.0)
        assert repr(x) == "Tensor([1., 2.], dtype=float64, requires_grad=True)"
        assert repr(x * 2) == "Tensor([2., 4.], dtype=float64, from numpy.multiply)"
        assert repr(x.detach()) == "Tensor([1., 2.], dtype=float64)"
        assert repr(Parameter([1.0], requires_grad=False)) == "Parameter([1.], dtype=float64, requires_grad=False)"

    def test_copies(self):
        x = leaf(1.0, 2.0)
        x.grad = np.ones(2)
        for kind, keeps in ((x, True), (Parameter(np.ones(2)), False)):
            kind.grad = np.ones(2)
            a, b = copy.deepcopy([kind, kind])
            assert a is b
            assert type(a) is type(kind)
            assert a.requires_grad
            assert not np.shares_memory(a.data, kind.data)
            assert (a.grad is not None) == keeps
            again = pickle.loads(pickle.dumps(kind))
            assert again.data.tolist() == kind.data.tolist()
            assert again.grad is None
            assert again.requires_grad
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(x * 2)


class TestProtocols:
    def test_an_objective_for_arrays_runs_unchanged(self, rng):
        x, w, b = rng.standard_normal((5, 3)), Parameter(rng.standard_normal((3, 2))), Parameter(np.zeros(2))
        loss = np.sum(np.tanh(x @ w + b) ** 2)
        loss.backward()
        h = np.tanh(x @ w.data)
        np.testing.assert_allclose(w.grad, x.T @ (2 * h * (1 - h**2)), rtol=1e-13)
        np.testing.assert_allclose(b.grad, (2 * h * (1 - h**2)).sum(0), rtol=1e-13)

    def test_arrays_numbers_and_lists_on_either_side(self):
        x = leaf(1.0, 2.0)
        for other in (np.array([3.0, 4.0]), np.float64(3), 3, [3.0, 4.0]):
            plain = np.asarray(other)
            for found, expected in (
                (x + other, x.data + plain), (other + x, plain + x.data), (x - other, x.data - plain),
                (other - x, plain - x.data), (x * other, x.data * plain), (other / x, plain / x.data),
                (other**x, plain**x.data), (x % other, x.data % plain), (other % x, plain % x.data),
                (x // other, x.data // plain), (other // x, plain // x.data), (np.hypot(other, x), np.hypot(plain, x.data)),
            ):  # fmt: skip
                assert isinstance(found, Tensor)
                np.testing.assert_array_equal(found.data, expected)
        np.testing.assert_array_equal((np.ones((2, 2)) @ x).data, [3.0, 3.0])
        np.testing.assert_array_equal((-x).data, [-1.0, -2.0])
        np.testing.assert_array_equal(abs(+(-x)).data, [1.0, 2.0])

    def test_scipys_rosenbrock_function_and_its_derivative(self):
        from scipy.optimize import rosen_der

        def rosen(x):
            return np.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)

        def der(x):  # SciPy's text: writes into zeros_like(x)
            xm, xm_m1, xm_p1 = x[1:-1], x[:-2], x[2:]
            d = np.zeros_like(x)
            d[1:-1] = 200 * (xm - xm_m1**2) - 400 * (xm_p1 - xm**2) * xm - 2 * (1 - xm)
            d[0] = -400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0])
            d[-1] = 200 * (x[-1] - x[-2] ** 2)
            return d

        x = np.array([0.3, -0.2, 0.8, 1.1])
        value, gradient = autograd.value_and_grad(rosen)(x)
        assert value == rosen(x)
        np.testing.assert_allclose(gradient, rosen_der(x))
        assert autograd.gradcheck(der, x)

    def test_functions_without_a_rule_are_named(self):
        x = leaf(1.0, 2.0)
        for call, name in (
            (lambda: np.unwrap(x), "numpy.unwrap"),
            (lambda: np.gcd.outer(x, x), "numpy.gcd.outer"),
            (lambda: sc.airy(x), "airy"),
            (lambda: np.fft.hfft(x), "numpy.fft.hfft"),
            (lambda: np.sum(x, where=np.array([True, False])), "numpy.sum with where="),
            (lambda: np.add(x, 1, where=np.array([True, False])), "numpy.add with where="),
            (lambda: np.add.at(x, [0], 1.0), "numpy.add.at"),
            (lambda: np.sum(x, out=np.zeros(())), "numpy.sum with out="),
            (lambda: np.mean(x, axis=0, out=np.zeros(())), "numpy.mean with out="),
            (lambda: np.linalg.norm(np.ones((2, 2)) * x, "nuc"), "numpy.linalg.norm"),
        ):
            with pytest.raises(TypeError, match=name.replace(".", r"\.")) as caught:
                call()
            if "norm" not in name:
                assert "autograd.register_vjp" in str(caught.value)
                assert "t.detach()" in str(caught.value)

    def test_where_with_one_argument_is_nonzero(self):
        (found,) = np.where(leaf(0.0, 2.0))
        assert type(found) is np.ndarray
        assert found.tolist() == [1]

    def test_pythons_functions(self):
        x = leaf(1.0, 3.5)
        assert sum(x).requires_grad
        assert max(x).item() == 3.5
        assert [v.tolist() for v in divmod(x, 2)] == [[0.0, 1.0], [1.0, 1.5]]
        assert round(x[1]).item() == 4.0

    def test_without_gradients_every_function_works(self):
        x = leaf(1.0, 2.0)
        np.testing.assert_array_equal(np.unwrap(x.detach()), np.unwrap(x.data))
        with no_grad():
            np.testing.assert_array_equal(np.unwrap(x), np.unwrap(x.data))
            assert np.add(x, 1, where=np.array([True, False]), out=np.zeros(2)).tolist() == [2, 0]

    def test_other_libraries_types_are_left_to_them(self):
        class Other:
            def __array_function__(self, func, types, args, kwargs):
                return "theirs"

            def __radd__(self, other):
                return "theirs"

        assert np.concatenate([leaf(1.0, 2.0), Other()]) == "theirs"
        assert leaf(1.0) + Other() == "theirs"

    def test_scipy_is_not_loaded_by_autograd(self):
        import subprocess

        code = (
            "import numpy as np, rprop_ref as r, sys; x = r.Parameter(np.ones(2));"
            "np.sum(np.exp(x)).backward(); print({'scipy', 'numba'} & set(sys.modules))"
        )
        assert (
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
            == "set()"
        )

    def test_out_is_written_if_nothing_is_lost(self):
        x, out = leaf(1.0, 2.0), np.zeros(2)
        with pytest.raises(RuntimeError, match=r"functions with out=... arguments don't support automatic"):
            np.add(x, 1, out=out)
        with no_grad():
            np.add(x, 1, out=out)
        assert out.tolist() == [2.0, 3.0]
        t = Tensor(np.zeros(2))
        assert np.multiply(x, x, out=t) is t
        t.sum().backward()
        assert x.grad.tolist() == [2.0, 4.0]

    def test_logsumexp_and_softmax(self, rng):
        a = rng.standard_normal((3, 4)) * 5
        for axis in (None, 0, (0, 1)):
            for keepdims in (False, True):
                np.testing.assert_allclose(
                    autograd.logsumexp(a, axis, keepdims), sc.logsumexp(a, axis, keepdims=keepdims)
                )
            np.testing.assert_allclose(autograd.softmax(a, axis), sc.softmax(a, axis))
        x = leaf(1000.0, -1000.0, 1000.0)
        autograd.logsumexp(x).backward()
        np.testing.assert_allclose(x.grad, [0.5, 0, 0.5])
        assert autograd.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf


class TestBackward:
    def test_gradients_accumulate_in_place(self):
        x = leaf(1.0, 2.0)
        (x * x).sum().backward()
        first = x.grad
        (x * 3).sum().backward()
        assert x.grad is first
        assert first.tolist() == [5.0, 7.0]
        assert type(first) is np.ndarray

    def test_zero_grad_keeps_the_array(self):
        x = Parameter(np.ones(2))
        o = Rprop([x])
        x.sum().backward()
        before = x.grad
        o.zero_grad(set_to_none=False)
        x.sum().backward()
        assert x.grad is before
        assert before.tolist() == [1.0, 1.0]

    def test_gradients_do_not_share_memory(self):
        x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
        seed = np.ones(2)
        (x + y).backward(seed)
        assert not np.shares_memory(x.grad, y.grad)
        assert not np.shares_memory(x.grad, seed)
        z = leaf(1.0, 2.0)
        z.reshape(2, 1).T.backward(np.ones((1, 2)))
        z.grad[:] = 7  # its own, and writable

    def test_a_given_gradient_is_not_written_to_if_it_is_read_only(self):
        x = leaf(1.0, 2.0)
        x.grad = np.broadcast_to(np.array(1.0), 2)
        x.sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]

    def test_a_value_used_twice(self):
        x = leaf(2.0)
        y = x * x
        (y * y + y + y).backward()
        assert x.grad == 4 * 8 + 2 * 4

    def test_a_leaf_is_its_own_gradient(self):
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
    def test_errors(self, call, text):
        with pytest.raises(RuntimeError, match=text):
            call(leaf(1.0, 2.0))

    def test_the_graph_is_freed(self):
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

    def test_a_shared_part_is_freed_too(self):
        x = leaf(1.0, 2.0)
        h = np.exp(x)
        a, b = np.sum(h * h), np.sum(np.sin(h))
        a.backward()
        before = x.grad.copy()
        with pytest.raises(RuntimeError, match=SECOND_TIME):
            b.backward()
        assert (x.grad == before).all()

    def test_retain_grad(self):
        x = leaf(1.0, 2.0)
        y = x * 3
        y.retain_grad()
        assert (x.retains_grad, y.retains_grad) == (False, True)
        np.sum(y * y).backward()
        assert y.grad.tolist() == [6.0, 12.0]
        z = x * 3
        np.sum(z).backward()
        assert z.grad is None

    def test_saved_arrays_are_let_go(self):
        x = leaf(*range(10))
        y = np.exp(x)
        kept = weakref.ref(y.data)
        loss = np.sum(np.sin(y))
        del y
        assert kept() is not None
        loss.backward()
        assert kept() is None

    def test_what_no_rule_looks_at_is_not_kept(self):
        x = leaf(1.0, 2.0)
        h = x * 2.0
        seen = weakref.ref(h.data)
        y = np.exp(h + 1.0)
        del h
        assert seen() is None
        (g,) = autograd.grad(y.sum(), x, create_graph=True)
        g.sum().backward()
        np.testing.assert_allclose(x.grad, 4 * np.exp(2 * x.data + 1))

    def test_detach_and_clone(self):
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

    def test_precision_stays(self):
        x = leaf(1.0, 2.0, dtype="f4")
        loss = np.mean(2.0 * x / 3 + x**2 - np.sqrt(x) * 0.5)
        loss.backward()
        assert loss.dtype == x.grad.dtype == np.float32
        y = leaf(1.0, 2.0, dtype="f4")
        mixed = np.sum(y * np.array([1.0, 2.0]))
        mixed.backward()
        assert mixed.dtype == np.float64
        assert y.grad.dtype == np.float32

    def test_half_precision(self):
        x = Parameter(np.array([1.0, 2.0], "f2"))
        loss = np.sum(np.tanh(x @ np.ones((2, 2), "f2")) * 2.0)
        loss.backward()
        assert loss.dtype == x.grad.dtype == np.float16
        Rprop([x]).step()

    def test_real_and_complex_mixed(self):
        x, z = leaf(2.0, 3.0), leaf(1 + 1j, 2 - 1j, dtype=complex)
        np.sum(np.abs(x * z) ** 2).backward()
        np.testing.assert_allclose(x.grad, 2 * x.data * np.abs(z.data) ** 2)
        np.testing.assert_allclose(z.grad, 2 * x.data**2 * z.data)

    def test_a_gradient_after_the_data_was_exchanged(self):
        x = leaf(1.0, 2.0)
        loss = np.sum(x**2)
        x.data = np.array([10.0, 20.0])
        loss.backward()  # as recorded
        assert x.grad.tolist() == [2.0, 4.0]
        y = leaf(1.0, 2.0)
        loss = np.sum(y**2)
        y.data = np.zeros(3)
        with pytest.raises(RuntimeError, match="attempting to assign a gradient of size"):
            loss.backward()


class TestHigherOrder:
    def test_create_graph(self):
        x = Parameter(np.array([1.0, 2.0]))
        np.sum(x**3).backward(create_graph=True)
        assert isinstance(x.grad, Tensor)
        assert x.grad.requires_grad
        g = x.grad
        x.grad = None
        np.sum(g).backward()
        assert x.grad.tolist() == [6.0, 12.0]
        assert type(x.grad) is np.ndarray

    def test_accumulating_onto_a_gradient_with_a_graph(self):
        x = leaf(1.0, 2.0)
        np.sum(x**3).backward(create_graph=True)
        first = x.grad
        np.sum(x**2).backward()
        assert x.grad is not first
        assert x.grad.tolist() == [5.0, 16.0]

    def test_a_step_with_a_gradient_that_has_a_graph(self):
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

    def test_tenth_derivative(self):
        y = x = leaf(0.5)
        y = np.sin(x)
        for _ in range(10):
            (y,) = autograd.grad(y, x, create_graph=True)
        np.testing.assert_allclose(y.data, -np.sin(0.5))

    def test_hessian_of_a_network(self, rng):
        w = Parameter(rng.standard_normal((3, 2)))
        x = rng.standard_normal((4, 3))
        assert autograd.gradcheck(lambda w: autograd.logsumexp(np.tanh(x @ w), axis=1), w)


class TestGrad:
    def test_nothing_is_accumulated(self):
        x = leaf(1.0, 2.0)
        h = x * 2
        y = np.sum(h * h)
        gx, gh = autograd.grad(y, [x, h])
        assert gx.tolist() == [8.0, 16.0]
        assert gh.tolist() == [4.0, 8.0]
        assert x.grad is None

    def test_only_what_is_needed_is_computed(self):
        calls = []
        probe = autograd.register_vjp(lambda x: x + 0, lambda g, ans, x: calls.append(1) or g)
        x, y = leaf(1.0), leaf(2.0)
        autograd.grad(probe(x) * y, y)
        assert not calls

    def test_grad_outputs(self):
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
    def test_errors(self, call, error, text):
        with pytest.raises(error, match=text):
            call(leaf(1.0, 2.0), leaf(3.0, 4.0))

    def test_unused_inputs_are_none_if_allowed(self):
        x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
        assert autograd.grad(x.sum(), [y], allow_unused=True) == (None,)

    def test_what_lies_behind_the_inputs_is_not_freed(self):
        w = leaf(3.0)
        p = w * 2
        for _ in range(2):
            assert autograd.grad(p * p, p)[0] == 12
        (p * p).backward()
        assert w.grad == 24


class TestValueAndGrad:
    def test_arrays_in_arrays_out(self):
        value, gradient = autograd.value_and_grad(lambda x, a: a * np.sum(x**2))(np.array([1.0, 2.0], "f4"), 2.0)
        assert type(value) is np.float32
        assert type(gradient) is np.ndarray
        assert gradient.dtype == np.float32
        assert gradient.tolist() == [4.0, 8.0]

    def test_argnums_and_integers(self):
        f = autograd.value_and_grad(lambda x, y: np.sum(x * y), argnums=(1, 0))
        value, (gy, gx) = f([1, 2], np.array([3.0, 4.0]))
        assert value == 11
        assert gy.tolist() == [1.0, 2.0]
        assert gx.tolist() == [3.0, 4.0]
        _, unused = autograd.value_and_grad(lambda x, y: y.sum() * 1.0, argnums=[0, 1])(np.ones(2), np.ones(2))
        assert unused[0].tolist() == [0.0, 0.0]

    def test_the_caller_gets_an_array_of_its_own(self):
        c = np.ones(3)
        _, gradient = autograd.value_and_grad(lambda x: c @ x)(np.zeros(3))
        assert not np.shares_memory(gradient, c)

    def test_leaving_the_tape_is_an_error(self):
        for fun in (lambda x: 3.0, lambda x: x.sum().item(), lambda x: np.argmax(x)):
            with pytest.raises(TypeError, match="leave the tape"):
                autograd.value_and_grad(fun)(np.ones(2))

    def test_inside_no_grad(self):
        with no_grad():
            assert autograd.value_and_grad(np.sum)(np.ones(2))[1].tolist() == [1.0, 1.0]

    def test_minimize_takes_it(self):
        found = minimize(autograd.value_and_grad(lambda x: np.sum((x - 1) ** 2)), [3.0, -4.0], jac=True)
        np.testing.assert_allclose(found.x, 1, atol=1e-6)


def _changed(x, w, take):
    t = x * 1
    view = take(t)
    view += 1
    view *= w
    view *= view
    return t


class TestInPlace:
    def test_a_leaf_that_requires_grad(self):
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

    def test_a_value_on_the_way_is_recorded(self):
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

    def test_a_constant_becomes_a_value_on_the_way(self):
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
    def test_changed_inputs_are_found(self, use, origin):
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

    def test_changed_results_are_found(self):
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

    def test_values_that_are_not_needed_may_change(self):
        x = leaf(1.0, 2.0)
        h = x * 2
        y = h + 1
        h *= 5
        np.sum(y + np.sum(h)).backward()
        assert x.grad.tolist() == [2 + 20.0, 2 + 20.0]

    @pytest.mark.parametrize("join", [np.concatenate, np.stack])
    def test_joined_values_are_not_needed(self, join):
        x = leaf(1.0, 2.0)
        h = x * 1
        y = join([h, h])
        h *= 5
        np.sum(y).backward()
        assert x.grad.tolist() == [2.0, 2.0]

    def test_operands_that_overlap_with_the_result(self):
        x = leaf(1.0, 2.0, 3.0)
        t = x * 1
        t[1:] += t[:-1]
        t *= t
        assert t.data.tolist() == [1.0, 9.0, 25.0]
        t.sum().backward()
        assert x.grad.tolist() == [2 + 6.0, 6 + 10.0, 10.0]

    def test_changed_leaves_are_found(self):
        x = leaf(1.0, 2.0)
        loss = np.sum(x * x)
        with no_grad():
            x += 1
        with pytest.raises(RuntimeError, match=rf"{INPLACE}: \[float64 \[2\]\] is at version 1"):
            loss.backward()

    def test_a_step_changes_leaves(self):
        x = Parameter(np.ones(2))
        o = Rprop([x])
        loss = np.sum(x * x)
        loss.backward(retain_graph=True)
        o.step()
        with pytest.raises(RuntimeError, match=INPLACE):
            loss.backward()

    def test_a_change_of_the_owner_is_seen_by_its_views(self):
        x = leaf(1.0, 2.0, 3.0)
        h = x * 1
        view = h[:2]
        square = view * view
        h[0] = x[2] * 5
        with pytest.raises(RuntimeError, match=INPLACE):
            np.sum(square).backward()
        np.sum(view * [1.0, 10.0]).backward()
        assert x.grad.tolist() == [0.0, 10.0, 5.0]

    def test_a_view_of_a_constant_that_gets_a_history(self):
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
    def test_views_of_views(self, take):
        start = np.arange(1.0, 7.0).reshape(3, 2)
        expected = start.copy()
        inner = take(expected)
        inner[...] = ((inner + 1) * 2) ** 2
        assert _changed(leaf(start), 2.0, take).data.tolist() == expected.tolist()
        weights = np.arange(6.0).reshape(3, 2)
        assert autograd.gradcheck(lambda x, w: np.sum(_changed(x, w, take) * weights), [start, np.array(2.0)])

    def test_views_whose_owner_is_gone(self):
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

    def test_a_tensor_of_a_tensor_shares_its_memory(self):
        x = leaf(1.0, 2.0)
        loss = np.sum(x * x)
        other = Tensor(x)
        other += 1
        with pytest.raises(RuntimeError, match=INPLACE):
            loss.backward()

    def test_a_pass_that_is_recorded_counts_too(self):
        x = leaf(1.0, 2.0)
        h = np.exp(x)
        (g,) = autograd.grad(np.sum(h), x, create_graph=True)
        with no_grad():
            h *= 2
        with pytest.raises(RuntimeError, match=INPLACE):
            g.sum().backward()

    def test_a_view_of_a_leaf(self):
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
    def test_views_that_cannot_be_changed(self, change):
        h = leaf(1.0, 2.0) * 1
        with no_grad():
            quiet = h[:1]
        for view in (quiet, (leaf(1.0 + 1j, 2.0, dtype=complex) * 1).real):
            with pytest.raises((RuntimeError, TypeError), match=r"t\[index\] = value"):
                change(view)
        assert h.data.tolist() == [1.0, 2.0]

    def test_changes_in_place_make_no_reference_cycles(self):
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

    def test_a_change_keeps_the_old_values_that_its_gradient_needs(self):
        x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
        h = x * 1
        h *= w  # the gradient of w needs the old h
        h **= 2
        np.sum(h).backward()
        np.testing.assert_allclose(x.grad, 2 * x.data * w.data**2)
        np.testing.assert_allclose(w.grad, 2 * w.data * x.data**2)

    def test_a_detached_value_does_not_keep_the_record(self):
        x = leaf(1.0, 2.0)
        y = np.exp(x)
        seen = weakref.ref(y)
        d = y.detach()
        del y
        assert seen() is None
        d += 1
        assert (d * 2).requires_grad is False

    def test_overwriting_with_constants_ends_the_gradient(self):
        x = leaf(1.0, 2.0)
        h = x * 1
        np.add(np.ones(2), 1, out=h)
        assert h.data.tolist() == [2.0, 2.0]
        assert not h.requires_grad

    def test_a_failed_change_changes_nothing(self):
        x = leaf(1.0, 2.0)
        h = x * x
        node = h._node
        for change in (lambda: h.__iadd__(np.ones(3)), lambda: h.__setitem__(5, 1.0), lambda: h.__setitem__(0, x)):
            with pytest.raises((ValueError, IndexError, TypeError)):
                change()
        assert h._node is node
        h.sum().backward()
        assert x.grad.tolist() == [2.0, 4.0]


class TestModes:
    def test_as_context_managers(self):
        x = leaf(1.0)
        with no_grad():
            assert not autograd.is_grad_enabled()
            assert not (x * 2).requires_grad
            with enable_grad():
                assert (x * 2).requires_grad
            assert not np.exp(x).requires_grad
        assert autograd.is_grad_enabled()

    @pytest.mark.parametrize("decorator", [no_grad, no_grad()])
    def test_as_decorators(self, decorator):
        @decorator
        def double(x, *, times):
            "Its docstring."
            return x * times

        assert not double(leaf(1.0), times=2).requires_grad
        assert autograd.is_grad_enabled()
        assert double.__doc__ == "Its docstring."

        @decorator
        def fail():
            raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert autograd.is_grad_enabled()

    def test_reentered(self):
        mode = no_grad()
        with mode:
            with mode:
                pass
            assert not autograd.is_grad_enabled()
        assert autograd.is_grad_enabled()

    def test_of_one_thread(self):
        seen = []
        with no_grad():
            thread = threading.Thread(target=lambda: seen.append((leaf(1.0) * 2).requires_grad))
            thread.start()
            thread.join()
        assert seen == [True]

    def test_backward_leaves_the_mode_alone(self):
        x = leaf(1.0)
        with no_grad(), enable_grad():
            y = x * 2
        with no_grad():
            y.backward()
            assert not autograd.is_grad_enabled()
        with pytest.raises(RuntimeError):
            y.backward()
        assert autograd.is_grad_enabled()


class TestRegister:
    def test_functions_ufuncs_and_numpys(self):
        cube = autograd.register_vjp(lambda x: x**3, lambda g, ans, x: 3 * g * x**2)
        assert cube(2.0) == 8.0
        assert type(cube(np.ones(2))) is np.ndarray
        assert autograd.gradcheck(cube, np.array([1.0, -2.0]))
        ufunc = np.frompyfunc(lambda x, y: x * y, 2, 1)
        with pytest.raises(TypeError, match="has no rule"):
            ufunc(leaf(2.0), 3.0)
        from rprop_ref.autograd._primitives import PRIMITIVES

        try:
            assert autograd.register_vjp(sc.exprel, lambda g, ans, x: g * (np.exp(x) - ans) / x) is sc.exprel
            assert autograd.gradcheck(sc.exprel, np.array([1.0, -2.0]))
            assert autograd.register_vjp(np.unwrap, lambda g, ans, _x, period=None: g) is np.unwrap
            x = leaf(1.0, 9.0)
            np.unwrap(x, period=3.0).sum().backward()
            assert x.grad.tolist() == [1.0, 1.0]
            with pytest.raises(TypeError, match="numpy.unwrap with axis="):
                np.unwrap(x, axis=0)
        finally:
            del PRIMITIVES[sc.exprel], PRIMITIVES[np.unwrap]

    def test_broadcasting_and_keywords(self):
        scaled = autograd.register_vjp(
            lambda x, y, scale=1.0: x * y * scale,
            lambda g, ans, _x, y, scale=1.0: g * y * scale,
            lambda g, ans, x, _y, scale=1.0: g * x * scale,
        )
        x, y = leaf(*np.ones(3)), leaf(2.0)
        scaled(x, y, scale=4.0).sum().backward()
        assert x.grad.tolist() == [8.0] * 3
        assert y.grad == 12.0

    def test_names_with_an_underscore_may_change(self):
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

    def test_wrong_rules(self):
        with pytest.raises(TypeError, match="needs one callable or None for each argument"):
            autograd.register_vjp(np.unwrap)
        with pytest.raises(TypeError, match="must be callable"):
            autograd.register_vjp("exp", lambda g, ans, x: g)
        f = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: np.ones(5))
        with pytest.raises(
            RuntimeError, match=r"returned a gradient of shape \(5,\) for an argument of shape \(2,\)"
        ):
            f(leaf(1.0, 2.0)).sum().backward()
        number = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: 2.0)
        x = leaf(1.0)
        number(x).backward()
        assert x.grad == 2.0

    def test_a_rule_that_returns_what_is_not_its_own(self):
        kept = np.ones(2)
        f = autograd.register_vjp(lambda x: x * 1, lambda g, ans, x: kept)
        x = leaf(1.0, 2.0)
        f(x).sum().backward()
        (f(x) + f(x)).sum().backward()
        assert kept.tolist() == [1.0, 1.0]
        assert x.grad.tolist() == [3.0, 3.0]


class TestGradcheck:
    def test_both_numbers_are_in_the_text(self):
        wrong = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: g * 3)
        with pytest.raises(
            AssertionError, match=r"the gradient with respect to element \(0,\) of input 0 is -?[\d.]+"
        ):
            autograd.gradcheck(wrong, [np.array([1.0, 2.0])])

    def test_second_order(self):
        # Right, but its derivative is not: the rule hides its dependence on x.
        wrong = autograd.register_vjp(lambda x: x**2, lambda g, ans, x: g * 2 * getattr(x, "data", x))
        x = np.array([1.0, 2.0])
        assert autograd.gradcheck(wrong, x, second_order=False)
        with pytest.raises(AssertionError, match="second derivative"):
            autograd.gradcheck(wrong, x)

    def test_the_imaginary_part(self):
        wrong = autograd.register_vjp(lambda z: np.conj(z), lambda g, ans, z: g)
        with pytest.raises(AssertionError, match="imaginary part"):
            autograd.gradcheck(wrong, np.array([1 + 1j]), second_order=False)

    def test_nothing_to_check(self):
        with pytest.raises(AssertionError, match="no output depends on the inputs"):
            autograd.gradcheck(lambda x: x.detach(), np.ones(2))


class TestSize:
    def test_a_hundred_thousand_operations(self):
        x = leaf(1.0)
        y = x
        for _ in range(100_000):
            y = y + 1.0
        y.backward()
        assert x.grad == 1.0

    def test_a_long_graph_can_be_dropped(self):
        for keep in (True, False):
            y = leaf(1.0)
            for _ in range(100_000):
                y = np.sin(y) if keep else y * 1.0
            del y

    def test_a_long_graph_of_second_order(self):
        y = x = leaf(0.5)
        for _ in range(3000):
            y = y * 1.0
        (g,) = autograd.grad(y * y, x, create_graph=True)
        (h,) = autograd.grad(g, x)
        assert h == 2.0

    def test_there_are_no_reference_cycles(self):
        gc.collect()
        gc.disable()
        try:
            w = Parameter(np.ones((3, 3)))
            for _ in range(5):
                loss = np.sum(np.tanh(w @ w) ** 2)
                ref = weakref.ref(loss)
                loss.backward()
                del loss
                assert ref() is None
                np.sum(np.tanh(w @ w))  # never differentiated
            assert gc.collect() == 0
        finally:
            gc.enable()

    def test_a_thousand_steps_do_not_grow(self, rng):
        x, w, b = rng.standard_normal((8, 4)), Parameter(rng.standard_normal((4, 2))), Parameter(np.zeros(2))
        o = Rprop([w, b], backend="numpy")

        def step():
            o.zero_grad()
            np.mean((np.tanh(x @ w + b) - 0.3) ** 2).backward()
            o.step()

        for _ in range(20):
            step()
        gc.collect()
        tracemalloc.start()
        try:
            step()
            before, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
            for _ in range(1000):
                step()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - before < 20_000
            assert len(gc.get_objects()) - objects < 50
        finally:
            tracemalloc.stop()


class TestOptimizers:
    def test_a_closure_is_recorded_also_inside_no_grad(self):
        x = Parameter(np.ones(2))
        o = Rprop([x], lr=0.5)

        def closure():
            o.zero_grad()
            loss = np.sum(x**2)
            loss.backward()
            return loss

        with no_grad():
            assert o.step(closure).item() == 2.0
            assert not autograd.is_grad_enabled()
            with pytest.raises(ZeroDivisionError):
                o.step(lambda: 1 / 0)
            assert not autograd.is_grad_enabled()
        assert x.data.tolist() == [0.5, 0.5]

    def test_a_loss_may_be_a_tensor(self):
        x = Parameter(np.ones(2))
        o = Rprop([x], lr=0.5, variant="irprop+")

        def closure():
            o.zero_grad()
            loss = np.sum(x**2)
            loss.backward()
            return loss

        for _ in range(3):
            o.step(closure)
        assert type(o.param_groups[0]["prev_loss"]) is float

    def test_leaves_only(self):
        x = leaf(1.0, 2.0)
        Rprop([x])
        Optimizer([x], {})
        for make in (lambda: Rprop([x * 2]), lambda: Rprop([{"params": x * 2}])):
            with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
                make()
        y = x * 2
        y.retain_grad()
        Rprop([y])
        Optimizer([x * 2], {"differentiable": True})

    def test_a_leaf_that_is_no_parameter_is_stepped(self):
        x = leaf(1.0, 2.0)
        o = Rprop([x], lr=0.5)
        np.sum(x**2).backward()
        o.step()
        assert x.data.tolist() == [0.5, 1.5]
        assert list(o.state_dict()["state"]) == [0]

    def test_accumulated_gradients_use_the_fast_path(self):
        x = Parameter(np.ones(3))
        o = Rprop([x])
        for _ in range(3):
            o.zero_grad()
            np.sum(x**2).backward()
            assert x._grad_fits is x._data
            o.step()
        assert o._plans[id(o.param_groups[0])].gradients([x], o.state) is not None


def _into_an_array(x):
    found = np.zeros(3)
    for i in range(3):
        found[i] = x[i] ** 2
    return np.sum(found) + x[0]


class TestNothingIsLostSilently:
    @pytest.mark.parametrize(
        "fun",
        [
            lambda x: np.sum(x) * math.sin(x[0]),
            lambda x: np.sum(x) * float(x[0]),
            lambda x: np.sum(x) * int(x[0]),
            lambda x: np.sum(x) * x[0].item(),
            lambda x: np.sum(x * x.tolist()),
            _into_an_array,
        ],
    )
    def test_numbers_inside_value_and_grad(self, fun):
        for call in (autograd.value_and_grad(fun), lambda x: minimize(fun, x, jac="autograd")):
            with pytest.raises(TypeError, match=r"Write np\.sin\(x\) for math\.sin\(x\).*np\.zeros_like\(x\)"):
                call(np.ones(3))
        assert math.sin(leaf(0.0).detach()) == 0.0
        with pytest.warns(UserWarning, match="Converting a tensor"):
            float(leaf(0.0))

    def test_what_wants_no_gradient_becomes_a_number(self):
        def fun(x):
            with no_grad():
                assert float(x[0]) == x.detach()[0].item() == 1.0
            return np.sum(x) if x[0] > 0 else x[0]

        assert autograd.value_and_grad(fun)(np.ones(2))[1].tolist() == [1.0, 1.0]

    @pytest.mark.parametrize("fun", [sc.gammainc, sc.gammaincc, sc.jv, sc.iv])
    def test_no_rule_for_one_argument(self, fun):
        with pytest.raises(TypeError, match=rf"argument 0 of \S*{fun.__name__} has no rule"):
            fun(leaf(1.5), 2.0)
        x = leaf(2.0)
        fun(1.5, x).backward()
        assert x.grad is not None

    def test_fewer_rules_than_arguments(self):
        f = autograd.register_vjp(lambda x, y: x * y, lambda g, ans, x, y: g * y)
        with pytest.raises(TypeError, match="argument 1 of .* has no rule"):
            f(leaf(1.0), leaf(2.0))
        with pytest.raises(TypeError, match="the argument y of .* has no rule"):
            f(leaf(1.0), y=leaf(2.0))

    @pytest.mark.parametrize("ufunc", [np.add, np.multiply])
    def test_accumulate_goes_along_axis_0(self, ufunc):
        x = leaf([[1.0, 2.0], [3.0, 4.0]])
        assert ufunc.accumulate(x).data.tolist() == ufunc.accumulate(x.data).tolist()
        assert ufunc.accumulate(x, axis=1).data.tolist() == ufunc.accumulate(x.data, axis=1).tolist()

    @pytest.mark.parametrize("view", [np.squeeze, np.real, lambda x: x.real])
    def test_results_that_are_the_array_itself_are_views(self, view):
        x = leaf([1.0, 2.0])
        y = view(x)
        with pytest.raises(RuntimeError, match="view of a leaf"):
            y *= 2
        z = leaf([1.0 + 1j], dtype=complex)
        with pytest.raises(RuntimeError, match="view of a leaf"):
            z.imag[...] = 2
        assert x.data.tolist() == [1.0, 2.0]

    @pytest.mark.parametrize("subscripts", ["ij->ji", "ii->i", "ij->ij"])
    def test_einsum_of_one_operand_is_a_copy(self, subscripts):
        x = leaf(np.ones((2, 2)))
        y = np.einsum(subscripts, x)
        y *= 2
        assert x.data.tolist() == [[1.0, 1.0], [1.0, 1.0]]

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
    def test_every_write_is_counted(self, write):
        for detach in (True, False):
            x = leaf(1.0, 2.0)
            y = np.sum(x * x)
            with no_grad():
                write(x.detach() if detach else x)
            with pytest.raises(RuntimeError, match=INPLACE):
                y.backward()
        with pytest.raises((RuntimeError, TypeError)):
            write(leaf(1.0, 2.0))

    def test_methods_as_rules(self):
        class Rule:
            def first(self, g, _ans, _x, y):
                return g * y

            def second(self, g, _ans, x, _y=1.0):
                return g * x

        f = autograd.register_vjp(lambda x, y=1.0: x * y, Rule().first, Rule().second)
        x, y = leaf(3.0), leaf(4.0)
        out = f(x, y=y)
        with no_grad():
            y *= 2
        with pytest.raises(RuntimeError, match=INPLACE):
            out.backward()
        out = f(x, y)
        out.backward()
        assert (x.grad, y.grad) == (8.0, 3.0)

    def test_rules_with_any_keywords(self):
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

    def test_indices_and_masks_are_copied(self):
        x, i, mask = leaf(1.0, 2.0), np.array([0]), np.array([True, False])
        y = np.sum(x[i]) + np.sum(x[mask]) + np.sum(np.take(x, i)) + np.sum(np.where(mask, x, 0))
        i[:] = 1
        mask[:] = [False, True]
        y.backward()
        assert x.grad.tolist() == [4.0, 0.0]

    @pytest.mark.parametrize("kind", [tuple, list])
    def test_sequences_are_operands(self, kind):
        x = leaf(1.0, 2.0)
        np.sum(np.multiply(x, kind((3.0, 4.0)))).backward()
        assert x.grad.tolist() == [3.0, 4.0]
        a = leaf(np.eye(2))
        np.sum(np.linalg.solve(a, kind((1.0, 2.0)))).backward()
        assert a.grad.tolist() == [[-1.0, -2.0], [-1.0, -2.0]]
        x = leaf(1.0, 2.0)
        np.sum(np.matmul(kind((3.0, 4.0)), x)).backward()
        np.multiply(kind((x[0], x[1])), x).sum().backward()
        assert x.grad.tolist() == [5.0, 8.0]

    def test_no_grad_on_a_generator(self):
        @no_grad()
        def states():
            found = yield autograd.is_grad_enabled()
            yield found
            try:
                yield autograd.is_grad_enabled()
            except ValueError:
                yield "caught"

        g = states()
        assert next(g) is False
        assert autograd.is_grad_enabled()
        assert g.send(3) == 3
        assert next(g) is False
        assert g.throw(ValueError()) == "caught"
        assert list(g) == []

    def test_kept_gradients_move_with_changes_in_place(self):
        x = leaf(1.0, 1.0)
        y = x * 2
        y.retain_grad()
        y *= 3
        np.sum(y * y).backward()
        assert y.grad.tolist() == [12.0, 12.0]
        assert x.grad.tolist() == [72.0, 72.0]

    def test_a_leaf_that_wants_no_gradient_any_more(self):
        x = leaf(1.0)
        y = x * x
        x.requires_grad = False
        y.backward()
        assert x.grad is None

    def test_integers_keep_no_gradients(self):
        buffer = Tensor(np.zeros(2, int))
        with pytest.raises(RuntimeError, match="of dtype int64, which cannot"):
            buffer[0] = leaf(1.5)
        assert buffer.data.tolist() == [0, 0]

    @pytest.mark.parametrize("fun", [np.frexp, lambda x: np.nextafter(x, 2.0)])
    def test_differentiable_functions_without_rules(self, fun):
        with pytest.raises(TypeError, match="no rule"):
            fun(leaf(1.0))


class TestAccumulation:
    @pytest.mark.parametrize("index", [0, slice(1, None), (slice(None), 1), (Ellipsis, slice(0, 1)), -1])
    def test_rows_of_a_buffer(self, index):
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

    def test_a_view_that_is_kept(self):
        x = leaf([[1.0, 2.0], [3.0, 4.0]])
        y = x * 1.0
        row = y[0]
        row += x[1] * 2
        np.sum(row * row).backward(retain_graph=True)
        assert x.grad.tolist() == [[14.0, 20.0], [28.0, 40.0]]
        x.grad = None
        np.sum(y).backward()
        assert x.grad.tolist() == [[1.0, 1.0], [3.0, 3.0]]

    def test_what_is_refused(self):
        x = leaf([[1.0, 2.0], [3.0, 4.0]])
        with pytest.raises(RuntimeError, match="view of a leaf"):
            x[0] += 1
        out = np.zeros_like(x)
        with pytest.raises(ValueError, match="non-broadcastable"):
            out[0] += x
        with pytest.raises(TypeError, match="Cannot cast"):
            Tensor(np.zeros(2, int))[:1] += x[0, :1]
