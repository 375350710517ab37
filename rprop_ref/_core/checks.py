"""Checks of options, and words of their messages, that several modules share."""

from __future__ import annotations

from typing import Any

from .. import rules


def check_etas(etas: tuple[float, float]) -> None:
    """Raise, in torch's words, unless 0 < eta_minus < 1 < eta_plus."""
    if not 0.0 < etas[0] < 1.0 < etas[1]:
        raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")


def check_variant(variant: str) -> None:
    """Raise unless there is a rule of this name."""
    if variant not in rules.RULES:
        raise ValueError(f"Invalid variant: {variant!r}; it must be one of {tuple(rules.RULES)}")


def typename(value: Any) -> str:
    """The name of a value's type, as messages of torch have it."""
    kind = type(value)
    if kind.__module__ == "builtins" or kind.__module__.startswith("rprop_ref.autograd"):
        return kind.__name__
    return f"{kind.__module__}.{kind.__name__}"
