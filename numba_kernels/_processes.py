"""Whether this process may start threads in a kernel. Imports nothing, so that it can be asked early."""

from __future__ import annotations

import os
import sys


def _is_a_worker_that_inherited_numba() -> bool:
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None and "numba" in sys.modules


#: Whether this process was forked. If OpenMP's threads had been started before the fork, OpenMP kills a process
#: that enters a parallel kernel after it. If this module is imported only after the fork, the answer may be a
#: false yes.
forked = _is_a_worker_that_inherited_numba()


def _set_forked() -> None:
    global forked
    forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_set_forked)
