"""Runs of known kind, drawn at random: what `Trace.explain` should say of each is known from how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import rosen, rosen_der

from rprop_ref import Parameter, Rprop, Trace, minimize
from rprop_ref.rules import RULES

Array = np.ndarray[Any, Any]
Objective = Callable[[Array], tuple[float, Array]]


class KnownRun(NamedTuple):
    """A run, and the findings that are right: any of these lists."""

    kind: str
    trace: Trace
    right: tuple[list[str], ...]


def known_runs(seed: int, share: float = 1.0) -> Iterator[KnownRun]:
    """About 200 runs, or this share of them."""
    for kind, (make, count) in _KINDS.items():
        rng = np.random.default_rng([seed, *kind.encode()])
        for i in range(round(count * share)):
            yield make(rng, i)


def stepped(objective: Objective, x0: Array, steps: int, **options: Any) -> Trace:
    """The trace of a loop around `Rprop`."""
    parameter = Parameter(np.array(x0), requires_grad=False)
    optimizer = Rprop([parameter], **options)
    with Trace.attach(optimizer) as trace:
        for _ in range(steps):
            f, parameter.grad = objective(parameter.data)
            optimizer.step(loss=float(f))
    return trace


def run(i: int, objective: Objective, x0: Array, steps: int, step_sizes: tuple[float, float] = (0, 50)) -> Trace:
    """Every second run by `minimize`, half of these with pattern moves, the others by a loop; the rules in turn."""
    variant = list(RULES)[i % len(RULES)]
    if i % 2:
        return stepped(objective, x0, steps, variant=variant, step_sizes=step_sizes)
    every = {} if i % 4 else {"pattern_every": None}
    result = minimize(objective, x0, jac=True, trace=True, maxiter=steps, variant=variant, **every)
    trace: Trace = result.trace
    return trace


def quadratic(rng: np.random.Generator, n: int, condition: float, rotate: bool = True) -> tuple[Objective, Array]:
    """A quadratic function whose minimum is 0, and where the minimum is."""
    matrix = np.diag(10.0 ** rng.permutation(np.linspace(0, np.log10(condition), n)))
    if rotate:
        q, _ = np.linalg.qr(rng.normal(size=(n, n)))
        matrix = q @ matrix @ q.T
    minimum = rng.normal(size=n) * 3

    def objective(x):
        g = matrix @ (x - minimum)
        return 0.5 * (x - minimum) @ g, g

    return objective, minimum


def rosenbrock(x: Array) -> tuple[float, Array]:
    return rosen(x), rosen_der(x)


def _smooth(kind: str, objective: Objective, trace: Trace) -> KnownRun:
    """A run on a smooth objective whose minimum is 0: in a valley if it gained little in the last quarter."""
    heights = np.minimum.accumulate([objective(x)[0] for x in trace.x])
    start, before, end = heights[0], heights[len(heights) * 3 // 4], heights[-1]
    if end < 1e-20 * start:
        right: tuple[list[str], ...] = ([], ["valley"])
    elif before < 10 * end and end > 1e-10 * start and len(trace) >= 200:
        right = (["valley"],)
    else:
        right = ([], ["valley"])
    return KnownRun(kind, trace, right)


def _valley(rng: np.random.Generator, i: int) -> KnownRun:
    n = int(rng.integers(2, 9))
    objective, _ = quadratic(rng, n, 10.0 ** rng.uniform(2, 8))
    steps = int(rng.choice([100, 200, 300, 500, 1000, 2000]))
    return _smooth("valley", objective, run(i, objective, rng.normal(size=n) * 3, steps))


def _curved_valley(rng: np.random.Generator, i: int) -> KnownRun:
    steps = (200, 500, 1000)[i % 3]
    return _smooth("curved valley", rosenbrock, run(i, rosenbrock, rng.normal(size=2 + i % 4) - 1, steps))


def _noise(rng: np.random.Generator, i: int) -> KnownRun:
    n, level = int(rng.integers(1, 9)), 10.0 ** rng.uniform(-4, 0)
    objective, _ = quadratic(rng, n, 10.0 ** rng.uniform(0, 2), rotate=i % 2 == 0)
    x0 = rng.normal(size=n) * 3
    largest = np.max(np.abs(objective(x0)[1]))

    def noisy(x):
        f, g = objective(x)
        return f * (1 + level * rng.normal()), g + level * largest * rng.normal(size=n)

    trace = run(i, noisy, x0, int(rng.choice([300, 1000])), step_sizes=((0, 1e-6)[i // 2 % 2], 50))
    return KnownRun("noise", trace, (["noise"],))


def _batches(rng: np.random.Generator, i: int) -> KnownRun:
    n, batch = int(rng.integers(2, 8)), int(rng.choice([5, 20, 100, 300]))
    a = rng.normal(size=(1000, n))
    y = a @ np.arange(n) + rng.normal(size=1000)

    def objective(x):
        rows = rng.integers(0, 1000, batch)
        r = a[rows] @ x - y[rows]
        return r @ r / 2 / batch, a[rows].T @ r / batch

    return KnownRun("batches", run(i, objective, np.zeros(n), 400, step_sizes=(1e-6, 50)), (["noise"],))


def _kink(rng: np.random.Generator, i: int) -> KnownRun:
    """Least absolute residuals: runs come to rest across the axes, or find the minimum, which is 0."""
    n = int(rng.integers(2, 7))
    a = rng.normal(size=(int(rng.integers(n, 4 * n)), n))
    weights, minimum = 10.0 ** rng.uniform(-1, 1, len(a)), rng.normal(size=n)

    def objective(x):
        r = a @ (x - minimum)
        return weights @ np.abs(r), a.T @ (weights * np.sign(r))

    x0 = rng.normal(size=n) * 3
    trace = run(i, objective, x0, (200, 600, 2000)[i % 3])
    found = min(objective(x)[0] for x in trace.x[-8:]) < 1e-6 * objective(x0)[0]
    return KnownRun("kink", trace, ([], ["kink"]) if found else (["kink"],))


def _curved_kink(rng: np.random.Generator, i: int) -> KnownRun:
    """The largest of convex quadratic functions, or the absolute values of nonlinear residuals."""
    n = int(rng.integers(2, 7))
    if i // 2 % 2:
        pieces = [quadratic(rng, n, 10.0 ** rng.uniform(0, 2))[0] for _ in range(int(rng.integers(2, 2 * n + 2)))]

        def objective(x):
            return max((piece(x) for piece in pieces), key=lambda value: value[0])
    else:
        a, minimum = rng.normal(size=(3 * n, n)), rng.normal(size=n)

        def objective(x):
            r = a @ (x - minimum) / 2
            return np.sum(np.abs(np.sinh(r))), a.T @ (np.sign(r) * np.cosh(r)) / 2

    trace = run(i, objective, rng.normal(size=n) * 2, (200, 600, 2000)[i % 3])
    return KnownRun("curved kink", trace, ([], ["kink"]))


def _axis_kink(rng: np.random.Generator, i: int) -> KnownRun:
    n = int(rng.integers(1, 6))
    minimum, weights = rng.normal(size=n), 10.0 ** rng.uniform(-2, 2, n)

    def objective(x):
        return weights @ np.abs(x - minimum), weights * np.sign(x - minimum)

    return KnownRun("kink along the axes", run(i, objective, rng.normal(size=n) * 3, (100, 400)[i % 2]), ([],))


def _healthy(rng: np.random.Generator, i: int) -> KnownRun:
    n = int(rng.integers(1, 12))
    separable = i % 4 < 2
    condition = 10.0 ** rng.uniform(0, 8 if separable else 0.7)
    objective, _ = quadratic(rng, n, condition, rotate=not separable)
    return KnownRun("healthy", run(i, objective, rng.normal(size=n) * 3, (60, 150, 400)[i % 3]), ([],))


def _held(rng: np.random.Generator, i: int) -> KnownRun:
    n = int(rng.integers(2, 8))
    objective, minimum = quadratic(rng, n, 10.0 ** rng.uniform(0, 0.7))
    bounds = [(c + 0.5, c + 3) if k % 2 else (None, None) for k, c in enumerate(minimum)]
    x0 = np.clip(
        rng.normal(size=n),
        *np.array([(-np.inf if a is None else a, np.inf if b is None else b) for a, b in bounds]).T,
    )
    result = minimize(objective, x0, jac=True, trace=True, maxiter=500, bounds=bounds)
    return KnownRun("bounds", result.trace, ([],))


def _plateau(rng: np.random.Generator, i: int) -> KnownRun:
    n = int(rng.integers(1, 5))

    def objective(x):
        bump = np.exp(-(x**2))
        return -np.sum(bump), 2 * x * bump

    start = 20 + 10 * rng.random(n)
    return KnownRun(
        "plateau", stepped(objective, start, 200), (["underflow"], ["no gradient"], ["underflow", "no gradient"])
    )


def _clamp(rng: np.random.Generator, i: int) -> KnownRun:
    n = int(rng.integers(1, 5))
    objective, _ = quadratic(rng, n, 1.0)
    variant = list(RULES)[i // 2 % len(RULES)]
    if i % 2:
        trace = stepped(objective, np.zeros(n), 200, variant=variant, step_sizes=(1e-2, 50))
        return KnownRun("lower clamp", trace, (["lower clamp"],))
    trace = stepped(objective, np.full(n, 30.0), 200, variant=variant, step_sizes=(1e-6, 1e-2))
    return KnownRun("upper clamp", trace, (["upper clamp"],))


_KINDS: dict[str, tuple[Callable[[np.random.Generator, int], KnownRun], int]] = {
    "valley": (_valley, 50),
    "curved valley": (_curved_valley, 10),
    "noise": (_noise, 40),
    "batches": (_batches, 15),
    "kink": (_kink, 25),
    "curved kink": (_curved_kink, 15),
    "kink along the axes": (_axis_kink, 10),
    "healthy": (_healthy, 20),
    "bounds": (_held, 10),
    "plateau": (_plateau, 5),
    "clamp": (_clamp, 10),
}
