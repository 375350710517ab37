"""Python's cyclic garbage collector, which compilations do better without. Imports nothing else."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Without the collector, if it is enabled.

    A compilation makes very many objects that stay. The collector looks through all of them again and again, for a
    tenth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
