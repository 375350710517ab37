"""The JSON of a run, and the page and the figures that are made of it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from .ideas import IDEAS
from .merging import PLAIN, PREFIX, is_idea
from .methods import METHODS
from .modes import MODES
from .profiles import (
    Row,
    data_profile,
    lowest_values,
    median_cost,
    merged,
    performance_profiles,
    solved,
    solved_beside,
)
from .profiles import rows as all_rows
from .runner import pair_of
from .suites import HALVES, SUITES, half

ROOT = Path(__file__).parents[2]
JSON = ROOT / "benchmarks" / "problems.json"
PAGE = ROOT / "docs" / "problems.md"
FIGURES = ROOT / "docs" / "_static" / "problems"

#: Methods that are drawn, each with a colour and a dash that tell it apart.
LINES = {
    "rprop": ("#d55e00", "-"),
    "rprop-samples": ("#d55e00", "-."),
    "rprop-plain": ("#d55e00", "--"),
    "rprop-torch": ("#d55e00", ":"),
    "lbfgsb": ("#0072b2", ":"),
    "lbfgsb-tight": ("#0072b2", "--"),
    "lbfgsb-restarted": ("#0072b2", "-"),
    "bfgs": ("#009e73", "-"),
    "cg": ("#009e73", "--"),
    "tnc": ("#56b4e9", "--"),
    "Adam, best of 4 rates": ("#cc79a7", "-"),
    "nelder-mead": ("#999999", "-"),
    "powell": ("#999999", "--"),
    "minuit": ("#000000", ":"),
    "pints-irprop": ("#e69f00", "--"),
}


#: The right edge of the figures.
RIGHT_EDGE = 1e4


def rows_of(records: Sequence[dict[str, Any]], kept: Sequence[Row] = ()) -> list[Row]:
    """The runs in short. Ideas do not count for the lowest value that methods are measured by.

    There are so many of them that they would find minima that none of the methods has a chance to find.

    `kept` are the published runs that stay; they count for the lowest values.
    """
    methods = [record for record in records if not is_idea(pair_of(record))]
    ideas = [row for row in all_rows(records, PLAIN, kept) if is_idea(row)]
    return all_rows(methods, PLAIN, [row for row in kept if not is_idea(row)]) + ideas


def write_json(rows: Sequence[Row], budget: int, file: Path = JSON) -> None:
    """Write the rows, one a line, and with what they were made."""
    names = [field.name for field in fields(Row)]
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "scipy")}
    for name in ("sif2jax", "coco-experiment", "iminuit", "optax", "pints", "jax"):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    head = {"made": datetime.date.today().isoformat(), "budget": budget, "packages": packages, "columns": names}
    lines = [
        json.dumps(_values(row), separators=(",", ":")).replace("Infinity", "null") for row in sorted_rows(rows)
    ]
    text = json.dumps(head)[:-1] + ', "runs": [\n' + ",\n".join(lines) + "\n]}\n"
    file.write_text(text.replace("NaN", "null"), encoding="utf-8")


def _values(row: Row) -> list[Any]:
    """The values of a row. What a run has returned is left out where nobody knows."""
    *values, returned = asdict(row).values()
    return values if math.isnan(returned) else [*values, returned]


def read_json(file: Path = JSON) -> tuple[dict[str, Any], list[Row]]:
    """What `write_json` wrote: the head, and the rows."""
    content = json.loads(file.read_text(encoding="utf-8"))
    found = []
    for line in content["runs"]:
        values = dict(zip(content["columns"], line, strict=False))
        costs = tuple((math.inf, math.inf) if c[0] is None else (c[0], c[1]) for c in values.pop("costs"))
        values |= {key: math.nan for key in ("f0", "best") if values[key] is None}
        if values.get("returned", 0) is None:
            values["returned"] = math.inf
        found.append(Row(**values, costs=costs))
    return content, found


def sorted_rows(rows: Sequence[Row]) -> list[Row]:
    """By suite, problem, mode, method and seed, so that a new run changes few lines."""
    return sorted(rows, key=lambda row: (row.suite, row.problem, row.mode, row.method, row.seed))


def title_of(method: str) -> str:
    """What a method is called on the page."""
    known = METHODS.get(method) or IDEAS.get(method.removeprefix(PREFIX))
    return known.title if known else method


def groups_of(rows: Sequence[Row], suite: str, mode: str) -> dict[str, list[Row]]:
    """The rows of one suite and mode by method; a method with fewer problems than the others is left out."""
    best_of = {name: method.best_of for name, method in METHODS.items() if method.best_of}
    chosen = [row for row in rows if row.suite == suite and row.mode == mode]
    groups: dict[str, list[Row]] = {}
    for row in merged(chosen, {name: title for name, title in best_of.items() if title}):
        groups.setdefault(row.method, []).append(row)
    most = max((len({row.problem for row in group}) for group in groups.values()), default=0)
    return {name: group for name, group in groups.items() if len({row.problem for row in group}) == most}


def _number(value: float, digits: int = 0) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}f}" if value >= 1 or digits == 0 else f"{value:.1g}"


def _count(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def table(groups: dict[str, list[Row]]) -> str:
    """Solved problems, and what half of all problems cost at most."""
    lines = [
        "| method | 1e-3 | 1e-6 | reporting: 1e-3 | 1e-6 | evaluations: 1e-3 | 1e-6 | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    order = sorted(groups, key=lambda name: [-solved(groups[name], 0), -solved(groups[name], 1)])
    for name in order:
        group = groups[name]
        reporting = [row for row in group if half(row.problem) == "reporting"]
        cells = [
            title_of(name),
            *(_count(solved(group, t)) for t in (0, 1)),
            *(_count(solved(reporting, t)) for t in (0, 1)),
            *(_number(median_cost(group, t, 0)) for t in (0, 1)),
            _number(median_cost(group, 0, 1), 2),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def under_the_same_noise(groups: dict[str, list[Row]]) -> str:
    """What is solved where f_best is the lowest value found under this noise."""
    everything = [row for group in groups.values() for row in group]
    lowest = lowest_values((), {row.mode: row.mode for row in everything}, everything)
    counts = {name: [solved_beside(group, lowest, t) for t in (0, 1)] for name, group in groups.items()}
    text = f"Beside the lowest values found under this noise, to 1e-3 and 1e-6, {_in_words(counts)}."
    return textwrap.fill(text, 111)


def of_returned_points(groups: dict[str, list[Row]], lowest: dict[tuple[str, str, str], float]) -> str:
    """What is solved by the points that methods return, if all their runs do, and they are known."""
    known = {n: group for n, group in groups.items() if not any(math.isnan(row.returned) for row in group)}
    if not known:
        return ""
    counts = {name: [solved_beside(group, lowest, t, "returned") for t in (0, 1)] for name, group in known.items()}
    text = f"Of the points that are returned at the end, these solve their problem: {_in_words(counts)}."
    return textwrap.fill(text, 111)


def _in_words(counts: dict[str, list[float]]) -> str:
    order = sorted(counts, key=lambda name: [-count for count in counts[name]])
    return "; ".join(f"{title_of(name)}: {' and '.join(map(_count, counts[name]))}" for name in order)


def draw(groups: dict[str, list[Row]], file: Path) -> None:
    """Data profiles above, performance profiles below; tolerance 1e-3 left, 1e-6 right."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    drawn = {name: group for name, group in groups.items() if name in LINES}
    with plt.rc_context({"font.size": 9, "svg.hashsalt": "problems", "svg.fonttype": "none"}):
        fig, axes = plt.subplots(2, 2, figsize=(9.0, 6.6), sharey=True, constrained_layout=True)
        for t, tau in enumerate(("1e-3", "1e-6")):
            performance = performance_profiles(dict(drawn), t)
            for name in (name for name in LINES if name in drawn):
                colour, dash = LINES[name]
                style: dict[str, Any] = {"color": colour, "linestyle": dash, "linewidth": 1.4, "where": "post"}
                axes[0, t].step(*_to_the_edge(*data_profile(drawn[name], t)), label=title_of(name), **style)
                axes[1, t].step(*_to_the_edge(*performance[name]), **style)
            axes[0, t].set(xscale="log", ylim=(0, 1), xlim=(0.5, RIGHT_EDGE), title=f"solved to {tau}")
            axes[0, t].set_xlabel("evaluations / (n + 1)")
            axes[1, t].set(xscale="log", ylim=(0, 1), xlim=(1, RIGHT_EDGE))
            axes[1, t].set_xlabel("evaluations / those of the cheapest method")
        axes[0, 0].set_ylabel("share of problems")
        axes[1, 0].set_ylabel("share of problems that any method solves")
        for ax in axes.flat:
            ax.grid(alpha=0.3)
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(file, metadata={"Date": None})
        plt.close(fig)


