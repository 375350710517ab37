"""Other packages as factories for `check`. Nothing of them is imported before it is used."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .observe import Factory
from .stages import Array


def from_torch(optimizer: Any, *, compiled: bool = False, **options: Any) -> Factory:
    """A factory from a class with the interface of ``torch.optim.Rprop``.

    Parameters
    ----------
    optimizer : type
        Called as ``optimizer([parameter], lr=, etas=, step_sizes=, maximize=, **options)``.
    compiled : bool, optional
        Run its step through ``torch.compile``.
    **options
        Such as ``foreach=True``.

    Returns
    -------
    callable
        Its objects show ``prev`` and ``step_size`` if the optimizer's state has them, and have ``set``, ``save``,
        ``load`` and None gradients. The gradient's tensor shares memory with the caller's array.

    Examples
    --------
    ``check(from_torch(torch.optim.Rprop))``
    """

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Torch:
        return _Torch(
            optimizer,
            x0,
            {**options, "lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize},
            compiled,
        )

    return factory


class _Torch:
    accepts_none = True

    def __init__(self, optimizer: Any, x0: Array, setting: dict[str, Any], compiled: bool) -> None:
        self.parameter = _tensor(x0.copy()).requires_grad_()
        self.optimizer = optimizer([self.parameter], **setting)
        self._step = self.optimizer.step
        if compiled:
            import torch

            self._step = torch.compile(self.optimizer.step)

    def step(self, grad: Array | None, loss: float | None = None) -> Array:
        self.parameter.grad = None if grad is None else _tensor(grad)
        self._step()
        return _array(self.parameter)

    @property
    def step_size(self) -> Array | None:
        return self._shown("step_size")

    @property
    def prev(self) -> Array | None:
        return self._shown("prev")

    def _shown(self, name: str) -> Array | None:
        state = self.optimizer.state.get(self.parameter, {})
        if name in state:
            return _array(state[name])
        # No state yet: there has been no gradient.
        first = complex(1, 1) if self.parameter.is_complex() else 1
        value = self.optimizer.defaults["lr"] * first if name == "step_size" else 0
        return np.full_like(_array(self.parameter), value)

    def set(self, **setting: Any) -> None:
        self.optimizer.param_groups[0].update(setting)

    def save(self) -> Any:
        return copy.deepcopy(self.optimizer.state_dict())

    def load(self, state: Any) -> None:
        self.optimizer.load_state_dict(state)


def _tensor(array: Array) -> Any:
    """A tensor that shares memory with an array."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _array(tensor: Any) -> Array:
    """A copy of a tensor as an array."""
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        array: Array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return array.copy()
    return np.array(tensor.numpy())


def from_optax(make: Any) -> Factory:
    """A factory from a function that makes a gradient transformation of optax.

    Parameters
    ----------
    make : callable
        Called as ``make(lr, eta_minus, eta_plus, min_step_size, max_step_size)``, as ``optax.rprop`` is.

    Returns
    -------
    callable
        Its objects have ``save`` and ``load``, and negate gradients under `maximize` themselves.

    Examples
    --------
    ``check(from_optax(optax.rprop))``; float64 needs ``jax.config.update("jax_enable_x64", True)``.
    """

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Optax:
        return _Optax(make(lr, etas[0], etas[1], step_sizes[0], step_sizes[1]), x0, maximize)

    return factory


class _Optax:
    def __init__(self, transformation: Any, x0: Array, maximize: bool) -> None:
        import jax.numpy as jnp

        self.transformation, self.maximize = transformation, maximize
        self.x = jnp.asarray(x0)
        if self.x.dtype != x0.dtype:
            raise TypeError(f'JAX makes {self.x.dtype} of {x0.dtype}; jax.config.update("jax_enable_x64", True)')
        self.state = transformation.init(self.x)

    def step(self, grad: Array, loss: float | None = None) -> Array:
        import jax.numpy as jnp
        import optax

        updates, self.state = self.transformation.update(
            jnp.asarray(-grad if self.maximize else grad), self.state, self.x
        )
        self.x = optax.apply_updates(self.x, updates)
        return np.array(self.x)

    @property
    def step_size(self) -> Array | None:
        found = [part.step_sizes for part in _flat(self.state) if hasattr(part, "step_sizes")]
        return np.array(found[0]) if found else None

    def save(self) -> Any:
        return self.state

    def load(self, state: Any) -> None:
        self.state = state


def _flat(state: Any) -> list[Any]:
    if isinstance(state, tuple) and not hasattr(state, "_fields"):
        return [part for element in state for part in _flat(element)]
    return [state]
