"""Which dtypes a parameter may have, and how a Python number becomes a constant of one of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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


def is_supported(dtype: np.dtype[Any]) -> bool:
    """Whether parameters can have this dtype: float16, bfloat16 (ml_dtypes), float32, float64, complex."""
    return dtype.name in _TORCH_NAMES and dtype.isnative


def real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real and imaginary parts; of a real dtype, itself."""
    if dtype.kind == "c":
        return np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    return dtype


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.bool_)) or getattr(value, "size", 0) == 1


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


def constants(
    dtype: np.dtype[Any],
    etas: tuple[float, float],
    step_sizes: tuple[float | None, float | None],
    maximize: bool,
) -> Array:
    """Everything a rule needs beside its arrays, rounded once to the dtype of the parameter.

    Parameters
    ----------
    dtype : numpy.dtype
        The dtype of the parameter, real or complex.
    etas : (float, float)
        Factors by which a step size shrinks and grows.
    step_sizes : (float or None, float or None)
        Smallest and largest step size; None leaves that side open.
    maximize : bool
        Whether the gradient is negated first.

    Returns
    -------
    ndarray, shape (7,), of the real dtype
        ``eta_minus, eta_plus, size_min, size_max, 0, 1, direction`` with a direction of 1 or -1.

    Raises
    ------
    RuntimeError
        If a value does not fit into the dtype, or if both bounds are None (torch's errors).
    TypeError
        If a value is no number.
    """
    dtype = real(dtype)
    # What is wrong with several values is refused in the order in which torch comes to them.
    eta_minus, eta_plus = etas
    plus, minus = _eta(eta_plus, dtype), _eta(eta_minus, dtype)
    smallest, largest = _bounds(step_sizes, dtype)
    zero, one, direction = dtype.type(0), dtype.type(1), dtype.type(-1 if maximize else 1)
    return np.array([minus, plus, smallest, largest, zero, one, direction], dtype)


def _eta(eta: float, dtype: np.dtype[Any]) -> Any:
    if not _is_number(eta):
        raise TypeError(f"can't assign a {typename(eta)} to a rprop_ref.Parameter; etas must be numbers")
    if dtype.itemsize == 2:  # torch reaches these by way of double: too large is infinite
        with np.errstate(over="ignore"):
            return dtype.type(np.float32(eta.item() if hasattr(eta, "item") else eta))
    return rounded(eta, dtype, may_overflow=True)


def _bounds(step_sizes: tuple[float | None, float | None], dtype: np.dtype[Any]) -> tuple[Any, Any]:
    smallest, largest = step_sizes
    if not all(bound is None or _is_number(bound) for bound in step_sizes):
        raise TypeError(
            "clamp_() received an invalid combination of arguments - got "
            f"({typename(smallest)}, {typename(largest)}); step_sizes must be numbers or None"
        )
    if smallest is None and largest is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return rounded(-np.inf if smallest is None else smallest, dtype), rounded(
        np.inf if largest is None else largest, dtype
    )


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
    if dtype.itemsize == 2 and math.prod(shape) == 1:
        # torch fills a single 16-bit element by way of double: nothing that is real is too large.
        if lr.imag != 0:
            raise _overflow(np.dtype(np.float64))
        with np.errstate(over="ignore"):
            return np.full(shape, np.float32(lr.real), dtype)
    if lr.imag != 0:
        raise _overflow(dtype)
    return np.full(shape, rounded(lr.real, part, may_overflow=True), dtype)
