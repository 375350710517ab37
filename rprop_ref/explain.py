"""`Trace.explain`: what happened in a run, in words, what looks wrong, and what to try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import rules
from ._common import display, half
from ._core import dtypes, events
from ._core.constants import ETA_MINUS, ETA_PLUS, SIZE_MAX, SIZE_MIN, rule_constants
from ._tracing.changes import (
    CONTRADICTIONS,
    EXPLAINED_SHARE,
    FRACTION_OF_GAIN,
    FRACTION_OF_VALUE,
    are_downhill,
    are_repeated,
    creep,
    depend_on_length,
    depend_on_place,
    share_explained,
    side_told_by_sign,
)
from ._tracing.history import History

Array = np.ndarray[Any, Any]

#: Patterns are reported from this many steps on; in fewer they may be chance.
MIN_STEPS = 20

#: A valley is looked for in at least this many steps.
MIN_VALLEY_STEPS = 48

#: A coordinate is stuck at the smallest step size if it had that in this share of the latest steps ...
LOWER_CLAMP_SHARE = 0.5
#: ... and held back by the largest one if it had that in this share of all steps.
UPPER_CLAMP_SHARE = 0.25

#: A coordinate oscillates if this share of the latest steps are sign changes: for rules that clear the stored
#: gradient (for which at most every second step is one), and for rules that keep it ...
FLIPS_CLEARED, FLIPS_KEPT = 0.4, 0.6
#: ... and its step size does not fall below this fraction of what it was.
SHRUNK = 0.1

#: A first step is far too large if x later stays within this fraction of it from its start, and far too small if
#: the step size grows by this factor before it first shrinks.
TOO_LARGE, TOO_SMALL = 1e-2, 1e4

#: A first step was also too large if the run retreated this often up to this iteration.
RETREATS, EARLY = 5, 5

#: Underflow is reported if it happens in this share of the steps.
UNDERFLOW_SHARE = 0.1

#: If the first step looks too large in a smaller share of the coordinates, these started near their minimum by
#: chance.
TOO_LARGE_SHARE = 0.01

#: The sign of a gradient does not tell on which side of the optimum x is if `side_told_by_sign` is below this.
SIDE_TOLD = 0.8


@dataclass(frozen=True, eq=False)
class Finding:
    """Something that looks wrong in a run.

    Attributes
    ----------
    name : str
        "kink", "noise", "value and gradient", "valley", "lower clamp", "upper clamp", "oscillation", "underflow",
        "first step too large", "first step too small", "eta- rounds to 1", "eta+ rounds to 1", "no gradient" or
        "gradient not finite".
    coordinates : ndarray of int
        The coordinates concerned.
    what, advice : str
        What happened, and what to try.
    """

    name: str
    coordinates: Array
    what: str
    advice: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """What `Trace.explain` returns; print it.

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


def explain(trace: History) -> Explanation:
    """See `Trace.explain`."""
    if not len(trace):
        return Explanation(["Nothing was recorded."], [])
    findings = [finding for check in _CHECKS if (finding := check(trace)) is not None]
    if any(finding.name == "noise" for finding in findings):
        # Steps shrink to nothing under noise as well, and values do not fit.
        findings = [f for f in findings if f.name not in ("kink", "value and gradient")]
    if any(finding.name == "value and gradient" for finding in findings):
        # Across a kink, they fit.
        findings = [f for f in findings if f.name != "kink"]
    if any(finding.name in ("kink", "noise") for finding in findings):
        # All of these are consequences.
        findings = [f for f in findings if f.name not in ("lower clamp", "oscillation", "valley")]
    if any(finding.name == "oscillation" for finding in findings):
        findings = [f for f in findings if f.name != "valley"]
    if any(finding.name == "eta- rounds to 1" for finding in findings):
        # It oscillates because step sizes cannot shrink.
        findings = [f for f in findings if f.name != "oscillation"]
    return Explanation(_summary(trace), findings)


def best_value(trace: History, values: Array) -> tuple[str, float]:
    """The lowest of some values, or the highest in a trace of a run that maximizes, after the word for it."""
    if trace.groups[0]["maximize"]:
        return "highest", values.max()
    return "lowest", values.min()


