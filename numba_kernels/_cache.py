"""The stamp that ties compiled code on disk to the sources it was made from.

Numba's ``cache=True`` looks at the kernel's own file only: after an edit of a function that the kernel calls, or
with other compile flags, the old machine code would run. But the *closure cells* of a function are part of the
key under which Numba files it. So every kernel here closes over a string with a digest of all files that it can
be made from; after an edit of any of them the kernel is compiled once, and found on disk from then on.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from rprop_ref import _core, rules

_FOLDERS = Path(_core.__file__).parent, Path(__file__).parent
_SOURCES = (Path(rules.__file__), *(source for folder in _FOLDERS for source in sorted(folder.glob("*.py"))))

#: SHA-256 of the sources, as 64 hexadecimal digits.
DIGEST = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()


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
    function.__qualname__ = f"{text.__name__}_{rule.make.__name__}"
    options = {"nogil": True, "error_model": "numpy", **flags}
    if rule.make.__module__ == rules.__name__:  # the stamp covers these sources only
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # there is no folder to write to
            pass
    return numba.njit(**options)(function)
