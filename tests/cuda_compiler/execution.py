"""Compiled kernels, executed by `ptx_machine` without a GPU, beside what they should compute."""

from __future__ import annotations

from collections import Counter
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

#: How many launches there were so far, and how many instructions they executed.
counts: Counter[str] = Counter()

#: A step of these arrays takes a hundredth of these instructions; a mutant may go on for ever.
MAX_STEPS = 50_000

#: Whether the loss rose, step by step.
ROSE = (False, True, False, True, True)


def _launch(
    kernel: ptx_machine.Kernel, arguments: list[Any], grid: int, block: int, memory: ptx_machine.Memory
) -> None:
    counts["launches"] += 1
    counts["instructions"] += ptx_machine.launch(kernel, arguments, grid, block, memory, MAX_STEPS)


def settings(dtype: np.dtype[Any]) -> list[dict[str, Any]]:
    """Hyperparameters: those that all tests of steps use, and limits that are NaN."""
    limits = [(np.nan, 1.0), (1e-6, np.nan)]
    return [*cases.settings(dtype).values(), *({"step_sizes": pair} for pair in limits)]


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
) -> None:
    """Make steps of one array, and compare them with the naive oracle."""
    _, passed = _constants(dtype, options)
    x, prev, size = _beginning(rng, dtype, n, options.get("lr", 0.1))
    expected = (x.copy(), prev.copy(), size.copy())
    counter = np.zeros(1, np.float32)
    rule = {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50), **{k: v for k, v in options.items() if k != "lr"}}
    for t, (g, rose) in enumerate(zip(cases.gradients(rng, dtype, n, len(ROSE)), ROSE, strict=True)):
        expected = naive.step(variant, expected[0], g, *expected[1:], worse=rose, **rule)
        memory = ptx_machine.Memory()
        addresses = [memory.add(a) for a in (x, _read_only(g), prev, size)]
        # The first step has no counter.
        arguments = [*addresses, n, memory.add(counter) if t else 0, _worse(memory, rose, t), *passed]
        _launch(kernel, arguments, grid, block, memory)
        for found, wanted in zip((x, prev, size), expected, strict=True):
            assert same_bits(found, wanted), f"step {t}"
        assert counter[0] == t


def _read_only(array: Array) -> Array:
    """An array that a kernel may read, but not change."""
    array.flags.writeable = False
    return array


#: Whether the loss rose, in memory.
_ROSE = {rose: _read_only(np.array([rose], np.int64)) for rose in (False, True)}


def _worse(memory: ptx_machine.Memory, rose: bool, t: int) -> int:
    """Whether the loss rose, as a number or, in every other step, as the address of one."""
    return memory.add(_ROSE[rose]) if t % 2 else int(rose)


def many_arrays(
    kernel: ptx_machine.Kernel,
    variant: str,
    dtype: np.dtype[Any],
    lengths: list[int],
    grid: int,
    block: int,
    rng: np.random.Generator,
    **options: Any,
) -> None:
    """Make steps of many arrays, and compare them with NumPy."""
    constants, passed = _constants(dtype, options)
    arrays = [_beginning(rng, dtype, n, options.get("lr", 0.1)) for n in lengths]
    expected = [[a.copy() for a in members] for members in arrays]
    counters = np.zeros(len(lengths), np.float32)
    starts = [(i, k) for i, n in enumerate(lengths) for k in range(0, max(n, 1), many.CHUNK)]
    chunks = _read_only(np.array(starts, np.int64))
    for t, rose in enumerate(ROSE):
        grads = [cases.mixed(rng, dtype, n) for n in lengths]
        memory = ptx_machine.Memory()
        first = memory.add(counters)
        places = [first + counters.itemsize * i for i in range(len(lengths) - 1)] + [0]  # the last has no counter
        rows = [
            [memory.add(x), memory.add(prev), memory.add(size), place, x.size]
            for (x, prev, size), place in zip(arrays, places, strict=True)
        ]
        table = _read_only(np.array(rows, np.int64))
        where = _read_only(np.array([memory.add(_read_only(g)) for g in grads], np.int64))
        pointers = [memory.add(table), memory.add(where), memory.add(chunks)]
        arguments = [*pointers, len(chunks), _worse(memory, rose, t), *passed]
        _launch(kernel, arguments, grid, block, memory)
        for members, wanted, g in zip(arrays, expected, grads, strict=True):
            numpy_step.run(variant, wanted[0], g, *wanted[1:], constants, rose)
            for a, b in zip(members, wanted, strict=True):
                assert same_bits(a, b), f"step {t}"
        assert (counters[:-1] == t + 1).all()
        assert counters[-1] == 0


