"""The state of a parameter before its first step, and how it is laid out in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from cuda_kernels.arrays import filled, is_on_device, view

from .. import backends
from .._core import dtypes
from .._core.arrays import slices
from ..autograd import Tensor
from .plan import GATHER_BELOW

State = dict[str, Any]


def first_states(params: list[Tensor], lr: float, capturable: bool = False) -> dict[Tensor, State]:
    """Make the state of parameters that have none: no steps, a stored gradient of zero, step size `lr`."""
    device_params = {p for p in params if is_on_device(p._array)}
    states = {
        p: {
            "step": np.zeros((), np.float32),
            "prev": np.zeros(p.shape, p.dtype),
            "step_size": dtypes.first_size(p.shape, p.dtype, lr),
        }
        for p in params
        if p not in device_params
    }
    if device_params:
        states |= _first_states_on_device([p for p in params if p in device_params], lr, capturable)
    pack(list(states.values()))
    return states


def _first_states_on_device(params: list[Tensor], lr: float, capturable: bool) -> dict[Tensor, State]:
    backends.require_cuda()
    from .cuda_plan import check_not_recorded

    check_not_recorded(view(params[0]._array).stream())
    alike: dict[Any, list[Tensor]] = {}
    for p in params:
        # What `lr` becomes in a dtype, and whether it fits, depends on whether there is one element or more.
        size = dtypes.first_size((min(p.size, 2),), p.dtype, lr)
        key = p.dtype, float(size[0].real) if p.size else 0.0, p.size < GATHER_BELOW or p
        alike.setdefault(key, []).append(p)
    states: dict[Tensor, State] = {}
    for (dtype, size, _), members in alike.items():
        shapes, stream = [p.shape for p in members], view(members[0]._array).stream()
        prevs, sizes = filled(shapes, dtype, 0.0, stream), filled(shapes, dtype, size, stream)
        steps: list[Any] = [np.zeros((), np.float32) for _ in members]
        if capturable:
            steps = filled([()] * len(members), np.dtype(np.float32), 0.0, stream)
        for p, step, prev, step_size in zip(members, steps, prevs, sizes, strict=True):
            states[p] = {"step": step, "prev": prev, "step_size": step_size}
    return {p: states[p] for p in params}


def pack(states: list[State]) -> None:
    """Move the state of small parameters into common arrays, so that a step need not gather it."""
    for key in ("step", "prev", "step_size"):
        alike: dict[np.dtype[Any], list[State]] = {}
        for state in states:
            value = state.get(key)
            if isinstance(value, np.ndarray) and value.size < GATHER_BELOW:
                alike.setdefault(value.dtype, []).append(state)
        for members in alike.values():
            arrays = [state[key] for state in members]
            common = np.concatenate([a.reshape(-1) for a in arrays])
            for state, part in zip(members, slices(common, [a.shape for a in arrays]), strict=True):
                state[key] = part
