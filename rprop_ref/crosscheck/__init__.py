"""The referee: is this Rprop right? If not, where does it first differ from the rule, and which mistake is it?

`check` runs an implementation, given as a factory, on some three hundred cases, and compares every bit with one
of the five rules. If something differs, it searches for the known deviations that explain it.
``docs/crosscheck.md`` is the guide.
"""

from __future__ import annotations

from ._adapters.frameworks import from_optax, from_paddle
from ._adapters.networks import from_fann, from_opencv
from ._adapters.numerical import from_climin, from_pints, from_pybop
from ._adapters.pytorch import from_compiled_torch, from_torch, from_torchzero
from ._cases.case import Case
from ._cases.conformance import conformance_cases
from ._comparison.divergence import Divergence
from ._comparison.observe import CouldNotRun
from ._experiments.result import Decompiled
from ._report.report import Report
from ._stages.compositions import COMPOSITIONS
from ._stages.deviations import DEVIATIONS
from ._stages.stages import Alternative
from ._table.rule import Rule
from .checking import assert_conforms, check, closest_profiles
from .conformance_vectors import export
from .decompiling import decompile
from .profiles import PROFILES, mutant, profile, profiles
from .protocol import Program
from .tracing import trace

__all__ = [
    "COMPOSITIONS",
    "DEVIATIONS",
    "PROFILES",
    "Alternative",
    "Case",
    "CouldNotRun",
    "Decompiled",
    "Divergence",
    "Program",
    "Report",
    "Rule",
    "assert_conforms",
    "check",
    "closest_profiles",
    "conformance_cases",
    "decompile",
    "export",
    "from_climin",
    "from_compiled_torch",
    "from_fann",
    "from_opencv",
    "from_optax",
    "from_paddle",
    "from_pints",
    "from_pybop",
    "from_torch",
    "from_torchzero",
    "mutant",
    "profile",
    "profiles",
    "trace",
]
