"""The command line: ``python -m rprop_ref demo`` and the other commands."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import __version__
from .crosscheck import command as crosscheck

if TYPE_CHECKING:
    from .objectives import Objective
    from .trace import Trace

#: Settings of one thread, for each library that NumPy may use.
BLAS_THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    arguments = _parser().parse_args(argv)
    if argv is None and not BLAS_THREADS.keys() <= os.environ.keys():
        # BLAS threads can make L-BFGS-B look a hundred times slower than it is on problems of this size. Their
        # number is read when NumPy is loaded, which needs a fresh process.
        command = [sys.executable, "-m", "rprop_ref", *sys.argv[1:]]
        return subprocess.run(command, env={**BLAS_THREADS, **os.environ}, check=False).returncode
    return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rprop_ref", description="Rprop for NumPy and Numba.")
    parser.add_argument("--version", action="version", version=f"rprop_ref {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_demo(commands)
    _add_explain(commands)
    _add_lesson(commands)
    _add_crosscheck(commands)
    _add_bench(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="fit NIST's regression problems; compare with certified values and L-BFGS-B",
        description="Fit ten nonlinear-regression problems with certified solutions (NIST StRD), each from "
        "NIST's two starting points, by Rprop and by SciPy's L-BFGS-B with the same gradients.",
    )
    demo.add_argument("--plot", metavar="FILE", help="draw data and fits to FILE (needs matplotlib)")
    demo.add_argument(
        "--maxiter",
        type=_positive,
        metavar="N",
        help="largest number of iterations (default: 30000)",
        default=30_000,
    )
    demo.set_defaults(run=_demo)


def _add_explain(commands: Any) -> None:
    from .objectives import OBJECTIVES
    from .rules import DEFAULT, RULES

    explain = commands.add_parser(
        "explain",
        help="explain a run in words, and show it in a web page",
        description="Explain what happened in a run, and what to try: a run that Trace.save saved, or one on an "
        "objective of two variables, which a web page can replay.",
    )
    explain.add_argument("trace", nargs="?", metavar="TRACE.npz", help="a saved trace")
    objectives = f"{', '.join(OBJECTIVES)}, or one of your own, as MODULE:NAME (default: rosenbrock)"
    explain.add_argument("--objective", metavar="NAME", default="rosenbrock", help=objectives)
    explain.add_argument("--rule", choices=RULES, default=DEFAULT, help=f"default: {DEFAULT}")
    explain.add_argument("--start", nargs=2, type=float, metavar=("A", "B"), help="where to start")
    explain.add_argument("--lr", type=float, help="the first step size")
    explain.add_argument("--etas", nargs=2, type=float, metavar=("ETA-", "ETA+"), default=(0.5, 1.2))
    explain.add_argument("--step-sizes", nargs=2, type=float, metavar=("MIN", "MAX"), default=(1e-6, 50.0))
    explain.add_argument("--steps", type=_positive, metavar="N", default=200, help="default: 200")
    explain.add_argument("--html", metavar="FILE", help="write a web page that replays the run")
    explain.add_argument("--csv", metavar="FILE", help="write the trace as a table")
    explain.add_argument("--save", metavar="FILE", help="save the trace (npz)")
    explain.add_argument("--plot", metavar="FILE", help="draw the path to FILE (needs matplotlib)")
    explain.set_defaults(run=_explain)


def _add_lesson(commands: Any) -> None:
    lesson = commands.add_parser(
        "lesson",
        help="predict steps, and find the bug in six programs",
        description="A lesson in a terminal: predict the steps of the five rules, and find six bugs.",
    )
    lesson.set_defaults(run=_lesson)


def _lesson(arguments: argparse.Namespace) -> int:
    from . import lesson

    return lesson.run(input, print)


def _add_crosscheck(commands: Any) -> None:
    referee = commands.add_parser(
        "crosscheck",
        help="compare another implementation of Rprop with a rule, bit for bit",
        description=crosscheck.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    crosscheck.add_arguments(referee)
    referee.set_defaults(run=crosscheck.run)


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="check bits and measure speed on this machine's GPU",
        description="Compare the bits with the CPU's, and measure steps on the GPU: bytes per second relative to "
        "a copy and, where torch is installed, to torch.optim.Rprop. Takes less than eight minutes.",
    )
    bench.add_argument("--cuda", action="store_true", required=True, help="on an NVIDIA GPU")
    bench.add_argument("--tiny", action="store_true", help="with few and small arrays, to try the script itself")
    bench.add_argument("--json", metavar="FILE", help="also write the table to FILE")
    bench.add_argument("--only", metavar="TEXT", default="", help="measure only parts whose names contain TEXT")
    bench.set_defaults(run=_bench)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, but is {value}")
    return value


def _bench(arguments: argparse.Namespace) -> int:
    from . import bench

    return bench.main(bench.TINY if arguments.tiny else None, arguments.json, arguments.only)


def _demo(arguments: argparse.Namespace) -> int:
    from . import demo

    if arguments.plot is not None:
        from . import plot

        try:
            plot.check_file(arguments.plot)
        except (ModuleNotFoundError, ValueError) as error:
            print(f"rprop_ref: {error}", file=sys.stderr)
            return 2

    print(
        "Nonlinear regression with certified solutions (NIST/ITL StRD). digits: correct digits of the worst "
        "parameter,\nof the 11 that NIST certifies. Both methods get the same starting points and gradients, and "
        f"at most\n{arguments.maxiter} iterations; BLAS runs in one thread.",
        flush=True,
    )
    print(f"Loading the compiled iteration took {demo.warm_up():.1f} s (compiled once, then kept on disk).\n")
    rows: list[demo.Row] = []
    for line in demo.table(demo.runs(maxiter=arguments.maxiter), rows):
        print(line, flush=True)
    if arguments.plot is not None:
        plot.fits(rows, arguments.plot)
        print(f"Drew data and fits to {arguments.plot}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    try:
        _check_options(arguments)
        objective, trace = _explained_run(arguments)
        print(trace, trace.explain(), sep="\n\n")
        written = _write_files(arguments, objective, trace)
    except (ModuleNotFoundError, OSError, ValueError) as error:
        print(f"rprop_ref: {error}", file=sys.stderr)
        return 2
    if written:
        print("", *written, sep="\n")
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    from ._core.checks import check_etas

    check_etas(tuple(arguments.etas))
    if arguments.lr is not None and not arguments.lr >= 0:
        raise ValueError(f"Invalid learning rate: {arguments.lr}")
    if arguments.plot is not None:
        from . import plot

        plot.check_file(arguments.plot)
    if arguments.trace is not None and arguments.html is not None:
        raise ValueError("--html shows a run on one of the objectives; it cannot show a saved trace")


def _explained_run(arguments: argparse.Namespace) -> tuple[Objective | None, Trace]:
    """The objective, and a run on it; or None and the trace from the file."""
    from .trace import Trace

    if arguments.trace is not None:
        return None, Trace.load(arguments.trace)
    from . import explorer

    objective = _objective(arguments.objective)
    trace = explorer.follow(objective, arguments.rule, **_run_options(arguments))
    print(f"{objective.name}: {objective.about}.\n")
    return objective, trace


def _run_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "start": None if arguments.start is None else tuple(arguments.start),
        "lr": arguments.lr,
        "etas": tuple(arguments.etas),
        "step_sizes": tuple(arguments.step_sizes),
        "steps": arguments.steps,
    }


def _objective(name: str) -> Objective:
    from .objectives import OBJECTIVES, Objective

    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise ValueError(f"there is no objective {name!r}; it must be one of {names}, or MODULE:NAME")
        return OBJECTIVES[name]
    sys.path.insert(0, os.getcwd())
    try:
        objective = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load {name}: {error}") from error
    if not isinstance(objective, Objective):
        raise ValueError(f"{name} must be an rprop_ref.objectives.Objective, but is {objective!r}")
    return objective


def _write_files(arguments: argparse.Namespace, objective: Objective | None, trace: Trace) -> list[str]:
    """Write the files that were asked for; return a sentence about each."""
    written = []
    if arguments.html is not None and objective is not None:
        from . import explorer

        explorer.write(arguments.html, objective, arguments.rule, **_run_options(arguments))
        written.append(f"Open {arguments.html} in a browser to watch the run.")
    if arguments.csv is not None:
        trace.to_csv(arguments.csv)
        written.append(f"Wrote the table to {arguments.csv}.")
    if arguments.save is not None:
        trace.save(arguments.save)
        written.append(f"Saved the trace to {arguments.save}.")
    if arguments.plot is not None:
        from . import plot

        figure: Any = plot.path(trace, None if objective is None else objective.fun).figure
        figure.savefig(arguments.plot, dpi=150)
        written.append(f"Drew the path to {arguments.plot}.")
    return written
