"""What `svhn inspect` answers first about data folders as people have them.

    python tests/data_folders.py --record

writes commands/data_folders.txt anew. Do so after an intended change, and read the diff.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import own_folders  # noqa: F401  it lists its folders
import source_folders  # noqa: F401  it lists its folders
from folder_files import FOLDERS

from svhncli.cli import main as cli

TABLE = Path(__file__).resolve().parent / "commands" / "data_folders.txt"
LINES = 5
"""Lines in which a person should see what was read and what was not."""


def answer(name: str) -> str:
    """The command on a data folder, made in the current folder; its exit code and its first lines."""
    here = Path.cwd()
    words = FOLDERS[name](here / "mine")
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        code = cli.main(["inspect", *words.split()])
    text = re.sub(r"\b[0-9a-f]{32}\b", "<md5>", written.getvalue().replace(str(here), "<here>"))
    lines = map(str.rstrip, text.splitlines())
    shown = [line for line in lines if line and not line.endswith(" ...")]  # without the progress
    return "\n".join([f"$ svhn inspect {words}", *shown[:LINES], f"exit code {code}"])


def recorded() -> dict[str, str]:
    """Name of a folder -> the answer in the table."""
    blocks = TABLE.read_text(encoding="utf-8").rstrip().split("\n\n")
    return dict(block.removeprefix("# ").split("\n", 1) for block in blocks)


def record() -> None:
    blocks = []
    for name in FOLDERS:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            os.environ.update(SVHN_CACHE=f"{place}/cache", COLUMNS="100")
            blocks.append(f"# {name}\n{answer(name)}\n")
    TABLE.write_text("\n".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    record() if sys.argv[1:] == ["--record"] else sys.exit(__doc__)
