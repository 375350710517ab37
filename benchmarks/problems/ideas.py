"""Ideas for better defaults: an Rprop outside the package that follows many ideas at once.

Each idea is a row of arrays of shape (ideas, n), so that one call of a problem's `at_each` serves them all. The
iteration is written for one coordinate, and compiled. Without options it makes the iterates of
`rprop_ref.minimize` without pattern moves; it has no stopping rules.

    python -m benchmarks.problems.ideas --suites cutest-bounded --modes exact

appends its runs to those of ``python -m benchmarks.problems``, which writes the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from .evaluations import RESOLUTION
from .problem import Array, Problem

#: What happens to the move at a sign change.
LEFT_OUT, MADE, UNDONE, UNDONE_IF_WORSE = range(4)

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Idea:
    """An idea, as options of the iteration; each default is what `minimize` does without pattern moves.

    Attributes
    ----------
    title : str
        What the page calls it.
    eta_minus, eta_plus : float
        The etas.
    young_flips, young_minus, young_plus : float
        Until a coordinate has had this many sign changes, it has these etas.
    anneal : float
        The logarithms of the etas are divided by 1 + (sign changes of the coordinate) / anneal, and at most by 7.
    at_flip : int
        What happens to the move at a sign change; one of the constants above.
    keep : bool
        Whether the stored gradient is kept there.
    first : float
        The first step sizes, relative to the start; where that is 0, the step size itself.
    first_of_box : float
        The first step sizes, relative to the width of the box, if that is finite.
    average : float
        The gradient is replaced by a running mean with this weight of the past.
    stall, grow, back : float, float, bool
        After so many evaluations without a lower value, step sizes are multiplied, or the run goes back to its
        best point.
    pattern, stretch : float
        Every so many evaluations the move since the last time is made again, times `stretch`, which doubles with
        each success and halves with each failure. It is taken back if the value is not lower.
    retreat : bool
        A step to a higher value is halved, as one to a value that is not finite.
    at_bound : float
        A step that is clipped has its size reduced to what was moved, and to this share of it at most.
    forget : bool
        The stored gradient is cleared when a step is clipped.
    shrink : bool
        A step that would leave the bounds is halved until it does not, instead of clipped.
    leave : float
        The largest step size with which a variable leaves a bound, relative to the width of the box.
    box : float
        The largest step size, relative to the width of the box.
    longest : float
        The largest factor of a pattern move.
    after_success, soonest, after_failure, rarest : float
        The evaluations until the next pattern move are multiplied after a success, and are then as many as
        `soonest` at least; and the same after a failure, and `rarest` at most.
    ripe : float
        No pattern move before every coordinate has had so many sign changes.
    long_every : float
        Each pattern move of so many is along the way since the last one of these.
    from_best : bool
        Pattern moves go on from the best point, along the way from the best point at the last one.
    secant : bool
        Where the slope along a pattern move changes its sign, the secant's zero is tried before the move is taken
        back.
    adapt : bool
        The factor of the next pattern move is the one at which the secant of the slopes along this one is zero.
    wake : float
        Step sizes are multiplied after a pattern move that succeeds.
    inside : bool
        Pattern moves are shortened until they are inside the bounds, instead of clipped.
    reset : float
        Step sizes that are all exhausted begin anew at this share of the variables.
    fresh : float
        A variable that leaves a bound has a step size of at least this share of the box.
    parabola : bool
        After a pattern move that has failed, the minimum of the parabola through both values with the slope at the
        first is tried, for which no gradient is needed where the move has led.
    lift : float
        No step size, relative to its variable, is less than this share of the largest of them.
    lift_after, lift_at : bool
        Not always, but where a pattern move has failed and the factor is at its smallest, or at each pattern move.
    floor : float
        No step size is less than this share of its variable.
    episode : float
        The shortest episode of NoisyRprop, in steps, which then takes the place of the rule.
    """

    title: str
    eta_minus: float = 0.8
    eta_plus: float = 1.1
    young_flips: float = 0
    young_minus: float = 0.5
    young_plus: float = 1.2
    anneal: float = 0
    at_flip: float = LEFT_OUT
    keep: float = False
    first: float = 0.01
    first_of_box: float = 0
    average: float = 0
    stall: float = 0
    grow: float = 1
    back: float = False
    pattern: float = 0
    stretch: float = 1
    retreat: float = False
    at_bound: float = 0
    forget: float = False
    shrink: float = False
    leave: float = 0
    box: float = 0
    longest: float = np.inf
    after_success: float = 1
    soonest: float = 1
    after_failure: float = 1
    rarest: float = np.inf
    ripe: float = 0
    long_every: float = 0
    from_best: float = False
    secant: float = False
    adapt: float = False
    wake: float = 1
    inside: float = False
    reset: float = 0
    fresh: float = 0
    parabola: float = False
    lift: float = 0
    lift_after: float = False
    lift_at: float = False
    floor: float = 0
    episode: float = 0


class State(NamedTuple):
    """The vectors of all ideas, each of shape (ideas, n).

    Attributes
    ----------
    x, size, prev : ndarray
        As in the rules: where the objective is evaluated next, step sizes, stored gradients.
    last_x, start, best_x : ndarray
        The last point that was accepted, where the last move began, and the best point.
    mean, flips : ndarray
        The running mean of gradients, and sign changes so far.
    from_x, kept_x, kept_size, kept_prev : ndarray
        Where the last pattern move began, and what to go back to if it fails.
    older_x, kept_g : ndarray
        Where the last long pattern move began, and the gradient before a move.
    span : ndarray
        How large each variable was at the start, or the first step size if that is larger.
    episode : ndarray, shape (ideas, n, 9)
        The episodes of NoisyRprop; see the constants below.
    """

    x: Array
    size: Array
    prev: Array
    last_x: Array
    start: Array
    best_x: Array
    mean: Array
    flips: Array
    from_x: Array
    kept_x: Array
    kept_size: Array
    kept_prev: Array
    older_x: Array
    kept_g: Array
    span: Array
    episode: Array


#: What NoisyRprop keeps of each variable: how long its episode is, steps made in it, those to the right, where it
#: is in units of the step size and the ends of where it has been, how many gradients make one step, how many it
#: has, and their sum.
LENGTH, STEPS, RIGHT, AT, LEFTMOST, RIGHTMOST, SUMMANDS, SUMMED, SUM = range(9)


#: Options, and the scalars of a run, as records that compiled code can read by name.
OPTIONS = np.dtype([(field.name, float) for field in fields(Idea) if field.name != "title"])
SCALARS = np.dtype(
    [(name, float) for name in ("evaluations", "last_f", "best_f", "futile")]
    + [(name, float) for name in ("probing", "since", "stretch", "pattern_f", "every", "moves")]
)


def first_state(problem: Problem, ideas: Sequence[Idea]) -> tuple[Array, Array, State]:
    """Options, scalars and vectors before the first evaluation."""
    options = np.array(
        [tuple(float(getattr(idea, name)) for name in OPTIONS.names or ()) for idea in ideas], OPTIONS
    )
    scalars = np.zeros(len(ideas), SCALARS)
    scalars["last_f"] = scalars["best_f"] = scalars["pattern_f"] = np.inf
    scalars["stretch"], scalars["every"] = options["stretch"], options["pattern"]
    x = np.tile(problem.x0, (len(ideas), 1))
    first = options["first"][:, None]
    size = np.where(x == 0, first, first * np.abs(x))
    if problem.bounds is not None:
        width = np.subtract(problem.bounds[1], problem.bounds[0])
        share = options["first_of_box"][:, None]
        size = np.where((share > 0) & np.isfinite(width) & (width > 0), share * width, size)
    zeros = [np.zeros_like(x) for _ in State._fields]
    episode = np.zeros((*x.shape, 9))
    episode[..., LENGTH], episode[..., SUMMANDS] = options["episode"][:, None], 1
    state = State(*zeros)._replace(
        episode=episode,
        x=x,
        size=size,
        last_x=x.copy(),
        start=x.copy(),
        best_x=x.copy(),
        from_x=x.copy(),
        older_x=x.copy(),
        span=np.maximum(np.abs(x), size),
    )
    return options, scalars, state


@numba.njit(error_model="numpy", cache=True)
def advance(options: Any, scalars: Any, state: Any, values: Any, gradients: Any, lower: Any, upper: Any) -> None:
    """Use values, shape (m,), and gradients, shape (m, n), and make one step of each idea."""
    for i in range(values.size):
        o, s, f = options[i], scalars[i], values[i]
        finite = np.isfinite(f) and np.isfinite(gradients[i]).all()
        worse = f > s.last_f
        accepted = finite and not (o.retreat != 0 and worse)
        s.evaluations += 1
        s.futile += 1
        if finite and f < s.best_f:
            s.best_f, s.futile = f, 0
            state.best_x[i] = state.x[i]
        if o.episode > 0:
            _noisy_rprop(o, state, i, gradients[i], lower, upper)
        elif s.probing != 0:
            _after_a_pattern_move(o, s, state, i, f, accepted and f < s.pattern_f, gradients[i], lower, upper)
        elif not accepted:
            for j in range(lower.size):
                state.x[i, j] = state.last_x[i, j] + (state.x[i, j] - state.last_x[i, j]) * 0.5
                state.size[i, j] *= 0.5
        else:
            s.since += 1
            due = o.pattern > 0 and s.since >= s.every and state.flips[i].min() >= o.ripe
            stalled = o.stall > 0 and s.futile >= o.stall
            _step(o, s, state, i, worse, stalled, gradients[i], lower, upper)
            s.last_f = f
            if stalled:
                s.futile = 0
            if due:
                if o.lift_at != 0:
                    _lift(o, state, i)
                s.probing, s.pattern_f = 1, f
                _pattern_move(o, s, state, i, gradients[i], lower, upper)
            if o.reset > 0:
                _reset(o, state, i)
            if o.lift > 0 and o.lift_after == 0 and o.lift_at == 0:
                _lift(o, state, i)
            if o.floor > 0:
                _keep_above_floor(o, state, i)


@numba.njit(error_model="numpy")
def _noisy_rprop(o: Any, state: Any, i: Any, gradient: Any, lower: Any, upper: Any) -> None:
    """A step of NoisyRprop (T. Glasmachers, 2007; in Shark).

    A variable keeps its step size for an episode. Was the sign of its gradient that of a fair coin, the size is
    halved; if it was far from it, doubled. In between, the spread of the positions decides how long the next
    episode is, and how different gradients were to either side over how many of them are summed for a step.
    """
    for j in range(lower.size):
        e, x = state.episode[i, j], state.x[i, j]
        e[SUM] += gradient[j]
        e[SUMMED] += 1
        if e[SUMMED] < e[SUMMANDS]:
            continue
        way = -np.sign(e[SUM])
        state.x[i, j] = min(max(x + way * state.size[i, j], lower[j]), upper[j])
        # The sums of the gradients to either side are kept in two rows of their own.
        if way > 0:
            state.kept_x[i, j] -= e[SUM]
        else:
            state.kept_g[i, j] += e[SUM]
        e[SUMMED] = e[SUM] = 0.0
        e[STEPS] += 1
        e[RIGHT] += way > 0
        e[AT] += way
        e[LEFTMOST], e[RIGHTMOST] = min(e[LEFTMOST], e[AT]), max(e[RIGHTMOST], e[AT])
        if e[STEPS] == e[LENGTH]:
            _end_episode(o, state, i, j)


@numba.njit(error_model="numpy")
def _end_episode(o: Any, state: Any, i: Any, j: Any) -> None:
    e = state.episode[i, j]
    steps, right, root = e[STEPS], e[RIGHT], np.sqrt(e[STEPS])
    length = steps
    off = abs(right - 0.5 * steps) / root
    if off > 1.64:
        state.size[i, j] *= 2
        length /= 2
    else:
        if off < 0.25:
            state.size[i, j] /= 2
            length *= 2
        spread = (e[RIGHTMOST] - e[LEFTMOST]) / root
        if spread < 0.95:
            length /= 2
        elif spread > 1.77:
            length *= 2
        to_right, to_left = state.kept_x[i, j], state.kept_g[i, j]
        asymmetry = abs(to_right / right - to_left / (steps - right)) / (to_right + to_left) * steps * root
        if asymmetry < 0.29 and e[SUMMANDS] > 1:
            e[SUMMANDS] /= 2
            length *= 2
        elif asymmetry > 2.5:
            e[SUMMANDS] *= 2
            length /= 2
    e[LENGTH] = max(length, o.episode)
    e[STEPS] = e[RIGHT] = e[AT] = e[LEFTMOST] = e[RIGHTMOST] = 0.0
    state.kept_x[i, j] = state.kept_g[i, j] = 0.0


@numba.njit(error_model="numpy")
def _step(
    o: Any, s: Any, state: Any, i: Any, worse: Any, stalled: Any, gradient: Any, lower: Any, upper: Any
) -> None:
    """One step of the rule, by every idea about it."""
    for j in range(lower.size):
        x, size, prev, g = state.x[i, j], state.size[i, j], state.prev[i, j], gradient[j]
        if o.average > 0:
            past = g if s.evaluations == 1 else state.mean[i, j]
            g = o.average * past + (1 - o.average) * g
            state.mean[i, j] = g
        at_lower, at_upper = x <= lower[j], x >= upper[j]
        if (at_lower and g > 0) or (at_upper and g < 0):
            g = 0.0
        width = upper[j] - lower[j]
        flip = g * prev < 0
        if flip:
            state.flips[i, j] += 1
        eta = 1.0
        if g * prev != 0:
            eta = _eta(o, flip, state.flips[i, j])
        new_size = size * eta
        if o.box > 0:
            new_size = min(new_size, o.box * width)
        if o.leave > 0 and (at_lower or at_upper) and prev == 0 and g != 0:
            new_size = min(new_size, o.leave * width)
        if o.fresh > 0 and (at_lower or at_upper) and prev == 0 and g != 0 and np.isfinite(width):
            new_size = max(new_size, o.fresh * width)
        if o.shrink != 0:
            gap = x - lower[j] if g > 0 else upper[j] - x
            # A variable that is as good as on the bound goes there.
            while new_size > gap > 1e-6 * size:
                new_size *= 0.5
        new_x = x - np.sign(g) * new_size
        if flip and (o.at_flip == LEFT_OUT or (o.at_flip == UNDONE_IF_WORSE and not worse)):
            new_x = x
        elif flip and o.at_flip != MADE:
            # As in `rules.py`, the move is computed again; within bounds it may have been clipped.
            new_x = x + np.sign(prev) * size if np.isinf(width) else state.start[i, j]
        new_prev = 0.0 if flip and o.keep == 0 else g
        if new_x < lower[j] or new_x > upper[j]:
            new_x = min(max(new_x, lower[j]), upper[j])
            if o.at_bound > 0:
                new_size = max(abs(new_x - x), o.at_bound * new_size)
            if o.forget != 0:
                new_prev = 0.0
        if stalled:
            new_size *= o.grow
            if o.back != 0:
                new_x, new_prev = state.best_x[i, j], 0.0
        state.start[i, j] = state.last_x[i, j] = x
        state.x[i, j], state.size[i, j], state.prev[i, j] = new_x, new_size, new_prev


@numba.njit(error_model="numpy")
def _eta(o: Any, flip: Any, flips: Any) -> Any:
    """The factor of a step size."""
    minus, plus = o.eta_minus, o.eta_plus
    if flips <= o.young_flips and o.young_flips > 0:
        minus, plus = o.young_minus, o.young_plus
    eta = minus if flip else plus
    if o.anneal > 0:
        eta = eta ** (1 / min(1 + flips / o.anneal, 7.0))
    return eta


@numba.njit(error_model="numpy")
def _reset(o: Any, state: Any, i: Any) -> None:
    """Larger step sizes where all are exhausted."""
    x, size = state.x[i], state.size[i]
    for j in range(x.size):
        if size[j] > 4 * EPS * max(abs(x[j]), o.first):
            return
    for j in range(x.size):
        size[j] = o.reset * max(abs(x[j]), o.first)


@numba.njit(error_model="numpy")
def _lift(o: Any, state: Any, i: Any) -> None:
    """Larger step sizes for the variables whose own are nothing beside those of the others."""
    largest = 0.0
    for j in range(state.x.shape[1]):
        largest = max(largest, state.size[i, j] / max(abs(state.x[i, j]), state.span[i, j]))
    for j in range(state.x.shape[1]):
        least = o.lift * largest * max(abs(state.x[i, j]), state.span[i, j])
        state.size[i, j] = max(state.size[i, j], least)


@numba.njit(error_model="numpy")
def _keep_above_floor(o: Any, state: Any, i: Any) -> None:
    for j in range(state.x.shape[1]):
        least = o.floor * max(abs(state.x[i, j]), state.span[i, j])
        state.size[i, j] = max(state.size[i, j], least)


@numba.njit(error_model="numpy")
def _pattern_move(o: Any, s: Any, state: Any, i: Any, gradient: Any, lower: Any, upper: Any) -> None:
    """Go on from where the rule has stepped to, as far as it has come since the last pattern move."""
    s.moves += 1
    long = o.long_every > 0 and s.moves % o.long_every == 0
    share = 1.0
    for j in range(lower.size):
        x = state.x[i, j]
        state.kept_x[i, j], state.kept_size[i, j], state.kept_prev[i, j] = x, state.size[i, j], state.prev[i, j]
        state.kept_g[i, j] = gradient[j]
        base = state.older_x[i, j] if long else state.from_x[i, j]
        if o.from_best != 0:
            x = state.best_x[i, j]
        if long:
            state.older_x[i, j] = x
        state.from_x[i, j] = x
        probe = x + s.stretch * (x - base)
        if o.inside != 0 and (probe < lower[j] or probe > upper[j]):
            edge = lower[j] if probe < lower[j] else upper[j]
            share = min(share, (edge - x) / (probe - x))
        state.x[i, j] = probe
    for j in range(lower.size):
        x = state.from_x[i, j]
        state.x[i, j] = min(max(x + share * (state.x[i, j] - x), lower[j]), upper[j])


@numba.njit(error_model="numpy")
def _secant(state: Any, i: Any, gradient: Any) -> Any:
    """Where the secant of the slopes along a pattern move is zero, relative to the move; NaN if nowhere ahead."""
    before = after = 0.0
    for j in range(gradient.size):
        d = state.x[i, j] - state.kept_x[i, j]
        before += d * state.kept_g[i, j]
        after += d * gradient[j]
    return before / (before - after) if before < 0 and before < after else np.nan


@numba.njit(error_model="numpy")
def _parabola(s: Any, state: Any, i: Any, f: Any) -> Any:
    """Where the parabola along a pattern move is lowest, relative to the way to its point; NaN if nowhere."""
    slope = 0.0
    for j in range(state.x.shape[1]):
        slope += (state.x[i, j] - state.last_x[i, j]) * state.kept_g[i, j]
    curvature = f - s.pattern_f - slope
    return slope / (-2 * curvature) if slope < 0 and np.isfinite(curvature) else np.nan


@numba.njit(error_model="numpy")
def _after_a_pattern_move(
    o: Any, s: Any, state: Any, i: Any, f: Any, success: Any, gradient: Any, lower: Any, upper: Any
) -> None:
    """Go on from the probe if it was lower, and otherwise go back."""
    if not success and o.parabola != 0 and s.probing == 1:
        share = _parabola(s, state, i, f)
        if share > 0:
            for j in range(lower.size):
                x = state.last_x[i, j]
                state.x[i, j] = x + share * (state.x[i, j] - x)
            s.probing = 2
            return
    share = _secant(state, i, gradient)
    if not success and o.secant != 0 and s.probing == 1 and share < 1:
        for j in range(lower.size):
            x = state.kept_x[i, j]
            state.x[i, j] = x + share * (state.x[i, j] - x)
        s.probing = 2
        return
    if o.adapt != 0 and s.probing == 1:
        ahead = share * s.stretch if share > 0 else s.stretch * 2
        s.stretch = min(max(ahead, o.stretch / 4), o.longest) if success or share < 1 else s.stretch / 2
    elif s.probing == 1:
        s.stretch = min(s.stretch * 2, o.longest) if success else max(s.stretch / 2, o.stretch / 4)
    elif not success:
        s.stretch = max(s.stretch / 2, o.stretch / 4)
    s.probing, s.since = 0, 0
    if success:
        s.every = max(s.every * o.after_success, o.soonest)
    else:
        s.every = min(s.every * o.after_failure, o.rarest)
    for j in range(lower.size):
        size = state.kept_size[i, j]
        if success:
            size *= o.wake
        state.size[i, j] = size
        if success:
            state.start[i, j] = state.last_x[i, j] = state.x[i, j]
            onward = state.x[i, j] - np.sign(gradient[j]) * size
            state.x[i, j], state.prev[i, j] = min(max(onward, lower[j]), upper[j]), gradient[j]
        else:
            state.last_x[i, j] = state.x[i, j] = state.kept_x[i, j]
            state.prev[i, j] = state.kept_prev[i, j]
    if success:
        s.last_f = s.best_f
    elif o.lift > 0 and o.lift_after != 0 and s.stretch <= o.stretch / 4:
        _lift(o, state, i)


def at_rest(state: State) -> bool:
    """Whether no row will move any more."""
    return bool(((state.size <= 4 * EPS * np.abs(state.x)) | (state.prev == 0)).all())


def noisy(both: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Values and gradients with the noise of `modes.MultiplicativeNoise`."""
    z: Array = sigma * np.asarray(rng.standard_normal(both.shape))
    noise: Array = z * np.max(np.abs(both[:, 1:]), 1, keepdims=True)
    noise[:, 0] = z[:, 0] * both[:, 0]
    shown: Array = both + noise
    return shown


