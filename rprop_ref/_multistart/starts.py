"""`starts`: points to start from; and `distinct_minima`: the different minima that the runs found."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from .._minimizer.bounds import check_plain_bounds
from .._minimizer.options import count, number, warn

Array = np.ndarray[Any, Any]


def starts(bounds: Any, m: int, seed: Any = None) -> Array:
    """Spread starting points evenly within bounds.

    Parameters
    ----------
    bounds : sequence of (float, float), or scipy.optimize.Bounds
        The smallest and the largest value of each of the n variables, all finite. A variable whose two bounds
        are equal gets that value.
    m : int
        The number of points.
    seed : None, int or numpy.random.Generator, optional
        The same integer gives the same points. None gives different ones each time.

    Returns
    -------
    ndarray of float64, shape (m, n)
        The first m points of a scrambled Sobol' sequence, scaled to the bounds. They leave smaller gaps than
        points drawn independently [1]_.

    Raises
    ------
    ValueError
        If a bound is not finite, a lower bound is above its upper bound, or `m` is negative.

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

    lower, upper = _finite_bounds(bounds)
    m = count("m", m)
    # The sequence is balanced if the number of points is a power of two; SciPy warns about other numbers.
    power = max(m - 1, 0).bit_length()
    unit = qmc.Sobol(lower.size, seed=seed).random_base2(power)[:m]
    points: Array = np.clip(lower * (1 - unit) + upper * unit, lower, upper)
    return points


def _finite_bounds(bounds: Any) -> tuple[Array, Array]:
    check_plain_bounds(bounds)
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
    """Merge the runs that ended at the same point, and list the points, the lowest value first.

    Parameters
    ----------
    result : OptimizeResult
        A result of `minimize_many`. Not modified.
    tol : float, optional
        Two points are the same if no coordinate differs by more than ``tol * max(1, |x|)``.
    k : int, optional
        List only the best k. By default all.
    all_runs : bool, optional
        Whether to include runs without success. By default they are left out, since a run that `maxiter` ended
        may be anywhere.

    Returns
    -------
    OptimizeResult
        With ``x`` of shape (k, n) (or (k, \\*shape)), ``fun`` of shape (k,); ``count``, shape (k,), the number of
        runs that ended there; and ``index``, shape (k,), the row of `result` with the lowest value among these,
        from which ``x`` and ``fun`` are taken.

    Warns
    -----
    scipy.optimize.OptimizeWarning
        If there is no point to list, since no run ended with success, or none had a finite value.

    Notes
    -----
    Points are taken in the order of their values, and each absorbs all others near it. So the result does not
    depend on the order of the starts, unless values are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import distinct_minima, minimize_many
    >>> x0s = [[-2.0], [-0.5], [0.5], [3.0], [-3.0]]
    >>> result = minimize_many(lambda x: ((x * x - 1) ** 2).sum() + 0.1 * x.sum(), x0s)
    >>> minima = distinct_minima(result, tol=1e-3)
    >>> minima.x[:, 0].round(2), minima.count
    (array([-1.01,  0.99]), array([3, 2]))
    """
    if np.ndim(result.fun) != 1:
        raise ValueError("result must be a result of minimize_many, but this one is of a single run")
    tol = number("tol", tol, 0)
    k = None if k is None else count("k", k)
    values = np.asarray(result.fun, float)
    usable = np.isfinite(values) if all_runs else np.isfinite(values) & np.asarray(result.success)
    rows = np.flatnonzero(usable)
    if not rows.size:
        warn(_why_none(result, bool(np.isfinite(values).any())))
    ascending = -values if result.get("maximize", False) else values
    rows = rows[np.argsort(ascending[rows], kind="stable")]
    points = np.asarray(result.x).reshape(len(values), -1)
    index: list[int] = []
    counts: list[int] = []
    while rows.size and (k is None or len(index) < k):
        first = points[rows[0]]
        scale = tol * np.maximum(1.0, np.abs(first))
        is_near = (np.abs(points[rows] - first) <= scale).all(axis=1)
        is_near[0] = True
        index.append(int(rows[0]))
        counts.append(int(is_near.sum()))
        rows = rows[~is_near]
    chosen = np.array(index, np.intp)
    return OptimizeResult(
        x=np.asarray(result.x)[chosen], fun=values[chosen], count=np.array(counts, np.intp), index=chosen
    )


def _why_none(result: OptimizeResult, any_finite: bool) -> str:
    """Why there are no minima of some runs, and what to do."""
    why = "no run ended with success; all_runs=True lists where they ended" if any_finite else "no value is finite"
    reasons = Counter(result.get("message", ())).most_common(1)
    most = "".join(f" {times} of {len(result.fun)} runs: {reason}" for reason, times in reasons)
    return f"distinct_minima lists nothing, since {why}.{most}"
