"""Modes: what is done to a problem before a method sees it. Each keeps the true value beside the value shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .problem import Array, Problem


class Observed:
    """A problem as it is. The other modes override what they change.

    Attributes
    ----------
    problem : Problem
        With the start and the bounds that the method gets.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.rng = rng

    def value_and_gradient(self, x: Array) -> tuple[float, Array, float]:
        """Value and gradient as shown, and the true value."""
        assert self.problem.value_and_gradient is not None
        f, g = self.problem.value_and_gradient(x)
        shown, gradient = self.show(float(f), g)
        return shown, gradient, float(f)

    def value(self, x: Array) -> tuple[float, float]:
        """The value as shown, and the true value."""
        f = self.problem.true_value(x)
        shown = f if self.problem.shown is None else float(self.problem.shown(x))
        return self.show(shown, np.zeros(0))[0], f

    def show(self, f: float, g: Array) -> tuple[float, Array]:
        """What the method is shown of a value and a gradient."""
        return f, g


class MultiplicativeNoise(Observed):
    """Value times (1 + s N), and gradient plus s max(abs(g)) N, with standard normal N."""

    def __init__(self, problem: Problem, rng: np.random.Generator, sigma: float) -> None:
        super().__init__(problem, rng)
        self.sigma = sigma

    def show(self, f: float, g: Array) -> tuple[float, Array]:
        noise = self.sigma * self.rng.standard_normal(g.size + 1)
        return f * (1 + float(noise[0])), g + np.max(np.abs(g), initial=0.0) * noise[1:]


class AdditiveNoise(Observed):
    """Value plus s abs(f0) N, and gradient plus s max(abs(g0)) N, with f0 and g0 from the start."""

    def __init__(self, problem: Problem, rng: np.random.Generator, sigma: float) -> None:
        super().__init__(problem, rng)
        self.f_scale = sigma * (abs(problem.true_value(problem.x0)) or 1.0)
        self.g_scale = 0.0
        if problem.value_and_gradient is not None:
            self.g_scale = sigma * float(np.max(np.abs(problem.value_and_gradient(problem.x0)[1]), initial=0.0))

    def show(self, f: float, g: Array) -> tuple[float, Array]:
        noise = self.rng.standard_normal(g.size + 1)
        return f + self.f_scale * float(noise[0]), g + self.g_scale * noise[1:]


class Float32(Observed):
    """Value and gradient rounded to float32, as from an objective that is computed on a GPU."""

    def show(self, f: float, g: Array) -> tuple[float, Array]:
        with np.errstate(over="ignore"):
            return float(np.float32(f)), g.astype(np.float32).astype(float)


class WrongLengths(Observed):
    """Each component of the gradient times 10^u, u uniform in [-1, 1] and drawn anew each time."""

    def show(self, f: float, g: Array) -> tuple[float, Array]:
        return f, g * 10.0 ** self.rng.uniform(-1, 1, g.size)


class SignsOnly(Observed):
    """Of each component of the gradient, its sign alone."""

    def show(self, f: float, g: Array) -> tuple[float, Array]:
        return f, np.sign(g)


class BadlyScaled(Observed):
    """Each variable in units of its own, 10^u times larger or smaller, u uniform in [-3, 3]."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        units = 10.0 ** rng.uniform(-3, 3, problem.x0.size)
        inner, shown = problem.value_and_gradient, problem.shown

        def value_and_gradient(y: Array) -> tuple[float, Array]:
            assert inner is not None
            f, g = inner(y * units)
            return f, g * units

        bounds = problem.bounds
        changed = replace(
            problem,
            x0=problem.x0 / units,
            value_and_gradient=None if inner is None else value_and_gradient,
            value=lambda y: problem.true_value(y * units),
            shown=None if shown is None else lambda y: shown(y * units),
            bounds=None if bounds is None else (bounds[0] / units, bounds[1] / units),
        )
        super().__init__(changed, rng)


class Kinks(Observed):
    """The sum of absolute residuals in place of that of their squares."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        assert problem.absolute is not None
        super().__init__(replace(problem, value_and_gradient=problem.absolute, value=None), rng)


@dataclass(frozen=True)
class Mode:
    """A mode: how it is made, what it is called on the page, and whether a seed changes it.

    Two modes of the same `objective` have the same true values. `noisy` tells that they cannot be seen.
    """

    make: Callable[[Problem, np.random.Generator], Observed]
    title: str
    seeded: bool = True
    objective: str = "value"
    noisy: bool = False

    def fits(self, problem: Problem) -> bool:
        """Whether the mode can be applied to this problem."""
        return self.objective == "value" or problem.absolute is not None


def _noise(kind: type[MultiplicativeNoise] | type[AdditiveNoise], sigma: float) -> Callable[..., Observed]:
    return lambda problem, rng: kind(problem, rng, sigma)


def _power(s: float) -> str:
    """A power of ten as it is written in code."""
    return "1" if s == 1 else f"{s:.0e}".replace("e-0", "e-")


MODES: dict[str, Mode] = {
    "exact": Mode(Observed, "exact", seeded=False),
    **{
        f"noise-{_power(s)}": Mode(
            _noise(MultiplicativeNoise, s),
            f"noise of {s:g}, relative to the value and to the largest component",
            noisy=True,
        )
        for s in (1e-6, 1e-3, 1e-1, 1.0)
    },
    **{
        f"additive-{_power(s)}": Mode(
            _noise(AdditiveNoise, s), f"noise of {s:g}, relative to the start", noisy=True
        )
        for s in (1e-6, 1e-3, 1e-1)
    },
    "badly-scaled": Mode(BadlyScaled, "variables in units from 1e-3 to 1e3"),
    "float32": Mode(Float32, "value and gradient rounded to float32", seeded=False),
    "wrong-lengths": Mode(WrongLengths, "gradients with the right signs and wrong lengths"),
    "signs-only": Mode(SignsOnly, "the signs of the gradient alone", seeded=False),
    "kinks": Mode(Kinks, "the sum of absolute residuals", seeded=False, objective="absolute"),
}


#: The mode of each objective in which nothing is spoilt.
UNDISTURBED = {"value": "exact", "absolute": "kinks"}


def rng_of(problem: Problem, mode: str, seed: int) -> np.random.Generator:
    """Random numbers that depend on the problem, the mode and the seed, and on no method."""
    words = f"{problem.suite}/{problem.name}/{mode}".encode()
    return np.random.default_rng([seed, *words])