def follow(problem: Problem, ideas: Sequence[Idea], sigma: float, seed: int, budget: int) -> Array:
    """True values at the points evaluated, shape (evaluations, ideas).

    It ends early when all rows are at rest, or when 2,000 evaluations have brought none of them as much as 1e-9 of
    what it has achieved since the start.
    """
    options, scalars, state = first_state(problem, ideas)
    rng = np.random.default_rng(seed)
    lower, upper = problem.bounds or (np.full(problem.x0.size, -np.inf), np.full(problem.x0.size, np.inf))
    values = np.full((budget, len(ideas)), np.inf)
    before = np.full(len(ideas), np.inf)
    for k in range(budget):
        both = problem.at_each(state.x)
        values[k] = both[:, 0]
        shown = noisy(both, sigma, rng) if sigma else both
        advance(options, scalars, state, shown[:, 0], shown[:, 1:], lower, upper)
        if k % 100 == 99 and at_rest(state):
            return values[: k + 1]
        if k % 2000 == 1999:
            lowest = np.fmin.reduce(values[: k + 1])
            if (before - lowest <= 1e-9 * (values[0] - lowest)).all():
                return values[: k + 1]
            before = lowest
    return values


def curve(values: Array) -> list[list[float]]:
    """The improvements among values, thinned as in `Evaluations`."""
    best = np.minimum.accumulate(np.where(np.isfinite(values), values, np.inf))
    counts = np.flatnonzero(np.diff(best, prepend=np.inf) < 0) + 1
    kept: list[int] = []
    for count in counts:
        if len(kept) > 1 and count <= kept[-2] * (1 + RESOLUTION):
            kept[-1] = int(count)
        else:
            kept.append(int(count))
    return [[k, 0.0, float(best[k - 1])] for k in kept]


