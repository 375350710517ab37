"""The methods: each gets an `Evaluations`, and runs until it stops by itself or is ended."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize as so

import rprop_ref
from rprop_ref.rules import DEFAULT, RULES

from .evaluations import Evaluations
from .problem import Array, Problem

Run = Callable[[Evaluations], Any]


@dataclass(frozen=True)
class Method:
    """A method: its title, how it runs, whether it keeps bounds, and the package it needs.

    `best_of` names the column in which the best of several runs counts, for each problem and tolerance.
    """

    title: str
    run: Run
    bounded: bool = True
    package: str | None = None
    best_of: str | None = None

    def missing(self) -> str | None:
        """Why the method cannot run here, or None."""
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed (extra problems)"
        return None

    def fits(self, problem: Problem) -> bool:
        """Whether the method can be given this problem."""
        return self.bounded or problem.bounds is None or not np.isfinite(problem.bounds).any()


def _pairs(problem: Problem) -> list[tuple[float, float]] | None:
    return None if problem.bounds is None else list(zip(*problem.bounds, strict=True))


def rprop(spare: int = 0, **options: Any) -> Run:
    """`rprop_ref.minimize` with its defaults but for these options.

    Evaluations are its only limit: an iteration whose step does not change x evaluates nothing. It ends when no
    more than `spare` of them are left.
    """

    def run(evaluations: Evaluations) -> Any:
        problem = evaluations.problem
        if problem.value_and_gradient is None:
            # What `minimize` would take by itself for 2-point differences.
            options.setdefault("gtol", 1e-5)
        limits: dict[str, Any] = {"maxiter": np.inf, "maxfev": evaluations.budget - spare}
        return rprop_ref.minimize(evaluations, problem.x0, jac=True, bounds=_pairs(problem), **limits, **options)

    return run


def scipy(method: str, limit: str, *, gradient: bool = True, **options: Any) -> Run:
    """A method of `scipy.optimize.minimize`; `limit` is its name for the largest number of evaluations."""

    def run(evaluations: Evaluations, start: Array | None = None) -> Any:
        problem = evaluations.problem
        given: dict[str, Any] = {"maxiter": evaluations.budget, limit: evaluations.budget, **options}
        return so.minimize(
            evaluations if gradient else evaluations.value,
            problem.x0 if start is None else start,
            jac=True if gradient else None,
            method=method,
            bounds=_pairs(problem) if method not in ("BFGS", "CG") else None,
            options=given,
        )

    return run


def restarted(run: Any) -> Run:
    """The same again from its best point, until the budget is used up or 100 times brought no lower value."""

    def again(evaluations: Evaluations) -> None:
        best = run(evaluations)
        futile = 0
        while futile < 100:
            result = run(evaluations, best.x)
            futile = 0 if result.fun < best.fun else futile + 1
            best = result if result.fun < best.fun else best

    return again


def adam(rate: float) -> Run:
    """Kingma & Ba 2015, with their constants; points are moved into the bounds. Returns the last one."""

    def run(evaluations: Evaluations) -> Any:
        x = evaluations.problem.x0.copy()
        m, v = np.zeros_like(x), np.zeros_like(x)
        # A gradient of differences takes as many evaluations as there are variables, and one.
        spare = x.size if evaluations.problem.value_and_gradient is None else 0
        t = 0
        while evaluations.left > spare:
            t += 1
            g = evaluations(x)[1]
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            x = x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            if evaluations.problem.bounds is not None:
                x = np.clip(x, *evaluations.problem.bounds)
        return so.OptimizeResult(x=x)

    return run


def optax_adam(rate: float) -> Run:
    """Adam of optax, step by step."""

    def run(evaluations: Evaluations) -> None:
        import jax
        import optax

        jax.config.update("jax_enable_x64", True)
        optimizer = optax.adam(rate)
        x = evaluations.problem.x0.copy()
        state = optimizer.init(x)
        update = jax.jit(optimizer.update)
        while True:
            steps, state = update(evaluations(x)[1], state)
            x = x + np.asarray(steps)

    return run


def optax_lbfgs(evaluations: Evaluations) -> None:
    """L-BFGS of optax with its line search, which calls back for values and gradients."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    x = jax.numpy.array(evaluations.problem.x0)
    shapes = jax.ShapeDtypeStruct((), x.dtype), jax.ShapeDtypeStruct(x.shape, x.dtype)

    def evaluate(x: Any) -> tuple[Array, Array]:
        if evaluations.left < 1 or evaluations.ended:
            evaluations.ended = True
            return np.array(np.nan), np.full(x.shape, np.nan)
        f, g = evaluations(np.asarray(x))
        return np.array(f), np.asarray(g)

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def fun(x: Any) -> Any:
        return jax.pure_callback(evaluate, shapes, x)[0]

    def forward(x: Any) -> Any:
        return jax.pure_callback(evaluate, shapes, x)

    fun.defvjp(forward, lambda g, t: (t * g,))
    optimizer = optax.lbfgs()
    both = optax.value_and_grad_from_state(fun)

    @jax.jit  # type: ignore[untyped-decorator]
    def step(x: Any, state: Any) -> Any:
        f, g = both(x, state=state)
        updates, state = optimizer.update(g, state, x, value=f, grad=g, value_fn=fun)
        return optax.apply_updates(x, updates), state

    state = optimizer.init(x)
    while not evaluations.ended:
        before = x
        x, state = step(x, state)
        if bool((x == before).all()) or not bool(jax.numpy.isfinite(x).all()):
            return


