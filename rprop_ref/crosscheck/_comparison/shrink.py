"""Makes a failing case as small as possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ... import rules
from .._cases.case import Case
from .._cases.dtypes import COMPLEX
from .divergence import Divergence, first_divergence
from .expected import expected_trajectories
from .observe import Factory, observe

#: How many smaller cases are tried at most.
TRIALS = 200


def shrink(
    factory: Factory,
    claim: str,
    divergence: Divergence,
    without: frozenset[str] = frozenset(),
    *,
    signs_only: bool = False,
    stored_before_maximize: bool = False,
) -> Divergence:
    """Find the same failure on a smaller case: one coordinate, few steps, plain numbers.

    Parameters
    ----------
    factory : callable
    claim : str
    divergence : Divergence
        The failure.
    without : frozenset of str
        "prev" and "step_size", if they are not to be compared.
    signs_only : bool
        Whether the `prev` shown holds signs only.
    stored_before_maximize : bool
        Whether the `prev` shown is the gradient before it is negated to maximize.

    Returns
    -------
    Divergence
        The failure on a case that cannot be made smaller; `divergence` itself if no smaller case fails.
    """

    def failure_on(case: Case) -> Divergence | None:
        observed = observe(factory, case, without)
        if stored_before_maximize:
            observed.negate_prev()
        return first_divergence(expected_trajectories(claim, [case])[0], observed, signs_only=signs_only)

    trials = 0
    smaller = True
    reads_loss = claim in rules.RULES and rules.RULES[claim].compares_losses
    while smaller and trials < TRIALS:
        smaller = False
        for candidate in _smaller_cases(divergence.case, divergence, reads_loss):
            trials += 1
            failure = failure_on(candidate)
            if failure is not None and _is_same_failure(failure, divergence):
                divergence, smaller = failure, True
                break
            if trials >= TRIALS:
                break
    return divergence


def _is_same_failure(failure: Divergence, original: Divergence) -> bool:
    """Whether the quantity is the same, and the text of an error, which changes when a program has ended."""
    return failure.quantity == original.quantity and (original.quantity != "error" or failure.got == original.got)


def _smaller_cases(case: Case, failure: Divergence, reads_loss: bool) -> Iterator[Case]:
    """Simpler cases, the largest simplifications first."""
    if case.loss and not reads_loss:
        yield replace(case, loss=())
    if case.objective is not None:
        if case.steps > failure.step:
            yield case.alone(0, failure.step)
        return
    yield from _fewer_numbers(case, failure)
    yield from _plainer_use(case)
    yield from _plainer_numbers(case)


def _fewer_numbers(case: Case, failure: Divergence) -> Iterator[Case]:
    if case.size > (2 if case.dtype in COMPLEX else 1):
        yield case.alone(failure.coordinate, failure.step)
        yield case.alone(failure.coordinate)
    if case.size > 2 and case.dtype not in COMPLEX and not isinstance(case.lr, np.ndarray):
        # Coordinates may be coupled.
        yield from (case.beside(failure.coordinate, i) for i in range(case.size) if i != failure.coordinate)
    if case.steps > failure.step:
        yield replace(case, g=case.g[: failure.step], loss=case.loss[: failure.step])
    if case.steps > 1 and not (case.none or case.resumed or case.edits):
        for t in range(case.steps):
            yield replace(case, g=np.delete(case.g, t, axis=0), loss=case.loss[:t] + case.loss[t + 1 :])


def _plainer_use(case: Case) -> Iterator[Case]:
    if case.resumed:
        yield replace(case, resumed=frozenset())
    for t in sorted(case.none):
        yield replace(case, none=case.none - {t})
    for t in sorted(case.edits):
        yield replace(case, edits={k: v for k, v in case.edits.items() if k != t})
    if case.reused:
        yield replace(case, reused=False)
    if case.maximize:
        yield replace(case, maximize=False)
    if case.bounds:
        yield replace(case, bounds=None)


def _plainer_numbers(case: Case) -> Iterator[Case]:
    if case.x0.any():
        yield replace(case, x0=np.zeros_like(case.x0))
    for setting, plainest in (("lr", 0.1), ("etas", (0.5, 1.2)), ("step_sizes", (1e-6, 50.0))):
        if isinstance(case.lr, np.ndarray) or getattr(case, setting) != plainest:
            changes: dict[str, Any] = {setting: plainest}
            yield replace(case, **changes)
    if case.dtype not in COMPLEX:
        for t in range(case.steps):
            for simple in (0, 1, -1):
                if not (case.g[t] == simple).all() and not (simple != 0 and abs(float(case.g[t][0])) == 1):
                    g = case.g.copy()
                    g[t] = simple
                    yield replace(case, g=g)
