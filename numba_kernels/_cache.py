"""The stamp that ties compiled code on disk to the sources it was made from.

Numba's ``cache=True`` looks at the kernel's own file only: after an edit of a function that the kernel calls, or
with other compile flags, the old machine code would run. But the *closure cells* of a function are part of the
key under which Numba files it. So every kernel here closes over a string with a digest of all files that it can
be made from; after an edit of any of them the kernel is compiled once, and found on disk from then on.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from rprop_ref import _core, rules

Made = TypeVar("Made")

_FOLDERS = Path(_core.__file__).parent, Path(__file__).parent
_SOURCES = (Path(rules.__file__), *(source for folder in _FOLDERS for source in sorted(folder.glob("*.py"))))


def _digest() -> str:
    digest = hashlib.sha256()
    for source in _SOURCES:
        text = source.read_bytes()
        digest.update(f"{source.name} {len(text)}\n".encode() + text)
    return digest.hexdigest()


#: SHA-256 of the sources, with their names, as 64 hexadecimal digits.
DIGEST = _digest()

_lock = threading.RLock()


def inner(text: Callable[..., Any] | None = None, **flags: Any) -> Any:
    """Compile a function that only compiled code calls: ``numba.njit`` without the wrappers for calls from Python.

    Making the wrappers would take a third of the time. Called from Python, such a function ends the process.
    """
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **flags}
    return numba.njit(**options)(text) if text is not None else numba.njit(**options)


def made_once(make: Callable[..., Made]) -> Callable[..., Made]:
    """`functools.cache` for what takes long to make: threads that ask at the same time wait for one of them."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def get(*arguments: Any) -> Made:
        with _lock:
            return cached(*arguments)

    return get


def bound(text: Callable[..., Any], names: dict[str, Any]) -> types.FunctionType:
    """A copy of a function with some of its globals replaced."""
    return types.FunctionType(text.__code__, {**text.__globals__, **names}, text.__name__, None, text.__closure__)


def kernel_of(rule: rules.Rule, text: Callable[..., Any], names: dict[str, Any], **flags: Any) -> Any:
    """Compile a kernel for one rule: ``numba.njit``, cached on disk if the folder of the cache is writable.

    Parameters
    ----------
    rule : Rule
    text : function
        The kernel. It closes over a stamp that names everything its machine code depends on.
    names : dict
        Globals to replace: functions that were compiled for the rule. (Do not close over these: what a closure
        holds is part of the key, which would then differ between processes.)
    **flags
        Of ``numba.njit``.
    """
    function = bound(text, names)
    # Numba names the file on disk after it.
    function.__qualname__ = f"{text.__name__}_{rule.name}"
    options = {"nogil": True, "error_model": "numpy", **flags}
    if any(rule is shipped for shipped in rules.SHIPPED):  # the stamp covers the sources of no other
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # there is no folder to write to
            pass
    return numba.njit(**options)(function)
