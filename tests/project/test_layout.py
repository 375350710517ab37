"""Imports point one way, and the map in CONTRIBUTING.md is that of the tree."""

from __future__ import annotations

import ast
import os
import re

import imports
import pytest

from rprop_ref.rules import RULES

CONTRIBUTING = imports.ROOT / "CONTRIBUTING.md"

#: What may import what: each line only those above it. A folder stands for all of its modules, which may import each
#: other, but not in a ring.
LAYERS = (
    ("rules", "hooks", "nist", "objectives", "_common"),
    ("_core",),
    ("numba_kernels", "cuda_kernels", "bits"),
    ("__init__", "autograd", "backends", "interop"),
    ("optimizer",),
    ("_step", "lr_scheduler"),
    ("checkpoint",),
    ("_tracing",),
    ("explain",),
    ("trace",),
    ("_minimizer", "_teaching", "crosscheck"),
    ("_multistart", "demo", "plot", "explorer"),
    ("_bench", "lesson"),
    ("bench",),
    ("cli",),
    ("__main__",),
)

HEIGHT = {unit: height for height, layer in enumerate(LAYERS) for unit in layer}


def unit(module):
    """The line of `LAYERS` that a module is part of."""
    first, *rest = module.split(".")
    return rest[0] if first == "rprop_ref" else first


def test_every_module_has_a_place():
    assert {unit(module) for module in imports.modules()} == set(HEIGHT)


def test_no_import_points_back():
    back = [
        f"{module} imports {target}"
        for module, targets in imports.graph().items()
        for target in sorted(targets)
        if unit(module) != unit(target) and HEIGHT[unit(target)] >= HEIGHT[unit(module)]
    ]
    assert not back


def test_there_are_no_circles():
    """Not even of imports inside functions, or for a type checker."""
    assert imports.circles(imports.graph(for_types=True)) == []


def test_circles_are_found():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(imports.circles(edges)) == [["a", "b", "c"], ["d", "e"]]


def test_no_folder_is_called_like_a_public_function():
    """It would replace the function once something in it is imported."""
    tree = ast.parse((imports.ROOT / "rprop_ref" / "__init__.py").read_text(encoding="utf-8"))
    modules = next(
        n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_MODULES"
    )
    for name, module in ast.literal_eval(modules).items():
        assert name == module or not (imports.ROOT / "rprop_ref" / name).exists()
        assert name == module or not (imports.ROOT / "rprop_ref" / f"{name}.py").exists()


def test_the_five_rules_are_listed_in_one_place():
    """Elsewhere only where it is said to be: the referee's own table, and the twin in JavaScript."""
    files = [*imports.modules().values(), *(imports.ROOT / "rprop_ref").rglob("*.js")]
    assert len(files) > 100
    listing = {
        path.relative_to(imports.ROOT).as_posix()
        for path in files
        if all(
            re.search(rf"""^[^#]*["']{re.escape(name)}["'][:,\s]""", _code(path), re.MULTILINE) for name in RULES
        )
    }
    assert listing == {"rprop_ref/rules.py", *INDEPENDENT}


INDEPENDENT = {
    "rprop_ref/crosscheck/_stages/compositions.py",
    "rprop_ref/crosscheck/_table/five.py",
    "rprop_ref/explorer/rules.js",
}


def _code(path):
    """A source without its docstrings."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'"""(?:.|\n)*?"""', "", text)


def the_map():
    """The modules folder by folder, each with the first sentence of its docstring."""
    lines = []
    for folder in dict.fromkeys(path.parent for path in imports.modules().values()):
        lines += [
            "",
            f"**`{folder.relative_to(imports.ROOT).as_posix()}/`** {_summary(folder / '__init__.py')}",
            "",
        ]
        lines += [
            f"* `{path.name}`: {_summary(path)}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"
        ]
    return "\n".join(lines).strip() + "\n"


def _summary(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, f"{path} has no docstring"
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`")


BEGIN, END = (
    "<!-- the map: made by tests/project/test_layout.py from docstrings -->\n",
    "<!-- end of the map -->\n",
)


def test_the_map_is_that_of_the_tree():
    """``UPDATE_GOLDEN=1`` writes it anew."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("UPDATE_GOLDEN"):
        CONTRIBUTING.write_text(f"{before}{BEGIN}{the_map()}{END}{after}", encoding="utf-8")
        return
    assert shown == the_map()


def test_files_that_contributing_names_are_there():
    text = CONTRIBUTING.read_text(encoding="utf-8").partition(BEGIN)[0]
    named = re.findall(r"`([\w./]+(?:/|\.py|\.js|\.md))`", text)
    assert len(named) > 30
    missing = [name for name in named if not (imports.ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("package", ["rprop_ref", "numba_kernels", "cuda_kernels"])
def test_modules_say_what_they_are_for(package):
    for name, path in imports.modules().items():
        if name.startswith(package):
            assert len(_summary(path)) > 20
