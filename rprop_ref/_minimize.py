"""`minimize`: Rprop as a method of `scipy.optimize.minimize`, and as a function of its own."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, OptimizeWarning

from . import _dtypes, backends
from . import _iteration as it
from ._caller import stacklevel
from ._checks import check_etas, check_variant
from ._objective import Objective
from ._result import Result

if TYPE_CHECKING:
    from .trace import Trace

Array = np.ndarray[Any, Any]

#: First step size of a coordinate, relative to its start; and the step size where the start is 0.
FIRST_STEP = 0.01

#: Default of `gtol` by the finite-difference scheme; None stands for exact gradients.
GTOL = {None: 1e-10, "cs": 1e-10, "3-point": 1e-7, "2-point": 1e-5}

CALLBACK_STOPPED = 99

_MESSAGES = {
    it.CONVERGED: "Optimization terminated successfully.",
    it.ITERATION_LIMIT: "Maximum number of iterations has been exceeded.",
    it.PRECISION_LOSS: "Desired error not necessarily achieved due to precision loss.",
    it.NOT_A_NUMBER: "NaN result encountered.",
    CALLBACK_STOPPED: "`callback` raised `StopIteration`.",
}


def minimize(
    fun: Callable[..., Any],
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
    gtol: float | None = None,
    xtol: float | None = None,
    tol: float | None = None,
    lr: ArrayLike | None = None,
    etas: tuple[float, float] = (0.8, 1.1),
    step_sizes: tuple[float | None, float | None] = (0.0, np.inf),
    variant: str = "irprop-",
    gradient: str | None = None,
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
        ``fun(x, *args) -> float`` with x of shape (n,); or ``-> (float, gradient)`` if `jac` is True.
    x0 : array_like, shape (n,)
        The start. float32 and float16 are kept, everything else becomes float64. Not changed.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    jac : callable, bool or str, optional
        ``jac(x, *args) -> ndarray, shape (n,)``, the gradient. True if `fun` returns it too. "autograd" if it
        is to be derived from `fun`, which must then compute with NumPy's functions (see `rprop_ref.autograd`).
        Otherwise finite differences: "2-point" (the default), "3-point" or "cs".
    hess, hessp : ignored
        Rprop uses no second derivatives.
    bounds, constraints : not supported
        Anything but None or an empty sequence is an error.
    callback : callable, optional
        ``callback(x)`` or ``callback(intermediate_result)``, decided by the name of the parameter as in SciPy;
        called after each iteration, with a copy. It may raise StopIteration to end the run.
    maxiter : int, optional
        Largest number of iterations (steps). By default 10,000, or 200 n if that is more.
    gtol : float, optional
        The run ends successfully when no component of the gradient, at the best point, is larger than this.
        By default 1e-10, since whether a gradient is small depends on the scale of the problem; for finite
        differences, which are not exact to that, 1e-5 ("2-point") or 1e-7 ("3-point").
    xtol : float, optional
        The run ends successfully when, for every coordinate, the step size has become at most this times
        ``|x|``, or the gradient is zero. By default 4 units in the last place: there is nothing more to gain.
    tol : float, optional
        The `gtol` if that is not given; this is how SciPy passes its own argument `tol` on.
    lr : float or array_like of shape (n,), optional
        The first step size of each coordinate. By default 1% of ``|x0|``, and 0.01 where `x0` is 0.
    etas : (float, float), optional
        Factors by which a step size shrinks where the gradient changed its sign, and grows where it did not.
        The default is gentler than the usual (0.5, 1.2): it takes longer where the variables are independent,
        and gets through curved valleys in fewer steps.
    step_sizes : (float, float), optional
        Smallest and largest step size. The default sets no limits, since what is small depends on the scale
        of each variable.
    variant : {"irprop-", "rprop+", "rprop-", "irprop+", "irprop-go"}, optional
        The rule, see `rprop_ref.rules`.
    gradient : {"autograd", "2-point", "3-point", "cs"}, optional
        The same as a string for `jac`, which SciPy does not pass on to methods of others.
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
        With ``x``, ``fun`` and ``jac`` of the best point, ``nit``, ``nfev``, ``njev``, ``message``, ``status``
        and ``success``. ``status`` is 0 if `gtol` or `xtol` was met; 1 if `maxiter` was reached; 2 if no
        step could be made though neither was met; 3 if the objective or its gradient was not finite at `x0`,
        or everywhere near the last finite point; 99 if the callback raised StopIteration.

        The best point is that of the lowest value; among points whose values agree to within a few units in
        the last place, the one with the smallest gradient.

    Raises
    ------
    ValueError
        If `x0`, `lr`, `etas` or the shape of a gradient is not as described.
    TypeError, RuntimeError
        With "autograd", if `fun` calls what has no rule, or returns what was not computed by recorded operations.

    Notes
    -----
    Where the objective or its gradient is not finite, the run returns part of the way to the last finite
    point, shrinks its steps, and goes on.

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
    """
    if unknown_options:
        names = ", ".join(map(str, unknown_options))
        warnings.warn(f"Unknown solver options: {names}", OptimizeWarning, stacklevel=stacklevel())
    _refuse_what_is_ignored(hess, hessp, bounds, constraints)
    check_etas(etas)
    check_variant(variant)
    if maxiter is not None and not (maxiter >= 0 and maxiter == np.floor(maxiter)):
        raise ValueError(f"maxiter must be a whole number, at least 0, but is {maxiter}")
    backends.check(backend)

    start = _start(x0)
    n, dtype = start.size, start.dtype
    objective = Objective(
        fun, jac if gradient is None else gradient, args if isinstance(args, tuple) else (args,), dtype
    )
    constants = _dtypes.constants(dtype, etas, step_sizes, False)
    vectors, scalars = _record(start, lr)
    scalars[it.MAXITER] = max(10_000, 200 * n) if maxiter is None else maxiter
    scalars[it.GTOL] = next(t for t in (gtol, tol, GTOL[objective.scheme]) if t is not None)
    if xtol is not None:
        scalars[it.XTOL] = xtol

    x, last_x = vectors[it.X], vectors[it.LAST_X]
    report = _as_report(callback)
    allvecs = [start.copy()]
    status = it.GO_ON
    advance: Callable[..., int] = _Advance(backend, variant, n, dtype)
    if trace is not False:
        from .trace import recorder

        advance, trace = recorder(advance, trace, variant, etas, step_sizes)
    while status == it.GO_ON:
        before = scalars[it.NIT]
        f, g = objective(x)
        status = advance(vectors, scalars, constants, f, g)
        if scalars[it.NIT] > max(before, 0):
            if return_all:
                allvecs.append(last_x.copy())
            if report is not None and report(last_x, f):
                status = CALLBACK_STOPPED

    if scalars[it.NIT] < 0:
        best_x, best_f, best_g = start.copy(), f, g.copy()
    else:
        best_x, best_f, best_g = vectors[it.BEST_X].copy(), scalars[it.BEST_F], vectors[it.BEST_G].copy()
    result = Result(
        message=_MESSAGES[status],
        success=status == it.CONVERGED,
        status=status,
        fun=float(best_f),
        x=best_x,
        nit=max(int(scalars[it.NIT]), 0),
        jac=best_g,
        nfev=objective.nfev,
        njev=objective.njev,
    )
    if return_all:
        result.allvecs = allvecs
    if trace is not False:
        result.trace = trace
    if disp:
        _print_summary(result)
    return result


