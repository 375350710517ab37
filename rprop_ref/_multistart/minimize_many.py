"""`minimize_many`: the same objective from many starts."""

from __future__ import annotations

import collections
import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, OptimizeWarning

from .. import backends
from .._common import workers as _workers
from .._common.stacklevel import stacklevel
from .._core.status import Status
from .._minimizer import minimize as _minimize
from .._minimizer import options as _options
from .._minimizer.compiled_objective import recognize
from .._minimizer.progress import Starts
from .._minimizer.result import Result
from .._minimizer.state import RunState
from . import cuda
from . import rows as _rows
from .rows import Rows
from .vectorized import SideBySide

Array = np.ndarray[Any, Any]

#: Options of `minimize` that say something about one run.
_OF_ONE_RUN = ("hess", "hessp", "return_all", "warm_start", "checkpoint", "checkpoint_every", "resume", "trace")

_OPTIONS = frozenset(
    name
    for name, parameter in inspect.signature(_minimize.minimize).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
)

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

    Row i of the result is what ``minimize(fun, x0s[i], ...)`` returns, to the bit, whoever does the work.

    Parameters
    ----------
    fun, args, jac, bounds
        As for `minimize`.
    x0s : array_like, shape (m, n) or (m, \\*shape)
        The starts, for instance of `starts`. Not changed.
    callback : callable, optional
        ``callback(result)``, called in this process with the result of each start, in the order of the
        starts; ``result.index`` is its row. It may raise StopIteration: the starts after that one are not run,
        or what they gave is left out.
    workers : int, executor, Client or map-like callable, optional
        Where a Python objective is run. A number of processes; 1, the default, is this one, and -1 is one for each
        processor. (An objective in machine code, see `minimize`, runs in so many threads of this process instead;
        by default in as many as Numba uses, ``numba.set_num_threads``.) Or an executor of `concurrent.futures`; of
        threads, if the objective releases the interpreter's lock. Or a ``dask.distributed.Client``: then a worker
        that is lost costs time and no result. Or a callable that is used like `map`. What goes to another process
        has to be picklable.
    **options
        Of `minimize`; the same for all starts. `progress` shows how many have ended, `disp` prints a summary.

    Returns
    -------
    scipy.optimize.OptimizeResult
        The arrays lead with m: ``x`` and ``jac`` of the shape of `x0s`, ``fun``, ``nit``, ``nfev``, ``njev``,
        ``status`` and ``success`` of shape (m,); ``message`` is a list of m strings. ``best`` is the result of the
        best start, with its row as ``index``: that with the lowest finite value (the highest, if maximized), the
        first of equal ones. See `distinct_minima` for the others.

    Raises
    ------
    TypeError
        If `workers` is none of these, or the objective cannot be sent to other processes; the message says what to
        do about it.
    ValueError
        If there is no start, or an option is refused by `minimize` or says something about a single run.

    Notes
    -----
    A start at which the objective raises an exception has status 100, the exception in its ``message``, `x0` as
    ``x``, NaN as ``fun`` and ``jac``, and counts of 0. The others finish.

    Runs in machine code go side by side, several in each vector instruction; with bounds or more than 32
    variables, one by one. For thousands of starts an objective of plain arithmetic is compiled once more, for its
    number of variables, which takes half a second. Several threads call an objective at once, unless Numba has
    made it parallel, so it must not write to its `args`. Ctrl-C ends all runs within an iteration. With `maxtime`,
    runs in machine code are treated like those of a Python objective: `workers` is a number of processes then.

    Other processes are spawned and not forked. So a script that uses them needs ``if __name__ == "__main__":``,
    and parallel code that has run in this process does no harm there.

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
    points = _points(x0s)
    _options.check_callback(callback)
    options = _known(options)
    show = options.pop("progress", False)
    disp = options.pop("disp", False)
    workers = _workers.checked(workers)
    arguments = args if isinstance(args, tuple) else (args,)
    gradient = options.get("gradient") or jac
    there = cuda.recognize(fun, gradient, arguments, points.dtype, options.get("backend"))
    if there:
        options["backend"] = "numpy"  # of what is left to do on the host
    state = _try_options(points[0], None if there else jac, bounds, options)
    task = _Task(fun, arguments, jac, bounds, options, len(points))
    runs = task.in_machine_code(points[0], state) if isinstance(workers, int) and not there else None
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(Starts(len(points), state.maximize)) if show else None
        results: Iterable[Rows]
        if there:
            lr, xtol = options.get("lr"), options.get("xtol")
            results = [cuda.run(fun, arguments, state, lr, xtol, points)]
        elif runs is not None:
            results = stack.enter_context(_workers.in_threads(runs, points, workers, shown))
        else:
            work = [points[piece] for piece in _workers.pieces(len(points))]
            results = stack.enter_context(_workers.mapped(task, work, workers))
        rows = _collected(results, points, callback, shown)
    result = _assembled(rows, state.maximize)
    if disp:
        _print_summary(result)
    return result