def copies(kernel: ptx_machine.Kernel, width: int, grid: int, block: int, rng: np.random.Generator) -> None:
    """Gather strided arrays, scatter others into them, and compare with what NumPy does."""
    whole = rng.integers(0, 250, (5, 6, 8 * width), np.uint8).view(f"i{width}")
    boxes = rng.integers(0, 250, (2, 1, 3, 1, 2, 1, 2, 2 * width), np.uint8).view(f"i{width}")
    for memory, view in (
        (whole, whole[3:1:-1, :, ::3]),
        (whole, whole[..., 0].T),
        (whole, whole[:0]),
        (whole, whole[1, 2, 3:4]),
        (whole, whole[2, 2, 3:4].reshape(())),
        (boxes, boxes.T[::-1]),
        (boxes, boxes[:, 0, ::2, 0].swapaxes(0, 2)),
        (boxes, boxes[1, :, :, 0, ::-1, 0]),
    ):
        for scatter in (False, True):
            wanted, flat_array = memory.copy(), rng.integers(-99, 99, view.size).astype(view.dtype)
            same_view = np.ndarray(
                view.shape, view.dtype, wanted, view.ctypes.data - memory.ctypes.data, view.strides
            )
            if scatter:
                same_view[...] = flat_array.reshape(view.shape)
            lengths = list(view.shape)
            _copy(kernel, memory, view, lengths, flat_array, scatter, grid, block)
            assert (memory == wanted).all()
            assert (flat_array.reshape(view.shape) == same_view).all()
    # Where an axis is so long, it is divided by in 64 bits.
    strides = [whole.itemsize * (k + 1) for k in range(8)]
    view = np.ndarray((1,) * 8, whole.dtype, whole, 0, strides)
    for axis in range(8):
        flat_array, lengths = np.zeros(5, whole.dtype), [1] * 8
        lengths[axis] = 2**33
        _copy(kernel, whole, view, lengths, flat_array, False, grid, block)
        assert (flat_array == whole.ravel()[: 5 * (axis + 1) : axis + 1]).all()


def _copy(
    kernel: ptx_machine.Kernel,
    whole: Array,
    view: Array,
    lengths: list[int],
    flat_array: Array,
    scatter: bool,
    grid: int,
    block: int,
) -> None:
    """Launch a copy between a view of an array, which has these lengths, and a contiguous array."""
    pairs = [(n, stride // view.itemsize) for n, stride in zip(lengths[::-1], view.strides[::-1], strict=True)]
    source = flat_array if scatter else whole
    source.flags.writeable = False
    memory = ptx_machine.Memory()
    memory.add(whole)
    table = memory.add(_read_only(np.array(pairs, np.int64)))
    arguments = [memory.add(flat_array), view.ctypes.data, flat_array.size, table, len(pairs), int(scatter)]
    _launch(kernel, arguments, grid, block, memory)
    source.flags.writeable = True


def fills(kernel: ptx_machine.Kernel, dtype: np.dtype[Any], grid: int, block: int) -> None:
    """Fill arrays with special values, and compare with what NumPy does."""
    constant = flat.constant_type(dtype.name)
    for n, value in enumerate([*cases.special_values(np.dtype(constant)), constant(1 / 3)]):
        array, memory = np.ones(n, dtype), ptx_machine.Memory()
        _launch(kernel, [memory.add(array), n, value], grid, block, memory)
        with np.errstate(over="ignore"):
            assert same_bits(array, np.full(n, value).astype(dtype))


def losses(kernel: ptx_machine.Kernel, dtype: np.dtype[Any], rng: np.random.Generator) -> None:
    """Compare losses that rise, fall, stay, and are NaN."""
    for maximize in (False, True):
        before, worse = np.full(1, np.nan), np.full(1, -1, np.int64)
        last = np.nan
        for loss in cases.losses(rng):
            memory = ptx_machine.Memory()
            pointers = [memory.add(a) for a in (_read_only(np.array([loss], dtype)), before, worse)]
            _launch(kernel, [*pointers, int(maximize)], 1, 1, memory)
            assert worse[0] == (loss < last if maximize else loss > last)
            assert same_bits(before, np.array([loss]))
            last = loss


def addresses(kernel: ptx_machine.Kernel) -> None:
    """Write addresses that come as arguments behind those that are there."""
    for first, count in ((0, 64), (3, 1), (64, 64), (5, 0)):
        target, memory = np.zeros(128, np.int64), ptx_machine.Memory()
        values = [2**62 + 8 * i for i in range(many.ADDRESSES_PER_LAUNCH)]
        wanted = np.zeros_like(target)
        wanted[first : first + count] = values[:count]
        arguments = [memory.add(target), first, count, *values]
        _launch(kernel, arguments, 1, many.ADDRESSES_PER_LAUNCH, memory)
        assert (target == wanted).all()
