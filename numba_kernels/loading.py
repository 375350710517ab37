"""Kernels made ready before they are called, at once or beside a run that goes on with NumPy.

`make` does it at once. `ready` does it beside the run:

* A kernel that is on disk is loaded by a thread, which takes some tenths of a second. The run is slowed down
  meanwhile, since the two share Python's lock, but it does not stand still.
* A kernel that is not is compiled first, by another process, because in a thread that would slow the run down to
  half for as long as ten seconds. The process has a low priority and leaves the kernel on disk.

The process is ended when no run has asked for the kernel for a while, when the interpreter ends, or when this
process is killed. A fork waits for the thread if it is loading; so the child has no lock that nobody releases.

Nothing is imported here before it is needed, neither Numba nor what starts processes.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numba_kernels import _collector
from rprop_ref.rules import RULES, SHIPPED, Rule

if TYPE_CHECKING:
    import subprocess


class Kernel(NamedTuple):
    """What a run calls.

    Attributes
    ----------
    kind : {"flat", "iterate", "loop", "many_runs"}
        The module of `numba_kernels`.
    rule : Rule
    dtype : numpy.dtype
        float32 or float64.
    bits : int
        The number of bits in the number of elements, if the kernel depends on it.
    read_only : bool
        Whether it is given gradients that are read-only arrays.
    """

    kind: str
    rule: Rule
    dtype: np.dtype[Any]
    bits: int
    read_only: bool


_made: set[Kernel] = set()


def jit_is_disabled() -> bool:
    """Whether Numba runs everything as Python (``NUMBA_DISABLE_JIT``), for debugging."""
    try:
        config = getattr(sys.modules.get("numba"), "config", None)
        is_disabled = bool(getattr(config, "DISABLE_JIT", 0))
    except Exception:  # a broken Numba may raise anything; `make` will tell
        is_disabled = False
    return is_disabled or os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def make(kernel: Kernel) -> None:
    """Load Numba and a kernel, compiling it if it is not on disk. Whatever goes wrong is raised."""
    if kernel in _made:
        return
    from numba_kernels import _disk

    with _collector.paused():
        module = importlib.import_module(f"numba_kernels.{kernel.kind}")
        parts = module.compile_for(kernel.rule, kernel.dtype, (1 << kernel.bits) - 1, kernel.read_only)
    if all(getattr(part._cache, "is_filed", False) for part in parts):
        _disk.mark(_name(kernel))
    _made.add(kernel)


def is_made(kernel: Kernel) -> bool:
    """Whether a kernel can be called without compiling."""
    return kernel in _made


def _name(kernel: Kernel) -> str:
    return f"{kernel.kind} {kernel.rule.name} {kernel.dtype} {kernel.bits} {kernel.read_only}"


# ---------------------------------------------------------------------------------------------------------------
# Beside a run

# What the thread is to make, in this order, and what it could not make.
_wanted: dict[Kernel, None] = {}
_errors: dict[Kernel, BaseException] = {}
_thread: threading.Thread | None = None
_lock = threading.Lock()

# Held while the thread imports and compiles, and during a fork.
_loading = threading.RLock()

#: Seconds without a question after which nobody seems to want the kernel any more. If somebody asks again, the
#: next process is given twice as long.
PATIENCE = 1.0

#: Seconds for which a run pauses in each question while the thread is busy. Whoever reads files gives Python's
#: lock away each time, and a run that never does so would let the thread have it two hundred times a second.
PAUSE = 5e-5

_busy = False

#: Seconds that a fork waits at most, in case that the thread waits for something that the fork holds.
FORK_TIMEOUT = 30.0

_patience = PATIENCE
_last_question = 0.0


def ready(kernel: Kernel) -> bool:
    """Whether a kernel has been made. If it has not, it is being made from now on, and this returns at once.

    If making it failed, `error` returns the reason, and nothing more is tried.
    """
    global _last_question, _thread
    if kernel in _made:
        return True
    if _busy:
        time.sleep(PAUSE)
    _last_question = time.monotonic()
    if kernel not in _wanted and kernel not in _errors:
        _let_forks_wait()
        with _lock:
            _wanted[kernel] = None
            if _thread is None:
                # Not a daemon: the interpreter must not end while LLVM is in the middle of something.
                _thread = threading.Thread(target=_work, name="rprop_ref loads Numba", daemon=False)
                try:
                    _thread.start()
                except RuntimeError as error:  # there are too many threads, or the interpreter is ending
                    _thread = None
                    del _wanted[kernel]
                    _errors[kernel] = error
    return False


def error(kernel: Kernel) -> BaseException | None:
    """What went wrong when a kernel was made beside a run."""
    return _errors.get(kernel)


def _work() -> None:
    """Make what is wanted."""
    global _busy, _thread
    while True:
        with _lock:
            kernel = next(iter(_wanted), None)
            _busy = kernel is not None
            if kernel is None or not threading.main_thread().is_alive():
                _thread = None
                return
        try:
            if _is_on_disk(kernel) or _compile_in_process(kernel):
                with _loading:
                    if not jit_is_disabled():
                        make(kernel)
        except BaseException as error:  # an import hook may raise anything
            _errors[kernel] = error
        with _lock:
            del _wanted[kernel]


def _is_on_disk(kernel: Kernel) -> bool:
    with _loading:
        from numba_kernels import _disk

        return _disk.is_marked(_name(kernel))


def _compile_in_process(kernel: Kernel) -> bool:
    """Have another process compile a kernel and leave it on disk, if possible. False if nobody waits any more.

    An error of the process does not matter: if the kernel is not on disk then, loading it will compile it, or meet
    the same error. But what crashes the process, such as a broken library, is not tried in this one.
    """
    global _busy, _patience
    with _loading:
        process = _started_process(kernel)
    if process is None:
        return True
    with process:
        _busy = False
        while process.poll() is None:
            time.sleep(0.02)
            is_idle = time.monotonic() - _last_question > _patience
            if is_idle or not threading.main_thread().is_alive():
                process.kill()
                _patience *= 2
                return False
        _busy = True
    if process.returncode < 0:
        raise RuntimeError(f"the process that compiled was ended by signal {-process.returncode}")
    return True


def _started_process(kernel: Kernel) -> subprocess.Popen[bytes] | None:
    """The process that compiles a kernel, or None if there cannot be one."""
    import json
    import subprocess

    from numba_kernels import _disk

    folder = _disk.folder() or _disk.use_temporary_folder()
    python = _interpreter()
    if folder is None or python is None or not any(kernel.rule is shipped for shipped in SHIPPED):
        return None
    kind, rule, dtype, bits, read_only = kernel
    path = json.dumps([p for p in sys.path if isinstance(p, str)])
    arguments = json.dumps([str(folder), kind, rule.name, str(dtype), bits, read_only])
    try:
        return subprocess.Popen(
            [python, "-c", _PROGRAM, path, arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, ValueError):  # no process may be started, or there is an odd character in a path
        return None


def _interpreter() -> str | None:
    """The program that runs Python; None if that is an application, of which no second one may be started."""
    name = os.path.basename(sys.executable or "").lower()
    return sys.executable if name.startswith(("python", "pypy")) and not hasattr(sys, "frozen") else None


_PROGRAM = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the run
sys.path[:] = json.loads(sys.argv[1])
from numba_kernels import loading
loading.compile_for_another_process(*json.loads(sys.argv[2]))
"""


