"""Cases drawn at random, for the combinations that nobody thought of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..._core.dtypes import named as dtype_named
from .case import Array, Case, features_needed
from .dtypes import COMPLEX, float_range
from .tiers import HYPERPARAMETERS, NUMBERS, ORDINARY, tier_of

_CALLS = frozenset(("maximize", "none", "set", "save", "same array"))

#: What cannot occur in a tier.
_BARRED = {
    ORDINARY: _CALLS | {"nan", "inf", "lr outside step_sizes"},
    HYPERPARAMETERS: _CALLS | {"nan", "inf"},
    NUMBERS: _CALLS,
}


def random_cases(
    seed: int, dtypes: Sequence[str], count: int, allowed: Callable[[str], bool], widen: int = 1
) -> list[Case]:
    """Cases with random settings, special values and scripts.

    Parameters
    ----------
    seed : int
    dtypes : sequence of str
    count : int
    allowed : callable
        ``allowed(feature)``: whether the implementation has it.
    widen : int
        How many times as many coordinates each case has as usual.
    """
    if not allowed("scripts"):
        return []
    return [_random_case(np.random.default_rng([seed, i]), dtypes, i, allowed, widen) for i in range(count)]


@functools.lru_cache(256)
def random_cases_of_tier(
    tier: str, seed: int, dtypes: tuple[str, ...], count: int, lacks: frozenset[str], widen: int = 1
) -> tuple[Case, ...]:
    """Random cases that belong to a tier, for an implementation that lacks some features.

    Each tier draws from the features that may occur in it, so most of what is drawn belongs to it.
    """
    barred = lacks | _BARRED.get(tier, frozenset())
    found: list[Case] = []
    for part in range(12):
        drawn = random_cases(seed * 1000 + part, dtypes, count, lambda feature: feature not in barred, widen)
        found += [case for case in drawn if tier_of(case) == tier and not case.needs & barred]
        if len(found) >= count:
            break
    return tuple(found[:count])


# The order in which random numbers are drawn must not change: it decides what the cases of a seed are.
def _random_case(
    rng: np.random.Generator, dtypes: Sequence[str], i: int, allowed: Callable[[str], bool], widen: int
) -> Case:
    name = str(rng.choice(dtypes))
    dtype = dtype_named(COMPLEX.get(name, name))
    size, steps = 2 * int(rng.integers(1, 4)) * widen, int(rng.integers(6, 15))
    gradients = _random_gradients(rng, dtype, (steps, size), allowed)
    setting = _random_setting(rng, steps, allowed)
    with np.errstate(all="ignore"):
        g, x0 = gradients.astype(dtype), rng.normal(size=size).astype(dtype)
    loss = tuple(float(v) for v in rng.choice([1.0, 2.0, 2.0, 3.0], steps))
    uses = {
        "nan": np.isnan(gradients).any(),
        "inf": np.isinf(gradients).any(),
        "none": "none" in setting,
        "save": "resumed" in setting,
        "same array": "reused" in setting,
        "scripts": True,
    }
    return Case(
        f"random {i}",
        "found by the random search",
        name,
        g,
        x0,
        loss=loss,
        scripts=tuple(f"coordinate {k}" for k in range(size)),
        needs=frozenset((*features_needed(setting), *(feature for feature, used in uses.items() if used))),
        **setting,
    )


def _random_gradients(
    rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, int], allowed: Callable[[str], bool]
) -> Array:
    flips = rng.choice([0.15, 0.4, 0.7])
    signs = np.where(rng.random(shape) < flips, -1, 1).cumprod(axis=0)
    subnormal, normal, largest = float_range(dtype)
    magnitudes = np.array([1, 1, 1, 0.5, 3, 1e-3, 0, 0, np.sqrt(subnormal), normal, subnormal, largest])
    extreme = rng.random() < 0.5
    gradients = rng.choice(magnitudes if extreme else magnitudes[:8], shape)
    if extreme and rng.random() < 0.4:
        special = [v for v, feature in ((np.nan, "nan"), (np.inf, "inf")) if allowed(feature)]
        if special:
            gradients = np.where(rng.random(shape) < 0.1, rng.choice(special, shape), gradients)
    signed: Array = signs * gradients
    return signed


def _random_setting(rng: np.random.Generator, steps: int, allowed: Callable[[str], bool]) -> dict[str, Any]:
    setting: dict[str, Any] = {"lr": float(rng.choice([0.1, 0.01, 1.0, 0.3, 100.0, 0.0]))}
    if allowed("etas") and rng.random() < 0.5:
        setting["etas"] = float(rng.choice([0.5, 0.3, 0.9, 0.7])), float(rng.choice([1.2, 1.05, 1.5, 3.0]))
    if allowed("step_sizes") and rng.random() < 0.5:
        setting["step_sizes"] = float(rng.choice([1e-6, 0.0, 0.05])), float(rng.choice([50.0, 1.0, 0.2]))
    if not allowed("lr outside step_sizes") and "lr outside step_sizes" in features_needed(setting):
        setting = {"lr": 0.1}
    if allowed("maximize"):
        setting["maximize"] = bool(rng.random() < 0.25)
    if allowed("none") and rng.random() < 0.25:
        setting["none"] = frozenset(int(t) for t in np.flatnonzero(rng.random(steps) < 0.2))
    if allowed("save") and rng.random() < 0.25:
        setting["resumed"] = frozenset([int(rng.integers(1, steps))])
    if allowed("same array") and rng.random() < 0.25:
        setting["reused"] = True
    return setting
