"""Memory and open files of long commands over time, and what large data sets cost.

    python benchmarks/endurance.py [--only NAME ...]

    epochs   60 epochs of a tiny run
    sweep    100 jobs of a sweep, one after another in one process
    folds    50 folds of a tiny run, two at once
    rows     one epoch on 100,000 images that a labels.csv lists
    files    one epoch on a folder of 20,000 small images

Each is a command in a process of its own. Printed are its seconds, its largest resident memory and the most
open files, with those of the processes that it has started; of the first three also how they are when each
tenth of the work is done. Growth from the second tenth to the last is what a longer command would suffer
from: the first still loads modules.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command import SVHN, argument_parser
from PIL import Image

SMALL = ["model=linear", "threads=1", "device=cpu", "watch=0", "report=false"]
TINY = [*SMALL, "data.n_train=600", "data.n_test=20"]
FOLDER = [*SMALL, "data=folder", "data.root=images", "epochs=1"]
MARK = {"epochs": "epoch ", "sweep": "epoch ", "folds": "done: "}
"""What the lines contain that are counted; other commands write too few, and are looked at all the time."""


@dataclass
class Look:
    """A process and those below it: seconds since the start, memory in MB, open files."""

    seconds: float
    resident: float
    files: int


def images(count: int, names: Callable[[int], str]) -> None:
    draw = np.random.default_rng(0)
    for number in range(count):
        path = Path(names(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(path)


def many_rows() -> None:
    images(1000, lambda number: f"images/train/{number}.png")
    for number in range(1000, 100_000):  # a link is made faster than a file
        os.link(f"images/train/{number % 1000}.png", f"images/train/{number}.png")
    rows = [f"{number}.png,{number % 10}" for number in range(100_000)]
    Path("images/train/labels.csv").write_text("\n".join(["file,label", *rows, ""]))


def many_files() -> None:
    images(20_000, lambda number: f"images/train/{number % 10}/{number}.png")


COMMANDS: dict[str, tuple[Callable[[], None] | None, list[str]]] = {
    "epochs": (None, ["train", *TINY, "epochs=60"]),
    "sweep": (None, ["train", "-m", *TINY, "epochs=1", "seed=range(0,100)"]),
    "folds": (None, ["train", *TINY, "epochs=1", "split=kfold", "split.k=50", "jobs=2"]),
    "rows": (many_rows, ["train", *FOLDER]),
    "files": (many_files, ["train", *FOLDER]),
}


def family(pid: int) -> Iterator[int]:
    """A process and those that it has started."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def look(pid: int, started: float) -> Look:
    pages, files = 0, 0
    for member in family(pid):
        with suppress(OSError):  # it has just ended
            pages += int(Path(f"/proc/{member}/statm").read_text().split()[1])
            files += len(os.listdir(f"/proc/{member}/fd"))
    return Look(time.monotonic() - started, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files)


def watched(name: str, command: list[str]) -> list[Look]:
    """Run a command, and look at it as often as it writes a line that counts, or several times a second.

    Raises:
        RuntimeError: it failed.
    """
    looks, started = [], time.monotonic()
    with tempfile.TemporaryFile("w+") as err:
        stream = subprocess.PIPE if name in MARK else err
        process = subprocess.Popen([*SVHN, *command], stdout=subprocess.DEVNULL, stderr=stream, text=True)
        if process.stderr is not None:
            for line in process.stderr:
                err.write(line)
                if MARK[name] in line:
                    looks.append(look(process.pid, started))
            process.wait()
        while process.poll() is None:
            looks.append(look(process.pid, started))
            time.sleep(0.2)
        err.seek(0)
        if process.returncode != 0:
            raise RuntimeError(err.read())
    return looks


def report(name: str, looks: list[Look]) -> None:
    memory, files = max(at.resident for at in looks), max(at.files for at in looks)
    print(f"\n{name}: {looks[-1].seconds:.0f} s, at most {memory:,.0f} MB and {files} open files")
    if name in MARK:
        print("share   seconds       MB   files")
        for tenth in range(1, 11):
            at = looks[len(looks) * tenth // 10 - 1]
            print(f"{tenth:4}0%  {at.seconds:8.1f} {at.resident:8.1f} {at.files:7}")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--only", nargs="*", choices=COMMANDS, default=[*COMMANDS], metavar="NAME")
    for name in parser.parse_args().only:
        make, command = COMMANDS[name]
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            if make is not None:
                make()
            report(name, watched(name, command))
            os.chdir(Path(__file__).parent)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
