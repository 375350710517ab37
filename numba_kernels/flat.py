"""One Rprop step on one flat array, compiled by Numba.

Every kernel is a loop of three lines around a rule of `rprop_ref.rules`; what a rule computes is written
there and nowhere else. The sequential and the parallel kernels give the same bits for any number of
threads, since no element depends on another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import prange

from numba_kernels import _processes
from numba_kernels._cache import DIGEST, kernel
from rprop_ref import rules

#: From this many elements on, a step runs on all of Numba's threads. Two threads were faster from about
#: 20,000 elements on when the machine was idle; the margin is for machines that are not, where threads
#: wait for each other.
PARALLEL_FROM = 1 << 16

#: The dtypes that the kernels take. Numba has no 16-bit floats on the CPU; complex parameters come as
#: twice as many reals.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@numba.njit
def _select(condition, a, b):
    if condition:
        return a
    return b


# Put together here and not by `rules.build`, so that what the rules share is compiled once and not for each.
_shared = _select, numba.njit(rules.sign(_select)), numba.njit(rules.adapt(_select))

# Numba files a kernel that reaches its rule through a global name of the module under the same key in
# every process; one that reaches it through a closure is filed anew each time. Hence five names.
_rprop_plus = numba.njit(rules.RULES["rprop+"](*_shared))
_rprop_minus = numba.njit(rules.RULES["rprop-"](*_shared))
_irprop_plus = numba.njit(rules.RULES["irprop+"](*_shared))
_irprop_minus = numba.njit(rules.RULES["irprop-"](*_shared))
_irprop_go = numba.njit(rules.RULES["irprop-go"](*_shared))


@numba.njit
def _unpack(constants):
    """Constants of the rule as a tuple of scalars, and the factor +1 or -1 of the gradient."""
    c = constants
    return (c[0], c[1], c[2], c[3], c[4], c[5]), c[6]


def _compile(parallel: bool) -> dict[str, Callable[..., None]]:
    # The flags stand in the stamp because they, too, are missing from the key of Numba's cache.
    stamp = f"{DIGEST} parallel={parallel}"

    @kernel(parallel=parallel)
    def rprop_plus(x, g, prev, size, constants, worse):
        stamp  # noqa: B018
        c, direction = _unpack(constants)
        for i in prange(x.size):
            x[i], prev[i], size[i] = _rprop_plus(x[i], direction * g[i], prev[i], size[i], worse, c)

    @kernel(parallel=parallel)
    def rprop_minus(x, g, prev, size, constants, worse):
        stamp  # noqa: B018
        c, direction = _unpack(constants)
        for i in prange(x.size):
            x[i], prev[i], size[i] = _rprop_minus(x[i], direction * g[i], prev[i], size[i], worse, c)

    @kernel(parallel=parallel)
    def irprop_plus(x, g, prev, size, constants, worse):
        stamp  # noqa: B018
        c, direction = _unpack(constants)
        for i in prange(x.size):
            x[i], prev[i], size[i] = _irprop_plus(x[i], direction * g[i], prev[i], size[i], worse, c)

    @kernel(parallel=parallel)
    def irprop_minus(x, g, prev, size, constants, worse):
        stamp  # noqa: B018
        c, direction = _unpack(constants)
        for i in prange(x.size):
            x[i], prev[i], size[i] = _irprop_minus(x[i], direction * g[i], prev[i], size[i], worse, c)

    @kernel(parallel=parallel)
    def irprop_go(x, g, prev, size, constants, worse):
        stamp  # noqa: B018
        c, direction = _unpack(constants)
        for i in prange(x.size):
            x[i], prev[i], size[i] = _irprop_go(x[i], direction * g[i], prev[i], size[i], worse, c)

    return {
        "rprop+": rprop_plus,
        "rprop-": rprop_minus,
        "irprop+": irprop_plus,
        "irprop-": irprop_minus,
        "irprop-go": irprop_go,
    }


#: The kernels by the name of the rule: ``kernel(x, g, prev, size, constants, worse)``. They check nothing.
SEQUENTIAL = _compile(parallel=False)
PARALLEL = _compile(parallel=True)

# Two Python threads may not enter parallel kernels at once if Numba's threading layer is workqueue, which ends
# the process then. The sequential kernel gives the same bits.
_one_at_a_time = threading.Lock()


def _may_use_threads() -> bool:
    if _processes.forked:
        return False
    try:
        layer = numba.threading_layer()  # type: ignore[attr-defined]
    except ValueError:  # no parallel kernel has run yet, neither ours nor anyone's
        return True
    return layer != "workqueue" or threading.active_count() == 1


def step(
    variant: str,
    x: np.ndarray[Any, Any],
    g: np.ndarray[Any, Any],
    prev: np.ndarray[Any, Any],
    size: np.ndarray[Any, Any],
    constants: np.ndarray[Any, Any],
    worse: bool = False,
    parallel: bool | None = None,
) -> None:
    """Make one Rprop step on flat arrays, in place.

    Parameters
    ----------
    variant : {"rprop+", "rprop-", "irprop+", "irprop-", "irprop-go"}
        The rule, see `rprop_ref.rules`.
    x, prev, size : ndarray, shape (n,)
        Parameter, stored gradient and step size; C-contiguous, writable, all float32 or all float64.
        Changed in place. They may not overlap each other.
    g : ndarray, shape (n,)
        The gradient, of the same dtype; only read. It may be `x` itself but not overlap it otherwise.
    constants : ndarray, shape (7,)
        ``eta_minus, eta_plus, size_min, size_max, 0, 1, direction`` in the same dtype; `direction` is 1
        to minimize and -1 to maximize.
    worse : bool, optional
        Whether the loss rose since the last step. Only "irprop+" reads it.
    parallel : bool, optional
        Whether to use several threads. By default from `PARALLEL_FROM` elements on. The result is the
        same.

    Raises
    ------
    TypeError
        If an array is of another dtype, not contiguous, or not of the size of `x`; if `x`, `prev` or
        `size` cannot be written to. Nothing has been changed then.
    """
    for array in (x, prev, size):
        if not array.flags.carray or array.dtype not in DTYPES:
            raise TypeError(_complaint(array, "a contiguous, writable array of float32 or float64"))
    if not (g.flags.c_contiguous and g.flags.aligned):
        raise TypeError(_complaint(g, "a contiguous, aligned gradient"))
    if not (x.dtype == g.dtype == prev.dtype == size.dtype == constants.dtype):
        raise TypeError(
            f"x, g, prev, size and constants must be of one dtype, but are {x.dtype}, {g.dtype}, "
            f"{prev.dtype}, {size.dtype} and {constants.dtype}"
        )
    if constants.shape != (7,):
        raise TypeError(f"constants must be of shape (7,), but are of shape {constants.shape}")
    if not (x.shape == g.shape == prev.shape == size.shape == (x.size,)):
        raise TypeError(
            f"x, g, prev and size must be one-dimensional and of one length, but their shapes are "
            f"{x.shape}, {g.shape}, {prev.shape} and {size.shape}"
        )
    run(variant, x, g, prev, size, constants, worse, parallel)


def _complaint(array: np.ndarray[Any, Any], wanted: str) -> str:
    access = "writable" if array.flags.writeable else "read-only"
    layout = "contiguous" if array.flags.c_contiguous else "non-contiguous"
    return f"the kernel takes {wanted}, but was given a {access}, {layout} one of {array.dtype}"


def run(
    variant: str,
    x: np.ndarray[Any, Any],
    g: np.ndarray[Any, Any],
    prev: np.ndarray[Any, Any],
    size: np.ndarray[Any, Any],
    constants: np.ndarray[Any, Any],
    worse: bool = False,
    parallel: bool | None = None,
) -> None:
    """Do what `step` does without looking at the arrays: for callers that have checked them already.

    Numba compiles each kernel twice if it meets read-only gradients as well as writable ones.
    """
    if parallel is None:
        parallel = x.size >= PARALLEL_FROM
    if parallel and _may_use_threads() and _one_at_a_time.acquire(blocking=False):
        try:
            PARALLEL[variant](x, g, prev, size, constants, worse)
        finally:
            _one_at_a_time.release()
    else:
        SEQUENTIAL[variant](x, g, prev, size, constants, worse)
