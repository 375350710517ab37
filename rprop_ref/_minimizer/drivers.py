"""Who evaluates the objective and advances the record: a loop in Python, or one in machine code.

A driver is called as ``drive(max_iterations)``. It evaluates and advances so many times, or until the run ends,
and returns what `iteration.advance` returned last. Whichever drives, the record has the same bits afterwards.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backends
from .._core import iteration, record
from .._core.status import Status
from .._core.vectors import equal
from ..rules import RULES
from .compiled_objective import Compiled
from .objective import Objective
from .state import RunState

Array = np.ndarray[Any, Any]


class PythonDriver:
    """Calls the objective from Python; `advance` is NumPy's at first, and Numba's when that is worth loading."""

    def __init__(
        self, objective: Objective, state: RunState, backend: str | None, watch: Callable[..., int] | None = None
    ) -> None:
        self._objective = objective
        self._state = state
        self._backend = backend
        self._watch = watch
        self._advance: Callable[[float, Array, int], int] | None = None
        self._status: int = Status.STAYED if _stays(state) else Status.CONTINUE
        self._calls = 0
        self._nfev, self._njev = int(state.scalars[record.NFEV]), int(state.scalars[record.NJEV])

    def __call__(self, max_iterations: int) -> int:
        # What is called in every iteration stands in local names: beside a small objective each look-up counts.
        objective, stayed = self._objective, Status.STAYED.value
        evaluate, x = objective.evaluate, self._state.vectors[record.X]
        known_f = functools.partial(self._state.scalars.item, record.LAST_F)
        known_g = self._state.vectors[record.LAST_G]
        status, calls = self._status, self._calls
        for _ in range(max_iterations):
            if status == stayed:
                f, g = known_f(), known_g
            else:
                f, g = evaluate(x)
                calls += 1
            advance = self._advance or self._choose()
            status = advance(f, g, self._nfev + calls + objective.extra)
            if status >= 0:
                break
        self._state.scalars[record.NJEV] = self._njev + calls - objective.omitted
        self._status, self._calls = status, calls
        return int(status)

    def _choose(self) -> Callable[[float, Array, int], int]:
        state = self._state
        advance: Callable[[float, Array, int], int] = self._advance_numpy
        loaded = backends.resolve(self._backend, state.vectors.shape[1], state.vectors.dtype) == "numba"
        if loaded:
            from numba_kernels import iterate

            advance = iterate.bind(state.vectors, state.scalars, state.constants, state.variant)
        if self._watch is not None:
            advance = functools.partial(self._watch, advance)
        if loaded:  # until then, each iteration asks anew
            self._advance = advance
        return advance

    def _advance_numpy(self, f: float, g: Array, nfev: int) -> int:
        state = self._state
        state.scalars[record.NFEV] = nfev
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            status: int = iteration.advance(state.vectors, state.scalars, state.constants, state.variant, f, g)
        backends.spend(time.perf_counter() - began)
        return status


#: Seconds after which machine code comes back, so that Ctrl-C, `maxtime` and the display are looked at.
SLICE = 0.03


class CompiledDriver:
    """Stays in machine code, but for no longer than `SLICE` and one evaluation."""

    def __init__(self, compiled: Compiled, state: RunState) -> None:
        from numba_kernels import loop

        self._run = loop.kernel(RULES[state.variant])
        self._compiled = compiled
        address, data, raised = compiled.bind()
        n, dtype = state.vectors.shape[1], state.vectors.dtype
        sign = -1 if state.maximize else 1
        self._x = state.vectors[record.X]
        self._call = address, data, raised, sign
        self._record = state.vectors, state.scalars, state.constants
        self._stop = np.zeros(1, np.int64)
        self._room = np.empty(n, dtype), np.empty(n, dtype)

    def __call__(self, max_iterations: int) -> int:
        if max_iterations == 1:
            return self._slice(max_iterations)
        # How long an evaluation takes may change on the way, so it is no use to count.
        timer = threading.Timer(SLICE, self._stop.__setitem__, (0, 1))
        timer.daemon = True
        timer.start()
        try:
            return self._slice(max_iterations)
        finally:
            timer.cancel()

    def _slice(self, max_iterations: int) -> int:
        self._stop[0] = 0
        status = int(self._run(*self._call, *self._record, max_iterations, self._stop, *self._room))
        if status == Status.RAISED:
            self._compiled.explain(self._x)
        return status


def driver(
    objective: Objective,
    compiled: Compiled | None,
    state: RunState,
    backend: str | None,
    watch: Callable[..., int] | None = None,
) -> PythonDriver | CompiledDriver:
    """The fastest driver that there is for an objective.

    One that is to be watched, by ``watch(advance, f, g, nfev) -> status``, is in Python.
    """
    vectors = state.vectors
    if compiled is not None and watch is None:
        # Who brings machine code wants speed: Numba is loaded at once.
        wanted = "numba" if backend is None and backends.numba_loaded() is not None else backend
        if backends.resolve(wanted, vectors.shape[1], vectors.dtype) == "numba":
            return CompiledDriver(compiled, state)
    return PythonDriver(objective, state, backend, watch)


def proceed(state: RunState) -> int:
    """Bring a state to where an evaluation is due, or the run ends: a stopping rule may have ended it before."""
    if state.scalars[record.NIT] < 0 or state.scalars[record.STEP_MADE]:
        return Status.CONTINUE
    with np.errstate(all="ignore"):
        return int(iteration.resume_step(state.vectors, state.scalars, state.constants, state.variant))


def _stays(state: RunState) -> bool:
    """Whether the next point is one that has been evaluated already."""
    return bool(state.scalars[record.STEP_MADE] and equal(state.vectors[record.X], state.vectors[record.LAST_X]))
