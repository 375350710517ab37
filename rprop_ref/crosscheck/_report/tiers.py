"""The verdict of each tier: how many of its cases agree with the claimed rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._cases.tiers import TIERS, tier_of
from .._comparison.divergence import Divergence
from .._comparison.trajectory import Trajectory


@dataclass
class TierCount:
    """The cases of one tier.

    Attributes
    ----------
    cases, differing : int
        How many cases were run, and how many differ from the claimed rule.
    first : Divergence or None
        The first difference.
    """

    cases: int = 0
    differing: int = 0
    first: Divergence | None = None


def tier_counts(observed: Sequence[Trajectory], divergences: Sequence[Divergence | None]) -> dict[str, TierCount]:
    """Count the cases of each tier that was run, ordinary use first."""
    counts = {tier: TierCount() for tier in TIERS}
    for trajectory, divergence in zip(observed, divergences, strict=True):
        if trajectory.refused:
            continue
        count = counts[tier_of(trajectory.case)]
        count.cases += 1
        if divergence is not None:
            count.differing += 1
            count.first = count.first or divergence
    return {tier: count for tier, count in counts.items() if count.cases}
