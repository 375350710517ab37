"""`minimize`: Rprop as a method of `scipy.optimize.minimize`, and as a function of its own."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult
from scipy.optimize._optimize import MemoizeJac

from .. import backends
from .._common import npz
from .._core import record
from .._core.constants import rule_constants
from ..rules import DEFAULT
from . import options
from .as_written import as_written
from .bounds import Bounds, bounds_as_arrays
from .drivers import driver, make_pending_step
from .finite_differences import evaluation_map
from .objective import Objective
from .progress import Progress
from .recognize import recognize
from .report import print_summary, result_of
from .run import AfterIteration, call_back, collect_points, run
from .samples import AUTO, AveragedObjective
from .samples import begin as begin_samples
from .starting import as_floats, begin, checked_lr
from .state import SAMPLES, RunState, continued, load

if TYPE_CHECKING:
    from ..trace import Trace

Array = np.ndarray[Any, Any]


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
    samples: int | str = 1,
    tol: float | None = None,
    lr: ArrayLike | str | None = None,
    etas: tuple[float, float] = (0.8, 1.1),
    step_sizes: tuple[float | None, float | None] = (0.0, np.inf),
    variant: str = DEFAULT,
    pattern_every: int | None = 20,
    maximize: bool = False,
    gradient: str | None = None,
    finite_diff_rel_step: ArrayLike | None = None,
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

    Call it directly, or through SciPy:
    ``scipy.optimize.minimize(fun, x0, method=rprop_ref.minimize, jac=..., options=...)``.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float`` with x of the shape of `x0`; or ``-> (float, gradient)`` if `jac` is True.
        An objective in machine code has one of the following forms. Once its loop is ready, the run stays in
        machine code, with the same iterates:

        * ``fun(x, g, *args) -> float`` compiled by ``numba.njit``, which writes the gradient into g. g is full of
          zeros when it is called, and `jac` is None;
        * ``fun(x, *args) -> (float, gradient)`` compiled by ``numba.njit``;
        * ``fun(x, *args) -> float`` with a `jac`, both compiled by ``numba.njit``;
        * a ``numba.cfunc``, or a `scipy.LowLevelCallable`, with the signature
          ``double (int n, double *x, double *g, void *data)``, which writes the gradient into g.
    x0 : array_like
        The start, of any shape; a number counts as an array of one element. float32 and float16 are kept, and
        every other dtype becomes float64. Not modified.
    args : tuple, optional
        Further arguments of `fun` and `jac`. For jitted functions: arrays, numbers, None and tuples of these;
        other values of the same types need no compilation. For a ``numba.cfunc``: one array, whose address is
        `data`.
    jac : callable, bool or str, optional
        ``jac(x, *args) -> ndarray`` of the shape of x, the gradient. True if `fun` returns it too. "autograd" to
        derive it from `fun`, which must then compute with NumPy's functions (see `rprop_ref.autograd`).
        Otherwise finite differences: "2-point" (the default), "3-point" or "cs". Finite differences of float32
        values cannot resolve slopes below about ``3e-4 * |f|``, and a run may take such a slope for a minimum:
        give `x0` as float64 then. If all differences at `x0` are exactly 0, the run ends there with a warning, and
        without success.
    hess, hessp : ignored
        Rprop uses no second derivatives.
    bounds : scipy.optimize.Bounds or sequence of (lower, upper), optional
        Bounds on the variables; None within a pair means no bound. Each step is clipped, and so is `x0`, with a
        warning. At a bound, a gradient component that leads outward counts as zero, for the steps and for `gtol`.
        A variable with equal bounds stays fixed.
    constraints : not supported
        Anything but None or an empty sequence is an error.
    callback : callable, optional
        ``callback(x)`` or ``callback(intermediate_result)``; as in SciPy, the name of the parameter decides.
        Called after each iteration, with a copy of x. It may raise StopIteration to end the run.
    maxiter : int, optional
        Largest number of iterations (steps), or infinity; as in SciPy, it need not be whole. By default 10,000,
        or 200 n if that is more.
    maxfev : int, optional
        Largest number of calls of `fun`: the run ends at the iteration that reaches it. No limit by default, but
        10,000 (or 200 n, if that is more) if `samples` is "auto".
    maxtime : float, optional
        Seconds after which the run ends, to within a tenth of a second or one evaluation (with `samples`, or
        finite differences, all those at a point), whichever is longer. No limit by default.
    gtol : float, optional
        The run ends successfully when no component of the gradient, at the best point, is larger than this.
        The default is 1e-10, and more is asked then, since the scale of the problem decides whether a gradient is
        small: if a variable moved by its size (that at the start, if it was larger), the value should change, by
        the gradient, by no more than a millionth of itself, or it should have fallen to 1e-22 of what it was at
        the start. A run that cannot get on, because its step sizes are exhausted, begins again from there, with
        step sizes of a thousandth of the variables, and has converged if it comes to rest at the same point, to
        seven digits; after four new beginnings it ends with status 2. (Where nothing is lower than the start, a
        small gradient is enough. If the gradient is not small beside those on the way, as at a kink, a check
        follows; see Notes.) Finite differences are less exact: for them the default is 1e-5 ("2-point") or 1e-7
        ("3-point"), and no more is asked.
    xtol : float, optional
        The run ends successfully when, for every coordinate, the step size is at most this times ``|x|``, or the
        gradient is zero. By default 4 units in the last place, since smaller steps gain nothing; 0 if the first
        step sizes are as small as that. Where rounding errors of the gradient keep step sizes larger, the run
        ends when half of it (1,000 iterations at least) has brought no lower value, and the next step would
        change the value by less than it resolves. If the gradient is not small, a check follows (see Notes).
    ftol : float, optional
        The run ends successfully when the lowest value has fallen, within `window` iterations, by no more than
        ``ftol * max(|before|, |after|, 1)``, and the predicted decrease of the next step is no larger in any
        coordinate. (Rprop often steps back for some iterations far from any minimum.) If the gradient is not
        small, a check follows (see Notes). Not used by default.
    window : int, optional
        The number of iterations, at least 2, after which `ftol` compares the lowest values.
    f_target : float, optional
        The run ends successfully when a value as low as this is reached (as high, if `maximize`).
    patience : int, optional
        The run ends, without success, when this many iterations have brought no lower value. No limit by default.
        (If the run has begun again, see `gtol`, and its best point is still there, it ends with success.) A
        tolerance that is met sooner ends the run with success, also under noise: `message` names it.
    samples : int or "auto", optional
        For an objective with noise that each call draws anew: evaluate it so many times at each point, and use the
        means of its values and gradients. With "auto" the number is adapted: it begins with 2; after every 10
        points it grows, by a half at most, if the noise of the mean gradients was larger than the gradients, and
        is halved if the noise was less than half as large [3]_. (Both are squared, and components are weighted
        with the step sizes.) Where the number grows, only later points can be the best one: the lowest of noisy
        values is that which had most luck. So `patience` and the `window` of `ftol` begin anew there, and mostly
        it is `maxfev` or `maxtime` that ends a run with "auto", without success. An evaluation that is not finite
        stands for all those at its point. `nfev` counts all evaluations. An objective in machine code is called
        from Python then. The default is 1.
    tol : float, optional
        The `gtol` if that is not given; SciPy passes its own argument `tol` this way.
    lr : float, array_like of the shape of x0, or "auto", optional
        The first step size of each coordinate. "auto", the default, is 1% of ``|x0|``, and 0.01 where `x0` is 0.
        Between two bounds, which stop a step that is too long, it is 10%, and 0.1, but not more than the bounds
        are apart.
    etas : (float, float), optional
        Factors by which a step size shrinks where the gradient changed its sign, and grows where it did not.
        The default is gentler than the usual (0.5, 1.2): it takes longer where the variables are independent,
        and gets through curved valleys in fewer steps.
    step_sizes : (float, float), optional
        Smallest and largest step size; None leaves a side open. The default sets no limits, since the scale of
        each variable decides what is small.
    variant : str, optional
        The update rule, one of the names in `rprop_ref.rules.RULES`: "irprop-" (the default), "rprop+",
        "rprop-", "irprop+" or "irprop-go".
    pattern_every : int, optional
        Make a pattern move [2]_ after every so many iterations: evaluate the point that lies as far ahead of the
        latest one as that has come since the last pattern move. The run goes on from there if `fun` is lower than
        at the point before. Otherwise it tries a point between, the minimum of the parabola that has these two
        values and the slope at the first, and goes back if `fun` is not lower there either. With each success
        pattern moves become twice as long (relative to the displacement, 1,024 times at most), with each failure
        half as long (a quarter at least); where the point between was lower they stay as long as they are.
        They help in curved valleys, where the steps of single variables go to and fro. Without bounds, a pattern
        move also begins by lifting step sizes to a thousandth of the largest one, each relative to its variable
        (to its size at the start, if that was larger), since noise would shrink those of small components of the
        gradient to nothing. None is lifted above the largest of `step_sizes`, and one of 0 stays 0. The default
        is 20, the least is 2: a pattern move that succeeds clears the stored gradients, so that after every step
        it would hide all sign changes, and step sizes would not shrink. With None there are no pattern moves, and
        all steps are those of the rule.
    maximize : bool, optional
        Maximize `fun` instead. Read "high" for "low" in this description then.
    gradient : {"autograd", "2-point", "3-point", "cs"}, optional
        The same as a string for `jac`, for calls through SciPy, which does not pass such a `jac` on. Leave `jac`
        out then.
    finite_diff_rel_step : float or array_like, optional
        The step of finite differences, relative to each variable, as in SciPy; of the shape of `x0`, or one number
        for all variables. By default the square root of the precision of the dtype ("2-point") or its cube root
        ("3-point"). Wider steps suit an objective with noise or few digits, such as the result of a solver with a
        tolerance: about the square root of the relative error of its values. Other gradients do not use it.
    workers : int, concurrent.futures.Executor or map-like callable, optional
        What evaluates `fun` for finite differences: a number of processes (-1 for one per processor), an executor,
        or a callable ``workers(function, points)`` that returns the values in order. Processes are spawned for
        this call, so `fun` must be picklable. The result does not depend on `workers`. Other gradients do not use
        it.
    warm_start : OptimizeResult, optional
        A result of `minimize` to continue from, with the same iterates as if there had been one run. `x0` must
        have the shape and dtype of that run; its values are ignored, and so is `lr`. The rule, the bounds
        and `pattern_every` must be the same; stopping rules and `samples` may differ. `maxiter`, `maxfev` and all
        counts refer to this call only.
    checkpoint : path, optional
        A file (usually ``.npz``) to which the state of the run is written every `checkpoint_every` iterations,
        and at the end. It is always replaced as a whole, and contains no pickle.
    checkpoint_every : int, optional
        See `checkpoint`.
    resume : path, optional
        A file that `checkpoint` wrote. The run continues from there, with the same iterates as if it had never
        been interrupted. Give the other arguments as before, with the exceptions named at `warm_start`;
        `maxiter`, `maxfev` and all counts refer to the whole run.
    progress : bool, optional
        Show on stderr, if there is one, during the run: iterations, best value, largest component of the gradient,
        smallest and largest step size, and rate. With tqdm if it is installed, else a line per second.
    disp : bool, optional
        Print a summary at the end; a failure is a warning then, as in SciPy.
    return_all : bool, optional
        Return the points of all iterations as ``allvecs``.
    trace : bool or Trace, optional
        Record what happens in every iteration, and return it as ``trace``. Give a new `Trace` to choose its
        ``stride`` and ``limit``. The iterates are the same.
    backend : {None, "numpy", "numba"}, optional
        What computes the steps. None begins with NumPy, and switches to Numba when that is ready. Once NumPy has
        taken about a second (a tenth of one if the objective is machine code), Numba is loaded, and compiles if
        need be, beside the run; what an earlier run has loaded is used at once. If Numba cannot be loaded or
        cannot compile, NumPy goes on, with a warning. With "numba" a run waits. The iterates are the same, bit
        for bit.

    Returns
    -------
    scipy.optimize.OptimizeResult
        x : ndarray
            The best point, in the shape of `x0`: the one with the lowest value. Among points whose values agree
            to within a few units in the last place, it is the one with the smallest gradient.
        fun : float
            The value at `x`.
        jac : ndarray
            The gradient at `x`. It includes the components that `gtol` ignores because they lead out of the
            bounds. Finite differences give 0 for a fixed variable.
        success : bool
            Whether `gtol` or `f_target` was met, or `xtol` or `ftol` at what is a minimum as far as was checked.
        status : int
            0 for success; 1 if `maxiter` was reached; 2 if no further step was possible though no tolerance was
            met, or if a check did not confirm a minimum; 3 if the objective or its gradient was not finite at
            `x0`, or everywhere near the last finite point; 4 for `maxfev`; 5 for `maxtime`; 6 for `patience`; 99
            if the callback raised StopIteration.
        message : str
            The status in words, with the tolerance that was met.
        gradient : str
            Where gradients came from: "jac" (that function), "fun" (which returned them, as `jac` was True),
            "autograd", "2-point", "3-point" or "cs" (finite differences), or "compiled" (machine code).
        nit, nfev, njev : int
            Iterations, calls of `fun`, and calls for the gradient. No point is evaluated twice in a row, so there
            are fewer calls than iterations if some steps led nowhere. A pattern move counts as an iteration only
            if the run goes on from its point.
        step_size, prev : ndarray
            The rule's step sizes and stored gradient, as the next iteration would use them.
        state : object
            The state that `warm_start` continues from; it can be pickled.
        samples : int
            With `samples`: how many evaluations the mean at the last point is of.
        allvecs : list of ndarray
            With `return_all`: the start and the points of all iterations of this call.

    Raises
    ------
    ValueError
        If an option, or a gradient, is not as described; if a lower bound is above its upper bound; if a file for
        `resume` is not a checkpoint, is damaged, or is from a run with other arguments.
    TypeError
        If `callback` cannot be called; if `workers`, `warm_start` or a path has the wrong type; if an array is
        masked, a matrix, or has units.
    TypeError, RuntimeError
        With "autograd", if `fun` calls a function without a gradient rule, or returns something that was not
        computed by recorded operations. In machine code, if `fun` has another signature, or cannot be compiled
        for these arguments.
    OSError
        If a checkpoint cannot be written or read.

    Notes
    -----
    Where the objective or its gradient is not finite, the run goes part of the way back to the last finite
    point, shrinks its steps, and continues. So an objective may return infinity where it is not defined; it needs
    no gradient there (None, or nothing if `jac` is True).

    At a kink that lies across the axes, step sizes shrink to nothing though the function still falls along the
    kink. So where `xtol` or `ftol` is met and the gradient is not small, the function is evaluated at further
    points near the best one, within the bounds: 1 to 16 at kinks along the axes, 200 at most, whatever the number
    of variables. They count as evaluations and not as iterations. If `fun` is lower at one of them, or a minimum
    is not confirmed, the run ends with status 2 and a message that says so. For a convex function, confirmed means
    that no point nearby is lower, to about the square root of the precision of the dtype (16 times `xtol`, if that
    is larger). (With the default tolerances, nothing is taken for a smooth minimum unless the gradient is small
    beside the value, as for `gtol`.) This holds unless a kink is so steep that rounding errors of the gradient
    hide the slope along it. Other functions may be lower nearby all the same: cusps across the axes, such as
    ``sqrt(abs(x[0] - x[1]))``, may be taken for minima.

    In machine code, Ctrl-C, `maxtime` and `progress` act within a tenth of a second, or one evaluation if that
    takes longer. If a jitted objective raises an exception, `minimize` raises it; a ``numba.cfunc`` cannot raise
    one. For each jitted objective and each combination of argument types, a C function is compiled once per
    process, which takes a few tenths of a second; the loop itself is cached on disk.

    References
    ----------
    .. [1] C. Igel and M. Huesken, "Empirical evaluation of the improved Rprop learning algorithms",
       Neurocomputing 50, 2003, pp. 105-123.
    .. [2] R. Hooke and T. A. Jeeves, "'Direct search' solution of numerical and statistical problems", Journal of
       the ACM 8(2), 1961, pp. 212-229.
    .. [3] R. H. Byrd, G. M. Chin, J. Nocedal and Y. Wu, "Sample size selection in optimization methods for machine
       learning", Mathematical Programming 134, 2012, pp. 127-155.

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
    # Validate.
    options.warn_of_unknown(unknown_options, OPTIONS)
    options.warn_of_hessians(hess, hessp)
    options.refuse_constraints(constraints)
    options.check_callback(callback)
    etas, step_sizes = options.checked_rule(etas, step_sizes, variant)
    maximize = options.flag("maximize", maximize)
    pattern_interval = options.pattern_interval(pattern_every)
    samples = options.samples(samples)
    backends.check(backend)
    options.check_not_both(warm_start, resume)
    checkpoint_every = options.count("checkpoint_every", checkpoint_every, 1)
    tol = options.number_if_given("tol", tol, None, 0)
    options.check_checkpoint(checkpoint)
    maxtime = options.number_if_given("maxtime", maxtime, np.inf, 0)
    f_target = options.number_if_given("f_target", f_target, None)

    # Begin, or continue an earlier run.
    start, shape = _flat_x0(x0)
    bounds = bounds_as_arrays(bounds, shape, start.dtype)
    if warm_start is None and resume is None:
        options.warn_of_outside(start, bounds)
    rel_step = options.relative_step(finite_diff_rel_step, shape)
    rule = etas, step_sizes, variant, maximize, pattern_interval
    state = _begin_or_continue(start, shape, lr, bounds, *rule, warm_start, resume)

    with contextlib.ExitStack() as stack:
        # Choose the driver.
        fun, jac = _unwrapped(fun, jac)
        jac = options.gradient_source(gradient, jac)
        args = args if isinstance(args, tuple) else (args,)
        fun, jac = as_written(fun, jac, args, start.reshape(shape))
        user_objective = fun, jac, args, shape, start.dtype
        compiled = recognize(*user_objective)
        map_points = stack.enter_context(evaluation_map(workers))
        begin_samples(state, samples)
        kind = Objective if samples == 1 else functools.partial(AveragedObjective, state, samples == AUTO)
        objective = kind(
            *user_objective,
            compiled=compiled,
            maximize=maximize,
            bounds=bounds,
            rel_step=rel_step,
            map_points=map_points,
            flat_start=_flat_start_check(state, f_target),
        )
        options.set_stopping_rules(
            state,
            maxiter=maxiter,
            maxfev=maxfev,
            gtol=tol if gtol is None else gtol,
            xtol=xtol,
            ftol=ftol,
            window=window,
            f_target=f_target,
            patience=patience,
            gradient=objective.gradient,
            samples=samples,
        )
        status = make_pending_step(state)
        traced_advance, trace = _traced(trace, state, etas, step_sizes)
        drive = driver(objective, compiled, state, backend, traced_advance)

        # Run.
        allvecs = [state.shaped(record.LAST_X)]
        after_iteration = _after_iteration(return_all, allvecs, callback, state)
        display = stack.enter_context(Progress(state)) if progress else None
        status = run(
            drive,
            state,
            status,
            after_iteration,
            maxtime=maxtime,
            progress=display,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
        )

    # Report.
    result = result_of(state, status, objective)
    if objective.without_slope and not disp:  # `disp` warns of every failure
        options.warn(objective.without_slope)
    if samples != 1:
        result.samples = int(state.samples[SAMPLES])
    if return_all:
        result.allvecs = allvecs
    if trace is not False:
        result.trace = trace
    if disp:
        print_summary(result)
    return result


#: The names of the options, with their defaults.
OPTIONS = {
    name: parameter.default
    for name, parameter in inspect.signature(minimize).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


def _flat_x0(x0: ArrayLike) -> tuple[Array, tuple[int, ...]]:
    """A flat copy of the start, and its shape."""
    x = np.atleast_1d(as_floats("x0", x0))
    return x.ravel(), x.shape


def _begin_or_continue(
    start: Array,
    shape: tuple[int, ...],
    lr: ArrayLike | str | None,
    bounds: Bounds,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
    variant: str,
    maximize: bool,
    pattern_every: float,
    warm_start: Any,
    resume: Any,
) -> RunState:
    """The state of a new run, or of the one that `warm_start` or `resume` gives."""
    if resume is not None or warm_start is not None:
        checked_lr(lr, shape)  # unused when continuing, but a bad `lr` is always an error
    constants = rule_constants(start.dtype, etas, step_sizes, False)
    rule = bounds, constants, variant, maximize, pattern_every
    if resume is not None:
        return continued(load(options.path("resume", resume)), start, shape, *rule, argument="resume")
    if warm_start is not None:
        state = continued(_state_of(warm_start), start, shape, *rule, argument="warm_start")
        state.counts = state.nit, int(state.scalars[record.NFEV]), int(state.scalars[record.NJEV])
        return state
    return begin(start, shape, lr, *rule)


def _state_of(result: Any) -> RunState:
    state = getattr(result, "state", None)
    if not isinstance(state, RunState):
        raise TypeError(
            f"warm_start must be a result of rprop_ref.minimize, but is {type(result).__name__} without its "
            "state; results of minimize_many have none"
        )
    return state


def _unwrapped(fun: Any, jac: Any) -> tuple[Any, Any]:
    """`fun` and `jac` as the user gave them to SciPy, which wraps `fun` in `MemoizeJac` if `jac` is True."""
    if isinstance(fun, MemoizeJac) and getattr(jac, "__self__", None) is fun:
        return vars(fun)["fun"], True
    return fun, jac


def _flat_start_check(state: RunState, f_target: float | None) -> Callable[[float], bool] | None:
    """Whether a first value at which there is no slope leaves the run without a sense of direction.

    None if the run has begun before, since its first point is no longer needed then.
    """
    if state.scalars[record.NIT] >= 0:
        return None
    return lambda f: f_target is None or state.sign * f > state.sign * f_target


def _traced(
    trace: bool | Trace, state: RunState, etas: tuple[float, float], step_sizes: tuple[float, float]
) -> tuple[Callable[..., int] | None, bool | Trace]:
    """The `traced_advance` of `PythonDriver`, and the trace that it fills; (None, False) without a trace."""
    if trace is False:
        return None, False
    from .tracing import make_traced_advance

    return make_traced_advance(trace, state, etas, step_sizes)


def _after_iteration(
    return_all: bool, allvecs: list[Array], callback: Callable[..., Any] | None, state: RunState
) -> list[AfterIteration]:
    """The functions that `run` calls after each iteration, in this order."""
    calls = []
    if return_all:
        calls.append(collect_points(allvecs, state))
    if callback is not None:
        calls.append(call_back(callback, state))
    return calls
