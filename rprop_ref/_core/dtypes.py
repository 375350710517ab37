"""Which dtypes a parameter may have, and how a Python number becomes a constant of one of them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .._common.half import is_half as is_half
from .._common.half import named as named
from .checks import typename

Array = np.ndarray[Any, Any]

# The names under which torch speaks of its dtypes in the errors that are repeated here.
_TORCH_NAMES = {
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}


@functools.lru_cache(maxsize=256)  # a dtype's name is slow to ask for
def is_supported(dtype: np.dtype[Any]) -> bool:
    """Whether parameters can have this dtype: float16, bfloat16 (ml_dtypes), float32, float64, complex."""
    return dtype.name in _TORCH_NAMES and dtype.isnative


def real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real and imaginary parts; of a real dtype, itself."""
    if dtype.kind == "c":
        return np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    return dtype


def _overflow(dtype: np.dtype[Any]) -> RuntimeError:
    return RuntimeError(f"value cannot be converted to type {_TORCH_NAMES[dtype.name]} without overflow")


def rounded(value: float, dtype: np.dtype[Any], *, may_overflow: bool = False) -> Any:
    """Round a number to a real dtype, as torch hands numbers to its tensors.

    Parameters
    ----------
    value : float
        The number. 16-bit dtypes are reached through float32, so these are rounded twice.
    dtype : numpy.dtype
        float16, bfloat16, float32 or float64.
    may_overflow : bool, optional
        Whether a finite number beyond the range of a 16-bit `dtype` becomes infinite. torch lets `lr` and
        the etas do so, and refuses bounds.

    Returns
    -------
    scalar of `dtype`

    Raises
    ------
    RuntimeError
        If a finite number is beyond the range of the dtype.
    """
    value = float(value.item() if hasattr(value, "item") else value)
    with np.errstate(all="ignore"):
        narrow = np.float64(value) if dtype == np.float64 else np.float32(value)
        result = dtype.type(narrow)
    allowed = narrow if may_overflow else result
    if np.isfinite(value) and not np.isfinite(allowed):
        raise _overflow(dtype)
    return result


def first_size(shape: tuple[int, ...], dtype: np.dtype[Any], lr: float) -> Array:
    """The step sizes of a parameter that has made no step: `lr` everywhere, lr + lr*1j if complex.

    Raises
    ------
    TypeError, RuntimeError
        If `lr` is no number, or does not fit into the dtype.
    """
    part = real(dtype)
    if dtype.kind == "c":
        size = complex(lr, lr)
        try:
            value = complex(
                rounded(size.real, part, may_overflow=True), rounded(size.imag, part, may_overflow=True)
            )
        except RuntimeError:
            raise _overflow(dtype) from None
        return np.full(shape, value, dtype)
    if not isinstance(lr, (int, float, complex, np.number, np.bool_)):
        raise TypeError(f"full_like(): argument 'fill_value' (position 2) must be Number, not {typename(lr)}")
    if is_half(dtype) and math.prod(shape) == 1:
        # torch fills a single 16-bit element by way of double: nothing that is real is too large.
        if lr.imag != 0:
            raise _overflow(np.dtype(np.float64))
        with np.errstate(over="ignore"):
            return np.full(shape, np.float32(lr.real), dtype)
    if lr.imag != 0:
        raise _overflow(dtype)
    return np.full(shape, rounded(lr.real, part, may_overflow=True), dtype)
