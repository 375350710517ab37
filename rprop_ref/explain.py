"""What happened in a run, in words, and what to try: `Trace.explain`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._common import display
from ._core import dtypes, events
from ._core.constants import ETA_MINUS, ETA_PLUS, SIZE_MAX, SIZE_MIN, rule_constants

if TYPE_CHECKING:
    from .trace import Trace

Array = np.ndarray[Any, Any]

#: Iterations that there must be before anything is said of a habit.
ENOUGH = 20

#: A coordinate is stuck at the smallest step if it was there in this part of the latest iterations ...
STUCK = 0.5
#: ... and hindered by the largest one if it was there in this part of all.
HINDERED = 0.25

#: A coordinate oscillates if so many of the latest steps change sign, for rules that forget after a change (which
#: therefore change sign in every second step at most) and for "rprop-" ...
FLIPS, FLIPS_REMEMBERED = 0.4, 0.6
#: ... while its step size does not come below this part of what it was.
SHRUNK = 0.1

#: A first step is far too large if x stays within this part of it, and far too small if the size grows by this
#: factor before it shrinks for the first time.
TOO_LARGE, TOO_SMALL = 1e-2, 1e4

#: So many steps back before the first steps are made show that they were too large as well.
RETREATS = 5

#: Underflow is reported if it happens in this part of the steps.
UNDERFLOWS = 0.1

#: A first step that is too large for fewer coordinates than this part began near their minimum by chance.
CHANCE = 0.01

#: Gradients are noise where x changes by so many decades less and the gradient by no less than this, in the mean,
#: and no more either; of decades in which there were so many changes.
CALMER, AS_MUCH, FEW = 2, 0.2, 4
#: ... and the sign does not tell on which side of the minimum x is: the chance that x is larger at a positive
#: gradient than at a negative one. 1 if it always is, 0.5 if it is a coin.
COIN = 0.8


@dataclass(frozen=True, eq=False)
class Finding:
    """Something that is wrong with a run.

    Attributes
    ----------
    name : str
        "noise", "lower clamp", "upper clamp", "oscillation", "underflow", "first step too large",
        "first step too small", "eta- rounds to 1", "eta+ rounds to 1", "no gradient" or "gradient not finite".
    coordinates : ndarray of int
        Which coordinates have it.
    what, advice : str
        What happened, and what to try.
    """

    name: str
    coordinates: Array
    what: str
    advice: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """What `Trace.explain` says.

    Attributes
    ----------
    summary : list of str
        What happened.
    findings : list of Finding
        What is wrong, and what to try; empty for a healthy run.
    """

    summary: list[str]
    findings: list[Finding]

    def __str__(self) -> str:
        lines = list(self.summary)
        for finding in self.findings:
            lines += ["", display.wrapped(f"{finding.name.upper()}. {finding.what}", further="")]
            lines += [display.wrapped(f"Try: {finding.advice}", indent="  ")]
        if not self.findings:
            lines += ["", "Nothing looks wrong."]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = [(f.name, f.what, f.advice) for f in self.findings] or [("nothing looks wrong", "", "")]
        return display.html_table(
            ("finding", "what happened", "what to try"), cells, " ".join(self.summary), (0, 1, 2)
        )


def explain(trace: Trace) -> Explanation:
    """See `Trace.explain`."""
    if not len(trace):
        return Explanation(["Nothing was recorded."], [])
    findings = [finding for look in _LOOKS if (finding := look(trace)) is not None]
    if any(finding.name == "noise" for finding in findings):
        # What noise does to step sizes is not what is wrong.
        findings = [f for f in findings if f.name not in ("lower clamp", "oscillation")]
    if any(finding.name == "eta- rounds to 1" for finding in findings):
        findings = [f for f in findings if f.name != "oscillation"]
    return Explanation(_summary(trace), findings)


def _summary(trace: Trace) -> list[str]:
    rules = ", ".join(dict.fromkeys(group["variant"] for group in trace.groups))
    # A run ends with a point from which no step is made.
    steps = trace.steps - int(trace.counts["no step"].min(initial=trace.steps))
    lines = [f"{steps} step{'s' * (steps != 1)} of {rules} on {trace.n} coordinate{'s' * (trace.n != 1)}."]
    known = trace.f[np.isfinite(trace.f)]
    if known.size:
        lines.append(
            f"f went from {known[0]:.6g} to {known[-1]:.6g}; the lowest in the rows is {known.min():.6g}."
        )
    made = max(1, int(trace.n * trace.steps - trace.counts["no step"].sum()))
    share = {name: 100 * int(count.sum()) / made for name, count in trace.counts.items()}
    kept, changed = share["grew"], share["shrank"]
    told = f"Of all steps, {kept:.0f}% kept their sign and grew, {changed:.0f}% changed it and shrank"
    for name in ("held", "undone"):
        if share[name]:
            told += f" ({share[name]:.0f}% were {name})"
    lines.append(told + ".")
    first, last = trace.firsts["first"], trace.size[-1]
    if np.isfinite(first).any():
        lines.append(
            f"Step sizes began between {np.nanmin(first):.3g} and {np.nanmax(first):.3g}, "
            f"and ended between {np.nanmin(last):.3g} and {np.nanmax(last):.3g}."
        )
    if trace.retreats[-1]:
        lines.append(f"The run stepped back {trace.retreats[-1]} times from where the objective is not finite.")
    return lines


# -------------------------------------------------------------------------------------------------------
# What to look for. Each returns a finding, or None.


def _recent(trace: Trace) -> tuple[Array, Array] | None:
    """Events and step sizes of the latest iterations, which lie one after the other; None if there are too few."""
    rows = len(trace._recent)
    event, size = trace.event[-rows:], trace.size[-rows:]
    stepping = ~events.has(event, "no step").all(axis=1)
    return (event[stepping], size[stepping]) if stepping.sum() >= ENOUGH else None


def _noise(trace: Trace) -> Finding | None:
    recent = _recent(trace)
    # A gradient that belongs to a function changes the less, the less x changes; noise does not care.
    decades = sorted(decade for decade, (count, _) in trace._changes.items() if count >= FEW)
    if recent is None or not decades or decades[-1] - decades[0] < CALMER:
        return None
    means = [trace._changes[decade][1] / trace._changes[decade][0] for decade in decades]
    near, far, least = means[0], means[-1], min(means)
    # Nor do they grow towards the end, as they do where a run comes from a plain into mountains.
    if near < far + np.log10(AS_MUCH) or least < near + np.log10(AS_MUCH):
        return None
    # But so does a kink; there, however, the sign tells the side, unless the kink lies across the axes.
    rows = len(trace._recent)
    x, sign = trace.x[-rows:], trace.sign[-rows:]
    chances = np.array([_chance(x[:, i], sign[:, i]) for i in range(trace.n)])
    coins = np.flatnonzero(chances < COIN)
    if coins.size < np.isfinite(chances).sum() / 2 or not coins.size:
        return None
    flips = np.mean(events.has(recent[0], "shrank")[:, coins])
    return Finding(
        "noise",
        coins,
        f"{_which(coins, trace)}: the gradient changes its sign in {100 * flips:.0f}% of the latest steps, "
        "however small they are, and at no particular place: it is noisy, or has kinks that lie across the axes, "
        "and the step sizes only follow that.",
        "compute the gradient from all the data. Rprop needs full batches: it looks at nothing but signs, so that "
        "noise is not averaged out; with mini-batches use a method that averages, such as Adam. If it is from all "
        "the data already, look for kinks (absolute values, maxima) of several variables, and smooth them.",
    )


def _chance(x: Array, sign: Array) -> float:
    """How probable it is that x is larger where the gradient is positive than where it is negative; or NaN."""
    above, below = x[sign > 0], x[sign < 0]
    if not (above.size and below.size):
        return np.nan
    difference = above[:, None] - below[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def _lower(trace: Trace) -> Finding | None:
    recent = _recent(trace)
    if recent is None:
        return None
    stuck = np.mean(events.has(recent[0], "at lower clamp") & ~events.has(recent[0], "zero gradient"), axis=0)
    found = np.flatnonzero(stuck >= STUCK)
    if not found.size:
        return None
    smallest = _limit(trace, found[0], 0)
    if smallest == 0:
        what = "the step size has shrunk to zero, and cannot grow again"
        advice = "set a smallest step size above 0, or stop earlier: nothing can be gained any more."
    else:
        what = (
            f"the step size is at its lower clamp, {smallest:g}: x goes to and fro over something that so long a "
            "step cannot resolve"
        )
        advice = (
            "lower the smallest step size, the first of step_sizes. If it is as small as the dtype resolves, "
            "compute in a wider dtype; if x is near enough, stop. If the gradient is noisy, smaller steps do not "
            "help: compute it from all the data."
        )
    return Finding("lower clamp", found, f"{_which(found, trace)}: {what}.", advice)


def _upper(trace: Trace) -> Finding | None:
    if trace.steps < ENOUGH:
        return None
    at = trace.counts["at upper clamp"]
    found = np.flatnonzero(at >= HINDERED * trace.steps)
    if not found.size:
        return None
    share = 100 * at[found].max() / trace.steps
    return Finding(
        "upper clamp",
        found,
        f"{_which(found, trace)}: up to {share:.0f}% of the steps had the largest size allowed, "
        f"{_limit(trace, found[0], 1):g}, and wanted to grow.",
        "raise the largest step size, the second of step_sizes; or scale the variable, so that its distance to "
        "the minimum is about 1. If f falls without end, the objective may have no minimum.",
    )


def _oscillation(trace: Trace) -> Finding | None:
    recent = _recent(trace)
    if recent is None:
        return None
    event, size = recent
    needed = np.full(trace.n, FLIPS)
    for group in trace.groups:
        if group["variant"] == "rprop-":
            needed[group["start"] : group["stop"]] = FLIPS_REMEMBERED
    rate = np.mean(events.has(event, "shrank"), axis=0)
    with np.errstate(all="ignore"):
        shrinks = size[-1] < SHRUNK * size[0]
    clamped = np.mean(events.has(event, "at lower clamp"), axis=0) >= STUCK
    found = np.flatnonzero((rate >= needed) & ~shrinks & ~clamped)
    if not found.size:
        return None
    return Finding(
        "oscillation",
        found,
        f"{_which(found, trace)}: the gradient changes its sign in up to {100 * rate[found].max():.0f}% of the "
        "latest steps, to and fro over the minimum, and the step size hardly shrinks.",
        f"make the first of etas smaller (it is {_group(trace, found[0])['etas'][0]:g}; 0.5 is usual), so that a "
        "step that was too long is shortened soon; or take a rule that forgets after a change of sign, such as "
        '"irprop-".',
    )


def _underflow(trace: Trace) -> Finding | None:
    count = trace.counts["underflow"]
    found = np.flatnonzero((count >= 3) & (count >= UNDERFLOWS * trace.steps))
    if not found.size:
        return None
    dtype = _group(trace, found[0])["dtype"]
    return Finding(
        "underflow",
        found,
        f"{_which(found, trace)}: in up to {100 * count[found].max() / trace.steps:.0f}% of the steps the product "
        f"of two gradients is too small for {dtype} and counts as 0, so that step sizes neither grow nor shrink.",
        "multiply the objective by a large constant, which changes no sign; or compute in a wider dtype.",
    )


def _too_large(trace: Trace) -> Finding | None:
    if trace.steps < ENOUGH:
        return None
    first, before = trace.firsts["first"], trace.firsts["before growing"]
    early = trace.retreats[trace.iteration <= 5]
    later = trace.iteration >= trace.steps // 2
    with np.errstate(all="ignore"):
        distance = np.max(np.abs(trace.x[later] - trace.x[0]), axis=0)
        shrank_at_once = np.isnan(before) | (before < first)
        found = np.flatnonzero((distance <= TOO_LARGE * first) & shrank_at_once & (trace.counts["shrank"] > 0))
    if found.size < CHANCE * trace.n:
        found = found[:0]
    if early[-1] >= RETREATS:
        found = np.arange(trace.n)
        what = (
            f"the objective was not finite where the first steps led, and the run stepped back {early[-1]} times"
        )
        advice = "make lr, the first step size, so small that the first steps stay where the objective is defined."
    elif found.size:
        i = found[0]
        what = f"the first step was {first[i]:.3g}, but x ended within {distance[i]:.3g} of its start"
        advice = f"make lr, the first step size, smaller than {distance[i]:.1g}."
    else:
        return None
    return Finding("first step too large", found, f"{_which(found, trace)}: {what}.", advice)


def _too_small(trace: Trace) -> Finding | None:
    first, before = trace.firsts["first"], trace.firsts["before shrinking"]
    with np.errstate(all="ignore"):
        reached = np.where(np.isnan(before), trace.size[-1], before)
        found = np.flatnonzero((reached >= TOO_SMALL * first) & (reached > first))
    if not found.size:
        return None
    i = found[0]
    growth = np.log(reached[i] / first[i]) / np.log(_group(trace, i)["etas"][1]) if first[i] > 0 else np.inf
    return Finding(
        "first step too small",
        found,
        f"{_which(found, trace)}: the step size grew from {first[i]:.3g} to {reached[i]:.3g} before the gradient "
        f"changed its sign for the first time; that takes {growth:.0f} steps.",
        "raise lr, the first step size, to about 1% of the distance to go.",
    )


def _etas(trace: Trace) -> Finding | None:
    for group in trace.groups:
        dtype = dtypes.named(group["dtype"])
        constants = rule_constants(dtype, group["etas"], group["step_sizes"], group["maximize"])
        for k, name in ((ETA_MINUS, "eta-"), (ETA_PLUS, "eta+")):
            if constants[k] != 1:
                continue
            found = np.arange(group["start"], group["stop"])
            what = f"{name} = {group['etas'][k]!r} rounds to 1 in {group['dtype']}"
            if k:
                what += ": step sizes never grow."
            elif group["variant"] == "irprop-":
                what += (
                    ": every neutral step, the first included, looks like a change of sign, so that coordinates "
                    "never move (torch's rule does this as well)."
                )
            else:
                what += ": step sizes never shrink."
            return Finding(
                f"{name} rounds to 1",
                found,
                what,
                f"choose {name} further from 1 (0.5 and 1.2 are usual), or a wider dtype.",
            )
    return None


def _no_gradient(trace: Trace) -> Finding | None:
    if trace.steps < 2:
        return None
    found = np.flatnonzero(trace.counts["zero gradient"] == trace.steps)
    if not found.size:
        return None
    return Finding(
        "no gradient",
        found,
        f"{_which(found, trace)}: the gradient was exactly 0 in every iteration, so that x never moved.",
        "see whether the objective depends on it at all, whether the start is a point of symmetry, whether the "
        "gradient underflows, or whether a bound holds it (in minimize that counts as a gradient of 0).",
    )


def _not_finite(trace: Trace) -> Finding | None:
    found = np.flatnonzero(trace.counts["gradient not finite"])
    if not found.size:
        return None
    return Finding(
        "gradient not finite",
        found,
        f"{_which(found, trace)}: the gradient was infinite or no number in up to "
        f"{trace.counts['gradient not finite'].max()} iterations; a NaN moves nothing, and the step after it is "
        "neutral.",
        "find out where it comes from (a logarithm of 0, an overflow); minimize steps back from such points.",
    )


_LOOKS: tuple[Callable[[Trace], Finding | None], ...] = (
    _etas,
    _not_finite,
    _noise,
    _lower,
    _upper,
    _oscillation,
    _underflow,
    _too_large,
    _too_small,
    _no_gradient,
)


def _group(trace: Trace, coordinate: int) -> dict[str, Any]:
    return next(g for g in trace.groups if g["start"] <= coordinate < g["stop"])


def _limit(trace: Trace, coordinate: int, side: int) -> float:
    group = _group(trace, coordinate)
    dtype = dtypes.named(group["dtype"])
    constants = rule_constants(dtype, group["etas"], group["step_sizes"], False)
    return float(constants[SIZE_MAX if side else SIZE_MIN])


def _which(found: Array, trace: Trace) -> str:
    if found.size == trace.n:
        return "The coordinate" if trace.n == 1 else f"All {trace.n} coordinates"
    shown = ", ".join(map(str, found[: display.SHOWN].tolist()))
    more = f", ... ({found.size} of {trace.n})" if found.size > display.SHOWN else ""
    return f"Coordinate{'s' * (found.size > 1)} {shown}{more}"
