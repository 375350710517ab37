"""Lines of code that were put together from parts, made shorter: without names and lines that say nothing."""

from __future__ import annotations

import itertools
import re


def tidied(lines: list[str]) -> list[str]:
    """The lines without names that stand for another name, and without those that nothing uses."""
    for name, other in (("prev", "s.prev"), ("base", "s.size")):
        if f"{name} = {other}" in lines:
            lines = [renamed(line, name, other) for line in lines if line != f"{name} = {other}"]
    for name in ("factor", "sign", "flip", "rose", "first", "old"):
        if not any(_uses(line.partition(" = ")[2], name) for line in lines):
            lines = [line for line in lines if not line.startswith(f"{name} = ")]
    lines = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if not _is_overwritten(line, following)
    ]
    return _inlined(_named(_negatable(lines)))


def _negatable(lines: list[str]) -> list[str]:
    """The lines with an array instead of a bool that `~` would make an integer of."""
    if not any("~rose" in line for line in lines):
        return lines
    name = "rose = "
    return [
        f"{name}np.full(g.shape, {line.removeprefix(name)})" if line.startswith(name) else line for line in lines
    ]


def _is_overwritten(line: str, following: str) -> bool:
    """Whether a line sets a name that the next line sets anew, without looking at it."""
    name, _, _ = line.partition(" = ")
    other, _, value = following.partition(" = ")
    return name == other and "," not in name and not _uses(value, name)


#: The shortest condition of a sign change that NaN counts as, too; and how one would write it.
_NAN_TURNS, _TURNS = "np.where((~(q > 0)) & (q != 0), ", "(q < 0) | np.isnan(q)"


def _named(lines: list[str]) -> list[str]:
    """The lines with a sign change written as one would, and called `flip` if nothing else is."""
    if not any(_NAN_TURNS in line for line in lines):
        return lines
    if any(_uses(line, "flip") for line in lines):
        return [line.replace(_NAN_TURNS, f"np.where({_TURNS}, ") for line in lines]
    last = max(i for i, line in enumerate(lines) if line.startswith("q = "))
    named = [line.replace(_NAN_TURNS, "np.where(flip, ") for line in lines]
    return [*named[: last + 1], f"flip = {_TURNS}", *named[last + 1 :]]


def _inlined(lines: list[str]) -> list[str]:
    """A factor that is used once, in the next line, is written there."""
    for i, (line, following) in enumerate(itertools.pairwise(lines)):
        name, _, value = line.partition(" = ")
        uses = sum(_uses(other, "factor") for other in lines) - 1
        if name == "factor" and following == "size = s.size * factor" and uses == 1:
            return [*lines[:i], f"size = s.size * {value}", *lines[i + 2 :]]
    return lines


def _uses(text: str, name: str) -> bool:
    return bool(_word(name).search(text))


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.]){name}\b(?!\()")


def renamed(line: str, name: str, other: str) -> str:
    """A line with another name, or an expression, in the place of a name."""
    return _word(name).sub(other, line)
