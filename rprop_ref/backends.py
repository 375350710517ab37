"""What makes the steps: NumPy, Numba or a GPU. All give the same bits, so only time depends on the choice."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from numba_kernels import loading

from ._common.stacklevel import stacklevel
from ._core.dtypes import is_half, real
from .rules import RULES

Run = Callable[..., None]

#: The names that ``backend=`` accepts, besides None.
NAMES = ("numpy", "numba", "cuda")

#: Seconds spent in NumPy steps before Numba is loaded: loading it and its kernels takes about as long.
SECONDS_BEFORE_NUMBA = 1.0

#: The same for kernels that make whole runs, whose objective has loaded Numba. With 0, runs wait for them.
SECONDS_BEFORE_WHOLE_RUNS = 0.1

#: Seconds that each element of a step counts for. NumPy needs only about 2e-8, but a step seldom comes alone. An
#: array of a million elements thus makes it worth loading Numba at once.
SECONDS_PER_ELEMENT = 1e-6

_seconds_in_numpy = 0.0


def choose(work: float, enough: float, dtype: np.dtype[Any], device: str, made: bool | None) -> str:
    """Name the backend for a step; a pure function.

    Arrays on a GPU are stepped there. Host arrays are stepped by NumPy until Numba's kernel has been made anyway
    or this process has spent enough time in NumPy steps (large arrays: at once), and from then on by Numba, as
    soon as it is ready (see `resolve`).

    Parameters
    ----------
    work : float
        Seconds spent in NumPy steps so far, and `SECONDS_PER_ELEMENT` for each element of this one.
    enough : float
        So much work makes it worth loading Numba.
    dtype : numpy.dtype
        The dtype of the parameters. Numba has no 16-bit floats on the CPU.
    device : {"cpu", "cuda"}
        Where the arrays are.
    made : bool or None
        Whether the kernel can be called without compiling; None where Numba is not installed.

    Returns
    -------
    {"numpy", "numba", "cuda"}
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"arrays are on device {device!r}, but only 'cpu' and 'cuda' are supported")
    if device == "cuda":
        return "cuda"
    if made is None or is_half(dtype):
        return "numpy"
    return "numba" if made or work >= enough else "numpy"


def check(backend: str | None) -> None:
    """Raise if `backend` is neither None nor the name of a backend that can run here."""
    if backend is not None and backend not in NAMES:
        raise ValueError(f"Invalid backend: {backend!r}; it must be None (choose by time) or one of {NAMES}")
    if backend == "numba" and not numba_is_installed():
        raise ModuleNotFoundError(
            "backend='numba' needs the package numba, which is not installed; "
            "install it, or leave backend=None, which works without it"
        )
    if backend == "cuda":
        require_cuda()


def require_cuda() -> None:
    """Raise an error that names what is missing, unless arrays on a GPU can be stepped here."""
    if not numba_is_installed():
        raise ModuleNotFoundError(
            "arrays on a GPU need the package numba-cuda, which is not installed, and neither is numba: "
            "pip install 'rprop-ref[cuda]' (CUDA 13), or pip install numba 'numba-cuda[cu12]' (CUDA 12)"
        )
    from cuda_kernels import _cuda

    problem = _cuda.problem()
    if problem is not None:
        raise RuntimeError(f"{_cuda.INSTALL}. What is missing here: {problem}")


def numba_is_installed() -> bool:
    return bool(sys.modules.get("numba")) or _is_installed("numba")


@functools.cache
def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False
    except Exception:  # somebody's import hook; that it fails is reported when Numba is to be used
        return True


def resolve(
    backend: str | None,
    elements: int,
    dtype: np.dtype[Any],
    kind: str,
    variant: str,
    *,
    read_only: bool = False,
    at_once: bool = False,
) -> str:
    """Name the backend for steps on arrays of one dtype: `backend`, or if it is None the fastest that works.

    If it is "numba", the kernel has been made, so that calling it neither compiles nor fails. If `backend` is
    None, it is made beside the run, which has "numpy" until then.

    Parameters
    ----------
    backend : str or None
    elements : int
        The size of the arrays.
    dtype : numpy.dtype
    kind, variant : str
        The kernel that Numba would run, see `numba_kernels.loading.Kernel`, and its rule.
    read_only : bool, optional
        Whether the gradient is a read-only array.
    at_once : bool, optional
        Whether to load Numba before anything has been done with NumPy, and to wait for it.

    Raises
    ------
    Exception
        If `backend` is "numba", whatever is raised when it is loaded or compiles. If `backend` is None, there is a
        warning instead, the first time.
    """
    if backend == "cuda":
        raise TypeError(
            "backend='cuda' steps arrays on a GPU, but these are in the memory of the host; pass arrays of Numba, "
            "CuPy or torch that are on the GPU (numba.cuda.to_device(array), for instance), or use backend=None"
        )
    check(backend)
    if loading.jit_is_disabled():
        return "numpy"  # Numba would run the kernels as Python loops
    if backend == "numpy":
        return backend
    if backend == "numba" and is_half(dtype):
        raise TypeError(
            f"backend='numba' cannot step parameters of {dtype}: Numba has no 16-bit floats on the CPU; "
            "use backend='numpy' or None"
        )
    enough = SECONDS_BEFORE_WHOLE_RUNS if kind in ("loop", "many_runs") else SECONDS_BEFORE_NUMBA
    at_once = at_once or enough == 0
    work = np.inf if at_once else _seconds_in_numpy + SECONDS_PER_ELEMENT * elements
    # Before Numba is imported no kernel has been made, and to name one would take long beside a small step.
    made = False if _is_installed("numba") else None
    if backend is None and not sys.modules.get("numba") and choose(work, enough, dtype, "cpu", made) == "numpy":
        return "numpy"
    reals = 2 * elements if dtype.kind == "c" else elements
    bits = reals.bit_length() if kind == "flat" else 0
    kernel = loading.Kernel(kind, RULES[variant], real(dtype), bits, read_only)
    if backend is None:
        made = loading.is_made(kernel) if numba_is_installed() else None
        if choose(work, enough, dtype, "cpu", made) == "numpy":
            return "numpy"
        return "numba" if _works(kernel, at_once) else "numpy"
    loading.make(kernel)
    return backend


# Kernels that could not be made, and what was warned of.
_failed: set[loading.Kernel] = set()
_warnings: set[str] = set()
_lock = threading.Lock()


def _works(kernel: loading.Kernel, at_once: bool) -> bool:
    """Whether a kernel has been made. If it cannot be made, there is a warning, the first time."""
    if kernel in _failed:
        return False
    error: BaseException | None = None
    if not at_once:
        if loading.ready(kernel):
            return True
        error = loading.error(kernel)
    else:
        try:
            loading.make(kernel)
            return True
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # an import hook may raise anything
            error = raised
    if error is not None:
        _failed.add(kernel)
        _warn(error)
    return False


def _warn(error: BaseException) -> None:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    with _lock:
        if reason in _warnings:
            return
        _warnings.add(reason)
    advice = (
        "Usually numba, llvmlite and numpy do not fit together: try pip install --upgrade numba llvmlite"
        if isinstance(error, (ImportError, OSError))
        else "See whether python -c 'import numba' works"
    )
    warnings.warn(
        f"Numba cannot be used, so NumPy makes the steps: the same results, more slowly. The error is {reason}. "
        f"{advice}. With backend='numba' the whole error is raised; with backend='numpy' there is no warning.",
        RuntimeWarning,
        stacklevel=stacklevel(),
    )


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