def _summary(trace: History) -> list[str]:
    variants = ", ".join(dict.fromkeys(group["variant"] for group in trace.groups))
    # The point at which a run ends is recorded as well, but no step is made from it.
    steps = trace.steps - int(trace.counts["no step"].min(initial=trace.steps))
    lines = [f"{steps} step{'s' * (steps != 1)} of {variants} on {trace.n} coordinate{'s' * (trace.n != 1)}."]
    values = trace.f[np.isfinite(trace.f)]
    if values.size:
        word, best = best_value(trace, values)
        lines.append(f"f went from {values[0]:.6g} to {values[-1]:.6g}; the {word} in the trace is {best:.6g}.")
    if steps:
        lines += _signs(trace)
    first, last = trace.firsts["first"], trace.size[-1]
    if np.isfinite(first).any():
        lines.append(
            f"Step sizes started between {np.nanmin(first):.3g} and {np.nanmax(first):.3g} "
            f"and ended between {np.nanmin(last):.3g} and {np.nanmax(last):.3g}."
        )
    if trace.retreats[-1]:
        lines.append(
            f"The run retreated {trace.retreats[-1]} times from points where the objective is not finite."
        )
    if trace.pattern_moves:
        lines.append(
            f"Of {trace.pattern_moves} points that pattern moves tried, {trace.pattern_moves_kept} were lower."
        )
    if trace.new_beginnings:
        lines.append(_new_beginnings(trace))
    if trace.probes:
        points, were = ("point", "was") if trace.probes == 1 else ("points", "were")
        lines.append(
            f"At the end, {trace.probes} {points} around the best one {were} evaluated, "
            "to check whether it is a minimum."
        )
    return lines


def _signs(trace: History) -> list[str]:
    """In how many of the steps the gradient kept its sign, changed it, or neither; the shares add up to 100%."""
    made = max(1, int(trace.n * trace.steps - trace.counts["no step"].sum()))
    share = {name: 100 * int(count.sum()) / made for name, count in trace.counts.items()}
    kept, changed = round(share["grew"]), round(share["shrank"])
    text = f"The gradient kept its sign in {kept}% of the steps and changed it in {changed}%"
    at_changes = ", ".join(f"{share[name]:.0f}% were {name}" for name in ("held", "undone") if share[name])
    if at_changes:
        text += f" ({at_changes})"
    others = 100 - kept - changed
    if others <= 0:
        return [f"{text}."]
    clears = any(rules.RULES[group["variant"]].memory == rules.CLEARED for group in trace.groups)
    causes = [
        "the gradient or the stored one was 0"
        + (", as the latter is after a change" if clears and changed else ""),
        *(["the gradient was not finite"] if share["gradient not finite"] else []),
        *(["their product underflowed"] if share["underflow"] else []),
    ]
    return [f"{text}.", f"The other {others}% were neutral: {', or '.join(causes)}."]


def _new_beginnings(trace: History) -> str:
    times, last = len(trace.new_beginnings), trace.new_beginnings[-1]
    when = f"At iteration {last}" if times == 1 else f"{times} times, the last one at iteration {last},"
    return f"{when} the run could not get on though its gradient was small, and began again with new step sizes."


# -------------------------------------------------------------------------------------------------------
# The checks. Each returns a finding, or None.


def _recent(trace: History) -> tuple[Array, Array] | None:
    """Events and step sizes of the latest steps, which are kept whatever the stride; None if there are too few."""
    rows = len(trace._recent)
    event, size = trace.event[-rows:], trace.size[-rows:]
    stepping = ~events.has(event, "no step").all(axis=1)
    return (event[stepping], size[stepping]) if stepping.sum() >= MIN_STEPS else None


_SMOOTH_THE_KINK = (
    "smooth the kink: replace the absolute value of t by sqrt(t**2 + d**2) - d (pseudo-Huber) with a small d, "
    "a maximum by logsumexp. Or choose variables whose axes the kinks follow."
)


def _check_kink(trace: History) -> Finding | None:
    if not trace.kink:
        return None
    sloping = np.flatnonzero(trace.sign[-1])
    if trace.probes:
        doubt = "the points around the best one do not show that it is a minimum"
    else:
        doubt = "the best point is elsewhere"
    return Finding(
        "kink",
        sloping,
        f"{_named(sloping, trace)}: the step sizes have shrunk to nothing, but the gradient is not small, and "
        f"{doubt}. The objective may have a kink that lies across the axes, along which the value still falls.",
        _SMOOTH_THE_KINK + " If the objective is smooth, check its gradient.",
    )


def _precision(trace: History) -> float:
    """That of the coarsest dtype among the parameters."""
    return max(float(half.finfo(dtypes.named(group["dtype"])).eps) for group in trace.groups)


