"""Packages that minimize functions: PINTS, PyBOP and climin."""

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


def from_pybop(optimiser: Any) -> Factory:
    """A factory from PyBOP's class of iRprop+, ``pybop.optimisers.IRPropPlusImpl``: float64.

    Parameters
    ----------
    optimiser : type
        Called as ``optimiser(x0, sigma0, None)``. The factory negates gradients to maximize.
    """

    def factory(x0: Array, *, lr: Any, etas: Any, step_sizes: Any, maximize: bool) -> _Pybop:
        return _Pybop(optimiser, x0, lr, etas, step_sizes, maximize)

    factory.accepts_lr_array = True  # type: ignore[attr-defined]
    return factory


class _Pybop:
    def __init__(self, optimiser: Any, x0: Array, lr: Any, etas: Any, step_sizes: Any, maximize: bool) -> None:
        self.maximize = maximize
        self.optimiser = optimiser(x0, np.broadcast_to(lr, x0.shape).astype(float), None)
        self.optimiser.eta_min, self.optimiser.eta_max = etas
        self.optimiser.step_min, self.optimiser.step_max = step_sizes
        self.optimiser.ask()

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self.optimiser.tell([(loss, -grad if self.maximize else grad)])
        return np.array(self.optimiser.ask()[0])

    @property
    def step_size(self) -> Array:
        return np.array(self.optimiser._step_sizes)

    @property
    def prev(self) -> Array:
        return np.array(self.optimiser._gradient_previous)


def from_climin(minimizer: Any) -> Factory:
    """A factory from a class with the interface of ``climin.Rprop``: float64.

    Parameters
    ----------
    minimizer : type
        Called as ``minimizer(x0, gradient, step_shrink=, step_grow=, min_step=, max_step=, changes_max=)``, with
        `lr` as `changes_max`. The factory negates gradients to maximize.
    """

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Climin:
        return _Climin(minimizer, x0, lr, etas, step_sizes, maximize)

    return factory


class _Climin:
    def __init__(self, minimizer: Any, x0: Array, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> None:
        self.maximize = maximize
        self.gradient = x0
        self.minimizer = minimizer(
            x0,
            lambda x: self.gradient,
            step_shrink=etas[0],
            step_grow=etas[1],
            min_step=step_sizes[0],
            max_step=step_sizes[1],
            changes_max=lr,
        )
        self.iterations = iter(self.minimizer)

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self.gradient = -grad if self.maximize else grad
        next(self.iterations)
        return np.array(self.minimizer.wrt)

    @property
    def step_size(self) -> Array:
        return np.array(self.minimizer.changes)

    @property
    def prev(self) -> Array:
        return np.array(self.minimizer.gradient)