def _to_the_edge(x: Any, y: Any) -> tuple[Any, Any]:
    """A line that has begun goes on to the right edge."""
    return (np.r_[x, max(RIGHT_EDGE, x[-1])], np.r_[y, y[-1]]) if len(x) else (x, y)


HEAD = """# Standard problems

Every method on the same problems, from the same starts, with the same gradients, and at most {budget:,}
evaluations of value and gradient for each run. A problem counts as solved to 1e-3 once `f - f_best` has fallen
to a thousandth of `f_0 - f_best`: `f` is the best *true* value, without noise, at any point that the method has
asked for, whatever it returned; `f_0` is the value at the start; `f_best` is the lowest true value that any
method in the table has found, or any on the same problem as it is. Under noise, a line below the table counts
beside the lowest value that was found under that noise. Methods stop by themselves as they do by default, unless
their line says more.

`make problems` makes the runs (it can be interrupted, and goes on where it was) and writes this page, its
figures, and `benchmarks/problems.json`, which has each run in a line. The columns *reporting* count only the
problems of one half, on which no default was or will be chosen. *Evaluations* are those within which half of all
problems are solved to 1e-3 and to 1e-6, *seconds* those to 1e-3; a dash says that half of them never were.
Seconds are those of the processor, the objective's included.

What follows for the choice of a method is on [a page of its own](when_to_use_which.md).

{what_was_run}

"""