def _ideas() -> dict[str, Idea]:
    etas = [(0.5, 1.2), (0.5, 1.1), (0.7, 1.2), (0.7, 1.1), (0.75, 1.15), (0.8, 1.2), (0.8, 1.3), (0.8, 1.05)]
    etas += [(0.75, 1.2), (0.7, 1.15), (0.85, 1.15), (0.9, 1.2), (0.9, 1.1), (0.9, 1.05), (0.95, 1.05)]
    ideas = {"today": Idea("the defaults without pattern moves")}
    ideas |= {f"etas-{a:g}-{b:g}": Idea(f"etas ({a:g}, {b:g})", a, b) for a, b in etas}
    ideas |= {
        "rprop+": Idea("variant rprop+", at_flip=UNDONE),
        "irprop+": Idea("variant irprop+", at_flip=UNDONE_IF_WORSE),
        "rprop-": Idea("variant rprop-", at_flip=MADE, keep=True),
        "irprop-go": Idea("variant irprop-go", at_flip=MADE),
    }
    for flips in (1, 3):
        ideas[f"young-{flips}"] = Idea(f"etas (0.5, 1.2) until {flips} sign change(s)", young_flips=flips)
    ideas["young-fast"] = Idea("etas (0.5, 1.5) until 1 sign change", young_flips=1, young_plus=1.5)
    for k in (10, 30, 100):
        ideas[f"anneal-{k}"] = Idea(f"etas (0.5, 1.2), annealed over {k} sign changes", 0.5, 1.2, anneal=k)
    for w in (0.3, 0.6, 0.9):
        ideas[f"average-{w:g}"] = Idea(f"running mean of gradients, weight {w:g}", average=w)
    for k in (50, 200):
        ideas[f"grow-{k}"] = Idea(f"step sizes times 10 after {k} futile evaluations", stall=k, grow=10)
    ideas["noisy-rprop"] = Idea("NoisyRprop", episode=40)
    ideas["noisy-rprop-10"] = Idea("NoisyRprop, episodes of 10 steps at least", episode=10)
    ideas["back-100"] = Idea("back to the best point after 100 futile evaluations", stall=100, back=True)
    ideas["retreat"] = Idea("steps to higher values are halved", retreat=True)
    for first in (0.001, 0.03, 0.1, 0.3, 1.0):
        ideas[f"first-{first:g}"] = Idea(f"first steps of {first:g} abs(x0)", first=first)
    for k in (5, 10, 20, 40, 80):
        ideas[f"pattern-{k}"] = Idea(f"pattern moves every {k} evaluations", pattern=k)
    ideas["pattern-20-irprop+"] = Idea(
        "pattern moves every 20 evaluations, irprop+", pattern=20, at_flip=UNDONE_IF_WORSE
    )
    # Those that did well, together.
    ideas |= {
        "first-etas": Idea("first steps of 0.1 abs(x0), etas (0.75, 1.15)", 0.75, 1.15, first=0.1),
        "first-young": Idea(
            "first steps of 0.1 abs(x0), etas (0.5, 1.2) until 1 sign change", first=0.1, young_flips=1
        ),
        "first-anneal-30": Idea("first steps of 0.1 abs(x0), annealed over 30", 0.5, 1.2, first=0.1, anneal=30),
        "first-anneal-100": Idea("first steps of 0.1 abs(x0), annealed over 100", 0.5, 1.2, first=0.1, anneal=100),
        "first-pattern": Idea("first steps of 0.1 abs(x0), pattern moves every 10", first=0.1, pattern=10),
        "etas-pattern": Idea("etas (0.75, 1.15), pattern moves every 10", 0.75, 1.15, pattern=10),
        "first-etas-pattern": Idea(
            "first steps of 0.1 abs(x0), etas (0.75, 1.15), pattern moves every 10",
            0.75,
            1.15,
            first=0.1,
            pattern=10,
        ),
        "first-anneal-pattern": Idea(
            "first steps of 0.1 abs(x0), annealed over 100, pattern moves every 10",
            *(0.5, 1.2),
            first=0.1,
            anneal=100,
            pattern=10,
        ),
        "first-etas-retreat": Idea(
            "first steps of 0.1 abs(x0), etas (0.75, 1.15), steps to higher values halved",
            *(0.75, 1.15),
            first=0.1,
            retreat=True,
        ),
    }
    return ideas


