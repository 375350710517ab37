"""The first difference between two trajectories, and its size in ulps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bits import same_elements
from .._cases.case import Array, Case
from .._cases.dtypes import MANTISSA_BITS, float_range
from .trajectory import Trajectory


@dataclass(frozen=True)
class Divergence:
    """The first difference between an implementation and the rule on one case.

    Attributes
    ----------
    case : Case
    step : int
        From 1.
    coordinate : int
        From 0.
    quantity : str
        "x", "step_size", "prev", "gradient" (the implementation wrote to the caller's array), or "error".
    expected, got
        Numbers in the dtype of the case. For an error, None and its text.
    ulps : float
        The distance, as by `ulps_apart`; infinite if it is more than rounding, and for an error.
    prev_negated : bool
        Whether `prev` was negated for the comparison, because the implementation stores the gradient before it
        negates it to maximize.
    """

    case: Case
    step: int
    coordinate: int
    quantity: str
    expected: Any
    got: Any
    ulps: float
    prev_negated: bool = False

    @property
    def script(self) -> str:
        """The description of the coordinate's script."""
        return self.case.scripts[self.coordinate] if self.coordinate < len(self.case.scripts) else ""

    def __str__(self) -> str:
        place = f"{self.case}, step {self.step}"
        if self.quantity == "error":
            return f"{place}: {self.got}"
        got, expected = float(self.got), float(self.expected)
        text = f"{place}, {self.script}: {self.quantity} is {got!r} instead of {expected!r}"
        if f"{got:.6g}" != f"{expected:.6g}":
            return text  # decimals show it
        ulps = "" if not np.isfinite(self.ulps) else f", {self.ulps:.3g} ulps"
        return f"{text} ({hexadecimal(self.got)}, not {hexadecimal(self.expected)}{ulps})"


def hexadecimal(value: Any) -> str:
    """A float as a hexadecimal literal, exact in every dtype."""
    return float(value).hex()


def first_divergence(expected: Trajectory, observed: Trajectory, *, signs_only: bool = False) -> Divergence | None:
    """The first difference: the one at the earliest step, in the first quantity, at its first coordinate.

    Parameters
    ----------
    expected, observed : Trajectory
    signs_only : bool, optional
        Whether `prev` of the observed trajectory holds signs only.

    Returns
    -------
    Divergence or None
        None if there is no difference.
    """
    differences = []
    for order, (quantity, values) in enumerate(observed.shown().items()):
        target = getattr(expected, quantity)[: len(values)]
        if values.dtype.kind == "f" and (target == values).all():
            continue  # only numbers that are not equal may be NaN
        differs = ~same_values(quantity, target, values, signs_only=signs_only)
        if differs.any():
            step, coordinate = (int(i) for i in np.argwhere(differs)[0])
            differences.append((step, order, coordinate, quantity))
    if differences:
        step, _, coordinate, quantity = min(differences)
        return Divergence(
            observed.case,
            step + 1,
            coordinate,
            quantity,
            getattr(expected, quantity)[step, coordinate],
            getattr(observed, quantity)[step, coordinate],
            _told(ulps_apart(expected, observed, quantity)[step, coordinate], observed.case.real),
            observed.prev_negated,
        )
    if observed.error is not None and observed.error != expected.error:
        return Divergence(observed.case, observed.steps + 1, 0, "error", None, observed.error, np.inf)
    return None


def same_values(quantity: str, a: Array, b: Array, *, signs_only: bool = False) -> Array:
    """Where two arrays of a quantity have the same bits; with `signs_only`, where `prev` has the same sign.

    All NaNs are equal, and so are +0 and -0: no rule depends on the sign of a zero, and two correct ways to write
    the same rule may differ in it. `zeros_differ` finds these zeros.
    """
    if quantity == "prev" and signs_only:
        with np.errstate(invalid="ignore"):
            a, b = np.sign(a), np.sign(b)
    return same_elements(np.ascontiguousarray(a), np.ascontiguousarray(b), signed_zeros=False)


def zeros_differ(expected: Trajectory, observed: Trajectory) -> bool:
    """Whether x is somewhere a zero in both, but of different signs."""
    a, b = expected.x[: observed.steps], observed.x
    return bool(((a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))).any())


def ulps_apart(expected: Trajectory, observed: Trajectory, quantity: str) -> Array:
    """The distance in units in the last place, at each step and coordinate.

    It is 0 where the values are equal or both NaN, and infinite where they differ and one of them is not finite.
    The unit is that of the largest magnitude that the quantity has had so far in this coordinate: a rounding error
    made near 1 does not grow in ulps when x comes back to 0. A stored gradient is not computed from the last one,
    so only its own magnitude counts, unless an objective computes it from x.
    """
    values = getattr(observed, quantity)
    a = getattr(expected, quantity)[: len(values)].astype(np.float64)
    b = values.astype(np.float64)
    with np.errstate(all="ignore"):
        magnitude = np.maximum(np.abs(a), np.abs(b))
        if quantity == "x":
            magnitude = np.maximum(magnitude, np.abs(observed.case.x0.astype(np.float64)))
        magnitude = np.where(np.isfinite(magnitude), magnitude, 0)
        if quantity in ("x", "step_size") or observed.case.objective is not None:
            magnitude = np.maximum.accumulate(magnitude, axis=0)
        distance = np.abs(a - b) / _unit_in_the_last_place(magnitude, values.dtype)
        distance = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, distance)
        return np.where(np.isfinite(a) & np.isfinite(b) | (distance == 0), distance, np.inf)


def largest_rounding(dtype: np.dtype[Any]) -> float:
    """The largest distance in ulps that may be rounding: an eighth of the number itself."""
    return float(2.0 ** (MANTISSA_BITS[dtype.name] - 3))


def _told(ulps: float, dtype: np.dtype[Any]) -> float:
    return float(ulps) if ulps <= largest_rounding(dtype) else np.inf


def _unit_in_the_last_place(magnitude: Array, dtype: np.dtype[Any]) -> Array:
    bits = MANTISSA_BITS[dtype.name]
    smallest = int(np.log2(float_range(dtype).smallest_subnormal))
    exponent = np.frexp(magnitude)[1] - 1
    return np.ldexp(1.0, np.maximum(np.where(magnitude == 0, smallest, exponent - bits), smallest))