class _Advance:
    """`_iteration.advance` by NumPy or Numba: by NumPy at first, until Numba is worth loading."""

    def __init__(self, backend: str | None, variant: str, n: int, dtype: np.dtype[Any]) -> None:
        self._backend = backend
        self._variant = variant
        self._n = n
        self._dtype = dtype
        self._compiled: Callable[..., int] | None = None
        self._code = -1

    def __call__(self, vectors: Array, scalars: Array, constants: Array, f: float, g: Array) -> int:
        if self._compiled is not None:
            return self._compiled(vectors, scalars, constants, self._code, f, g)
        if backends.resolve(self._backend, self._n, self._dtype) == "numba":
            from numba_kernels import iterate

            self._compiled, self._code = iterate.advance, iterate.CODES[self._variant]
            return self(vectors, scalars, constants, f, g)
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            status: int = it.advance(vectors, scalars, constants, self._variant, f, g)
        backends.spend(time.perf_counter() - began)
        return status


def _start(x0: ArrayLike) -> Array:
    x = np.atleast_1d(np.asarray(x0))
    if x.ndim != 1:
        raise ValueError("'x0' must only have one dimension.")
    if x.dtype.kind not in "fiubO":
        raise ValueError(f"x0 must hold real numbers, but has dtype {x.dtype}")
    return x.astype(x.dtype if x.dtype in (np.float16, np.float32) else np.float64)