@dataclass
class _Task:
    """What a worker does with a piece of the starts."""

    fun: Any
    args: tuple[Any, ...]
    jac: Any
    bounds: Any
    options: dict[str, Any]
    m: int

    def __call__(self, points: Array) -> Rows:
        runs = self.in_machine_code(points[0])
        if runs is not None:
            return runs(points)
        rows: list[Rows] = []
        for x0 in points:
            try:
                result = _minimize.minimize(
                    self.fun, x0, args=self.args, jac=self.jac, bounds=self.bounds, **self.options
                )
                rows.append(_rows.of_results([result]))
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
                rows.append(_rows.without_result(x0[None], Status.RAISED, [message]))
        return _rows.joined(rows)

    def in_machine_code(self, x0: Array, state: RunState | None = None) -> SideBySide | None:
        """The same as machine code, if the objective is that; `state` is of any run with these options."""
        jac = _options.source(self.options.get("gradient"), self.jac)
        compiled = recognize(self.fun, jac, self.args, x0.shape, x0.dtype)
        # The clock is looked at by those who make one run at a time.
        if compiled is None or self.options.get("maxtime") is not None:
            return None
        if backends.resolve(self.options.get("backend"), x0.size, x0.dtype) != "numba":
            return None
        if state is None:
            state = _try_options(x0, self.jac, self.bounds, self.options)
        return SideBySide(compiled, state, self.options.get("lr"), self.options.get("xtol"), self.m)


def _points(x0s: ArrayLike) -> Array:
    points = np.asarray(x0s)
    if points.ndim < 2:
        raise ValueError(
            f"x0s must be of shape (m, n), but has shape {points.shape}; for a single start use minimize"
        )
    if len(points) == 0:
        raise ValueError(f"x0s must hold at least one start, but has shape {points.shape}")
    if points.dtype.kind not in "fiubO":
        raise ValueError(f"x0s must hold real numbers, but has dtype {points.dtype}")
    return points.astype(points.dtype if points.dtype in (np.float16, np.float32) else np.float64)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    _options.refuse_constraints(options.pop("constraints", None))
    unknown = [name for name in options if name not in _OPTIONS and name not in _OF_ONE_RUN]
    if unknown:
        # Once, and not by each start.
        message = f"Unknown solver options: {', '.join(unknown)}"
        warnings.warn(message, OptimizeWarning, stacklevel=stacklevel())
    for name in _OF_ONE_RUN:
        if options.get(name) not in (None, False):
            raise ValueError(f"{name} is for a single run; use minimize, or leave it out for many starts")
    return {k: v for k, v in options.items() if k in _OPTIONS and k not in _OF_ONE_RUN}


def _try_options(x0: Array, jac: Any, bounds: Any, options: dict[str, Any]) -> RunState:
    """Let `minimize` refuse what it refuses before anything is run, since later it would be a failed start.

    Returns the state of a run with these options.
    """
    if options.get("gradient") is None and (jac is None or isinstance(jac, (bool, np.bool_)) or callable(jac)):
        jac = np.zeros_like
    result = _minimize.minimize(lambda x: np.sum(0.0 * x), x0, jac=jac, bounds=bounds, **options)
    state: RunState = result.state
    return state


def _collected(
    results: Iterable[Rows],
    points: Array,
    callback: Callable[[OptimizeResult], Any] | None,
    shown: Starts | None,
) -> Rows:
    parts: list[Rows] = []
    done = 0
    for part in results:
        parts.append(part)
        if shown is not None:
            shown(done + len(part), part.fun)
        if callback is None:
            done += len(part)
            continue
        for i in range(len(part)):
            row = part.row(i)
            row.index = done + i
            try:
                callback(row)
            except StopIteration:
                left = points[done + i + 1 :]
                parts[-1] = part.first(i + 1)
                parts.append(_rows.without_result(left, Status.CALLBACK_STOPPED, [_NOT_RUN] * len(left)))
                return _rows.joined(parts)
        done += len(part)
    return _rows.joined(parts)


def _assembled(rows: Rows, maximized: bool) -> OptimizeResult:
    i = _best(rows.fun, maximized)
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
        maximize=maximized,
        best=Result(rows.row(i), index=i),
    )


def _best(values: Array, maximized: bool) -> int:
    order = -values if maximized else values
    # A value that is not finite is where a run failed.
    return int(np.argmin(np.where(np.isfinite(order), order, np.inf)))


def _print_summary(result: OptimizeResult) -> None:
    for message, number in collections.Counter(result.message).most_common():
        print(f"{number:9d}  {message}")
    print(f"         Best function value: {result.best.fun:f}, of start {result.best.index}")
    print(f"         Iterations: {result.nit.sum():d}")
    print(f"         Function evaluations: {result.nfev.sum():d}")
