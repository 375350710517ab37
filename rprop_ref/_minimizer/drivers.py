"""Who evaluates the objective and advances the record: a loop in Python, or one in machine code.

A driver is called as ``drive(turns)``. It evaluates and advances so many times, or until the run ends, and returns
what `iteration.advance` returned last. Whichever drives, the record has the same bits afterwards.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backends
from .._core import iteration as it
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
        self._take_in: Callable[[float, Array, int], int] | None = None
        self._status = it.STAYED if _stays(state) else it.GO_ON
        self._calls = 0
        self._nfev, self._njev = int(state.scalars[it.NFEV]), int(state.scalars[it.NJEV])

    def __call__(self, turns: int) -> int:
        # What is called in every iteration stands in local names: beside a small objective each look-up counts.
        objective, stayed = self._objective, it.STAYED
        evaluate, x = objective.evaluate, self._state.vectors[it.X]
        known_f, known_g = functools.partial(self._state.scalars.item, it.LAST_F), self._state.vectors[it.LAST_G]
        status, calls = self._status, self._calls
        for _ in range(turns):
            if status == stayed:
                f, g = known_f(), known_g
            else:
                f, g = evaluate(x)
                calls += 1
            take_in = self._take_in or self._choose()
            status = take_in(f, g, self._nfev + calls + objective.extra)
            if status >= 0:
                break
        self._state.scalars[it.NJEV] = self._njev + calls - objective.omitted
        self._status, self._calls = status, calls
        return int(status)

    def _choose(self) -> Callable[[float, Array, int], int]:
        state = self._state
        take_in: Callable[[float, Array, int], int] = self._numpys
        loaded = backends.resolve(self._backend, state.vectors.shape[1], state.vectors.dtype) == "numba"
        if loaded:
            from numba_kernels import iterate

            take_in = iterate.bind(state.vectors, state.scalars, state.constants, state.variant)
        if self._watch is not None:
            take_in = functools.partial(self._watch, take_in)
        if loaded:  # until then, each iteration asks anew
            self._take_in = take_in
        return take_in

    def _numpys(self, f: float, g: Array, nfev: int) -> int:
        state = self._state
        state.scalars[it.NFEV] = nfev
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            status: int = it.advance(state.vectors, state.scalars, state.constants, state.variant, f, g)
        backends.spend(time.perf_counter() - began)
        return status


#: Seconds after which machine code comes back, so that Ctrl-C, `maxtime` and the display are looked at.
SLICE = 0.03


class CompiledDriver:
    """Stays in machine code for all of its turns, but for no longer than `SLICE` and one evaluation."""

    def __init__(self, compiled: Compiled, state: RunState) -> None:
        from numba_kernels import iterate, loop

        self._run = loop.run
        self._raised = loop.RAISED
        self._compiled = compiled
        address, data, raised = compiled.bind()
        n, dtype = state.vectors.shape[1], state.vectors.dtype
        sign = -1 if state.maximize else 1
        self._x = state.vectors[it.X]
        self._call = address, data, raised, sign
        self._record = state.vectors, state.scalars, state.constants, iterate.CODES[state.variant]
        self._stop = np.zeros(1, np.int64)
        self._room = np.empty(n, dtype), np.empty(n, dtype)

    def __call__(self, turns: int) -> int:
        if turns == 1:
            return self._slice(turns)
        # How long an evaluation takes may change on the way, so it is no use to count.
        timer = threading.Timer(SLICE, self._stop.__setitem__, (0, 1))
        timer.daemon = True
        timer.start()
        try:
            return self._slice(turns)
        finally:
            timer.cancel()

    def _slice(self, turns: int) -> int:
        self._stop[0] = 0
        status = int(self._run(*self._call, *self._record, turns, self._stop, *self._room))
        if status == self._raised:
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

    One that is to be watched, by ``watch(take_in, f, g, nfev) -> status``, is in Python.
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
    if state.scalars[it.NIT] < 0 or state.scalars[it.MOVED]:
        return it.GO_ON
    with np.errstate(all="ignore"):
        return int(it.proceed(state.vectors, state.scalars, state.constants, state.variant))


def _stays(state: RunState) -> bool:
    """Whether the next point is one that has been evaluated already."""
    return bool(state.scalars[it.MOVED]) and bool(it.equal(state.vectors[it.X], state.vectors[it.LAST_X]))
