"""`minimize`: Rprop as a method of `scipy.optimize.minimize`, and as a function of its own."""

from __future__ import annotations

import contextlib
import inspect
import time
import warnings
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, OptimizeWarning
from scipy.optimize._optimize import MemoizeJac

from .. import backends
from .._common import npz
from .._common.stacklevel import stacklevel
from .._core import record
from .._core.constants import rule_constants
from .._core.status import Status, message_of
from . import bounds as _bounds
from . import finite_differences, options
from . import state as _state
from .compiled_objective import recognize
from .drivers import CompiledDriver, driver, proceed
from .objective import Objective
from .progress import Progress
from .result import Result
from .state import RunState

if TYPE_CHECKING:
    from ..trace import Trace

Array = np.ndarray[Any, Any]

#: Default of `gtol` by the finite-difference scheme; None stands for exact gradients.
GTOL = {None: 1e-10, "cs": 1e-10, "3-point": 1e-7, "2-point": 1e-5}

# More turns than any run has.
_FOREVER = 1 << 60


def minimize(
    fun: Any,
    x0: ArrayLike,
    args: Any = (),
    jac: Callable[..., Any] | bool | str | None = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    *,
    maxiter: int | None = None,
    maxfev: int | None = None,
    maxtime: float | None = None,
    gtol: float | None = None,
    xtol: float | None = None,
    ftol: float | None = None,
    window: int = 100,
    f_target: float | None = None,
    patience: int | None = None,
    tol: float | None = None,
    lr: ArrayLike | str | None = None,
    etas: tuple[float, float] = (0.8, 1.1),
    step_sizes: tuple[float | None, float | None] = (0.0, np.inf),
    variant: str = "irprop-",
    maximize: bool = False,
    gradient: str | None = None,
    workers: Any = 1,
    warm_start: OptimizeResult | None = None,
    checkpoint: npz.Path | None = None,
    checkpoint_every: int = 10_000,
    resume: npz.Path | None = None,
    progress: bool = False,
    disp: bool = False,
    return_all: bool = False,
    trace: bool | Trace = False,
    backend: str | None = None,
    **unknown_options: Any,
) -> OptimizeResult:
    """Minimize a function of several variables with Rprop.

    The function can be called directly, or handed to SciPy:
    ``scipy.optimize.minimize(fun, x0, method=rprop_ref.minimize, jac=..., options=...)``.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float`` with x of the shape of `x0`; or ``-> (float, gradient)`` if `jac` is True. Or an
        objective in machine code, with which the whole run stays in machine code; the iterates are the same:

        * ``fun(x, g, *args) -> float`` compiled by ``numba.njit``, which writes the gradient into g. g is full of
          zeros when it is called, and `jac` is None;
        * ``fun(x, *args) -> (float, gradient)`` compiled by ``numba.njit``;
        * ``fun(x, *args) -> float`` with a `jac`, both compiled by ``numba.njit``;
        * a ``numba.cfunc``, or a `scipy.LowLevelCallable`, with the signature
          ``double (int n, double *x, double *g, void *data)``, which writes the gradient into g.
    x0 : array_like
        The start, of any shape; a number counts as an array of one element. float32 and float16 are kept,
        everything else becomes float64. Not changed.
    args : tuple, optional
        Further arguments of `fun` and `jac`. For jitted functions: arrays, numbers, None and tuples of these;
        other values of the same types need no compilation. For a ``numba.cfunc``: one array, whose address is
        `data`.
    jac : callable, bool or str, optional
        ``jac(x, *args) -> ndarray`` of the shape of x, the gradient. True if `fun` returns it too. "autograd" if
        it is to be derived from `fun`, which must then compute with NumPy's functions (see `rprop_ref.autograd`).
        Otherwise finite differences: "2-point" (the default), "3-point" or "cs". Differences of float32 values see
        no slope below about ``3e-4 * |f|``, and a run may take that for a minimum: give `x0` as float64 then.
    hess, hessp : ignored
        Rprop uses no second derivatives.
    bounds : scipy.optimize.Bounds or sequence of (lower, upper), optional
        Where x may be; None within a pair is no bound. `x0` and each step are clipped. At a bound, a gradient that
        leads outward counts as zero, for the steps and for `gtol`. A variable with equal bounds stays there.
    constraints : not supported
        Anything but None or an empty sequence is an error.
    callback : callable, optional
        ``callback(x)`` or ``callback(intermediate_result)``, decided by the name of the parameter as in SciPy;
        called after each iteration, with a copy. It may raise StopIteration to end the run.
    maxiter : int, optional
        Largest number of iterations (steps), or infinity. By default 10,000, or 200 n if that is more.
    maxfev : int, optional
        Largest number of calls of `fun`: the run ends at the iteration that reaches it. No limit by default.
    maxtime : float, optional
        Seconds after which the run ends, to within a tenth of a second or one evaluation, whichever is longer.
        No limit by default.
    gtol : float, optional
        The run ends successfully when no component of the gradient, at the best point, is larger than this.
        By default 1e-10, since whether a gradient is small depends on the scale of the problem; for finite
        differences, which are not exact to that, 1e-5 ("2-point") or 1e-7 ("3-point").
    xtol : float, optional
        The run ends successfully when, for every coordinate, the step size has become at most this times
        ``|x|``, or the gradient is zero. By default 4 units in the last place: there is nothing more to gain.
    ftol : float, optional
        The run ends successfully when the lowest value has fallen, within `window` iterations, by no more than
        ``ftol * max(|before|, |after|, 1)``, and no coordinate's next step promises more, by its slope: Rprop
        often steps back for some iterations far from any minimum. Not looked at by default.
    window : int, optional
        The number of iterations after which `ftol` looks at the lowest value again, at least 2.
    f_target : float, optional
        The run ends successfully when a value as low as this is reached (as high, if `maximize`).
    patience : int, optional
        The run ends, without success, when so many iterations have brought no lower value. No limit by default.
    tol : float, optional
        The `gtol` if that is not given; this is how SciPy passes its own argument `tol` on.
    lr : float, array_like of the shape of x0, or "auto", optional
        The first step size of each coordinate. "auto", the default, is 1% of ``|x0|``, and 0.01 where `x0` is 0.
    etas : (float, float), optional
        Factors by which a step size shrinks where the gradient changed its sign, and grows where it did not.
        The default is gentler than the usual (0.5, 1.2): it takes longer where the variables are independent,
        and gets through curved valleys in fewer steps.
    step_sizes : (float, float), optional
        Smallest and largest step size; None leaves a side open. The default sets no limits, since what is small
        depends on the scale of each variable.
    variant : {"irprop-", "rprop+", "rprop-", "irprop+", "irprop-go"}, optional
        The rule, see `rprop_ref.rules`.
    maximize : bool, optional
        Look for a maximum. Read "high" for "low" everywhere then.
    gradient : {"autograd", "2-point", "3-point", "cs"}, optional
        The same as a string for `jac`, which SciPy does not pass on to methods of others; `jac` is left out then.
    workers : int, concurrent.futures.Executor or map-like callable, optional
        Who evaluates `fun` for finite differences: so many processes (-1 for one per processor), an executor, or
        ``workers(function, points)`` that returns the values in order. Processes are spawned for this call, so
        `fun` must be one that can be pickled. The result does not depend on it. Other gradients do without.
    warm_start : OptimizeResult, optional
        A result of `minimize`, of which this run is the continuation, with the same iterates as if there had been
        one run. `x0` must then have the shape and dtype of that run; its values do not matter, nor does `lr`. The
        rule and the bounds must be the same; stopping rules may differ. Limits and counts are those of this call.
    checkpoint : path, optional
        A file (by custom ``.npz``) to which the state of the run is written every `checkpoint_every` iterations,
        and at the end. It is replaced at once, and holds no pickle.
    checkpoint_every : int, optional
        See `checkpoint`.
    resume : path, optional
        A file that `checkpoint` left. The run goes on from there, with the same iterates as if it had never ended.
        Give the other arguments as they were, with the exceptions of `warm_start`; limits and counts are those of
        the whole run.
    progress : bool, optional
        Show on stderr, while it runs: iterations, lowest value, largest component of the gradient, smallest and
        largest step size, and rate. A bar if tqdm is installed, else a line per second.
    disp : bool, optional
        Print a summary at the end; a failure is a warning then, as in SciPy.
    return_all : bool, optional
        Return the points of all iterations as ``allvecs``.
    trace : bool or Trace, optional
        Record what happens in every iteration, and return it as ``trace``; a new `Trace` may be given to choose
        its ``stride`` and ``limit``. The iterates are the same.
    backend : {None, "numpy", "numba"}, optional
        Who does the arithmetic. None begins with NumPy and loads Numba when that has taken about a second
        (or when it is loaded already). The bits are the same.

    Returns
    -------
    scipy.optimize.OptimizeResult
        x : ndarray
            The best point, in the shape of `x0`. It is that of the lowest value; among points whose values agree
            to within a few units in the last place, the one with the smallest gradient.
        fun : float
            The value there.
        jac : ndarray
            The gradient there (with bounds: as it is, not as `gtol` sees it; but by finite differences it is 0 for
            a variable that is fixed).
        success : bool
            Whether a tolerance was met: `gtol`, `xtol`, `ftol` or `f_target`.
        status : int
            0 if it was; 1 if `maxiter` was reached; 2 if no step could be made though no tolerance was met; 3 if
            the objective or its gradient was not finite at `x0`, or everywhere near the last finite point; 4 for
            `maxfev`; 5 for `maxtime`; 6 for `patience`; 99 if the callback raised StopIteration.
        message : str
            The same in words.
        nit, nfev, njev : int
            Iterations, calls of `fun` and calls for the gradient. There are fewer calls than iterations if steps
            led nowhere, since no point is evaluated twice in a row.
        step_size, prev : ndarray
            The rule's step sizes and stored gradient, as the next iteration would find them.
        state : object
            What `warm_start` needs of the result; it can be pickled.
        allvecs : list of ndarray
            With `return_all`: the start and the points of all iterations of this call.

    Raises
    ------
    ValueError
        If an option, or a gradient, is not as described; if lower bounds are above upper ones; if a
        file for `resume` is no checkpoint, is damaged, or is from a run with other arguments.
    TypeError
        If `callback` cannot be called, or `workers` and `warm_start` are nothing of the kind.
    TypeError, RuntimeError
        With "autograd", if `fun` calls what has no rule, or returns what was not computed by recorded operations.
        With machine code, if it has another signature, or cannot be compiled for these arguments.
    OSError
        If a checkpoint cannot be written or read.

    Notes
    -----
    Where the objective or its gradient is not finite, the run returns part of the way to the last finite
    point, shrinks its steps, and goes on.

    In machine code, Ctrl-C, `maxtime` and `progress` act within a tenth of a second, or one evaluation if that
    takes longer. An exception that a jitted objective raises comes out of `minimize`; one in a ``numba.cfunc``
    cannot. Functions that Numba compiles for Python are put behind a C function once per process and type of
    arguments, which takes a few tenths of a second; the loop itself is found on disk.

    References
    ----------
    .. [1] C. Igel and M. Huesken, "Empirical evaluation of the improved Rprop learning algorithms",
       Neurocomputing 50, 2003, pp. 105-123.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import minimize
    >>> result = minimize(lambda x: np.sum((x - [3, -1]) ** 2), [1.0, 1.0], jac=lambda x: 2 * (x - [3, -1]))
    >>> result.success, result.x.round(4)
    (True, array([ 3., -1.]))
    >>> minimize(lambda x: np.sum((x - [3, -1]) ** 2), [1.0, 1.0], jac="autograd").x.round(4)
    array([ 3., -1.])
    >>> minimize(lambda x: np.sum((x - [3, -1]) ** 2), [1.0, 1.0], jac="autograd", bounds=[(0, 2), (0, 2)]).x
    array([2., 0.])
    """
    if unknown_options:
        options.warn_of_unknown(unknown_options)
    options.warn_of_hessians(hess, hessp)
    options.refuse_constraints(constraints)
    options.check_callback(callback)
    etas, step_sizes = options.checked_rule(etas, step_sizes, variant)
    maximize = options.flag("maximize", maximize)
    backends.check(backend)
    if warm_start is not None and resume is not None:
        raise ValueError("warm_start and resume each say where to begin; give one of them")
    every = options.count("checkpoint_every", checkpoint_every, 1)
    if tol is not None:
        tol = options.number("tol", tol, 0)
    if checkpoint is not None:
        npz.check_place(options.path("checkpoint", checkpoint))
    seconds = np.inf if maxtime is None else options.number("maxtime", maxtime, 0)

    start, shape = _start(x0)
    box = _bounds.limits(bounds, shape, start.dtype)
    if resume is not None or warm_start is not None:
        with np.errstate(all="ignore"):
            _state.first_sizes(start, shape, lr)  # not used, but refused if it is nothing, as where a run begins
    constants = rule_constants(start.dtype, etas, step_sizes, False)
    rule = box, constants, variant, maximize
    if resume is not None:
        saved = _state.load(options.path("resume", resume))
        state = _state.continued(saved, start, shape, *rule, name="resume")
    elif warm_start is not None:
        state = _state.continued(_state_of(warm_start), start, shape, *rule, name="warm_start")
        state.counts = state.nit, int(state.scalars[record.NFEV]), int(state.scalars[record.NJEV])
    else:
        state = _state.begin(start, shape, lr, *rule)

    fun, jac = _unwrapped(fun, jac)
    jac = options.source(gradient, jac)
    args = args if isinstance(args, tuple) else (args,)
    compiled = recognize(fun, jac, args, shape, start.dtype)
    with contextlib.ExitStack() as stack:
        mapping = stack.enter_context(finite_differences.mapping(workers))
        objective = Objective(
            fun,
            jac,
            args,
            shape,
            start.dtype,
            compiled=compiled,
            maximize=maximize,
            box=box,
            mapping=mapping,
        )
        if gtol is None:
            gtol = GTOL[objective.scheme] if tol is None else tol
        options.set_limits(
            state,
            maxiter=maxiter,
            maxfev=maxfev,
            gtol=gtol,
            xtol=xtol,
            ftol=ftol,
            window=window,
            f_target=f_target,
            patience=patience,
        )
        status = proceed(state)
        watch = None
        if trace is not False:
            from .tracing import recorder

            watch, trace = recorder(trace, state, etas, step_sizes)
        drive = driver(objective, compiled, state, backend, watch)
        watchers: list[Callable[[], bool]] = []
        allvecs = [state.shaped(record.LAST_X)]
        if return_all:
            watchers.append(_as_collector(allvecs, state))
        if callback is not None:
            watchers.append(_as_watcher(callback, state))
        show = stack.enter_context(Progress(state.scalars[record.MAXITER] - state.counts[0])) if progress else None
        status = _run(drive, state, status, watchers, seconds, show, checkpoint, every)

    result = _result(state, status)
    if return_all:
        result.allvecs = allvecs
    if trace is not False:
        result.trace = trace
    if disp:
        _print_summary(result)
    return result


