"""A time limit for a part of the benchmark, and for all of it."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import sys
from collections.abc import Iterator
from typing import Any


class OutOfTimeError(BaseException):
    """The time limit was reached. Not an Exception, so that no library mistakes it for an error of its own."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` in the block after some seconds; on Windows, which has no such signal, never."""
    try:
        _set_alarm(seconds)
        yield
    finally:
        _set_alarm(0)


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _raise)
        # It repeats, since an exception is lost if Python happens to be in a finalizer.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)


def _raise(*args: Any) -> None:
    raise OutOfTimeError


@contextlib.contextmanager
def exit_after(seconds: float) -> Iterator[None]:
    """End the process if the block takes longer, even if it hangs in code that never sees a signal."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
