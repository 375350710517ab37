"""autograd.gradcheck."""

from __future__ import annotations

import numpy as np
import pytest

from rprop_ref import autograd


def test_the_error_gives_both_numbers():
    wrong = autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: g * 3)
    with pytest.raises(
        AssertionError, match=r"the gradient with respect to element \(0,\) of input 0 is -?[\d.]+"
    ):
        autograd.gradcheck(wrong, [np.array([1.0, 2.0])])


@pytest.mark.parametrize("fun", [np.linalg.eigvalsh, np.linalg.cholesky])
def test_functions_of_one_triangle_are_checked_with_hermitian_matrices(fun):
    a = np.array([[3.0, 1.0], [1.0, 2.0]])
    with pytest.raises(AssertionError, match=r"gradient of its Hermitian part: check them with fn\(a \+"):
        autograd.gradcheck(fun, [a])
    assert autograd.gradcheck(lambda a: fun(a + np.conj(a).T), [a])


def test_a_wrong_second_derivative_is_found():
    # The gradient is right but its derivative is not: the vjp hides that it depends on x.
    wrong = autograd.register_vjp(lambda x: x**2, lambda g, ans, x: g * 2 * getattr(x, "data", x))
    x = np.array([1.0, 2.0])
    assert autograd.gradcheck(wrong, x, second_order=False)
    with pytest.raises(AssertionError, match="second derivative"):
        autograd.gradcheck(wrong, x)


def test_a_wrong_imaginary_part_is_found():
    wrong = autograd.register_vjp(lambda z: np.conj(z), lambda g, ans, z: g)
    with pytest.raises(AssertionError, match="imaginary part"):
        autograd.gradcheck(wrong, np.array([1 + 1j]), second_order=False)


def test_a_function_without_gradients_is_an_error():
    with pytest.raises(AssertionError, match="no output depends on the inputs"):
        autograd.gradcheck(lambda x: x.detach(), np.ones(2))


@pytest.mark.parametrize("kind", [float, complex])
def test_one_wrong_element_shows_in_a_random_direction(kind):
    calls = 0

    def fun(x, wrong):
        nonlocal calls
        calls += 1
        return autograd.register_vjp(lambda x: x * 2, lambda g, ans, x: g * 2 * wrong)(x)

    x, factors = np.arange(1000).astype(kind), np.ones(1000)
    assert autograd.gradcheck(lambda x: fun(x, factors), x, second_order=False, fast_mode=True)
    assert calls == 3
    factors[617] = 3
    with pytest.raises(AssertionError, match="with respect to a random direction of input 0 is"):
        autograd.gradcheck(lambda x: fun(x, factors), x, second_order=False, fast_mode=True)


def test_a_random_direction_finds_a_wrong_second_derivative():
    wrong = autograd.register_vjp(lambda x: x**2, lambda g, ans, x: g * 2 * getattr(x, "data", x))
    with pytest.raises(AssertionError, match="second derivative with respect to a random direction"):
        autograd.gradcheck(wrong, np.array([1.0, 2.0]), fast_mode=True)
