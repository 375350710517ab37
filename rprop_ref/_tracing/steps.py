"""The form in which a trace stores one step of an array: flat real numbers, and the events of each coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.arrays import as_reals
from .._core.constants import DIRECTION, rule_constants
from .._core.events import events

Array = np.ndarray[Any, Any]


def flat_reals(a: Array) -> Array:
    """The array in one dimension, in C order; a complex number becomes two reals."""
    return as_reals(np.ascontiguousarray(a)).reshape(-1)


def storable(a: Array) -> Array:
    """The array, bfloat16 as float32 (which is exact), because NumPy's own dtypes do not combine with bfloat16."""
    return a.astype(np.float32) if a.dtype.name == "bfloat16" else a


def step_events(
    group: dict[str, Any], g: Array, prev: Array, size: Array, new_size: Array, *, worse: bool
) -> Array:
    """Classify a step, by the rule and options of an entry of `Trace.groups`; see `rprop_ref._core.events`."""
    constants = rule_constants(g.dtype, group["etas"], group["step_sizes"], group["maximize"])
    return events(group["variant"], constants[DIRECTION] * g, prev, size, new_size, constants, worse)
