"""Gradients by finite differences: SciPy's, at points that may be evaluated side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._common import workers as _workers

Array = np.ndarray[Any, Any]
Map = Callable[[Callable[[Array], Any], Iterable[Array]], Iterable[Any]]

#: Finite-difference schemes, by the names that SciPy gives them.
SCHEMES = ("2-point", "3-point", "cs")


class Differences:
    """The gradient of a function by finite differences.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "cs"}
    box : None or (ndarray, ndarray)
        Bounds, which no point leaves. A variable whose bounds are equal is left alone, and has a gradient of 0.
    """

    def __init__(self, scheme: str, box: tuple[Array, Array] | None = None) -> None:
        self._scheme = scheme
        self._box = (np.array(-np.inf), np.array(np.inf)) if box is None else box
        self._free = None if box is None or (box[0] < box[1]).all() else box[0] < box[1]

    def __call__(self, evaluate: Map, value: Callable[[Array], Any], x: Array, f: float) -> Array:
        """The gradient at x, where the value is f.

        Parameters
        ----------
        evaluate : callable
            ``evaluate(value, points)``, the values at all points in their order: `map`, or something like it.
        value : callable
            ``value(x)``, the function.

        Notes
        -----
        Which points it takes does not depend on the values there. So SciPy's routine is asked for the points
        first, and for the gradient when they have been evaluated; who evaluated them makes no difference.
        """
        if self._free is not None and not self._free.any():
            return np.zeros(x.size)
        points: list[Array] = []

        def note(z: Array) -> complex:
            points.append(self._whole(z, x))
            return 0j if self._scheme == "cs" else 0.0

        self._scipys(note, x, f)
        values = iter(list(evaluate(value, points)))
        return self._scipys(lambda z: next(values), x, f)

    def _whole(self, z: Array, x: Array) -> Array:
        if self._free is None:
            return z.copy()
        whole = x.astype(z.dtype)
        whole[self._free] = z
        return whole

    def _scipys(self, value: Callable[[Array], Any], x: Array, f: float) -> Array:
        # Not public, but the same code has served all of SciPy's own methods since 0.17.
        from scipy.optimize._numdiff import approx_derivative

        with np.errstate(all="ignore"):
            if self._free is None:
                found: Array = approx_derivative(value, x, method=self._scheme, f0=np.array([f]), bounds=self._box)
                return found
            gradient = np.zeros(x.size)
            gradient[self._free] = approx_derivative(
                value,
                x[self._free],
                method=self._scheme,
                f0=np.array([f]),
                bounds=tuple(b[self._free] for b in self._box),
            )
            return gradient


@contextmanager
def mapping(workers: Any) -> Iterator[Map]:
    """What evaluates points, for as long as the context lasts: `map`, processes, or what the user gave.

    Parameters
    ----------
    workers : int, concurrent.futures.Executor or callable
        A number of processes, -1 for one per processor; who has a ``map``; or ``workers(function, points)``.
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
        yield lambda value, points: pool.map(_workers.Packed(value), points)
