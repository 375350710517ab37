"""`minimize_many`: the same objective from many starts."""

from __future__ import annotations

import collections
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, OptimizeWarning

from . import _minimize, _workers
from ._caller import stacklevel

Array = np.ndarray[Any, Any]

#: Status of a start whose objective raised an exception.
RAISED = 100

#: Options of `minimize` that say something about one run.
_OF_ONE_RUN = ("hess", "hessp", "return_all", "warm_start", "checkpoint", "checkpoint_every", "resume")

_OPTIONS = frozenset(
    name
    for name, parameter in inspect.signature(_minimize.minimize).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
)

_NOT_RUN = "`callback` raised `StopIteration` before this start was run."


def minimize_many(
    fun: Callable[..., Any],
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
        processor. Or an executor of `concurrent.futures` (threads, for an objective that releases the
        interpreter's lock). Or a ``dask.distributed.Client``: then a worker that is lost costs time and no result.
        Or a callable that is used like `map`. What goes to another process has to be picklable.
    **options
        Of `minimize`; the same for all starts.

    Returns
    -------
    scipy.optimize.OptimizeResult
        The arrays lead with m: ``x`` and ``jac`` of the shape of `x0s`, ``fun``, ``nit``, ``nfev``, ``njev``,
        ``status`` and ``success`` of shape (m,); ``message`` is a list of m strings. ``best`` is the result of the
        best start, with its row as ``index``: that with the lowest value (the highest, if maximized), the first of
        equal ones. See `distinct_minima` for the others.

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
    options = _known(options)
    disp = options.pop("disp", False)
    _workers.check(workers)
    _try_options(points[0], jac, bounds, options)
    task = _Task(fun, args if isinstance(args, tuple) else (args,), jac, bounds, options)
    work = [points[piece] for piece in _workers.pieces(len(points))]
    with _workers.mapped(task, work, workers) as results:
        rows = _collected(itertools.chain.from_iterable(results), points, callback)
    result = _assembled(rows, points, bool(options.get("maximize", False)))
    if disp:
        _print_summary(result)
    return result


@dataclass
class _Task:
    """What a worker does with a piece of the starts."""

    fun: Callable[..., Any]
    args: tuple[Any, ...]
    jac: Any
    bounds: Any
    options: dict[str, Any]

    def __call__(self, points: Array) -> list[OptimizeResult]:
        return [self._run(x0) for x0 in points]

    def _run(self, x0: Array) -> OptimizeResult:
        try:
            return _minimize.minimize(
                self.fun, x0, args=self.args, jac=self.jac, bounds=self.bounds, **self.options
            )
        except Exception as error:
            return _row(x0, RAISED, f"{type(error).__name__}: {error}")


def _row(x0: Array, status: int, message: str) -> OptimizeResult:
    """The row of a start that has no result."""
    return OptimizeResult(
        message=message,
        success=False,
        status=status,
        fun=np.nan,
        x=x0.copy(),
        nit=0,
        jac=np.full_like(x0, np.nan),
        nfev=0,
        njev=0,
    )


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
    unknown = [name for name in options if name not in _OPTIONS and name not in _OF_ONE_RUN]
    if unknown:
        # Once, and not by each start.
        message = f"Unknown solver options: {', '.join(unknown)}"
        warnings.warn(message, OptimizeWarning, stacklevel=stacklevel())
    for name in _OF_ONE_RUN:
        if options.get(name) not in (None, False):
            raise ValueError(f"{name} is for a single run; use minimize, or leave it out for many starts")
    return {k: v for k, v in options.items() if k in _OPTIONS and k not in _OF_ONE_RUN}


def _try_options(x0: Array, jac: Any, bounds: Any, options: dict[str, Any]) -> None:
    """Let `minimize` refuse what it refuses before anything is run, since later it would be a failed start."""
    jac = jac if isinstance(jac, str) else np.zeros_like
    _minimize.minimize(lambda x: np.sum(0.0 * x), x0, jac=jac, bounds=bounds, **options)


def _collected(
    results: Iterable[OptimizeResult], points: Array, callback: Callable[[OptimizeResult], Any] | None
) -> list[OptimizeResult]:
    rows: list[OptimizeResult] = []
    for row in results:
        rows.append(row)
        if callback is not None:
            try:
                callback(OptimizeResult(row, index=len(rows) - 1))
            except StopIteration:
                stopped = points[len(rows) :]
                rows += [_row(x0, _minimize.CALLBACK_STOPPED, _NOT_RUN) for x0 in stopped]
                break
    return rows


def _assembled(rows: list[OptimizeResult], points: Array, maximized: bool) -> OptimizeResult:
    result = OptimizeResult(
        message=[row.message for row in rows],
        success=np.array([row.success for row in rows]),
        status=np.array([row.status for row in rows]),
        fun=np.array([row.fun for row in rows]),
        x=np.array([row.x for row in rows]).reshape(points.shape),
        nit=np.array([row.nit for row in rows]),
        jac=np.array([row.jac for row in rows]).reshape(points.shape),
        nfev=np.array([row.nfev for row in rows]),
        njev=np.array([row.njev for row in rows]),
    )
    i = _best(result.fun, maximized)
    result.best = OptimizeResult(rows[i], index=i)
    return result


def _best(values: Array, maximized: bool) -> int:
    order = -values if maximized else values
    # NaN says nothing, and is what failed starts have.
    return int(np.argmin(np.where(np.isnan(order), np.inf, order)))


def _print_summary(result: OptimizeResult) -> None:
    for message, number in collections.Counter(result.message).most_common():
        print(f"{number:9d}  {message}")
    print(f"         Best function value: {result.best.fun:f}, of start {result.best.index}")
    print(f"         Iterations: {result.nit.sum():d}")
    print(f"         Function evaluations: {result.nfev.sum():d}")