def compile_for_another_process(
    folder: str, kind: str, variant: str, dtype: str, bits: int, read_only: bool
) -> None:
    """What the other process does."""
    from numba_kernels import _disk

    if hasattr(os, "nice"):
        # With one processor, a twelfth of the time. With several, more: if all were busy, it would get none.
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        os.nice(11 if processors == 1 else 2)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _disk.use(folder)
    make(Kernel(kind, RULES[variant], np.dtype(dtype), bits, read_only))
    os._exit(0)  # the other thread cannot be ended


def _exit_with_parent() -> None:
    os.read(0, 1)  # returns when the parent is gone
    os._exit(1)


# ---------------------------------------------------------------------------------------------------------------
# Forks

_waits = False


@functools.cache
def _let_forks_wait() -> None:
    """Make each fork wait for the thread, so that the child has no lock that nobody releases."""
    # These modules hold a lock of theirs during a fork, and importing Numba takes it. So our lock must come first:
    # what is registered last is called first.
    importlib.import_module("logging")
    importlib.import_module("concurrent.futures.thread")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_begin_again)


def _wait() -> None:
    global _waits
    _waits = _loading.acquire(timeout=FORK_TIMEOUT)


def _go_on() -> None:
    if _waits:
        _loading.release()


def _begin_again() -> None:
    """Forget the thread, which a forked child does not have."""
    global _busy, _thread, _lock
    _go_on()
    _busy, _thread, _lock = False, None, threading.Lock()
    _wanted.clear()
