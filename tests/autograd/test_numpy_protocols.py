"""NumPy code that is called with Tensors. Every function of NumPy: test_numpy_functions."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.special as sc
from leaves import leaf

from rprop_ref import Parameter, Tensor, autograd, no_grad


def test_an_objective_for_arrays_runs_unchanged(rng):
    x, w, b = rng.standard_normal((5, 3)), Parameter(rng.standard_normal((3, 2))), Parameter(np.zeros(2))
    loss = np.sum(np.tanh(x @ w + b) ** 2)
    loss.backward()
    h = np.tanh(x @ w.data)
    np.testing.assert_allclose(w.grad, x.T @ (2 * h * (1 - h**2)), rtol=1e-13)
    np.testing.assert_allclose(b.grad, (2 * h * (1 - h**2)).sum(0), rtol=1e-13)


def test_operators_take_arrays_numbers_and_lists_on_either_side():
    x = leaf(1.0, 2.0)
    for other in (np.array([3.0, 4.0]), np.float64(3), 3, [3.0, 4.0]):
        plain = np.asarray(other)
        for result, expected in (
            (x + other, x.data + plain), (other + x, plain + x.data), (x - other, x.data - plain),
            (other - x, plain - x.data), (x * other, x.data * plain), (other / x, plain / x.data),
            (other**x, plain**x.data), (x % other, x.data % plain), (other % x, plain % x.data),
            (x // other, x.data // plain), (other // x, plain // x.data), (np.hypot(other, x), np.hypot(plain, x.data)),
        ):  # fmt: skip
            assert isinstance(result, Tensor)
            np.testing.assert_array_equal(result.data, expected)
    np.testing.assert_array_equal((np.ones((2, 2)) @ x).data, [3.0, 3.0])
    np.testing.assert_array_equal((-x).data, [-1.0, -2.0])
    np.testing.assert_array_equal(abs(+(-x)).data, [1.0, 2.0])


def test_scipys_rosenbrock_function_and_its_derivative():
    from scipy.optimize import rosen_der

    def rosen(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)

    def der(x):  # SciPy's code, which writes into zeros_like(x)
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


def test_the_error_names_the_function_without_a_rule():
    x = leaf(1.0, 2.0)
    for call, name in (
        (lambda: np.sort_complex(x), "numpy.sort_complex"),
        (lambda: np.gcd.outer(x, x), "numpy.gcd.outer"),
        (lambda: sc.airy(x), "airy"),
        (lambda: np.add(x, 1, where=np.array([True, False])), "numpy.add with where="),
        (lambda: np.sum(x, out=np.zeros(())), "numpy.sum with out="),
        (lambda: np.mean(x, axis=0, out=np.zeros(())), "numpy.mean with out="),
        (lambda: np.quantile(x, x[0] / 2), "numpy.quantile"),
    ):
        with pytest.raises(TypeError, match=name.replace(".", r"\.")) as caught:
            call()
        if "outer" not in name:
            assert "autograd.register_vjp" in str(caught.value)
            assert "t.detach()" in str(caught.value)


def test_where_with_one_argument_is_nonzero():
    (result,) = np.where(leaf(0.0, 2.0))
    assert type(result) is np.ndarray
    assert result.tolist() == [1]


def test_python_builtins():
    x = leaf(1.0, 3.5)
    assert sum(x).requires_grad
    assert max(x).item() == 3.5
    assert [v.tolist() for v in divmod(x, 2)] == [[0.0, 1.0], [1.0, 1.5]]
    assert round(x[1]).item() == 4.0
    with pytest.raises(TypeError, match="complex"):
        round(leaf(1j))


def test_without_gradients_every_function_works():
    x = leaf(1.0, 2.0)
    np.testing.assert_array_equal(np.unwrap(x.detach()), np.unwrap(x.data))
    with no_grad():
        np.testing.assert_array_equal(np.unwrap(x), np.unwrap(x.data))
        assert np.add(x, 1, where=np.array([True, False]), out=np.zeros(2)).tolist() == [2, 0]


def test_types_of_other_libraries_are_left_to_them():
    class Other:
        def __array_function__(self, func, types, args, kwargs):
            return "theirs"

        def __radd__(self, other):
            return "theirs"

    assert np.concatenate([leaf(1.0, 2.0), Other()]) == "theirs"
    assert leaf(1.0) + Other() == "theirs"


def test_autograd_does_not_load_scipy():
    import subprocess

    code = (
        "import numpy as np, rprop_ref as r, sys; x = r.Parameter(np.ones(2));"
        "np.sum(np.exp(x)).backward(); print({'scipy', 'numba'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )


def test_out_is_written_if_no_gradient_is_lost():
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


def test_logsumexp_and_softmax_agree_with_scipy(rng):
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


@pytest.mark.parametrize("fun", [sc.gammainc, sc.gammaincc, sc.jv, sc.iv])
def test_an_argument_without_a_rule_may_be_a_constant(fun):
    with pytest.raises(TypeError, match=rf"argument 0 of \S*{fun.__name__} has no rule"):
        fun(leaf(1.5), 2.0)
    x = leaf(2.0)
    fun(1.5, x).backward()
    assert x.grad is not None


@pytest.mark.parametrize("ufunc", [np.add, np.multiply])
def test_accumulate_goes_along_axis_0(ufunc):
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert ufunc.accumulate(x).data.tolist() == ufunc.accumulate(x.data).tolist()
    assert ufunc.accumulate(x, axis=1).data.tolist() == ufunc.accumulate(x.data, axis=1).tolist()


@pytest.mark.parametrize("kind", [tuple, list])
def test_lists_and_tuples_are_operands(kind):
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


def test_differentiable_functions_without_rules_are_refused():
    with pytest.raises(TypeError, match="no rule"):
        np.nextafter(leaf(1.0), 2.0)
