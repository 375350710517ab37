"""no_grad and enable_grad."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from leaves import leaf

from rprop_ref import autograd, enable_grad, no_grad


def test_as_context_managers():
    x = leaf(1.0)
    with no_grad():
        assert not autograd.is_grad_enabled()
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        assert not np.exp(x).requires_grad
    assert autograd.is_grad_enabled()


@pytest.mark.parametrize("decorator", [no_grad, no_grad()])
def test_as_decorators(decorator):
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


def test_one_object_can_be_entered_twice():
    mode = no_grad()
    with mode:
        with mode:
            pass
        assert not autograd.is_grad_enabled()
    assert autograd.is_grad_enabled()


def test_the_mode_belongs_to_one_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((leaf(1.0) * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_backward_leaves_the_mode_alone():
    x = leaf(1.0)
    with no_grad(), enable_grad():
        y = x * 2
    with no_grad():
        y.backward()
        assert not autograd.is_grad_enabled()
    with pytest.raises(RuntimeError):
        y.backward()
    assert autograd.is_grad_enabled()


def test_no_grad_decorates_generators():
    @no_grad()
    def states():
        sent = yield autograd.is_grad_enabled()
        yield sent
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
