"""The notebook runs from top to bottom, and is stored without outputs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Server, environment

Run = Callable[[Path], subprocess.CompletedProcess[str]]

TESTS = Path(__file__).resolve().parents[1]
NOTEBOOK = TESTS.parent / "docs" / "tutorial.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
RUN = """
import json, shlex, socket, sys
from IPython.core.interactiveshell import InteractiveShell
from forked import Server

shell, server = InteractiveShell.instance(), Server(socket.socket(fileno=int(sys.argv[2])))

def system(command):
    name, *words = shlex.split(shell.var_expand(command))
    assert name == "svhn", f"not a command of svhn: {command}"
    shell.user_ns["_exit_code"] = server.start(*words).wait()

shell.system = system
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] != "code":
        continue
    source = "".join(cell["source"])
    print(">>>", source, flush=True)
    shell.user_ns["_exit_code"] = 0
    shell.run_cell(source).raise_error()
    if shell.user_ns["_exit_code"]:
        sys.exit(f"exit code {shell.user_ns['_exit_code']} of: {source}")
"""
"""A kernel's work in a single process: IPython runs cell after cell, also magics.

Shell lines, all of them commands of svhn, become forked processes.
"""


def commands(cell: dict[str, object]) -> list[str]:
    return [line for line in cell["source"] if line.startswith("!")]


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Run:
    """Execute every code cell of a notebook in an empty folder."""

    def start(notebook: Path) -> subprocess.CompletedProcess[str]:
        (tmp_path / "work").mkdir()
        requests = server.requests.fileno()
        return subprocess.run(
            [sys.executable, "-c", RUN, str(notebook), str(requests)],
            cwd=tmp_path / "work",
            env=environment(TESTS) | {"IPYTHONDIR": str(tmp_path / "ipython")},
            pass_fds=[requests],
            capture_output=True,
            text=True,
        )

    return start


@pytest.mark.full
def test_every_cell_runs(run: Run) -> None:
    done = run(NOTEBOOK)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count(">>>") == sum(cell["cell_type"] == "code" for cell in CELLS)


@pytest.mark.parametrize("source", ["1 / 0", "!svhn nonsense", "%nonsense", "if:"])
def test_a_failing_cell_is_detected(run: Run, tmp_path: Path, source: str) -> None:
    sources = ["print('be' + 'fore')", source, "print('af' + 'ter')"]
    cells = [{"cell_type": "code", "source": [text]} for text in sources]
    (tmp_path / "bad.ipynb").write_text(json.dumps({"cells": cells}))
    done = run(tmp_path / "bad.ipynb")
    assert done.returncode != 0
    assert "before" in done.stdout
    assert "after" not in done.stdout


def test_a_cell_holds_at_most_one_command_whose_exit_code_is_checked() -> None:
    assert all(len(commands(cell)) <= 1 for cell in CELLS if cell["cell_type"] == "code")


def test_the_notebook_shows_every_step() -> None:
    shown = " ".join(line for cell in CELLS if cell["cell_type"] == "code" for line in commands(cell))
    for command in ("render", "check", "train", "eval", "predict", "--resume", "train -m", "compare"):
        assert f"svhn {command}" in shown or f"svhn train {command}" in shown, command


def test_the_notebook_installs_svhn_only_if_it_is_missing() -> None:
    first = "".join(next(cell["source"] for cell in CELLS if cell["cell_type"] == "code"))
    guard, _, install = first.partition('if importlib.util.find_spec("svhncli") is None:')
    assert "%pip install" in install
    assert "%pip" not in guard
    assert all(line.startswith("    ") for line in install.strip("\n").splitlines())


def test_the_notebook_is_stored_as_version_4_5_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in CELLS]
    assert len({*ids}) == len(ids)
    for cell in CELLS:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        )
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
