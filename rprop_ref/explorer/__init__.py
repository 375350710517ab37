"""The explorer: one page of HTML, without a network, in which the five rules can be watched at work."""

from __future__ import annotations

import dataclasses
import json
import os
from importlib import resources
from typing import Any

import numpy as np

from .._core import numpy_step
from .._core.constants import rule_constants
from ..objectives import OBJECTIVES, Objective
from ..rules import RULES
from ..trace import Trace

Array = np.ndarray[Any, Any]


def follow(
    objective: Objective,
    variant: str = "irprop-",
    *,
    start: tuple[float, float] | None = None,
    lr: float | None = None,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
    steps: int = 200,
) -> Trace:
    """Make steps of a rule on an objective, and record them.

    Parameters
    ----------
    objective : Objective
    variant, etas, step_sizes : optional
        As for `Rprop`.
    start : (float, float), optional
        Where to begin; by default where the objective says, and so for `lr`.
    lr : float, optional
        The first step size.
    steps : int, optional
        How many. The trace has one row more, for the last point.

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


def page(objective: Objective, variant: str = "irprop-", **options: Any) -> str:
    """The text of the page.

    Parameters
    ----------
    objective : Objective
        What the page begins with: one of `rprop_ref.objectives`, of which the others can be chosen in it, or one
        of your own.
    variant : str, optional
        The rule that it begins with. All five are in it.
    **options
        As for `follow`.

    Returns
    -------
    str
        HTML that needs nothing else.
    """
    traces = {rule: follow(objective, rule, **options) for rule in RULES}
    first = traces[variant]
    group = first.groups[0]
    recorded = {
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
            rule: {
                "x": trace.x.tolist(),
                "f": trace.f.tolist(),
                "size": trace.size.tolist(),
                "event": trace.event.tolist(),
            }
            for rule, trace in traces.items()
        },
    }
    data = {
        "rule": variant,
        "objectives": [dataclasses.asdict(o) for o in {**OBJECTIVES, objective.name: objective}.values()],
        "recorded": recorded,
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    html = _file("page.html")
    for place, content in (
        ("/*CSS*/", _file("page.css")),
        ("/*RULES*/", _file("rules.js")),
        ("/*PAGE*/", _file("page.js")),
        ("/*DATA*/", text),
    ):
        html = html.replace(place, content)
    return html


def write(path: str | os.PathLike[str], objective: Objective, variant: str = "irprop-", **options: Any) -> None:
    """Write `page` into a file."""
    html = page(objective, variant, **options)
    with open(path, "w", encoding="utf-8") as file:
        file.write(html)


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
