"""The referee: is this Rprop right, and if not, where does it part from the rule, and which mistake is it?

`check` runs an implementation, given as a factory, on some three hundred cases, and compares every bit with one
of the five rules. What differs is explained by a search through known deviations. ``docs/crosscheck.md`` is the
guide.
"""

from __future__ import annotations

from ._check import assert_conforms, check, closest_profiles
from .adapters import from_compiled_torch, from_opencv, from_optax, from_paddle, from_pints, from_torch
from .cases import Case
from .collection import catalogue
from .deviations import CATALOGUE, RULES
from .observe import CouldNotRun, Divergence
from .profiles import PROFILES, mutant, profile, profiles
from .protocol import Program
from .report import Report
from .stages import Alternative
from .tracing import trace
from .vectors import export

__all__ = [
    "CATALOGUE",
    "PROFILES",
    "RULES",
    "Alternative",
    "Case",
    "CouldNotRun",
    "Divergence",
    "Program",
    "Report",
    "assert_conforms",
    "catalogue",
    "check",
    "closest_profiles",
    "export",
    "from_compiled_torch",
    "from_opencv",
    "from_optax",
    "from_paddle",
    "from_pints",
    "from_torch",
    "mutant",
    "profile",
    "profiles",
    "trace",
]
