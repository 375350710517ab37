"""Leaves, and the beginnings of two of torch's messages."""

from __future__ import annotations

import numpy as np

from rprop_ref import Tensor

INPLACE = "one of the variables needed for gradient computation has been modified by an inplace operation"
SECOND_TIME = "Trying to backward through the graph a second time"


def leaf(*values, dtype=float):
    """A vector that requires a gradient; a single value is taken as it is, an array or a number."""
    return Tensor(np.array(values if len(values) != 1 else values[0], dtype), requires_grad=True)
