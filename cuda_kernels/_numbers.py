"""Numbers behind an address: how kernels read and write arrays.

A kernel is given addresses instead of arrays. So one kernel serves the arrays of every library, many arrays cost
no more than a table of their addresses, and a launch passes a few integers. In the simulator the same names are
functions that read and write the memory of the host.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from cuda_kernels._cuda import SIMULATED

_implementation: Any = importlib.import_module(f"cuda_kernels.{'_simulator' if SIMULATED else '_compiled'}")
device, converter, load, plain, store = (
    getattr(_implementation, name) for name in ("device", "converter", "load", "plain", "store")
)

#: A zero of the type that addresses, and all numbers in a table, have.
INTEGER = np.int64(0)


@device
def select(condition, a, b):
    """``a if condition else b``: the `where` of the rules."""
    if condition:
        return a
    return b


__all__ = ["INTEGER", "converter", "device", "load", "plain", "select", "store"]
