"""How Sphinx builds the site: ``make docs``."""

from __future__ import annotations

import itertools
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib

sys.path.insert(0, os.path.abspath("."))
sys.path.insert(0, os.path.abspath(".."))
import browser_lesson

import rprop_ref
from rprop_ref import explorer
from rprop_ref.objectives import OBJECTIVES

matplotlib.use("agg")

project = "rprop_ref"
author = "The rprop_ref developers"
copyright = author
release = version = rprop_ref.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "rprop_ref"
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence"]
# Links to the pages that `write_pages` writes: [the explorer](site:explorer.html#mode=race).
myst_url_schemes = {"http": None, "https": None, "mailto": None, "site": "{{path}}#{{fragment}}"}
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
default_role = "py:obj"

plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("svg", 96)]
plot_rcparams = {"figure.figsize": (6.0, 3.8), "figure.constrained_layout.use": True, "font.size": 10}
plot_apply_rcparams = True


def public_names() -> set[str]:
    """The full names of everything that users may rely on."""
    names = set()
    for name in rprop_ref.__all__:
        value = getattr(rprop_ref, name)
        if type(value).__name__ == "module":
            members = getattr(value, "__all__", [n for n in vars(value) if n[0] != "_"])
            own = (n for n in members if getattr(getattr(value, n), "__module__", "").startswith(value.__name__))
            names |= {f"rprop_ref.{name}.{member}" for member in own}
        else:
            names.add(f"rprop_ref.{name}")
    return names


def check_reference(app: Any, env: Any) -> None:
    """Warn about a public name that has no entry in the reference; a warning ends the build."""
    from sphinx.util import logging

    documented = set(env.get_domain("py").objects)
    # A class of autograd that the package exports, too, has its entry under the package.
    documented |= {f"rprop_ref.autograd.{name}" for name in rprop_ref.__all__ if f"rprop_ref.{name}" in documented}
    for name in sorted(public_names() - documented):
        logging.getLogger(__name__).warning("the reference has no entry for the public name %s", name)


def check_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Warn about an entry of the reference that has no docstring."""
    from sphinx.util import logging

    if not any(line.strip() for line in lines):
        logging.getLogger(__name__).warning("%s has no docstring", name)


def draw_plots(app: Any, name: str, source: list[str]) -> None:
    """Hand blocks ``{plot}``, with their options, to matplotlib's directive, which reads only reStructuredText."""
    # The directive takes each block for a document of its own and would give all pictures the same name.
    numbers = itertools.count(1)

    def restructured(block: re.Match[str]) -> str:
        prefix = f":filename-prefix: {name.replace('/', '-')}-{next(numbers)}\n"
        return f"```{{eval-rst}}\n.. plot::\n{textwrap.indent(prefix + block[1], '   ')}```"

    # A block without options needs the blank line that otherwise follows them.
    source[0] = re.sub(r"^```{plot}\n(?!:)", "```{plot}\n\n", source[0], flags=re.M)
    source[0] = re.sub(r"^```{plot}\n(.*?)^```", restructured, source[0], flags=re.S | re.M)


def write_pages(app: Any, exception: Exception | None) -> None:
    """Put the explorer beside the first page, which shows it, and the lesson with Pyodide."""
    if exception is None and app.builder.format == "html":
        explorer.write(Path(app.outdir) / "explorer.html", OBJECTIVES["rosenbrock"])
        browser_lesson.write(Path(app.outdir), os.environ.get("PYODIDE_DISTRIBUTION"))


def find_pages(app: Any, doctree: Any, name: str) -> None:
    """Make links of the scheme ``site:`` lead to the pages of `write_pages` from a page in a folder."""
    from docutils import nodes

    for link in doctree.findall(nodes.reference):
        page, _, fragment = link.get("refuri", "").partition("#")
        if page in ("explorer.html", "lesson.html"):
            link["refuri"] = "../" * name.count("/") + page + (fragment and "#" + fragment)


def setup(app: Any) -> None:
    """Register the functions above."""
    app.connect("source-read", draw_plots)
    app.connect("build-finished", write_pages)
    app.connect("doctree-resolved", find_pages)
    app.connect("env-check-consistency", check_reference)
    app.connect("autodoc-process-docstring", check_docstring, priority=1)
