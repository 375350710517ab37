"""Where many runs begin, and what they found: `starts` and `distinct_minima`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from .._minimizer.options import count as whole
from .._minimizer.options import number

Array = np.ndarray[Any, Any]


def starts(bounds: Any, m: int, seed: Any = None) -> Array:
    """Spread starting points evenly over a box.

    Parameters
    ----------
    bounds : sequence of (float, float), or scipy.optimize.Bounds
        The smallest and the largest value of each of the n variables, all finite. A variable whose two bounds
        are equal gets that value.
    m : int
        How many points.
    seed : None, int or numpy.random.Generator, optional
        The same integer gives the same points. None gives others each time.

    Returns
    -------
    ndarray of float64, shape (m, n)
        The first m points of a scrambled Sobol' sequence, scaled to the box. It leaves smaller gaps than points
        drawn independently [1]_.

    Raises
    ------
    ValueError
        If a bound is not finite, a lower bound is above the upper one, or `m` is negative.

    References
    ----------
    .. [1] I. M. Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals",
       USSR Computational Mathematics and Mathematical Physics 7(4), 1967, pp. 86-112.

    Examples
    --------
    >>> from rprop_ref import starts
    >>> x0s = starts([(-1, 1), (0, 100)], 8, seed=1)
    >>> x0s.shape
    (8, 2)
    >>> [int(((x0s[:, 1] >= low) & (x0s[:, 1] < low + 25)).sum()) for low in (0, 25, 50, 75)]
    [2, 2, 2, 2]
    """
    from scipy.stats import qmc

    lower, upper = _box(bounds)
    m = whole("m", m)
    # The sequence is balanced after a power of two of points; SciPy warns about other numbers.
    power = max(m - 1, 0).bit_length()
    unit = qmc.Sobol(lower.size, seed=seed).random_base2(power)[:m]
    points: Array = np.clip(lower * (1 - unit) + upper * unit, lower, upper)
    return points


def _box(bounds: Any) -> tuple[Array, Array]:
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        lower, upper = np.broadcast_arrays(np.atleast_1d(bounds.lb), np.atleast_1d(bounds.ub))
    else:
        try:
            pairs = np.array([[np.nan if end is None else end for end in pair] for pair in bounds], float)
        except (TypeError, ValueError):
            pairs = np.empty(0)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(
                f"bounds must be pairs (smallest, largest), one for each variable, but are {bounds!r}"
            )
        lower, upper = pairs.T
    lower, upper = lower.astype(float), upper.astype(float)
    for i, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if not (np.isfinite(low) and np.isfinite(high)):
            ends = ", ".join("None" if np.isnan(end) else str(end) for end in (low, high))
            raise ValueError(f"starts need finite bounds, but those of variable {i} are ({ends})")
        if low > high:
            raise ValueError(f"the lower bound of variable {i} is above the upper one: ({low}, {high})")
    return lower, upper


def distinct_minima(
    result: OptimizeResult, tol: float = 1e-6, k: int | None = None, *, all_runs: bool = False
) -> OptimizeResult:
    """Merge the runs that ended at the same point, and list what is left, the lowest value first.

    Parameters
    ----------
    result : OptimizeResult
        What `minimize_many` returned. Not changed.
    tol : float, optional
        Two points are the same if no coordinate differs by more than ``tol * max(1, |x|)``.
    k : int, optional
        List the best k only. By default all.
    all_runs : bool, optional
        Whether runs without success count as well. A run that ended at its limit of iterations may be anywhere,
        so by default they do not.

    Returns
    -------
    OptimizeResult
        With ``x`` of shape (k, n) (or (k, \\*shape)), ``fun`` of shape (k,), ``count``, shape (k,), how many runs
        ended there, and ``index``, shape (k,), the row of `result` with the lowest value among these; ``x`` and
        ``fun`` are of that row.

    Notes
    -----
    Points are taken in the order of their values, and each claims all that are near it. So what is found does not
    depend on the order of the starts, unless values are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import distinct_minima, minimize_many
    >>> x0s = [[-2.0], [-0.5], [0.5], [3.0], [-3.0]]
    >>> result = minimize_many(lambda x: ((x * x - 1) ** 2).sum() + 0.1 * x.sum(), x0s)
    >>> found = distinct_minima(result, tol=1e-3)
    >>> found.x[:, 0].round(2), found.count
    (array([-1.01,  0.99]), array([3, 2]))
    """
    if np.ndim(result.fun) != 1:
        raise ValueError("result must be what minimize_many returned; this one is of a single run")
    tol = number("tol", tol, 0)
    k = None if k is None else whole("k", k)
    values = np.asarray(result.fun, float)
    usable = np.isfinite(values) if all_runs else np.isfinite(values) & np.asarray(result.success)
    rows = np.flatnonzero(usable)
    maximized = bool(result.get("maximize", False))
    rows = rows[np.argsort(-values[rows] if maximized else values[rows], kind="stable")]
    points = np.asarray(result.x).reshape(len(values), -1)
    index: list[int] = []
    count: list[int] = []
    while rows.size and (k is None or len(index) < k):
        first = points[rows[0]]
        scale = tol * np.maximum(1.0, np.abs(first))
        same = (np.abs(points[rows] - first) <= scale).all(axis=1)
        same[0] = True
        index.append(int(rows[0]))
        count.append(int(same.sum()))
        rows = rows[~same]
    chosen = np.array(index, np.intp)
    return OptimizeResult(
        x=np.asarray(result.x)[chosen], fun=values[chosen], count=np.array(count, np.intp), index=chosen
    )
