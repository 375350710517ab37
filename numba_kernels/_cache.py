"""The stamp that ties compiled code on disk to the sources it was made from.

Numba's ``cache=True`` looks at the file of the kernel alone: an edit of a function that the kernel calls,
or other compile flags, go unnoticed, and the old machine code runs. But the *closure cells* of a function
are part of the key under which Numba files it. So every kernel here closes over a string that names the
contents of all files that can end up in it; after an edit of any of them the kernel is compiled once, and
found on disk from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from rprop_ref import _core, rules

_FOLDERS = Path(_core.__file__).parent, Path(__file__).parent
_SOURCES = (Path(rules.__file__), *(source for folder in _FOLDERS for source in sorted(folder.glob("*.py"))))

#: SHA-256 of the sources, as 64 hexadecimal digits.
DIGEST = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()


def kernel(**flags: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorator of the kernels: ``numba.njit``, cached on disk where there is a place to write to."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options = {"nogil": True, "error_model": "numpy", **flags}
        try:
            compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder for the cache: compiled in every process, then
            compiled = numba.njit(**options)(function)
        return compiled

    return decorate
