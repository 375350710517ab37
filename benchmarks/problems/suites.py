"""The suites: which problems each has, and how one is loaded."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import nist
from . import bbob, cutest, mgh, nist_runs
from .problem import Problem


@dataclass(frozen=True)
class Suite:
    """A suite: a title, the names of its problems, and how one is loaded; `missing` says why none can be."""

    title: str
    names: Callable[[], Sequence[str]]
    load: Callable[[str, str], Problem]
    missing: Callable[[], str | None]


def _no_nist() -> str | None:
    return "NIST_STRD_DIR is unset" if nist.folder() is None else None


SUITES: dict[str, Suite] = {
    "cutest-unconstrained": Suite(
        "CUTEst, without bounds, n <= 100", lambda: cutest.UNCONSTRAINED, cutest.load, cutest.missing
    ),
    "cutest-bounded": Suite("CUTEst, with bounds, n <= 100", lambda: cutest.BOUNDED, cutest.load, cutest.missing),
    "cutest-large": Suite("CUTEst, n >= 1000", lambda: cutest.LARGE, cutest.load, cutest.missing),
    "mgh": Suite("Moré, Garbow and Hillstrom's 35", mgh.names, mgh.load, lambda: None),
    "nist": Suite("NIST's 54 runs", nist_runs.names, nist_runs.load, _no_nist),
    "bbob": Suite("BBOB, values only, 2 to 20 variables", bbob.names, bbob.load, bbob.missing),
    "bbob-noisy": Suite(
        "BBOB with noise, values only, 2 to 20 variables", bbob.noisy_names, bbob.load_noisy, bbob.missing
    ),
}


#: Defaults are chosen on the one, and reported on the other.
HALVES = ("choosing", "reporting")


def half(name: str) -> str:
    """The half that a problem belongs to."""
    return HALVES[zlib.crc32(name.encode()) % 2]
