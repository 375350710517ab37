"""The dtypes that implementations can be compared in."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

REALS = ("float64", "float32", "float16", "bfloat16")

#: The complex dtypes, with the dtype of their real and imaginary parts.
COMPLEX = {"complex128": "float64", "complex64": "float32"}

#: How many bits of the mantissa are stored.
MANTISSA_BITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}


class FloatRange(NamedTuple):
    """The range of a dtype: three positive numbers."""

    smallest_subnormal: float
    smallest_normal: float
    largest: float


@functools.cache
def float_range(dtype: np.dtype[Any]) -> FloatRange:
    """The range of a real dtype."""
    if dtype.name == "bfloat16":
        return FloatRange(2.0**-133, 2.0**-126, 2.0**127 * (2 - 2.0**-7))
    info = np.finfo(dtype)
    return FloatRange(float(info.smallest_subnormal), float(info.tiny), float(info.max))


def available_reals() -> tuple[str, ...]:
    """The names of the real dtypes; bfloat16 only if ml_dtypes is installed."""
    return REALS if importlib.util.find_spec("ml_dtypes") else REALS[:3]


def checked_names(dtypes: str | Iterable[Any] | None) -> tuple[str, ...]:
    """The names of the dtypes a user asks for, `available_reals` by default.

    Raises
    ------
    ValueError
        If `dtypes` is empty, or one of them is unknown.
    """
    if dtypes is None:
        return available_reals()
    if not isinstance(dtypes, Iterable):
        raise ValueError(f"dtypes={dtypes!r} should be a list of names")
    allowed = (*REALS, *COMPLEX)
    names = []
    for given in [dtypes] if isinstance(dtypes, str) else dtypes:
        name = given
        if not isinstance(given, str):
            with contextlib.suppress(TypeError):
                name = np.dtype(given).name
        if name not in allowed:
            raise ValueError(f"unknown dtype {given!r}; choose from {', '.join(allowed)}")
        names.append(name)
    if not names:
        raise ValueError(f"dtypes is empty; choose from {', '.join(allowed)}")
    return tuple(names)
