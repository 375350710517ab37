"""Flags of a compilation that are quickly hashed and compared.

Numba looks up the implementation of each operator by keys that hold the flags of the compilation, thousands of
times for a kernel. All its flags have the same hash, so that it compares them, option by option, with those of
every other function that was compiled, which takes a quarter of the time of compiling a kernel.
"""

from __future__ import annotations

from typing import Any

from numba.core import compiler


class Flags(compiler.Flags):
    """Numba's flags, equal to others of this class in which the same options are set, and hashed by these.

    The class is called like Numba's, since the names of compiled functions hold that.
    """

    __slots__ = ("_hash", "_hashed")

    def __init__(self, copy_from: compiler.Flags | None = None) -> None:
        super().__init__(copy_from)  # type: ignore[no-untyped-call]
        self._hash, self._hashed = 0, dict[str, Any]()

    def __hash__(self) -> int:
        if self._hash == 0 or self._hashed != self._values:
            self._hash, self._hashed = hash(str(sorted(self._values.items()))), dict(self._values)
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Flags) and bool(self._values == other._values)


def quicken(function: Any) -> Any:
    """Let a function be compiled with these flags, unless the JIT is disabled, and return it."""
    made_by: Any = getattr(function, "_compiler", None)
    if hasattr(made_by, "_customize_flags"):
        made_by._customize_flags = Flags
    return function
