"""What NumPy returns as a scalar behaves as one: its operators round like scalars, and ``s += 1`` makes a new one."""

from __future__ import annotations

import copy
import operator

import numpy as np
import pytest

from rprop_ref import Tensor, autograd
from rprop_ref.bits import same_bits

OPERATIONS = {
    "x[0] ** x[1]": lambda x: x[0] ** x[1],
    "x[0] ** 3": lambda x: x[0] ** 3,
    "x.sum() ** 0.5": lambda x: x.sum() ** 0.5,
    "2.5 ** x[0]": lambda x: 2.5 ** x[0],
    "x[0] * x[1]": lambda x: x[0] * x[1],
    "x[0] / x[1]": lambda x: x[0] / x[1],
    "abs(x[0])": lambda x: abs(x[0]),
    "x ** x[0]": lambda x: x ** x[0],
    "np.power(x[0], x[1])": lambda x: np.power(x[0], x[1]),
    "x[0, ...] ** 3": lambda x: x[0, ...] ** 3,
    "a scalar ** x[0]": lambda x: np.float64(2.5) ** x[0],
    "a scalar ** x": lambda x: np.float64(2.5) ** x,
    "a complex scalar * x[0]": lambda x: np.complex128(1.5 - 0.7j) * x[0],
    "np.power(a scalar, x[0])": lambda x: np.power(np.float64(2.5), x[0]),
    "np.multiply(a complex scalar, x[0])": lambda x: np.multiply(np.complex128(1.5 - 0.7j), x[0]),
    "(1 + 2j) * x[0]": lambda x: (1 + 2j) * x[0],
    "a number of Python ** 1.5": lambda x: ((1 + 2j) * x[0]) ** 1.5,
    "of two numbers of Python": lambda x: ((1 + 2j) * x[0]) / ((2 - 1j) + x[1]),
    "abs of a number of Python": lambda x: abs((1 + 2j) * x[0]) ** 1.7,
    "astype": lambda x: x[0].astype(np.complex128) ** 1.5,
    "np.real_if_close": lambda x: np.real_if_close(x[0]) ** 3,
    "view": lambda x: x[0].view() ** 3,
}


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operators_of_scalars_round_as_in_numpy(operation, dtype):
    """For scalars NumPy calls another pow than for arrays, and multiplies complex numbers in another way."""
    fun, rng = OPERATIONS[operation], np.random.default_rng(0)
    for _ in range(300):
        x = (rng.uniform(0.1, 3, 2) + (1j * rng.normal(size=2) if dtype[0] == "c" else 0)).astype(dtype)
        assert same_bits(fun(Tensor(x, requires_grad=True)).data, np.asarray(fun(x)))


@pytest.mark.filterwarnings("error")
def test_operators_of_scalars_warn_as_in_numpy():
    x = np.array([1e300, 0.0])
    for fun in (lambda x: x[0] * x[0], lambda x: x[0] / x[1], lambda x: x[0] ** 2):
        with pytest.raises(RuntimeWarning) as expected:
            fun(x)
        with pytest.raises(RuntimeWarning, match=str(expected.value)):
            fun(Tensor(x, requires_grad=True))


NUMBERS = {
    "x[0]": lambda x: x[0],
    "x[0, ...]": lambda x: x[0, ...],
    "x.sum()": lambda x: x.sum(),
    "x @ x": lambda x: x @ x,
    "np.sin(x[0])": lambda x: np.sin(x[0]),
    "np.median": np.median,
    "np.linalg.norm": np.linalg.norm,
    "einsum": lambda x: np.einsum("i,i->", x, x),
    "np.where": lambda x: np.where(True, x[0], x[1]),
    "np.copy": lambda x: np.copy(x[0]),
    "copy.copy": lambda x: copy.copy(x[0]),
    "copy.deepcopy": lambda x: copy.deepcopy(x[0]),
    "method copy": lambda x: x[0].copy(),
    "reshape": lambda x: x[:1].reshape(()),
    "squeeze": lambda x: (x * 1)[:1].squeeze(),
    "astype": lambda x: x[0].astype(np.float32),
    "zeros_like": lambda x: np.zeros_like(x[0]),
    "T": lambda x: x[0].T,
    "flat": lambda x: x.flat[0],
    "np.add.reduce": np.add.reduce,
}
AUGMENTED = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.imod]