def _ideas_for_pattern_moves() -> dict[str, Idea]:
    """Changes of pattern moves every 20 evaluations, which `minimize` makes."""

    def moves(title: str, every: float = 20, longest: float = 1024, **options: Any) -> Idea:
        return Idea(f"pattern moves every {every:g}, {title}", pattern=every, longest=longest, **options)

    ideas = {"p20": moves("taken back after a failure")}
    for every in (5, 10, 20):
        for longest in (1, 4, 32):
            ideas[f"p{every}-longest-{longest}"] = moves(f"by a factor of {longest} at most", every, longest)
    for soon in (1, 2, 5):
        ideas[f"p20-soon-{soon}"] = moves(
            f"and {soon} after a success", after_success=1e-9, soonest=soon, after_failure=1e9, rarest=20
        )
    ideas["p20-halves"] = moves(
        "half as many after a success (5 at least), twice as many after a failure (80 at most)",
        after_success=0.5,
        soonest=5,
        after_failure=2,
        rarest=80,
    )
    ideas["p10-halves"] = moves(
        "half as many after a success (2 at least), twice as many after a failure (40 at most)",
        10,
        after_success=0.5,
        soonest=2,
        after_failure=2,
        rarest=40,
    )
    ideas["p10-slow"] = moves(
        "as after a success, 1.5 times as many after a failure (160 at most)",
        10,
        after_success=1e-9,
        soonest=10,
        after_failure=1.5,
        rarest=160,
    )
    for flips in (1, 3):
        ideas[f"p20-ripe-{flips}"] = moves(f"not before {flips} sign change(s) of each variable", ripe=flips)
        ideas[f"p10-ripe-{flips}"] = moves(f"not before {flips} sign change(s) of each variable", 10, ripe=flips)
    for long, which in ((2, "2nd"), (5, "5th"), (10, "10th")):
        ideas[f"p20-long-{long}"] = moves(f"every {which} along the way since the last of these", long_every=long)
    ideas["p10-long-10"] = moves("every 10th along the way since the last of these", 10, long_every=10)
    ideas["p20-best"] = moves("from best point to best point", from_best=True)
    ideas["p20-secant"] = moves("the secant's zero after a failure", secant=True)
    ideas["p10-secant"] = moves("the secant's zero after a failure", 10, secant=True)
    for wake in (0.5, 2, 8):
        ideas[f"p20-wake-{wake:g}"] = moves(f"step sizes times {wake:g} after a success", wake=wake)
    for reset in (1e-6, 1e-3):
        ideas[f"p20-reset-{reset:g}"] = moves(f"exhausted steps begin anew at {reset:g} of x", reset=reset)
    ideas["p20-first"] = moves("first steps of 0.1 abs(x0)", first=0.1)
    ideas["p20-retreat"] = moves("steps to higher values are halved", retreat=True)
    for minus, plus in ((0.75, 1.15), (0.9, 1.05), (0.85, 1.1), (0.8, 1.2), (0.5, 1.2)):
        ideas[f"p20-etas-{minus:g}-{plus:g}"] = moves(
            f"etas ({minus:g}, {plus:g})", eta_minus=minus, eta_plus=plus
        )
    for every, longest in ((5, 1), (5, 4), (10, 1), (10, 4)):
        for minus, plus in ((0.5, 1.2), (0.75, 1.15)):
            ideas[f"p{every}-longest-{longest}-etas-{minus:g}"] = moves(
                f"by a factor of {longest} at most, etas ({minus:g}, {plus:g})",
                *(every, longest),
                eta_minus=minus,
                eta_plus=plus,
            )
    secant = "the secant's zero after a failure"
    for every in (2, 3, 5, 7):
        ideas[f"p{every}-secant"] = moves(secant, every, secant=True)
    for every, longest in ((5, 1), (5, 4), (10, 1), (10, 2), (10, 4), (10, 1024), (20, 4)):
        for minus, plus in ((0.5, 1.2), (0.7, 1.2), (0.75, 1.15), (0.8, 1.1)):
            ideas[f"p{every}-secant-{longest}-etas-{minus:g}"] = moves(
                f"by a factor of {longest} at most, {secant}, etas ({minus:g}, {plus:g})",
                *(every, longest),
                eta_minus=minus,
                eta_plus=plus,
                secant=True,
            )
    parabola = "the minimum of a parabola after a failure"
    for every in (10, 20):
        ideas[f"p{every}-parabola"] = moves(parabola, every, parabola=True)
        ideas[f"p{every}-parabola-etas-0.75"] = moves(
            f"{parabola}, etas (0.75, 1.15)", every, parabola=True, eta_minus=0.75, eta_plus=1.15
        )
    lifted = "step sizes lifted to"
    for share in (1e-6, 1e-4, 1e-2):
        ideas[f"p20-lift-{share:g}"] = moves(f"{lifted} {share:g} of the largest", lift=share)
    ideas["p20-lift-after-0.01"] = moves(
        f"{lifted} 0.01 of the largest after failures", lift=0.01, lift_after=True
    )
    for every, share, minus, plus in (
        (20, 1e-4, 0.8, 1.1),
        (20, 1e-3, 0.8, 1.1),
        (20, 1e-3, 0.75, 1.15),
        (10, 1e-3, 0.75, 1.15),
    ):
        ideas[f"p{every}-parabola-lift-{share:g}-etas-{minus:g}"] = moves(
            f"{parabola}, {lifted} {share:g} of the largest, etas ({minus:g}, {plus:g})",
            every,
            parabola=True,
            lift=share,
            eta_minus=minus,
            eta_plus=plus,
        )
    for share in (1e-2, 0.1):
        ideas[f"p20-parabola-lift-{share:g}"] = moves(
            f"{parabola}, {lifted} {share:g} of the largest", parabola=True, lift=share
        )
    for share in (1e-3, 1e-2, 0.1):
        ideas[f"p20-parabola-lift-at-{share:g}"] = moves(
            f"{parabola}, {lifted} {share:g} of the largest at each move", parabola=True, lift=share, lift_at=True
        )
    ideas["p20-parabola-floor"] = moves(
        f"{parabola}, no step size below the precision of its variable", parabola=True, floor=EPS
    )
    for every in (5, 10, 20):
        ideas[f"p{every}-adapt"] = moves("the factor by the secant", every, 4, adapt=True)
    return ideas


