"""Ideas for better defaults: an Rprop outside the package, in NumPy, that follows many ideas at once.

Each idea is a row of arrays of shape (ideas, n), so that one call of a problem's `at_each` serves them all.
Without options it makes the iterates of `rprop_ref.minimize`; it has no stopping rules.

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
from typing import Any

import numpy as np

from .evaluations import RESOLUTION
from .problem import Array, Problem

#: What happens to the move at a sign change.
LEFT_OUT, MADE, UNDONE, UNDONE_IF_WORSE = range(4)

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Idea:
    """An idea, as options of the iteration; each default is what `minimize` does today.

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


class Rows:
    """The state of all ideas, one a row, and the iteration."""

    def __init__(self, problem: Problem, ideas: Sequence[Idea], sigma: float, rng: np.random.Generator) -> None:
        names = [field.name for field in fields(Idea) if field.name != "title"]
        #: Options as columns, and whether any idea uses one.
        self.o = {name: np.array([[float(getattr(idea, name))] for idea in ideas]) for name in names}
        today = Idea("")
        self.used = {name: bool((self.o[name] != float(getattr(today, name))).any()) for name in names}
        self.sigma, self.rng = sigma, rng
        m, n = len(ideas), problem.x0.size
        self.lower, self.upper = problem.bounds if problem.bounds is not None else (-np.inf, np.inf)
        self.bounded = problem.bounds is not None
        width = np.broadcast_to(np.subtract(self.upper, self.lower), (n,))
        self.boxed = np.isfinite(width) & (width > 0)
        self.width = np.where(self.boxed, width, np.inf)
        self.x = np.tile(problem.x0, (m, 1))
        self.size = np.where(self.x == 0, self.o["first"], self.o["first"] * np.abs(self.x))
        if self.used["first_of_box"]:
            share = self.o["first_of_box"]
            self.size = np.where((share > 0) & self.boxed, share * np.where(self.boxed, width, 1), self.size)
        self.prev = np.zeros((m, n))
        self.last_x, self.move_start, self.best_x = self.x.copy(), self.x.copy(), self.x.copy()
        self.last_f, self.best_f = np.full((m, 1), np.inf), np.full((m, 1), np.inf)
        self.flips, self.futile = np.zeros((m, n)), np.zeros((m, 1))
        self.mean: Array | None = None
        self.pattern = Pattern(self) if self.used["pattern"] else None

    def noisy(self, f: Array, g: Array) -> tuple[Array, Array]:
        """Values and gradients with the noise of `modes.MultiplicativeNoise`."""
        if self.sigma == 0:
            return f, g
        z = self.rng.standard_normal((f.shape[0], g.shape[1] + 1))
        return f * (1 + self.sigma * z[:, :1]), g + self.sigma * np.max(np.abs(g), 1, keepdims=True) * z[:, 1:]

    def advance(self, f: Array, g: Array) -> None:
        """Use values, shape (m, 1), and gradients, shape (m, n), and make one step of each row."""
        o, used = self.o, self.used
        f, g = self.noisy(f, g)
        finite = np.isfinite(f) & np.isfinite(g).all(1, keepdims=True)
        worse = f > self.last_f
        if used["average"]:
            past = g if self.mean is None else self.mean
            self.mean = np.where(finite, o["average"] * past + (1 - o["average"]) * g, past)
            g = self.mean
        if self.bounded:
            g = np.where(((self.x <= self.lower) & (g > 0)) | ((self.x >= self.upper) & (g < 0)), 0.0, g)
        flip, size = self.adapted(g)
        x, size = self.moved(g, size)
        left_out = flip & ((o["at_flip"] == LEFT_OUT) | ((o["at_flip"] == UNDONE_IF_WORSE) & ~worse))
        undone = flip & ((o["at_flip"] == UNDONE) | ((o["at_flip"] == UNDONE_IF_WORSE) & worse))
        # As in `rules.py`, the move is computed again; within bounds it may have been clipped.
        before = self.move_start if self.bounded else self.x + np.sign(self.prev) * self.size
        x = np.where(left_out, self.x, np.where(undone, before, x))
        prev = np.where(flip & (o["keep"] == 0), 0.0, g)
        if self.bounded:
            clipped = (x < self.lower) | (x > self.upper)
            x = np.clip(x, self.lower, self.upper)
            if used["at_bound"]:
                shorter = np.maximum(np.abs(x - self.x), o["at_bound"] * size)
                size = np.where((o["at_bound"] > 0) & clipped, shorter, size)
            if used["forget"]:
                prev = np.where((o["forget"] > 0) & clipped, 0.0, prev)
        lower = finite & (f < self.best_f)
        self.best_f, self.best_x = np.where(lower, f, self.best_f), np.where(lower, self.x, self.best_x)
        if used["stall"]:
            x, size, prev = self.after_a_stall(lower, x, size, prev)
        accepted = finite if not used["retreat"] else finite & ~((o["retreat"] > 0) & worse)
        if self.pattern is not None:
            self.pattern.advance(self, f, g, accepted, x, size, prev)
        else:
            self.accept(accepted, f, x, size, prev)

    def adapted(self, g: Array) -> tuple[Array, Array]:
        """Where signs changed, and the new step sizes."""
        o, used = self.o, self.used
        product = g * self.prev
        flip = product < 0
        minus, plus = o["eta_minus"], o["eta_plus"]
        if used["young_flips"] or used["anneal"]:
            self.flips = self.flips + flip
            young = self.flips <= o["young_flips"]
            young &= o["young_flips"] > 0
            minus, plus = np.where(young, o["young_minus"], minus), np.where(young, o["young_plus"], plus)
        if used["anneal"]:
            power = 1 / np.minimum(1 + self.flips / np.where(o["anneal"] > 0, o["anneal"], np.inf), 7)
            minus, plus = minus**power, plus**power
        size = self.size * np.where(product > 0, plus, np.where(flip, minus, 1.0))
        if used["box"]:
            size = np.where(o["box"] > 0, np.minimum(size, o["box"] * self.width), size)
        if used["leave"]:
            leaves = ((self.x <= self.lower) | (self.x >= self.upper)) & (self.prev == 0) & (g != 0)
            size = np.where((o["leave"] > 0) & leaves, np.minimum(size, o["leave"] * self.width), size)
        return flip, size

    def moved(self, g: Array, size: Array) -> tuple[Array, Array]:
        """The points that the steps lead to, and the step sizes."""
        sign = np.sign(g)
        if self.used["shrink"]:
            gap = np.where(g > 0, self.x - self.lower, self.upper - self.x)
            # A variable that is as good as on the bound goes there.
            outside = (self.o["shrink"] > 0) & (size > gap) & (gap > 1e-6 * size)
            halvings = np.ceil(np.log2(np.where(outside, size / np.where(outside, gap, 1), 1)))
            size = np.where(outside, size * 0.5**halvings, size)
        return self.x - sign * size, size

    def after_a_stall(self, lower: Array, x: Array, size: Array, prev: Array) -> tuple[Array, Array, Array]:
        """Restart a row that has found no lower value for long."""
        self.futile = np.where(lower, 0.0, self.futile + 1)
        stalled = (self.o["stall"] > 0) & (self.futile >= self.o["stall"])
        size = np.where(stalled, size * self.o["grow"], size)
        back = stalled & (self.o["back"] > 0)
        self.futile = np.where(stalled, 0.0, self.futile)
        return np.where(back, self.best_x, x), size, np.where(back, 0.0, prev)

    def accept(self, accepted: Array, f: Array, x: Array, size: Array, prev: Array) -> None:
        """Go on to x, or halfway back to the last point where that was no good."""
        back = self.last_x + (self.x - self.last_x) * 0.5
        self.move_start = np.where(accepted, self.x, self.move_start)
        self.last_x = np.where(accepted, self.x, self.last_x)
        self.last_f = np.where(accepted, f, self.last_f)
        self.x = np.where(accepted, x, back)
        self.size = np.where(accepted, size, self.size * 0.5)
        self.prev = np.where(accepted, prev, self.prev)

    def at_rest(self) -> bool:
        """Whether no row will move any more."""
        return bool(((self.size <= 4 * EPS * np.abs(self.x)) | (self.prev == 0)).all())


