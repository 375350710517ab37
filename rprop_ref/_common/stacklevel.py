"""Where a warning should point: at the line outside the library that made the call."""

from __future__ import annotations

import inspect


def stacklevel() -> int:
    """The ``stacklevel`` for a warning given by the function that calls this one."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] in ("rprop_ref", "scipy"):
        frame = frame.f_back
        level += 1
    return level
