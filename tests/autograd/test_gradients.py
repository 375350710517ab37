"""Every primitive and composite, compared with finite differences."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from gradient_cases import ALL

from rprop_ref import Tensor, autograd
from rprop_ref.autograd import _shapes, _special
from rprop_ref.autograd._primitives import BUFFERS, COMPOSITES, PLAIN, PRIMITIVES

# The operators have the rules of the ufuncs.
OPERATORS = {fun for fun in PRIMITIVES if getattr(fun, "__module__", None) == "_operator"}
DIFFERENTIABLE = set(PRIMITIVES) - OPERATORS | set(COMPOSITES)


def name_of(case):
    fun, title, _, _ = case
    return f"{getattr(fun, '__name__', fun)}: {title}"


def test_every_primitive_and_composite_has_a_case():
    covered = {case[0] for case in ALL}
    assert not [fun for fun in DIFFERENTIABLE if fun not in covered]


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_values_and_gradients(case):
    """All about one function in one test, since there are a thousand, and a test costs more than what it does."""
    fun, _, call, arrays = case
    if fun not in (_shapes.setitem, _shapes.overwrite, _shapes.astype):
        assert_values_are_those_of_arrays(call, arrays)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert autograd.gradcheck(call, arrays, fast_mode=True)
    assert_results_and_gradients_keep_their_precision(call, arrays)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "fun", {case[0]: None for case in ALL}, ids=lambda fun: getattr(fun, "__name__", str(fun))
)
def test_gradients_element_by_element(fun):
    """Of the cases that are checked in one direction above, a third."""
    for _, title, call, arrays in cases.thinned((case for case in ALL if case[0] is fun), 3):
        with np.errstate(divide="ignore", invalid="ignore"):
            assert autograd.gradcheck(call, arrays), title


def assert_values_are_those_of_arrays(call, arrays):
    """A function returns the same for Tensors as for arrays."""
    expected = call(*arrays)
    result = call(*(Tensor(a, requires_grad=True) for a in arrays))
    if not isinstance(expected, (list, tuple)):
        expected, result = [expected], [result]
    for e, f in zip(expected, result, strict=True):
        assert isinstance(f, Tensor)
        assert f.dtype == e.dtype
        assert f.shape == e.shape
        np.testing.assert_allclose(f.data, e, rtol=1e-13, atol=1e-15)


def assert_results_and_gradients_keep_their_precision(call, arrays):
    """Results and gradients of float32 values are float32."""
    narrow = [a.astype(np.complex64 if a.dtype.kind == "c" else np.float32) for a in arrays]
    expected = call(*narrow)
    tensors = [Tensor(a, requires_grad=True) for a in narrow]
    outs = call(*tensors)
    expected, outs = (x if isinstance(x, (list, tuple)) else [x] for x in (expected, outs))
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
    calls = [(x,), (x, x), (x, 1), (x[0], x), ((x[0], x[1]),), (x[0], np.array([1.0, 2.0])), ("ij->", x)]
    for args in calls:
        try:
            result = fun(*args)
        except (TypeError, ValueError):
            continue
        assert not isinstance(result, Tensor)
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


def gradient(fun, *arrays):
    """The gradient of the sum of a function with respect to each argument."""
    tensors = [Tensor(np.asarray(a), requires_grad=True) for a in arrays]
    with np.errstate(all="ignore"):
        np.sum(fun(*tensors)).backward()
    return [t.grad for t in tensors]


def test_solve_with_a_stack_and_a_vector():
    """NumPy would take the gradient, a stack of vectors, to be one matrix."""
    a = np.stack([np.eye(2) * 2, np.eye(2) * 3])
    weights = np.array([[1.0, 0.0], [0.0, 0.0]])
    (result,) = gradient(lambda b: np.linalg.solve(a, b) * weights, [1.0, 2.0])
    np.testing.assert_allclose(result, [0.5, 0.0], rtol=1e-15)


@pytest.mark.parametrize("order", "AK")
def test_ravel_and_reshape_of_fortran_ordered_data(order):
    x = Tensor(np.asfortranarray(np.arange(6.0).reshape(2, 3)), requires_grad=True)
    for flat in (np.ravel(x, order=order), np.reshape(x, -1, order="A")):
        x.grad = None
        weights = np.arange(6.0) ** 2
        np.sum(flat * weights).backward()
        np.testing.assert_array_equal(x.grad, weights.reshape(2, 3, order="F"))


def test_clip_of_integers_stays_integer():
    x = Tensor(np.array([1, 5, 9]))
    assert np.clip(x, 2, None).data.tolist() == [2, 5, 9]
    assert np.clip(x, 2, None).dtype == np.clip(x, None, 7).dtype == x.dtype


def test_median_of_nan_is_nan():
    x = Tensor(np.array([[1.0, np.nan, 3.0], [4.0, 6.0, 5.0]]), requires_grad=True)
    result = np.median(x, axis=1)
    np.testing.assert_array_equal(result.data, [np.nan, 5.0])
    np.sum(result).backward()
    assert x.grad.tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_composites_keep_the_dtype(dtype):
    x = np.array([1.0, 2.0, 3.0], dtype)
    calls = [
        lambda x: np.linspace(x[0], x[1], 4),
        lambda x: np.average(x, weights=np.ones(3, dtype)),
        lambda x: np.nanmean(np.where(x > 2, np.nan, x)),
        np.median,
    ]
    for call in calls:
        result, expected = call(Tensor(x, requires_grad=True)), call(x)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result.data, expected)


def test_mean_of_many_elements_in_half_precision():
    x = np.zeros(100_000, np.float16)
    assert gradient(np.mean, x)[0][0] == np.float16(1e-5) > 0


@pytest.mark.parametrize("name", ["float16", pytest.param("bfloat16", marks=pytest.mark.peers)])
def test_sums_over_broadcast_axes_in_half_precision(name):
    dtype = cases.dtype_named(name)
    (result,) = gradient(lambda x: np.broadcast_to(x, (4096, 2)) * 1, np.ones(2, dtype))
    assert result.dtype == dtype
    assert result.astype(float).tolist() == [4096, 4096]


@pytest.mark.filterwarnings("ignore:Degrees of freedom")
def test_variance_without_degrees_of_freedom():
    assert np.isnan(gradient(lambda x: np.var(x, ddof=1), [3.0])[0]).all()
    assert np.isnan(gradient(lambda x: np.std(x, ddof=1), [3.0])[0]).all()
    assert np.isinf(gradient(lambda x: np.var(x, ddof=3), [3.0, 5.0])[0]).all()


def test_second_derivative_of_a_singular_determinant():
    x = Tensor(np.array([[1.0, 2.0], [2.0, 4.0]]), requires_grad=True)
    (first,) = autograd.grad(np.linalg.det(x), x, create_graph=True)
    np.testing.assert_allclose(first.data, [[4, -2], [-2, 1]], rtol=1e-14)
    np.sum(first * np.array([[1.0, 0.0], [0.0, 0.0]])).backward()
    assert x.grad.tolist() == [[0, 0], [0, 1]]


def test_a_value_with_more_axes_than_the_elements_it_is_assigned_to():
    x = Tensor(np.ones((1, 1, 3)), requires_grad=True)
    y = Tensor(np.zeros(3), requires_grad=True) * 2
    y[:] = x
    np.sum(y * np.array([1.0, 2.0, 3.0])).backward()
    assert x.grad.tolist() == [[[1, 2, 3]]]


def test_cumprod_that_underflows():
    """A product that underflows cannot be divided by its factors."""
    x = np.array([1e-200, 1e-200, 3.0])
    (result,) = gradient(lambda x: np.cumprod(x) * np.array([0.0, 0.0, 1e200]), x)
    np.testing.assert_allclose(result, [3.0, 3.0, 0.0], rtol=1e-14)


def test_derivatives_of_bessel_functions_at_zero():
    for fun in (_special.sc.j1, _special.sc.i1, _special.sc.i1e):
        assert gradient(fun, [0.0])[0].tolist() == [0.5]
