"""autograd.value_and_grad."""

from __future__ import annotations

import math

import numpy as np
import pytest
from leaves import leaf

from rprop_ref import autograd, minimize, no_grad


def test_arrays_in_arrays_out():
    value, gradient = autograd.value_and_grad(lambda x, a: a * np.sum(x**2))(np.array([1.0, 2.0], "f4"), 2.0)
    assert type(value) is np.float32
    assert type(gradient) is np.ndarray
    assert gradient.dtype == np.float32
    assert gradient.tolist() == [4.0, 8.0]


def test_argnums_and_integers():
    f = autograd.value_and_grad(lambda x, y: np.sum(x * y), argnums=(1, 0))
    value, (gy, gx) = f([1, 2], np.array([3.0, 4.0]))
    assert value == 11
    assert gy.tolist() == [1.0, 2.0]
    assert gx.tolist() == [3.0, 4.0]
    _, unused = autograd.value_and_grad(lambda x, y: y.sum() * 1.0, argnums=[0, 1])(np.ones(2), np.ones(2))
    assert unused[0].tolist() == [0.0, 0.0]


def test_an_argument_that_is_named_twice():
    _, gradients = autograd.value_and_grad(lambda x: x * x, argnums=(0, 0))(3.0)
    assert [g.tolist() for g in gradients] == [6.0, 6.0]


def test_the_gradient_is_a_new_array():
    c = np.ones(3)
    _, gradient = autograd.value_and_grad(lambda x: c @ x)(np.zeros(3))
    assert not np.shares_memory(gradient, c)


def test_a_result_that_left_the_tape_is_an_error():
    for fun in (lambda x: 3.0, lambda x: x.sum().item(), lambda x: np.argmax(x)):
        with pytest.raises(TypeError, match="leave the tape"):
            autograd.value_and_grad(fun)(np.ones(2))


def test_it_records_inside_no_grad():
    with no_grad():
        assert autograd.value_and_grad(np.sum)(np.ones(2))[1].tolist() == [1.0, 1.0]


def test_minimize_takes_it():
    result = minimize(autograd.value_and_grad(lambda x: np.sum((x - 1) ** 2)), [3.0, -4.0], jac=True)
    np.testing.assert_allclose(result.x, 1, atol=1e-6)


def _into_an_array(x):
    squares = np.zeros(3)
    for i in range(3):
        squares[i] = x[i] ** 2
    return np.sum(squares) + x[0]


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
def test_a_value_that_leaves_the_tape_is_an_error(fun):
    for call in (autograd.value_and_grad(fun), lambda x: minimize(fun, x, jac="autograd")):
        with pytest.raises(TypeError, match=r"Write np\.sin\(x\) for math\.sin\(x\).*np\.zeros_like\(x\)"):
            call(np.ones(3))
    assert math.sin(leaf(0.0).detach()) == 0.0
    with pytest.warns(UserWarning, match="Converting a tensor"):
        float(leaf(0.0))


def test_values_without_gradients_convert_to_numbers():
    def fun(x):
        with no_grad():
            assert float(x[0]) == x.detach()[0].item() == 1.0
        return np.sum(x) if x[0] > 0 else x[0]

    assert autograd.value_and_grad(fun)(np.ones(2))[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("fun", "error", "words"),
    [
        (lambda x: x - 1, RuntimeError, r"only for scalar outputs; .* an array of shape \(2,\)"),
        (lambda x: None, TypeError, "returned None, but must return one number"),
    ],
)
def test_a_function_that_returns_no_number_is_told_so(fun, error, words):
    with pytest.raises(error, match=words):
        autograd.value_and_grad(fun)([1.0, 2.0])
    with pytest.raises(error, match=words):
        minimize(fun, [1.0, 2.0], jac="autograd")
