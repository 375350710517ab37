"""From lists of arrays of any shape, layout and dtype to flat arrays that a kernel can take.

A `Plan` looks at parameters and their state once: what may be stepped together, what must be gathered, what
has to be refused. It holds for as long as the arrays are the same objects, so that the many steps of a run
only look at the gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from numba_kernels.many import Gathered, as_reals, joined

from . import _dtypes, backends

Array = np.ndarray[Any, Any]

#: Contiguous arrays from this many elements on are stepped where they are, in a kernel call of their own.
GATHER_BELOW = 1 << 11


class _Direct:
    """One contiguous array, stepped in place."""

    def __init__(self, index: int, x: Array, prev: Array, size: Array) -> None:
        self.indices = (index,)
        self.dtype = x.dtype
        self.elements = x.size
        self._flat = (as_reals(x), as_reals(prev), as_reals(size))

    def step(self, run: backends.Run, variant: str, grads: list[Array], constants: Array, worse: bool) -> None:
        x, prev, size = self._flat
        g = grads[self.indices[0]]
        # A gradient that shares memory with the parameter must be read before the parameter is written.
        flags = g.flags
        if not (flags.c_contiguous and flags.aligned) or np.may_share_memory(g, x):
            g = g.copy()
        if g.ndim != 1 or g.dtype is not x.dtype:
            g = as_reals(g)
        run(variant, x, g, prev, size, constants, worse)


class _Together:
    """Arrays of one dtype that are gathered into one: small ones, and those that are not contiguous."""

    def __init__(self, indices: list[int], xs: list[Array], prevs: list[Array], sizes: list[Array]) -> None:
        self.indices = tuple(indices)
        self.dtype = xs[0].dtype
        self.elements = sum(x.size for x in xs)
        self._gathered = Gathered(xs, prevs, sizes)

    def step(self, run: backends.Run, variant: str, grads: list[Array], constants: Array, worse: bool) -> None:
        mine = grads if len(grads) == len(self.indices) else [grads[i] for i in self.indices]
        self._gathered.step(run, variant, mine, constants, worse)


class Plan:
    """How to step some parameters, given as arrays with their state.

    Parameters
    ----------
    params, prevs, sizes : sequence of ndarray
        Parameters, stored gradients and step sizes, one of each per parameter, of one shape and dtype.
    counters : sequence of ndarray
        The 0-d arrays that count the steps of each parameter.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If one of them cannot be stepped. Nothing has been changed then.
    """

    def __init__(
        self,
        params: Sequence[Array],
        prevs: Sequence[Array],
        sizes: Sequence[Array],
        counters: Sequence[Array],
    ) -> None:
        self._arrays = (list(params), list(prevs), list(sizes), list(counters))
        self._shapes = [p.shape for p in params]
        self._dtypes = [p.dtype for p in params]
        for param, prev, size in zip(params, prevs, sizes, strict=True):
            _check_param(param)
            _check_state(param, prev, "prev")
            _check_state(param, size, "step_size")
        self.jobs = _jobs(*self._arrays[:3])
        self._all_counters = joined(counters) if counters else None
        self._prepared: list[tuple[backends.Run, Array]] = []
        self._prepared_for: tuple[Any, ...] = ()

    def holds_for(
        self, params: list[Array], prevs: list[Array], sizes: list[Array], counters: list[Array]
    ) -> bool:
        """Whether these are the very arrays that the plan was made for."""
        old_params, old_prevs, old_sizes, old_counters = self._arrays
        return (
            len(params) == len(old_params)
            and all(map(is_, params, old_params))
            and all(map(is_, prevs, old_prevs))
            and all(map(is_, sizes, old_sizes))
            and all(map(is_, counters, old_counters))
        )

    def check(self, grads: Sequence[Array]) -> None:
        """Raise unless there is one gradient for each parameter, of its shape and dtype."""
        for grad, shape, dtype, param in zip(grads, self._shapes, self._dtypes, self._arrays[0], strict=True):
            if grad.shape != shape or (grad.dtype is not dtype and grad.dtype != dtype):
                raise _wrong_gradient(grad, shape, dtype)
            if not param.flags.writeable:
                raise _read_only("a parameter", param)

    def prepare(
        self,
        etas: tuple[float, float],
        step_sizes: tuple[float | None, float | None],
        maximize: bool,
        backend: str | None,
    ) -> list[tuple[backends.Run, Array]]:
        """For each job the function to run and the constants to run it with; raises what can be raised."""
        key = (etas, step_sizes, maximize, backend)
        if len(self._prepared_for) == len(key) and all(map(is_, key, self._prepared_for)):
            return self._prepared
        constants = {
            job.dtype: _dtypes.constants(job.dtype, etas, step_sizes, maximize) for job in self.jobs
        }
        names = [backends.resolve(backend, job.elements, job.dtype) for job in self.jobs]
        self._prepared = [
            (backends.stepper(name), constants[job.dtype]) for name, job in zip(names, self.jobs, strict=True)
        ]
        # What is kept must stay true: only tuples cannot be changed behind our back, and a choice of NumPy
        # is good for one step.
        lasting = type(etas) is tuple and type(step_sizes) is tuple and (backend or "numpy" not in names)
        self._prepared_for = key if lasting else ()
        return self._prepared

    def run(
        self,
        prepared: list[tuple[backends.Run, Array]],
        grads: list[Array],
        variant: str,
        worse: bool,
    ) -> None:
        """Make the step and count it. All checks have been made: see `check` and `prepare`."""
        for job, (run, constants) in zip(self.jobs, prepared, strict=True):
            job.step(run, variant, grads, constants, worse)
        if self._all_counters is not None:
            self._all_counters += 1
        else:
            for counter in self._arrays[3]:
                counter += 1


def _jobs(params: list[Array], prevs: list[Array], sizes: list[Array]) -> list[_Direct | _Together]:
    """Sort the parameters into jobs; those that share memory with another keep their order."""
    entangled = _sharing_memory(params, prevs, sizes)
    together: dict[np.dtype[Any], list[int]] = {}
    jobs: list[_Direct | _Together] = []
    for i, (x, prev, size) in enumerate(zip(params, prevs, sizes, strict=True)):
        in_place = x.flags.carray and prev.flags.carray and size.flags.carray
        if in_place and (x.size >= GATHER_BELOW or i in entangled or len(params) == 1):
            jobs.append(_Direct(i, x, prev, size))
        elif i in entangled:
            jobs.append(_Together([i], [x], [prev], [size]))
        else:
            together.setdefault(x.dtype, []).append(i)
    for indices in together.values():
        chosen = [[arrays[i] for i in indices] for arrays in (params, prevs, sizes)]
        jobs.append(_Together(indices, *chosen))
    return jobs


def _sharing_memory(*lists: list[Array]) -> set[int]:
    """Positions of the parameters whose arrays overlap, in memory, those of another parameter."""
    if len(lists[0]) < 2:
        return set()
    spans = sorted((*byte_bounds(a), i) for arrays in lists for i, a in enumerate(arrays) if a.size)
    found: set[int] = set()
    reach, owner = -1, -1
    for low, high, i in spans:
        if low < reach and i != owner:
            found |= {i, owner}
        if high > reach:
            reach, owner = high, i
    return found


def _check_param(param: Array) -> None:
    if not _dtypes.is_supported(param.dtype):
        raise TypeError(
            f"a parameter has dtype {param.dtype}; parameters can be float16, bfloat16, float32, float64, "
            "complex64 or complex128, in native byte order"
        )
    if not param.flags.writeable:
        raise _read_only("a parameter", param)
    if param.size and any(s == 0 and n > 1 for s, n in zip(param.strides, param.shape, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def _check_state(param: Array, state: Array, name: str) -> None:
    if state.shape != param.shape or state.dtype != param.dtype:
        raise ValueError(
            f"{name} has shape {state.shape} and dtype {state.dtype}, but its parameter has "
            f"{param.shape} and {param.dtype}; they must be equal"
        )
    if not state.flags.writeable:
        raise _read_only(name, state)


def _read_only(name: str, array: Array) -> ValueError:
    return ValueError(
        f"{name} of shape {array.shape} is read-only, but a step changes it in place; "
        "pass a writable array (a copy is one)"
    )


def _wrong_gradient(grad: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ValueError:
    return ValueError(
        f"a gradient has shape {grad.shape} and dtype {grad.dtype}, but its parameter has {shape} and {dtype}; "
        "they must be equal"
    )
