"""Numbers behind an address: how kernels read and write arrays.

A kernel is given addresses and not arrays. So one kernel serves arrays of every library, many arrays cost no more
than a table of their addresses, and a launch passes a few integers. In the simulator the same names are functions
that read and write the memory of the host.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from cuda_kernels._cuda import SIMULATED

_of_its_kind: Any = importlib.import_module(f"cuda_kernels.{'_simulator' if SIMULATED else '_compiled'}")
device, kind, load, plain, store = (
    getattr(_of_its_kind, name) for name in ("device", "kind", "load", "plain", "store")
)

#: What an address is counted in; every number in a table is one.
INTEGER = np.int64(0)


@device
def select(condition, a, b):
    """``a if condition else b``: the `where` of the rules."""
    if condition:
        return a
    return b


__all__ = ["INTEGER", "device", "kind", "load", "plain", "select", "store"]
