"""Tune the first step size, `lr`, by the gradient of the final loss with respect to it.

Each trial fits a curve with a dozen recorded Rprop steps (``differentiable=True``) and computes how the final loss
changes with `lr`. An outer Rprop then improves the logarithm of `lr`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rprop_ref import Parameter, Rprop, Tensor, autograd

RNG = np.random.default_rng(0)
X = np.linspace(-1, 1, 40)
Y = 1.5 * np.exp(-1.1 * X) + 0.4 + 0.05 * RNG.standard_normal(40)
STEPS = 12


def loss(p: Any) -> Any:
    return np.mean((p[0] * np.exp(p[1] * X) + p[2] - Y) ** 2)


def loss_after(lr: Any) -> Any:
    """The loss after `STEPS` steps from a fixed start, recorded from `lr` to the end."""
    p = Tensor(np.zeros(3))
    p.requires_grad = True
    p = p.clone()
    optimizer = Rprop([p], lr=lr, differentiable=True)
    for _ in range(STEPS):
        (p.grad,) = autograd.grad(loss(p), p)
        optimizer.step()
    return loss(p)


log_lr = Parameter(np.array(np.log(1e-3)))
outer = Rprop([log_lr], lr=0.5)
print(f"{'trial':>5}{'lr':>10}{f'loss after {STEPS} steps':>22}{'d loss / d log lr':>20}")
for trial in range(25):
    outer.zero_grad()
    value = loss_after(np.exp(log_lr))
    value.backward()
    if trial % 4 == 0:
        print(f"{trial:5}{np.exp(log_lr.data):10.5f}{value.item():22.6f}{float(log_lr.grad):20.6f}")
    outer.step()
default = loss_after(Tensor(np.array(0.01))).item()
print(f"With the default, lr = 0.01, the loss after {STEPS} steps is {default:.6f}.")
