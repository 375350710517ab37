"""Who computes what: a page that compares published implementations with the five rules, tier by tier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ._cases.conformance import conformance_cases
from ._cases.tiers import CALLS, HYPERPARAMETERS, NUMBERS, ORDINARY, PRECISION, TIERS, tier_of
from ._comparison.catching import deviations_caught
from ._comparison.expected import expected_trajectories
from ._comparison.trajectory import LONG
from ._stages.compositions import COMPOSITIONS
from ._stages.deviations import DEVIATIONS
from .profiles import PROFILES, Profile


@dataclass
class Row:
    """What an implementation does otherwise than the nearest rule.

    Attributes
    ----------
    about : str
        The implementation, its version, and whether it was run.
    rule : str
        The nearest of the five rules.
    differences : dict of str to list of str
        For each tier that it has, a sentence for each difference that no inner tier shows.
    """

    about: str
    rule: str
    differences: dict[str, list[str]]


def published_rows() -> Iterator[Row]:
    """All published implementations: those with a profile, and two that no set of known deviations describes."""
    for profile in PROFILES.values():
        yield Row(profile.about, profile.rule, _differences(profile))
    yield from _WITHOUT_PROFILE


def _differences(profile: Profile) -> dict[str, list[str]]:
    """For each tier, what the deviations of a profile do that show there, one by one, but not further in.

    Where x is another counts more than where only the state or the caller's gradient array is.
    """
    in_x: dict[str, set[str]] = {tier: set() for tier in TIERS}
    in_state: dict[str, set[str]] = {tier: set() for tier in TIERS}
    rule = COMPOSITIONS[profile.rule]
    for dtype in profile.dtypes if profile.changes else ():
        cases = [case for case in conformance_cases([dtype]) if case.steps <= LONG]
        expected = expected_trajectories(profile.rule, cases)
        for case, caught in zip(cases, deviations_caught(rule, profile.changes, expected), strict=True):
            in_x[tier_of(case)].update(caught.in_x)
            in_state[tier_of(case)].update(caught.in_state)
    has = [tier for tier in TIERS if tier != PRECISION or not {"float64", "float32"}.issuperset(profile.dtypes)]
    differences: dict[str, list[str]] = {tier: [] for tier in has}
    for deviation in profile.changes:
        shown = [tier for where in (in_x, in_state) for tier in has if deviation.name in where[tier]]
        if shown:
            differences[shown[0]].append(deviation.does)
    return differences


#: Found by running the packages, like the profiles (``tests/crosscheck/test_peers.py``).
_WITHOUT_PROFILE = (
    Row(
        "climin.Rprop 0.1a1 (float64)",
        "rprop-",
        {
            ORDINARY: ["Step sizes begin at the smallest, whatever the first step size says."],
            HYPERPARAMETERS: [],
            NUMBERS: [DEVIATIONS["NaN poisons"].does],
            CALLS: [DEVIATIONS["memory is the caller's array"].does],
        },
    ),
    Row(
        "FANN 2.2.0, iRprop- (float64)",
        "irprop-",
        {
            ORDINARY: [
                DEVIATIONS["a zero product grows"].does,
                DEVIATIONS["one limit per branch"].does,
                "At a sign change, and at a gradient of 0, x grows by the step size, whichever way is downhill.",
                "A step size below 0.0001 counts as 0.0001.",
                "x stops at -1500 and at 1500.",
                "Hyperparameters are rounded to float32.",
            ],
            HYPERPARAMETERS: [],
            NUMBERS: [DEVIATIONS["a NaN product shrinks"].does],
            CALLS: [],
        },
    ),
)

_HEAD = """\
# Who computes what

What published implementations do otherwise than the nearest of the five rules. The [referee](crosscheck.md) makes
this page: `python -m rprop_ref crosscheck --published`. Unless it says "not run", an implementation was run on all
cases, in the version that is given, and `make test-peers` runs it again. The columns are tiers:

{tiers}

A number stands for a sentence below the table. It is in the first column in which x is another (or, if x never is,
the state). A dot means that there is nothing new, and a hyphen that the implementation has no such dtypes.

"""


def page(rows: Iterable[Row]) -> str:
    """The page, in Markdown."""
    lines = [f"| implementation | nearest rule | {' | '.join(TIERS)} |", f"|---|---|{'---|' * len(TIERS)}"]
    numbers: dict[str, int] = {}
    for row in rows:
        cells = [_cell(row.differences.get(tier), numbers) for tier in TIERS]
        lines.append(f"| {row.about} | `{row.rule}` | {' | '.join(cells)} |")
    lines += ["", *(f"{number}. {sentence}" for sentence, number in numbers.items())]
    head = _HEAD.format(tiers="\n".join(f"* *{tier}*: {what}" for tier, what in TIERS.items()))
    return head + "\n".join(lines) + "\n"


def _cell(sentences: list[str] | None, numbers: dict[str, int]) -> str:
    """The numbers of sentences; those that have none yet get the next ones."""
    if sentences is None:
        return "-"
    return ", ".join(str(numbers.setdefault(s, len(numbers) + 1)) for s in sentences) or "·"
