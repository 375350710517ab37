"""`Objective`: the user's functions as one call that returns value and gradient, checked and counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.checks import check_plain, described, is_not_finite
from .bounds import Bounds
from .compiled_objective import CompiledObjective
from .finite_differences import SCHEMES, FiniteDifferences, MapPoints

Array = np.ndarray[Any, Any]


#: ``evaluate(x) -> (f, g)``.
Evaluate = Callable[[Array], tuple[Any, Any]]


class Objective:
    """The user's functions as one call; they follow the conventions of `scipy.optimize`.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or ``-> (float, gradient)`` if `jac` is True.
    jac : callable, bool, str or None
        ``jac(x, *args) -> array_like``; True if `fun` returns both; "autograd"; the name of a finite-difference
        scheme; or None for "2-point".
    args : tuple
    shape, dtype
        Of x as the user's functions see it. Gradients are converted to this dtype.
    compiled : CompiledObjective, optional
        The objective in machine code; then `fun` and `jac` are not used.
    maximize : bool, optional
        Whether value and gradient are negated.
    bounds : optional
        Bounds that finite differences must respect.
    rel_step : ndarray, optional
        Relative steps of finite differences, of shape (n,).
    map_points : callable, optional
        ``map_points(function, points)`` like `map`, for finite differences.
    flat_start : callable, optional
        ``flat_start(f)`` says whether a first point with this value, at which finite differences show no slope at
        all, gets a gradient of NaN. By default it gets one of 0, as other points do.

    Attributes
    ----------
    evaluate : callable
        ``evaluate(x) -> (f, g)`` for x of shape (n,). g is contiguous and has shape (n,). It must not be
        modified, and is valid until the next call.
    further_evaluations, further_gradients : int
        Calls of `fun`, and for the gradient, so far, besides one for each call of `evaluate`. Finite differences
        need further calls of `fun`. Fewer gradients are counted if g was NaN, without finite differences, because
        the value was not finite, or not below `needed_below`.
    by_differences : bool
        Whether gradients are finite differences.
    needed_below : float
        May be set before `evaluate`: finite differences are not needed unless the value is lower than this.
    gradient : str
        Where gradients come from, see `gradient_name`.
    without_slope : str
        If the first point got a gradient of NaN because of `flat_start`, the reason in words; else empty.

    Notes
    -----
    The user's functions get a copy of x, so they may write to it.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Callable[..., Any] | bool | str | None,
        args: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        compiled: CompiledObjective | None = None,
        maximize: bool = False,
        bounds: Bounds = None,
        rel_step: Array | None = None,
        map_points: MapPoints = map,
        flat_start: Callable[[float], bool] | None = None,
    ) -> None:
        self.further_evaluations = self.further_gradients = 0
        self.needed_below = np.inf
        self.without_slope = ""
        self.gradient = gradient_name(jac, compiled is not None)
        self.by_differences = False
        if compiled is not None:
            evaluate: Evaluate = compiled
            shape = (int(np.prod(shape)),)
        elif callable(jac):
            evaluate = _with_jac(fun, jac, args)
        elif jac is True:
            evaluate = _with_both(fun, args)
        elif self.gradient == "autograd":
            from ..autograd import value_and_grad

            evaluate = _with_both(value_and_grad(fun), args)
        else:
            differences = FiniteDifferences(self.gradient, bounds, rel_step)
            self.by_differences = True
            sign = -1 if maximize else 1
            evaluate = self._with_differences(fun, args, shape, sign, differences, map_points, flat_start)
        self.evaluate = _checked(evaluate, shape, np.dtype(dtype))
        if maximize:
            self.evaluate = _negated(self.evaluate)

    def _with_differences(
        self,
        fun: Any,
        args: tuple[Any, ...],
        shape: tuple[int, ...],
        sign: int,
        differences: FiniteDifferences,
        map_points: MapPoints,
        flat_start: Callable[[float], bool] | None,
    ) -> Evaluate:
        value = _Value(fun, args, shape, self.gradient == "cs")
        is_first = True

        def counting_map(value: Any, points: Any) -> Any:
            self.further_evaluations += len(points)
            return map_points(value, points)

        def evaluate(x: Array) -> tuple[Any, Any]:
            nonlocal is_first
            x = x.ravel()
            f = value(x).real
            if not (np.isfinite(f) and sign * f < self.needed_below):
                # The differences would not be finite either, or not be used, and would cost n evaluations.
                self.further_gradients -= 1
                return f, np.full(shape, np.nan)
            g = differences(counting_map, value, x, f).reshape(shape)
            if is_first and differences.without_slope and flat_start is not None and flat_start(f):
                self.without_slope = differences.without_slope
                g = np.full(shape, np.nan)
            is_first = False
            return f, g

        return evaluate


