"""Runs and calls whose results are recorded, for comparisons with other implementations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from numba_kernels import flat
from numba_kernels.pace import Pace
from rprop_ref import Parameter, Rprop
from rprop_ref.bits import same_bits

Array = np.ndarray[Any, Any]
Run = list[tuple[Array, Array, Array]]

#: The ways to make a step. All must give the same bits.
ENGINES = ("numpy", "sequential", "parallel, 1 thread", "parallel, 2 threads")


def engines_for(dtype: np.dtype[Any]) -> tuple[str, ...]:
    return ENGINES[:1] if dtype.itemsize == 2 else ENGINES


@contextmanager
def engine(name: str) -> Iterator[str]:
    """Make steps with one of the `ENGINES`; yields the value for ``backend=``."""
    if name == "numpy":
        yield "numpy"
        return
    threshold, paces, threads = flat.PARALLEL_FROM, flat.paces, numba.get_num_threads()
    flat.PARALLEL_FROM = 1 << 62
    if name != "sequential":
        flat.PARALLEL_FROM, flat.paces = 0, [_AlwaysParallel()] * len(paces)
        numba.set_num_threads(int(name.split()[1]))
    try:
        yield "numba"
    finally:
        flat.PARALLEL_FROM, flat.paces = threshold, paces
        numba.set_num_threads(threads)


class _AlwaysParallel(Pace):
    """A choice that measuring does not change."""

    def __init__(self) -> None:
        super().__init__()
        self.parallel = True

    def note(self, seconds: float) -> None:
        pass


def run(
    x0: Array,
    grads: Sequence[Array | None],
    *,
    losses: Sequence[float] | None = None,
    **options: Any,
) -> Run:
    """Step one parameter with these gradients; returns (parameter, stored gradient, step size) after each step."""
    param = Parameter(x0.copy())
    optimizer = Rprop([param], **options)
    states = []
    for i, grad in enumerate(grads):
        param.grad = grad
        optimizer.step(loss=None if losses is None else losses[i])
        state = optimizer.state[param]
        states.append((param.data.copy(), state["prev"].copy(), state["step_size"].copy()))
    return states


def assert_same_runs(ours: Run, theirs: Run, *, signed_zeros: bool = True) -> None:
    assert len(ours) == len(theirs)
    pairs = zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True)
    if all(same_bits(np.stack(a), np.stack(b), signed_zeros=signed_zeros) for a, b in pairs):
        return
    for t, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        for name, a, b in zip(("x", "prev", "size"), mine, other, strict=True):
            assert same_bits(a, b, signed_zeros=signed_zeros), f"{name} differs at step {t}:\n{a}\n{b}"


def outcome(function: Callable[..., Any], *args: Any) -> tuple[tuple[str, str] | None, list[tuple[str, str]], Any]:
    """The outcome of a call: type and text of the exception, the same of each warning, and the value."""
    error, value = None, None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            value = function(*args)
        except Exception as raised:
            error = (type(raised).__name__, str(raised))
    return error, [(w.category.__name__, str(w.message)) for w in warned], value
