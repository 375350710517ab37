"""`minimize_many`: minimize the same objective from many starts."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from .. import backends
from .._common import workers as _workers
from .._core.checks import check_plain
from .._core.status import Status, message_of
from .._minimizer.bounds import Bounds, bounds_as_arrays, clipped
from .._minimizer.compiled_objective import CompiledObjective
from .._minimizer.minimize import OPTIONS, minimize
from .._minimizer.objective import gradient_name
from .._minimizer.options import (
    check_callback,
    gradient_source,
    refuse_constraints,
    warn,
    warn_of_hessians,
    warn_of_outside,
    warn_of_unknown,
)
from .._minimizer.progress import ManyRunsProgress
from .._minimizer.recognize import recognize
from .._minimizer.result import Result
from .._minimizer.starting import as_floats
from .._minimizer.state import RunState
from ..rules import DEFAULT
from .cuda import is_gpu_objective, run_on_gpu
from .rows import Rows, joined, of_error, of_results, without_result
from .shared_options import SharedOptions
from .vectorized import VectorizedRuns

Array = np.ndarray[Any, Any]

#: Arguments of `minimize` that are refused here.
_FOR_ONE_RUN = ("return_all", "warm_start", "checkpoint", "checkpoint_every", "resume", "trace")

_OPTIONS = [name for name in OPTIONS if name not in _FOR_ONE_RUN]

_NOT_RUN = "`callback` raised `StopIteration` before this start was run."


def minimize_many(
    fun: Any,
    x0s: ArrayLike,
    args: Any = (),
    jac: Callable[..., Any] | bool | str | None = None,
    bounds: Any = None,
    callback: Callable[[OptimizeResult], Any] | None = None,
    workers: Any = 1,
    **options: Any,
) -> OptimizeResult:
    """Minimize a function from many starts.

    Row i of the result is what ``minimize(fun, x0s[i], ...)`` returns, bit for bit, wherever it is run.

    Parameters
    ----------
    fun, args, jac, bounds
        As for `minimize`.
    x0s : array_like, shape (m, n) or (m, \\*shape)
        The starts, for instance from `starts`. Not modified.
    callback : callable, optional
        ``callback(result)``, called in this process with the result of each start, in the order of the
        starts; ``result.index`` is its row. It may raise StopIteration: then no results of later starts are
        returned, and those not yet begun are not run.
    workers : int, executor, Client or map-like callable, optional
        What runs the objective:

        * a number of processes. 1, the default, is this process alone, and -1 is one per processor. For an
          objective in machine code (see `minimize`) it is a number of threads of this process, and 1 stands for
          as many as Numba uses (``numba.set_num_threads``);
        * an executor of `concurrent.futures`; one of threads if the objective releases the GIL;
        * a ``dask.distributed.Client``; if a worker is lost, its work is done again;
        * a callable like `map`.

        Everything that is sent to another process must be picklable.
    **options
        Options of `minimize`, the same for all starts. `progress` shows how many runs have ended, `disp` prints a
        summary.

    Returns
    -------
    scipy.optimize.OptimizeResult
        The first axis of each array is the start: ``x`` and ``jac`` of the shape of `x0s`, ``fun``, ``nit``,
        ``nfev``, ``njev``, ``status`` and ``success`` of shape (m,); ``message`` is a sequence of m strings;
        ``gradient`` is one string, see `minimize`. ``best`` is the row with the lowest finite value (the highest,
        if `maximize`), the first of equal ones, as a result with its row number as ``index``. See
        `distinct_minima` for the others.

    Raises
    ------
    TypeError
        If `workers` has the wrong type, or if the objective cannot be sent to other processes.
    ValueError
        If there is no start, if an option is not valid for `minimize`, or if it is for a single run only.

    Notes
    -----
    If the objective raises an exception at one start, that row reports it, and the others finish. The row has
    status 100, the exception as its ``message``, `x0` as ``x``, NaN as ``fun`` and ``jac``, and counts of 0. If it
    does so at every start, a RuntimeWarning shows the first exception.

    In machine code, once its kernel is ready (see `backend` of `minimize`; until then starts are run one after the
    other), several runs share each vector instruction; with bounds or more than 32 variables, they are
    run one by one. For thousands of starts, an objective of plain arithmetic is compiled once more, for its
    number of variables, which takes half a second. Several threads call an objective at the same time (unless it
    was compiled with ``parallel=True``), so it must not write to its `args`. Ctrl-C ends all runs within an
    iteration. With `maxtime` or `samples`, an objective in machine code is treated like one in Python: each start
    is a call of `minimize`, and `workers` is a number of processes.

    Processes are spawned, not forked. So a script that uses them needs ``if __name__ == "__main__":``, and it may
    have run parallel code before.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import minimize_many, starts
    >>> def fun(x):
    ...     return np.sum((x**2 - 1) ** 2 + 0.1 * x), 4 * x * (x**2 - 1) + 0.1
    >>> result = minimize_many(fun, starts([(-2, 2)] * 2, 16, seed=1), jac=True)
    >>> result.x.shape, bool(result.success.all())
    ((16, 2), True)
    >>> result.best.x.round(3), round(result.best.fun, 4)
    (array([-1.012, -1.012]), -0.2012)
    """
    points = _checked_starts(x0s)
    check_callback(callback)
    options = _checked_options(options)
    show_progress = options.pop("progress", False)
    disp = options.pop("disp", False)
    workers = _workers.checked(workers)
    args = args if isinstance(args, tuple) else (args,)
    gradient = gradient_source(options.get("gradient"), jac)
    on_gpu = is_gpu_objective(fun, gradient, args, points.dtype, options.get("backend"))
    if on_gpu:
        _refuse_on_gpu(options)
        options["backend"] = "numpy"  # for the trial run below, which is on the host
    box = bounds_as_arrays(bounds, points.shape[1:], points.dtype)
    points = _within(points, box)
    bounds = None if box is None else list(zip(*box, strict=True))
    state = _trial_state(points[0], None if on_gpu else jac, bounds, options)
    task = _Task(fun, args, jac, bounds, options, len(points))
    compiled = task.machine_code(points[0]) if isinstance(workers, int) and not on_gpu else None
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(ManyRunsProgress(len(points), state.maximize)) if show_progress else None
        results: Iterable[Rows]
        if on_gpu:
            results = [run_on_gpu(fun, args, task.shared_options(state), points)]
        elif compiled is not None:
            rows_of_threads = task.in_threads(compiled, points, state, workers, progress)
            results = stack.enter_context(contextlib.closing(rows_of_threads))
        else:
            pieces = [points[piece] for piece in _workers.pieces(len(points))]
            results = stack.enter_context(_workers.mapped(task, pieces, workers))
        rows = _collected(results, points, callback, progress)
    if (rows.status == Status.RAISED).all():
        warn(f"The objective raised an exception at every start; at the first: {rows.message[0]}", RuntimeWarning)
    result = _result_of(rows, state.maximize, rows.gradient or gradient_name(gradient, compiled=False))
    if disp:
        _print_summary(result)
    return result


@dataclass
class _Task:
    """The work on a piece of the starts, as it is sent to a worker; `m` is the number of all starts."""

    fun: Any
    args: tuple[Any, ...]
    jac: Any
    bounds: Any
    options: dict[str, Any]
    m: int

    def __call__(self, points: Array) -> Rows:
        """The results of runs from some starts."""
        compiled = self.machine_code(points[0])
        if compiled is not None and self._is_ready(points[0]):
            state = _trial_state(points[0], self.jac, self.bounds, self.options)
            return VectorizedRuns(compiled, self.shared_options(state), self.m)(points)
        return joined([self._single_run(x0) for x0 in points])

    def in_threads(
        self,
        compiled: CompiledObjective,
        points: Array,
        state: RunState,
        workers: int,
        progress: ManyRunsProgress | None,
    ) -> Generator[Rows, None, None]:
        """The results: until the kernel is ready, of single runs, and then from threads that run machine code.

        `state` is that of any run with these options.
        """
        done = 0
        while done < len(points) and not self._is_ready(points[0]):
            yield self._single_run(points[done])
            done += 1
        if done == len(points):
            return
        runs = VectorizedRuns(compiled, self.shared_options(state), len(points) - done)
        show = None if progress is None else lambda ended: progress(done + ended)
        with _workers.in_threads(runs, points[done:], workers, show) as rows:
            yield from rows

    def _single_run(self, x0: Array) -> Rows:
        try:
            result = minimize(self.fun, x0, args=self.args, jac=self.jac, bounds=self.bounds, **self.options)
            return of_results([result])
        except Exception as error:
            return of_error(x0, error)

    def machine_code(self, x0: Array) -> CompiledObjective | None:
        """The objective, if it is machine code and whole runs may be."""
        # The kernel of many runs does not support these.
        if self.options.get("maxtime") is not None or self.options.get("samples", 1) != 1:
            return None
        if self.options.get("backend") == "numpy":
            return None
        jac = gradient_source(self.options.get("gradient"), self.jac)
        return recognize(self.fun, jac, self.args, x0.shape, x0.dtype)

    def _is_ready(self, x0: Array) -> bool:
        """Whether the kernel of many runs can be called; if it cannot, it is made beside them in time."""
        backend, variant = self.options.get("backend"), self.options.get("variant", DEFAULT)
        return backends.resolve(backend, x0.size, x0.dtype, "many_runs", variant) == "numba"

    def shared_options(self, state: RunState) -> SharedOptions:
        """The options as `VectorizedRuns` and the GPU need them; `state` is that of any run with these options."""
        return SharedOptions(state, self.options.get("lr"), self.options.get("xtol"))


def _checked_starts(x0s: ArrayLike) -> Array:
    check_plain(x0s, "x0s")
    points = np.asarray(x0s)
    if points.ndim < 2:
        raise ValueError(
            f"x0s must be of shape (m, n), but has shape {points.shape}; for a single start use minimize"
        )
    if len(points) == 0:
        raise ValueError(f"x0s must hold at least one start, but has shape {points.shape}")
    return as_floats("x0s", points)


def _within(points: Array, box: Bounds) -> Array:
    """The starts, moved into the bounds; warns if one is outside."""
    flat = points.reshape(len(points), -1)
    warn_of_outside(flat, box)
    return clipped(flat, box).reshape(points.shape)


def _checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options for every run. Raises ValueError for those of a single run, and warns about unknown ones."""
    refuse_constraints(options.pop("constraints", None))
    # Here, since `minimize` would warn at every start.
    warn_of_hessians(options.pop("hess", None), options.pop("hessp", None))
    warn_of_unknown([name for name in options if name not in OPTIONS], _OPTIONS)
    for name in _FOR_ONE_RUN:
        value, default = options.get(name), OPTIONS[name]
        if value is not None and value is not default and not (isinstance(value, int) and value == default):
            raise ValueError(f"{name} is for a single run; use minimize, or leave it out for many starts")
    return {name: value for name, value in options.items() if name in _OPTIONS}


