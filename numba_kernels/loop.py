"""The whole loop of `rprop_ref.minimize` in machine code, for objectives that are machine code as well."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from numba_kernels import iterate
from numba_kernels._cache import DIGEST, NO_COUNTS, kernel_of, made_once
from numba_kernels.objective import call
from rprop_ref import rules
from rprop_ref._core import record
from rprop_ref._core.status import Status

CLAIMED, CONTINUE = Status.CLAIMED.value, Status.CONTINUE.value
STAYED, RAISED = Status.STAYED.value, Status.RAISED.value

# Placeholders: `_cache.kernel_of` replaces them with compiled functions.
_advance: Any = None
_copy: Any = None
_equal: Any = None


@made_once
def kernel(rule: rules.Rule) -> Any:
    """The loop for one rule.

    ``run(address, data, raised, sign, vectors, scalars, constants, max_iterations, stop, x, g) -> status``
    evaluates the objective and advances, `max_iterations` times at most. It returns a `Status`: that of the last
    iteration, `RAISED` if the objective raised an exception, or `CLAIMED` if the run is to be probed now. It
    releases the GIL, and has no effect but on its arguments.

    address, data : int
        A C function as described in `numba_kernels.objective`, and what it is called with.
    raised : ndarray of int64
        The first entry becomes 1 when the objective raises an exception.
    sign : int
        -1 to maximize: the record then holds negated values and gradients; else 1.
    vectors, scalars : ndarray
        The record, see `rprop_ref._core.record`. Changed in place.
    constants : ndarray
        As for `numba_kernels.flat.step`.
    stop : ndarray of int64
        The loop ends with the iteration in which another thread sets the first entry to 1.
    x, g : ndarray, shape (n,)
        Buffers for the point and the gradient, in the dtype of `vectors`.
    """
    stamp = f"{DIGEST} {rule.name}"

    def run(address, data, raised, sign, vectors, scalars, constants, max_iterations, stop, x, g):
        stamp  # noqa: B018
        status = CONTINUE
        if scalars[record.STEP_MADE] != 0 and _equal(vectors[record.X], vectors[record.LAST_X]):
            status = STAYED
            _copy(vectors[record.LAST_G], g)
        for _ in range(max_iterations):
            f = scalars[record.LAST_F]
            if status != STAYED:
                next_x = vectors[record.X]
                for i in range(x.size):
                    x[i] = next_x[i]
                    g[i] = 0
                f = call(address, x.size, x.ctypes.data, g.ctypes.data, data)
                if raised[0] != 0:
                    return RAISED
                if sign < 0:
                    f = -f
                    for i in range(g.size):
                        g[i] = -g[i]
                scalars[record.NFEV] += 1
                scalars[record.NJEV] += 1
            status = _advance(vectors, scalars, constants, 0, f, g)
            if status >= 0 or status == CLAIMED or stop[0] != 0:
                break
        return status

    made = iterate.functions(rule)
    names = {"_advance": made["advance"], "_copy": made["copy"], "_equal": made["equal"]}
    return kernel_of(rule, run, names, **NO_COUNTS)


def compile_for(rule: rules.Rule, dtype: np.dtype[Any], elements: int, read_only: bool) -> list[Any]:
    """Compile the loop for one dtype, and return it."""
    real, integer, integers = numba.from_dtype(dtype), types.intp, types.int64[::1]
    x, scalars = real[::1], types.float64[::1]
    record_and_constants = real[:, ::1], scalars, x
    made = kernel(rule)
    made.compile((integer, integer, integers, integer, *record_and_constants, integer, integers, x, x))
    return [made]


__all__ = ["compile_for", "kernel"]
