"""The house of DESIGN and CONTRIBUTING, proved on the syntax trees: imports point down only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "svhncli"

FLOORS = (
    {"svhncli", "colour", "schema", "rules", "cpus", "errors", "files", "rng", "signals"},
    {
        "data",
        "split",
        "augment",
        "policies",
        "models",
        "optim",
        "lr_range",
        "power_law",
        "regularise",
        "metrics",
        "scores",
        "describe",
        "inspection",
        "confident",
        "stats",
        "device",
        "submission",
    },
    {
        "preprocess",
        "views",
        "batches",
        "forward",
        "loop",
        "checkpoint",
        "record",
        "predictions",
        "onnx_file",
        "quiz",
        "readings",
        "comparison",
        "findings",
        "report",
        "show",
        "board",
        "overall",
    },
    {"build", "assembly", "trainer", "jobs", "trained", "parts", "joining", "checks"},
    {"commands"},
    {
        "cli",
        "dispatch",
        "compose",
        "sweep",
        "mistakes",
        "catalog",
        "overview",
        "helptext",
        "completion",
        "__main__",
    },
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
"""A room is a module or a package directly under svhncli; `svhncli` is __init__.py."""


def modules() -> dict[str, Path]:
    """Dotted name below svhncli -> file; a package is its __init__.py."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "svhncli"] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """Absolute dotted names of everything that a file imports, at its top or inside."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def inner_imports(path: Path) -> Iterator[str]:
    """Names below svhncli of the modules that a file imports."""
    known = modules()
    for name in imports(path):
        if name == "svhncli" or name.startswith("svhncli."):
            inner = name.removeprefix("svhncli").lstrip(".")
            while inner and inner not in known:  # the last part may be a function or a class
                inner = inner.rpartition(".")[0]
            yield inner or "svhncli"


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_a_floor() -> None:
    assert {room(module) for module in modules()} == set(FLOOR)


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    up = [name for name in inner_imports(modules()[module]) if FLOOR[room(name)] > FLOOR[room(module)]]
    assert not up


@pytest.mark.parametrize("module", [name for name in modules() if FLOOR[room(name)] == 1])
def test_the_parts_of_floor_1_do_not_know_each_other(module: str) -> None:
    others = [
        name
        for name in inner_imports(modules()[module])
        if FLOOR[room(name)] == 1 and room(name) != room(module)
    ]
    assert not others


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("commands.")])
def test_commands_never_import_commands(module: str) -> None:
    assert not [name for name in inner_imports(modules()[module]) if name.startswith("commands.")]


@pytest.mark.parametrize("module", [name for name in modules() if room(name) == "report"])
def test_reports_are_made_without_torch(module: str) -> None:
    assert not [
        name for name in imports(modules()[module]) if name.partition(".")[0] in ("torch", "torchvision")
    ]


@pytest.mark.parametrize("module", [name for name in modules() if FLOOR[room(name)] < 2])
def test_configs_and_hydra_stay_above_the_parts(module: str) -> None:
    assert "schema" not in inner_imports(modules()[module])
    assert not [
        name for name in imports(modules()[module]) if name.partition(".")[0] in ("hydra", "omegaconf")
    ]


@pytest.mark.parametrize(
    "module",
    ["schema", "rules", "cpus", "errors", "cli", "catalog", "overview", "helptext", "completion", "mistakes"],
)
def test_what_help_and_mistakes_need_is_the_standard_library(module: str) -> None:
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    at_top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {
        node.names[0].name.partition(".")[0]
        if isinstance(node, ast.Import)
        else str(node.module).partition(".")[0]
        for node in at_top
    }
    assert names <= {*sys.stdlib_module_names, "svhncli"}
