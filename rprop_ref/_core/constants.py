"""The scalar constants of a rule, as one array in the parameter's dtype.

Kernels are given the array; all other code indexes it by these names. Zero and one are among them because a
literal would widen float32 in compiled code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import typename
from .dtypes import is_half, real, rounded

Array = np.ndarray[Any, Any]

# Entries of the array. The first six are what a rule calls its ``constants``.
ETA_MINUS = 0
ETA_PLUS = 1
SIZE_MIN = 2
SIZE_MAX = 3
ZERO = 4
ONE = 5
DIRECTION = 6  # 1 to minimize, -1 to maximize: the gradient is multiplied by it

COUNT = 7
SHAPE = (COUNT,)


def make_split(number):
    """Build the function that splits the array into what a rule takes, and the direction.

    Parameters
    ----------
    number : callable
        Converts each entry to the type that the kernel computes with: on the CPU it is the identity.

    Returns
    -------
    callable
        ``split(constants) -> ((eta_minus, eta_plus, size_min, size_max, zero, one), direction)``, which Numba and
        numba.cuda can compile.
    """

    def split(constants):
        return (
            number(constants[ETA_MINUS]),
            number(constants[ETA_PLUS]),
            number(constants[SIZE_MIN]),
            number(constants[SIZE_MAX]),
            number(constants[ZERO]),
            number(constants[ONE]),
        ), number(constants[DIRECTION])

    return split


def _same(number):
    return number


#: `make_split` for NumPy arrays.
split = make_split(_same)


def rule_constants(
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
    ndarray, shape `SHAPE`, of the real dtype
        Its entries have the names above.

    Raises
    ------
    RuntimeError
        If a value does not fit into the dtype, or if both limits are None (torch's errors).
    TypeError
        If a value is not a number.
    """
    dtype = real(dtype)
    # In torch's order, so that of several invalid values the same one is reported.
    eta_minus, eta_plus = etas
    plus, minus = _eta(eta_plus, dtype), _eta(eta_minus, dtype)
    smallest, largest = _step_size_limits(step_sizes, dtype)
    zero, one, direction = dtype.type(0), dtype.type(1), dtype.type(-1 if maximize else 1)
    return np.array([minus, plus, smallest, largest, zero, one, direction], dtype)


def _eta(eta: float, dtype: np.dtype[Any]) -> Any:
    if not _is_number(eta):
        raise TypeError(f"can't assign a {typename(eta)} to a rprop_ref.Parameter; etas must be numbers")
    if is_half(dtype):  # torch converts these through float32; too large becomes infinite
        with np.errstate(over="ignore"):
            return dtype.type(np.float32(eta.item() if hasattr(eta, "item") else eta))
    return rounded(eta, dtype, may_overflow=True)


def _step_size_limits(step_sizes: tuple[float | None, float | None], dtype: np.dtype[Any]) -> tuple[Any, Any]:
    smallest, largest = step_sizes
    if not all(limit is None or _is_number(limit) for limit in step_sizes):
        raise TypeError(
            "clamp_() received an invalid combination of arguments - got "
            f"({typename(smallest)}, {typename(largest)}); step_sizes must be numbers or None"
        )
    if smallest is None and largest is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return rounded(-np.inf if smallest is None else smallest, dtype), rounded(
        np.inf if largest is None else largest, dtype
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.bool_)) or getattr(value, "size", 0) == 1
