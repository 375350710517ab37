"""Tensors as arrays: attributes, comparisons, conversions, copies."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
from leaves import leaf

from rprop_ref import Parameter, Tensor


def test_a_tensor_shares_memory_with_its_array():
    a = np.zeros(2)
    assert Tensor(a).data is a
    assert Tensor(Tensor(a)).data is a
    assert Tensor([1, 2]).dtype.kind == "i"


def test_only_floating_point_and_complex_data_can_require_gradients():
    for make in (
        lambda: Tensor([1], requires_grad=True),
        lambda: Tensor([1]).requires_grad_(),
        lambda: Parameter([1], requires_grad=False),
    ):
        with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype can require"):
            make()


def test_requires_grad_can_be_set_for_leaves_only():
    x = leaf(1.0, 2.0)
    y = x * 2
    assert (x.is_leaf, y.is_leaf, y.requires_grad) == (True, False, True)
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad = False
    assert not (x.requires_grad_(False) * 2).requires_grad


def test_attributes_and_methods_agree_with_those_of_arrays(rng):
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
    assert x.flat[1:3].tolist() == a.flat[1:3].tolist()
    assert x.flat[0].tolist() == next(x.flat).tolist() == x.item(0) == a.flat[0]
    assert (len(x.flat), x.item(1, 0), x.item(-1)) == (a.size, a[1, 0], a.item(-1))
    assert (x.nbytes, x.itemsize, x.strides) == (a.nbytes, a.itemsize, a.strides)
    assert x.tolist() == a.tolist()
    assert [row.tolist() for row in x] == a.tolist()


def test_comparisons_return_plain_arrays_and_hashing_is_by_identity():
    x, y = leaf(1.0, 2.0), leaf(1.0, 3.0)
    for result, expected in (
        (x == y, [True, False]), (x != y, [False, True]), (x < y, [False, True]), (x >= 2, [False, True]),
        (x <= y, [True, True]), (np.array([2.0, 1.0]) > x, [True, False]), (np.less(x, y), [False, True]),
    ):  # fmt: skip
        assert type(result) is np.ndarray
        assert result.tolist() == expected
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1
    assert 2.0 in x
    assert 5.0 not in x


def test_conversion_to_numbers():
    x = Tensor(np.array(2.5))
    assert (float(x), int(x), complex(x), x.item(), f"{x:.2f}", bool(x)) == (2.5, 2, 2.5, 2.5, "2.50", True)
    assert [1, 2, 3][Tensor(1)] == 2
    assert leaf(2.5).item() == 2.5
    assert f"{leaf(2.5):.1f}" == "2.5"


@pytest.mark.parametrize("convert", [float, int, complex, math.sin], ids=lambda f: f.__name__)
def test_converting_to_a_number_warns_as_torch_does(convert):
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
def test_mistakes_raise(mistake, error, text):
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
def test_nothing_leaves_the_tape_silently(leave):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"leave the tape.*p\.data.*p\.detach\(\)"):
        leave(x)


def test_assigning_to_an_element_of_an_array_warns():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.zeros(2)[0] = leaf(1.0, 2.0)[0]
    assert "Converting a tensor with requires_grad=True to a scalar" in str(caught[0].message)


def test_tensors_without_gradients_convert_to_arrays():
    x = leaf(1.0, 2.0)
    assert np.asarray(x.detach()) is not None
    assert np.shares_memory(np.asarray(x.detach()), x.data)
    assert np.asarray(Tensor([1.0]), dtype="f4").dtype == np.float32


def test_repr():
    x = leaf(1.0, 2.0)
    assert repr(x) == "Tensor([1., 2.], dtype=float64, requires_grad=True)"
    assert repr(x * 2) == "Tensor([2., 4.], dtype=float64, from numpy.multiply)"
    assert repr(x.detach()) == "Tensor([1., 2.], dtype=float64)"
    assert repr(Parameter([1.0], requires_grad=False)) == "Parameter([1.], dtype=float64, requires_grad=False)"


def test_deepcopy_and_pickle():
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
