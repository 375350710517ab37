"""Drivers: the loop that evaluates the objective and advances the record, in Python or in machine code.

A driver is called as ``drive(max_iterations)``. It evaluates and advances at most that many times (a retreat
counts too), stops when the run has ended, and returns the last `Status` that `iteration.advance` returned. All
drivers leave the same bits in the record.
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
from .._core.probing import begin_check
from .._core.status import Status
from .._core.vectors import equal
from ..rules import RULES
from .compiled_objective import CompiledObjective
from .objective import Objective
from .samples import AveragedObjective
from .state import RunState

Array = np.ndarray[Any, Any]

#: ``advance(f, g, nfev) -> status``.
Advance = Callable[[float, Array, int], int]


class PythonDriver:
    """Calls the objective from Python. Advances with NumPy at first, with Numba once that pays and it is ready.

    Parameters
    ----------
    objective : Objective
    state : RunState
        Changed in place.
    backend : str or None
        The option of `minimize`.
    traced_advance : callable, optional
        ``traced_advance(advance, f, g, nfev) -> status`` calls ``advance(f, g, nfev)`` and adds the iteration to
        the trace.
    """

    def __init__(
        self,
        objective: Objective,
        state: RunState,
        backend: str | None,
        traced_advance: Callable[..., int] | None = None,
    ) -> None:
        self._objective = objective
        self._state = state
        self._backend = backend
        self._traced_advance = traced_advance
        self._advance: Advance | None = None
        self._status: int = Status.STAYED if _is_already_evaluated(state) else Status.CONTINUE
        self._calls = 0
        self._nfev, self._njev = int(state.scalars[record.NFEV]), int(state.scalars[record.NJEV])

    def __call__(self, max_iterations: int) -> int:
        # Local names, since attribute look-ups in the loop are a measurable cost when the objective is cheap.
        objective, stayed = self._objective, Status.STAYED.value
        going_on, claimed = Status.CONTINUE.value, Status.CLAIMED.value
        evaluate, x = objective.evaluate, self._state.vectors[record.X]
        last_f = functools.partial(self._state.scalars.item, record.LAST_F)
        last_g = self._state.vectors[record.LAST_G]
        pattern_move = functools.partial(self._state.scalars.item, record.PATTERN)
        status, calls = self._status, self._calls
        for _ in range(max_iterations):
            if status == stayed:
                f, g = last_f(), last_g
            else:
                if objective.by_differences:
                    # At the point of a pattern move that is no lower, the run goes back without the gradient.
                    objective.needed_below = last_f() if pattern_move() else np.inf
                f, g = evaluate(x)
                calls += 1
            advance = self._advance or self._choose_advance()
            status = advance(f, g, self._nfev + calls + objective.further_evaluations)
            if status == going_on:
                continue
            if status == claimed:
                status = self.begin_check()
            if status >= 0:
                break
        self._state.scalars[record.NJEV] = self._njev + calls + objective.further_gradients
        self._status, self._calls = status, calls
        return int(status)

    def _choose_advance(self) -> Advance:
        """The `advance` for this iteration. It is kept once it is Numba's; NumPy's may still be replaced."""
        state = self._state
        advance: Advance = self._advance_numpy
        _, n = state.vectors.shape
        # Numba's does not check claims, which is rare.
        backend = "numpy" if state.scalars[record.CHECK] else self._backend
        name = backends.resolve(backend, n, state.vectors.dtype, "iterate", state.variant)
        use_numba = name == "numba"
        if use_numba:
            from numba_kernels import iterate

            advance = iterate.bind(state.vectors, state.scalars, state.constants, state.variant)
        if self._traced_advance is not None:
            advance = functools.partial(self._traced_advance, advance)
        if use_numba:
            self._advance = advance
        return advance

    def begin_check(self) -> int:
        """Begin the check of a claim, where Numba's `advance` has ended."""
        self._advance = None
        with np.errstate(all="ignore"):
            return int(begin_check(self._state.vectors, self._state.scalars))

    def _advance_numpy(self, f: float, g: Array, nfev: int) -> int:
        state = self._state
        state.scalars[record.NFEV] = nfev
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            status: int = iteration.advance(state.vectors, state.scalars, state.constants, state.variant, f, g)
        backends.spend(time.perf_counter() - began)
        return status


#: Seconds after which the compiled loop returns, to let Python handle Ctrl-C, `maxtime` and the progress display.
SLICE = 0.03


