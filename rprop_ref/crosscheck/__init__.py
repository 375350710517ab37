"""The referee: is this Rprop right, and if not, where does it part from the rule, and which mistake is it?

`check` runs an implementation, given as a factory, on some two hundred cases and compares every bit with one of the
five rules. What differs is explained by a search through known deviations. ``docs/crosscheck.md`` is the guide.
"""

from __future__ import annotations

from ._check import assert_conforms, check
from .cases import Case, catalogue
from .deviations import CATALOGUE, RULES
from .observe import Divergence
from .report import Report
from .stages import Alternative

__all__ = [
    "CATALOGUE",
    "RULES",
    "Alternative",
    "Case",
    "Divergence",
    "Report",
    "assert_conforms",
    "catalogue",
    "check",
]
