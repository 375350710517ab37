"""Other packages as factories for `check`. A package is imported only when its factory is used."""

from __future__ import annotations

import copy
import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..interop import copy_of_tensor
from ._cases.case import Array
from ._comparison.observe import CouldNotRun, Factory


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


def _tensor(array: Array) -> Any:
    """A tensor that shares memory with an array."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


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


def from_opencv() -> Factory:
    """A factory from the RPROP training of OpenCV's ``ANN_MLP``: a network of one linear neuron.

    Its gradients cannot be chosen, and its training cannot be continued. So each step trains from the start again,
    one iteration longer, towards the minimum of a quadratic in two dimensions (weight and bias). Use
    ``check(from_opencv(), dtypes=["float64"], without=["scripts", "maximize"])``.
    """

    def factory(
        x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool, objective: Any = None
    ) -> _OpenCV:
        return _OpenCV(x0, lr, etas, step_sizes, objective)

    factory.takes_objective = True  # type: ignore[attr-defined]
    return factory


class _OpenCV:
    def __init__(self, x0: Array, lr: float, etas: Any, step_sizes: Any, objective: Any) -> None:
        if x0.shape != (2,) or not hasattr(objective, "a"):
            raise CouldNotRun("a network of one neuron can only minimize quadratics in two dimensions")
        self.x0, self.lr, self.etas, self.step_sizes = x0, lr, etas, step_sizes
        self.target, self.iterations = objective.a, 0

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self.iterations += 1
        return self._trained(self.iterations)

    def _trained(self, iterations: int) -> Array:
        cv2: Any = importlib.import_module("cv2")  # its type stubs lack what is used here
        # Initial weights can only be set through the file format.
        (w, b), (minus, plus), (low, high) = self.x0.tolist(), self.etas, self.step_sizes
        text = _NETWORK.format(
            lr=float(self.lr), minus=minus, plus=plus, low=low, high=high, iterations=iterations, w=w, b=b
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "network.yml")
            file.write_text(text)
            network = cv2.ml.ANN_MLP_load(str(file))
        # The output is w u + b. At u = 1 and u = -1 together, the squared error is smallest at the target.
        w, b = self.target.tolist()
        inputs, outputs = np.array([[1], [-1]], np.float32), np.array([[w + b], [b - w]], np.float32)
        data = cv2.ml.TrainData_create(inputs, cv2.ml.ROW_SAMPLE, outputs)
        flags = cv2.ml.ANN_MLP_UPDATE_WEIGHTS + cv2.ml.ANN_MLP_NO_INPUT_SCALE + cv2.ml.ANN_MLP_NO_OUTPUT_SCALE
        network.train(data, flags)
        return np.array(network.getWeights(1), float).reshape(-1)


_NETWORK = """%YAML:1.0
---
opencv_ml_ann_mlp:
   format: 3
   layer_sizes: [ 1, 1 ]
   activation_function: IDENTITY
   min_val: 0.
   max_val: 0.
   min_val1: 0.
   max_val1: 0.
   training_params:
      train_method: RPROP
      dw0: {lr!r}
      dw_plus: {plus!r}
      dw_minus: {minus!r}
      dw_min: {low!r}
      dw_max: {high!r}
      term_criteria:
         iterations: {iterations}
   input_scale: [ 1., 0. ]
   output_scale: [ 1., 0. ]
   inv_output_scale: [ 1., 0. ]
   weights:
      - [ {w!r}, {b!r} ]
"""
