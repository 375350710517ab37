"""What a rule, or an implementation, does on a case, as a `rprop_ref.Trace`: to be read, drawn and explained."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..trace import Trace
from .cases import Case
from .observe import Factory, expected, observe


def trace(case: Case, claim: str = "irprop-", factory: Factory | None = None) -> Trace:
    """Run a case, and record it as `Trace` records any run.

    Parameters
    ----------
    case : Case
        One of `catalogue`, or ``report.smallest.case``.
    claim : str, optional
        The rule. The events are those of this rule.
    factory : callable, optional
        An implementation, as for `check`; without one, the rule itself is run. Step sizes and stored gradients
        that the implementation does not show are those of the rule.

    Returns
    -------
    Trace
        A row for each step, and one for the last point, with a gradient of 0. Compare ``trace.x`` and
        ``trace.words()`` of an implementation with those of the rule.

    Raises
    ------
    ValueError
        If the implementation fails on the case.
    """
    (right,) = expected(claim, [case])
    seen = right if factory is None else observe(factory, case)
    if seen.error is not None:
        raise ValueError(f"the implementation fails on this case: {seen.error}")
    sizes = right.step_size if seen.step_size is None else seen.step_size
    prevs = right.prev if seen.prev is None else seen.prev
    assert sizes is not None
    assert prevs is not None
    options: dict[str, Any] = {"etas": case.etas, "step_sizes": case.step_sizes}
    found = Trace("irprop-" if claim == "paper" else claim, maximize=case.maximize, **options)
    x = np.asarray(case.x0, sizes.dtype)
    prev, size = np.zeros_like(x), np.full_like(x, case.lr)
    last = None
    for t in range(seen.steps):
        edits = case.edits.get(t, {})
        for group in found.groups or [found._options]:
            group.update({name: edits[name] for name in options if name in edits})
        g, loss = np.asarray(right.gradient[t], x.dtype), case.loss[t]
        stepped = t not in case.none
        worse = last is not None and (loss < last if case.maximize else loss > last)
        found.record(x, loss, g, prev, size, sizes[t], worse=worse, stepped=stepped)
        last = loss if stepped else last
        x, prev, size = seen.x[t], prevs[t], sizes[t]
    found.record(x, np.nan, np.zeros_like(x), prev, size, size, stepped=False)
    return found
