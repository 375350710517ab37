"""Runs an implementation on cases, compares, and comes to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .cases import Case
from .observe import (
    MANTISSA_BITS,
    Divergence,
    Factory,
    Trajectory,
    divergence,
    expected,
    observe,
    ulps,
    zeros_differ,
)
from .report import DIFFERENT, FAILED, IDENTICAL, ROUNDING, Report

#: A rule counts as the same, but for rounding, up to so many units in the last place for each step made.
ULPS_PER_STEP = 4

#: How many cases are run again to see whether they give the same results.
AGAIN = 4


class Runs:
    """What was expected and what was seen, case by case."""

    def __init__(
        self,
        factory: Factory,
        claim: str,
        hidden: frozenset[str],
        on_divergence: Callable[[Divergence], Any] | None = None,
    ) -> None:
        self.factory, self.claim, self.hidden, self.on_divergence = factory, claim, hidden, on_divergence
        self.wanted: list[Trajectory] = []
        self.seen: list[Trajectory] = []
        self.found: list[Divergence | None] = []
        # Whether its memory holds signs only; None as long as no case has told.
        self._signs: bool | None = None
        # Whether the memory that is shown is that of before maximize has negated it.
        self.turned: bool | None = None
        self.unsteady: set[int] = set()
        self.refused: list[str] = []

    def add(self, cases: Sequence[Case]) -> None:
        """Run cases."""
        for case, wanted in zip(cases, expected(self.claim, cases), strict=True):
            got = observe(self.factory, case, self.hidden)
            if self._signs is None:
                self._signs = _signs_only(wanted, got)
            if case.maximize and got.prev is not None:
                if self.turned is None:
                    self.turned = _not_turned(wanted, got, self.signs)
                if self.turned:
                    got.turn()
            found = divergence(wanted, got, signs=self.signs)
            self.wanted.append(wanted)
            self.seen.append(got)
            self.found.append(None if got.refused else found)
            if got.refused:
                self.refused.append(f"{case}: {got.error}")
            elif found is not None and found.quantity != "error" and self.on_divergence is not None:
                self.on_divergence(found)
                self.on_divergence = None

    @property
    def signs(self) -> bool:
        """Whether its memory holds signs only."""
        return bool(self._signs)

    def report(self) -> Report:
        """The report, without an explanation."""
        self._run_again()
        found = [d for d in self.found if d is not None]
        compared = dict.fromkeys(q for t in self.seen for q in t.shown() if t.steps)
        verdict, far = self._verdict(found)
        return Report(
            self.claim,
            verdict,
            far,
            divergences=found,
            refused=self.refused,
            failed_need=self._needed_where_it_failed(),
            unsteady=self.unsteady_cases(),
            signs=self.signs,
            zeros=any(zeros_differ(a, b) for a, b in zip(self.wanted, self.seen, strict=True)),
            compared=tuple(compared) or ("x",),
        )

    def _needed_where_it_failed(self) -> str | None:
        """What every case that ended in an error needs, and few others do."""
        several = len({t.case.dtype for t in self.seen}) > 1
        failed = [_asked_for(t.case, several) for t in self.seen if t.error is not None]
        others = [_asked_for(t.case, several) for t in self.seen if t.error is None]
        common = frozenset.intersection(*failed) if failed else frozenset()
        right = {need: sum(need in needs for needs in others) for need in sorted(common)}
        # A single error may be an accident, and so may be the need it seems to come of.
        likely = [need for need in right if len(failed) > max(1, right[need])]
        return min(likely, key=right.__getitem__, default=None)

    def _verdict(self, found: list[Divergence]) -> tuple[str, float]:
        if not found and not self.unsteady:
            return (FAILED, np.inf) if self.refused else (IDENTICAL, 0.0)
        if all(d.quantity == "error" for d in found) and not self.unsteady:
            # What it has done so far was right.
            return FAILED, np.inf
        if self.unsteady or any(d.quantity == "error" for d in found):
            return DIFFERENT, np.inf
        far = self._rounding()
        return (ROUNDING, far) if np.isfinite(far) else (DIFFERENT, np.inf)

    def _rounding(self) -> float:
        """The largest difference in ulps; infinite if there is one that is no matter of rounding."""
        most = 0.0
        open_loop_differs = any(d and d.case.objective is None for d in self.found)
        for wanted, got, found in zip(self.wanted, self.seen, self.found, strict=True):
            if found is None or (got.case.objective is not None and open_loop_differs):
                # Rounding may change where a run goes; whether it is rounding, scripts tell.
                continue
            for quantity in got.shown():
                if quantity == "gradient" or (quantity == "prev" and self.signs):
                    continue
                away = ulps(wanted, got, quantity)
                # An eighth of a number is no rounding.
                most_ever = 2.0 ** (MANTISSA_BITS[got.case.real.name] - 3)
                allowed = np.minimum(ULPS_PER_STEP * np.arange(1, len(away) + 1), most_ever)[:, None]
                if (away > allowed).any():
                    return np.inf
                most = max(most, float(away.max(initial=0)))
            if found.quantity == "gradient" or (found.quantity == "prev" and self.signs):
                return np.inf
        return most

    def _run_again(self) -> None:
        """Run some failing cases again; differences that come and go explain nothing."""
        failed = self._numeric()
        special = [i for i in failed if not np.isfinite(self.seen[i].case.g.astype(np.float64)).all()]
        some = list(dict.fromkeys((*failed[:AGAIN], *special[:AGAIN])))
        self.unsteady = {i for i in some if self._comes_out_otherwise(i)}
        if self.unsteady:
            self.unsteady |= {i for i in failed if i not in some and self._comes_out_otherwise(i)}
        if self.unsteady & set(special):
            # What comes of a NaN is not defined; it may have come out the same twice by chance.
            self.unsteady |= set(special)

    def _comes_out_otherwise(self, i: int) -> bool:
        again = observe(self.factory, self.seen[i].case, self.hidden)
        if self.turned:
            again.turn()
        # An error, as of a program that is not started again, says nothing of the steps it did not make.
        found = divergence(self.seen[i], again) if again.steps else None
        return found is not None and found.quantity != "error"

    def run_the_rest_again(self) -> bool:
        """Run all failing cases again, as nothing explains them; whether more of them do not repeat."""
        before = set(self.unsteady)
        self.unsteady |= {i for i in self._numeric() if i not in before and self._comes_out_otherwise(i)}
        return self.unsteady != before

    def unsteady_cases(self) -> list[str]:
        """Those that gave other results when they were run again."""
        return [str(self.seen[i].case) for i in sorted(self.unsteady)]

    def _numeric(self) -> list[int]:
        return [i for i, d in enumerate(self.found) if d is not None and d.quantity != "error"]

    def clearest(self) -> Divergence:
        """One that repeats, if there is one, and rather not an error."""
        found = [
            (i in self.unsteady, d.quantity == "error", i, d) for i, d in enumerate(self.found) if d is not None
        ]
        return min(found, key=lambda row: row[:3])[3]

    def explainable(self) -> list[Trajectory]:
        """What was seen, without what does not repeat."""
        return [t for i, t in enumerate(self.seen) if i not in self.unsteady]

    def failed(self) -> set[int]:
        """Which of these are not as expected; an error is not, but what came before it was."""
        steady = [d for i, d in enumerate(self.found) if i not in self.unsteady]
        return {i for i, d in enumerate(steady) if d is not None and d.quantity != "error"}


def _asked_for(case: Case, dtypes: bool) -> frozenset[str]:
    """What a case needs: NaNs and infinities where gradients have them; its dtype, if there are several."""
    g = case.g.astype(np.float64)
    asked = set(case.needs - {"nan", "inf"})
    asked |= {name for name, there in (("nan", np.isnan(g)), ("inf", np.isinf(g))) if there.any()}
    return frozenset(asked | ({case.dtype} if dtypes else set()))


def _signs_only(wanted: Trajectory, got: Trajectory) -> bool | None:
    """Whether the memory that is shown is one of signs; None if the gradients, too, are 1, 0 and -1."""

    def signs(a: np.ndarray) -> bool:
        a = a.astype(np.float64)
        return bool((np.isin(a, (-1, 0, 1)) | np.isnan(a)).all())

    if got.prev is None or wanted.prev is None or not got.steps or signs(wanted.prev[: got.steps]):
        return None
    return signs(got.prev)


def _not_turned(wanted: Trajectory, got: Trajectory, signs: bool) -> bool | None:
    """Whether the memory, or its sign, is that of before maximize has negated it; None if it is all zero."""
    if not got.steps or wanted.prev is None or got.prev is None or not wanted.prev[0].any():
        return None
    right_way = np.array_equal(np.sign(got.x[0] - got.case.x0), np.sign(wanted.x[0] - got.case.x0))
    memory = np.sign(wanted.prev[0]) if signs else wanted.prev[0]
    return right_way and bool(np.array_equal(got.prev[0], -memory))
