"""``make bench``: speed, as ratios to other implementations measured in the same run.

The contenders take turns, each in a process of its own; for each, the better of one and two threads counts. The
table shows lower quartile and median: on a machine that is busy otherwise, the quartile is more reliable.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from . import leave_one_out, random_tables, referee
from .worker import MEMORY_BYTES

RESULTS = Path(__file__).with_name("results.json")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def environment(threads: int) -> dict[str, str]:
    variables = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # bytecode is cached, as it is for users
    return variables


@dataclass
class Contender:
    """One thing to measure, with one number of threads."""

    name: str
    arguments: Sequence[str]
    threads: int
    samples: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(self.threads),
            text=True,
        )
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"the process for {self.name} ended: {' '.join(self.arguments)}")
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def quartile(self) -> float:
        return float(np.quantile(self.samples, 0.25))

    @property
    def median(self) -> float:
        return float(np.median(self.samples))


def contest(contenders: Sequence[Contender], rounds: int) -> dict[str, Contender]:
    """Measure all in turn, several times; return, for each name, the contender with the better thread count."""
    with ExitStack() as stack:
        processes = [stack.enter_context(c.running()) for c in contenders]
        for _ in range(rounds):
            for contender, process in zip(contenders, processes, strict=True):
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                contender.samples += json.loads(process.stdout.readline())
    best: dict[str, Contender] = {}
    for contender in contenders:
        if contender.name not in best or contender.quartile < best[contender.name].quartile:
            best[contender.name] = contender
    return best


def at_each_thread_count(threads: Sequence[int], name: str, *arguments: str) -> list[Contender]:
    return [Contender(name, arguments, t) for t in threads]


def time_processes(programs: dict[str, str], rounds: int) -> dict[str, Contender]:
    """Time whole Python processes, each running one program."""
    contenders = {name: Contender(name, [code], 1) for name, code in programs.items()}
    for i in range(rounds + 1):
        for contender in contenders.values():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", contender.arguments[0]], check=True, env=environment(1))
            if i:  # the first round fills the file cache
                contender.samples.append(time.perf_counter() - began)
    return contenders


ONE_STEP = (
    "import numpy as np, rprop_ref; p = rprop_ref.Parameter(np.ones(1000)); "
    "p.grad = p.data * 2; rprop_ref.Rprop([p]).step()"
)


class Bench:
    """The table, printed as it grows."""

    def __init__(self, rounds: int, threads: Sequence[int]) -> None:
        self.rounds = rounds
        self.threads = threads
        self.rows: list[dict[str, Any]] = []

    def row(self, what: str, ours: float, theirs: float, ratios: tuple[float, float], goal: str) -> None:
        """`ours` and `theirs` are seconds; `ratios` are those of lower quartiles and of medians."""
        self.rows.append(
            {
                "what": what,
                "ours_s": ours,
                "theirs_s": theirs,
                "ratio": ratios[0],
                "median": ratios[1],
                "goal": goal,
            }
        )
        print(
            f"{what:<60}{ours * 1e6:>12.4g}{theirs * 1e6:>13.4g}{ratios[0]:>9.2f}{ratios[1]:>9.2f}   {goal}",
            flush=True,
        )

    def speedup(self, what: str, ours: Contender, theirs: Contender, goal: str) -> None:
        ratios = theirs.quartile / ours.quartile, theirs.median / ours.median
        what = f"{what} ({theirs.threads} thread{'s' * (theirs.threads > 1)})"
        self.row(what, ours.quartile, theirs.quartile, ratios, goal)

    def steps(self, size: str, goals: dict[str, str], *, memory: bool = False) -> None:
        """Our step at one size over torch's; `goals` by the ways in which torch makes a step."""
        contenders = at_each_thread_count(self.threads, "ours", "ours", size)
        for how in goals:
            contenders += at_each_thread_count(self.threads, how, "torch", size, how)
        if memory:
            for kernel in MEMORY_BYTES:
                contenders += at_each_thread_count(self.threads, kernel, "memory", size, kernel)
        best = contest(contenders, self.rounds)
        ours = best["ours"]
        if memory:
            n = float(size)
            rates = {k: (b * n / best[k].quartile, b * n / best[k].median) for k, b in MEMORY_BYTES.items()}
            kernel = max(rates, key=lambda k: rates[k][0])
            ratios = 28 * n / ours.quartile / rates[kernel][0], 28 * n / ours.median / rates[kernel][1]
            what = f"{size} float32: bytes/s over a {kernel} loop's ({rates[kernel][0] / 1e9:.1f} GB/s)"
            self.row(what, ours.quartile, best[kernel].quartile, ratios, ">= 0.90")
        for how, goal in goals.items():
            self.speedup(f"{size} float32: over torch {how}", ours, best[how], goal)

    def company(self, size: str, goal: str) -> None:
        """Our step alone and between calls of the BLAS, over the better of its kernels and torch's loop there."""
        threads = self.threads[-1]
        ways = ("sequential", "parallel")
        for where, limit in (("alone", "<= 1.05"), ("between", "<= 1.20")):
            contenders = [Contender(who, ("company", who, size, where), threads) for who in ("ours", *ways)]
            if where == "between":
                contenders += at_each_thread_count(self.threads, "torch", "company", "torch", size, where)
            best = contest(contenders, self.rounds)
            ours, kernel = best["ours"], min((best[way] for way in ways), key=lambda c: c.quartile)
            surroundings = "alone" if where == "alone" else "between BLAS calls"
            ratios = ours.quartile / kernel.quartile, ours.median / kernel.median
            self.row(
                f"{size} float32 {surroundings}: over {kernel.name}", ours.quartile, kernel.quartile, ratios, limit
            )
            if where == "between":
                self.speedup(f"{size} float32 {surroundings}: over torch's loop", ours, best["torch"], goal)

    def digits(self) -> None:
        """A loop over a network of ordinary size: ours over torch's, and the share of our step."""
        contenders = at_each_thread_count(self.threads, "step", "digits", "ours", "step")
        for who in ("ours", "torch"):
            contenders += at_each_thread_count(self.threads, who, "digits", who, "iteration")
        best = contest(contenders, self.rounds)
        ours, theirs = best["ours"], best["torch"]
        what = "network 784-128-10, NumPy gradients: an iteration"
        ratios = ours.quartile / theirs.quartile, ours.median / theirs.median
        self.row(f"{what} over torch's", ours.quartile, theirs.quartile, ratios, "<= 0.9")
        step = next(c for c in contenders if c.name == "step" and c.threads == ours.threads)
        ratios = step.quartile / ours.quartile, step.median / ours.median
        self.row(f"{what}, share of our step", step.quartile, ours.quartile, ratios, "<= 0.05")

    def groups(self, size: str) -> None:
        """Many small parameters in groups of ten, with hooks, over torch's default; and the cost of the hooks."""
        contenders = at_each_thread_count(self.threads, "default", "torch", size, "default")
        contenders += at_each_thread_count(self.threads, "ours", "grouped", size)
        contenders.append(Contender("hooks", ("hooks", "1"), 1))
        best = contest(contenders, self.rounds)
        ours, hooks = best["ours"], best["hooks"]
        self.speedup(f"{size} float32, groups of 10, hooks: over torch default", ours, best["default"], ">= 25")
        shares = hooks.quartile / ours.quartile, hooks.median / ours.median
        self.row("two hooks that do nothing, over that step", hooks.quartile, ours.quartile, shares, "<= 0.02")

    def minimizers(self, n: str, goal: str) -> None:
        best = contest(
            [
                Contender("ours", ("minimizer", "rprop", n), 1),
                Contender("theirs", ("minimizer", "lbfgsb", n), 1),
                Contender("objective", ("objective", n), 1),
            ],
            self.rounds,
        )
        cost = best["objective"]
        ours, theirs = (best[k].quartile - cost.quartile for k in ("ours", "theirs"))
        our_median, their_median = (best[k].median - cost.median for k in ("ours", "theirs"))
        what = f"minimize, n = {n}: an iteration over L-BFGS-B's evaluation"
        self.row(what, ours, theirs, (ours / theirs, our_median / their_median), goal)

    def loops(self, n: str, goals: dict[str, str]) -> None:
        """The compiled loop over other loops, with `goals` by their names."""
        contenders = [Contender("ours", ("iterations", "ours", n), 1)]
        for who in goals:
            contenders += at_each_thread_count(self.threads, who, "iterations", who, n)
        best = contest(contenders, self.rounds)
        for who, goal in goals.items():
            self.speedup(f"Rosenbrock, n = {n}: an iteration over {who}'s", best["ours"], best[who], goal)

    def many(self, m: str, goals: dict[str, str], scaling: str) -> None:
        """Many starts over optax's, and more threads over one."""
        contenders = [Contender(f"ours {t}", ("many", "ours", m), t) for t in self.threads]
        ours = contenders[:]
        for who in goals:
            contenders += at_each_thread_count(self.threads, who, "many", who, m)
        best = contest(contenders, self.rounds)
        for who, goal in goals.items():
            quickest = min(ours, key=lambda c: c.quartile)
            self.speedup(f"{m} starts, n = 2: over {who}", quickest, best[who], goal)
        if len(ours) > 1:
            self.speedup(f"{m} starts: {ours[-1].threads} threads over one", ours[-1], ours[0], scaling)

    def fact(self, what: str, value: float, goal: str) -> None:
        """A row for a figure that is counted, not timed."""
        self.rows.append({"what": what, "value": value, "goal": goal})
        print(f"{what:<60}{'':>25}{value:>9.3g}{'':>9}   {goal}", flush=True)

    def sharks(self) -> None:
        from . import shark

        for what, median in shark.medians().items():
            self.fact(f"Shark's test, median value of 100: {what}", median, "< 1e-15")

    def certified(self) -> None:
        from . import nist

        where = nist.folder()
        if where is None:
            print("NIST's problems are left out: NIST_STRD_DIR does not name the folder with NIST's files")
            return
        solved = dict.fromkeys(nist.SOLVERS, 0)
        for name, by_solver in nist.table(where).items():
            digits = "   ".join(f"{who} {a:4.1f} {b:4.1f}" for who, (a, b) in by_solver.items())
            print(f"    correct digits from both starts, {name:<10} {digits}", flush=True)
            for who, both in by_solver.items():
                solved[who] += sum(d >= 6 for d in both)
        for who, count in solved.items():
            self.fact(
                f"NIST, runs of 54 with 6 digits: {who}", count, ">= 43 and the most" if who == "Rprop" else ""
            )

    def networks(self, sizes: str, goal: str) -> None:
        contenders = at_each_thread_count(self.threads, "ours", "network", "ours", sizes)
        best = contest(
            contenders + at_each_thread_count(self.threads, "torch", "network", "torch", sizes), self.rounds
        )
        ours, theirs = best["ours"], best["torch"]
        what = f"network {sizes}, a training step over torch's"
        ratios = ours.quartile / theirs.quartile, ours.median / theirs.median
        self.row(what, ours.quartile, theirs.quartile, ratios, goal)

    def processes(self) -> None:
        best = time_processes(
            {"numpy": "import numpy", "ours": "import rprop_ref", "step": ONE_STEP}, 5 * self.rounds
        )
        for name, what, goal in (
            ("ours", "python -c 'import rprop_ref' over 'import numpy'", "<= 1.15"),
            ("step", "a process with one step on 1,000 elements over the same", "<= 1.5"),
        ):
            ours, theirs = best[name], best["numpy"]
            ratios = ours.quartile / theirs.quartile, ours.median / theirs.median
            self.row(what, ours.quartile, theirs.quartile, ratios, goal)