def _ideas_for_bounds() -> dict[str, Idea]:
    ideas = {"forget": Idea("memory cleared at a bound", forget=True)}
    ideas["shrink"] = Idea("steps halved until inside", shrink=True)
    for share in (0.01, 0.1, 0.5):
        ideas[f"at-bound-{share:g}"] = Idea(f"step size at a bound reduced to {share:g} at most", at_bound=share)
        ideas[f"first-of-box-{share:g}"] = Idea(f"first steps of {share:g} of the box", first_of_box=share)
        ideas[f"box-{share:g}"] = Idea(f"steps of {share:g} of the box at most", box=share)
    ideas["p20-inside"] = Idea(
        "pattern moves every 20, shortened until inside", pattern=20, longest=1024, inside=True
    )
    for share in (0.001, 0.01):
        ideas[f"p20-fresh-{share:g}"] = Idea(
            f"pattern moves every 20, bounds are left by {share:g} of the box at least",
            pattern=20,
            longest=1024,
            fresh=share,
        )
    ideas["p20-first-of-box-0.1"] = Idea(
        "pattern moves every 20, first steps of 0.1 of the box", pattern=20, longest=1024, first_of_box=0.1
    )
    for share in (0.001, 0.01):
        ideas[f"leave-{share:g}"] = Idea(f"bounds are left by {share:g} of the box at most", leave=share)
    return ideas


