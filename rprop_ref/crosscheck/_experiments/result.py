"""What `decompile` returns: the rule, and a verdict for each tier."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._cases.tiers import PRECISION
from .._comparison.divergence import Divergence
from .._table.rule import Rule

#: How it is said that the signs explain x, but no table was found.
UNFOUND = "signs in a way that"


@dataclass
class TierVerdict:
    """What is known about one tier.

    Attributes
    ----------
    tier : str
    explained : bool
        Whether the rule reproduces x, and the caller's gradient, in every case of the tier, to the bit.
    cases, random : int
        How many fixed and random cases were run.
    failing : int
        How many of them the rule does not reproduce.
    first : Divergence or None
        The first of these; `expected` in it is what the rule does.
    """

    tier: str
    explained: bool
    cases: int = 0
    random: int = 0
    failing: int = 0
    first: Divergence | None = None
    sentences: tuple[str, ...] = ()


@dataclass
class Decompiled:
    """What was learned about an implementation.

    Attributes
    ----------
    rule : Rule or None
        The rule; None if ordinary use is not that of a per-coordinate sign rule in the grammar.
    outside : tuple of str
        What x was seen to depend on, if there is no rule.
    tiers : list of TierVerdict
        The verdicts, ordinary use first.
    dtype : str
        The dtype of the experiments.
    """

    rule: Rule | None
    outside: tuple[str, ...] = ()
    tiers: list[TierVerdict] = field(default_factory=list)
    dtype: str = "float64"

    @property
    def explained(self) -> bool:
        """Whether all tiers are explained."""
        return self.rule is not None and all(tier.explained for tier in self.tiers)

    @property
    def explained_but_for_rounding(self) -> bool:
        """Whether all is explained but, perhaps, how numbers of other dtypes are rounded."""
        return self.rule is not None and all(t.explained or t.tier == PRECISION for t in self.tiers)

    @property
    def not_found(self) -> bool:
        """Whether the signs explain x, but no table was found."""
        return any(text.startswith(UNFOUND) for text in self.outside)

    @property
    def headline(self) -> str:
        """What it is, in a sentence."""
        if self.rule is None:
            begins = "This is not a per-coordinate sign rule"
            if self.not_found:
                begins = "No per-coordinate sign rule was found that does this"
            return f"{begins}: it depends on {'; '.join(self.outside)}."
        what = self.rule.table.title
        if not all(tier.explained for tier in self.tiers):
            where = ", ".join(tier.tier for tier in self.tiers if not tier.explained)
            return f"{what}. Not explained: {where}."
        if not self.rule.differences:
            return f"{what}, in everything that was tried, to the bit."
        explain = "point in which it differs explains" if len(self.rule.differences) == 1 else (
            f"{len(self.rule.differences)} points in which it differs explain"
        )  # fmt: skip
        return f"This is nearest to {self.rule.nearest}; the {explain} everything that was tried, to the bit."
