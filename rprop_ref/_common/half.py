"""Floats of 16 bits, of which NumPy has one and the package ml_dtypes the other."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.kind not in "iub"


def named(name: str) -> np.dtype[Any]:
    """The dtype of a name; for ``"bfloat16"`` that of ml_dtypes, which must be installed then."""
    if name == "bfloat16":
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)