class Pattern:
    """Moves along what many steps have achieved together, as in Hooke and Jeeves' pattern search."""

    def __init__(self, rows: Rows) -> None:
        m = rows.x.shape[0]
        self.since, self.f = np.zeros((m, 1)), np.full((m, 1), np.inf)
        self.probing = np.zeros((m, 1), bool)
        self.stretch = rows.o["stretch"].copy()
        self.from_x = rows.x.copy()
        self.kept = rows.x.copy(), rows.size.copy(), rows.prev.copy()

    def advance(self, rows: Rows, f: Array, g: Array, accepted: Array, x: Array, size: Array, prev: Array) -> None:
        """As `Rows.accept`; x is where the rule would step to from here."""
        o, probing = rows.o, self.probing
        success = probing & accepted & (f < self.f)
        failure = probing & ~success
        changed = np.where(success, self.stretch * 2, np.maximum(self.stretch / 2, o["stretch"] / 4))
        self.stretch = np.where(probing, changed, self.stretch)
        self.since = np.where(probing, 0.0, self.since + 1)
        due = ~probing & (o["pattern"] > 0) & (self.since >= o["pattern"]) & accepted
        kept_x, kept_size, kept_prev = self.kept
        onward = np.clip(rows.x - np.sign(g) * kept_size, rows.lower, rows.upper)
        probe = np.clip(x + self.stretch * (x - self.from_x), rows.lower, rows.upper)
        self.from_x, self.f = np.where(due, x, self.from_x), np.where(due, f, self.f)
        self.kept = tuple(np.where(due, a, b) for a, b in zip((x, size, prev), self.kept, strict=True))  # type: ignore[assignment]
        # Where a probe failed, the point before it counts as the last one.
        here, last_f = rows.x, rows.last_f
        rows.accept(
            accepted | probing,
            f,
            np.where(failure, kept_x, np.where(success, onward, np.where(due, probe, x))),
            np.where(probing, kept_size, size),
            np.where(failure, kept_prev, np.where(success, g, prev)),
        )
        rows.last_x = np.where(failure, kept_x, np.where(accepted, here, rows.last_x))
        rows.last_f = np.where(failure, last_f, rows.last_f)
        self.probing = due