class CompiledDriver:
    """Runs the loop in machine code. Each call returns at the first iteration that ends after `SLICE` seconds.

    The check of a claim is left to `PythonDriver`.
    """

    def __init__(self, objective: Objective, compiled: CompiledObjective, state: RunState) -> None:
        from numba_kernels import loop

        self._objective = objective
        self._state = state
        self._checking: PythonDriver | None = None
        self._run = loop.kernel(RULES[state.variant])
        self._compiled = compiled
        address, data, raised = compiled.bind()
        n, dtype = state.vectors.shape[1], state.vectors.dtype
        self._x = state.vectors[record.X]
        self._call = address, data, raised, state.sign
        self._record = state.vectors, state.scalars, state.constants
        self._stop = np.zeros(1, np.int64)
        self._buffers = np.empty(n, dtype), np.empty(n, dtype)  # for x and g

    def __call__(self, max_iterations: int) -> int:
        if self._checking is not None:
            return self._checking(max_iterations)
        self._stop[0] = 0  # before the timer starts, which may end before the loop begins
        if max_iterations == 1:
            return self._run_loop(max_iterations)
        # A timer rather than a number of iterations, since the time of an evaluation may change during the run.
        timer = threading.Timer(SLICE, self._stop.__setitem__, (0, 1))
        timer.daemon = True
        timer.start()
        try:
            return self._run_loop(max_iterations)
        finally:
            timer.cancel()

    def _run_loop(self, max_iterations: int) -> int:
        status = int(self._run(*self._call, *self._record, max_iterations, self._stop, *self._buffers))
        if status == Status.RAISED:
            self._compiled.reraise(self._x)
        if status == Status.CLAIMED:
            self._checking = PythonDriver(self._objective, self._state, "numpy")
            return self._checking.begin_check()
        return status


class SwitchingDriver:
    """For a machine-code objective: advances with NumPy until the loop in machine code is ready, and then runs it.

    Each call returns at the first iteration that ends after `SLICE` seconds.
    """

    def __init__(
        self, objective: Objective, compiled: CompiledObjective, state: RunState, backend: str | None
    ) -> None:
        self._objective = objective
        self._compiled = compiled
        self._state = state
        self._backend = backend
        self._loop: CompiledDriver | None = None

    def __call__(self, max_iterations: int) -> int:
        end = time.perf_counter() + SLICE
        status: int = Status.CONTINUE
        for made in range(max_iterations):
            if self._loop is None and self._is_ready():
                self._loop = CompiledDriver(self._objective, self._compiled, self._state)
            if self._loop is not None:
                return self._loop(max_iterations - made)
            status = self._python_driver(1)
            if status >= 0 or time.perf_counter() > end:
                break
        return status

    def _is_ready(self) -> bool:
        state = self._state
        if state.scalars[record.CHECK]:  # NumPy checks claims
            return False
        _, n = state.vectors.shape
        return backends.resolve(self._backend, n, state.vectors.dtype, "loop", state.variant) == "numba"

    @functools.cached_property
    def _python_driver(self) -> PythonDriver:
        return PythonDriver(self._objective, self._state, "numpy")


def driver(
    objective: Objective,
    compiled: CompiledObjective | None,
    state: RunState,
    backend: str | None,
    traced_advance: Callable[..., int] | None = None,
) -> PythonDriver | SwitchingDriver:
    """The fastest driver for an objective. A run with a trace, or of means, needs the one in Python."""
    if compiled is not None and traced_advance is None and not isinstance(objective, AveragedObjective):
        return SwitchingDriver(objective, compiled, state, backend)
    return PythonDriver(objective, state, backend, traced_advance)


def make_pending_step(state: RunState) -> int:
    """Make the step that an earlier call of `minimize` left out because a stopping rule ended it.

    A driver begins with an evaluation, for which this step sets the point. Returns `CONTINUE`, or the status with
    which the run ends at once.
    """
    if state.scalars[record.NIT] < 0 or state.scalars[record.STEP_MADE] or state.scalars[record.CHECK]:
        return Status.CONTINUE
    with np.errstate(all="ignore"):
        return int(iteration.resume_step(state.vectors, state.scalars, state.constants, state.variant))


def _is_already_evaluated(state: RunState) -> bool:
    """Whether the next point equals the last one, whose value and gradient are in the record."""
    return bool(state.scalars[record.STEP_MADE] and equal(state.vectors[record.X], state.vectors[record.LAST_X]))
