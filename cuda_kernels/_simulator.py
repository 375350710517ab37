"""`_numbers` for the simulator: functions that read and write the memory of the host."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rprop_ref._core import dtypes


def _element(address, index, number):
    """The element at an index, as an array of one."""
    dtype = np.dtype(type(number))
    memory: Any = (ctypes.c_char * dtype.itemsize).from_address(int(address) + int(index) * dtype.itemsize)
    return np.frombuffer(memory, dtype)


def load(address, index, like):
    """Read the element at an index of the array at an address; `like` is any number of its dtype."""
    return _element(address, index, like)[0]


def store(address, index, value):
    """Write a number at an index of the array at an address, which has its dtype."""
    _element(address, index, value)[0] = value


def plain(number):
    """The number itself: the host's operations are not fused."""
    return number


def device(function):
    """The function itself: kernels are not compiled."""
    return function


def converter(dtype: str) -> Any:
    """The function that, in a kernel, converts a float32 or float64 to a number of a dtype."""
    return dtypes.named(dtype).type
