"""The hooks with which `Trace.attach` records the steps of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import rules
from .._core import dtypes
from .._core.events import NO_STEP
from .history import History
from .steps import flat_reals, step_events, storable

Array = np.ndarray[Any, Any]


class _Before(NamedTuple):
    """A copy of a parameter, its options and its state from before the step; `is_new` if it had no state."""

    param: Any
    group: dict[str, Any]
    is_new: bool
    x: Array
    prev: Array
    size: Array


class OptimizerHooks:
    """Copy parameters and state before a step, and record the step after it.

    Parameters
    ----------
    history : History
        The trace to record in.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._params: list[_Before] = []
        self._loss: Any = None

    def before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The pre-hook: copy everything, and wrap the closure to learn the loss that it returns."""
        self._params = _copy_params(optimizer)
        n = sum(param.x.size for param in self._params)
        if self._history.groups and n != self._history.n:
            raise ValueError(
                f"the trace has {self._history.n} coordinates, but the optimizer has {n} now; "
                "detach it, and attach a new one"
            )
        self._loss = kwargs.get("loss")
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            return None
        recording = self._recording_loss(closure)
        if len(args) > 1:
            return (args[0], recording, *args[2:]), kwargs
        return args, {**kwargs, "closure": recording}

    def _recording_loss(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        def recording() -> Any:
            value = closure()
            if self._loss is None:  # loss= has priority, then the value at the point before the step
                self._loss = value
            return value

        return recording

    def after(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The post-hook: append a row to the history."""
        parts, groups, start = [], [], 0
        for param in self._params:
            group = _group_of(param, start)
            start = group["stop"]
            groups.append(group)
            parts.append(self._recorded(param, group, optimizer.state.get(param.param)))
        self._params = []
        if not self._history.groups:
            self._history._begin(groups)
        else:
            self._history.groups = groups
        x, g, size, event = (
            np.concatenate(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True)
        )
        self._history._append(x, np.nan if self._loss is None else _as_float(self._loss), g, size, event)

    def _recorded(
        self, param: _Before, group: dict[str, Any], state: dict[str, Any] | None
    ) -> tuple[Array, Array, Array, Array]:
        """Point, gradient, step size and events of one parameter."""
        x, grad = storable(param.x), param.param.grad
        if grad is None or not state:
            size = np.full_like(param.x, np.nan) if param.is_new else param.size
            return x, np.zeros_like(x), storable(size), np.full(x.size, NO_STEP, np.uint8)
        g, size = flat_reals(_data_of(grad)), flat_reals(_data_of(state["step_size"]))
        worse = _is_worse(param.group, self._loss)
        event = step_events(group, g, param.prev, param.size, size, worse=worse)
        return x, storable(g), storable(size), event


def _copy_params(optimizer: Any) -> list[_Before]:
    """Copy all parameters, each once; a parameter without state gets the state that its first step starts from."""
    copies: dict[Any, _Before] = {}
    for group in optimizer.param_groups:
        # Other hooks and schedules may change the options before the post-hook reads them.
        options = dict(group)
        for param in group["params"]:
            if param in copies:
                continue
            state = optimizer.state.get(param)
            x = flat_reals(param.data).copy()
            if state:
                prev = flat_reals(_data_of(state["prev"])).copy()
                size = flat_reals(_data_of(state["step_size"])).copy()
            else:
                prev = np.zeros_like(x)
                size = flat_reals(dtypes.first_size(param.shape, param.dtype, _number(group["lr"])))
            copies[param] = _Before(param, options, not state, x, prev, size)
    return list(copies.values())


def _group_of(param: _Before, start: int) -> dict[str, Any]:
    """The entry of `Trace.groups` for one parameter."""
    group = param.group
    return {
        "variant": group.get("variant", rules.DEFAULT),
        "etas": tuple(map(_number, group["etas"])),
        "step_sizes": tuple(map(_number, group["step_sizes"])),
        "maximize": bool(group["maximize"]),
        "dtype": param.x.dtype.name,
        "start": start,
        "stop": start + param.x.size,
    }


def _is_worse(group: dict[str, Any], loss: Any) -> bool:
    """Whether the loss got worse since the step before."""
    before = group.get("prev_loss")
    if before is None or loss is None:
        return False
    now = _as_float(loss)
    return bool(now < before if group["maximize"] else now > before)


def _as_float(loss: Any) -> float:
    return float(np.asarray(_data_of(loss)).item())


def _data_of(value: Any) -> Any:
    """The array in a tensor; anything else as it is."""
    return value.data if hasattr(value, "requires_grad") else value


def _number(value: Any) -> Any:
    """A Python number, also from an array or tensor with one element."""
    return value.item() if hasattr(value, "item") else value
