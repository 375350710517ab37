"""Numbers in JSON: each as a decimal and as a hexadecimal float."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

import numpy as np

from .divergence import hexadecimal


def decimal(value: Any) -> float | str:
    """A number for JSON, which has no NaN and no infinities; these become strings."""
    number = float(value)
    return number if math.isfinite(number) else str(number)


def both_forms(name: str, values: Any) -> dict[str, Any]:
    """A number, or a list of them, under its name and, as hexadecimal floats, under its name with ``_hex``.

    A complex number counts as two numbers, and None stays None.
    """
    if values is None:
        return {name: None, f"{name}_hex": None}
    array = np.asarray(values)
    if np.iscomplexobj(array):
        array = np.ascontiguousarray(array).view(array.real.dtype)
    if array.ndim == 0:
        return {name: decimal(array), f"{name}_hex": _short_hexadecimal(array)}
    numbers = array.astype(np.float64).tolist()  # Python's floats are faster, one by one
    return {name: [decimal(v) for v in numbers], f"{name}_hex": [_short_hexadecimal(v) for v in numbers]}


def _short_hexadecimal(value: Any) -> str:
    """As C's ``printf("%a")`` writes it, without zeros at the end of the fraction."""
    number = float(value)
    return _shortened(number) if number else _shortened.__wrapped__(number)  # 0 and -0 are equal


@functools.lru_cache(1 << 16)
def _shortened(value: float) -> str:
    return re.sub(r"\.?0+p", "p", hexadecimal(value))