def gradient_name(jac: Any, compiled: bool) -> str:
    """The name of where gradients come from, as results report it.

    Parameters
    ----------
    jac : callable, bool, str or None
        As for `Objective`.
    compiled : bool
        Whether the objective is machine code.

    Returns
    -------
    str
        "compiled" for an objective in machine code; "jac" for a function of its own; "fun" if the objective
        returns the gradient; "autograd"; or the finite-difference scheme.

    Raises
    ------
    ValueError
        If `jac` is nothing of the kind.
    """
    if compiled:
        return "compiled"
    if callable(jac):
        return "jac"
    if jac is True:
        return "fun"
    if jac is None or jac is False:
        return SCHEMES[0]
    if isinstance(jac, str) and jac in ("autograd", *SCHEMES):
        return jac
    raise ValueError(
        f"Invalid jac: {jac!r}; it must be a callable, True (fun returns the gradient too), "
        f"'autograd', None, or one of {SCHEMES}"
    )


def _with_jac(fun: Any, jac: Any, args: tuple[Any, ...]) -> Evaluate:
    if not args:  # calls without a star take half a microsecond less
        return lambda x: (fun(x.copy()), jac(x.copy()))
    return lambda x: (fun(x.copy(), *args), jac(x.copy(), *args))


def _with_both(fun: Any, args: tuple[Any, ...]) -> Evaluate:
    def evaluate(x: Array) -> tuple[Any, Any]:
        both = fun(x.copy(), *args)
        try:
            f, g = both
        except (TypeError, ValueError):
            if is_not_finite(both):
                return both, None
            raise ValueError(
                "with jac=True the objective must return two values, (f, gradient), "
                f"but it returned {described(both)}"
            ) from None
        return f, g

    return evaluate


def _checked(evaluate: Evaluate, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Evaluate:
    """`evaluate` for x of shape (n,), returning a float and a flat gradient of this dtype, or raising."""
    flat, n, ndarray = len(shape) == 1, int(np.prod(shape)), np.ndarray

    def checked(x: Array) -> tuple[float, Array]:
        f, g = evaluate(x if flat else x.reshape(shape))
        # What already has the right form, as most often, must cost next to nothing.
        if type(f) is not float:
            f = as_float(f)
        if g is None and not math.isfinite(f):
            g = np.full(n, np.nan, dtype)  # a guard: the objective is not defined here
        if type(g) is not ndarray or g.dtype is not dtype or g.ndim != 1 or g.size != n or not g.flags.carray:
            g = _as_gradient(g, shape, dtype)
        return f, g

    return checked


def _negated(evaluate: Evaluate) -> Evaluate:
    def negated(x: Array) -> tuple[float, Array]:
        f, g = evaluate(x)
        return -f, -g

    return negated


def _as_gradient(g: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if g is None or np.iscomplexobj(g):
        raise ValueError(f"The gradient must be an array of real numbers, but is {g!r}.")
    check_plain(g, "The gradient")
    with np.errstate(all="ignore"):
        gradient: Array = np.array(g, dtype, order="C", ndmin=1)
    if gradient.shape != shape:
        raise ValueError(
            f"The gradient must have the shape of x0, which is {shape}, but has shape {gradient.shape}."
        )
    return gradient.ravel()


class _Value:
    """``value(x)``, the user's objective as finite differences call it, in this process or in another."""

    def __init__(self, fun: Any, args: tuple[Any, ...], shape: tuple[int, ...], is_complex: bool) -> None:
        self._fun = fun
        self._args = args
        self._shape = shape
        self._is_complex = is_complex
        # The user's settings for floating-point errors: SciPy's routine, which calls this, runs under others.
        self._errors = np.geterr()

    def __call__(self, x: Array) -> Any:
        with np.errstate(**self._errors):
            f = self._fun(x.reshape(self._shape).copy(), *self._args)
        return as_float(f, keep_complex=self._is_complex)


def as_float(f: Any, *, keep_complex: bool = False) -> Any:
    """The value that an objective returned, as a number. Raises SciPy's error if it is not a scalar."""
    if type(f) is not np.float64 and type(f) is not np.matrix:  # SciPy takes a matrix of one number
        check_plain(f, "The value of the objective")
    try:
        number = np.asarray(f).item()
        if isinstance(number, (str, bytes)):
            raise TypeError
        return number if keep_complex and isinstance(number, complex) else float(number)
    except (TypeError, ValueError) as error:
        question = "; did you mean jac=True?" if isinstance(f, (tuple, list)) and len(f) == 2 else "."
        raise ValueError(
            "The user-provided objective function must return a scalar value. It returned "
            f"{described(f)}{question}"
        ) from error
