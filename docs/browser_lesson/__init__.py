"""The first lesson as a page that runs Python in the browser, and the wheel of rprop_ref that it loads."""

from __future__ import annotations

import base64
import configparser
import hashlib
import html
import json
import shutil
import zipfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import rprop_ref
from rprop_ref.explorer import head

from .distribution import PACKAGES

ROOT = Path(rprop_ref.__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_lesson.ipynb"

#: Where the page finds Pyodide if the site has none of its own: the version that is tested.
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"


def write(folder: Path, own_pyodide: str | None = None) -> None:
    """Write ``lesson.html`` and the wheel into a folder.

    Parameters
    ----------
    folder : Path
    own_pyodide : str, optional
        A folder with a full distribution of Pyodide, which is copied beside the page. Without it, the reader's
        browser loads Pyodide from a public server.
    """
    if own_pyodide:
        if not any(Path(own_pyodide).glob("numpy-*.whl")):
            raise ValueError(f"{own_pyodide} has no NumPy; it must be a full distribution of Pyodide")
        shutil.copytree(own_pyodide, folder / "pyodide", dirs_exist_ok=True)
    wheel = write_wheel(folder)
    (folder / "lesson.html").write_text(page(wheel, "pyodide/" if own_pyodide else PYODIDE), encoding="utf-8")


def page(wheel: Path, pyodide: str = PYODIDE, packages: tuple[str, ...] = PACKAGES) -> str:
    """The text of the page. It has the wheel in itself, so that it can be opened as a file."""
    data = {
        "pyodide": pyodide,
        "packages": packages,
        "cells": _file("cells.py"),
        "wheel": base64.b64encode(wheel.read_bytes()).decode(),
    }
    text = _file("page.html")
    parts = {
        "<!--CELLS-->": "\n".join(cells()),
        "/*DATA*/": json.dumps(data).replace("<", "\\u003c"),
        "/*SCRIPT*/": _file("page.js"),
    }
    for place, content in parts.items():
        text = text.replace(place, content)
    return head("A first lesson in Rprop, in the browser", _file("page.css")) + text


def cells() -> Iterator[str]:
    """The cells of the notebook as HTML."""
    from markdown_it import MarkdownIt

    number = 0
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield MarkdownIt().render(source)
            continue
        number += 1
        yield (
            f'<div class="cell"><textarea rows="{source.count(chr(10)) + 1}" spellcheck="false" wrap="off"'
            f' aria-label="code of cell {number}">{html.escape(source)}</textarea>'
            f'<button aria-label="run cell {number}" disabled>Run</button>'
            '<div class="output" role="status"></div></div>'
        )


def write_wheel(folder: Path) -> Path:
    """Write the wheel, which needs no build system: everything in it is Python. Returns where it is."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    name = setup["metadata"]["name"].replace("-", "_")
    info = f"{name}-{rprop_ref.__version__}.dist-info"
    requires = [line for line in setup["options"]["install_requires"].splitlines() if line]
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {setup['metadata']['name']}",
        f"Version: {rprop_ref.__version__}",
        *(f"Requires-Dist: {line}" for line in requires),
    ]
    files = {path: (ROOT / path).read_bytes() for path in sorted(_package_files(setup))}
    files[f"{info}/METADATA"] = "\n".join([*metadata, ""]).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: rprop_ref\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    file = folder / f"{name}-{rprop_ref.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            # A date of its own would make every wheel another one.
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return file


def _package_files(setup: Any) -> Iterator[str]:
    for package in setup["options"]["packages"].split():
        folder = package.replace(".", "/")
        patterns = setup["options.package_data"].get(package, "").replace(",", " ").split()
        for pattern in ("*.py", *patterns):
            for path in (ROOT / folder).glob(pattern):
                yield f"{folder}/{path.name}"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
