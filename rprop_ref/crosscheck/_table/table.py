"""A table: the answers of one rule, as plain data, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from .grammar import ANSWERS, FIELDS, FLIPS, GLOBALS, ROWS, Answer, field_of, keyed, row_of

#: The words for a number in each field.
_NUMBERS = {
    "factor": "multiplies it by {:g}",
    "move": "moves downhill by {:g}, whatever the step size",
    "start": "Step sizes begin at {:g}, whatever lr says",
    "small gradients": "Gradients below {:g} count as 0",
    "small moves": "Gradients below {:g} do not move x",
    "small products": "Products below {:g} count as 0",
    "floor": "A step size is read as at least {:g}",
    "largest": "The largest step size is {:g}, whatever step_sizes says",
    "smallest": "The smallest step size is {:g}, whatever step_sizes says",
    "walls": "x stops at -{0:g} and {0:g}",
}


#: Limits that are no place where a step size can be, as a sentence without a factor.
_LIMITS_ALONE = {
    "move only": "applies both limits to the step size for the move only, not to the one that is stored",
    "before": "applies both limits before the multiplication",
}


def _zero_limited(limits: str) -> str:
    """What becomes of a step size that is made 0, and then limited."""
    if limits in ("both", "lo", "both, lo wins"):
        return "sets the step size to the smallest"
    if limits == "move only":
        return "makes the step size 0, and moves by the smallest"
    return "makes the step size 0"


@dataclass(frozen=True)
class Table:
    """A rule as a table.

    Attributes
    ----------
    entries : mapping of str to answer
        The answer of every entry that was found; an entry without one has the plainest answer, or no meaning.
    symmetric : bool
        Whether each row holds for both signs of the gradient. Otherwise keys are "flip +: move", "flip -: move".
    uses_loss : bool
        Whether the row "rose" exists.
    title : str
        What the rule is called.
    """

    entries: Mapping[str, Answer]
    symmetric: bool = True
    uses_loss: bool = False
    title: str = field(default="A rule", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", MappingProxyType(dict(self.entries)))

    def __getitem__(self, name: str) -> Answer:
        """The answer of an entry of the whole rule."""
        return self.entries.get(name, next(iter(GLOBALS[name])))

    def key(self, row: str, sign: str, field: str) -> str:
        """The key of a field of a row."""
        return f"{keyed(row, sign, symmetric=self.symmetric)}: {field}"

    def answer(self, row: str, sign: str, field: str) -> Answer | None:
        """The answer in a field of a row; None if it was never needed."""
        found = self.entries.get(self.key(row, sign, field))
        return found if found is not None else self._unneeded(row, sign, field)

    def _unneeded(self, row: str, sign: str, field: str) -> Answer | None:
        """Limits that made no difference in a row that was met: the plainest."""
        if field == "limits" and self.key(row, sign, "factor") in self.entries:
            return "both"
        return None

    @property
    def flips_by_factor(self) -> bool:
        """Whether a sign change is told by the factor, which then has to be eta- at each."""
        at_flips = (a for key, a in self.entries.items() if field_of(key) == "factor" and row_of(key) in FLIPS)
        return self["flip test"] == "factor" and all(answer == "down" for answer in at_flips)

    def sentence(self, name: str) -> str:
        """What an entry of the whole rule says."""
        answer = self[name]
        if isinstance(answer, str):
            return GLOBALS[name][answer]
        words = _NUMBERS[name]
        if name in ("largest", "smallest") and self["own limits"] == "times lr":
            words = words.replace("{:g}", "{:g} times lr")
        return words.format(answer)

    def phrase(self, row: str, sign: str, field: str) -> str:
        """What a field of a row says; empty if it was never needed."""
        answer = self.answer(row, sign, field)
        if answer is None:
            return ""
        return ANSWERS[field][answer] if isinstance(answer, str) else _NUMBERS[field].format(answer)

    def rows(self) -> list[tuple[str, str]]:
        """The rows that were met, with their signs."""
        return [
            (row, sign) for row in ROWS for sign in (("", "0") if self.symmetric else ("+", "-", "0", ""))
            if any(f"{row}{' ' + sign if sign else ''}: {field}" in self.entries for field in FIELDS)
        ]  # fmt: skip

    def row_sentence(self, row: str, sign: str, fields: Sequence[str] = (*FIELDS, "late move")) -> str:
        """A row as a sentence, or some of its fields."""
        # The row is that of what is compared; a table that goes uphill has turned it round.
        shown = {"+": "-", "-": "+"}.get(sign, sign) if self["direction"] == "up" and row != "zero" else sign
        where = ROWS[row] + {"+": " (now positive)", "-": " (now negative)", "0": " (now 0)", "": ""}[shown]
        if row == "zero" and sign:
            where = f"Where the gradient is 0 and the memory {'positive' if sign == '+' else 'negative'}"
        if row == "nan product" and sign == "0":
            where = "Where the product is NaN, and the gradient is 0"
        # Where the signs of the gradient are alike, each stands for the others.
        either = sign or ("0" if row in ("rest", "nan") else "+")
        words = {field: self.phrase(row, either, field) for field in fields}
        factor = (
            words.get("factor", "")
            .replace("multiplies it", "multiplies the step size")
            .replace(" it", " the step size")
        )
        limits = words.get("limits", "")
        size = factor
        if limits and self.answer(row, either, "limits") in _LIMITS_ALONE and not factor:
            size = _LIMITS_ALONE[str(self.answer(row, either, "limits"))]
        elif limits and self.answer(row, either, "factor") == "0" and factor:
            size = _zero_limited(str(self.answer(row, either, "limits")))
        elif limits:
            size = f"{factor}, {limits}" if factor else f"lets the step size be {limits}"
        parts = [part for part in (size, words.get("move"), words.get("late move"), words.get("memory")) if part]
        return f"{where}: {'; '.join(parts)}."

    def plainest(self, name: str) -> Answer:
        """The plainest answer of an entry of the whole rule."""
        return next(iter(GLOBALS[name]))

    def __str__(self) -> str:
        lines = [self.title]
        lines += [f"  * {text}" for text in joined(self.row_sentence(row, sign) for row, sign in self.rows())]
        names = [name for name in GLOBALS if name in self.entries and self[name] != next(iter(GLOBALS[name]))]
        names = [name for name in names if name != "own limits"]  # the limits say so
        lines += [
            f"  * {self.sentence(name)}." for name in dict.fromkeys(("start", "start memory", "compare", *names))
        ]
        return "\n".join(lines)


#: Two places that are, together, one without the words in parentheses or with other words.
_TOGETHER = (
    (" (now positive)", " (now negative)", ""),
    (" and the memory positive", " and the memory negative", " and the memory is not"),
)


def joined(sentences: Iterable[str]) -> list[str]:
    """Sentences "where: what", those with the same end as one."""
    places: dict[str, list[str]] = {}
    for sentence in sentences:
        where, _, what = sentence.rpartition(": ")
        places.setdefault(what, []).append(where)
    told = []
    for what, some in places.items():
        first, *others = folded(some)
        *middle, last = [first, *(place[:1].lower() + place[1:] for place in others)]
        where = f"{', '.join(middle)}, and {last}" if middle else last
        told.append(f"{where}: {what}" if where else what)
    return told


def folded(places: Sequence[str]) -> list[str]:
    """Places in words; two that differ by the sign only are one."""
    found = list(places)
    for plus, minus, both in _TOGETHER:
        for place in places:
            other = place.replace(plus, minus)
            if plus in place and other in found:
                found[found.index(place)] = place.replace(plus, both)
                found.remove(other)
    return found
