"""Events: every combination of signs that a step can meet, and the shortest NumPy condition for a set of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from .grammar import Answer


class Event(NamedTuple):
    """What a step meets in one coordinate. Signs are "+", "-", "0" or "nan"."""

    memory: str
    gradient: str
    seen: str  # the sign of what is compared, which may be 0 or NaN where gradient and memory are neither
    rose: bool = False
    first: bool = False
    flipped: bool = False


#: Conditions, the plainest first. "flip" is a name in the code: the rule says what counts as a sign change.
_ATOMS: tuple[tuple[str, Callable[[Event], bool]], ...] = (
    ("flip", lambda e: e.seen == "-"),
    ("q > 0", lambda e: e.seen == "+"),
    ("q == 0", lambda e: e.seen == "0"),
    ("q >= 0", lambda e: e.seen in "+0"),
    ("q <= 0", lambda e: e.seen in "-0"),
    ("g > 0", lambda e: e.gradient == "+"),
    ("g < 0", lambda e: e.gradient == "-"),
    ("g == 0", lambda e: e.gradient == "0"),
    ("g >= 0", lambda e: e.gradient in "+0"),
    ("g <= 0", lambda e: e.gradient in "-0"),
    ("np.isnan(g)", lambda e: e.gradient == "nan"),
    ("np.isnan(q)", lambda e: e.seen == "nan"),
    ("first", lambda e: e.first),
    ("s.flipped", lambda e: e.flipped),
    ("rose", lambda e: e.rose),
    ("prev == 0", lambda e: e.memory == "0"),
    ("prev > 0", lambda e: e.memory == "+"),
    ("prev < 0", lambda e: e.memory == "-"),
    ("~(q > 0)", lambda e: e.seen != "+"),
    ("~flip", lambda e: e.seen != "-"),
    ("q != 0", lambda e: e.seen != "0"),
    ("g != 0", lambda e: e.gradient != "0"),
    ("~(g > 0)", lambda e: e.gradient != "+"),
    ("~(g < 0)", lambda e: e.gradient != "-"),
    ("~np.isnan(g)", lambda e: e.gradient != "nan"),
    ("~np.isnan(q)", lambda e: e.seen != "nan"),
    ("~first", lambda e: not e.first),
    ("~s.flipped", lambda e: not e.flipped),
    ("~rose", lambda e: not e.rose),
)


def all_events(*, uses_loss: bool, own_first: bool, own_after: bool) -> list[Event]:
    """All events that a rule tells apart."""
    events = []
    for memory, gradient in itertools.product("+-0", "+-0"):
        product = "0" if "0" in (memory, gradient) else "+" if memory == gradient else "-"
        for seen in dict.fromkeys((product, "0", *(["nan"] if product == "0" else []))):
            events.append(Event(memory, gradient, seen))
    events += [Event("nan", gradient, "nan") for gradient in "+-0"]
    events += [Event(memory, "nan", "nan") for memory in "+-0"]
    events.append(Event("nan", "nan", "nan"))
    if own_first:
        events += [e._replace(first=True) for e in events if e.memory == "0"]
    if own_after:
        events += [e._replace(flipped=True) for e in events if e.memory == "0" and not e.first]
    if uses_loss:
        events += [e._replace(rose=True) for e in events]
    return events


def row_and_sign(event: Event) -> tuple[str, str]:
    """The row of the table that holds for an event, and the sign of its half."""
    g, m = event.gradient, event.memory
    if g == "nan":
        return "nan", "0"
    if event.first:
        return "first", g
    if event.seen == "nan":
        return "nan product", g
    if event.seen == "+":
        return "same", g
    if event.seen == "-":
        return ("rose" if event.rose else "flip"), g
    if g == "0":
        return ("zero", m) if m in "+-" else ("rest", "0")
    return ("after" if event.flipped else "fresh"), g


def condition(wanted: Iterable[Event], others: Iterable[Event]) -> str:
    """A short NumPy condition that is true for the wanted events and false for the others."""
    return _condition(tuple(wanted), tuple(others))


@functools.lru_cache(4096)
def _condition(wanted: tuple[Event, ...], others: tuple[Event, ...]) -> str:
    yes, no = _Bits(wanted), _Bits(others)
    helpful = [(text, inside, no(test)) for text, test in _ATOMS if (inside := yes(test))]
    for size in (1, 2, 3):
        for atoms in itertools.combinations(helpful, size):
            inside, outside = _all_of(atoms, yes.every, no.every)
            if inside == yes.every and not outside:
                return _joined([text for text, _, _ in atoms], "&")
    return _union(helpful, yes.every, no.every)


class _Bits:
    """Sets of some events, as the bits of an integer."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events, self.every = events, (1 << len(events)) - 1

    def __call__(self, test: Callable[[Event], bool]) -> int:
        return sum(1 << i for i, event in enumerate(self.events) if test(event))


_Atoms = Sequence[tuple[str, int, int]]


def _all_of(atoms: _Atoms, inside: int, outside: int) -> tuple[int, int]:
    """Of the wanted events and of the others, those for which all of some conditions are true."""
    for _, yes, no in atoms:
        inside &= yes
        outside &= no
    return inside, outside


def _union(atoms: _Atoms, wanted: int, others: int) -> str:
    """Conditions that are each true for some of the wanted events only, joined by "or"; the largest first."""
    parts: list[tuple[int, str]] = []
    for size in (1, 2, 3, 4):
        if size == 4 and functools.reduce(int.__or__, (covered for covered, _ in parts), 0) == wanted:
            break  # four conditions are for the few events that three do not tell apart
        for some in itertools.combinations(atoms, size):
            covered, wrong = _all_of(some, wanted, others)
            if covered and not wrong:
                parts.append((covered, _joined([text for text, _, _ in some], "&")))
    chosen, left = [], wanted
    while left:
        covered, text = max(parts, key=lambda part: ((left & part[0]).bit_count(), -len(part[1])), default=(0, ""))
        if not left & covered:
            raise ValueError("no condition tells these events apart")
        left &= ~covered
        chosen.append(text)
    return _joined(chosen, "|")


def _joined(parts: list[str], sign: str) -> str:
    if len(parts) == 1:
        return parts[0]
    return f" {sign} ".join(f"({part})" if " " in part else part for part in parts)


def grouped(events: Iterable[Event], answer_of: Callable[[Event], Answer | None]) -> dict[Answer, list[Event]]:
    """The events by the answer that holds for them; those without any are left out."""
    groups: dict[Answer, list[Event]] = {}
    for event in events:
        answer = answer_of(event)
        if answer is not None:
            groups.setdefault(answer, []).append(event)
    return groups


def choice(
    groups: dict[str, list[Event]], default: str | None = None, alike: Mapping[str, list[Event]] | None = None
) -> str:
    """An expression that has each of these values for its events: nested `np.where`, or the only value.

    `alike` are events of other values for which a value may be taken as well.
    """
    if not groups:
        return default or "0"
    last = default if default in groups else max(groups, key=lambda text: len(groups[text]))
    rest = [text for text in groups if text != last]
    # Sign changes come first, because what counts as one may overlap with the others.
    rest.sort(key=lambda text: -sum(e.seen == "-" for e in groups[text]))
    expression = last
    for i in reversed(range(len(rest))):
        either = (alike or {}).get(rest[i], [])
        others = [e for text in (*rest[i + 1 :], last) for e in groups[text] if e not in either]
        expression = f"np.where({condition(groups[rest[i]], others)}, {rest[i]}, {expression})"
    return expression