def _rounding(trace: History) -> float:
    """Gradients, and changes of them, up to this may be rounding errors."""
    largest = np.max(trace.g_max, initial=0, where=np.isfinite(trace.g_max))
    return float(largest * np.cbrt(_precision(trace)) ** 2)


def _has_floor(trace: History) -> bool:
    """Whether the gradient changes by as much in short steps as in long ones."""
    return _recent(trace) is not None and trace._changes.have_floor(_rounding(trace))


def _are_repeated(trace: History) -> bool:
    changes = trace.g_change[trace.g_change > 0]
    return are_repeated(changes[-len(trace._recent) :])


def _check_oblique_kink(trace: History) -> Finding | None:
    """The same as `_check_kink`, for runs whose end was not checked."""
    if trace.kink or not (_has_floor(trace) and _are_repeated(trace)):
        return None
    gradients = np.array(trace._gradients)
    if not are_downhill(gradients):
        return None
    jumping = np.flatnonzero(np.ptp(gradients, axis=0) > 0)
    return Finding(
        "kink",
        jumping,
        f"{_named(jumping, trace)}: however small the steps are, the gradient jumps between a few values, and by "
        "all of these the value still falls in some direction. The objective has a kink that lies across the "
        "axes.",
        _SMOOTH_THE_KINK,
    )


def _check_noise(trace: History) -> Finding | None:
    recent = _recent(trace)
    if recent is None:
        return None
    if trace._contradictions >= CONTRADICTIONS:
        noisy, how = np.flatnonzero((trace.sign[-len(trace._recent) :] != 0).any(axis=0)), "even at the same point"
    else:
        noisy, how = _noisy_coordinates(trace), "however small they are, and at no particular place"
    if not noisy.size:
        return None
    flips = np.mean(events.has(recent[0], "shrank")[:, noisy])
    return Finding(
        "noise",
        noisy,
        f"{_named(noisy, trace)}: the gradient changes its sign in {100 * flips:.0f}% of the latest steps, {how}. "
        "It is noisy"
        + ("" if trace._contradictions else ", or the objective has very many kinks")
        + "; the step sizes only follow that.",
        "compute the gradient from all the data. Rprop needs full batches: it reads only signs, so noise does not "
        f"average out. {_product_of_etas(trace, noisy[0])} If that cannot be had, average several evaluations at "
        'each point, as minimize does with samples="auto", or use a method that averages, such as Adam. If the '
        "gradient already comes from all the data, look for kinks (absolute values, maxima) of several variables, "
        "and smooth them.",
    )


def _product_of_etas(trace: History, i: int) -> str:
    """What the product of the etas means under noise.

    If signs are pure chance, step sizes shrink as often as they grow. So they vanish if the product is below 1,
    and explode if it is above: A. Plakhov and P. Cruz, "A stochastic approximation algorithm with multiplicative
    step size adaptation", arXiv:math/0503434.
    """
    eta_minus, eta_plus = _group(trace, i)["etas"]
    product = eta_minus * eta_plus
    if product < 1:
        return (
            f"The product of the etas is {product:g}: the closer to 1, the more slowly noise shrinks the step "
            "sizes, and the nearer a run gets to the minimum."
        )
    return (
        f"The product of the etas is {product:g}: with 1 or more, noise makes the step sizes grow without limit; "
        "choose smaller etas."
    )


def _noisy_coordinates(trace: History) -> Array:
    """The coordinates whose gradient looks noisy though no point was evaluated twice."""
    none = np.zeros(0, int)
    # The last of these takes longest.
    if _are_repeated(trace) or not (trace.kink or _has_floor(trace)) or _depend_on_place(trace):
        return none
    if trace.kink:
        # Steps have shrunk to nothing beside a gradient that has not, and there is no kink.
        return np.flatnonzero(trace.sign[-1])
    rows = np.flatnonzero((trace.x_change > 0) & ~trace.pattern_move)[-len(trace._recent) :]
    if depend_on_length(trace.g_change[rows], trace.x_change[rows]):
        return none
    # At a kink along the axes, which may be curved, the sign tells the side.
    x, sign = trace.x[rows], trace.sign[rows].copy()
    for group in trace.groups:
        if group["maximize"]:
            sign[:, group["start"] : group["stop"]] *= -1
    chances = np.array([side_told_by_sign(x[:, i], sign[:, i]) for i in range(trace.n)])
    noisy = np.flatnonzero(chances < SIDE_TOLD)
    return noisy if noisy.size >= np.isfinite(chances).sum() / 2 else none


