"""`make_plan`: the plan for arrays of the host, or the one for arrays on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cuda_kernels.arrays import DeviceArray

from .. import backends
from .plan import Plan


def make_plan(
    params: Sequence[Any],
    prevs: Sequence[Any],
    sizes: Sequence[Any],
    counters: Sequence[Any],
    *,
    memory: Sequence[Any] | None = None,
    grads: Sequence[Any] = (),
) -> Any:
    """Make a `Plan`, or a `cuda_plan.DevicePlan` if any of the arrays is on a GPU."""
    if not any(isinstance(a, DeviceArray) for arrays in (params, prevs, sizes, grads) for a in arrays):
        return Plan(params, prevs, sizes, counters, memory and [a for a in memory if isinstance(a, np.ndarray)])
    backends.require_cuda()
    from .cuda_plan import DevicePlan

    device_memory = memory and [a for a in memory if isinstance(a, DeviceArray)]
    return DevicePlan(params, prevs, sizes, counters, device_memory)
