"""What a rule or an implementation does on a case, as a `rprop_ref.Trace`, to read, draw and explain."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import rules
from ..trace import Trace
from ._cases.case import Case
from ._comparison.expected import expected_trajectories
from ._comparison.observe import Factory, observe
from ._stages.compositions import PAPER


def trace(case: Case, claim: str = rules.DEFAULT, factory: Factory | None = None) -> Trace:
    """Run a case, and record it as a `Trace`.

    Parameters
    ----------
    case : Case
        One of `conformance_cases`, or ``report.smallest.case``.
    claim : str, optional
        The rule. The trace names events as this rule does.
    factory : callable, optional
        An implementation, as for `check`. Without it, the rule itself is run. Step sizes and stored gradients that
        the implementation does not show are taken from the rule.

    Returns
    -------
    Trace
        A row for each step, and one for the last point with a gradient of 0. Compare ``trace.x`` and
        ``trace.words()`` of an implementation with those of the rule.

    Raises
    ------
    ValueError
        If the implementation fails on the case.
    """
    (right,) = expected_trajectories(claim, [case])
    observed = right if factory is None else observe(factory, case)
    if observed.error is not None:
        raise ValueError(f"the implementation fails on this case: {observed.error}")
    sizes = right.step_size if observed.step_size is None else observed.step_size
    prevs = right.prev if observed.prev is None else observed.prev
    assert sizes is not None
    assert prevs is not None
    options: dict[str, Any] = {"etas": case.etas, "step_sizes": case.step_sizes}
    recorded = Trace(rules.DEFAULT if claim == PAPER else claim, maximize=case.maximize, **options)
    x = np.asarray(case.x0, sizes.dtype)
    prev, size = np.zeros_like(x), np.full_like(x, case.lr)
    last = None
    for t in range(observed.steps):
        edits = case.edits.get(t, {})
        for group in recorded.groups or [recorded._options]:
            group.update({name: edits[name] for name in options if name in edits})
        g, loss = np.asarray(right.gradient[t], x.dtype), case.loss[t] if case.loss else np.nan
        stepped = t not in case.none
        worse = last is not None and (loss < last if case.maximize else loss > last)
        recorded.record(x, loss, g, prev, size, sizes[t], worse=worse, stepped=stepped)
        last = loss if stepped else last
        x, prev, size = observed.x[t], prevs[t], sizes[t]
    recorded.record(x, np.nan, np.zeros_like(x), prev, size, size, stepped=False)
    return recorded
