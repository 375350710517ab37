"""What makes the steps: NumPy, Numba or a GPU. All give the same bits, so only time depends on the choice."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ._core.dtypes import is_half

Run = Callable[..., None]

#: The names that ``backend=`` accepts, besides None.
NAMES = ("numpy", "numba", "cuda")

#: Seconds spent in NumPy steps before Numba is loaded: loading it and its kernels takes about as long.
SECONDS_BEFORE_NUMBA = 1.0

#: Seconds that each element of a step counts for. NumPy needs only about 2e-8, but a step seldom comes alone. An
#: array of a million elements thus makes it worth loading Numba at once.
SECONDS_PER_ELEMENT = 1e-6

_seconds_in_numpy = 0.0


def choose(work: float, dtype: np.dtype[Any], device: str, loaded: bool | None) -> str:
    """Name the backend for a step; a pure function.

    Arrays on a GPU are stepped there. Host arrays are stepped by NumPy until Numba is loaded anyway or this
    process has spent about a second in NumPy steps (large arrays: at once), and from then on by Numba.

    Parameters
    ----------
    work : float
        Seconds spent in NumPy steps so far, and `SECONDS_PER_ELEMENT` for each element of this one.
    dtype : numpy.dtype
        The dtype of the parameters. Numba has no 16-bit floats on the CPU.
    device : {"cpu", "cuda"}
        Where the arrays are.
    loaded : bool or None
        Whether Numba has been imported; None where it is not installed.

    Returns
    -------
    {"numpy", "numba", "cuda"}
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"arrays are on device {device!r}, but only 'cpu' and 'cuda' are supported")
    if device == "cuda":
        return "cuda"
    if loaded is None or is_half(dtype):
        return "numpy"
    return "numba" if loaded or work >= SECONDS_BEFORE_NUMBA else "numpy"


def check(backend: str | None) -> None:
    """Raise if `backend` is neither None nor the name of a backend that can run here."""
    if backend is not None and backend not in NAMES:
        raise ValueError(f"Invalid backend: {backend!r}; it must be None (choose by time) or one of {NAMES}")
    if backend == "numba" and numba_loaded() is None:
        raise ModuleNotFoundError(
            "backend='numba' needs the package numba, which is not installed; "
            "install it, or leave backend=None, which works without it"
        )
    if backend == "cuda":
        require_cuda()


def require_cuda() -> None:
    """Raise an error that names what is missing, unless arrays on a GPU can be stepped here."""
    if numba_loaded() is None:
        raise ModuleNotFoundError(
            "arrays on a GPU need the package numba-cuda, which is not installed, and neither is numba: "
            "pip install 'rprop-ref[cuda]' (CUDA 13), or pip install numba 'numba-cuda[cu12]' (CUDA 12)"
        )
    from cuda_kernels import _cuda

    problem = _cuda.problem()
    if problem is not None:
        raise RuntimeError(f"{_cuda.INSTALL}. What is missing here: {problem}")


def numba_loaded() -> bool | None:
    """Whether Numba has been imported, or None where it is not installed."""
    return True if "numba" in sys.modules else False if _is_installed("numba") else None


@functools.cache
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def resolve(backend: str | None, elements: int, dtype: np.dtype[Any]) -> str:
    """Name the backend for a step on arrays of one dtype: `backend` itself, or the fastest if it is None."""
    if backend == "cuda":
        raise TypeError(
            "backend='cuda' steps arrays on a GPU, but these are in the memory of the host; pass arrays of Numba, "
            "CuPy or torch that are on the GPU (numba.cuda.to_device(array), for instance), or use backend=None"
        )
    check(backend)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "numpy"  # Numba would run the kernels as Python loops
    if backend is None:
        return choose(_seconds_in_numpy + SECONDS_PER_ELEMENT * elements, dtype, "cpu", numba_loaded())
    if backend == "numba" and is_half(dtype):
        raise TypeError(
            f"backend='numba' cannot step parameters of {dtype}: Numba has no 16-bit floats on the CPU; "
            "use backend='numpy' or None"
        )
    return backend


def stepper(name: str) -> Run:
    """The function ``run(variant, x, g, prev, size, constants, worse)`` of a backend, on flat arrays."""
    if name == "numba":
        from numba_kernels import flat

        return flat.run
    return _timed_numpy_step


def _timed_numpy_step(*args: Any) -> None:
    from ._core import numpy_step

    start = time.perf_counter()
    numpy_step.run(*args)
    spend(time.perf_counter() - start)


def spend(seconds: float) -> None:
    """Count time spent in NumPy steps; `resolve` decides by it when to load Numba."""
    global _seconds_in_numpy
    _seconds_in_numpy += seconds
