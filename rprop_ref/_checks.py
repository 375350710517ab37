"""Checks of options that `Rprop` and `minimize` share."""

from __future__ import annotations

from . import rules


def check_etas(etas: tuple[float, float]) -> None:
    """Raise, in torch's words, unless 0 < eta_minus < 1 < eta_plus."""
    if not 0.0 < etas[0] < 1.0 < etas[1]:
        raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")


def check_variant(variant: str) -> None:
    """Raise unless there is a rule of this name."""
    if variant not in rules.RULES:
        raise ValueError(f"Invalid variant: {variant!r}; it must be one of {tuple(rules.RULES)}")
