"""Optimizers with Tensors: closures, losses, leaves."""

from __future__ import annotations

import numpy as np
import pytest
from leaves import leaf

from rprop_ref import Optimizer, Parameter, Rprop, autograd, no_grad


def test_a_closure_is_recorded_inside_no_grad_too():
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


def test_a_loss_may_be_a_tensor():
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


def test_only_leaves_can_be_optimized():
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


def test_a_leaf_that_is_not_a_parameter_can_be_stepped():
    x = leaf(1.0, 2.0)
    o = Rprop([x], lr=0.5)
    np.sum(x**2).backward()
    o.step()
    assert x.data.tolist() == [0.5, 1.5]
    assert list(o.state_dict()["state"]) == [0]


def test_accumulated_gradients_use_the_fast_path():
    x = Parameter(np.ones(3))
    o = Rprop([x])
    for _ in range(3):
        o.zero_grad()
        np.sum(x**2).backward()
        assert x._grad_fits is x._array
        o.step()
    assert o._plans[id(o.param_groups[0])].gradients([x], o.state) is not None


def test_capturable_is_refused_before_a_leaf_as_by_torch():
    p = Parameter(np.ones(2))
    p.grad = np.ones(2)
    optimizer = Rprop([p], differentiable=True, capturable=True)
    with pytest.raises(
        AssertionError, match="If capturable=True, params and state_steps must be on supported devices"
    ):
        optimizer.step()
    assert not optimizer.state
