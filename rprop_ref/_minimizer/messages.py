"""The message of a run: its status in words, with the tolerance that was met or what was not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import record
from .._core.stalling import MAX_STALLS
from .._core.status import Status, message_of
from .._core.stopping import gradient_is_small, half_was_futile, target_is_reached, window_is_over

Array = np.ndarray[Any, Any]

#: The statuses whose message tells more than the status.
DETAILED = frozenset((Status.CONVERGED.value, Status.PRECISION_LOSS.value, Status.NOT_FINITE.value))


def run_message(status: int, scalars: Array, sign: int) -> str:
    """The message of a run that has ended.

    Parameters
    ----------
    status : int
    scalars : ndarray of float64, shape (ENTRIES,)
        Those of the record at the end. Only the options and the entries in `record.REPORTED` are read.
    sign : int
        -1 if the record holds negated values, else 1.
    """
    message = message_of(status)
    if status == Status.CONVERGED:
        return f"{message} {_tolerance(scalars, sign)}"
    if status == Status.NOT_FINITE or (status == Status.PRECISION_LOSS and scalars[record.RETREAT_F] == -np.inf):
        return f"{message} {_not_finite(scalars, sign)}"
    if status == Status.PRECISION_LOSS and scalars[record.STALLS] >= MAX_STALLS:
        return f"{message} The run has come to rest more than {MAX_STALLS} times, each time at another point."
    return message


def _tolerance(scalars: Array, sign: int) -> str:
    """The tolerance that was met, in the order in which `stopping_status` asks for them."""
    if gradient_is_small(scalars[record.BEST_G_MAX], scalars[record.GTOL]):
        return (
            f"The largest gradient component, {scalars[record.BEST_G_MAX]:.2g}, is within "
            f"gtol = {scalars[record.GTOL]:g}."
        )
    if target_is_reached(scalars[record.BEST_F], scalars[record.F_TARGET]):
        value, target = sign * scalars[record.BEST_F], sign * scalars[record.F_TARGET]
        return f"The value {value:.6g} has reached f_target = {target:g}."
    if window_is_over(scalars[record.NIT], scalars[record.WINDOW_NIT], scalars[record.WINDOW]):
        change = scalars[record.WINDOW_F] - scalars[record.LOWEST_F]
        what = "lowest value fell" if sign > 0 else "highest value rose"
        return (
            f"In {scalars[record.WINDOW]:g} iterations the {what} by {change:.2g}, which is within "
            f"ftol = {scalars[record.FTOL]:g} times max(|f|, 1)."
        )
    if half_was_futile(scalars[record.NIT], scalars[record.LOWEST_NIT], scalars[record.XTOL]):
        unresolved = scalars[record.F_RESOLUTION] * abs(scalars[record.LOWEST_F])
        return (
            f"No lower value since iteration {scalars[record.LOWEST_NIT]:.0f} of {scalars[record.NIT]:.0f}, "
            f"and the next step would change the value by at most {unresolved:.2g}, less than it resolves: "
            f"xtol = {scalars[record.XTOL]:.2g} is met as closely as it can be."
        )
    return f"Each step size is within xtol = {scalars[record.XTOL]:.2g} times |x|, or negligible beside the first."


def _not_finite(scalars: Array, sign: int) -> str:
    value = scalars[record.RETREAT_F]
    if value == -np.inf:
        which, end = (value, "below") if sign > 0 else (-value, "above")
        return f"The objective was {which} at a point: it is unbounded {end}, or overflows."
    what = "gradient is not finite" if np.isfinite(value) else f"objective is {sign * value:g}"
    return f"The {what} {'at x0' if scalars[record.NIT] < 0 else 'everywhere near the last finite point'}."
