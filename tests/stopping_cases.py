"""One run for each stopping rule of `minimize`, and how to disable the rule in the one place where it is written."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from sixth_rule import copy_of

from rprop_ref._core import coordinates, loops, stopping
from rprop_ref._core.status import Status
from rprop_ref.rules import RULES, Rule

#: Where a run ends that no other rule ends.
MAXITER = 90


@dataclass(frozen=True)
class Case:
    """A run that one stopping rule ends, with this status, before `MAXITER`."""

    name: str
    objective: str
    start: float
    status: Status
    options: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("gtol", "bowl", 2.0, Status.CONVERGED, {"gtol": 1e9}),
    Case("xtol", "bowl", 2.0, Status.CONVERGED, {"xtol": 1e9}),
    Case("ftol", "bowl", 2.0, Status.CONVERGED, {"ftol": 1e9, "window": 2}),
    Case("f_target", "bowl", 2.0, Status.CONVERGED, {"f_target": 1e9}),
    Case("maxfev", "bowl", 2.0, Status.EVALUATION_LIMIT, {"maxfev": 7}),
    Case("patience", "slope without gain", 2.0, Status.NO_IMPROVEMENT, {"patience": 3}),
    Case("a stationary point", "plateau", 1.0, Status.PRECISION_LOSS),
)

#: For the rule that ends all other runs, another one that ends its run later.
MAXITER_CASE = Case("maxiter", "bowl", 2.0, Status.ITERATION_LIMIT, {"maxiter": 5, "maxfev": 9})

OPTIONS = {"gtol": 0, "xtol": 0, "maxiter": MAXITER, "lr": 0.01, "step_sizes": (1e-3, 0.01)}


def bowl(x, g):
    g[0] = 2 * (x[0] - 0.3)
    return (x[0] - 0.3) ** 2


def slope_without_gain(x, g):
    g[0] = 1.0
    return 1.0


def plateau(x, g):
    if x[0] >= 1.0:
        g[0] = 1.0
        return 0.0
    g[0] = 0.0
    return 5.0


OBJECTIVES = {"bowl": bowl, "slope without gain": slope_without_gain, "plateau": plateau}

#: The functions that are the stopping rules, but for limits; each is the only place that knows its condition.
CONDITIONS = (
    stopping.gradient_is_small,
    stopping.target_is_reached,
    stopping.window_is_over,
    stopping.value_is_flat,
    stopping.patience_is_over,
    stopping.is_stationary,
    coordinates.is_stalled,
)


#: The limits of `maxfev` and `maxiter`, without those of the cases above: their runs go on to a limit that is larger.
LARGER_LIMITS = {
    stopping.evaluations_are_used_up: lambda nfev, maxfev: (nfev >= maxfev) & (maxfev > 7),
    stopping.iterations_are_used_up: lambda nit, maxiter: (nit >= maxiter) & (maxiter > 5),
}


def disable(monkeypatch, base: Rule) -> str:
    """Make all conditions false wherever they are asked; return a copy of a rule, whose kernels are made from now on.

    Runs end at a limit of iterations or evaluations that is larger than those of the cases.
    """
    for condition in (*CONDITIONS, *LARGER_LIMITS):
        arguments = condition.__code__.co_varnames[: condition.__code__.co_argcount]
        # The first argument is less than itself: false for a number, and for each element of an array.
        never = eval(f"lambda {', '.join(arguments)}: {arguments[0]} < {arguments[0]}")
        monkeypatch.setattr(condition, "__code__", LARGER_LIMITS.get(condition, never).__code__)
    # No function that was compiled before.
    monkeypatch.setattr(loops, "_shared", functools.cache(loops._shared.__wrapped__))
    name = f"{base.name} without stopping rules"

    # Of this module, and so compiled anew in every process: the code on disk is that of the rules as they stand.
    def make(*parts):
        return base.make(*parts)

    monkeypatch.setitem(RULES, name, copy_of(base, name, make))
    return name
