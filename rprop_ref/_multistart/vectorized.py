"""Many runs with an objective in machine code: what goes into `numba_kernels.many_runs`, and what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._core import record
from .._core.status import Status, message_of
from .._minimizer import state as _state
from .._minimizer.compiled_objective import Compiled
from .._minimizer.state import RunState
from ..rules import RULES
from . import rows as _rows

Array = np.ndarray[Any, Any]

#: From so many starts on it is worth half a second to compile the objective once more, for its number of
#: variables, so that each instruction evaluates it for several runs.
COMPILE_FROM = 4096


class SideBySide:
    """Takes runs from their starts to their ends in machine code.

    Parameters
    ----------
    compiled : Compiled
        The objective.
    state : RunState
        Of a run with the same options, from anywhere.
    lr, xtol
        The options of this name.
    m : int
        How many runs there will be in all.
    """

    def __init__(
        self, compiled: Compiled, state: RunState, lr: ArrayLike | str | None, xtol: float | None, m: int
    ) -> None:
        self._compiled = compiled
        self._state = state
        self._lr = lr
        self._xtol = xtol
        #: Whether several threads may call this at once. Those of Numba's workqueue cannot be shared.
        self.in_threads = not compiled.parallel
        self._block = compiled.batched() if m >= COMPILE_FROM and state.box is None else 0

    def __call__(self, points: Array, control: Array | None = None) -> _rows.Rows:
        """The results of runs from some starts, of shape (m, \\*shape).

        `control` is that of `numba_kernels.many_runs.run`, by which another thread may stop this one; then what is
        returned means nothing.
        """
        from numba_kernels import many_runs

        state = self._state
        m, n, dtype = len(points), state.vectors.shape[1], state.vectors.dtype
        starts = np.ascontiguousarray(points.reshape(m, n))
        box = np.empty((0, n), dtype)
        if state.box is not None:
            box = np.array(state.box)
            starts = np.minimum(np.maximum(starts, box[0]), box[1])
        with np.errstate(all="ignore"):
            sizes = np.ascontiguousarray(_state.first_sizes(starts, state.shape, self._lr), dtype)
            least_xtol, floor = _state.least(starts, sizes)
        least = np.column_stack([least_xtol if self._xtol is None else np.full(m, self._xtol, float), floor])
        template = _state.unstarted(dtype)
        template[record.MAXITER :] = state.scalars[record.MAXITER :]
        x, g = np.empty_like(starts), np.empty_like(starts)
        table = np.empty((m, many_runs.RESULTS))
        address, data, raised = self._compiled.bind()
        sign = -1 if state.maximize else 1
        many_runs.kernel(RULES[state.variant])(
            (address, data),
            self._block,
            raised,
            sign,
            box,
            starts,
            sizes,
            least,
            template,
            state.constants,
            x,
            g,
            table,
            np.zeros(2, np.int64) if control is None else control,
        )
        status = table[:, many_runs.STATUS].astype(int)
        nit = np.maximum(table[:, many_runs.NIT], 0).astype(int)
        nfev = table[:, many_runs.NFEV].astype(int)
        rows = _rows.Rows(
            message=list(map(message_of, status.tolist())),
            status=status,
            fun=sign * table[:, many_runs.F],
            x=x.reshape(points.shape),
            nit=nit,
            jac=sign * g.reshape(points.shape),
            nfev=nfev,
            njev=nfev.copy(),
        )
        if control is None or control[many_runs.STOP] == 0:
            for i in np.flatnonzero(status == Status.RAISED):
                self._explain(rows, i, points[i])
        return rows

    def _explain(self, rows: _rows.Rows, i: Any, start: Array) -> None:
        """Replace the row of a run whose objective raised an exception by one that says which."""
        try:
            self._compiled.explain(rows.x[i].reshape(-1))
        except Exception as error:
            failed = _rows.without_result(start[None], Status.RAISED, [f"{type(error).__name__}: {error}"])
        rows.message[i] = failed.message[0]
        for name in ("status", "fun", "x", "nit", "jac", "nfev", "njev"):
            getattr(rows, name)[i] = getattr(failed, name)[0]
