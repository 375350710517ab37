"""``python -m rprop_ref crosscheck``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from contextlib import ExitStack, redirect_stdout
from typing import Any

from . import PROFILES, RULES, check, closest_profiles, profile
from .cases import COMPLEX, REALS
from .observe import CouldNotRun, Divergence, Factory, in_a_line
from .protocol import Program
from .report import FAILED
from .vectors import export

AGREES, DIFFERS, COULD_NOT_RUN = 0, 1, 2

DESCRIPTION = """\
Run an implementation of Rprop on every case, compare it with a rule to the bit, and name what it does otherwise.
Exit status: 0 it agrees, 1 it differs, 2 it could not be run.
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
    what.add_argument(
        "--profile", choices=sorted(PROFILES), help="a published implementation, as it is known here"
    )
    what.add_argument("--export", metavar="DIR", help="write conformance vectors, and run nothing")
    parser.add_argument("--claim", choices=list(RULES), default="irprop-", help="the rule (default: irprop-)")
    parser.add_argument("--dtypes", type=_list, metavar="A,B", help=f"of {', '.join((*REALS, *COMPLEX))}")
    parser.add_argument(
        "--without", type=_list, default=(), metavar="A,B", help="what it does not have: maximize, nan, prev ..."
    )
    parser.add_argument(
        "--ulps", type=float, default=0, metavar="K", help="accept rounding that differs by K ulps"
    )
    parser.add_argument(
        "--random", type=int, default=100, metavar="N", help="cases drawn at random (default: 100)"
    )
    parser.add_argument("--seed", type=int, default=0, help="for these")
    parser.add_argument(
        "--timeout", type=float, default=10, metavar="S", help="seconds an answer may take, with --cmd"
    )
    parser.add_argument(
        "--like", action="store_true", help="also say which published implementations behave like it"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the report as JSON")
    output.add_argument("--html", action="store_true", help="print the report as HTML")


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say, and return the exit status."""
    try:
        if arguments.export is not None:
            return _exported(arguments)
        with ExitStack() as stack:
            return _checked(arguments, stack)
    except (CouldNotRun, ValueError) as error:
        print(f"rprop_ref: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    except Exception:
        # Whatever it is, it does not mean that the implementation differs.
        traceback.print_exc()
        return COULD_NOT_RUN


def _exported(arguments: argparse.Namespace) -> int:
    if not arguments.export:
        raise ValueError("--export should name a folder")
    try:
        for file in export(arguments.export, arguments.claim, arguments.dtypes):
            print(file)
    except OSError as error:
        raise CouldNotRun(f"cannot write to {arguments.export}: {error.strerror}") from None
    return AGREES


def _checked(arguments: argparse.Namespace, stack: ExitStack) -> int:
    options: dict[str, Any] = {"dtypes": arguments.dtypes, "without": arguments.without}
    page = arguments.json or arguments.html
    if page and arguments.like:
        raise ValueError("--like goes with the report as text, not with --json or --html")
    if not arguments.ulps >= 0:
        raise ValueError(f"--ulps {arguments.ulps:g} should be 0 or a larger number")
    factory: Factory
    # What an implementation prints is no part of a page.
    with redirect_stdout(sys.stderr if page else sys.stdout):
        if arguments.cmd is not None:
            factory = program = stack.enter_context(Program(arguments.cmd, arguments.timeout))
            options["dtypes"] = program.dtypes if arguments.dtypes is None else arguments.dtypes
            options["without"] = (*arguments.without, *program.lacks)
            wait = "" if arguments.timeout == 10 else f", timeout={arguments.timeout:g}"
            line = f"from rprop_ref.crosscheck import Program; factory = Program({arguments.cmd!r}{wait})"
        elif arguments.profile is not None:
            factory = profile(arguments.profile)
            line = f'from rprop_ref.crosscheck import profile; factory = profile("{arguments.profile}")'
        else:
            factory = _loaded(arguments.factory)
            module, _, name = arguments.factory.partition(":")
            line = f"import {module}; factory = {module}.{name}"
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
            print("\nWho behaves like it:")
            for name, matched, scripts in closest_profiles(factory, **options)[:5]:
                print(f"  {name:<16} {matched} of {scripts} scripts")
    if report.verdict == FAILED:
        return COULD_NOT_RUN
    return AGREES if report.agrees_within(arguments.ulps) else DIFFERS


def _announce(found: Divergence) -> None:
    print(f"It differs: {found}\nLooking for the reason ...\n", flush=True)


def _loaded(target: str) -> Factory:
    module, _, name = target.partition(":")
    if not (module and name):
        raise ValueError(f"{target!r} should be MODULE:FACTORY, such as my_package.rprop:make")
    if module.endswith(".py"):
        raise ValueError(f"{target!r} should begin with the name of a module, such as my_package.rprop, no file")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise CouldNotRun(f"cannot load {target}: {error}") from None
    except (Exception, SystemExit) as error:  # the module's own
        raise CouldNotRun(f"cannot load {target}: {in_a_line(error)}") from None
    if not callable(found):
        raise CouldNotRun(f"{target} is not callable")
    loaded: Factory = found
    return loaded


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