def machine() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    packages = ("numpy", "numba", "scipy", "torch", "jax", "optax")
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _compiled_torch(bench: Bench) -> None:
    for size in ("1e5", "1e7"):
        bench.steps(size, {"compile": ">= 0.97"})


def _small_parameters(bench: Bench) -> None:
    bench.steps("1000x64", {"default": ">= 40", "foreach": ">= 40"})
    bench.steps("1000", {"default": ">= 15"})
    bench.groups("1000x64")


def _in_company(bench: Bench) -> None:
    for size in ("1e3", "2e4", "1e5", "3e5", "1e6", "1e7"):
        bench.company(size, ">= 5" if float(size) >= 1e6 else ">= 3")
    bench.digits()


def _minimizers(bench: Bench) -> None:
    for n in ("10", "1000"):
        bench.minimizers(n, "<= 0.2")


def _networks(bench: Bench) -> None:
    bench.networks("4-64-64-3", "<= 0.6")
    bench.networks("4-16-3", "<= 0.6")


_LARGE = {"for-loop": ">= 12", "foreach": ">= 12", "compile": ">= 0.97"}

#: The parts of the table in their order, by the names that ``--only`` takes.
PARTS: dict[str, Callable[[Bench], Any]] = {
    "large": lambda bench: bench.steps("5e7", _LARGE, memory=True),
    "compile": _compiled_torch,
    "small": _small_parameters,
    "company": _in_company,
    "minimize": _minimizers,
    "compiled": lambda bench: bench.loops("10", {"torch": ">= 500", "optax": ">= 2"}),
    "starts": lambda bench: bench.many("100000", {"optax": ">= 2", "optax, nothing but steps": ""}, ">= 1.7"),
    "shark": Bench.sharks,
    "nist": Bench.certified,
    "network": _networks,
    "import": Bench.processes,
    "referee": lambda bench: referee.every_rule(),
    "without names": lambda bench: leave_one_out.every_rule(),
    "random tables": lambda bench: {"drawn": random_tables.run(), "outside": random_tables.run_outside()},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender (default: 7)")
    parser.add_argument("--only", choices=tuple(PARTS), help="one part only")
    arguments = parser.parse_args()
    bench = Bench(arguments.rounds, threads=sorted({1, min(2, os.cpu_count() or 1)}))
    about = machine()
    print("  ".join(f"{k} {v}" for k, v in about.items()))
    print(f"{'':<60}{'ours, us':>12}{'theirs, us':>13}{'ratio':>9}{'median':>9}   goal")
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            part(bench)
    RESULTS.write_text(json.dumps({"about": about, "rows": bench.rows}, indent=1) + "\n")
    print(f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


main()
