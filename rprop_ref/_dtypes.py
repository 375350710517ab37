"""Which dtypes a parameter may have, and how a Python number becomes a constant of one of them."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    value = float(value)
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
    """
    eta_minus, eta_plus = etas
    size_min, size_max = step_sizes
    if size_min is None and size_max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    dtype = real(dtype)
    values = [
        rounded(eta_minus, dtype, may_overflow=True),
        rounded(eta_plus, dtype, may_overflow=True),
        rounded(-np.inf if size_min is None else size_min, dtype),
        rounded(np.inf if size_max is None else size_max, dtype),
        rounded(0.0, dtype),
        rounded(1.0, dtype),
        rounded(-1.0 if maximize else 1.0, dtype),
    ]
    return np.array(values, dtype)


def first_size(shape: tuple[int, ...], dtype: np.dtype[Any], lr: float) -> Array:
    """The step sizes of a parameter that has made no step: `lr` everywhere, lr + lr*1j if complex."""
    size = rounded(lr, real(dtype), may_overflow=True)
    return np.full(shape, complex(size, size) if dtype.kind == "c" else size, dtype)
