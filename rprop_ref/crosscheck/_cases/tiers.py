"""Tiers: how far a case is from ordinary use, so that a corner never hides what ordinary use has shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._core.dtypes import is_half
from .case import Case, features_needed
from .dtypes import COMPLEX

ORDINARY, HYPERPARAMETERS, NUMBERS, CALLS, PRECISION = (
    "ordinary use", "hyperparameters", "numbers", "arrays and calls", "precision"
)  # fmt: skip

#: The tiers from the inner to the outer, and what belongs to each.
TIERS = {
    ORDINARY: "finite gradients of ordinary size, 0 < min <= lr <= max, usual etas, a new array each time",
    HYPERPARAMETERS: "lr outside the limits, limits that cross, 0 or infinite, etas that round to 1 or 0",
    NUMBERS: "NaN, infinities, and gradients, step sizes or parameters that are tiny or huge",
    CALLS: "None, arrays that are used again, set, save and load, maximize, an lr for each coordinate, bounds",
    PRECISION: "dtypes of 16 bits, and complex ones",
}

#: Gradients of ordinary size have magnitudes between these numbers, or are 0; so do parameters, from above.
SMALL, LARGE = 1e-5, 1e5


def tiers_of(case: Case) -> frozenset[str]:
    """All tiers that a case touches; empty means ordinary use."""
    touched = set()
    if is_half(case.real) or case.dtype in COMPLEX:
        touched.add(PRECISION)
    if (
        case.none or case.resumed or case.edits or case.reused or case.maximize
        or case.bounds is not None or isinstance(case.lr, np.ndarray)
    ):  # fmt: skip
        touched.add(CALLS)
    if _unusual_numbers(case):
        touched.add(NUMBERS)
    if _unusual_setting(case):
        touched.add(HYPERPARAMETERS)
    return frozenset(touched)


def tier_of(case: Case) -> str:
    """The outermost tier that a case touches."""
    touched = tiers_of(case)
    return next((tier for tier in reversed(TIERS) if tier in touched), ORDINARY)


def _unusual_numbers(case: Case) -> bool:
    with np.errstate(all="ignore"):
        g, x0 = np.abs(case.g.astype(np.float64)), np.abs(case.x0.astype(np.float64))
    ordinary = (g == 0) | ((g >= SMALL) & (g <= LARGE))  # false for NaN
    return not (ordinary.all() and (x0 <= LARGE).all() and np.isfinite(case.loss).all())


def _unusual_setting(case: Case) -> bool:
    settings = [{"step_sizes": case.step_sizes, "lr": case.lr, "etas": case.etas}]
    for edit in case.edits.values():
        settings.append({**settings[-1], **edit})
    return any(_is_unusual(setting, case) for setting in settings)


def _is_unusual(setting: dict[str, Any], case: Case) -> bool:
    low, high = setting["step_sizes"]
    with np.errstate(all="ignore"):
        minus, plus = (float(case.real.type(eta)) for eta in setting["etas"])
    finite = 0 < low <= high < np.inf
    outside = not case.edits and "lr outside step_sizes" in features_needed(setting)
    return not (finite and 0.01 <= minus < 1 < plus <= 100) or outside
