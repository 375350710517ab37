"""Compiled kernels, executed by `ptx_machine` without a GPU, beside what they should compute."""

from __future__ import annotations

from typing import Any

import cases
import naive
import numpy as np
import ptx_machine

from cuda_kernels import flat
from cuda_kernels import many_arrays as many
from rprop_ref._core import numpy_step
from rprop_ref._core.constants import rule_constants
from rprop_ref.bits import same_bits

Array = np.ndarray[Any, Any]

#: A step of these arrays takes a hundredth of these instructions; a mutant may go on for ever.
MAX_STEPS = 50_000

#: Whether the loss rose, step by step.
ROSE = (False, True, False, True, True)


def _constants(dtype: np.dtype[Any], options: dict[str, Any]) -> tuple[Array, list[Any]]:
    """The constants of a rule as an array, and as a kernel is given them."""
    etas, step_sizes = options.get("etas", (0.5, 1.2)), options.get("step_sizes", (1e-6, 50))
    constants = rule_constants(dtype, etas, step_sizes, options.get("maximize", False))
    kind = flat.constant_type(dtype.name)
    return constants, [kind(c) for c in constants]


def _beginning(rng: np.random.Generator, dtype: np.dtype[Any], n: int, lr: float) -> list[Array]:
    """Parameter, stored gradient and step size before the first step; some step sizes are NaN."""
    size = np.full(n, lr).astype(dtype)
    size[::17] = np.nan
    return [cases.mixed(rng, dtype, n), np.zeros(n, dtype), size]


def one_array(
    kernel: ptx_machine.Kernel,
    variant: str,
    dtype: np.dtype[Any],
    n: int,
    grid: int,
    block: int,
    rng: np.random.Generator,
    **options: Any,
) -> int:
    """Make steps of one array, and compare them with the naive oracle; return how many instructions were executed."""
    _, passed = _constants(dtype, options)
    x, prev, size = _beginning(rng, dtype, n, options.get("lr", 0.1))
    expected = (x.copy(), prev.copy(), size.copy())
    counter, executed = np.zeros(1, np.float32), 0
    rule = {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50), **{k: v for k, v in options.items() if k != "lr"}}
    for t, (g, rose) in enumerate(zip(cases.gradients(rng, dtype, n, len(ROSE)), ROSE, strict=True)):
        expected = naive.step(variant, expected[0], g, *expected[1:], worse=rose, **rule)
        memory = ptx_machine.Memory()
        addresses = [memory.add(a) for a in (x, g, prev, size)]
        arguments = [*addresses, n, memory.add(counter), _worse(memory, rose, t), *passed]
        executed += ptx_machine.launch(kernel, arguments, grid, block, memory, MAX_STEPS)
        for found, wanted in zip((x, prev, size), expected, strict=True):
            assert same_bits(found, wanted), f"step {t}"
        assert counter[0] == t + 1
    return executed


_LOSS_ROSE = np.ones(1, np.int64)


def _worse(memory: ptx_machine.Memory, rose: bool, t: int) -> int:
    """Whether the loss rose, as a number or, in every other step, as the address of one."""
    return memory.add(_LOSS_ROSE) if rose and t % 2 else int(rose)


def many_arrays(
    kernel: ptx_machine.Kernel,
    variant: str,
    dtype: np.dtype[Any],
    lengths: list[int],
    grid: int,
    block: int,
    rng: np.random.Generator,
) -> int:
    """Make steps of many arrays, and compare them with NumPy; return how many instructions were executed."""
    constants, passed = _constants(dtype, {})
    arrays = [_beginning(rng, dtype, n, 0.1) for n in lengths]
    expected = [[a.copy() for a in members] for members in arrays]
    counters = np.zeros(len(lengths), np.float32)
    chunks = np.array([(i, k) for i, n in enumerate(lengths) for k in range(0, max(n, 1), many.CHUNK)], np.int64)
    executed = 0
    for t, rose in enumerate(ROSE):
        grads = [cases.mixed(rng, dtype, n) for n in lengths]
        memory = ptx_machine.Memory()
        memory.add(counters)
        table = np.array(
            [
                [memory.add(x), memory.add(prev), memory.add(size), counters[i:].ctypes.data, x.size]
                for i, (x, prev, size) in enumerate(arrays)
            ],
            np.int64,
        )
        where = np.array([memory.add(g) for g in grads], np.int64)
        pointers = [memory.add(table), memory.add(where), memory.add(chunks)]
        arguments = [*pointers, len(chunks), int(rose), *passed]
        executed += ptx_machine.launch(kernel, arguments, grid, block, memory, MAX_STEPS)
        for members, wanted, g in zip(arrays, expected, grads, strict=True):
            numpy_step.run(variant, wanted[0], g, *wanted[1:], constants, rose)
            for a, b in zip(members, wanted, strict=True):
                assert same_bits(a, b), f"step {t}"
        assert (counters == t + 1).all()
    return executed
