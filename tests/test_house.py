"""The layout of the code, checked on the syntax trees: an order of folders, and no import rings."""

from __future__ import annotations

import ast
import sys

import pytest
from house import REPO, ROOMS, graph, imports, modules, rings, room

EDGES = graph()
PATHS = modules()
TORCHLESS = ("report", "analysis", "stats", "config", "core", "data")


def test_only_the_entry_points_lie_outside_the_rooms() -> None:
    flat = {path.name for path in (REPO / "svhncli").iterdir() if path.is_file()}
    assert flat == {"__init__.py", "__main__.py", "py.typed"}
    folders = {path.name for path in (REPO / "svhncli").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("module", [name for name in EDGES if room(name) in ROOMS])
def test_a_file_imports_its_own_room_and_rooms_below(module: str) -> None:
    own = ROOMS.index(room(module))
    assert not [target for target in EDGES[module] if target and ROOMS.index(room(target)) < own]


DATA = ("sources", "formats", "render", "store")
"""The folders of data/ from top to bottom."""


@pytest.mark.parametrize("module", [name for name in EDGES if name.startswith("data.")])
def test_a_folder_of_data_imports_folders_below(module: str) -> None:
    folder = module.split(".")[1]
    above = DATA[: DATA.index(folder)] if folder in DATA else ()
    assert not [
        target for target in EDGES[module] if target.startswith(tuple(f"data.{name}." for name in above))
    ]


def test_the_store_imports_no_other_file_of_data_but_digits() -> None:
    known = {
        target
        for module in EDGES
        if module.startswith("data.store.")
        for target in EDGES[module]
        if target.startswith("data.") and not target.startswith("data.store.")
    }
    assert known == {"data.digits"}


def test_no_file_is_part_of_an_import_ring() -> None:
    assert rings(EDGES) == []


def test_a_ring_is_detected() -> None:
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_package_is_called_build() -> None:
    """Templates of .gitignore and tools skip such a folder."""
    assert not [name for name in PATHS if "build" in name.split(".") and PATHS[name].name == "__init__.py"]


@pytest.mark.parametrize("module", [name for name in EDGES if room(name) == "commands"])
def test_commands_never_import_commands(module: str) -> None:
    assert not [name for name in EDGES[module] if name.startswith("commands.")]


@pytest.mark.parametrize("module", [name for name in PATHS if room(name) in TORCHLESS])
def test_torch_stays_in_the_rooms_that_compute(module: str) -> None:
    tops = {name.partition(".")[0] for name in imports(PATHS[module], at_import=True)}
    assert not tops & {"torch", "torchvision"}


@pytest.mark.parametrize("module", [name for name in PATHS if room(name) not in ("cli", "runs")])
def test_hydra_is_imported_by_the_command_line_alone(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(PATHS[module])} & {"hydra", "omegaconf"}


@pytest.mark.parametrize(
    "module", [name for name in PATHS if room(name) in ("engine", "models", "data", "stats", "core")]
)
def test_parts_do_not_import_the_config(module: str) -> None:
    assert not [target for target in EDGES[module] if room(target) == "config"]


@pytest.mark.parametrize(
    "module",
    [
        *(name for name in PATHS if room(name) == "config"),
        *(f"cli.{name}" for name in ("main", "catalog", "overview", "helptext", "completion", "suggest")),
        "core.errors",
    ],
)
def test_help_and_error_messages_need_only_the_standard_library(module: str) -> None:
    tops = {name.partition(".")[0] for name in imports(PATHS[module], at_import=True)}
    assert tops <= {*sys.stdlib_module_names, "svhncli"}


def test_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in (REPO / "tests").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders - {"docs", "golden"} <= set(ROOMS)
    assert not [path for path in (REPO / "tests").glob("test_*.py") if path.name != "test_house.py"]


def test_imports_are_absolute() -> None:
    for path in PATHS.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
