"""The entries of a rule that its search did not need: those that it lacks, and the plainest that do the same.

Whatever is changed here is changed only if everything that was observed, or that the rule has to reproduce, is
still reproduced to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .._cases.case import Case
from .._cases.tiers import HYPERPARAMETERS, PRECISION, tiers_of
from .._comparison.divergence import first_divergence
from .._table.five import UNUSUAL, completed, wanted
from .._table.grammar import GLOBALS, Answer, Grammar, field_of, row_of
from .._table.rule import Rule
from .._table.table import Table
from .describe import described
from .observations import Observations
from .strands import Nature


class Completion:
    """Completes rules of one nature, and makes them plainer.

    Parameters
    ----------
    observations : Observations
    nature : Nature
    lacks : collection of str
        The features that the implementation does not have.
    held : sequence of Case
        The cases of the tiers that are explained.
    """

    def __init__(
        self, observations: Observations, nature: Nature, lacks: Collection[str], held: Sequence[Case]
    ) -> None:
        self._observations, self._nature, self._lacks, self._held = observations, nature, lacks, held
        self._telling: list[Case] = []  # cases that told a rule from what was observed

    def _rule(self, entries: Mapping[str, Answer]) -> Rule:
        return Rule(Table(entries, self._nature.symmetric, self._nature.uses_loss))

    # --- entries that are lacking -------------------------------------------------------------------------------

    def whole(self, nearest: str, entries: Mapping[str, Answer]) -> dict[str, Answer]:
        """Some entries, and those of the nearest rule wherever there is none."""
        return completed(
            nearest, entries, self._lacks, symmetric=self._nature.symmetric, uses_loss=self._nature.uses_loss
        )

    def by_trial(self, rule: Rule) -> Rule:
        """A rule with the entries that it lacks, each with an answer that changes nothing where it is right."""
        known = dict(rule.table.entries)
        usual = self.whole(rule.nearest, known)
        grammar = Grammar(self._nature.symmetric)
        telling: list[Case] = []

        def holds(entries: Mapping[str, Answer]) -> bool:
            return self._observations.reproduced(self._rule(entries), self._held, telling)

        def fill(keys: Sequence[str]) -> None:
            if not keys:
                return
            if holds({**known, **{key: usual[key] for key in keys}}):
                known.update((key, usual[key]) for key in keys)
            elif len(keys) > 1:
                fill(keys[: len(keys) // 2])
                fill(keys[len(keys) // 2 :])
            else:
                (key,) = keys
                answer = next((a for a in grammar.answers(key) if holds({**known, key: a})), None)
                if answer is not None:
                    known[key] = answer

        for _ in range(2):  # an answer may fit only beside others
            fill([key for key in usual if key not in known])
        short = {key: answer for key, answer in known.items() if key in rule.table.entries or answer != usual[key]}
        return described(short if holds(short) else known, rule.nearest, self._nature)

    # --- entries that no case can show --------------------------------------------------------------------------

    def without_untried(self, rule: Rule, explained: Collection[str]) -> Rule:
        """The rule without entries of the whole rule that no case of an explained tier can show."""
        entries = dict(rule.table.entries)
        if PRECISION not in explained and entries.get("16-bit constants") == rule.table.plainest(
            "16-bit constants"
        ):
            del entries["16-bit constants"]
        # A gradient of 0 stored is a memory of 0.
        alike = {**entries, "nan product 0: memory": entries.get("nan product: memory", "new")}
        told = "nan product 0: memory" in entries and alike != entries
        if told and not self._observations.failing(self._rule(alike), self._held):
            entries = alike
        held = [case for case in self._held if HYPERPARAMETERS in tiers_of(case)]
        seen = [case for case in self._observations.cases if HYPERPARAMETERS in tiers_of(case)]
        # In irprop-, each of them makes a difference where it can make any.
        usual = self.whole("irprop-", {})
        for name in [name for name in UNUSUAL if name in entries]:
            answers = [{**usual, name: answer} for answer in GLOBALS[name]]
            rest = {key: answer for key, answer in entries.items() if key != name}
            if self._alike(answers, held) and self._alike((entries, rest), seen):
                entries = rest
        return described(entries, rule.nearest, self._nature)

    def _alike(self, tables: Sequence[Mapping[str, Answer]], cases: Sequence[Case]) -> bool:
        """Whether tables with these entries do the same on some cases."""
        usable = [case for case in cases if case.bounds is None]
        first, *others = (self._rule(entries).on_cases(usable) for entries in tables)
        return all(first_divergence(a, b) is None for other in others for a, b in zip(first, other, strict=True))

    # --- plainer entries that do the same -----------------------------------------------------------------------

    def plainer(self, rule: Rule) -> Rule:
        """The rule with the answers of the nearest of the five wherever nothing observed objects."""
        for key, answer in rule.table.entries.items():
            usual = wanted(rule.nearest, key, {}) or (None if row_of(key) else rule.table.plainest(key))
            if usual is not None and usual != answer and key not in ("start memory", "nan product 0: memory"):
                rule = self._changed(rule, {key: usual}) or rule
        return self._with_alike_limits(rule)

    def _changed(self, rule: Rule, changes: Mapping[str, Answer]) -> Rule | None:
        """The rule with other answers, if it reproduces all that was observed with them."""
        other = described({**rule.table.entries, **changes}, rule.nearest, self._nature)
        holds = self._observations.reproduced(other, self._observations.cases, self._telling)
        return other if holds else None

    def _with_alike_limits(self, rule: Rule) -> Rule:
        """The rule with the same limits in every row, and a first step of lr, if nothing observed objects."""
        entries = rule.table.entries
        limits = {key: answer for key, answer in entries.items() if field_of(key) == "limits"}
        every = [key.replace(": factor", ": limits") for key in entries if field_of(key) == "factor"]
        for answer in dict.fromkeys(limits.values()):
            for start in dict.fromkeys(("lr", entries["start"])):
                other = self._changed(rule, {**dict.fromkeys(every, answer), "start": start})
                if answer != "both" and other is not None:
                    return other
        return self._with_limits_by_factor(rule)

    def _with_limits_by_factor(self, rule: Rule) -> Rule:
        """The rule with the same limits in rows of the same factor, wherever nothing observed objects."""
        by_factor: dict[Answer, list[str]] = {}
        for key, answer in rule.table.entries.items():
            if field_of(key) == "factor":
                by_factor.setdefault(answer, []).append(key.replace(": factor", ": limits"))
        for keys in by_factor.values():
            answers = [rule.table.entries.get(key, "both") for key in keys]
            usual = max(answers, key=answers.count)
            for key, answer in zip(keys, answers, strict=True):
                if answer != usual:
                    rule = self._changed(rule, {key: usual}) or rule
        return rule
