"""Floats of 16 bits, of which NumPy has one and the package ml_dtypes the other."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.kind not in "iub"


def named(name: str) -> np.dtype[Any]:
    """The dtype of a name; for ``"bfloat16"`` that of ml_dtypes, which must be installed then."""
    return np.dtype(_ml_dtypes().bfloat16 if name == "bfloat16" else name)


def finfo(dtype: np.dtype[Any]) -> Any:
    """`numpy.finfo`, for bfloat16 too."""
    return _ml_dtypes().finfo(dtype) if dtype.name == "bfloat16" else np.finfo(dtype)


def _ml_dtypes() -> Any:
    return importlib.import_module("ml_dtypes")
