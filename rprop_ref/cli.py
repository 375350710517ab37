"""The command line: ``python -m rprop_ref demo`` and others."""

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

BLAS_THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parser = argparse.ArgumentParser(prog="rprop_ref", description="Rprop for NumPy and Numba.")
    parser.add_argument("--version", action="version", version=f"rprop_ref {__version__}")
    from .objectives import OBJECTIVES
    from .rules import RULES

    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    demo = commands.add_parser(
        "demo",
        help="fit NIST's regression problems and compare with certified values and L-BFGS-B",
        description="Fit ten nonlinear-regression problems with certified solutions (NIST StRD), each from "
        "NIST's two starting points, by Rprop and by SciPy's L-BFGS-B with the same gradients.",
    )
    demo.add_argument("--plot", metavar="FILE", help="draw data and fits into FILE (needs matplotlib)")
    demo.add_argument(
        "--maxiter", type=_positive, metavar="N", help="iterations allowed (default: 30000)", default=30_000
    )
    demo.set_defaults(run=_demo)

    explain = commands.add_parser(
        "explain",
        help="say in words, and show in a page, what happens in a run",
        description="Say what happened in a run, and what to try: one that was saved by Trace.save, or one on an "
        "objective of two variables, which can also be watched in a page.",
    )
    explain.add_argument("trace", nargs="?", metavar="TRACE.npz", help="a trace that was saved")
    known = f"{', '.join(OBJECTIVES)}, or one of your own, as MODULE:NAME"
    explain.add_argument("--objective", metavar="NAME", default="rosenbrock", help=known)
    explain.add_argument("--rule", choices=RULES, default="irprop-", help="default: irprop-")
    explain.add_argument("--start", nargs=2, type=float, metavar=("A", "B"), help="where to begin")
    explain.add_argument("--lr", type=float, help="the first step size")
    explain.add_argument("--etas", nargs=2, type=float, metavar=("ETA-", "ETA+"), default=(0.5, 1.2))
    explain.add_argument("--step-sizes", nargs=2, type=float, metavar=("MIN", "MAX"), default=(1e-6, 50.0))
    explain.add_argument("--steps", type=_positive, metavar="N", default=200, help="default: 200")
    explain.add_argument("--html", metavar="FILE", help="write a page in which the run can be watched")
    explain.add_argument("--csv", metavar="FILE", help="write the trace as a table")
    explain.add_argument("--save", metavar="FILE", help="save the trace (npz)")
    explain.add_argument("--plot", metavar="FILE", help="draw the path into FILE (needs matplotlib)")
    explain.set_defaults(run=_explain)
    referee = commands.add_parser(
        "crosscheck",
        help="compare another implementation of Rprop with a rule, to the bit",
        description=crosscheck.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    crosscheck.add_arguments(referee)
    referee.set_defaults(run=crosscheck.run)

    bench = commands.add_parser(
        "bench",
        help="bits and speed on the GPU of this machine",
        description="Compare bits with the CPU, and measure steps on the GPU: bytes per second over a copy, and, "
        "where torch is installed, ratios to torch.optim.Rprop. Takes less than eight minutes.",
    )
    bench.add_argument("--cuda", action="store_true", required=True, help="on an NVIDIA GPU")
    bench.add_argument("--tiny", action="store_true", help="with few and small arrays, to try the script itself")
    bench.add_argument("--json", metavar="FILE", help="write the table into FILE, too")
    bench.add_argument("--only", metavar="TEXT", default="", help="measure only parts whose names contain TEXT")
    bench.set_defaults(run=_bench)

    arguments = parser.parse_args(argv)
    if argv is None and not BLAS_THREADS.keys() <= os.environ.keys():
        # A process that BLAS threads disturb makes L-BFGS-B look up to a hundred times slower than it is on
        # problems of this size. Their number is read when NumPy is loaded, hence a process anew.
        command = [sys.executable, "-m", "rprop_ref", *sys.argv[1:]]
        return subprocess.run(command, env={**BLAS_THREADS, **os.environ}, check=False).returncode
    return int(arguments.run(arguments))


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
        "parameter,\nat most 11, which is what NIST certifies. Both methods get the same starting points and "
        f"gradients, and up to\n{arguments.maxiter} iterations; BLAS has one thread.",
        flush=True,
    )
    print(f"Loading the compiled iteration took {demo.warm_up():.1f} s (compiled once, then kept on disk).\n")
    rows: list[demo.Row] = []
    for line in demo.table(demo.runs(maxiter=arguments.maxiter), rows):
        print(line, flush=True)
    if arguments.plot is not None:
        plot.fits(rows, arguments.plot)
        print(f"Data and fits are drawn in {arguments.plot}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    try:
        _explain_or_refuse(arguments)
    except (ModuleNotFoundError, OSError, ValueError) as error:
        print(f"rprop_ref: {error}", file=sys.stderr)
        return 2
    return 0


def _objective(name: str) -> Objective:
    from .objectives import OBJECTIVES, Objective

    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise ValueError(f"there is no objective {name!r}; it must be one of {known}, or MODULE:NAME")
        return OBJECTIVES[name]
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load {name}: {error}") from error
    if not isinstance(found, Objective):
        raise ValueError(f"{name} must be an rprop_ref.objectives.Objective, but is {found!r}")
    return found


def _explain_or_refuse(arguments: argparse.Namespace) -> None:
    from ._core.checks import check_etas
    from .trace import Trace

    check_etas(tuple(arguments.etas))
    if arguments.lr is not None and not arguments.lr >= 0:
        raise ValueError(f"Invalid learning rate: {arguments.lr}")
    if arguments.plot is not None:
        from . import plot

        plot.check_file(arguments.plot)
    objective = None
    if arguments.trace is not None:
        if arguments.html is not None:
            raise ValueError("--html shows a run on one of the objectives; leave the file of a trace away")
        trace = Trace.load(arguments.trace)
    else:
        from . import explorer

        objective = _objective(arguments.objective)
        options = {
            "start": None if arguments.start is None else tuple(arguments.start),
            "lr": arguments.lr,
            "etas": tuple(arguments.etas),
            "step_sizes": tuple(arguments.step_sizes),
            "steps": arguments.steps,
        }
        trace = explorer.follow(objective, arguments.rule, **options)
        print(f"{objective.name}: {objective.about}.\n")
    print(trace, trace.explain(), sep="\n\n")
    written = []
    if arguments.html is not None and objective is not None:
        explorer.write(arguments.html, objective, arguments.rule, **options)
        written.append(f"Open {arguments.html} in a browser to watch it.")
    if arguments.csv is not None:
        trace.to_csv(arguments.csv)
        written.append(f"The table is in {arguments.csv}.")
    if arguments.save is not None:
        trace.save(arguments.save)
        written.append(f"The trace is in {arguments.save}.")
    if arguments.plot is not None:
        figure: Any = plot.path(trace, None if objective is None else objective.fun).figure
        figure.savefig(arguments.plot, dpi=150)
        written.append(f"The path is drawn in {arguments.plot}.")
    if written:
        print("", *written, sep="\n")
