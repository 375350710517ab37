"""The user's objective and gradient as one call that `minimize` makes: copied, checked, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Finite-difference schemes, by the names that SciPy gives them.
SCHEMES = ("2-point", "3-point", "cs")


class Objective:
    """``objective(x) -> (f, g)`` with the conventions of `scipy.optimize`.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or ``-> (float, gradient)`` if `jac` is True.
    jac : callable, bool, str or None
        ``jac(x, *args) -> array_like, shape (n,)``; True if `fun` returns both; "autograd"; the name of a
        finite-difference scheme; or None for "2-point".
    args : tuple
    dtype : numpy.dtype
        In which gradients are returned.

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
        dtype: np.dtype[Any],
    ) -> None:
        self.nfev = 0
        self.njev = 0
        self._fun = fun
        self._args = args
        self._dtype = dtype
        self.scheme: str | None = None
        # What the user wants to hear of floating-point errors, for calls from within SciPy's differences.
        self._errors = np.geterr()
        if isinstance(jac, np.bool_):
            jac = bool(jac)
        if callable(jac):
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
            self._evaluate = self._with_differences
        else:
            raise ValueError(
                f"Invalid jac: {jac!r}; it must be a callable, True (fun returns the gradient too), "
                f"'autograd', None, or one of {SCHEMES}"
            )

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Evaluate at x; `g` is of shape (n,), contiguous, and only to be read until the next call."""
        f, g = self._evaluate(x)
        if type(f) is not float:
            f = _as_float(f)
        if type(g) is not np.ndarray or g.dtype != self._dtype or not g.flags.carray or g.shape != x.shape:
            g = self._as_gradient(g, x)
        return f, g

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

    def _value(self, x: Array) -> Any:
        self.nfev += 1
        with np.errstate(**self._errors):
            f = self._fun(x.copy(), *self._args)
        return _as_float(f, keep_complex=self.scheme == "cs")

    def _with_differences(self, x: Array) -> tuple[Any, Any]:
        # Not public, but the same code has served all of SciPy's own methods since 0.17.
        from scipy.optimize._numdiff import approx_derivative

        f = self._value(x).real
        if not np.isfinite(f):
            # The differences would be not finite either, at the price of n evaluations.
            return f, np.full_like(x, np.nan)
        self.njev += 1
        with np.errstate(all="ignore"):
            return f, approx_derivative(self._value, x, method=self.scheme, f0=np.array([f]))

    def _as_gradient(self, g: Any, x: Array) -> Array:
        with np.errstate(all="ignore"):
            gradient: Array = np.array(g, self._dtype, order="C", ndmin=1)
        if gradient.shape != x.shape:
            raise ValueError(
                f"The gradient must have the shape of x0, which is {x.shape}, but has shape {gradient.shape}."
            )
        return gradient


def _as_float(f: Any, *, keep_complex: bool = False) -> Any:
    try:
        f = np.asarray(f).item()
        return f if keep_complex and isinstance(f, complex) else float(f)
    except (TypeError, ValueError) as error:
        raise ValueError("The user-provided objective function must return a scalar value.") from error