@pytest.mark.parametrize("title", NUMBERS)
def test_augmented_assignment_changes_another_name_only_where_numpy_does(title):
    def objective(x, change):
        y = x * 1
        a = NUMBERS[title](y)
        b = a
        a = change(a, x[1])
        return a + 10 * b + 100 * y[0]

    x = np.array([0.75, 1.25, 2.5])
    for change in AUGMENTED:
        value, gradient = autograd.value_and_grad(objective)(x, change)
        assert same_bits(np.asarray(value), np.asarray(objective(x, change)))
        steps = 1e-4 * np.eye(3)
        differences = [(objective(x + h, change) - objective(x - h, change)) / 2e-4 for h in steps]
        np.testing.assert_allclose(gradient, differences, rtol=1e-6 if title != "astype" else 0.1, atol=1e-6)


def test_a_running_total_leaves_its_first_value_alone():
    def objective(x):
        total = x[0] ** 2
        history = [total]
        for value in x[1:]:
            total += value
            history.append(total)
        return history[0] * history[1] * history[2]

    x = np.array([1.0, 2.0, 3.0])
    value, gradient = autograd.value_and_grad(objective)(x)
    assert value == 1 * 3 * 6
    assert gradient.tolist() == [2 * 18 + 2 * 6 + 2 * 3, 6 + 3, 3]


def test_a_number_of_python_as_an_argument():
    for x in (1.5, 2, 1.5 + 0.5j):
        for fun in (lambda x: abs(x**1.5 / (x + 0.25)), lambda x: abs((x * 1j) ** 2.5)):
            assert autograd.value_and_grad(fun)(x)[0] == fun(x)
    for ndigits in (1, 0, None):
        assert autograd.value_and_grad(lambda x, n=ndigits: x * round(x, n))(2.55) == (
            2.55 * round(2.55, ndigits),
            round(2.55, ndigits),
        )
    with pytest.raises(ZeroDivisionError):
        autograd.value_and_grad(lambda x: 1 / x)(0.0)
    with np.errstate(divide="ignore"):
        assert autograd.value_and_grad(lambda x: 1 / x)(np.float64(0.0))[0] == np.inf


def test_a_scalar_and_an_array_add_up_to_an_array():
    def objective(x):
        total = x.sum()
        total += x
        return np.prod(total)

    x = np.array([1.0, 2.0])
    assert autograd.value_and_grad(objective)(x)[0] == objective(x) == 20


def test_an_argument_that_is_a_number_may_be_reassigned():
    def objective(x):
        y = x
        y *= 3
        return x * y

    value, gradient = autograd.value_and_grad(objective)(2.0)
    assert (value, gradient) == (12, 12)
    with pytest.raises(RuntimeError, match="leaf"):
        autograd.value_and_grad(objective)(np.array(2.0))


@pytest.mark.parametrize("change", [operator.ifloordiv, operator.imod, operator.imatmul])
@pytest.mark.parametrize("view", [lambda y: y, lambda y: y[:], lambda y: y.T])
def test_all_augmented_operators_change_arrays_and_what_they_are_views_of(change, view):
    def objective(x):
        y = x * 2.7
        v = view(y)
        v = change(v, x)
        return np.sum(y * y)

    x = np.array([[0.5, 0.25], [0.375, 1.75]])
    value, _ = autograd.value_and_grad(objective)(x)
    assert same_bits(np.asarray(value), np.asarray(objective(x)))
    assert autograd.gradcheck(objective, [x])
