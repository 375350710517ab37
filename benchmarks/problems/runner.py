"""Run methods on problems: in worker processes with a time limit, resumable, each run a line of JSON.

A worker keeps one problem at a time, compiled, for all its runs. When a run overstays its time, its worker is
ended, the run is noted as having hung, and a new worker takes up what is left.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .evaluations import EndOfRunError, Evaluations
from .methods import METHODS, Method
from .modes import MODES, rng_of
from .problem import Problem
from .suites import SUITES


class Pair(NamedTuple):
    """One run: a problem in a mode with a seed, and a method."""

    suite: str
    problem: str
    mode: str
    seed: int
    method: str


@dataclass(frozen=True)
class Limits:
    """What a run may use.

    Attributes
    ----------
    budget : int
        Evaluations.
    seconds : float
        Of the processor. A run that has not come back after three times as many has hung.
    loading : float
        Seconds until a process has started and has loaded its problem.
    """

    budget: int = 10_000
    seconds: float = 60.0
    loading: float = 600.0


def run_one(problem: Problem, pair: Pair, method: Method, limits: Limits) -> dict[str, Any] | None:
    """The record of one run; None if the mode or the method does not fit the problem."""
    mode = MODES[pair.mode]
    if not mode.fits(problem) or not method.fits(problem):
        return None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        observed = mode.make(problem, rng_of(problem, pair.mode, pair.seed))
        evaluations = Evaluations(observed, limits.budget, limits.seconds)
        returned = None
        try:
            x = getattr(method.run(evaluations), "x", None)
            returned = None if x is None else observed.problem.true_value(x)
            end = "returned"
        except EndOfRunError:
            end = "budget" if evaluations.left < problem.x0.size + 1 else "time"
        except Exception as error:
            end = f"raised {type(error).__name__}: {error}"[:200]
        f0 = observed.problem.true_value(observed.problem.x0)
    return {
        **pair._asdict(),
        "n": int(problem.x0.size),
        "f0": f0,
        "evaluations": evaluations.count,
        "seconds": round(time.thread_time() - evaluations.began, 6),
        "end": end,
        "returned": returned,
        "curve": [[k, round(s, 6), f] for k, s, f in evaluations.curve if math.isfinite(f)],
    }


#: What a worker sends when a run begins.
BEGINS = "begins"


def work(connection: Connection, limits: Limits, load: Callable[[str, str], Problem]) -> None:
    """A worker: receives pairs, sends back records."""
    loaded: tuple[str, str] | None = None
    problem: Problem | None = None
    while True:
        pair = connection.recv()
        if pair is None:
            return
        try:
            if loaded != (pair.suite, pair.problem):
                loaded, problem = None, None
                problem = load(pair.suite, pair.problem)
                loaded = pair.suite, pair.problem
            assert problem is not None
            connection.send(BEGINS)
            connection.send(run_one(problem, pair, METHODS[pair.method], limits))
        except Exception as error:
            end = f"not loaded: {type(error).__name__}: {error}"[:200]
            connection.send({**pair._asdict(), "end": end, "curve": []})


def load_from_suites(suite: str, name: str) -> Problem:
    """A problem by its names."""
    return SUITES[suite].load(suite, name)


def read(file: Path) -> Iterator[dict[str, Any]]:
    """The records of a file; a last line that was cut off is left out."""
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def pair_of(record: dict[str, Any]) -> Pair:
    """The run that a record is of."""
    return Pair(*(record[name] for name in Pair._fields))


@dataclass
class _Worker:
    limits: Limits
    load: Callable[[str, str], Problem]
    queue: list[Pair] = field(default_factory=list)
    pair: Pair | None = None
    patience: float = math.inf

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, self.limits, self.load), daemon=True)
        self.process.start()
        other.close()

    def give(self, pair: Pair) -> None:
        self.pair = pair
        self.patience = self.limits.loading
        self.connection.send(pair)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def run(
    pairs: Iterable[Pair],
    file: Path,
    limits: Limits,
    workers: int = 0,
    load: Callable[[str, str], Problem] = load_from_suites,
    show: Callable[[int, int, Pair], None] | None = None,
) -> None:
    """Make the runs that the file has no record of, and append their records.

    Parameters
    ----------
    pairs : iterable of Pair
    file : Path
        Lines of JSON.
    limits : Limits
    workers : int
        Processes; 0 for one per processor.
    load : callable
        What loads a problem.
    show : callable, optional
        Called with runs done, runs in all, and the last one.
    """
    done = {pair_of(record) for record in read(file)}
    left: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        if pair not in done:
            left.setdefault((pair.suite, pair.problem), []).append(pair)
    total, finished = sum(map(len, left.values())), 0
    # One that begins with the longest list is not needed: problems are many and small.
    groups = list(left.values())[::-1]
    pool = [_Worker(limits, load) for _ in range(min(workers or os.cpu_count() or 1, len(groups)))]
    file.parent.mkdir(parents=True, exist_ok=True)
    _end_cut_line(file)
    with file.open("a", encoding="utf-8") as lines:

        def note(record: dict[str, Any] | None, pair: Pair) -> None:
            nonlocal finished
            finished += 1
            # A pair that does not fit is noted too, so that it is not tried again.
            record = {**pair._asdict(), "end": "does not fit", "curve": []} if record is None else record
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            if show is not None:
                show(finished, total, pair)

        def next_of(worker: _Worker) -> bool:
            if not worker.queue and groups:
                worker.queue = groups.pop()[::-1]
            if not worker.queue:
                return False
            worker.give(worker.queue.pop())
            return True

        active = []
        try:
            for worker in pool:
                worker.start()
                active.append(worker)
                next_of(worker)
            while any(worker.pair for worker in active):
                busy = {worker.connection: worker for worker in active if worker.pair}
                began = time.monotonic()
                ready: list[Any] = wait(list(busy), 1.0)
                # A machine that was asleep, or processes that were stopped, are no sign of a run that hangs.
                passed = min(time.monotonic() - began, 2.0)
                for connection in ready:
                    worker = busy[connection]
                    current = worker.pair
                    assert current is not None
                    try:
                        record = worker.connection.recv()
                        if record == BEGINS:
                            worker.patience = 3 * limits.seconds
                            continue
                    except (EOFError, OSError):
                        record = {**current._asdict(), "end": "its process ended", "curve": []}
                        worker.end()
                        worker.start()
                    worker.pair = None
                    note(record, current)
                    next_of(worker)
                for connection, worker in busy.items():
                    worker.patience -= passed
                    if worker.pair and connection not in ready and worker.patience < 0:
                        hung, worker.pair = worker.pair, None
                        worker.end()
                        worker.start()
                        note({**hung._asdict(), "end": "hung", "curve": []}, hung)
                        next_of(worker)
        finally:
            for worker in active:
                worker.end()


def _end_cut_line(file: Path) -> None:
    """Give a file that was cut off in a line a new one to begin with."""
    if file.exists() and file.stat().st_size:
        with file.open("rb+") as f:
            f.seek(-1, os.SEEK_END)
            if f.read(1) != b"\n":
                f.write(b"\n")


def show_on_stderr(finished: int, total: int, pair: Pair) -> None:
    """A line that says how far the runs are."""
    end = "\n" if finished == total else "\r"
    text = f"{finished}/{total} runs; {pair.suite} {pair.problem}, {pair.mode}, {pair.method}"
    print(f"{text[:110]:110}", end=end, file=sys.stderr, flush=True)