IDEAS_HEAD = """## Ideas for better defaults

Each idea is a change of the iteration, tried outside the package (`benchmarks/problems/ideas.py`). Defaults are
chosen on the choosing half of the problems; the reporting half says whether they hold. *Evaluations* are those
within which half of the problems are solved to 1e-3. Problems with more than 40 variables are left out here, and
an empty cell is an idea that was not followed there. Pattern moves have become a default, and so have the minimum
of a parabola after a failure and, without bounds, step sizes that are lifted at each pattern move. A difference of
one problem says nothing: where values are computed for several ideas at once, they round differently.

* *Pattern moves* solve the most, on both halves, with bounds and without, and under noise too: now and then the
  move that many steps have made together is made again, and taken back if the value is not lower. They help in
  valleys, most of all to six digits. The default of `minimize` is `pattern_every=20`: they are also quick to find
  saddles, where two of three exponentials of NIST's Lanczos problems have become one, and plateaus, where the
  gradient nearly vanishes (see below).
* *A second point after a failure* is the best change of pattern moves: where a move has led to a higher value, one
  point on the way is tried before the move is taken back, either *the secant's zero* (where the slope would be
  zero, by the gradients at both ends) or *the minimum of a parabola* (by both values and the slope at the first).
  They solve as many problems as moves that are taken back, or more, in nearly all of these tables, up to four
  more to six digits, mostly in two thirds to nine tenths of the evaluations. The parabola does as well as the
  secant and needs no gradient where the move has failed, which saves n values where gradients are differences.
  It is a default of `minimize`: over both halves 113 and 108 of 116 problems without bounds are solved (112 and
  104 before; two that are slow to evaluate were left out), 60 and 56 of 68 with bounds (59 and 51), half of the
  former to six digits within 136 evaluations (173); under a thousandth of noise, 106.3 and 96.3 (106.7 and 95.3),
  within 203 (251), and with bounds, over eight seeds, 56.5 and 48.3 (55.6 and 47.4). One seed of noise relative
  to the start has fewer to six digits.
* *Step sizes lifted*: under noise that is relative to the largest component of the gradient, the signs of small
  components are those of a coin. As the product of the etas is below 1, their step sizes shrink to nothing,
  while others still move (Plakhov & Cruz, arXiv math/0503434, on what the product decides). So end the runs of
  `ROSZMAN1LS`, `CHNROSNB` and `LUKSAN11LS`, which are solved without noise and not with it. A step size of at
  least 1e-4 to 1e-2 of the largest one, each relative to its variable, changes next to nothing without noise.
  With it, the tables below have up to three more, which other seeds hardly confirm; problems with more variables
  gain more. Without bounds, a thousandth at each pattern move is a default of `minimize` (see below). New steps
  where *all* are exhausted come too late for that.
* *The parabola's minimum and step sizes lifted to a thousandth*, with the default etas and moves every 20
  iterations: without noise, 109 of 115 problems to three digits and 104 to six (moves taken back: 109 and 101).
  With a thousandth of noise, of 104 problems with up to 40 variables and over three seeds, 96.7 and 85.7
  (moves taken back: 94.7 and 85.3; the parabola alone: 96 and 86.3), in a seventh fewer evaluations to six digits.
  One seed says little: it is 100 and 87 with the first one, and 94 and 84 with the second. Here, where no problem
  has more than 40 variables, lifted step sizes add little.
* Short moves (by a factor of 1 at most) do well without noise and worse with it. The largest factor of the
  default's moves hardly matters: 4, 32 and 1,024 solve the same problems.
* Moves that become more frequent after a success or rarer after a failure, that begin only after sign changes, go
  from best point to best point, or follow a longer way now and then, change little. So do larger or smaller step
  sizes after a success, and new steps where all are exhausted.
* With pattern moves, the usual etas (0.5, 1.2) need a quarter fewer evaluations than (0.8, 1.1) for three digits,
  and solve as many or more; but under noise, without bounds, three fewer to six digits on the reporting half.
* With pattern moves and the parabola, first steps of a tenth of the variables solve as many without bounds
  (114 and 108 of 116, in 26 evaluations to three digits instead of 38, and in 159 to six instead of 136);
  those of 0.3 fewer (107 and 100). Between two bounds a tenth is the default (see below).
* Larger first steps save the most evaluations, and so do etas that begin at (0.5, 1.2) and become gentler with
  each sign change; they solve hardly more.
* What happens at a bound hardly matters: clearing the memory, shrinking the step size to what was moved, halving
  steps until they are inside, leaving bounds in small steps or in large ones, limits relative to the box, or
  pattern moves that are shortened instead of clipped.
* Growing steps or going back to the best point when progress stalls does nothing, since progress does not stall:
  it is slow. Halving steps to higher values, and a running mean of gradients, save little or cost much, and the
  former fails under noise. (That steps lower the value enough is what makes GRprop converge from everywhere:
  Anastasiadis, Magoulas & Vrahatis 2005, Neurocomputing 64, pp. 253-270.)
* NoisyRprop (Glasmachers 2007, in Shark) keeps step sizes for episodes of 40 steps and averages gradients. It is
  much slower, and solves less, at a thousandth of noise and at a tenth; there, running means of gradients do too.
  Means of several evaluations at the same point do better where noise is as large as the gradient (see below).
* Etas whose product is above 1, such as (0.9, 1.2), do not get to six digits.

### Ideas: means of several evaluations

For more noise than a thousandth, by the points that are *returned* (without means, the lowest of noisy values is
that which had most luck): solved to 1e-3 and 1e-6 of the 62 problems of the choosing half, the mean of two seeds.
The norm test compares the noise of the mean gradients with the gradients, over windows of ten points, and lets the
number of evaluations grow where it is larger. The last rows were tried outside the package.

| evaluations at each point | noise 0.1 | noise 1 | 0.01 of the start | 0.1 of the start |
|---|--:|--:|--:|--:|
| 1 | 56.5, 44 | 0, 0 | 38, 5.5 | 18, 2.5 |
| 4 | 57, 43.5 | 15, 8.5 | 44.5, 10 | 26, 2 |
| 10 | 54.5, 39.5 | 44.5, 25.5 | 46, 10.5 | 27, 2.5 |
| 30 | 51.5, 32 | 47.5, 26.5 | 46, 9 | 30, 3 |
| the norm test, grown by a half at most (`samples="auto"`) | 55.5, 42 | 47.5, 34 | 46, 18 | 31, 5 |
| the same, grown twofold at most | 54.5, 42 | 44.5, 31 | 46.5, 13.5 | 33, 5 |
| noise (squared) of half the gradient at most | 55, 42 | 48, 31 | 45.5, 15.5 | 31, 7.5 |
| a quarter | 55, 42 | 45.5, 29 | 45, 15.5 | 31, 6 |
| half of it, windows of 5 points | 54, 41.5 | 44, 29.5 | 45.5, 17.5 | 32, 5 |
| half of it, windows of 20 points | 55, 43 | 49.5, 32 | 44.5, 15.5 | 32, 3 |

* Doubling the number where 60 iterations have not lowered the mean of the values, from 4 on, does as well with
  noise of 1 (51 and 32, one seed) and worse with a tenth of the start (28 and 2).
* If the best point is not forgotten where the number grows, 11 and 6 are returned instead of 46 and 28 (noise of
  1, one seed), and 14 and 1 instead of 31 and 5.
* Running means of gradients, with weights of 0.9 or 0.97 and etas from (0.5, 1.2) to (0.97, 1.03), do worse than
  single evaluations: with noise of 1, they *visit* points that solve 9 to 16 of 51 problems to three digits,
  single evaluations 33. Etas of (0.95, 1.05) or (0.99, 1.01) average in their way, and visit 47 and 48, more than
  the 42 of `samples="auto"`, but return none of them (41).

### Ideas: first steps within bounds

These were tried in `minimize` itself, on the 68 CUTEst problems with bounds. The lowest values are those that
were published before, those with first steps of a hundredth of the variables, and those of the idea itself.
*Evaluations* are relative to a hundredth, as the geometric mean over the problems that both solve.

| first steps | choosing: 1e-3 | 1e-6 | reporting: 1e-3 | 1e-6 | evaluations: 1e-3 | 1e-6 |
|---|--:|--:|--:|--:|--:|--:|
| 0.01 abs(x0), the default before | 32 | 29 | 28 | 27 | 1 | 1 |
| 0.1 abs(x0) in all problems with bounds | 32 | 29 | 28 | 27 | 0.69 | 0.81 |
| 0.3 abs(x0) in all problems with bounds | 32 | 29 | 30 | 29 | 0.67 | 0.76 |
| 0.03 abs(x0) where there is a bound | 30 | 26 | 28 | 27 | 0.93 | 0.97 |
| 0.1 | 31 | 28 | 29 | 28 | 0.97 | 1.01 |
| 0.3 | 31 | 28 | 30 | 28 | 1.01 | 1.02 |
| 1 | 30 | 26 | 28 | 26 | 1.06 | 1.02 |
| 0.1 abs(x0) between two bounds | 32 | 29 | 29 | 28 | 0.89 | 0.95 |
| 0.3 | 32 | 29 | 30 | 29 | 0.90 | 0.90 |
| 1 | 31 | 28 | 28 | 26 | 0.91 | 0.92 |
| 0.05 abs(x0) between two bounds, at most the box | 31 | 28 | 28 | 27 | 0.89 | 0.94 |
| 0.1, the default | 32 | 29 | 29 | 28 | 0.89 | 0.95 |
| 0.2 | 31 | 28 | 30 | 29 | 0.85 | 0.90 |
| 0.3 | 32 | 29 | 30 | 29 | 0.89 | 0.90 |
| 0.1 abs(x0) between two bounds, at most half of the box | 32 | 29 | 29 | 28 | 0.89 | 0.95 |
| at most 0.3 of the box | 32 | 29 | 29 | 28 | 0.88 | 0.95 |
| 0.3 abs(x0) between two bounds, at most 0.3 of the box | 32 | 29 | 30 | 29 | 0.88 | 0.87 |
| at most 0.1 of the box | 31 | 28 | 30 | 29 | 0.85 | 0.90 |
| the default, and where x0 is 0, 0.1 of the box | 32 | 29 | 29 | 28 | 0.89 | 0.95 |
| 0.01 of the box | 31 | 28 | 28 | 27 | 0.86 | 0.90 |
| 0.03 of the box | 31 | 28 | 29 | 28 | 0.81 | 0.94 |
| 0.1 of the box | 31 | 28 | 29 | 28 | 0.83 | 0.91 |
| 0.3 of the box | 32 | 29 | 27 | 26 | 0.87 | 0.91 |
| 0.01 of the box, or 0.01 abs(x0) if that is more | 31 | 28 | 28 | 27 | 0.87 | 0.91 |
| 0.03 of the box, or 0.01 abs(x0) if that is more | 31 | 28 | 29 | 28 | 0.81 | 0.94 |
| 0.1 of the box, or 0.01 abs(x0) if that is more | 31 | 28 | 29 | 28 | 0.83 | 0.91 |

* The default is a tenth of a variable that has two bounds, since a box stops a step that is too long. It
  solves one more, of the reporting half, and none less. LEVYMONT8 is that one; in this family, and in
  DEVGLA2B, it also gets to values far below all that were published. By these new values, which are those of
  the tables above, L-BFGS-B solves four fewer (and see below).
* From starts changed by a fifth, over three sets and in 3,000 evaluations, a tenth solves 58.3 and 50.3 (a
  hundredth 56.3 and 48.3): six runs more and none less, in 0.83 and 0.9 of the evaluations; 0.2 solves 59.7
  and 51.7, and 0.3 60 and 52.3.
* But bounds may be far away. With a box around the starts of 99 problems without bounds, of 3, 30, 1,000 or
  1e20 times the variable to either side, a tenth solves 96.5 and 89 of them on average (a hundredth 95.8 and
  88.8), in 0.6 of the evaluations to three digits. With 0.3 it would be 93 and 84.8. So 0.3 is no default.
* Shares of the width take a wide box for a large variable.
* Where there is one bound, longer first steps lose valleys of the PALMER problems.
* No step needs to be longer than the box: on 231 made-up problems whose box is narrow around the minimum, a
  tenth needs 1.02 and 1.07 of the evaluations without that limit, and 0.77 and 0.91 with it. A limit of 0.1 or
  0.3 of the box costs where the minimum is at a bound: in tiny boxes 3.5 and 1.8 times the evaluations, which
  are few there.
* On 287 other made-up problems, with boxes of all kinds, near and far, starts on bounds and fixed variables, a
  tenth solves 286 and 284 (a hundredth 285 and 279), in 0.68 and 0.86 of the evaluations.
* BBOB's problems, within [-5, 5], are no part of this choice. A tenth solves 53 and 44 of 96 (a hundredth 52
  and 38, by the same lowest values), and with noise 36 and 9 (36 and 4).

In all modes with bounds, solved to 1e-3 and 1e-6 by the lowest values published before, and by those of the
tables above:

| mode | a hundredth, before | a tenth, before | a hundredth, now | a tenth, now |
|---|--:|--:|--:|--:|
| exact | 60, 56 | 61, 57 | 57, 53 | 58, 54 |
| noise of 1e-6 | 58, 54 | 59, 55 | 56, 52 | 56, 52 |
| noise of 1e-3, three seeds | 56.7, 48 | 59.7, 51 | 54.7, 46 | 57.3, 48.3 |
| noise of 0.1 | 54, 44 | 55, 46 | 53, 43 | 53, 44 |
| noise of 1e-3, relative to the start | 46, 34 | 48, 35 | 45, 33 | 45, 32 |
| units from 1e-3 to 1e3 | 59, 54 | 61, 56 | 57, 52 | 58, 53 |
| float32 | 59, 54 | 60, 55 | 56, 51 | 57, 52 |
| wrong lengths | 57, 49 | 60, 51 | 56, 48 | 57, 49 |
| the signs alone | 57, 50 | 60, 53 | 57, 50 | 60, 53 |

### Ideas: step sizes under noise

Without bounds and with a thousandth of noise, three seeds of 118 problems are 354 runs. Before step sizes were
lifted, Rprop did not solve 29 of them to three digits. In 17, some step sizes had shrunk to nothing, down to
6e-184, while others still moved: CHNROSNB, LUKSAN11LS, VANDANMSLS and VESUVIALS in all seeds, ROSZMAN1LS and
NELSONLS in two, VIBRBEAM in one. Without noise none of these got below 1e-24, but for VANDANMSLS (1e-40). Eight
runs were of problems that are not solved without noise either (HATFLDFL, POWERSUM, HEART8LS), two ended on a
plateau, with a claim of success (BOXBODLS), one at another minimum, as without noise (BIGGS6), and one was slow
(ROSZMAN1LS). All but those of BOXBODLS, BIGGS6 and POWERSUM used up their evaluations: no tolerance ended them
early.

So what was tried lets no step size shrink to nothing. These are ideas from outside the package, on the 116
problems that are quick to evaluate, over three seeds, beside the lowest values that were published then:

| moves every 20, the minimum of a parabola after a failure | choosing: 1e-3 | 1e-6 | reporting: 1e-3 | 1e-6 |
|---|--:|--:|--:|--:|
| nothing else | 58 | 53.7 | 48 | 42.7 |
| no step size below the precision of its variable | 59 | 54.3 | 49.3 | 45 |
| step sizes lifted to 1e-4 of the largest, after each step | 59.3 | 53.7 | 50 | 44.7 |
| to 1e-3 | 59 | 54.7 | 50.3 | 44 |
| to 0.01 | 59 | 54 | 50 | 44.7 |
| to 0.1 | 58.7 | 54.3 | 50.3 | 43.3 |
| to 1e-3, at each pattern move | 59.7 | 54.3 | 50.3 | 44 |
| to 0.01 | 59 | 53.3 | 50.7 | 45 |
| to 0.1 | 59.3 | 54.3 | 50.3 | 42.7 |

Lifted to 1e-3 at each pattern move in `minimize` itself, with bounds and without, of the same problems, and beside
the same lowest values:

| problems, mode | not lifted: 1e-3 | 1e-6 | lifted: 1e-3 | 1e-6 |
|---|--:|--:|--:|--:|
| without bounds, exact | 113 | 108 | 113 | 107 |
| without bounds, noise of 1e-6 | 109 | 102 | 110 | 104 |
| without bounds, noise of 1e-3, three seeds | 106.3 | 96.3 | 108.3 | 98.7 |
| without bounds, noise of 0.1 | 102 | 75 | 105 | 84 |
| without bounds, noise of 1e-3, relative to the start | 92 | 37 | 95 | 39 |
| without bounds, units from 1e-3 to 1e3 | 110 | 105 | 109 | 104 |
| without bounds, value and gradient rounded to float32 | 111 | 106 | 111 | 106 |
| without bounds, gradients with the right signs and wrong lengths | 107 | 99 | 107 | 99 |
| without bounds, the signs of the gradient alone | 110 | 102 | 110 | 101 |
| with bounds, exact | 58 | 54 | 58 | 53 |
| with bounds, noise of 1e-6 | 56 | 52 | 57 | 54 |
| with bounds, noise of 1e-3, three seeds | 57.3 | 48.3 | 58 | 49.7 |
| with bounds, noise of 0.1 | 53 | 44 | 54 | 45 |
| with bounds, noise of 1e-3, relative to the start | 45 | 32 | 45 | 31 |
| with bounds, units from 1e-3 to 1e3 | 58 | 53 | 58 | 54 |
| with bounds, value and gradient rounded to float32 | 57 | 52 | 57 | 52 |
| with bounds, gradients with the right signs and wrong lengths | 57 | 49 | 57 | 49 |
| with bounds, the signs of the gradient alone | 60 | 53 | 60 | 53 |
| NIST's 54 runs, exact | 54 | 53 | 54 | 53 |
| NIST's 54 runs, the sum of absolute residuals | 33 | 7 | 33 | 7 |
| Moré, Garbow and Hillstrom's 35, exact | 35 | 34 | 35 | 34 |
| Moré, Garbow and Hillstrom's 35, the sum of absolute residuals | 17 | 14 | 17 | 14 |

* With a thousandth of noise it solves 58.7 and 54 of the choosing half (58.3 and 54 without), and 49.7 and 44.7 of
  the reporting half (48 and 42.3). Both halves gain with a tenth of noise as well: 56 and 49 (55 and 45), and 49
  and 35 (47 and 30).
* With a thousandth of noise, the gain is in CHNROSNB and LUKSAN11LS, in all seeds, and with bounds in KOEBHELB, in
  two. CHNROSNB then takes 850 evaluations, as without noise.
* The choosing half hardly has such problems. Over three further seeds, the idea outside the package solves 57.7
  and 53.7 of it, and 57.7 and 53 without.
* Without noise it solves one fewer to six digits, without bounds and with. The one, VANDANMSLS, is measured by
  the value that the default itself has found. The other, PALMER8E, is a narrow valley: of 10 starts that
  differ by a millionth, the default solves it to six digits from 6; lifted to 1e-3 at each move, it is solved from
  3, to 1e-4 from 2, to 1e-6 from 4. That is why runs with bounds lift nothing.

For runs without bounds, these were tried in `minimize` on all 118 problems, over the same three seeds and beside
the same lowest values. *NIST* are solved runs, claims of success and wrong claims, as in the section below.

| step sizes at each pattern move | noise of 1e-3: 1e-3 | 1e-6 | exact: 1e-3 | 1e-6 | NIST |
|---|--:|--:|--:|--:|--:|
| not lifted | 108.3 | 96.3 | 115 | 108 | 48, 37, 0 |
| lifted to 1e-8 of their variables, if another one is 1,000 times as large | 109.7 | 98 | 115 | 108 | 48, 35, 0 |
| to 1e-6, the same | 110 | 98.7 | 115 | 108 | 48, 37, 0 |
| lifted to 1e-3 of the largest one | 110.3 | 98.7 | 114 | 107 | 49, 38, 0 |
| to 1e-3 of the largest one whose gradient is not 0, the default | 110.3 | 98.7 | 115 | 107 | 49, 38, 0 |

* CHNROSNB and LUKSAN11LS are solved with each of six seeds, and with none if nothing is lifted. Over the three
  seeds that are not in the table, the default solves 111.7 and 98 (109 and 95 without): 60.3 and 54 of the
  choosing half (59.7 and 53.7), and 51.3 and 44 of the reporting half (49.3 and 41.3).
* The step size of a variable that begins at its minimum does not shrink, since its gradient is 0. If it counted as
  the largest, no other variable would come to rest: `sum(x**2)` from (0, 3) with `gtol=0` would not end.
* Runs also end with success more often. Of 300 that fit an exponential decay to noisy data, with a power of a
  third variable added, whose minimum is at 0, 298 do, each with the two fitted values to nine digits; without
  lifted step sizes, 74.
* Without noise it costs VANDANMSLS to six digits, where each small change leads elsewhere. In units from 1e-3 to
  1e3 it solves one fewer to either tolerance, and from the signs of the gradient alone one fewer to six digits.

### Ideas: claims of success on NIST's 54 runs

A run that ends early must not claim success at a point that is no minimum. These changes were tried in
`minimize` with the other defaults of that time, in at most a million iterations. *Solved* are runs with six
correct digits, *wrong* are claims with fewer. (Eckerle4 with the sign of `b2` flipped is the same minimum, and
not counted as wrong.)

| change of `minimize` | solved | claims | wrong |
|---|--:|--:|--:|
| none | 43 | 31 | 0 |
| A: the secant's zero, moves every 20 | 42 | 39 | 7 |
| A with moves every 10 and etas (0.75, 1.15) | 43 | 44 | 8 |
| A, and `gtol` counts 100 iterations later, if x has moved by 1e-8 of itself at most | 42 | 39 | 7 |
| the same, 400 iterations later | 43 | 38 | 6 |
| A, and `gtol` and `xtol` count while the factor of pattern moves is smallest | 43 | 38 | 5 |
| A, and `gtol` relative to the value | 47 | 35 | 1 |
| B: the same, and `gtol` and `xtol` count while the factor of pattern moves is 1 at most | 47 | 34 | 0 |
| B with moves every 10 | 46 | 44 | 5 |
| B with etas (0.75, 1.15) | 47 | 38 | 3 |
| B with moves every 10 and etas (0.75, 1.15) | 47 | 40 | 2 |
| C: B with the parabola's minimum in place of the secant's zero | 48 | 37 | 0 |
| C with etas (0.75, 1.15) | 49 | 41 | 2 |
| C with moves every 10 and etas (0.75, 1.15) | 45 | 41 | 4 |
| C, step sizes lifted to 1e-4 of the largest | 48 | 36 | 1 |
| the same, etas (0.75, 1.15) | 51 | 43 | 1 |
| C, step sizes lifted to 1e-3 of the largest | 49 | 38 | 0 |
| the same, etas (0.75, 1.15) | 49 | 42 | 2 |
| D: the parabola's minimum, claims by `gtol` relative to the value alone; moves every 10 | 43 | 44 | 4 |
| every 15 | 45 | 40 | 2 |
| every 20 | 48 | 37 | 0 |
| D every 20, and where a run cannot get on, `gtol` is enough | 48 | 41 | 1 |
| D every 20, and where a run cannot get on, it begins again | 48 | 37 | 0 |
| the default: the same, and step sizes lifted to 1e-3 of the largest at each pattern move | 49 | 38 | 0 |
| every 30 | 44 | 39 | 3 |
| every 40 | 45 | 37 | 2 |
| the same without a second point, and with `gtol` alone, every 10 | 44 | 36 | 3 |
| every 15 | 44 | 34 | 2 |
| every 20 | 43 | 31 | 0 |
| every 30 | 43 | 30 | 1 |
| every 40 | 44 | 28 | 0 |

* The wrong claims of A are `gtol`'s, but for one. On Lanczos' problems the valley is so flat that the gradient
  is below 1e-10 at three digits, where x moves by 1e-9 of itself in ten iterations: neither the step sizes nor
  the way of the last 400 iterations tell that a thousandth is left. What does is the gradient beside the value:
  moving a variable by its own size would change the value, by the gradient, by 2e-5 of it at most where claims
  are right, and by a hundredth up to thousands of times of it where they are wrong. *Relative to the value* is
  this condition, `max abs(g_i x_i) <= 1e-6 abs(f)`, besides `gtol`; where the value has fallen to 1e-22 of what
  it was, it does not apply.
* The default is the parabola's minimum with `gtol` relative to the value, where for `x_i` the size at the start
  is taken if it was larger. Nothing looks at the factor of pattern moves: what `xtol` claimed wrongly, at
  Bennett5, four digits deep in a valley that one rounding error of x crosses, and at MGH10, where rounding
  errors of x change the value by more than itself, is now left to the check of minima, which asks that the
  gradient there is small beside the value, too.
* Where terms cancel at the minimum, the gradient never gets small beside the value: of 200 fits of a parabola to
  ten points with noise of 1e-4, those with `gtol` alone claimed 197, and D 29. If `gtol` is enough where a run
  cannot get on, because its step sizes are exhausted, 190 claim; but so does Lanczos3 with 5.5 digits, where the
  gradient consists of rounding errors, and with starts changed by a millionth, in five sets, seven runs with 4.3
  to 5.6 digits. So such a run begins again, with step sizes of a thousandth of the variables, and has converged
  if it comes to rest at the same point. Of those seven claims this leaves one, at Bennett5, which is `xtol`'s; 48
  or 49 runs are solved and 35 to 41 claim success. Of 200 other fits of a parabola, 198 claim with either rule,
  in 963 iterations in the median without and 979 with it; with noise of 1e-6, all, in 812 and 1,591.
* At rest a second time, such a run has not converged if the gradient is as large as on the way: at a kink across
  the axes whose variables are in tiny units, the gradient is small everywhere. Then a check follows. To ask for
  one wherever the effect of the gradient is more than 1e-3 of the value, and 1e-8 of the first one, would do as
  well for NIST's runs. But of 2,400 fits of parabolas that begin within a ten-millionth of the minimum, 683 would
  claim success instead of 2,229. Beside the gradients on the way, the gradients of these are rounding errors:
  2,229 claim as before, and no run of NIST's differs, from its own starts and from those changed by a millionth.
* What is left with other intervals of moves are plateaus of Eckerle4 and BoxBOD, where the gradient is 1e-21 and
  less, and saddles of Lanczos' problems where two of three exponentials have become one. These differ with each
  small change.

"""


