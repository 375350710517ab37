"""The runs of `minimize_many` in machine code, several in each vector instruction."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.status import Status
from .._minimizer.compiled_objective import CompiledObjective
from ..rules import RULES
from . import claims
from .rows import Rows, of_error, of_records
from .shared_options import InitialValues, SharedOptions

Array = np.ndarray[Any, Any]

#: The number of starts from which it pays to spend half a second on compiling the objective again, for its number
#: of variables, so that each vector instruction evaluates it for several runs.
COMPILE_FROM = 4096


class VectorizedRuns:
    """Runs an objective in machine code from many starts.

    Parameters
    ----------
    compiled : CompiledObjective
    options : SharedOptions
    m : int
        The number of starts of all calls together, which decides whether compiling again pays.
    """

    def __init__(self, compiled: CompiledObjective, options: SharedOptions, m: int) -> None:
        self._compiled = compiled
        self._options = options
        #: Whether several threads may call this at once. A parallel objective uses Numba's own threads, which its
        #: workqueue layer does not allow from several threads.
        self.allows_threads = not compiled.parallel
        self._batched = compiled.batched() if m >= COMPILE_FROM and options.state.bounds is None else 0

    def __call__(self, points: Array, control: Array | None = None) -> Rows:
        """The results of runs from some starts, of shape (m, \\*shape).

        Another thread may stop the runs through `control`, see `numba_kernels.many_runs.kernel`. The returned rows
        are then meaningless.
        """
        from numba_kernels import many_runs

        state, sign = self._options.state, self._options.sign
        initial = self._options.initial_values(points)
        no_bounds = np.empty((0, initial.x.shape[1]), initial.x.dtype)
        bounds = no_bounds if state.bounds is None else np.array(state.bounds)
        x, g = np.empty_like(initial.x), np.empty_like(initial.x)
        # Rows of runs that are stopped keep this status.
        table = np.full((len(points), many_runs.RESULTS), float(Status.CONTINUE))
        address, data, raised = self._compiled.bind()
        many_runs.kernel(RULES[state.variant])(
            (address, data),
            self._batched,
            raised,
            sign,
            bounds,
            initial.x,
            initial.step_sizes,
            np.column_stack([initial.xtol, initial.size_floor]),
            initial.scalars,
            state.constants,
            x,
            g,
            table,
            np.zeros(2, np.int64) if control is None else control,
        )
        is_stopped = control is not None and control[many_runs.STOP] != 0
        errors = {} if is_stopped else self._check_claims(initial, table, x, g)
        rows = of_records(
            table[:, many_runs.STATUS],
            table[:, : many_runs.STATUS],
            x.reshape(points.shape),
            g.reshape(points.shape),
            state.scalars,
            sign,
        )
        if not is_stopped:
            for i in np.flatnonzero(rows.status == Status.RAISED).tolist():
                error = errors.get(i) or self._exception_at(rows.x[i].reshape(-1))
                rows.replace(i, of_error(points[i], error))
        return rows

    def _check_claims(self, initial: InitialValues, table: Array, x: Array, g: Array) -> dict[int, Exception]:
        """Check the claims among the results, in place; return the exceptions that the objective raised."""
        errors = {}
        claimed = np.flatnonzero(table[:, -1] == Status.CLAIMED)
        with np.errstate(all="ignore"):
            confirmed = claims.are_confirmed(
                self._options, initial, claimed, table[claimed, :-1], x[claimed], g[claimed]
            )
        table[claimed[confirmed], -1] = Status.CONVERGED
        for i in claimed[~confirmed].tolist():
            try:
                table[i, -1] = claims.check(self._compiled, self._options, initial, i, table[i, :-1], x[i], g[i])
            except Exception as error:
                table[i, -1] = Status.RAISED
                errors[i] = error
        return errors

    def _exception_at(self, x: Array) -> Exception:
        """The exception that the objective raises at x."""
        try:
            self._compiled.reraise(x)
        except Exception as error:
            return error
