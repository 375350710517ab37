"""A rule of the catalogue as an implementation: an object that is stepped, as `check` wants it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .cases import COMPLEX, Case, batch
from .stages import Array, Machine, Rule


class Runner:
    """Step one array of parameters by any rule.

    Parameters
    ----------
    rule : Rule
    x0 : ndarray
        The parameters, of any shape; not changed.
    lr : float or ndarray
    etas, step_sizes : (float, float)
    maximize : bool
    bounds : (float, float) or None

    Attributes
    ----------
    x, prev, step_size : ndarray
        After the last step, in the shape and dtype of `x0`.
    """

    accepts_none = True

    def __init__(
        self,
        rule: Rule,
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
        # Two rows: the first holds what was given at the start, the second what holds now.
        self._case = Case(
            "runner", "", self.dtype.name, np.zeros((2, reals.size), reals.dtype), reals,
            lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize, bounds=bounds, loss=(0.0, 0.0),
        )  # fmt: skip
        self._batch = batch([self._case])
        self._batch.varies = [True, False]
        self._machine = Machine(rule, [()], self._batch)
        self._machine.t = 1
        self._last: Any = None

    def step(self, grad: Any, loss: float | None = None) -> Array:
        """Make a step, and return the new parameters; `grad` may be None. May write to `grad` if the rule does."""
        now = self._batch
        now.none[1] = grad is None
        now.loss[1] = np.nan if loss is None else loss
        now.g[1] = 0
        if grad is not None:
            now.g[1] = self._reals(np.asarray(grad, self.dtype))
            now.reused[:] = grad is self._last
        self._machine.step()
        self._machine.t = 1
        now.edited[1] = now.resumed[1] = False
        if isinstance(grad, np.ndarray) and grad.dtype == self.dtype:
            self._last = grad
            left = self._shaped(self._machine.gradient)
            if grad.flags.writeable and left.tobytes() != grad.tobytes():
                grad[...] = left
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
        """Change hyperparameters for the steps to come, as far as the rule heeds it."""
        now = self._batch
        if lr is not None:
            now.lr[1], now.edited[1] = lr, True
        if etas is not None:
            now.eta_minus[1], now.eta_plus[1] = etas
        if step_sizes is not None:
            now.low[1], now.high[1] = step_sizes
        self._machine.evaluate_constants()

    def save(self) -> dict[str, Array]:
        """The state, without the parameters."""
        return copy.deepcopy(self._machine.state)

    def load(self, state: dict[str, Array]) -> None:
        """Go on from a saved state; what the rule does not save is lost."""
        x = self._machine.state["x"]
        self._machine.state = {**copy.deepcopy(state), "x": x}
        self._batch.resumed[1] = True

    def _reals(self, a: Array) -> Array:
        flat = np.ascontiguousarray(a).reshape(-1)
        return flat.view(COMPLEX[flat.dtype.name]) if flat.dtype.name in COMPLEX else flat.copy()

    def _shaped(self, a: Array) -> Array:
        return np.ascontiguousarray(a[0]).view(self.dtype).reshape(self.shape).copy()