def section(rows: Sequence[Row], suite: str, mode: str, figures: Path = FIGURES) -> str:
    """A heading, a table and a figure."""
    groups = {name: group for name, group in groups_of(rows, suite, mode).items() if not name.startswith(PREFIX)}
    problems = {row.problem for group in groups.values() for row in group}
    seeds = {row.seed for group in groups.values() for row in group}
    name = f"{suite}-{mode}.svg"
    draw(groups, figures / name)
    reporting = sum(half(problem) == "reporting" for problem in problems)
    many = f", {len(seeds)} seeds" if len(seeds) > 1 else ""
    text = f"## {SUITES[suite].title}: {MODES[mode].title}\n\n"
    text += f"{len(problems)} problems{many}; {reporting} in the reporting half.\n\n{table(groups)}\n\n"
    if MODES[mode].noisy:
        text += f"{under_the_same_noise(groups)}\n\n"
        lowest = lowest_values((), PLAIN, [row for row in rows if not is_idea(row)])
        returned = of_returned_points(groups, lowest)
        text += f"{returned}\n\n" if returned else ""
    return text + f"![Data and performance profiles](_static/problems/{name})\n"


def ideas_table(rows: Sequence[Row]) -> str:
    """Each idea: problems solved on the choosing half and on the other one, in each suite and mode."""
    ideas = [row for row in rows if is_idea(row)]
    shown = [(suite, mode) for suite in SUITES for mode in MODES]
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in ideas:
        groups.setdefault((row.suite, row.mode), {}).setdefault(row.method, []).append(row)
    text = ""
    for key in shown:
        if key in groups:
            text += (
                f"### Ideas: {SUITES[key[0]].title}, {MODES[key[1]].title}\n\n{_table_of_ideas(groups[key])}\n\n"
            )
    return text


