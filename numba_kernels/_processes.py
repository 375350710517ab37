"""Whether this process may start threads in a kernel. Imports nothing, so that it can be asked early."""

from __future__ import annotations

import os
import sys


def _is_a_worker_that_inherited_numba() -> bool:
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None and "numba" in sys.modules


#: True in a process that was forked: OpenMP, if its threads had been started before, ends a process that enters a
#: parallel kernel after a fork. Where this is imported only after the fork, the guess errs on the safe side.
forked = _is_a_worker_that_inherited_numba()


def _note_fork() -> None:
    global forked
    forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
