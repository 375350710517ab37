"""The user's objective and gradient as one call that `minimize` makes: copied, checked, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._compiled import Compiled
from ._differences import SCHEMES, Differences, Map

Array = np.ndarray[Any, Any]


class Objective:
    """``objective(x) -> (f, g)`` with the conventions of `scipy.optimize`.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or ``-> (float, gradient)`` if `jac` is True.
    jac : callable, bool, str or None
        ``jac(x, *args) -> array_like``; True if `fun` returns both; "autograd"; the name of a finite-difference
        scheme; or None for "2-point".
    args : tuple
    shape, dtype
        Of x as the user's functions see it; gradients are returned in this dtype.
    compiled : Compiled, optional
        The same in machine code; then `fun` and `jac` are not looked at.
    maximize : bool, optional
        Whether value and gradient are negated.
    box : optional
        Bounds, for finite differences.
    evaluate : callable, optional
        ``evaluate(function, points)`` like `map`, for finite differences.

    Attributes
    ----------
    nfev, njev : int
        Calls of the user's functions so far, those for finite differences included in `nfev`.
    scheme : str or None
        The finite-difference scheme, None if the gradient is exact.

    Notes
    -----
    The user's functions get a copy of x, so that one that writes to its argument does no harm.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Callable[..., Any] | bool | np.bool | str | None,
        args: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        compiled: Compiled | None = None,
        maximize: bool = False,
        box: tuple[Array, Array] | None = None,
        evaluate: Map = map,
    ) -> None:
        self.nfev = 0
        self.njev = 0
        self.scheme: str | None = None
        self._fun = fun
        self._args = args
        self._shape = shape
        self._flat = len(shape) == 1
        self._dtype = dtype
        self._maximize = maximize
        if isinstance(jac, np.bool_):
            jac = bool(jac)
        if compiled is not None:
            self._evaluate: Callable[[Array], tuple[Any, Any]] = self._with_compiled
            self._compiled = compiled
        elif callable(jac):
            self._jac = jac
            self._evaluate = self._with_jac
        elif jac is True:
            self._evaluate = self._with_both
        elif jac == "autograd":
            from .autograd import value_and_grad

            self._fun = value_and_grad(fun)
            self._evaluate = self._with_both
        elif jac is None or jac is False or jac in SCHEMES:
            self.scheme = jac or "2-point"
            self._value = _Value(fun, args, shape, self.scheme == "cs")
            self._differences = Differences(self.scheme, box)
            self._map = evaluate
            self._evaluate = self._with_differences
        else:
            raise ValueError(
                f"Invalid jac: {jac!r}; it must be a callable, True (fun returns the gradient too), "
                f"'autograd', None, or one of {SCHEMES}"
            )

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Evaluate at x, of shape (n,); `g` is so too, contiguous, and only to be read until the next call."""
        f, g = self._evaluate(x if self._flat else x.reshape(self._shape))
        if type(f) is not float:
            f = as_float(f)
        if type(g) is not np.ndarray or g.dtype is not self._dtype or not g.flags.carray or g.ndim != 1:
            g = self._as_gradient(g)
        if g.size != x.size:
            self._as_gradient(g)
        return (-f, -g) if self._maximize else (f, g)

    def _with_compiled(self, x: Array) -> tuple[Any, Any]:
        self.nfev += 1
        self.njev += 1
        return self._compiled(x.ravel())

    def _with_jac(self, x: Array) -> tuple[Any, Any]:
        self.nfev += 1
        f = self._fun(x.copy(), *self._args)
        self.njev += 1
        return f, self._jac(x.copy(), *self._args)

    def _with_both(self, x: Array) -> tuple[Any, Any]:
        self.nfev += 1
        self.njev += 1
        both = self._fun(x.copy(), *self._args)
        try:
            f, g = both
        except (TypeError, ValueError):
            raise ValueError(
                "with jac=True the objective must return two values, (f, gradient), "
                f"but it returned {type(both).__name__}"
            ) from None
        return f, g

    def _with_differences(self, x: Array) -> tuple[Any, Any]:
        x = x.ravel()
        self.nfev += 1
        f = self._value(x).real
        if not np.isfinite(f):
            # The differences would be not finite either, at the price of n evaluations.
            return f, np.full_like(x, np.nan)
        self.njev += 1
        return f, self._differences(self._counting_map, self._value, x, f).reshape(self._shape)

    def _counting_map(self, value: Any, points: Any) -> Any:
        self.nfev += len(points)
        return self._map(value, points)

    def _as_gradient(self, g: Any) -> Array:
        with np.errstate(all="ignore"):
            gradient: Array = np.array(g, self._dtype, order="C", ndmin=1)
        if gradient.shape != self._shape:
            raise ValueError(
                f"The gradient must have the shape of x0, which is {self._shape}, but has shape {gradient.shape}."
            )
        return gradient.ravel()


class _Value:
    """``value(x)``, the user's objective as finite differences call it, in this process or in another."""

    def __init__(self, fun: Any, args: tuple[Any, ...], shape: tuple[int, ...], is_complex: bool) -> None:
        self._fun = fun
        self._args = args
        self._shape = shape
        self._is_complex = is_complex
        # What the user wants to hear of floating-point errors, for calls from within SciPy's differences.
        self._errors = np.geterr()

    def __call__(self, x: Array) -> Any:
        with np.errstate(**self._errors):
            f = self._fun(x.reshape(self._shape).copy(), *self._args)
        return as_float(f, keep_complex=self._is_complex)


def as_float(f: Any, *, keep_complex: bool = False) -> Any:
    """What an objective returned as a number; SciPy's error if it is none."""
    try:
        f = np.asarray(f).item()
        return f if keep_complex and isinstance(f, complex) else float(f)
    except (TypeError, ValueError) as error:
        raise ValueError("The user-provided objective function must return a scalar value.") from error
