"""One Rprop step on one flat array, compiled for the GPU.

A kernel is a rule of `rprop_ref.rules` with loads before it and stores after it; what a rule computes is written
there and nowhere else. Elements do not depend on each other, so the size of the grid does not change any bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda, _numbers
from cuda_kernels._cuda import cuda
from cuda_kernels._numbers import device, load, select, store
from rprop_ref import rules
from rprop_ref._core.constants import ONE, make_split

#: Threads of a block.
THREADS = 256

#: Blocks per multiprocessor, at most; in longer arrays each thread goes on to further elements.
BLOCKS = 32

#: Elements that a thread loads at the same time.
UNROLL = 4

_ONE = np.float32(1)
_single = _numbers.converter("float32")


def build_span(variant: str) -> Callable[..., None]:
    """Build the loop of one thread: a rule on every `stride`-th element from `first` up to `stop`.

    It loads four elements before it stores the first of them, so that sixteen loads are in flight. Where fewer
    than four are left, the first is loaded in place of the missing ones.
    """
    rule = rules.build(variant, select, device)

    @device
    def span(x, g, prev, size, first, stop, stride, worse, direction, c):
        one = c[ONE]
        i = first
        while i < stop:
            j = i + stride
            k = j + stride
            m = k + stride
            following = m + stride
            has_k, has_m = k < stop, m < stop
            has_j = j < stop
            j = select(has_j, j, i)
            k = select(has_k, k, i)
            m = select(has_m, m, i)
            x0, x1, x2, x3 = load(x, i, one), load(x, j, one), load(x, k, one), load(x, m, one)
            g0, g1, g2, g3 = load(g, i, one), load(g, j, one), load(g, k, one), load(g, m, one)
            p0, p1, p2, p3 = load(prev, i, one), load(prev, j, one), load(prev, k, one), load(prev, m, one)
            s0, s1, s2, s3 = load(size, i, one), load(size, j, one), load(size, k, one), load(size, m, one)
            x0, p0, s0 = rule(x0, direction * g0, p0, s0, worse, c)
            store(x, i, x0)
            store(prev, i, p0)
            store(size, i, s0)
            if has_j:
                x1, p1, s1 = rule(x1, direction * g1, p1, s1, worse, c)
                store(x, j, x1)
                store(prev, j, p1)
                store(size, j, s1)
            if has_k:
                x2, p2, s2 = rule(x2, direction * g2, p2, s2, worse, c)
                store(x, k, x2)
                store(prev, k, p2)
                store(size, k, s2)
            if has_m:
                x3, p3, s3 = rule(x3, direction * g3, p3, s3, worse, c)
                store(x, m, x3)
                store(prev, m, p3)
                store(size, m, s3)
            i = following

    return span  # type: ignore[no-any-return]


@device
def loss_rose(worse):
    """Whether the loss rose, as 0 (no), 1 (yes), or the address of one of these."""
    rose = worse == 1
    if worse > 1:
        rose = load(worse, 0, worse) == 1
    return rose


@device
def count_step(counter):
    """Add one to the float32 at an address; 0 stands for no counter."""
    if counter != 0:
        one = _single(_ONE)
        store(counter, 0, load(counter, 0, one) + one)


def make_kernel(variant: str, dtype: str) -> Callable[..., None]:
    """Build the kernel of one rule and one real dtype, not yet compiled."""
    span, split = build_span(variant), device(make_split(_numbers.converter(dtype)))

    def step(x, g, prev, size, n, counter, worse, constants):
        c, direction = split(constants)
        i = cuda.grid(1)
        if i == 0:
            count_step(counter)
        span(x, g, prev, size, i, n, cuda.gridsize(1), loss_rose(worse), direction, c)

    return step


@functools.cache
def kernel(rule: rules.Rule, dtype: str) -> Any:
    return cuda.jit(make_kernel(rule.name, dtype))


def constant_type(dtype: str) -> type[np.floating[Any]]:
    """The dtype in which a kernel takes its constants; 16-bit ones have the same value in float32."""
    return np.float64 if dtype == "float64" else np.float32


def run(
    variant: str,
    dtype: str,
    x: int,
    g: int,
    prev: int,
    size: int,
    n: int,
    constants: tuple[Any, ...],
    *,
    counter: int = 0,
    worse: int = 0,
    stream: int = 0,
) -> None:
    """Make one Rprop step on flat arrays on the GPU, in place. The call returns before the step has been made.

    Parameters
    ----------
    variant : str
        The rule, a key of `rprop_ref.rules.RULES`.
    dtype : {"float16", "bfloat16", "float32", "float64"}
        The dtype of the arrays; complex ones are twice as many reals.
    x, g, prev, size : int
        Addresses of parameter, gradient, stored gradient and step size, all contiguous. All but `g` are changed
        in place. `g` may be `x`, but may not overlap it in any other way.
    n : int
        The number of reals.
    constants : tuple of scalars
        Those of `rprop_ref._core.constants.rule_constants`, in the dtype `constant_type`.
    counter : int, optional
        The address of a float32 that counts steps and is increased by one; 0 for none.
    worse : int, optional
        Whether the loss rose since the last step: 0, 1, or the address of an int64 that is one of these. Only
        rules that compare losses read it.
    stream : int, optional
        The handle of the stream.
    """
    blocks = min(-(-n // (THREADS * UNROLL)), BLOCKS * _cuda.multiprocessors())
    step = kernel(rules.RULES[variant], dtype)
    _cuda.launch(step, blocks, THREADS, stream, x, g, prev, size, n, counter, worse, constants)
