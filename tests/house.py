"""The folders of svhncli/, called rooms, and their imports, taken from the syntax trees.

    python tests/house.py [DIR] [--files]

prints the folders from top to bottom, how many files of other folders each folder imports, and the rings of
files that import each other. DIR is a checkout; by default it is this one.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOMS = (
    "cli",
    "commands",
    "training",
    "analysis",
    "evaluation",
    "report",
    "runs",
    "registry",
    "engine",
    "models",
    "data",
    "config",
    "stats",
    "core",
)
"""From top to bottom: a file imports its own folder and folders below."""

REPO = Path(__file__).resolve().parent.parent


def modules(repo: Path = REPO) -> dict[str, Path]:
    """Dotted name below svhncli -> file; a package is its __init__.py, svhncli itself is ""."""
    package = repo / "svhncli"
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports(path: Path, at_import: bool = False) -> Iterator[str]:
    """Absolute dotted names that a file imports, also inside functions and for types alone.

    at_import: only the imports that run when the file is imported.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(repo: Path = REPO) -> dict[str, set[str]]:
    """Module -> the modules of svhncli that it imports, by their names below svhncli."""
    known = modules(repo)
    edges: dict[str, set[str]] = {}
    for module, path in known.items():
        targets = set()
        for name in imports(path):
            if name.partition(".")[0] == "svhncli":
                inner = name.removeprefix("svhncli").lstrip(".")
                while inner not in known:  # the last part may be a function or a class
                    inner = inner.rpartition(".")[0]
                targets.add(inner)
        edges[module] = targets - {module}
    return edges


def room(module: str) -> str:
    """The folder of a module; a file that lies flat is a room by itself."""
    return module.partition(".")[0]


def rings(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of two or more modules that can all be reached from each other (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for target in sorted(edges[module]):
            if target not in number:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], number[target])
        if low[module] == number[module]:
            at = stack.index(module)
            groups.append(sorted(stack[at:]))
            del stack[at:]

    for module in edges:
        if module not in number:
            visit(module)
    return [group for group in groups if len(group) > 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("repo", type=Path, nargs="?", default=REPO)
    parser.add_argument("--files", action="store_true", help="every file with its imports")
    options = parser.parse_args()
    edges = graph(options.repo)
    rooms = [name for name in ROOMS if any(room(module) == name for module in edges)]
    rooms += sorted({room(module) for module in edges} - {*rooms, ""})
    for name in rooms:
        files = [module for module in edges if room(module) == name]
        targets = Counter(room(t) for module in files for t in edges[module] if room(t) not in (name, ""))
        below = "  ".join(f"{target} {targets[target]}" for target in rooms if targets[target])
        print(f"{name:12} {len(files):3} files -> {below}")
        for module in files if options.files else ():
            print(f"    {module} -> {' '.join(sorted(edges[module]))}")
    both = {(room(a), room(b)) for a, targets in edges.items() for b in targets if room(a) != room(b)}
    mutual = sorted(pair for pair in both if pair[::-1] in both and pair < pair[::-1])
    print(f"folders or flat files: {len(rooms)}; pairs that import each other: {mutual or 'none'}")
    for ring in rings(edges):
        print(f"ring of {len(ring)} files: {' '.join(ring)}")
    if not rings(edges):
        print("rings of files: none")


if __name__ == "__main__":
    main()