def follow(problem: Problem, ideas: Sequence[Idea], sigma: float, seed: int, budget: int) -> Array:
    """True values at the points evaluated, shape (evaluations, ideas)."""
    rows = Rows(problem, ideas, sigma, np.random.default_rng(seed))
    values = np.full((budget, len(ideas)), np.inf)
    for k in range(budget):
        both = problem.at_each(rows.x)
        values[k] = both[:, 0]
        rows.advance(both[:, :1], both[:, 1:])
        if k % 100 == 99 and rows.at_rest():
            return values[: k + 1]
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
    etas += [(0.85, 1.15), (0.9, 1.2), (0.9, 1.1), (0.9, 1.05), (0.95, 1.05)]
    ideas = {"today": Idea("today's defaults")}
    ideas |= {f"etas-{a:g}-{b:g}": Idea(f"etas ({a:g}, {b:g})", a, b) for a, b in etas}
    ideas |= {
        "rprop+": Idea("variant rprop+", at_flip=UNDONE),
        "irprop+": Idea("variant irprop+", at_flip=UNDONE_IF_WORSE),
        "rprop-": Idea("variant rprop-", at_flip=MADE, keep=True),
        "irprop-go": Idea("variant irprop-go", at_flip=MADE),
    }
    for flips in (1, 3):
        ideas[f"young-{flips}"] = Idea(f"etas (0.5, 1.2) until {flips} sign changes", young_flips=flips)
    ideas["young-fast"] = Idea("etas (0.5, 1.5) until 1 sign change", young_flips=1, young_plus=1.5)
    for k in (10, 30, 100):
        ideas[f"anneal-{k}"] = Idea(f"etas (0.5, 1.2), annealed over {k} sign changes", 0.5, 1.2, anneal=k)
    for w in (0.3, 0.6, 0.9):
        ideas[f"average-{w:g}"] = Idea(f"running mean of gradients, weight {w:g}", average=w)
    for k in (50, 200):
        ideas[f"grow-{k}"] = Idea(f"step sizes times 10 after {k} futile evaluations", stall=k, grow=10)
    ideas["back-100"] = Idea("back to the best point after 100 futile evaluations", stall=100, back=True)
    ideas["retreat"] = Idea("steps to higher values are halved", retreat=True)
    for first in (0.1, 0.001):
        ideas[f"first-{first:g}"] = Idea(f"first steps of {first:g} |x0|", first=first)
    for k in (10, 20, 40, 80):
        ideas[f"pattern-{k}"] = Idea(f"pattern moves every {k} evaluations", pattern=k)
    ideas["pattern-20-irprop+"] = Idea(
        "pattern moves every 20 evaluations, irprop+", pattern=20, at_flip=UNDONE_IF_WORSE
    )
    return ideas


def _ideas_for_bounds() -> dict[str, Idea]:
    ideas = {"forget": Idea("memory cleared at a bound", forget=True)}
    ideas["shrink"] = Idea("steps halved until inside", shrink=True)
    for share in (0.01, 0.1, 0.5):
        ideas[f"at-bound-{share:g}"] = Idea(f"step size at a bound reduced to {share:g} at most", at_bound=share)
        ideas[f"first-of-box-{share:g}"] = Idea(f"first steps of {share:g} of the box", first_of_box=share)
        ideas[f"box-{share:g}"] = Idea(f"steps of {share:g} of the box at most", box=share)
    for share in (0.001, 0.01):
        ideas[f"leave-{share:g}"] = Idea(f"bounds are left by {share:g} of the box at most", leave=share)
    return ideas


IDEAS: dict[str, Idea] = {**_ideas(), **_ideas_for_bounds()}

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
    parser.add_argument("--skip", nargs="*", default=[], metavar="PROBLEM")
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
            lines = [json.dumps(r) + "\n" for r in records(problem, left, mode, options.seed, options.budget)]
            with options.runs.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
            print(f"{suite} {name} {mode}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
