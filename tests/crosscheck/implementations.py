"""Implementations that tests give to the referee."""

from __future__ import annotations

import numpy as np

import rprop_ref


class Ours:
    """`rprop_ref.Rprop` with the interface that the referee needs."""

    accepts_none = True

    def __init__(self, variant, x0, **setting):
        self.parameter = rprop_ref.Parameter(x0)
        self.optimizer = rprop_ref.Rprop([self.parameter], variant=variant, **setting)
        self.lr = setting["lr"]

    def step(self, grad, loss=None):
        self.parameter.grad = grad
        self.optimizer.step(loss=loss)
        return self.parameter.data

    def _state(self, name, before):
        state = self.optimizer.state.get(self.parameter)
        return state[name] if state else np.full_like(self.parameter.data, before)

    @property
    def prev(self):
        return self._state("prev", 0)

    @property
    def step_size(self):
        complex_too = self.parameter.data.dtype.kind == "c"
        return self._state("step_size", complex(self.lr, self.lr) if complex_too else self.lr)

    def set(self, **setting):
        self.optimizer.param_groups[0].update(setting)

    def save(self):
        return self.optimizer.state_dict()

    def load(self, state):
        self.optimizer.load_state_dict(state)


def ours(variant):
    return lambda x0, **setting: Ours(variant, x0, **setting)


class Branches:
    """iRprop- as most people write it in NumPy, for float64."""

    def __init__(self, x0, *, lr, etas, step_sizes, maximize):
        self.x, self.size, self.prev = x0, np.full_like(x0, lr), np.zeros_like(x0)
        self.etas, self.limits, self.direction = etas, step_sizes, -1 if maximize else 1

    def step(self, grad, loss=None):
        g = self.direction * grad
        q = g * self.prev
        self.size[q > 0] *= self.etas[1]
        self.size[q < 0] *= self.etas[0]
        self.size = np.clip(self.size, *self.limits)
        g = np.where(q < 0, 0, g)
        self.x = self.x - np.sign(g) * self.size
        self.prev = g
        return self.x
