"""The 16-bit float dtypes: float16 of NumPy, and bfloat16 of the package ml_dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.kind not in "iub"


def named(name: str) -> np.dtype[Any]:
    """Return the dtype with this name; ``"bfloat16"`` needs the package ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)
