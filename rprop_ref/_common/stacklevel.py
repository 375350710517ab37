"""`stacklevel`: makes a warning point at the line outside the library that made the call."""

from __future__ import annotations

import inspect


def stacklevel() -> int:
    """Return the ``stacklevel`` for a warning that the caller of this function gives."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] in ("rprop_ref", "scipy"):
        frame = frame.f_back
        level += 1
    return level