IDEAS: dict[str, Idea] = {**_ideas(), **_ideas_for_pattern_moves(), **_ideas_for_bounds()}

#: What ideas can be followed in: the noise of each mode.
SIGMAS = {"exact": 0.0, "noise-1e-6": 1e-6, "noise-1e-3": 1e-3, "noise-1e-1": 1e-1}


def records(problem: Problem, names: Sequence[str], mode: str, seed: int, budget: int) -> list[dict[str, Any]]:
    """A record for each idea, as `runner.run_one` makes them."""
    with np.errstate(all="ignore"):
        values = follow(problem, [IDEAS[name] for name in names], SIGMAS[mode], seed, budget)
        f0 = problem.true_value(problem.x0)
    common = {"suite": problem.suite, "problem": problem.name, "mode": mode, "seed": seed}
    ends = {"n": int(problem.x0.size), "f0": f0, "evaluations": len(values), "end": "budget"}
    return [
        {**common, "method": f"idea:{name}", **ends, "curve": curve(values[:, i])} for i, name in enumerate(names)
    ]


def main() -> None:
    """Follow all ideas on the problems asked for, one problem after the other."""
    from .runner import pair_of, read
    from .suites import HALVES, SUITES, half

    parser = argparse.ArgumentParser(prog="python -m benchmarks.problems.ideas", description=__doc__)
    parser.add_argument("--suites", nargs="*", choices=SUITES, default=["cutest-unconstrained", "cutest-bounded"])
    parser.add_argument("--modes", nargs="*", choices=SIGMAS, default=["exact", "noise-1e-3"])
    parser.add_argument("--ideas", nargs="*", choices=IDEAS, default=list(IDEAS))
    parser.add_argument("--halves", nargs="*", choices=HALVES, default=list(HALVES))
    parser.add_argument("--largest", type=int, default=40, help="number of variables")
    parser.add_argument("--skip", nargs="*", default=[], metavar="PROBLEM", help="problems to leave out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=10_000)
    parser.add_argument(
        "--part", type=int, nargs=2, default=(0, 1), metavar=("I", "OF"), help="for several processes"
    )
    parser.add_argument("--runs", type=Path, default=Path("build/problems.jsonl"))
    options = parser.parse_args()
    done = {pair_of(record) for record in read(options.runs)}
    names = [
        (suite, name)
        for suite in options.suites
        for name in SUITES[suite].names()
        if half(name) in options.halves and name not in options.skip
    ]
    for suite, name in names[options.part[0] :: options.part[1]]:
        bounded = {*_ideas_for_bounds()}
        problem: Problem | None = None
        for mode in options.modes:
            left = [
                idea
                for idea in options.ideas
                if (suite, name, mode, options.seed, f"idea:{idea}") not in done
                and (idea not in bounded or suite == "cutest-bounded")
            ]
            if not left:
                continue
            began = time.monotonic()
            problem = problem or SUITES[suite].load(suite, name)
            if problem.x0.size > options.largest:
                break
            lines = [json.dumps(r) + "\n" for r in records(problem, left, mode, options.seed, options.budget)]
            with options.runs.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
            print(f"{suite} {name} {mode}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