def _depend_on_place(trace: History) -> bool:
    """Whether the gradients of the latest steps depend on the place, as noise does not."""
    recent = slice(-len(trace._recent), None)
    x = trace.x[recent][(trace.x_change[recent] != 0) & np.isfinite(trace.g_max[recent])]
    gradients = np.array(trace._gradients)
    rows = min(len(x), len(gradients))
    return depend_on_place(x[len(x) - rows :], gradients[len(gradients) - rows :])


def _check_value_and_gradient(trace: History) -> Finding | None:
    """Noise of the value, which that of the gradient does not show; or a gradient of something else."""
    rows = slice(-len(trace._recent), None)
    moved = (trace.x_change[rows] != 0) & np.isfinite(trace.g_max[rows])  # where gradients are kept
    latest = slice(max(0, int(moved.sum()) - len(trace._gradients)), None)
    x, f, is_pattern_move = (a[rows][moved][latest] for a in (trace.x, trace.f, trace.pattern_move))
    finite = trace.f[np.isfinite(trace.f)]
    if not len(x) or not finite.size:
        return None
    size, gain = np.max(np.abs(f), initial=0, where=np.isfinite(f)), np.ptp(finite)
    rounding = max(FRACTION_OF_VALUE * size, 8 * _precision(trace) * size, FRACTION_OF_GAIN * gain)
    share = share_explained(f, x, np.array(trace._gradients)[-len(x) :], ~is_pattern_move, rounding)
    if share >= EXPLAINED_SHARE:
        return None
    return Finding(
        "value and gradient",
        np.arange(trace.n),
        f"In {100 * (1 - share):.0f}% of the latest steps the value changed as the gradients at both ends do not "
        "explain. The objective is noisy, or has ripples finer than the steps; or the gradient is not that of the "
        "value: a term may be missing in one of them.",
        "compare the gradient with differences, as scipy.optimize.check_grad does. If it is right, compute the "
        "value from all the data, or with more digits; or do without what compares values: pattern moves "
        "(pattern_every=None), ftol, patience and f_target.",
    )


def _let_it_run(trace: History) -> str:
    """What helps a run in a valley that it did not have."""
    helps = []
    if trace.groups[0]["etas"][0] < 0.8:
        helps.append("gentler etas such as (0.8, 1.1)")
    if not trace.pattern_moves:
        helps.append("pattern moves (minimize makes them unless pattern_every is None)")
    return f"let it run longer{', with ' if helps else ''}{' and '.join(helps)}"


def _check_valley(trace: History) -> Finding | None:
    rows = len(trace._recent)
    if rows < MIN_VALLEY_STEPS or not np.max(trace.g_max[-rows:]) > _rounding(trace):
        return None
    values = -trace.f if trace.groups[0]["maximize"] else trace.f
    lowest = np.minimum.accumulate(values)
    x, sign, size = trace.x[-rows:], trace.sign[-rows:], trace.size[-rows:]
    if not creep(lowest[-rows:], x, sign, size, values[0] - lowest[-1]):
        return None
    sloping = np.flatnonzero((sign != 0).any(axis=0))
    return Finding(
        "valley",
        sloping,
        f"{_named(sloping, trace)}: signs keep changing, step sizes stay as they are, and the value falls slowly. "
        "The variables depend on each other: the objective has a valley that lies across the axes, and Rprop, "
        "which steps along the axes, follows it in short steps.",
        "choose variables that depend less on each other (centre and scale the data, fit differences or products, "
        "rotate). If the objective is smooth, a quasi-Newton method such as L-BFGS-B needs far fewer iterations. "
        f"Otherwise {_let_it_run(trace)}.",
    )


def _check_lower_clamp(trace: History) -> Finding | None:
    recent = _recent(trace)
    if recent is None:
        return None
    at_clamp = events.has(recent[0], "at lower clamp") & ~events.has(recent[0], "zero gradient")
    stuck = np.flatnonzero(np.mean(at_clamp, axis=0) >= LOWER_CLAMP_SHARE)
    if not stuck.size:
        return None
    smallest = _constant(trace, stuck[0], SIZE_MIN)
    if smallest == 0:
        what = "the step size has shrunk to zero and cannot grow again"
        advice = "set a smallest step size above 0, or stop earlier: nothing more can be gained."
    else:
        what = (
            f"the step size is at its lower clamp, {smallest:g}: x jumps back and forth across something that a "
            "step this long cannot resolve"
        )
        advice = (
            "lower the smallest step size, the first of step_sizes. If it is already as small as the dtype "
            "resolves, compute in a wider dtype; if x is accurate enough, stop. If the gradient is noisy, smaller "
            "steps do not help: compute it from all the data."
        )
    return Finding("lower clamp", stuck, f"{_named(stuck, trace)}: {what}.", advice)


