"""A composition as an optimizer: an object with a `step`, as `check` needs it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .._cases.dtypes import COMPLEX
from .batch import Batch
from .machine import Machine
from .stages import Composition


class ComposedOptimizer:
    """An optimizer of one array of parameters, by any composition.

    Parameters
    ----------
    composition : Composition
    x0 : ndarray
        The parameters, of any shape; it is not changed.
    lr : float or ndarray
    etas, step_sizes : (float, float)
    maximize : bool
    bounds : (float, float) or None

    Attributes
    ----------
    x, prev, step_size : ndarray
        The parameters and the state after the last step, in the shape and dtype of `x0`.
    """

    accepts_none = True

    def __init__(
        self,
        composition: Composition,
        x0: Array,
        *,
        lr: Any = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        maximize: bool = False,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        x0 = np.asarray(x0)
        self.shape, self.dtype = x0.shape, x0.dtype
        reals = self._reals(x0)
        if isinstance(lr, np.ndarray):
            lr = np.broadcast_to(lr, x0.shape).reshape(-1)
            lr = np.repeat(lr, 2) if self.dtype.name in COMPLEX else lr
        # A batch of two steps: the first holds the settings of the start, the second those of the current step.
        case = Case(
            "optimizer", "", self.dtype.name, np.zeros((2, reals.size), reals.dtype), reals,
            lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize, bounds=bounds, loss=(0.0, 0.0),
        )  # fmt: skip
        self._batch = Batch([case])
        self._batch.constants_change = [True, False]
        self._machine = Machine(composition, [()], self._batch)
        self._machine.t = 1
        self._last_grad: Any = None

    def step(self, grad: Any, loss: float | None = None) -> Array:
        """Make a step, and return the new parameters. `grad` may be None; it is written to if the rule does so."""
        now = self._batch
        now.none[1] = grad is None
        now.loss[1] = np.nan if loss is None else loss
        now.g[1] = 0
        if grad is not None:
            now.g[1] = self._reals(np.asarray(grad, self.dtype))
            now.reused[:] = grad is self._last_grad
        self._machine.step()
        self._machine.t = 1
        now.lr_edited[1] = now.resumed[1] = False
        if isinstance(grad, np.ndarray) and grad.dtype == self.dtype:
            self._last_grad = grad
            gradient_after = self._shaped(self._machine.gradient)
            if grad.flags.writeable and gradient_after.tobytes() != grad.tobytes():
                grad[...] = gradient_after
        return self.x

    @property
    def x(self) -> Array:
        """The parameters."""
        return self._shaped(self._machine.x)

    @property
    def prev(self) -> Array:
        """The stored gradients."""
        return self._shaped(self._machine.prev)

    @property
    def step_size(self) -> Array:
        """The step sizes."""
        return self._shaped(self._machine.step_size)

    def set(self, *, lr: Any = None, etas: Any = None, step_sizes: Any = None) -> None:
        """Set hyperparameters for the next steps; a rule may ignore them."""
        now = self._batch
        if lr is not None:
            now.lr[1], now.lr_edited[1] = lr, True
        if etas is not None:
            now.eta_minus[1], now.eta_plus[1] = etas
        if step_sizes is not None:
            now.low[1], now.high[1] = step_sizes
        self._machine.evaluate_constants()

    def save(self) -> dict[str, Array]:
        """The state, without the parameters."""
        return copy.deepcopy(self._machine.state)

    def load(self, state: dict[str, Array]) -> None:
        """Continue from a saved state; a rule may have left something out of it."""
        x = self._machine.state["x"]
        self._machine.state = {**copy.deepcopy(state), "x": x}
        self._batch.resumed[1] = True

    def _reals(self, a: Array) -> Array:
        flat = np.ascontiguousarray(a).reshape(-1)
        return flat.view(COMPLEX[flat.dtype.name]) if flat.dtype.name in COMPLEX else flat.copy()

    def _shaped(self, a: Array) -> Array:
        return np.ascontiguousarray(a[0]).view(self.dtype).reshape(self.shape).copy()
