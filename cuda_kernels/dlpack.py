"""What an array is made of, according to DLPack: for libraries and dtypes that have no other protocol."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from rprop_ref._core import dtypes

#: Types of devices: the memory of a GPU, and memory that host and GPU share.
CUDA_DEVICES = (2, 13)


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_KINDS = {0: "i", 1: "u", 2: "f", 5: "c"}
_BFLOAT = 4


class Owner:
    """The owner of a viewed array: the array of the other library, and the capsule that keeps its memory."""

    def __init__(self, array: Any, capsule: Any) -> None:
        self.array = array
        # Nobody consumes the capsule, so deleting it frees the memory.
        self._capsule = capsule


class Description(NamedTuple):
    """What a `cuda_kernels.arrays.DeviceArray` is made of; strides in bytes, or None if it is C-contiguous."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: Owner
    strides: tuple[int, ...] | None


def describe(array: Any, stream: int) -> Description:
    """Describe an array, and make a stream wait for its library's work on it; stream -1 waits for nothing.

    Raises
    ------
    TypeError
        If its dtype is none of NumPy's numbers, or bfloat16 without the package ml_dtypes.
    """
    capsule = array.__dlpack__(stream=stream)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = _Tensor.from_address(pointer(capsule, b"dltensor"))
    dtype = _dtype(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes)
    n = tensor.ndim
    return Description(
        (tensor.data or 0) + tensor.byte_offset,
        tuple(tensor.shape[:n]),
        dtype,
        Owner(array, capsule),
        tuple(s * dtype.itemsize for s in tensor.strides[:n]) if tensor.strides else None,
    )


def _dtype(code: int, bits: int, lanes: int) -> np.dtype[Any]:
    if lanes == 1 and (code, bits) == (_BFLOAT, 16):
        return bfloat16()
    if lanes != 1 or code not in _KINDS:
        raise TypeError(f"its elements have DLPack's type code {code}, {bits} bits and {lanes} lanes")
    return np.dtype(f"{_KINDS[code]}{bits // 8}")


def bfloat16() -> np.dtype[Any]:
    """The dtype bfloat16; TypeError without the package ml_dtypes."""
    try:
        return dtypes.named("bfloat16")
    except ImportError:
        raise TypeError("bfloat16 arrays need the package ml_dtypes, which is not installed") from None
