"""Who imports whom, read from the sources: module by module, imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("rprop_ref", "numba_kernels", "cuda_kernels")


def modules() -> dict[str, Path]:
    """All modules of the three packages, by name; packages as their ``__init__``."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path], *, for_types: bool) -> set[str]:
    """The modules of `known` that a module imports; those that only a type checker imports if `for_types`."""
    package = name.split(".")[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        target
        for node in (ast.walk(tree) if for_types else _executed(tree))
        for target in _targets(node, package, known)
        if target != name
    }


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _executed(node)


def _targets(node: ast.AST, package: list[str], known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        named = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        base = [*base, *(node.module or "").split(".")] if node.module else base
        named = [".".join([*base, alias.name]) for alias in node.names]
    else:
        return
    for target in named:
        yield from _module_of(target, known)


def _module_of(target: str, known: dict[str, Path]) -> Iterator[str]:
    """The module that is, or has, what is imported under a dotted name."""
    parent = target.rpartition(".")[0]
    for candidate in (target, f"{target}.__init__", parent, f"{parent}.__init__"):
        if candidate in known:
            yield candidate
            return


def graph(*, for_types: bool = False) -> dict[str, set[str]]:
    """For each module those that it imports."""
    known = modules()
    return {name: imports(name, path, known, for_types=for_types) for name, path in known.items()}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The sets of modules that import each other, in a ring (strongly connected components of more than one)."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(start: str, neighbours: dict[str, set[str]], into: list[str]) -> None:
        stack = [(start, iter(sorted(neighbours[start])))]
        seen.add(start)
        while stack:
            node, following = stack[-1]
            for other in following:
                if other not in seen:
                    seen.add(other)
                    stack.append((other, iter(sorted(neighbours[other]))))
                    break
            else:
                into.append(node)
                stack.pop()

    for name in sorted(edges):
        if name not in seen:
            visit(name, edges, order)
    reverse: dict[str, set[str]] = {name: set() for name in edges}
    for name, targets in edges.items():
        for target in targets:
            reverse[target].add(name)
    seen.clear()
    rings = []
    for name in reversed(order):
        if name not in seen:
            ring: list[str] = []
            visit(name, reverse, ring)
            if len(ring) > 1:
                rings.append(sorted(ring))
    return rings