def pints_irprop(evaluations: Evaluations) -> None:
    """iRprop- of PINTS through ask and tell; its step sizes begin at 1% of the start, as ours do."""
    import pints

    problem = evaluations.problem
    sigma = np.where(problem.x0 == 0, 0.01, 0.01 * np.abs(problem.x0))
    boundaries = None
    if problem.bounds is not None and np.isfinite(problem.bounds).all():
        boundaries = pints.RectangularBoundaries(*problem.bounds)
    optimizer = pints.IRPropMin(problem.x0, sigma, boundaries)
    while True:
        optimizer.tell([evaluations(x) for x in optimizer.ask()])


def minuit(evaluations: Evaluations) -> Any:
    """MIGRAD with the gradient, as `iminuit.minimize` calls it."""
    import iminuit

    problem = evaluations.problem

    def gradient(x: Array) -> Array:
        return evaluations(x)[1]

    return iminuit.minimize(
        evaluations.value,
        problem.x0,
        jac=gradient,
        bounds=_pairs(problem),
        options={"maxfun": evaluations.budget},
    )


def _adams() -> dict[str, Method]:
    rates = (1e-3, 1e-2, 1e-1, 1.0)
    return {f"adam-{r:g}": Method(f"Adam, rate {r:g}", adam(r), best_of="Adam, best of 4 rates") for r in rates}


METHODS: dict[str, Method] = {
    "rprop": Method("Rprop (minimize)", rprop()),
    # The last mean may take more evaluations than are left.
    "rprop-samples": Method('Rprop, samples="auto"', rprop(samples="auto", spare=500)),
    "rprop-samples-10": Method("Rprop, samples=10", rprop(samples=10, spare=9)),
    "rprop-torch": Method(
        "Rprop with torch's defaults",
        rprop(etas=(0.5, 1.2), step_sizes=(1e-6, 50), lr=0.01, pattern_every=None),
    ),
    "rprop-plain": Method("Rprop without pattern moves", rprop(pattern_every=None)),
    "rprop-pattern-10": Method("Rprop, pattern_every=10", rprop(pattern_every=10)),
    "rprop-eta": Method(
        "Rprop without pattern moves, etas (0.5, 1.2)", rprop(etas=(0.5, 1.2), pattern_every=None)
    ),
    **{
        f"rprop-{name}": Method(f"Rprop, variant {name}", rprop(variant=name)) for name in RULES if name != DEFAULT
    },
    "lbfgsb": Method("L-BFGS-B", scipy("L-BFGS-B", "maxfun")),
    "lbfgsb-tight": Method("L-BFGS-B, ftol=0, gtol=0", scipy("L-BFGS-B", "maxfun", ftol=0.0, gtol=0.0)),
    "lbfgsb-restarted": Method("L-BFGS-B, restarted", restarted(scipy("L-BFGS-B", "maxfun", ftol=0.0, gtol=0.0))),
    "bfgs": Method("BFGS, gtol=1e-10", scipy("BFGS", "maxiter", gtol=1e-10), bounded=False),
    "cg": Method("CG, gtol=1e-10", scipy("CG", "maxiter", gtol=1e-10), bounded=False),
    "tnc": Method("TNC, tight", scipy("TNC", "maxfun", ftol=0.0, gtol=0.0, xtol=0.0)),
    "nelder-mead": Method("Nelder-Mead", scipy("Nelder-Mead", "maxfev", gradient=False, xatol=1e-10, fatol=1e-15)),
    "powell": Method("Powell", scipy("Powell", "maxfev", gradient=False, xtol=1e-10, ftol=1e-15)),
    **_adams(),
    "pints-irprop": Method("PINTS' iRprop-", pints_irprop, package="pints"),
    "minuit": Method("MIGRAD", minuit, package="iminuit"),
    "optax-adam": Method("optax's Adam, rate 0.01", optax_adam(0.01), bounded=False, package="optax"),
    "optax-lbfgs": Method("optax's L-BFGS", optax_lbfgs, bounded=False, package="optax"),
}