def _run(
    drive: Callable[[int], int],
    state: RunState,
    status: int,
    watchers: list[Callable[[], bool]],
    maxtime: float,
    show: Progress | None,
    checkpoint: npz.Path | None,
    every: int,
) -> int:
    """Drive to the end of the run, unless `status` says that it has ended; return the status then.

    Whenever the driver comes back there is what is not the driver's to do.
    """
    began = time.perf_counter()
    nit = saved = state.nit
    looks = show is not None or maxtime < np.inf
    turns = 1 if watchers or looks else _FOREVER
    while status < 0:
        before = nit
        status = drive(turns if checkpoint is None else min(turns, saved + every - nit))
        nit = state.nit
        if nit > before:
            for watch in watchers:
                if watch():
                    status = Status.CALLBACK_STOPPED
        if status < 0 and time.perf_counter() - began >= maxtime:
            status = Status.TIME_LIMIT
        if not watchers and isinstance(drive, CompiledDriver):
            turns = _FOREVER  # it comes back by itself when there may be something to do
        if show is not None:
            show(state)
        if checkpoint is not None and status < 0 and nit - saved >= every:
            state.save(checkpoint)
            saved = nit
    if checkpoint is not None:
        state.save(checkpoint)
    if show is not None:
        show(state, last=True)
    return status


