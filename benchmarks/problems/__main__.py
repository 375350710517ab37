"""``python -m benchmarks.problems``: run what is missing, then write the page, its figures and the JSON.

A run takes the place of the same published one, and all other published runs stay: ``--methods rprop`` renews
one method. Where that changes the lowest value of a problem, the other methods are run there as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from .merging import not_replaced, outdated, pair_of_row
from .methods import METHODS
from .modes import MODES
from .page import JSON, read_json, rows_of, write_json, write_page
from .runner import Limits, Pair, read, run, show_on_stderr
from .suites import HALVES, SUITES, half


def pairs(
    suites: list[str], modes: list[str], methods: list[str], seeds: int, halves: list[str]
) -> Iterator[Pair]:
    """The runs of these suites, modes and methods; what is not installed is left out, and said."""
    for name in suites:
        reason = SUITES[name].missing()
        if reason:
            print(f"without {name}: {reason}")
    usable = []
    for method in methods:
        reason = METHODS[method].missing()
        if reason:
            print(f"without {method}: {reason}")
        else:
            usable.append(method)
    for name in suites:
        if SUITES[name].missing():
            continue
        for problem in SUITES[name].names():
            if half(problem) not in halves:
                continue
            for mode in modes:
                for seed in range(seeds if MODES[mode].seeded else 1):
                    for method in usable:
                        yield Pair(name, problem, mode, seed, method)


def can_be_run(pair: Pair) -> bool:
    """Whether its suite and its method are installed here."""
    known = pair.suite in SUITES and pair.mode in MODES and pair.method in METHODS
    return known and not SUITES[pair.suite].missing() and not METHODS[pair.method].missing()


def publish(runs: Path, limits: Limits, workers: int) -> None:
    """Run again what the new runs make outdated, and write the JSON and the page."""
    published = read_json()[1] if JSON.exists() else []
    while again := [pair for pair in outdated(published, list(read(runs))) if can_be_run(pair)]:
        print(f"{len(again)} published runs of other methods are measured anew: there are other lowest values")
        run(again, runs, limits, workers, show=show_on_stderr)
    records = list(read(runs))
    unknown = set(outdated(published, records))
    for method in sorted({pair.method for pair in unknown}):
        print(f"without some published runs of {method}: the lowest value has changed, and it cannot be run here")
    kept = [row for row in not_replaced(published, records) if pair_of_row(row) not in unknown]
    write_json([*rows_of(records, kept), *kept], limits.budget)
    write_page(*read_json())


def main() -> None:
    """Read the options, run, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.problems", description=__doc__)
    parser.add_argument("--suites", nargs="*", choices=SUITES, default=list(SUITES))
    parser.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--halves", nargs="*", choices=HALVES, default=list(HALVES))
    parser.add_argument("--skip", nargs="*", default=[], metavar="PROBLEM", help="problems to leave out")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each mode that has random numbers")
    parser.add_argument("--budget", type=int, default=Limits.budget, help="evaluations of each run")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="time of each run")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 for one per processor")
    parser.add_argument("--runs", type=Path, default=Path("build/problems.jsonl"), help="where runs are appended")
    parser.add_argument("--no-page", action="store_true", help="only run")
    options = parser.parse_args()
    asked = pairs(options.suites, options.modes, options.methods, options.seeds, options.halves)
    asked = (pair for pair in asked if pair.problem not in options.skip)
    limits = Limits(options.budget, options.seconds)
    run(asked, options.runs, limits, options.workers, show=show_on_stderr)
    if not options.no_page:
        publish(options.runs, limits, options.workers)


if __name__ == "__main__":
    main()