def _record(start: Array, lr: ArrayLike | None) -> tuple[Array, Array]:
    vectors = np.zeros((it.ROWS, start.size), start.dtype)
    vectors[[it.X, it.LAST_X, it.BEST_X]] = start
    with np.errstate(all="ignore"):
        if lr is None:
            sizes = FIRST_STEP * np.abs(start)
            # Below the normal numbers a step can be too coarse to grow by a factor.
            sizes = np.where(sizes < np.finfo(start.dtype).tiny, start.dtype.type(FIRST_STEP), sizes)
        else:
            sizes = np.asarray(lr, float)
            if not (0.0 <= sizes).all():
                raise ValueError(f"Invalid learning rate: {lr}")
            if sizes.shape not in ((), start.shape):
                raise ValueError(
                    f"lr must be a number or of the shape of x0, which is {start.shape}, "
                    f"but has shape {sizes.shape}"
                )
        vectors[it.SIZE] = sizes
        resting = it.at_rest(start, np.ones_like(start), vectors[it.SIZE], 4 * np.finfo(start.dtype).eps, 0.0)
    scalars = np.full(it.ENTRIES, np.inf)
    scalars[it.NIT] = -1
    scalars[it.WENT_BACK] = -np.inf
    eps = float(np.finfo(start.dtype).eps)
    # First steps that are as small as the tolerance would meet it at once, and mean nothing.
    scalars[it.XTOL] = 0.0 if resting else 4 * eps
    scalars[it.BAND] = 8 * eps
    # Near a coordinate of 0 no step is small relative to it, but one is small relative to where it came from.
    scalars[it.FLOOR] = eps**2 * float(np.max(vectors[it.SIZE], initial=0))
    return vectors, scalars


def _refuse_what_is_ignored(hess: Any, hessp: Any, bounds: Any, constraints: Any) -> None:
    for name, value in (("hess", hess), ("hessp", hessp)):
        if value is not None:
            warnings.warn(
                f"Method rprop does not use Hessian information ({name}).",
                RuntimeWarning,
                stacklevel=stacklevel(),
            )
    for name, value in (("bounds", bounds), ("constraints", constraints)):
        if value is not None and not (hasattr(value, "__len__") and len(value) == 0):
            raise ValueError(f"minimize does not support {name}; it must be None or empty")


def _as_report(callback: Callable[..., Any] | None) -> Callable[[Array, float], bool] | None:
    """The callback in SciPy's two forms as ``report(x, f) -> whether to stop``."""
    if callback is None:
        return None
    try:
        wants_result = list(inspect.signature(callback).parameters) == ["intermediate_result"]
    except (TypeError, ValueError):  # some builtins have no signature
        wants_result = False

    def report(x: Array, f: float) -> bool:
        try:
            if wants_result:
                callback(intermediate_result=OptimizeResult(x=x.copy(), fun=f))
            else:
                callback(x.copy())
        except StopIteration:
            return True
        return False

    return report


def _print_summary(result: OptimizeResult) -> None:
    if result.success:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=stacklevel())
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")
