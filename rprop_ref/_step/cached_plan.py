"""The plan of a parameter group, kept from one step to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from .first_state import State
from .make_plan import make_plan

Array = np.ndarray[Any, Any]

_NO_ENTRY = (None, None, None, None, None)


class CachedPlan:
    """A plan, and the parameters and arrays that it was made for.

    Parameters
    ----------
    params : list of Tensor
        The parameters of a group that have a gradient.
    states : list of dict
        The state of each.
    memory : list of array
        The arrays of all parameters that are stepped at the same time.
    """

    def __init__(self, params: list[Tensor], states: list[State], memory: list[Array]) -> None:
        self._entries = [
            (p, p._array, s["prev"], s["step_size"], s["step"]) for p, s in zip(params, states, strict=True)
        ]
        _, data, prevs, sizes, counters = zip(*self._entries, strict=True)
        self.plan = make_plan(data, prevs, sizes, counters, memory=memory)
        self._memories = [p._memory for p in params]

    def gradients(self, params: list[Tensor], state: dict[Tensor, State]) -> list[Array] | None:
        """Return the gradients of the parameters if the plan still holds for them, else None.

        It holds if all arrays are the same objects as before, and if each gradient was checked against its
        parameter when it was assigned.
        """
        grads = []
        entries = iter(self._entries)
        for param in params:
            grad = param._grad
            if grad is None:
                continue
            planned, data, prev, size, counter = next(entries, _NO_ENTRY)
            entry = state.get(param)
            if param is not planned or param._array is not data or param._grad_fits is not data or not entry:
                return None
            if entry["prev"] is not prev or entry["step_size"] is not size or entry["step"] is not counter:
                return None
            grads.append(grad)
        return grads if len(grads) == len(self._entries) else None

    def mark_written(self) -> None:
        """Tell the Tensors that their memory has changed; what was recorded with the old values must know."""
        for memory in self._memories:
            memory.writes += 1
