"""A rule that only tests know, to be put into the table at run time."""

from __future__ import annotations

from typing import Any

from rprop_ref.rules import KEPT, MADE, PRODUCT_IS_NEGATIVE, Rule

NAME = "sixth"


def _make(where, sign, adapt):
    """Where the gradient changes its sign, the step size becomes the smallest allowed."""

    def rule(x, g, prev, size, worse, constants):
        _, _, size_min, _, zero, one = constants
        _, new_size = adapt(g * prev, size, constants)
        new_size = where(g * prev < zero, size_min, new_size)
        return x - sign(g, zero, one) * new_size, g, new_size

    return rule


SIXTH = Rule(
    NAME,
    _make,
    title="Sixth",
    move=MADE,
    memory=KEPT,
    sign_change=PRODUCT_IS_NEGATIVE,
    colour="#000000",
    line="-",
    source="nowhere",
)

_FACTS = ("title", "move", "memory", "sign_change", "colour", "line", "source")


def copy_of(rule: Rule, name: str, make: Any = None) -> Rule:
    """Another rule with the facts of this one."""
    return Rule(name, make or rule.make, **{fact: getattr(rule, fact) for fact in _FACTS})
