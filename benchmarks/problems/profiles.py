"""What the runs say: who solved what in how many evaluations, as tables and as profiles.

A run has solved a problem, to the tolerance tau, once ``f - f_best <= tau * (f_0 - f_best)``: f is its best true
value so far, f_0 the value at the start, and f_best the lowest true value found (`lowest_values`).

References
----------
J. J. Moré, S. M. Wild, "Benchmarking derivative-free optimization algorithms", SIAM Journal on Optimization 20(1),
2009, pp. 172-191. E. D. Dolan, J. J. Moré, "Benchmarking optimization software with performance profiles",
Mathematical Programming 91, 2002, pp. 201-213.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .problem import Array

TOLERANCES = (1e-3, 1e-6)

#: Evaluations and seconds until a tolerance is met; infinite if it is not.
Cost = tuple[float, float]
NEVER: Cost = (math.inf, math.inf)


@dataclass(frozen=True)
class Row:
    """One run in short: its cost for each tolerance.

    `best` and `returned` are the true values at its best point and at the one that it returned: infinity if that
    has no value, and NaN if there is none, or if it is not known.
    """

    suite: str
    problem: str
    n: int
    mode: str
    seed: int
    method: str
    costs: tuple[Cost, ...]
    end: str
    f0: float = math.nan
    best: float = math.nan
    returned: float = math.nan


def lowest_values(
    records: Iterable[dict[str, Any]], undisturbed: dict[str, str], known: Iterable[Row] = ()
) -> dict[tuple[str, str, str], float]:
    """The lowest true value of each problem in each mode: of the runs in it, and in the mode that nothing spoils.

    `known` are runs that are in short already.

    Runs in other modes do not count: noise is a search of its own, and many such runs find minima that no method
    has a chance to find.
    """
    reached = [
        (record["suite"], record["problem"], record["mode"], record["curve"][-1][2])
        for record in records
        if record["curve"]
    ]
    reached += [(row.suite, row.problem, row.mode, row.best) for row in known if math.isfinite(row.best)]
    lowest: dict[tuple[str, str, str], float] = {}
    for suite, problem, made_in, value in reached:
        for mode in (name for name, plain in undisturbed.items() if made_in in (name, plain)):
            lowest[suite, problem, mode] = min(lowest.get((suite, problem, mode), math.inf), value)
    return lowest


def goal(f0: float, lowest: float, tau: float) -> float:
    """The highest value that solves a problem to this tolerance."""
    return lowest + tau * (f0 - lowest)


def cost(record: dict[str, Any], lowest: float, tau: float) -> Cost:
    """Evaluations and seconds until this run has solved its problem to this tolerance."""
    f0 = record.get("f0", math.nan)
    highest = goal(f0, lowest, tau)
    for evaluations, seconds, f in record["curve"]:
        if f <= highest:
            return float(evaluations), float(seconds)
    return NEVER


def rows(records: Sequence[dict[str, Any]], undisturbed: dict[str, str], known: Iterable[Row] = ()) -> list[Row]:
    """The runs in short; those that do not fit, and problems whose start is the lowest point, are left out.

    `undisturbed` has for each mode the one with the same objective in which nothing is spoilt; for `known` see
    `lowest_values`.
    """
    lowest = lowest_values(records, undisturbed, known)
    short = []
    for record in records:
        best = lowest.get((record["suite"], record["problem"], record["mode"]))
        if record["end"] == "does not fit" or best is None or record.get("f0") == best:
            continue
        costs = tuple(cost(record, best, tau) for tau in TOLERANCES)
        names = {name: record[name] for name in ("suite", "problem", "mode", "seed", "method")}
        reached = record["curve"][-1][2] if record["curve"] else math.nan
        f0 = record.get("f0", math.nan)
        values = {"f0": f0, "best": reached, "returned": _returned(record.get("returned"))}
        short.append(Row(**names, n=record.get("n", 0), costs=costs, end=record["end"], **values))
    return short


def _returned(value: float | None) -> float:
    """The value at the point that was returned; infinity if it is none, NaN if there is no point."""
    if value is None:
        return math.nan
    return value if math.isfinite(value) else math.inf


def merged(short: Iterable[Row], best_of: dict[str, str]) -> list[Row]:
    """The rows with methods that count together replaced by one: the best for each problem and tolerance."""
    together: dict[tuple[Any, ...], Row] = {}
    for row in short:
        method = best_of.get(row.method, row.method)
        key = row.suite, row.problem, row.mode, row.seed, method
        other = together.get(key)
        costs = (
            row.costs if other is None else tuple(min(a, b) for a, b in zip(row.costs, other.costs, strict=True))
        )
        best = row.best if other is None else min(row.best, other.best)
        returned = row.returned if other is None else min(row.returned, other.returned)
        together[key] = replace(row, method=method, costs=costs, best=best, returned=returned)
    return list(together.values())


def solved(group: Sequence[Row], tolerance: int) -> float:
    """Problems solved, as the mean over the seeds."""
    seeds = {row.seed for row in group}
    return sum(math.isfinite(row.costs[tolerance][0]) for row in group) / max(1, len(seeds))


def solved_beside(
    group: Sequence[Row], lowest: dict[tuple[str, str, str], float], tolerance: int, value: str = "best"
) -> float:
    """The same, where f_best is as given, by `lowest_values`, and this value of each row is its f."""
    tau = TOLERANCES[tolerance]
    count: int = sum(
        getattr(r, value) <= goal(r.f0, lowest.get((r.suite, r.problem, r.mode), math.inf), tau) for r in group
    )
    return count / max(1, len({row.seed for row in group}))


def median_cost(group: Sequence[Row], tolerance: int, unit: int) -> float:
    """The median evaluations (unit 0) or seconds (1) over all runs; infinite if fewer than half solved."""
    costs = sorted(row.costs[tolerance][unit] for row in group)
    return costs[(len(costs) - 1) // 2] if costs else math.inf


def data_profile(group: Sequence[Row], tolerance: int) -> tuple[Array, Array]:
    """Evaluations in units of n + 1, ascending, and the share of runs that are solved with as many."""
    units = np.sort([row.costs[tolerance][0] / (row.n + 1) for row in group])
    shares = np.arange(1, units.size + 1) / units.size
    finite = np.isfinite(units)
    return units[finite], shares[finite]


def performance_profiles(
    groups: dict[str, Sequence[Row]], tolerance: int, unit: int = 0
) -> dict[str, tuple[Array, Array]]:
    """For each method: ratios to the cheapest method, ascending, and the share of runs solved within as much.

    Shares are of the runs that at least one method has solved.
    """
    best: dict[tuple[Any, ...], float] = {}
    for group in groups.values():
        for row in group:
            key = row.suite, row.problem, row.mode, row.seed
            best[key] = min(best.get(key, math.inf), row.costs[tolerance][unit])
    solvable = sum(map(math.isfinite, best.values()))
    profiles = {}
    for method, group in groups.items():
        ratios = []
        for row in group:
            least, mine = best[row.suite, row.problem, row.mode, row.seed], row.costs[tolerance][unit]
            if math.isfinite(mine):
                ratios.append(mine / least if least > 0 else 1.0)
        ascending = np.sort(np.array(ratios, float))
        profiles[method] = ascending, np.arange(1, ascending.size + 1) / max(1, solvable)
    return profiles
