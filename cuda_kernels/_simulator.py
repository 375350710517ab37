"""`_numbers` for the simulator: functions that read and write the memory of the host."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rprop_ref._core import dtypes


def _place(address, index, number):
    dtype = np.dtype(type(number))
    memory: Any = (ctypes.c_char * dtype.itemsize).from_address(int(address) + int(index) * dtype.itemsize)
    return np.frombuffer(memory, dtype)


def load(address, index, like):
    """The number at a place of an array; `like` is any number of its dtype."""
    return _place(address, index, like)[0]


def store(address, index, value):
    """Write a number to a place of an array of its dtype."""
    _place(address, index, value)[0] = value


def plain(number):
    """The number as the float32 or float64 that it is."""
    return number


def device(function):
    """A function that kernels call."""
    return function


def kind(name: str) -> Any:
    """What makes a number of a dtype of a float32 or float64, in a kernel."""
    return dtypes.named(name).type
