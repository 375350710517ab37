"""Kernels made ready before they are called, so that no step waits for the compiler or fails in it."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np

from rprop_ref.rules import Rule


class Kernel(NamedTuple):
    """What a run calls.

    Attributes
    ----------
    kind : {"flat", "iterate", "loop", "many_runs"}
        The module of `numba_kernels`.
    rule : Rule
    dtype : numpy.dtype
        float32 or float64.
    bits : int
        The number of bits in the number of elements.
    read_only : bool
        Whether it is given gradients that are read-only arrays.
    """

    kind: str
    rule: Rule
    dtype: np.dtype[Any]
    bits: int
    read_only: bool


_made: set[Kernel] = set()


def make(kernel: Kernel) -> None:
    """Load Numba and a kernel, compiling it if it is not on disk. Whatever goes wrong is raised."""
    if kernel not in _made:
        importlib.import_module(f"numba_kernels.{kernel.kind}").compile_for(
            kernel.rule, kernel.dtype, (1 << kernel.bits) - 1, kernel.read_only
        )
        _made.add(kernel)
