"""The surroundings of a command: home folder, names, locale, streams and terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import folder_files
import pytest
from forked import Forked, environment, type_keys

from svhncli.cli import main as cli

LONG = "x" * 300  # longer than any file system allows


@pytest.mark.fault("there is no home folder, or no such user", "named, with the way out", "2")
@pytest.mark.parametrize(
    "words",
    [
        ["train", "cache=~nobody-here/c"],
        ["train", "out=~nobody-here/run"],
        ["train", "--resume", "~nobody-here/run"],
        ["eval", "~nobody-here/run"],
        ["inspect", "data=folder", "data.root=~nobody-here/images"],
        ["render", "out=~nobody-here/sheets"],
    ],
)
def test_the_home_of_an_unknown_user_is_named(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert "it is not known which folder '~nobody-here' is" in err
    assert "set HOME" in err


@pytest.mark.fault("a path is too long for the system", "refused by name", "6, or 3 where it is read")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["eval", LONG], 3, "cannot read 'xxx"),
        (["report", LONG], 3, "cannot read 'xxx"),
        (["train", "data=folder", f"data.root={LONG}"], 3, "data.root: cannot read '/"),
        (["train", f"data.exclude={LONG}"], 3, "data.exclude: cannot read '/"),
        (["train", "data=folder", "data.root=.", f"out={LONG}"], 6, "cannot reach 'xxx"),
        (["train", "--resume", LONG], 6, "cannot reach 'xxx"),
    ],
)
def test_a_name_that_is_too_long_is_named(
    words: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == code
    err = capsys.readouterr().err
    assert message in err
    assert "File name too long" in err


@pytest.mark.fault("the locale cannot write a name", "named, with the way out (`PYTHONUTF8=1`)", "2")
def test_a_name_that_the_locale_cannot_write_gets_the_way_out(folder: Path) -> None:
    ascii_only = {**environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "svhncli", "train", "--cfg", "job", "out=läuft"]
    done = subprocess.run(command, capture_output=True, text=True, env=ascii_only)
    assert done.returncode == 2
    assert "hint: set PYTHONUTF8=1, or LC_ALL=C.UTF-8" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True, env={**ascii_only, "PYTHONUTF8": "1"})
    assert "out: läuft" in done.stdout, done.stderr


def test_a_file_whose_name_looks_like_a_flag_gets_the_way_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "-run").mkdir()
    assert cli.main(["eval", "-run"]) == 2
    assert f"hint: if you mean the file or folder of that name: .{os.sep}-run" in capsys.readouterr().err


COMMANDS = """
import json, sys
from svhncli.cli.main import main
for words in json.loads(sys.argv[1]):
    print("exit", main(words), file=sys.stderr)
"""
"""In one process, since its start takes most of the time of a command that is refused."""


@pytest.fixture
def unprivileged() -> list[str]:
    """What a command begins with so that permissions bind it, as they do not bind root."""
    if os.geteuid() != 0:
        return []
    dropped = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*dropped, "true"]).returncode != 0:
        pytest.skip("root, and no setpriv to do without its rights")
    return dropped


@pytest.mark.fault("a folder is not writable, such as a home folder with the cache", "named", "6")
@pytest.mark.fault("there is no permission to read an image", "named", "3")
def test_missing_permissions_are_named(unprivileged: list[str], folder: Path) -> None:
    run = ["train", "data.n_train=60", "data.n_test=20", "threads=1", "model=linear", "epochs=1"]
    assert cli.main([*run, "out=run", "report=false"]) == 0
    for name in ("home", "closed"):
        (folder / name).mkdir()
    folder_files.images(folder / "images", [f"{label}/{n}.png" for label in range(3) for n in range(4)])
    image = next(folder.glob("images/**/*.png"))
    image.chmod(0)
    for path in (folder / "home", folder / "closed", folder / "run"):
        path.chmod(0o555)
    cache = f"cache={os.environ['SVHN_CACHE']}"
    commands = [
        [*run, "out=new"],
        [*run, "out=closed/new", cache],
        ["train", "--resume", "run", "epochs=2", cache],
        ["report", "run"],
        ["export", "run", "out=closed/e"],
        [*run[:1], "data=folder", "data.root=images", cache],
        [*run, cache, "out=plotted"],
    ]
    home = environment() | {"HOME": str(folder / "home")}
    del home["SVHN_CACHE"]
    command = [*unprivileged, sys.executable, "-c", COMMANDS, json.dumps(commands)]
    done = subprocess.run(command, env=home, capture_output=True, text=True)
    for path in (folder / "home", folder / "closed", folder / "run"):
        path.chmod(0o755)  # so that the folder of the test can be removed
    assert [line for line in done.stderr.splitlines() if line.startswith(("svhn: error:", "exit"))] == [
        f"svhn: error: the cache '{folder}/home/.cache/svhn' cannot be used: Permission denied",
        "exit 6",
        "svhn: error: cannot write 'closed/new': Permission denied",
        "exit 6",
        "svhn: error: cannot write 'run/status.json': Permission denied",
        "exit 6",
        "svhn: error: cannot write 'run/report.html': Permission denied",
        "exit 6",
        "svhn: error: cannot write 'closed/e': Permission denied",
        "exit 6",
        f"svhn: error: cannot read the image '{image}': Permission denied",
        "exit 3",
        "exit 0",
    ], done.stderr
    assert "matplotlib" not in done.stderr.lower()


@pytest.fixture
def no_reader() -> Iterator[int]:
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.fault("standard error is closed or full", "an error keeps its exit code", "that of the error")
def test_an_error_that_nobody_can_read_keeps_its_exit_code(
    no_reader: int, spawn: Callable[..., Forked], folder: Path
) -> None:
    with open("/dev/full", "w") as full:
        for stream in (no_reader, full.fileno()):
            assert spawn("nonsense", stderr=stream).wait() == 2
            assert spawn("eval", "nowhere", stderr=stream).wait() == 4


@pytest.mark.fault("the disk below standard output is full", "named", "6")
def test_a_full_disk_below_the_output_is_a_disk_error(spawn: Callable[..., Forked], folder: Path) -> None:
    with open("/dev/full", "w") as full:
        process = spawn("--help", stdout=full.fileno())
    assert "No space left on device" in process.communicate()[1]
    assert process.returncode == 6


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_a_narrow_terminal_shows_a_run(
    terminal: str, spawn: Callable[..., Forked], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    words = ["data.n_train=60", "data.n_test=20", "threads=1", "model=linear", "epochs=1", "report=false"]
    process, screen = type_keys(partial(spawn, "train", *words, cwd=folder), "", "")
    assert process.returncode == 0
    assert "Traceback" not in screen
    assert ("\x1b" in screen) == (terminal == "xterm")
