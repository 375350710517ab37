"""Checks of options, and words of their messages, that several modules share."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .. import rules

# What an ndarray's class says of its arithmetic. (np.memmap has the same; np.matrix, for instance, has not.)
_ARITHMETIC = ("__array_ufunc__", "__add__", "__mul__", "__truediv__", "__pow__")


def check_etas(etas: tuple[float, float]) -> None:
    """Raise, in torch's words, unless 0 < eta_minus < 1 < eta_plus."""
    if not 0.0 < etas[0] < 1.0 < etas[1]:
        raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")


def check_variant(variant: str) -> None:
    """Raise unless there is a rule of this name."""
    if variant not in rules.RULES:
        raise ValueError(f"Invalid variant: {variant!r}; it must be one of {tuple(rules.RULES)}")


def check_plain(value: Any, name: str) -> None:
    """Raise TypeError if converting `value` to a plain array would change what it means.

    That is so for masked arrays, arrays with units, np.matrix, and other subclasses with arithmetic of their own,
    also inside lists and tuples. `name` says in the message what the value is.
    """
    kind = type(value)
    if kind is np.ndarray:
        return
    if kind is list or kind is tuple:
        for item in value:
            check_plain(item, name)
        return
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be ignored; replace the masked elements, for instance by "
            ".filled(0)"
        )
    # Subclasses of ndarray, and quantities of pint, which are no arrays.
    is_subclass = isinstance(value, np.ndarray) and any(
        getattr(kind, attribute) is not getattr(np.ndarray, attribute) for attribute in _ARITHMETIC
    )
    if is_subclass or (hasattr(kind, "magnitude") and hasattr(kind, "units")):
        raise TypeError(
            f"{name} is of type {typename(value)}, whose arithmetic is not that of an array; give the numbers as "
            "a plain array, for instance by numpy.asarray (in the units that you want, if it has units)"
        )


def is_not_finite(value: Any) -> bool:
    """Whether a value is one number that is infinite or NaN, by which an objective says that it is not defined."""
    if not isinstance(value, (float, np.floating, np.ndarray)) or np.size(value) != 1:
        return False
    return np.asarray(value).dtype.kind == "f" and not np.isfinite(value).all()


def described(value: Any) -> str:
    """What a user's function returned, for messages: "a tuple of 2 values", "an array of shape (3,)", "None"."""
    if value is None:
        return "None"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)} value{'s' if len(value) != 1 else ''}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"a {typename(value)}"


def typename(value: Any) -> str:
    """The name of a value's type, as messages of torch have it."""
    kind = type(value)
    if kind.__module__ == "builtins" or kind.__module__.startswith("rprop_ref.autograd"):
        return kind.__name__
    return f"{kind.__module__}.{kind.__name__}"
