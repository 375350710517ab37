"""Numbers as somebody would have written them down: as short decimals."""

from __future__ import annotations

from decimal import Decimal


def shortest(low: float, high: float) -> float:
    """The decimal with the fewest digits between two positive numbers."""
    middle = (low + high) / 2
    for digits in range(17):
        value = float(f"{middle:.{digits}e}")
        if low <= value <= high:
            return value
    return middle


def digits(value: float) -> int:
    """How many digits somebody would have to write: one for 1000."""
    return len(Decimal(repr(value)).normalize().as_tuple().digits)


def is_power_of_ten(value: float) -> bool:
    """Whether a positive number is a 1 with zeros."""
    return Decimal(repr(value)).normalize().as_tuple().digits == (1,)