def _result(state: RunState, status: int) -> OptimizeResult:
    # Before a first finite value there is no best point, but a start and what was found there.
    f, x, g = (
        (record.LAST_F, record.LAST_X, record.LAST_G)
        if state.scalars[record.NIT] < 0
        else (record.BEST_F, record.BEST_X, record.BEST_G)
    )
    sign = -1 if state.maximize else 1
    nit, nfev, njev = state.counts
    return Result(
        message=message_of(status),
        success=status == Status.CONVERGED,
        status=status,
        fun=sign * float(state.scalars[f]),
        x=state.shaped(x),
        nit=state.nit - nit,
        jac=sign * state.shaped(g),
        nfev=int(state.scalars[record.NFEV]) - nfev,
        njev=int(state.scalars[record.NJEV]) - njev,
        step_size=state.shaped(record.SIZE),
        prev=sign * state.shaped(record.PREV),
        state=state,
    )


def _state_of(result: Any) -> RunState:
    state = getattr(result, "state", None)
    if not isinstance(state, RunState):
        raise TypeError(
            f"warm_start must be a result of rprop_ref.minimize, but is {type(result).__name__} without its "
            "state; those of minimize_many have none"
        )
    return state


def _unwrapped(fun: Any, jac: Any) -> tuple[Any, Any]:
    """The objective as the user gave it, where SciPy has wrapped one that returns its gradient too."""
    if isinstance(fun, MemoizeJac) and getattr(jac, "__self__", None) is fun:
        return vars(fun)["fun"], True
    return fun, jac


