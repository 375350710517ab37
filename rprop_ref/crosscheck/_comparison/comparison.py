"""Run an implementation on all cases, compare it with the claimed rule, and conclude with a verdict."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._cases.case import Array, Case
from .divergence import Divergence, first_divergence, largest_rounding, same_values, ulps_apart, zeros_differ
from .expected import expected_trajectories
from .observe import Factory, observe, observe_all
from .trajectory import Trajectory

IDENTICAL, ROUNDING = "identical", "same rule, rounding differs"
DIFFERENT, FAILED = "a different rule", "could not run"

#: A difference of up to this many units in the last place, for each step made so far, counts as rounding.
ULPS_PER_STEP = 4

#: How many failing cases are run again at first, to see whether they give the same results.
REPEATED_CASES = 4


class Comparison:
    """What was expected and what was observed, case by case.

    Parameters
    ----------
    factory : callable
        As for `check`.
    claim : str
        The rule.
    hidden : frozenset of str
        With "prev" or "step_size" in it, these are not compared. Other words have no effect.
    on_divergence : callable, optional
        Called with the first difference that is not an error.

    Attributes
    ----------
    expected, observed : list of Trajectory
    divergences : list of (Divergence or None)
        None where there is no difference, and where the case was refused.
    refused : list of str
        The cases that ended with an error before the first step, and the errors.
    unsteady : set of int
        The positions of the cases that gave other results when they were run again.
    """

    def __init__(
        self,
        factory: Factory,
        claim: str,
        hidden: frozenset[str],
        on_divergence: Callable[[Divergence], Any] | None = None,
    ) -> None:
        self.factory, self.claim, self.hidden, self._on_divergence = factory, claim, hidden, on_divergence
        self.expected: list[Trajectory] = []
        self.observed: list[Trajectory] = []
        self.divergences: list[Divergence | None] = []
        self.refused: list[str] = []
        self.unsteady: set[int] = set()
        # None until the first case that shows it.
        self._signs_only: bool | None = None
        self._stored_before_maximize: bool | None = None

    @property
    def signs_only(self) -> bool:
        """Whether the `prev` that the implementation shows holds signs only."""
        return bool(self._signs_only)

    @property
    def stored_before_maximize(self) -> bool:
        """Whether the `prev` that the implementation shows was stored before it was negated to maximize."""
        return bool(self._stored_before_maximize)

    def add(self, cases: Sequence[Case]) -> None:
        """Run cases, and compare them."""
        all_expected = expected_trajectories(self.claim, cases)
        all_observed = observe_all(self.factory, cases, self.hidden)
        for case, expected, observed in zip(cases, all_expected, all_observed, strict=True):
            self._recognise_prev(expected, observed)
            divergence = first_divergence(expected, observed, signs_only=self.signs_only)
            self.expected.append(expected)
            self.observed.append(observed)
            self.divergences.append(None if observed.refused else divergence)
            if observed.refused:
                self.refused.append(f"{case}: {observed.error}")
            elif _is_numeric(divergence) and self._on_divergence is not None:
                assert divergence is not None
                self._on_divergence(divergence)
                self._on_divergence = None

    def _recognise_prev(self, expected: Trajectory, observed: Trajectory) -> None:
        """Find out what the implementation shows as `prev`, and negate it if it was stored before maximizing."""
        if self._signs_only is None:
            self._signs_only = _holds_signs_only(expected, observed)
        if observed.case.maximize and observed.prev is not None:
            if self._stored_before_maximize is None:
                self._stored_before_maximize = _is_stored_before_maximize(expected, observed, self.signs_only)
            if self._stored_before_maximize:
                observed.negate_prev()

    # --- the verdict ------------------------------------------------------------------------------------------

    def verdict(self) -> tuple[str, float]:
        """The verdict, and the largest difference in ulps; infinite if a difference is more than rounding."""
        divergences = [d for d in self.divergences if d is not None]
        if not divergences and not self.unsteady:
            return (FAILED, np.inf) if self.refused else (IDENTICAL, 0.0)
        if self.unsteady:
            return DIFFERENT, np.inf
        if all(d.quantity == "error" for d in divergences):
            # Before the errors, all steps agree with the rule.
            return FAILED, np.inf
        if any(d.quantity == "error" for d in divergences):
            return DIFFERENT, np.inf
        ulps = self._rounding()
        if not np.isfinite(ulps):
            return DIFFERENT, np.inf
        return (FAILED, np.inf) if self.refused else (ROUNDING, ulps)

    def _rounding(self) -> float:
        """The largest difference in ulps; infinite if one of them is more than rounding."""
        largest = 0.0
        scripts_differ = any(d and d.case.objective is None for d in self.divergences)
        for expected, observed, divergence in zip(self.expected, self.observed, self.divergences, strict=True):
            if divergence is None:
                continue
            if scripts_differ and observed.case.objective is not None:
                # An objective's gradients change with the rounding of x. Those of a script do not: judge by these.
                continue
            if self._cannot_be_rounding(divergence.quantity):
                return np.inf
            for quantity in observed.shown():
                if not self._cannot_be_rounding(quantity):
                    ulps = ulps_apart(expected, observed, quantity)
                    if (ulps > _allowed_ulps(observed.case, len(ulps))).any():
                        return np.inf
                    largest = max(largest, float(ulps.max(initial=0)))
        return largest

    def _cannot_be_rounding(self, quantity: str) -> bool:
        """Whether any difference in this quantity is more than rounding."""
        return quantity == "gradient" or (quantity == "prev" and self.signs_only)

    def compared(self) -> tuple[str, ...]:
        """The quantities that were compared."""
        return tuple(dict.fromkeys(q for t in self.observed for q in t.shown() if t.steps)) or ("x",)

    def zeros_differ(self) -> bool:
        """Whether x is somewhere +0 instead of -0, or -0 instead of +0."""
        return any(zeros_differ(a, b) for a, b in zip(self.expected, self.observed, strict=True))

    def never_moves(self) -> bool:
        """Whether x is what it was at the start after every step of every case, though not by the rule."""
        return any(self.divergences) and all(
            t.steps == t.case.steps and same_values("x", np.broadcast_to(t.case.x0, t.x.shape), t.x).all()
            for t in self.observed
        )

    def errors(self) -> Counter[str]:
        """The errors that cases ended with, and how often; those that differ in numbers only count as one."""
        texts: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for trajectory in self.observed:
            if trajectory.error is not None:
                counts[texts.setdefault(re.sub(r"\d+", "#", trajectory.error), trajectory.error)] += 1
        return counts

    def feature_of_all_errors(self) -> str | None:
        """The feature, or dtype, that all cases with errors need and few of the others do, if any."""
        several_dtypes = len({t.case.dtype for t in self.observed}) > 1
        failed = [_needs(t.case, several_dtypes) for t in self.observed if t.error is not None]
        others = [_needs(t.case, several_dtypes) for t in self.observed if t.error is None]
        common = frozenset.intersection(*failed) if failed else frozenset()
        without_error = {need: sum(need in needs for needs in others) for need in sorted(common)}
        # A single error may have any cause.
        likely = [need for need, count in without_error.items() if len(failed) > max(1, count)]
        return min(likely, key=without_error.__getitem__, default=None)

    # --- results that change from run to run ------------------------------------------------------------------

    def repeat_some(self) -> None:
        """Run a few failing cases again; if one of them gives other results, run all failing cases again."""
        failing = self._numeric_failures()
        not_finite = [i for i in failing if not np.isfinite(self.observed[i].case.g.astype(np.float64)).all()]
        some = list(dict.fromkeys((*failing[:REPEATED_CASES], *not_finite[:REPEATED_CASES])))
        self.unsteady = {i for i in some if self._changes_when_repeated(i)}
        if self.unsteady:
            self.unsteady |= {i for i in failing if i not in some and self._changes_when_repeated(i)}
        if self.unsteady & set(not_finite):
            # Results after a NaN may be undefined. Then two runs agree only by chance.
            self.unsteady |= set(not_finite)

    def repeat_the_rest(self) -> bool:
        """Run all failing cases again that have not changed yet; return whether one gives other results now."""
        rest = [i for i in self._numeric_failures() if i not in self.unsteady]
        new = {i for i in rest if self._changes_when_repeated(i)}
        self.unsteady |= new
        return bool(new)

    def _changes_when_repeated(self, i: int) -> bool:
        again = observe(self.factory, self.observed[i].case, self.hidden)
        if again.steps > self.observed[i].steps:
            return True  # an error did not happen again
        if self.stored_before_maximize:
            again.negate_prev()
        # Only the steps of the second run are compared. A program that cannot be started twice makes none.
        return bool(again.steps) and _is_numeric(first_divergence(self.observed[i], again))

    def _numeric_failures(self) -> list[int]:
        return [i for i, d in enumerate(self.divergences) if _is_numeric(d)]

    def unsteady_cases(self) -> list[str]:
        """The cases that gave other results when they were run again."""
        return [str(self.observed[i].case) for i in sorted(self.unsteady)]

    # --- for the diagnosis ------------------------------------------------------------------------------------

    def clearest(self) -> Divergence:
        """The difference to show: preferably one that is reproducible and not an error, and the first of these."""
        ranked = [
            (i in self.unsteady, d.quantity == "error", i, d)
            for i, d in enumerate(self.divergences)
            if d is not None
        ]
        return min(ranked, key=lambda row: row[:3])[3]

    def reproducible(self) -> list[Trajectory]:
        """What was observed, without the cases that gave other results when they were run again."""
        return self.steady()[1]

    def steady(self) -> tuple[list[Trajectory], list[Trajectory]]:
        """What was expected and what was observed, without the cases that gave other results when run again."""
        kept = [i for i in range(len(self.observed)) if i not in self.unsteady]
        return [self.expected[i] for i in kept], [self.observed[i] for i in kept]

    def failing(self) -> set[int]:
        """The positions, in the list that `reproducible` returns, of the trajectories that differ in a number."""
        steady = [d for i, d in enumerate(self.divergences) if i not in self.unsteady]
        return {i for i, d in enumerate(steady) if _is_numeric(d)}


def _is_numeric(divergence: Divergence | None) -> bool:
    """Whether there is a difference, and it is in a number, not an error."""
    return divergence is not None and divergence.quantity != "error"


def _allowed_ulps(case: Case, steps: int) -> Array:
    """The largest distance that counts as rounding after each step."""
    return np.minimum(ULPS_PER_STEP * np.arange(1, steps + 1), largest_rounding(case.real))[:, None]


def _needs(case: Case, with_dtype: bool) -> frozenset[str]:
    """What a case needs; "nan" and "inf" only if its gradients contain them, and its dtype if `with_dtype`."""
    g = case.g.astype(np.float64)
    needs = set(case.needs - {"nan", "inf"})
    if np.isnan(g).any():
        needs.add("nan")
    if np.isinf(g).any():
        needs.add("inf")
    if with_dtype:
        needs.add(case.dtype)
    return frozenset(needs)


def _holds_signs_only(expected: Trajectory, observed: Trajectory) -> bool | None:
    """Whether `prev` holds signs only; None if the case cannot tell, because its gradients are 1, 0 or -1."""
    if observed.prev is None or expected.prev is None or not observed.steps:
        return None
    return None if _are_signs(expected.prev[: observed.steps]) else _are_signs(observed.prev)


def _are_signs(a: Array) -> bool:
    a = a.astype(np.float64)
    return bool((np.isin(a, (-1, 0, 1)) | np.isnan(a)).all())


def _is_stored_before_maximize(expected: Trajectory, observed: Trajectory, signs_only: bool) -> bool | None:
    """Whether the first `prev` is the expected one negated, though x moves in the right direction.

    None if the case cannot tell, because the expected `prev` is all zero.
    """
    if not observed.steps or expected.prev is None or observed.prev is None or not expected.prev[0].any():
        return None
    x0 = observed.case.x0
    right_direction = np.array_equal(np.sign(observed.x[0] - x0), np.sign(expected.x[0] - x0))
    prev = np.sign(expected.prev[0]) if signs_only else expected.prev[0]
    return right_direction and bool(np.array_equal(observed.prev[0], -prev))
