"""The command line of the referee, ``python -m rprop_ref crosscheck``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from contextlib import ExitStack, redirect_stdout
from typing import Any

from .. import rules
from . import COMPOSITIONS, PROFILES, check, closest_profiles, export, profile, published
from ._cases.dtypes import COMPLEX, REALS
from ._comparison.comparison import FAILED
from ._comparison.divergence import Divergence
from ._comparison.observe import CouldNotRun, Factory, one_line
from .conformance_vectors import release
from .protocol import Program

AGREES, DIFFERS, COULD_NOT_RUN = 0, 1, 2

DESCRIPTION = """\
Run an implementation of Rprop on every case, compare it with a rule to the bit, and name what differs.
Exit status: 0 if it agrees, 1 if it differs, 2 if it could not be run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "factory",
        nargs="?",
        metavar="MODULE:FACTORY",
        help="a Python factory(x0, *, lr, etas, step_sizes, maximize)",
    )
    what.add_argument("--cmd", metavar="COMMAND", help="a program that speaks JSON lines (docs/crosscheck.md)")
    what.add_argument("--profile", choices=sorted(PROFILES), help="the profile of a published implementation")
    what.add_argument("--export", metavar="DIR", help="only write conformance vectors to a folder")
    what.add_argument(
        "--release", metavar="DIR", help="only write the released vectors of all rules, and their checksums"
    )
    what.add_argument(
        "--published", action="store_true", help="only print what published implementations compute, in Markdown"
    )
    parser.add_argument(
        "--claim",
        choices=list(COMPOSITIONS),
        help="the rule (default: the nearest of the five, found by experiments; with --export: irprop-)",
    )
    parser.add_argument("--dtypes", type=_list, metavar="A,B", help=f"of {', '.join((*REALS, *COMPLEX))}")
    parser.add_argument(
        "--without",
        type=_list,
        default=(),
        metavar="A,B",
        help="what it does not have: maximize, nan, prev ...",
    )
    parser.add_argument(
        "--ulps", type=float, default=0, metavar="K", help="accept rounding differences of up to K ulps"
    )
    parser.add_argument(
        "--random", type=int, default=100, metavar="N", help="number of random cases (default: 100)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random cases (default: 0)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=10,
        metavar="S",
        help="with --cmd: seconds to wait for an answer",
    )
    parser.add_argument(
        "--like", action="store_true", help="also list the published implementations that behave like it"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the report as JSON")
    output.add_argument("--html", action="store_true", help="print the report as HTML")


def run(arguments: argparse.Namespace) -> int:
    """Run the command, and return the exit status."""
    try:
        if arguments.export is not None or arguments.release is not None:
            return _exported(arguments)
        if arguments.published:
            print(published.page(published.published_rows()), end="")
            return AGREES
        with ExitStack() as stack:
            return _checked(arguments, stack)
    except (CouldNotRun, ValueError) as error:
        print(f"rprop_ref: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    except Exception:
        # An error of ours does not mean that the implementation differs.
        traceback.print_exc()
        return COULD_NOT_RUN


def _exported(arguments: argparse.Namespace) -> int:
    option, folder = ("export", arguments.export) if arguments.release is None else ("release", arguments.release)
    if not folder:
        raise ValueError(f"--{option} needs the name of a folder")
    try:
        files = (
            export(folder, arguments.claim or rules.DEFAULT, arguments.dtypes)
            if option == "export"
            else release(folder)
        )
    except OSError as error:
        raise CouldNotRun(f"cannot write to {folder}: {error.strerror}") from None
    for file in files:
        print(file)
    return AGREES


def _checked(arguments: argparse.Namespace, stack: ExitStack) -> int:
    page = arguments.json or arguments.html
    if page and arguments.like:
        raise ValueError("--like adds to the report as text; leave it out with --json and --html")
    if not arguments.ulps >= 0:
        raise ValueError(f"--ulps {arguments.ulps:g} should be a number, 0 or larger")
    options: dict[str, Any] = {"dtypes": arguments.dtypes, "without": arguments.without}
    # What the implementation prints must not end up in the JSON or HTML.
    with redirect_stdout(sys.stderr if page else sys.stdout):
        factory, line = _implementation(arguments, stack)
        report = check(
            factory,
            arguments.claim,
            random=arguments.random,
            seed=arguments.seed,
            on_divergence=None if page else _announce,
            **options,
        )
    report.factory = line
    if arguments.json:
        print(report.to_json())
    elif arguments.html:
        print(report.to_html())
    else:
        print(report, end="")
        if arguments.like:
            print("\nPublished implementations that behave like it:")
            for name, matched, scripts in closest_profiles(factory, **options)[:5]:
                print(f"  {name:<16} {matched} of {scripts} scripts")
    if report.verdict == FAILED:
        return COULD_NOT_RUN
    return AGREES if report.agrees_within(arguments.ulps) else DIFFERS


def _implementation(arguments: argparse.Namespace, stack: ExitStack) -> tuple[Factory, str]:
    """The factory, and the line of Python that defines it."""
    if arguments.cmd is not None:
        program = stack.enter_context(Program(arguments.cmd, arguments.timeout))
        timeout = "" if arguments.timeout == 10 else f", timeout={arguments.timeout:g}"
        line = f"from rprop_ref.crosscheck import Program; factory = Program({arguments.cmd!r}{timeout})"
        return program, line
    if arguments.profile is not None:
        line = f'from rprop_ref.crosscheck import profile; factory = profile("{arguments.profile}")'
        return profile(arguments.profile), line
    module, _, name = arguments.factory.partition(":")
    return _loaded(arguments.factory), f"import {module}; factory = {module}.{name}"


def _announce(divergence: Divergence) -> None:
    print(f"It differs: {divergence}\nSearching for an explanation ...", file=sys.stderr, flush=True)


def _loaded(target: str) -> Factory:
    module, _, name = target.partition(":")
    if not (module and name):
        raise ValueError(f"{target!r} should be MODULE:FACTORY, such as my_package.rprop:make")
    if module.endswith(".py"):
        raise ValueError(f"{target!r} should begin with a module, such as my_package.rprop, not with a file")
    sys.path.insert(0, os.getcwd())
    try:
        target_object: Any = importlib.import_module(module)
        for part in name.split("."):
            target_object = getattr(target_object, part)
    except (ImportError, AttributeError) as error:
        raise CouldNotRun(f"cannot load {target}: {error}") from None
    except (Exception, SystemExit) as error:  # raised by the module itself
        raise CouldNotRun(f"cannot load {target}: {one_line(error)}") from None
    if not callable(target_object):
        raise CouldNotRun(f"{target} is not callable")
    factory: Factory = target_object
    return factory


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