def _check_upper_clamp(trace: History) -> Finding | None:
    if trace.steps < MIN_STEPS:
        return None
    count = trace.counts["at upper clamp"]
    limited = np.flatnonzero(count >= UPPER_CLAMP_SHARE * trace.steps)
    if not limited.size:
        return None
    share = 100 * count[limited].max() / trace.steps
    return Finding(
        "upper clamp",
        limited,
        f"{_named(limited, trace)}: in up to {share:.0f}% of the steps the step size was at its upper clamp, "
        f"{_constant(trace, limited[0], SIZE_MAX):g}.",
        "raise the largest step size, the second of step_sizes; or scale the variable, so that its distance to "
        "the minimum is about 1. If f keeps falling, the objective may have no minimum.",
    )


def _check_oscillation(trace: History) -> Finding | None:
    recent = _recent(trace)
    if recent is None:
        return None
    event, size = recent
    threshold = np.empty(trace.n)
    for group in trace.groups:
        cleared = rules.RULES[group["variant"]].memory == rules.CLEARED
        threshold[group["start"] : group["stop"]] = FLIPS_CLEARED if cleared else FLIPS_KEPT
    rate = np.mean(events.has(event, "shrank"), axis=0)
    with np.errstate(all="ignore"):
        shrinks = size[-1] < SHRUNK * size[0]
    clamped = np.mean(events.has(event, "at lower clamp"), axis=0) >= LOWER_CLAMP_SHARE
    oscillating = np.flatnonzero((rate >= threshold) & ~shrinks & ~clamped)
    if not oscillating.size:
        return None
    eta_minus = _group(trace, oscillating[0])["etas"][0]
    return Finding(
        "oscillation",
        oscillating,
        f"{_named(oscillating, trace)}: the gradient changes its sign in up to "
        f"{100 * rate[oscillating].max():.0f}% of the latest steps: x jumps back and forth across the minimum, "
        "and the step size hardly shrinks.",
        f"lower eta-, the first of etas (it is {eta_minus:g}; 0.5 is usual), so that a step that was too long is "
        "shortened soon; or take a rule that clears the stored gradient at a sign change, such as "
        f'"{rules.DEFAULT}".',
    )


def _check_underflow(trace: History) -> Finding | None:
    count = trace.counts["underflow"]
    underflowing = np.flatnonzero((count >= 3) & (count >= UNDERFLOW_SHARE * trace.steps))
    if not underflowing.size:
        return None
    share = 100 * count[underflowing].max() / trace.steps
    dtype = _group(trace, underflowing[0])["dtype"]
    return Finding(
        "underflow",
        underflowing,
        f"{_named(underflowing, trace)}: in up to {share:.0f}% of the steps the product of two gradients is too "
        f"small for {dtype} and counts as 0, so step sizes neither grow nor shrink.",
        "multiply the objective by a large constant, which changes no sign; or compute in a wider dtype.",
    )


def _check_first_step_too_large(trace: History) -> Finding | None:
    if trace.steps < MIN_STEPS:
        return None
    first, before = trace.firsts["first"], trace.firsts["before growing"]
    early_retreats = trace.retreats[trace.iteration <= EARLY][-1]
    later = trace.iteration >= trace.steps // 2
    with np.errstate(all="ignore"):
        distance = np.max(np.abs(trace.x[later] - trace.x[0]), axis=0)
        shrank_at_once = np.isnan(before) | (before < first)
        stayed = np.flatnonzero((distance <= TOO_LARGE * first) & shrank_at_once & (trace.counts["shrank"] > 0))
    if early_retreats >= RETREATS:
        coordinates = np.arange(trace.n)
        what = (
            f"the objective was not finite where the first steps led, and the run retreated {early_retreats} times"
        )
        advice = "make lr, the first step size, so small that the first steps stay where the objective is defined."
    elif stayed.size and stayed.size >= TOO_LARGE_SHARE * trace.n:
        coordinates, i = stayed, stayed[0]
        what = f"the first step was {first[i]:.3g}, but x ended within {distance[i]:.3g} of its start"
        advice = f"make lr, the first step size, smaller than {distance[i]:.1g}."
    else:
        return None
    return Finding("first step too large", coordinates, f"{_named(coordinates, trace)}: {what}.", advice)


