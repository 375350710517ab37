"""`same_bits`: when two results count as the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._core.arrays import as_reals

Array = NDArray[Any]


def same_bits(a: ArrayLike, b: ArrayLike, *, signed_zeros: bool = True) -> bool:
    """Whether two arrays hold the same bits, where any NaN equals any other.

    Parameters
    ----------
    a, b : array_like
        Arrays of floats or complex numbers (real and imaginary parts are compared separately).
    signed_zeros : bool, optional
        Whether +0 and -0 differ. Pass False in one case only: for the stored gradient of a complex parameter
        under ``maximize``, where torch differs from itself.

    Returns
    -------
    bool
        False also if the shapes or the dtypes differ.

    Notes
    -----
    All NaNs are equal, because their payloads and signs carry no information and differ between libraries and
    devices.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = as_reals(np.ascontiguousarray(a)), as_reals(np.ascontiguousarray(b))
    return bool(same_elements(a, b, signed_zeros=signed_zeros).all())


def same_elements(a: Array, b: Array, *, signed_zeros: bool = True) -> Array:
    """Where two arrays of one real dtype are equal in the sense of `same_bits`; the arrays are broadcast."""
    integers = np.dtype(f"u{a.dtype.itemsize}")
    with np.errstate(invalid="ignore"):
        same: Array = (a.view(integers) == b.view(integers)) | ((a != a) & (b != b))
        if not signed_zeros:
            same |= (a == 0) & (b == 0)
    return same
