"""Inputs for bit-for-bit comparisons: rules, dtypes, special values, hyperparameters."""

from __future__ import annotations

import functools
import os
from collections.abc import Container, Iterable
from typing import Any

import numpy as np
import pytest

from rprop_ref.rules import RULES

Array = np.ndarray[Any, Any]

VARIANTS = tuple(RULES)

DTYPES = ("float16", "float32", "float64", "complex64", "complex128")

STEPS = 100

#: Hyperparameters for every dtype; `settings` adds those that depend on the dtype.
_SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "lr above the limits": {"lr": 1000.0, "step_sizes": (1e-6, 50)},
    "lr below the limits": {"lr": 0.0, "step_sizes": (0.125, 50)},
    "min above max": {"lr": 0.1, "step_sizes": (1.0, 0.5)},
    "infinite max": {"lr": 0.3, "step_sizes": (0.0, np.inf)},
    "infinite steps": {"lr": np.inf, "step_sizes": (0.0, np.inf), "etas": (0.9, 1.5)},
    "no lower limit": {"lr": 0.01, "step_sizes": (None, 1.0), "etas": (0.1, 3.0)},
}

_ETA_THAT_ROUNDS_TO_ONE = {2: 0.9999, 4: 1 - 1e-8}
_ETA_THAT_ROUNDS_TO_ZERO = {2: 1e-9, 4: 1e-50}


#: Of the rules and dtypes, those that `make test` takes where each is compiled for long.
_SAMPLE = (("irprop-", "float64"),)

#: And those that `make test-exhaustive` takes.
_OTHERS = (
    ("irprop-", "float32"),
    ("rprop+", "float64"),
    ("irprop+", "float64"),
    ("rprop-", "float32"),
    ("irprop-go", "float64"),
)


def compiled_rules_and_dtypes() -> list[tuple[str, str]]:
    """Every rule, and each precision with several rules; all of both if the environment variable ALL is set.

    What is compiled for a rule differs from another rule's in the rule alone, and so for a dtype. (That each rule
    computes in its own precision is tested everywhere for steps, which take less time to compile.)
    """
    pairs = [(variant, dtype) for dtype in ("float64", "float32") for variant in VARIANTS]
    return pairs if os.environ.get("ALL") else [("irprop-", "float64"), *_OTHERS]


def rules_and_dtypes() -> list[Any]:
    """The same as parameters; all but a sample are left to `make test-exhaustive`."""
    return sampled(compiled_rules_and_dtypes(), _SAMPLE)


def sampled(values: Iterable[Any], sample: Container[Any]) -> list[Any]:
    """The values as parameters; all but a sample are left to `make test-exhaustive`, because each takes long.

    A tuple is a value for each of several parameters.
    """
    return [
        value
        if value in sample
        else pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.exhaustive)
        for value in values
    ]


def thinned(values: Iterable[Any], step: int) -> list[Any]:
    """One of so many values, or all of them if the environment variable ALL is set."""
    return list(values)[:: 1 if os.environ.get("ALL") else step]


def dtype_named(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.zeros(0, dtype).real.dtype if dtype.kind == "c" else dtype


def settings(dtype: np.dtype[Any]) -> dict[str, dict[str, Any]]:
    """Hyperparameter sets by name. In float64 no eta below 1 rounds to 1, and no eta above 0 rounds to 0."""
    by_name = dict(_SETTINGS)
    width = real(dtype).itemsize
    if width in _ETA_THAT_ROUNDS_TO_ONE:
        by_name["eta rounds to 1"] = {"etas": (_ETA_THAT_ROUNDS_TO_ONE[width], 1.2)}
        by_name["eta rounds to 0"] = {"etas": (_ETA_THAT_ROUNDS_TO_ZERO[width], 1.2)}
    else:
        by_name["extreme etas"] = {"etas": (5e-324, 1.0000000000000002)}
    return by_name


@functools.cache
def special_values(dtype: np.dtype[Any]) -> Array:
    """NaN, the infinities, zeros, subnormals, the largest values, and values whose product underflows."""
    smallest, tiny, largest = _range(dtype)
    root = np.sqrt(np.float64(smallest))
    values = [np.nan, np.inf, 0.0, smallest, 3 * smallest, tiny / 2, tiny, largest, root / 2, 2 * root, 1.0]
    with np.errstate(over="ignore"):
        return np.array([*values, *(-v for v in values)]).astype(dtype)


def _range(dtype: np.dtype[Any]) -> tuple[float, float, float]:
    """The smallest subnormal, the smallest normal and the largest number."""
    if dtype.name == "bfloat16":
        return 2.0**-133, 2.0**-126, 2.0**127 * (2 - 2.0**-7)
    info = np.finfo(dtype)
    return float(info.smallest_subnormal), float(info.tiny), float(info.max)


def mixed(rng: np.random.Generator, dtype: np.dtype[Any], n: int) -> Array:
    """Ordinary and special values in equal numbers; real and imaginary parts are drawn independently."""
    if dtype.kind == "c":
        part = real(dtype)
        result = np.empty(n, dtype)
        result.real, result.imag = mixed(rng, part, n), mixed(rng, part, n)
        return result
    ordinary = rng.standard_normal(n).astype(dtype)
    special = rng.choice(special_values(dtype), n)
    return np.where(rng.random(n) < 0.5, ordinary, special)


def gradients(rng: np.random.Generator, dtype: np.dtype[Any], n: int, steps: int = STEPS) -> list[Array]:
    """A gradient for each step. Some elements repeat the last gradient, so that step sizes grow as well as shrink."""
    grads = [mixed(rng, dtype, n)]
    while len(grads) < steps:
        keep = rng.random(n) < 0.5
        grads.append(np.where(keep, grads[-1], mixed(rng, dtype, n)))
    return grads


def losses(rng: np.random.Generator, steps: int = STEPS) -> list[float]:
    """Losses that rise, fall, stay, and are NaN."""
    return [float(v) for v in rng.choice([1.0, 1.0, 2.0, 3.0, np.nan, np.inf], steps)]
