"""Other frameworks for networks: optax and Paddle."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import Factory


def from_optax(make: Any) -> Factory:
    """A factory from a function that makes a gradient transformation of optax.

    Parameters
    ----------
    make : callable
        Called as ``make(lr, eta_minus, eta_plus, min_step_size, max_step_size)``, as ``optax.rprop`` is.

    Returns
    -------
    callable
        Its objects have ``save`` and ``load``, and negate gradients to maximize.

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
            raise TypeError(
                f"JAX has turned {x0.dtype} into {self.x.dtype}; "
                'call jax.config.update("jax_enable_x64", True) first'
            )
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
        step_sizes = [part.step_sizes for part in _flat(self.state) if hasattr(part, "step_sizes")]
        return np.array(step_sizes[0]) if step_sizes else None

    def save(self) -> Any:
        return self.state

    def load(self, state: Any) -> None:
        self.state = state


def _flat(state: Any) -> list[Any]:
    """The states of all transformations in a chain."""
    if isinstance(state, tuple) and not hasattr(state, "_fields"):
        return [part for element in state for part in _flat(element)]
    return [state]


def from_paddle(optimizer: Any) -> Factory:
    """A factory from a class with the interface of ``paddle.optimizer.Rprop``.

    Parameters
    ----------
    optimizer : type
        Called as ``optimizer(learning_rate=, learning_rate_range=, etas=, parameters=)``. The factory negates
        gradients to maximize.
    """

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Paddle:
        return _Paddle(optimizer, x0, lr, etas, step_sizes, maximize)

    return factory


class _Paddle:
    def __init__(self, optimizer: Any, x0: Array, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> None:
        import paddle

        self.maximize = maximize
        self.parameter = paddle.to_tensor(x0, stop_gradient=False)
        self.optimizer = optimizer(
            learning_rate=lr, learning_rate_range=tuple(step_sizes), etas=tuple(etas), parameters=[self.parameter]
        )

    def step(self, grad: Array, loss: float | None = None) -> Array:
        import paddle

        self.parameter.grad = paddle.to_tensor(-grad if self.maximize else grad)
        self.optimizer.step()
        return np.array(self.parameter.numpy())

    @property
    def step_size(self) -> Array:
        return self._state("learning_rates")

    @property
    def prev(self) -> Array:
        return self._state("prevs")

    def _state(self, name: str) -> Array:
        accumulator = next(iter(self.optimizer._accumulators[name].values()))
        return np.array(accumulator.numpy())
