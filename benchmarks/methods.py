"""Rprop, L-BFGS-B and Adam on problems that suit one or another: ``python -m benchmarks.methods``.

It counts evaluations of value and gradient, until the distance of the objective from its lowest known value has
fallen to a millionth of what it was at the start. Unlike times, these counts hardly depend on the machine. Adam
gets the best of eight learning rates, Rprop and L-BFGS-B their defaults. Prints the tables of the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize as scipy_minimize

import rprop_ref

Array = np.ndarray[Any, Any]
Objective = Callable[[Array], tuple[float, Array]]

BUDGET = 10_000
GOAL = 1e-6


@dataclass(frozen=True)
class Problem:
    """An objective with a description as its name, the start, and the lowest known value."""

    name: str
    objective: Objective
    x0: Array
    lowest: float = 0.0


class _ReachedError(Exception):
    """The goal is reached."""


def _count(problem: Problem, run: Callable[[Objective, Array], Any]) -> int | None:
    """Evaluations until the goal is reached; None if the method gives up or uses up its budget before."""
    goal = problem.lowest + GOAL * (problem.objective(problem.x0)[0] - problem.lowest)
    evaluations = 0

    def counted(x: Array) -> tuple[float, Array]:
        nonlocal evaluations
        evaluations += 1
        f, g = problem.objective(x)
        if f <= goal:
            raise _ReachedError
        return f, g

    try:
        with np.errstate(all="ignore"):
            run(counted, problem.x0.copy())
    except _ReachedError:
        return evaluations
    return None


def _rprop(objective: Objective, x: Array) -> Any:
    return rprop_ref.minimize(objective, x, jac=True, maxiter=BUDGET, gtol=0.0)


def _lbfgsb(objective: Objective, x: Array) -> Any:
    options = {"maxiter": BUDGET, "maxfun": BUDGET, "ftol": 0.0, "gtol": 0.0}
    return scipy_minimize(objective, x, jac=True, method="L-BFGS-B", options=options)


def _adam(rate: float, steps: int = BUDGET) -> Callable[[Objective, Array], Any]:
    def run(objective: Objective, x: Array) -> None:
        """Kingma & Ba 2015, with their defaults."""
        m, v = np.zeros_like(x), np.zeros_like(x)
        for t in range(1, steps + 1):
            g = objective(x)[1]
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            x = x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return run


def counts(problem: Problem) -> tuple[int | None, int | None, int | None]:
    """Evaluations by Rprop, L-BFGS-B, and Adam at the best of eight rates."""
    adam = [_count(problem, _adam(10.0**k)) for k in np.arange(-3.5, 0.5, 0.5)]
    return _count(problem, _rprop), _count(problem, _lbfgsb), min((c for c in adam if c is not None), default=None)


# -------------------------------------------------------------------------------------------------------
# Problems


def _quadratic(a: Array, name: str, x0: Array) -> Problem:
    return Problem(name, lambda x: (float(x @ a @ x) / 2, a @ x), x0)


def _rotated(n: int, condition: float, rng: np.random.Generator) -> Array:
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return np.asarray((q * np.logspace(0, np.log10(condition), n)) @ q.T)


def _network(rng: np.random.Generator) -> Problem:
    """A 1-8-1 network of tanh units, and data from such a network."""
    t = np.linspace(-2, 2, 40)[:, None]

    def outputs(x: Array) -> tuple[Array, Array, Array]:
        w, b, v = x[:8], x[8:16], x[16:24]
        h = np.tanh(t * w + b)
        return h, h @ v + x[24], v

    goal = outputs(2 * rng.normal(size=25))[1]

    def objective(x: Array) -> tuple[float, Array]:
        h, out, v = outputs(x)
        r = out - goal
        back = r[:, None] * v * (1 - h * h)
        return float(r @ r) / 2, np.concatenate([(back * t).sum(0), back.sum(0), h.T @ r, [r.sum()]])

    return Problem("a network (1-8-1), full batch", objective, rng.normal(size=25))


def _signs_only(rng: np.random.Generator) -> Problem:
    scale = np.logspace(-3, 3, 10)

    def objective(x: Array) -> tuple[float, Array]:
        return float(x @ x), 2 * x * scale

    return Problem("gradients with wrong lengths and right signs", objective, rng.normal(size=10))


def _regression(rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Points, responses, and the lowest value of half the mean squared error."""
    a = rng.normal(size=(1000, 10))
    y = a @ rng.normal(size=10) + 0.5 * rng.normal(size=1000)
    r = a @ np.linalg.lstsq(a, y, rcond=None)[0] - y
    return a, y, float(r @ r) / 2000


