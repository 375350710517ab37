"""Gradients by SciPy's finite differences, whose points may be evaluated in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._common import workers as _workers
from .bounds import Bounds

Array = np.ndarray[Any, Any]

#: ``map_points(function, points)``: the values of a function at some points, in their order, as `map` gives them.
MapPoints = Callable[[Callable[[Array], Any], Iterable[Array]], Iterable[Any]]

#: Finite-difference schemes, by the names that SciPy gives them.
SCHEMES = ("2-point", "3-point", "cs")

#: Why finite differences may show no slope at all.
EQUAL_VALUES = (
    "Every finite difference at x0 is exactly 0: the objective does not depend on x there, or it computes with "
    "float32 or rounds, so that small steps are lost. Compute with float64 throughout, or give the gradient."
)
REAL_VALUES = (
    "Every finite difference at x0 is exactly 0, since the objective returned real numbers for complex x: it does "
    "not depend on x, or it drops the imaginary part, as float, abs and float32 do. Use '3-point'."
)


class FiniteDifferences:
    """The gradient of a function by finite differences.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "cs"}
    bounds : None or (ndarray, ndarray)
        All points are within these. A variable whose bounds are equal is fixed, and its derivative is 0.
    rel_step : ndarray, optional
        The step relative to each variable, of shape (n,). By default SciPy's choice for the scheme and the dtype.

    Attributes
    ----------
    without_slope : str
        If the values of the last call cannot show any slope, the reason in words; else empty.
    """

    def __init__(self, scheme: str, bounds: Bounds = None, rel_step: Array | None = None) -> None:
        self.without_slope = ""
        self._scheme = scheme
        self._rel_step = rel_step
        self._bounds = (np.array(-np.inf), np.array(np.inf)) if bounds is None else bounds
        #: Mask of the variables that are not fixed; None if no variable is fixed.
        self._free = None if bounds is None or (bounds[0] < bounds[1]).all() else bounds[0] < bounds[1]

    def __call__(self, map_points: MapPoints, fun: Callable[[Array], Any], x: Array, f: float) -> Array:
        """The gradient of `fun` at x, where its value is f.

        Notes
        -----
        The points do not depend on the values. So SciPy's routine is run twice: once to collect the points, with
        0 for every value, and again once all of them have been evaluated, perhaps in parallel.
        """
        if self._free is not None and not self._free.any():
            return np.zeros(x.size)
        points: list[Array] = []

        def collect(z: Array) -> complex:
            points.append(self._with_fixed_variables(z, x))
            return 0j if self._scheme == "cs" else 0.0

        self._approx_derivative(collect, x, f)
        values = list(map_points(fun, points))
        self.without_slope = self._reason_without_slope(values, f)
        remaining = iter(values)
        return self._approx_derivative(lambda z: next(remaining), x, f)

    def _reason_without_slope(self, values: Sequence[Any], f: float) -> str:
        if not values:
            return ""
        if self._scheme == "cs":
            return "" if any(isinstance(v, complex) for v in values) else REAL_VALUES
        return EQUAL_VALUES if all(v == f for v in values) else ""

    def _with_fixed_variables(self, z: Array, x: Array) -> Array:
        """A new point whose free variables are z, and the others those of x."""
        if self._free is None:
            return z.copy()
        point = x.astype(z.dtype)
        point[self._free] = z
        return point

    def _approx_derivative(self, fun: Callable[[Array], Any], x: Array, f: float) -> Array:
        """SciPy's gradient at x of a function of the free variables; 0 for the fixed ones."""
        # Not public, but the same code has served all of SciPy's own methods since 0.17.
        from scipy.optimize._numdiff import approx_derivative

        free = slice(None) if self._free is None else self._free
        bounds = self._bounds if self._free is None else tuple(b[free] for b in self._bounds)
        rel_step = None if self._rel_step is None else self._rel_step[free]
        gradient = np.zeros(x.size)
        with np.errstate(all="ignore"):
            gradient[free] = approx_derivative(
                fun, x[free], method=self._scheme, rel_step=rel_step, f0=np.array([f]), bounds=bounds
            )
        return gradient


@contextmanager
def evaluation_map(workers: Any) -> Iterator[MapPoints]:
    """The function like `map` that the option `workers` stands for; usable within the context.

    Parameters
    ----------
    workers : int, concurrent.futures.Executor or callable
        A number of processes, or -1 for one per processor; an executor; or ``workers(function, points)``.

    Raises
    ------
    TypeError, ValueError
        If `workers` is anything else, or a number below 1 other than -1.
    """
    if isinstance(workers, Executor):
        yield workers.map
        return
    if isinstance(workers, bool) or not (isinstance(workers, (int, np.integer)) or callable(workers)):
        raise TypeError(
            "workers must be a number of processes, an executor of concurrent.futures, or a callable like map, "
            f"but is {workers!r}"
        )
    if not isinstance(workers, (int, np.integer)):
        yield workers
        return
    number = _workers.count(int(workers))
    if number == 1:
        yield map
        return
    with _workers.processes(number) as pool:
        yield lambda fun, points: pool.map(_workers.Packed(fun), points)
