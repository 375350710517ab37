"""Where kernels are kept on disk, and what they were made from. Imports no Numba, so it can be asked early."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numba_kernels
from rprop_ref import _core


def _digest() -> str:
    """SHA-256 of all modules that kernels are made from; "" if their bytes cannot be read.

    The loaders are asked, because there are packages without source files: in a zip, or compiled only.
    """
    names = ["rprop_ref.rules"]
    for package in (_core, numba_kernels):
        modules = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        if not modules:
            return ""
        names += [f"{package.__name__}.{module}" for module in modules]
    digest = hashlib.sha256()
    try:
        for name in names:
            spec: Any = importlib.util.find_spec(name)
            content = spec.loader.get_data(spec.origin)
            digest.update(f"{name} {len(content)}\n".encode() + content)
    except Exception:  # a loader may raise anything; then nothing is kept on disk
        return ""
    return digest.hexdigest()


#: The digest of the modules, as 64 hexadecimal digits, or "".
DIGEST = _digest()


_used: Path | None = None


def use(folder: str) -> None:
    """Use this folder from now on."""
    global _used
    _used = Path(folder)


def use_temporary_folder() -> Path | None:
    """Use a folder that exists until this process ends; None if there is none, or nothing may be kept on disk."""
    if DIGEST:
        with contextlib.suppress(OSError):
            use(tempfile.mkdtemp(prefix="rprop_ref_"))
            atexit.register(_remove, os.getpid())
    return _used


def _remove(owner: int) -> None:
    if _used is not None and os.getpid() == owner:  # and not a child that was forked
        shutil.rmtree(_used, ignore_errors=True)


def folder() -> Path | None:
    """Where kernels are kept; None if nowhere."""
    return _used or _first_writable()


@functools.cache
def _first_writable() -> Path | None:
    """The first folder that can be written to: Numba's, beside the modules, or the user's; None without one."""
    if not DIGEST:
        return None
    here = Path(__file__).parent.absolute()
    name = f"{here.name}_{hashlib.sha1(str(here).encode()).hexdigest()}"
    config = getattr(sys.modules.get("numba"), "config", None)
    numbas = getattr(config, "CACHE_DIR", None) or os.environ.get("NUMBA_CACHE_DIR")
    users = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/.cache")
    places = [here / "__pycache__"]
    if numbas:
        places.insert(0, Path(numbas, name))
    if os.path.isabs(users):  # not so for a user without a home
        places.append(Path(users, "rprop_ref", name))
    return next((place for place in places if _is_writable(place)), None)


def _is_writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


# Marks tell whether a kernel is on disk without loading Numba. One that is wrong costs time, and nothing else.


def mark(kernel: str) -> None:
    """Note that a kernel is on disk."""
    if not is_marked(kernel):
        with contextlib.suppress(OSError):
            _mark_of(kernel).write_text(_valid_for())


def is_marked(kernel: str) -> bool:
    """Whether a kernel was on disk when it was last made, from the same sources by the same Numba."""
    try:
        return folder() is not None and _mark_of(kernel).read_text() == _valid_for()
    except (OSError, ValueError):
        return False


def _mark_of(kernel: str) -> Path:
    return Path(str(folder()), f"{kernel} {sys.implementation.cache_tag}.made")


@functools.cache
def _valid_for() -> str:
    try:
        version = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:  # it was not installed, only put on the path
        version = ""
    return f"{DIGEST} {version}"