def _start(x0: ArrayLike) -> tuple[Array, tuple[int, ...]]:
    """The start as a flat array of its own, and its shape."""
    x = np.atleast_1d(np.asarray(x0))
    if x.dtype.kind not in "fiubO" or (x.dtype.kind == "O" and not all(isinstance(v, Real) for v in x.flat)):
        raise ValueError(f"x0 must hold real numbers, but has dtype {x.dtype}")
    kept = x.dtype in (np.float16, np.float32)
    return x.astype(x.dtype.newbyteorder("=") if kept else np.float64).ravel(), x.shape


def _as_collector(points: list[Array], state: RunState) -> Callable[[], bool]:
    def watch() -> bool:
        points.append(state.shaped(record.LAST_X))
        return False

    return watch


def _as_watcher(callback: Callable[..., Any], state: RunState) -> Callable[[], bool]:
    """The callback in SciPy's two forms as ``watch() -> whether to stop``."""
    try:
        wants_result = list(inspect.signature(callback).parameters) == ["intermediate_result"]
    except (TypeError, ValueError):  # some builtins have no signature
        wants_result = False
    sign = -1 if state.maximize else 1

    def watch() -> bool:
        x = state.shaped(record.LAST_X)
        try:
            if wants_result:
                callback(intermediate_result=OptimizeResult(x=x, fun=sign * float(state.scalars[record.LAST_F])))
            else:
                callback(x)
        except StopIteration:
            return True
        return False

    return watch


def _print_summary(result: OptimizeResult) -> None:
    if result.success:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=stacklevel())
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")