def _refuse_on_gpu(options: dict[str, Any]) -> None:
    """Raise TypeError for options that runs on the GPU do not have."""
    for name in ("maxtime", "samples"):
        if options.get(name, OPTIONS[name]) != OPTIONS[name]:
            raise TypeError(f"an objective on the GPU cannot be run with {name}={options[name]!r}; leave it out")


def _trial_state(x0: Array, jac: Any, bounds: Any, options: dict[str, Any]) -> RunState:
    """The state of a trial run with these options, of an objective that is NaN everywhere: it ends at once.

    In it `minimize` raises for invalid options. Otherwise every start would report that error in its row.
    """
    if options.get("gradient") is None and (jac is None or isinstance(jac, (bool, np.bool_)) or callable(jac)):
        jac = np.zeros_like
    if options.get("backend") is None:
        options = {**options, "backend": "numpy"}  # one evaluation is not worth loading Numba's kernels
    result = minimize(lambda x: np.sum(np.nan * x), x0, jac=jac, bounds=bounds, **options)
    state: RunState = result.state
    return state


def _collected(
    results: Iterable[Rows],
    points: Array,
    callback: Callable[[OptimizeResult], Any] | None,
    progress: ManyRunsProgress | None,
) -> Rows:
    """All results, in the order of the starts. After a StopIteration of the callback, rows without result."""
    parts: list[Rows] = []
    done = 0
    for part in results:
        parts.append(part)
        if progress is not None:
            progress(done + len(part), part.fun)
        if callback is None:
            done += len(part)
            continue
        for i in range(len(part)):
            row = part.row(i)
            row.index = done + i
            try:
                callback(row)
            except StopIteration:
                parts[-1] = part.first(i + 1)
                parts.append(without_result(points[done + i + 1 :], Status.CALLBACK_STOPPED, _NOT_RUN))
                return joined(parts)
        done += len(part)
    return joined(parts)


def _result_of(rows: Rows, maximize: bool, gradient: str) -> Result:
    i = _best(rows.fun, maximize)
    return Result(
        message=rows.message,
        success=rows.success,
        status=rows.status,
        fun=rows.fun,
        x=rows.x,
        nit=rows.nit,
        jac=rows.jac,
        nfev=rows.nfev,
        njev=rows.njev,
        gradient=gradient,
        maximize=maximize,
        best=Result(rows.row(i), index=i),
    )


def _best(values: Array, maximize: bool) -> int:
    """The index of the best value that is finite; 0 if none is."""
    ascending = -values if maximize else values
    return int(np.argmin(np.where(np.isfinite(ascending), ascending, np.inf)))


def _print_summary(result: OptimizeResult) -> None:
    # Tolerances that were met count as one, though each message has figures of its own.
    messages = collections.Counter(
        message_of(status) if status == Status.CONVERGED else result.message[i]
        for i, status in enumerate(result.status.tolist())
    )
    for message, number in messages.most_common():
        print(f"{number:9d}  {message}")
    print(f"         Best function value: {result.best.fun:f}, of start {result.best.index}")
    print(f"         Iterations: {result.nit.sum():d}")
    print(f"         Function evaluations: {result.nfev.sum():d}")
