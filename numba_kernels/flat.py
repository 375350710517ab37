"""One Rprop step on one flat array, compiled by Numba.

Every kernel is a loop of three lines around a rule of `rprop_ref.rules`, made when it is first asked for; what a
rule computes is written there and nowhere else. The sequential and the parallel kernels give the same bits for any
number of threads, since no element depends on another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import prange, types

from numba_kernels import _processes, _quota
from numba_kernels._cache import DIGEST, inner, kernel_of, made_once
from numba_kernels.pace import Pace
from rprop_ref import rules
from rprop_ref._core import constants as constants_of_rules
from rprop_ref.rules import RULES

#: From this many elements on, a step may run on all of Numba's threads. With fewer, threads gain little even on an
#: idle machine.
PARALLEL_FROM = 1 << 16

#: The dtypes that the kernels take. Numba has no 16-bit floats on the CPU; complex parameters come as
#: twice as many reals.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@inner
def select(condition, a, b):
    """``a if condition else b``: the `where` of the rules."""
    if condition:
        return a
    return b


@inner
def same(number):
    """The identity: arithmetic on the CPU needs no wrapper."""
    return number


split = inner(constants_of_rules.make_split(same))

#: A placeholder: `_cache.kernel_of` replaces it with the compiled rule.
_rule: Any = None


@made_once
def scalar_rule(rule: rules.Rule) -> Any:
    """A rule for one coordinate, for compiled code to call."""
    return inner(rule.make(select, *_shared_parts()))


@made_once
def _shared_parts() -> tuple[Any, Any]:
    # Compiled once, not for each rule.
    return inner(rules.sign(select)), inner(rules.adapt(select))


@made_once
def _compile(rule: rules.Rule, parallel: bool) -> Any:
    # The flags are in the stamp because the key of Numba's cache omits them.
    stamp = f"{DIGEST} {rule.name} parallel={parallel}"

    def step(x, g, prev, size, constants, worse):
        stamp  # noqa: B018
        c, direction = split(constants)
        for i in prange(x.size):
            x[i], prev[i], size[i] = _rule(x[i], direction * g[i], prev[i], size[i], worse, c)

    return kernel_of(rule, step, {"_rule": scalar_rule(rule)}, parallel=parallel)


_kernels: dict[tuple[rules.Rule, bool], Callable[..., None]] = {}


def kernel(variant: str, parallel: bool) -> Callable[..., None]:
    """The kernel of a rule: ``kernel(x, g, prev, size, constants, worse)``. Arguments are not checked."""
    rule = RULES[variant]
    made = _kernels.get((rule, parallel))
    if made is None:
        made = _kernels[rule, parallel] = _compile(rule, parallel)
    return made


def compile_for(rule: rules.Rule, dtype: np.dtype[Any], elements: int, read_only: bool) -> list[Any]:
    """Compile all kernels that steps of up to so many elements may call; `read_only` is about the gradient."""
    real = numba.from_dtype(dtype)
    array, g = real[::1], types.Array(real, 1, "C", readonly=read_only)
    kernels = [_compile(rule, False)]
    if elements >= PARALLEL_FROM and not _processes.forked and _quota.processors() >= 2:
        kernels.append(_compile(rule, True))
    for each in kernels:
        each.compile((array, g, array, array, array, types.boolean))
    return kernels


#: Whether steps are quicker on several threads, by the number of bits in the number of bytes of x.
paces = [Pace() for _ in range(64)]

# With the threading layer workqueue, two Python threads that enter parallel kernels at once abort the process. The
# sequential kernel gives the same bits.
_one_at_a_time = threading.Lock()


def _may_use_threads() -> bool:
    if _processes.forked or _quota.processors() < 2:
        return False
    try:
        layer = numba.threading_layer()  # type: ignore[attr-defined]
    except ValueError:  # no parallel kernel has run yet, neither ours nor anyone's
        return True
    return layer != "workqueue" or threading.active_count() == 1


def _run_parallel(variant: str, *arguments: Any) -> None:
    """Run the parallel kernel on as many of Numba's threads as there are processors."""
    step_of_rule = kernel(variant, True)
    allowed = _quota.processors()
    if allowed < numba.config.NUMBA_NUM_THREADS:  # type: ignore[attr-defined]
        threads = numba.get_num_threads()
        numba.set_num_threads(min(threads, int(allowed)))  # for this Python thread alone
        try:
            step_of_rule(*arguments)
        finally:
            numba.set_num_threads(threads)
    else:
        step_of_rule(*arguments)


def _run_at_best_pace(variant: str, x: np.ndarray[Any, Any], *arguments: Any) -> None:
    pace = paces[x.nbytes.bit_length()]
    began = time.perf_counter()
    if pace.parallel:
        _run_parallel(variant, x, *arguments)
    else:
        kernel(variant, False)(x, *arguments)
    pace.note(time.perf_counter() - began)


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
    variant : str
        The rule, a key of `rprop_ref.rules.RULES`.
    x, prev, size : ndarray, shape (n,)
        Parameter, stored gradient and step size; C-contiguous, writable, all float32 or all float64.
        Changed in place. They may not overlap each other.
    g : ndarray, shape (n,)
        The gradient, of the same dtype; only read. It may be `x` itself but must not overlap it otherwise.
    constants : ndarray
        Those of `rprop_ref._core.constants.rule_constants`, in the same dtype.
    worse : bool, optional
        Whether the loss rose since the last step; read by rules that compare losses.
    parallel : bool, optional
        Whether to use several threads. By default from `PARALLEL_FROM` elements on, if that has proved to be
        quicker (`pace`). The result is the same.

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
    if constants.shape != constants_of_rules.SHAPE:
        raise TypeError(
            f"constants must be of shape {constants_of_rules.SHAPE}, but are of shape {constants.shape}"
        )
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
    """Like `step`, without the checks. A read-only gradient makes Numba compile the kernel once more."""
    wanted = x.size >= PARALLEL_FROM if parallel is None else parallel
    if wanted and _may_use_threads() and _one_at_a_time.acquire(blocking=False):
        try:
            if parallel is None:
                _run_at_best_pace(variant, x, g, prev, size, constants, worse)
            else:
                _run_parallel(variant, x, g, prev, size, constants, worse)
        finally:
            _one_at_a_time.release()
    else:
        # A call less where the kernel has been made: beside a small array that can be felt.
        (_kernels.get((RULES[variant], False)) or kernel(variant, False))(x, g, prev, size, constants, worse)