def _check_first_step_too_small(trace: History) -> Finding | None:
    first, before = trace.firsts["first"], trace.firsts["before shrinking"]
    with np.errstate(all="ignore"):
        reached = np.where(np.isnan(before), trace.size[-1], before)
        grown = np.flatnonzero((reached >= TOO_SMALL * first) & (reached > first))
    if not grown.size:
        return None
    i = grown[0]
    steps = np.log(reached[i] / first[i]) / np.log(_group(trace, i)["etas"][1]) if first[i] > 0 else np.inf
    return Finding(
        "first step too small",
        grown,
        f"{_named(grown, trace)}: the step size grew from {first[i]:.3g} to {reached[i]:.3g} before the gradient "
        f"first changed its sign; that takes {steps:.0f} steps.",
        "raise lr, the first step size, to about 1% of the distance to the minimum.",
    )


def _check_etas(trace: History) -> Finding | None:
    for group in trace.groups:
        for entry, name, eta in zip((ETA_MINUS, ETA_PLUS), ("eta-", "eta+"), group["etas"], strict=True):
            if _group_constants(group)[entry] != 1:
                continue
            what = f"{name} = {eta!r} rounds to 1 in {group['dtype']}"
            if entry == ETA_PLUS:
                what += ": step sizes never grow."
            elif rules.RULES[group["variant"]].sign_change == rules.FACTOR_IS_ETA_MINUS:
                what += (
                    ": every neutral step, the first included, counts as a sign change, so coordinates never "
                    "move (torch's rule does the same)."
                )
            else:
                what += ": step sizes never shrink."
            return Finding(
                f"{name} rounds to 1",
                np.arange(group["start"], group["stop"]),
                what,
                f"choose {name} further from 1 (0.5 and 1.2 are usual), or a wider dtype.",
            )
    return None


def _check_no_gradient(trace: History) -> Finding | None:
    if trace.steps < 2:
        return None
    # A variable that a bound holds has a gradient of 0, too, but that is no fault.
    unmoved = np.flatnonzero((trace.counts["zero gradient"] == trace.steps) & ~trace.held)
    if not unmoved.size:
        return None
    return Finding(
        "no gradient",
        unmoved,
        f"{_named(unmoved, trace)}: the gradient was exactly 0 in every iteration, so x never moved.",
        "check whether the objective depends on it at all, whether the start is a point of symmetry, and whether "
        "the gradient underflows.",
    )


def _check_not_finite(trace: History) -> Finding | None:
    count = trace.counts["gradient not finite"]
    not_finite = np.flatnonzero(count)
    if not not_finite.size:
        return None
    return Finding(
        "gradient not finite",
        not_finite,
        f"{_named(not_finite, trace)}: the gradient was infinite or NaN in up to {count.max()} iterations; at a "
        "NaN x does not move, and the next step is neutral.",
        "find out where it comes from (a logarithm of 0, an overflow); minimize retreats from such points.",
    )


_CHECKS: tuple[Callable[[History], Finding | None], ...] = (
    _check_kink,
    _check_oblique_kink,
    _check_etas,
    _check_not_finite,
    _check_noise,
    _check_value_and_gradient,
    _check_valley,
    _check_lower_clamp,
    _check_upper_clamp,
    _check_oscillation,
    _check_underflow,
    _check_first_step_too_large,
    _check_first_step_too_small,
    _check_no_gradient,
)


def _group(trace: History, coordinate: int) -> dict[str, Any]:
    return next(g for g in trace.groups if g["start"] <= coordinate < g["stop"])


def _group_constants(group: dict[str, Any]) -> Array:
    dtype = dtypes.named(group["dtype"])
    return rule_constants(dtype, group["etas"], group["step_sizes"], group["maximize"])


def _constant(trace: History, coordinate: int, entry: int) -> float:
    """An entry of the constants of this coordinate's rule, rounded to its dtype."""
    return float(_group_constants(_group(trace, coordinate))[entry])


def _named(coordinates: Array, trace: History) -> str:
    if coordinates.size == trace.n:
        return "The coordinate" if trace.n == 1 else f"All {trace.n} coordinates"
    shown = ", ".join(map(str, coordinates[: display.SHOWN].tolist()))
    more = f", ... ({coordinates.size} of {trace.n})" if coordinates.size > display.SHOWN else ""
    return f"Coordinate{'s' * (coordinates.size > 1)} {shown}{more}"
