"""Packages that minimize functions: PINTS."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import Factory


def from_pints(optimiser: Any) -> Factory:
    """A factory from a class with the methods ask and tell of ``pints.IRPropMin``: float64, fixed etas.

    Parameters
    ----------
    optimiser : type
        Called as ``optimiser(x0, sigma0)``. The factory negates gradients to maximize.
    """

    def factory(x0: Array, *, lr: Any, etas: Any, step_sizes: Any, maximize: bool) -> _Pints:
        return _Pints(optimiser, x0, lr, step_sizes, maximize)

    factory.accepts_lr_array = True  # type: ignore[attr-defined]
    return factory


class _Pints:
    def __init__(self, optimiser: Any, x0: Array, lr: Any, step_sizes: Any, maximize: bool) -> None:
        self.maximize = maximize
        self.optimiser = optimiser(x0, np.broadcast_to(lr, x0.shape).astype(float))
        self.optimiser.set_min_step_size(step_sizes[0])
        self.optimiser.set_max_step_size(step_sizes[1])
        self.optimiser.ask()

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self.optimiser.tell([(loss, -grad if self.maximize else grad)])
        return np.array(self.optimiser.ask()[0])
