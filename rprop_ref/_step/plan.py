"""From lists of arrays of any shape, layout and dtype to flat arrays that a kernel can take.

A `Plan` decides once, from the parameters and their state, which arrays are stepped together, which must be
gathered, and which are refused. It holds for as long as the arrays are the same objects, so that each further step
looks only at the gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .. import backends
from .._core import dtypes
from .._core.arrays import as_reals, joined
from .._core.checks import check_plain
from .._core.constants import rule_constants
from .gather import Gathered

Array = np.ndarray[Any, Any]

#: torch's words. Its list names the devices that torch supports here; the host is not among them.
CAPTURABLE = (
    "If capturable=True, params and state_steps must be on supported devices: "
    "['cuda', 'xpu', 'hpu', 'privateuseone', 'xla']."
)

#: Contiguous arrays with at least this many elements are stepped in place, each in its own kernel call.
GATHER_BELOW = 1 << 11


class _InPlaceJob:
    """One contiguous array, stepped in place."""

    def __init__(self, index: int, x: Array, prev: Array, size: Array, memory: _ParamMemory) -> None:
        self.dtype = x.dtype
        self.elements = x.size
        self._index = index
        self._arrays = (x, prev, size)
        self._flat = (as_reals(x), as_reals(prev), as_reals(size))
        self._is_real = x.dtype.kind != "c"
        self._memory = memory
        self._g = x

    def load(self, grads: Sequence[Array]) -> None:
        g = grads[self._index]
        x, prev, size = self._arrays
        if not (x.flags.writeable and prev.flags.writeable and size.flags.writeable):
            raise _read_only((x, prev, size))
        flags = g.flags
        # All gradients are read before any parameter is written, hence a copy if it shares memory with one.
        if not (flags.c_contiguous and flags.aligned) or self._memory.may_share(g):
            g = g.copy()
        if g.size != self.elements:
            raise ValueError(f"a gradient has {g.size} elements, but its parameter has {self.elements}")
        self._g = g if g.ndim == 1 and self._is_real else as_reals(g)

    @property
    def read_only(self) -> bool:
        """Whether the gradient that was loaded is a read-only array."""
        return not self._g.flags.writeable

    def step(self, run: backends.Run, variant: str, constants: Array, worse: bool) -> None:
        x, prev, size = self._flat
        run(variant, x, self._g, prev, size, constants, worse)
        self._g = x  # lets go of the gradient


class _GatheredJob:
    """Small or non-contiguous arrays of one dtype, gathered into one."""

    #: Whether the gathered gradient is a read-only array.
    read_only = False

    def __init__(self, indices: list[int], xs: list[Array], prevs: list[Array], sizes: list[Array]) -> None:
        self.dtype = xs[0].dtype
        self.elements = sum(x.size for x in xs)
        self._indices = indices
        self._gathered = Gathered(xs, prevs, sizes)
        self.step = self._gathered.step

    def load(self, grads: Sequence[Array]) -> None:
        if not all(map(_is_writable, self._gathered.written)):
            raise _read_only(self._gathered.written)
        if len(grads) != len(self._indices):
            grads = [grads[i] for i in self._indices]
        self._gathered.load(grads)


class _ParamMemory:
    """The memory of some parameters; tells quickly whether a gradient shares it."""

    def __init__(self, params: Sequence[Array]) -> None:
        self._params = params
        owners = list(map(_owner, params))
        self._ids = None if any(o is None for o in owners) else set(map(id, owners))

    def may_share(self, g: Array) -> bool:
        owner = g if g.base is None else _owner(g)
        if owner is not None and self._ids is not None and id(owner) not in self._ids:
            return False
        return any(np.may_share_memory(g, p) for p in self._params)


def _owner(array: Array) -> Array | None:
    """The array that owns the memory of this one; None if something else does."""
    owner = array if array.base is None else array.base
    return owner if type(owner) is np.ndarray and owner.base is None else None


# An array, because NumPy adds two arrays twice as fast as an array and a Python number.
_ONE = np.ones((), np.float32)


class Counters:
    """The 0-d arrays that count the steps of some parameters.

    Raises
    ------
    RuntimeError, ValueError
        If one of them is not an array of one number, or is read-only.
    """

    def __init__(self, counters: Sequence[Any]) -> None:
        for counter in counters:
            _check_counter(counter)
        self._counters = counters
        are_float32 = bool(counters) and all(c.dtype == np.float32 for c in counters)
        self._joined = joined(counters) if are_float32 else None

    def add_one(self) -> None:
        """Count one step of each parameter."""
        if self._joined is not None:
            np.add(self._joined, _ONE, self._joined)
        else:
            for counter in self._counters:
                np.add(counter, 1, out=counter)


_is_writable = attrgetter("flags.writeable")


class Plan:
    """How to step some parameters, given as arrays with their state.

    Parameters
    ----------
    params, prevs, sizes : sequence of ndarray
        Parameters, stored gradients and step sizes, one of each per parameter, of one shape and dtype.
    counters : sequence of ndarray
        The 0-d arrays that count the steps of each parameter.
    memory : sequence of ndarray, optional
        All parameters that are stepped at the same time, including those of this plan.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If one of them cannot be stepped. Nothing has been changed then.

    Notes
    -----
    To make a step, call `load`, `prepare` and `run`, in this order. Only `run` changes anything outside the
    plan, and it refuses nothing.
    """

    #: Whether a CUDA graph was recorded with this plan; never on the host.
    is_recorded = False

    def __init__(
        self,
        params: Sequence[Array],
        prevs: Sequence[Array],
        sizes: Sequence[Array],
        counters: Sequence[Array],
        memory: Sequence[Array] | None = None,
    ) -> None:
        params, prevs, sizes, counters = list(params), list(prevs), list(sizes), list(counters)
        lengths = [len(arrays) for arrays in (params, prevs, sizes, counters)]
        if len(set(lengths)) != 1:
            raise ValueError(
                "there must be one prev, one step_size and one step for each parameter, but there are "
                f"{lengths[0]} parameters and {lengths[1]}, {lengths[2]} and {lengths[3]} of these"
            )
        for param, prev, size in zip(params, prevs, sizes, strict=True):
            check_param(param, param.flags.c_contiguous)
            check_state(param, prev, "prev")
            check_state(param, size, "step_size")
        self._shapes = [p.shape for p in params]
        self._dtypes = [p.dtype for p in params]
        self._counters = Counters(counters)
        self._jobs = _jobs(params, prevs, sizes, _ParamMemory(params if memory is None else memory))
        self._prepared: list[tuple[Any, backends.Run, Array]] = []
        self._prepared_for: tuple[Any, ...] = ()

    def check_capturable(self, capturable: bool) -> None:
        """Refuse `capturable`, which needs arrays on a GPU."""
        if capturable:
            raise AssertionError(CAPTURABLE)

    def load(self, grads: Sequence[Array], *, fit: bool = False) -> None:
        """Fetch the gradients, one for each parameter; with `fit` their shapes and dtypes need no check."""
        if not fit:
            if len(grads) != len(self._shapes):
                raise ValueError(f"there are {len(grads)} gradients for {len(self._shapes)} parameters")
            for grad, shape, dtype in zip(grads, self._shapes, self._dtypes, strict=True):
                if grad.shape != shape or grad.dtype != dtype:
                    raise ValueError(
                        f"a gradient has shape {grad.shape} and dtype {grad.dtype}, but its parameter has "
                        f"{shape} and {dtype}; they must be equal"
                    )
        for job in self._jobs:
            job.load(grads)

    def prepare(
        self,
        variant: str,
        etas: tuple[float, float],
        step_sizes: tuple[float | None, float | None],
        maximize: bool,
        backend: str | None,
    ) -> None:
        """Choose the backends, make their kernels, and round the constants."""
        last = self._prepared_for
        if (
            last
            and etas is last[0]
            and step_sizes is last[1]
            and maximize is last[2]
            and backend is last[3]
            and variant is last[4]
        ):
            return
        # In the order of the parameters: as in torch, the first one whose dtype cannot hold a constant is refused.
        constants = {d: rule_constants(d, etas, step_sizes, maximize) for d in dict.fromkeys(self._dtypes)}
        names = [
            backends.resolve(backend, job.elements, job.dtype, "flat", variant, read_only=job.read_only)
            for job in self._jobs
        ]
        self._prepared = [
            (job.step, backends.stepper(name), constants[job.dtype])
            for name, job in zip(names, self._jobs, strict=True)
        ]
        # Reused only if nothing can have changed: tuples of numbers cannot be edited, but anything else can, and
        # where NumPy was chosen the next step may choose Numba.
        reusable = is_constant(etas) and is_constant(step_sizes) and (backend or "numpy" not in names)
        self._prepared_for = (etas, step_sizes, maximize, backend, variant) if reusable else ()

    def run(self, variant: str, worse: bool) -> None:
        """Make the step that was loaded and prepared, and count it."""
        for step, run, constants in self._prepared:
            step(run, variant, constants, worse)
        self._counters.add_one()


def _jobs(
    params: list[Array], prevs: list[Array], sizes: list[Array], memory: _ParamMemory
) -> list[_InPlaceJob | _GatheredJob]:
    """Sort the parameters into jobs. Parameters that share memory get a job each, in their order."""
    aliased = sharing_memory(
        (*byte_bounds(a), i) for arrays in (params, prevs, sizes) for i, a in enumerate(arrays) if a.size
    )
    by_dtype: dict[np.dtype[Any], list[int]] = {}
    jobs: list[_InPlaceJob | _GatheredJob] = []
    for i, (x, prev, size) in enumerate(zip(params, prevs, sizes, strict=True)):
        in_place = x.flags.carray and prev.flags.carray and size.flags.carray
        if in_place and (x.size >= GATHER_BELOW or i in aliased or len(params) == 1):
            jobs.append(_InPlaceJob(i, x, prev, size, memory))
        elif i in aliased:
            jobs.append(_GatheredJob([i], [x], [prev], [size]))
        else:
            by_dtype.setdefault(x.dtype, []).append(i)
    for indices in by_dtype.values():
        jobs.append(_GatheredJob(indices, *([arrays[i] for i in indices] for arrays in (params, prevs, sizes))))
    return jobs


def sharing_memory(spans: Iterable[tuple[int, int, int]]) -> set[int]:
    """Positions of the parameters with an array that overlaps, in memory, one of another parameter.

    A span is one array: the address of its first byte, the address after its last, and the parameter's position.
    """
    aliased: set[int] = set()
    reach, owner = -1, -1
    for low, high, i in sorted(spans):
        if low < reach and i != owner:
            aliased |= {i, owner}
        if high > reach:
            reach, owner = high, i
    return aliased


def is_constant(values: Any) -> bool:
    """Whether this is a tuple of plain numbers."""
    return type(values) is tuple and all(type(v) in (float, int, type(None)) for v in values)


def _overlaps_itself(array: Any) -> bool:
    """Whether two elements share memory, as in windows made with as_strided."""
    reach = 0
    for stride, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach + array.itemsize:
            # Unusual, but not always an overlap: compare all addresses.
            offsets = np.zeros((), np.intp)
            for s, m in zip(array.strides, array.shape, strict=True):
                offsets = np.add.outer(offsets, s * np.arange(m))
            gaps = np.diff(np.sort(offsets, axis=None))
            return bool((gaps < array.itemsize).any())
        reach += stride * (n - 1)
    return False


def _check_counter(counter: Any) -> None:
    if not isinstance(counter, np.ndarray) or counter.size != 1 or counter.dtype.kind not in "fiu":
        raise RuntimeError(
            "API has changed, `state_steps` argument must contain a list of singleton tensors; "
            f"a step is {counter!r}, but must be an array of one number"
        )
    if not counter.flags.writeable:
        raise _read_only([counter])


def check_param(param: Any, is_contiguous: bool) -> None:
    """Refuse an array, on the host or on a GPU, that cannot be a parameter."""
    if not dtypes.is_supported(param.dtype):
        raise TypeError(
            f"a parameter has dtype {param.dtype}; parameters can be float16, bfloat16, float32, float64, "
            "complex64 or complex128, in native byte order"
        )
    if param.size and not is_contiguous and _overlaps_itself(param):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def check_state(param: Any, state: Any, name: str) -> None:
    """Refuse state that does not fit its parameter."""
    check_plain(state, name)
    if state.shape != param.shape or state.dtype != param.dtype:
        raise ValueError(
            f"{name} has shape {state.shape} and dtype {state.dtype}, but its parameter has "
            f"{param.shape} and {param.dtype}; they must be equal"
        )


def _read_only(arrays: Sequence[Array]) -> ValueError:
    array = next(a for a in arrays if not a.flags.writeable)
    return ValueError(
        f"a parameter or its state, of shape {array.shape}, is read-only, but a step changes it in place; "
        "pass a writable array (a copy is one)"
    )
