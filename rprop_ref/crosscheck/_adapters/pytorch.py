"""torch, torch compiled, optimizers with the interface of torch, and torchzero."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...interop import copy_of_tensor
from .._cases.case import Array
from .._comparison.observe import Factory


def from_torch(optimizer: Any, **options: Any) -> Factory:
    """A factory from a class with the interface of ``torch.optim.Rprop``.

    Parameters
    ----------
    optimizer : type
        Called as ``optimizer([parameter], lr=, etas=, step_sizes=, maximize=, **options)``.
    **options
        Such as ``foreach=True``.

    Returns
    -------
    callable
        Its objects have ``set``, ``save`` and ``load``, accept gradients of None, and show ``prev`` and
        ``step_size`` if the optimizer's state has them. The gradient's tensor shares memory with the caller's
        array.

    Examples
    --------
    ``check(from_torch(torch.optim.Rprop))``
    """

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Torch:
        setting = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        return _Torch(optimizer, x0, {**options, **setting})

    return factory


class _Torch:
    accepts_none = True

    def __init__(self, optimizer: Any, x0: Array, setting: dict[str, Any]) -> None:
        self.parameter = _tensor(x0.copy()).requires_grad_()
        self.optimizer = optimizer([self.parameter], **setting)

    def step(self, grad: Array | None, loss: float | None = None) -> Array:
        self.parameter.grad = None if grad is None else _tensor(grad)
        self.optimizer.step()
        return copy_of_tensor(self.parameter)

    @property
    def step_size(self) -> Array | None:
        return self._shown("step_size")

    @property
    def prev(self) -> Array | None:
        return self._shown("prev")

    def _shown(self, name: str) -> Array | None:
        state = self.optimizer.state.get(self.parameter, {})
        if name in state:
            return copy_of_tensor(state[name])
        # Before the first gradient there is no state.
        first = complex(1, 1) if self.parameter.is_complex() else 1
        value = self.optimizer.defaults["lr"] * first if name == "step_size" else 0
        return np.full_like(copy_of_tensor(self.parameter), value)

    def set(self, **setting: Any) -> None:
        self.optimizer.param_groups[0].update(setting)

    def save(self) -> Any:
        return copy.deepcopy(self.optimizer.state_dict())

    def load(self, state: Any) -> None:
        self.optimizer.load_state_dict(state)


def from_compiled_torch() -> Factory:
    """A factory from torch's functional ``rprop``, compiled by ``torch.compile``.

    Each combination of etas, limits and `maximize` is compiled separately, which takes seconds. Leave these cases
    out with ``without=["etas", "step_sizes", "lr outside step_sizes", "maximize"]``.
    """
    import torch
    from torch.optim.rprop import rprop

    compiled = torch.compile(rprop, dynamic=True)

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _CompiledTorch:
        constants = {
            "etaminus": etas[0],
            "etaplus": etas[1],
            "step_size_min": step_sizes[0],
            "step_size_max": step_sizes[1],
        }
        return _CompiledTorch(compiled, x0, lr, {**constants, "maximize": maximize, "foreach": False})

    return factory


class _CompiledTorch:
    def __init__(self, rprop: Any, x0: Array, lr: float, options: dict[str, Any]) -> None:
        import torch

        self._rprop, self._options = rprop, options
        self._x = _tensor(x0.copy())
        self._prev, self._size = torch.zeros_like(self._x), torch.full_like(self._x, lr)
        self._steps = torch.zeros(())

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self._rprop([self._x], [_tensor(grad)], [self._prev], [self._size], [self._steps], **self._options)
        return copy_of_tensor(self._x)

    @property
    def step_size(self) -> Array:
        return copy_of_tensor(self._size)

    @property
    def prev(self) -> Array:
        return copy_of_tensor(self._prev)


def from_torchzero(module: Any, **options: Any) -> Factory:
    """A factory from a class with the interface of ``torchzero.m.Rprop``.

    Parameters
    ----------
    module : type
        Called as ``module(nplus=, nminus=, lb=, ub=, alpha=, **options)``; `alpha` is the first step size. The
        factory negates gradients to maximize.
    **options
        Such as ``backtrack=False``.

    Examples
    --------
    ``check(from_torchzero(torchzero.m.Rprop), "rprop+")``
    """

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Torchzero:
        constants = {"nminus": etas[0], "nplus": etas[1], "lb": step_sizes[0], "ub": step_sizes[1], "alpha": lr}
        return _Torchzero(module(**constants, **options), x0, maximize)

    return factory


class _Torchzero:
    accepts_none = True

    def __init__(self, module: Any, x0: Array, maximize: bool) -> None:
        import torchzero

        self.module, self.maximize = module, maximize
        self.parameter = _tensor(x0.copy()).requires_grad_()
        self.optimizer = torchzero.Optimizer([self.parameter], module)

    def step(self, grad: Array | None, loss: float | None = None) -> Array:
        self.parameter.grad = None if grad is None else _tensor(-grad if self.maximize else grad)
        self.optimizer.step()
        return copy_of_tensor(self.parameter)

    @property
    def step_size(self) -> Array:
        return copy_of_tensor(self.module.state[self.parameter]["magnitudes"])


def _tensor(array: Array) -> Any:
    """A tensor that shares memory with an array."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
