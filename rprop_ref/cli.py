"""The command line: ``python -m rprop_ref demo`` and others."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from . import __version__

BLAS_THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parser = argparse.ArgumentParser(prog="rprop_ref", description="Rprop for NumPy and Numba.")
    parser.add_argument("--version", action="version", version=f"rprop_ref {__version__}")
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

    bench = commands.add_parser(
        "bench",
        help="bits and speed on the GPU of this machine",
        description="Compare bits with the CPU, and measure steps on the GPU: bytes per second over a copy, and, "
        "where torch is installed, ratios to torch.optim.Rprop. Takes less than eight minutes.",
    )
    bench.add_argument("--cuda", action="store_true", required=True, help="on an NVIDIA GPU")
    bench.add_argument("--tiny", action="store_true", help="with few and small arrays, to try the script itself")
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

    return bench.main(bench.TINY if arguments.tiny else None)


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
