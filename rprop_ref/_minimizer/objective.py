"""`Objective`: the user's functions as one call that returns value and gradient, checked and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
    map_points : callable, optional
        ``map_points(function, points)`` like `map`, for finite differences.

    Attributes
    ----------
    evaluate : callable
        ``evaluate(x) -> (f, g)`` for x of shape (n,). g is contiguous and has shape (n,). It must not be
        modified, and is valid until the next call.
    difference_evaluations : int
        Calls of `fun` so far that served finite differences only.
    skipped_gradients : int
        Evaluations so far whose g is NaN, without finite differences, because the value was not finite.
    scheme : str or None
        The finite-difference scheme, None if the gradient is exact.

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
        map_points: MapPoints = map,
    ) -> None:
        self.difference_evaluations = 0
        self.skipped_gradients = 0
        self.scheme: str | None = None
        if compiled is not None:
            evaluate: Evaluate = compiled
            shape = (int(np.prod(shape)),)
        elif callable(jac):
            evaluate = _with_jac(fun, jac, args)
        elif jac is True:
            evaluate = _with_both(fun, args)
        elif isinstance(jac, str) and jac == "autograd":
            from ..autograd import value_and_grad

            evaluate = _with_both(value_and_grad(fun), args)
        elif jac is None or jac is False or (isinstance(jac, str) and jac in SCHEMES):
            self.scheme = jac or "2-point"
            evaluate = self._with_differences(fun, args, shape, bounds, map_points)
        else:
            raise ValueError(
                f"Invalid jac: {jac!r}; it must be a callable, True (fun returns the gradient too), "
                f"'autograd', None, or one of {SCHEMES}"
            )
        self.evaluate = _checked(evaluate, shape, np.dtype(dtype))
        if maximize:
            self.evaluate = _negated(self.evaluate)

    def _with_differences(
        self, fun: Any, args: tuple[Any, ...], shape: tuple[int, ...], bounds: Bounds, map_points: MapPoints
    ) -> Evaluate:
        assert self.scheme is not None
        value = _Value(fun, args, shape, self.scheme == "cs")
        differences = FiniteDifferences(self.scheme, bounds)

        def counting_map(value: Any, points: Any) -> Any:
            self.difference_evaluations += len(points)
            return map_points(value, points)

        def evaluate(x: Array) -> tuple[Any, Any]:
            x = x.ravel()
            f = value(x).real
            if not np.isfinite(f):
                # The differences would not be finite either, and would cost n evaluations.
                self.skipped_gradients += 1
                return f, np.full(shape, np.nan)
            return f, differences(counting_map, value, x, f).reshape(shape)

        return evaluate


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
            raise ValueError(
                "with jac=True the objective must return two values, (f, gradient), "
                f"but it returned {type(both).__name__}"
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
    try:
        f = np.asarray(f).item()
        if isinstance(f, (str, bytes)):
            raise TypeError
        return f if keep_complex and isinstance(f, complex) else float(f)
    except (TypeError, ValueError) as error:
        raise ValueError("The user-provided objective function must return a scalar value.") from error