def _fit(a: Array, y: Array, x: Array) -> tuple[float, Array]:
    r = a @ x - y
    return float(r @ r) / (2 * r.size), a.T @ r / r.size


def good() -> Iterator[Problem]:
    """Problems that are easy for Rprop or hard for other methods."""
    rng = np.random.default_rng(7)
    yield _quadratic(
        np.diag(np.logspace(-3, 3, 10)), "scales from 1e-3 to 1e3, along the axes", rng.normal(size=10)
    )
    yield _signs_only(rng)
    c = rng.normal(size=10)
    kink = "a kink: sum of abs(x - c), n = 10"
    yield Problem(kink, lambda x: (float(np.abs(x - c).sum()), np.sign(x - c)), np.zeros(10))
    yield Problem(
        "a plateau: 1 - exp(-x·x), n = 2, from (3.6, 3.2)",
        lambda x: (float(-np.expm1(-x @ x)), 2 * x * np.exp(-x @ x)),
        np.array([3.6, 3.2]),
    )


def bad() -> Iterator[Problem]:
    """Problems that are hard for Rprop."""
    from scipy.optimize import rosen, rosen_der

    rng = np.random.default_rng(7)
    for condition in (10, 100, 1000):
        a = _rotated(10, condition, rng)
        yield _quadratic(a, f"a rotated quadratic, n = 10, condition {condition:,}", rng.normal(size=10))
    yield Problem("Rosenbrock, n = 2", lambda x: (float(rosen(x)), rosen_der(x)), np.array([-1.2, 1.0]))
    yield Problem("Rosenbrock, n = 10", lambda x: (float(rosen(x)), rosen_der(x)), np.tile([-1.2, 1.0], 5))
    yield _network(rng)
    a, y, lowest = _regression(rng)
    yield Problem("linear regression, all of 1,000 points", lambda x: _fit(a, y, x), np.zeros(10), lowest)


def noise() -> str:
    """How well batches solve a regression: a table of how far the mean squared error is above its lowest value."""
    a, y, lowest = _regression(np.random.default_rng(7))
    steps = 2000

    def excess(follow: Callable[[Objective, Array], Any], batch: int) -> float:
        """In percent of the lowest value, of what is returned, or of the last 100 steps; the mean of ten runs."""
        last: list[float] = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            values: list[float] = []

            def objective(x: Array, rng: np.random.Generator = rng, values: list[float] = values) -> Any:
                values.append(_fit(a, y, x)[0])
                rows = slice(None) if batch == 1000 else rng.integers(0, 1000, batch)
                return _fit(a[rows], y[rows], x)

            result = follow(objective, np.zeros(10))
            last.append(_fit(a, y, result.x)[0] if result else float(np.mean(values[-100:])))
        return 100 * (float(np.mean(last)) / lowest - 1)

    def rprop(objective: Objective, x: Array) -> None:
        p = rprop_ref.Parameter(x)
        optimizer = rprop_ref.Rprop([p])
        for _ in range(steps):
            p.grad = objective(p.data)[1]
            optimizer.step()

    def means(objective: Objective, x: Array) -> Any:
        return rprop_ref.minimize(objective, x, jac=True, samples="auto", maxfev=steps)

    def without_moves(objective: Objective, x: Array) -> Any:
        return rprop_ref.minimize(objective, x, jac=True, samples="auto", maxfev=steps, pattern_every=None)

    adams = [_adam(10.0**k, steps) for k in np.arange(-3.5, 0.5, 0.5)]
    lines = [
        '| points in a batch | Rprop | `samples="auto"` | and `pattern_every=None` | Adam |',
        "|--:|--:|--:|--:|--:|",
    ]
    for batch in (1000, 300, 100, 30, 10):
        best = min(excess(adam, batch) for adam in adams)
        ours = (excess(follow, batch) for follow in (rprop, means, without_moves))
        shown = (f"{round(e, 6) + 0.0:.2g}%" for e in (*ours, best))
        lines.append(f"| {batch} | {' | '.join(shown)} |")
    return "\n".join(lines)


def table(problems: Iterator[Problem]) -> str:
    """A table in Markdown."""
    lines = ["| problem | Rprop | L-BFGS-B | Adam |", "|---|--:|--:|--:|"]
    for problem in problems:
        shown = ("not found" if c is None else f"{c:,}" for c in counts(problem))
        lines.append(f"| {problem.name} | {' | '.join(shown)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(good()), table(bad()), noise(), sep="\n\n")
