"""The explorer: one page of HTML, usable without a network, that shows the rules at work."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from importlib import resources
from typing import Any

import numpy as np

from .._core import events, numpy_step
from .._core.constants import rule_constants
from ..crosscheck._stages.compositions import COMPOSITIONS
from ..crosscheck._stages.deviations import DEVIATIONS
from ..objectives import OBJECTIVES, Objective
from ..rules import CLEARED, DEFAULT, RULES
from ..trace import Trace

Array = np.ndarray[Any, Any]

#: The scripts of the page, in the order in which they need each other.
_SCRIPTS = (
    "rules.js",
    "noise.js",
    "settings.js",
    "save.js",
    "grammar.js",
    "methods.js",
    "exercises.js",
    "draw.js",
    "page.js",
    "training.js",
    "race.js",
    "classroom.js",
)


def follow(
    objective: Objective,
    variant: str = DEFAULT,
    *,
    start: tuple[float, float] | None = None,
    lr: float | None = None,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
    steps: int = 200,
) -> Trace:
    """Make steps of a rule on an objective and record them.

    Parameters
    ----------
    objective : Objective
    variant, etas, step_sizes : optional
        As for `Rprop`.
    start : (float, float), optional
        Where to start; by default at the objective's own start.
    lr : float, optional
        The first step size; by default the objective's own.
    steps : int, optional
        Number of steps. The trace has one more row, for the last point.

    Returns
    -------
    Trace
    """
    trace = Trace(variant, etas=etas, step_sizes=step_sizes, limit=1 << 62)
    constants = rule_constants(np.dtype(np.float64), etas, step_sizes, False)
    x, prev = np.array(objective.start if start is None else start, np.float64), np.zeros(2)
    size, last = np.full(2, objective.lr if lr is None else lr, np.float64), np.inf
    for k in range(steps + 1):
        f, g = float(objective.fun(x)), objective.jac(x)
        before = x.copy(), prev.copy(), size.copy()
        if k < steps:
            numpy_step.run(variant, x, g, prev, size, constants, f > last)
        trace.record(before[0], f, g, before[1], before[2], size, worse=f > last, stepped=k < steps)
        last = f
    return trace


def page(objective: Objective, variant: str = DEFAULT, **options: Any) -> str:
    """Make the text of the page.

    Parameters
    ----------
    objective : Objective
        The objective that the page shows first: one of `rprop_ref.objectives`, or one of your own. The reader can
        choose any other of `rprop_ref.objectives` in the page.
    variant : str, optional
        The rule that the page shows first. The reader can choose any other.
    **options
        As for `follow`.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    shown = list({**OBJECTIVES, objective.name: objective}.values())
    data = {
        "rule": variant,
        "rules": {
            rule.name: {"colour": rule.colour, "line": rule.line, "clears": rule.memory == CLEARED}
            for rule in RULES.values()
        },
        "objectives": [dataclasses.asdict(o) for o in shown],
        "recorded": _recorded(objective, variant, options),
        "lbfgs": {**_known_lbfgs(), objective.name: _lbfgs(objective, options.get("start"))},
        "bugs": _bugs(),
        "events": [[name, *bits] for name, bits in events.NAMES.items()],
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    # One script: between several, the browser would lay out and draw what is not yet complete.
    body = _file("page.html").replace("/*SCRIPTS*/", "".join(map(_file, _SCRIPTS))).replace("/*DATA*/", text)
    return head("Rprop, step by step", _file("page.css")) + body


def head(title: str, css: str) -> str:
    """The head of a page that needs no other file: this one, and that of the lesson in the browser."""
    return _file("head.html").replace("/*TITLE*/", title).replace("/*CSS*/", css)


def _recorded(objective: Objective, variant: str, options: dict[str, Any]) -> dict[str, Any]:
    """Runs of all rules on the objective, and the options that they have in common."""
    traces = {name: follow(objective, name, **options) for name in RULES}
    first = traces[variant]
    group = first.groups[0]
    return {
        "name": objective.name,
        "options": {
            "lr": objective.lr if options.get("lr") is None else options["lr"],
            "etaMinus": group["etas"][0],
            "etaPlus": group["etas"][1],
            "min": group["step_sizes"][0],
            "max": group["step_sizes"][1],
            "start": first.x[0].tolist(),
            "steps": first.steps - 1,
        },
        "runs": {
            name: {
                "x": trace.x.tolist(),
                "f": trace.f.tolist(),
                "size": trace.size.tolist(),
                "event": trace.event.tolist(),
            }
            for name, trace in traces.items()
        },
    }


@functools.cache
def _known_lbfgs() -> dict[str, list[list[float]]]:
    return {name: _lbfgs(objective) for name, objective in OBJECTIVES.items()}


def _lbfgs(objective: Objective, start: tuple[float, float] | None = None) -> list[list[float]]:
    """The points at which SciPy's L-BFGS-B evaluates the objective and its gradient."""
    from scipy.optimize import minimize

    evaluated: list[list[float]] = []

    def fun(x: Array) -> tuple[float, Array]:
        evaluated.append(x.tolist())
        return float(objective.fun(x)), objective.jac(x)

    with np.errstate(all="ignore"):
        first = np.array(objective.start if start is None else start, np.float64)
        minimize(fun, first, jac=True, method="L-BFGS-B", options={"maxfun": 200, "ftol": 0, "gtol": 1e-12})
    # A line search may go a little beyond `maxfun`.
    return evaluated[:201]


#: The mistakes of the six programs in the mode "find the bug", in their order; exercises.js has the programs.
BUGS = (
    "moves on at a flip",
    "adapts after the move",
    "memory starts as the first gradient",
    "memory not updated at a flip",
    "a zero product grows",
    "memory kept at a flip",
)


def _bugs() -> list[dict[str, str]]:
    """What the referee says about each of `BUGS`, and what to do instead, which is what "irprop-" does."""
    right = COMPOSITIONS["irprop-"]
    wrong = [DEVIATIONS[name] for name in BUGS]
    return [{"name": bug.name, "does": bug.does, "remedy": right[bug.slot].fix} for bug in wrong]


def write(path: str | os.PathLike[str], objective: Objective, variant: str = DEFAULT, **options: Any) -> None:
    """Write `page` to a file."""
    html = page(objective, variant, **options)
    with open(path, "w", encoding="utf-8") as file:
        file.write(html)


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
