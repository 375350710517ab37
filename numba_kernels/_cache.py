"""Compiled kernels, kept on disk, and tied there to the sources they were made from.

Numba's ``cache=True`` looks at the kernel's own file only: after an edit of a function that the kernel calls, or
with other compile flags, the old machine code would run. It fails where that file cannot be read, as in a zip, or
where one of its own files is damaged. So kernels have a cache of their own, which is valid for one digest of all
modules that they can be made from. Each kernel closes over a string with its flags, since the *closure cells* of a
function are part of the key under which Numba files it.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import caching, serialize

from numba_kernels import _disk
from numba_kernels._disk import DIGEST as DIGEST
from numba_kernels._flags import quicken
from numba_kernels._parts import PartCompiler
from rprop_ref import rules

Made = TypeVar("Made")

#: The flag of functions that make no arrays, and so need not count references to them.
NO_COUNTS: dict[str, Any] = {"_nrt": False}

_lock = threading.RLock()


def inner(text: Callable[..., Any] | None = None, **flags: Any) -> Any:
    """Compile a function that only compiled code calls, and that makes no arrays.

    Without the wrappers for calls from Python, and without reference counts, ``numba.njit`` takes half as long.
    With the compiler of `_parts`, it takes even less. Called from Python, such a function ends the process.

    Each gets a name of its own. Machine code is linked by the names of functions, which Numba only numbers, in
    each process from 1: of two kernels from disk, one would otherwise call the functions of the other, which have
    the same name and number but may be of another rule.
    """
    if text is not None:
        text.__qualname__ += f"_{uuid.uuid4().hex}"
    no_wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    options: dict[str, Any] = {"pipeline_class": PartCompiler, **no_wrappers, **NO_COUNTS, **flags}
    return quicken(numba.njit(**options)(text)) if text is not None else functools.partial(inner, **flags)


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
    """Compile a kernel for one rule: ``numba.njit``, kept on disk if there is a folder for it.

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
    is_shipped = any(rule is shipped for shipped in rules.SHIPPED)
    if not is_shipped:
        function.__qualname__ += f"_{uuid.uuid4().hex}"  # see `inner`
    kernel = quicken(numba.njit(**{"nogil": True, "error_model": "numpy", **flags})(function))
    # The digest covers the sources of no other rule.
    if is_shipped and _disk.folder() is not None:
        kernel._cache = KernelCache(function)  # as `enable_caching` does with Numba's
    return kernel


class _Locator(caching._CacheLocator):
    """Files every kernel in `_disk.folder`."""

    def __init__(self, file: str) -> None:
        self._py_file = file

    def get_cache_path(self) -> str:
        return str(_disk.folder())

    def get_source_stamp(self) -> str:
        return DIGEST

    def get_disambiguator(self) -> str:
        return "kernel"

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_file)


class _Contents(caching.CompileResultCacheImpl):
    """What is filed: the compiled kernel and its checksum, because damaged machine code would be executed."""

    _locator_classes: Any = (_Locator,)

    def reduce(self, cres: Any) -> tuple[str, bytes]:
        content = serialize.dumps(super().reduce(cres))
        return hashlib.sha256(content).hexdigest(), content

    def rebuild(self, target_context: Any, filed: tuple[str, bytes]) -> Any:
        checksum, content = filed
        if hashlib.sha256(content).hexdigest() != checksum:
            raise ValueError("the file is damaged")
        return super().rebuild(target_context, pickle.loads(content))


class KernelCache(caching.FunctionCache):
    """Kernels on disk. What cannot be read is compiled and written again; what cannot be written is left out.

    Attributes
    ----------
    is_filed : bool
        Whether everything that was asked for has been found on disk, or has been written there.
    """

    _impl_class = _Contents
    is_filed = True

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling damaged data may raise anything
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            try:
                super().save_overload(sig, data)
            except Exception:  # the index, which is read first, may be damaged
                self.flush()
                super().save_overload(sig, data)
        except Exception:  # a full disk, for instance
            self.is_filed = False