def _table_of_ideas(groups: dict[str, list[Row]]) -> str:
    parts = {
        name: [row for group in groups.values() for row in group if half(row.problem) == name] for name in HALVES
    }
    counts = {name: len({row.problem for row in part}) for name, part in parts.items() if part}
    head = ["idea"]
    for name, count in counts.items():
        head += [f"{name} ({count}): 1e-3", "1e-6", "evaluations"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for name in sorted(groups, key=lambda name: list(IDEAS).index(name.removeprefix(PREFIX))):
        cells = [title_of(name)]
        for part, count in counts.items():
            group = [row for row in groups[name] if half(row.problem) == part]
            # An idea that was not tried on all of them says nothing.
            whole = len({row.problem for row in group}) == count
            figures = [*(_count(solved(group, t)) for t in (0, 1)), _number(median_cost(group, 0, 0))]
            cells += figures if whole else ["", "", ""]
        if any(cells[1:]):
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def what_was_run(rows: Sequence[Row]) -> str:
    """The suites and modes that have runs here, and those that have none, in words."""
    run = {(row.suite, row.mode) for row in rows if not is_idea(row)}
    modes = {suite: [mode for mode in MODES if (suite, mode) in run] for suite in SUITES}
    text = "; ".join(f"`{suite}` in {', '.join(made)}" for suite, made in modes.items() if made)
    none = ", ".join(f"`{suite}`" for suite, made in modes.items() if not made)
    text = f"This page has runs of {text}" + (f"; none of {none}" if none else "") + "."
    return textwrap.fill(f"{text} Not every method was run everywhere: a table has those that were.", 111)


def write_page(head: dict[str, Any], rows: Sequence[Row], file: Path = PAGE, figures: Path = FIGURES) -> None:
    """Write the page and its figures."""
    text = HEAD.format(budget=head["budget"], what_was_run=what_was_run(rows))
    for suite in SUITES:
        for mode in MODES:
            if any(row.suite == suite and row.mode == mode and not is_idea(row) for row in rows):
                text += section(rows, suite, mode, figures) + "\n"
    if any(is_idea(row) for row in rows):
        text += IDEAS_HEAD + ideas_table(rows)
    versions = ", ".join(f"{name} {version}" for name, version in head["packages"].items())
    text += f"*Measured with* `make problems`, {versions}, {head['made']}.\n"
    file.write_text(text, encoding="utf-8")
