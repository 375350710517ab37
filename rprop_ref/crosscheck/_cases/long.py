"""Long cases drawn at random: many steps in which gradients go on agreeing, or go on changing their signs.

What a rule does after thirty agreements, or once a step size has shrunk a hundred times, shows in no short case.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..._core.dtypes import is_half
from ..._core.dtypes import named as dtype_named
from .case import Array, Case, features_needed
from .dtypes import COMPLEX
from .tiers import LARGE, SMALL, tier_of

#: How long the cases are, and how many reals each has.
STEPS, SIZE = 100, 16

#: How many steps gradients agree, or change their signs, before that changes: on average, by coordinate.
_LENGTHS = (4.0, 15.0, 60.0)

#: Of so many random cases, one is long.
ONE_OF = 25


def long_cases(seed: int, dtypes: Sequence[str], count: int, allowed: Callable[[str], bool]) -> list[Case]:
    """Long cases with gradients and settings of ordinary use; see `randomized.random_cases` for the arguments."""
    if not allowed("scripts"):
        return []
    return [_long_case(np.random.default_rng([61, seed, i]), dtypes, i, allowed) for i in range(count)]


@functools.lru_cache(64)
def long_cases_of_tier(
    tier: str, seed: int, dtypes: tuple[str, ...], count: int, lacks: frozenset[str]
) -> tuple[Case, ...]:
    """Long cases that belong to a tier, for an implementation that lacks some features."""
    drawn = long_cases(seed, dtypes, count, lambda feature: feature not in lacks)
    return tuple(case for case in drawn if tier_of(case) == tier)


def _long_case(rng: np.random.Generator, dtypes: Sequence[str], i: int, allowed: Callable[[str], bool]) -> Case:
    name = str(rng.choice(dtypes))
    dtype = dtype_named(COMPLEX.get(name, name))
    half = is_half(dtype)
    setting: dict[str, Any] = {"lr": float(rng.choice([0.1, 1e-3, 1e-5]))}
    if allowed("etas"):
        setting["etas"] = tuple(rng.choice([(0.5, 1.2), (0.8, 1.1), (0.95, 1.02), (0.3, 1.5)]).tolist())
    if allowed("step_sizes") and not half and rng.random() < 0.5:
        setting["step_sizes"] = 1e-12, 1e12
    g = np.stack([_gradients(rng, 0.0 if half else 1.0) for _ in range(SIZE)], axis=1)
    return Case(
        f"long {i}",
        "found by the random search, in many steps",
        name,
        g.astype(dtype),
        rng.normal(size=SIZE).astype(dtype),
        loss=tuple(float(v) for v in rng.choice([1.0, 2.0, 2.0, 3.0], STEPS)),
        scripts=tuple(f"coordinate {k}" for k in range(SIZE)),
        needs=frozenset((*features_needed(setting), "scripts")),
        **setting,
    )


def _gradients(rng: np.random.Generator, spread: float) -> Array:
    """The gradients of one coordinate: agreements and sign changes in turn, and a zero now and then."""
    length, flips = rng.choice(_LENGTHS), rng.random() < 0.3
    turns: list[float] = []
    while len(turns) < STEPS:
        turns += [-1.0 if flips else 1.0] * int(rng.geometric(1 / length))
        flips = not flips
    decades = spread * rng.choice([0.0, 1.0])
    magnitudes = np.exp(decades * rng.uniform(np.log(SMALL), np.log(LARGE), STEPS))
    signed: Array = np.cumprod(turns[:STEPS]) * magnitudes
    return np.where(rng.random(STEPS) < 0.02, 0.0, signed)
