"""Kill commands again and again, go on with them, and compare what they leave with what undisturbed ones do.

    python benchmarks/soak.py [--kills 300] [--seed 0] [--only NAME ...] [KEY=VALUE ...]

Half of the kills of each command fall inside its saves: right before or after one of its fsyncs and renames,
drawn at random. The others come at random moments of its time, one in six of them as SIGTERM, and one in two
to the whole process group. After every kill, no epoch whose line was printed may be missing from last.pt;
when a command has ended, the files that it makes must have the bits of an undisturbed one, and no temporary
file may be left. KEY=VALUE are overrides for the runs that are trained. It exits with 1 if anything was lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from command import argument_parser

from svhncli.cli import main as cli
from svhncli.core import sums
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.runs import checkpoint
from svhncli.runs.run_dir import RunDir

# everything that carries state: EMA, momentum, plateau, dropout, mixup, augmentation, snapshots
SMALL = ["data.n_train=400", "data.n_test=60", "model.width=0.25", "threads=1", "optim=sgd"]
SMALL += ["schedule=plateau", "reg=strong", "watch=4", "snapshots=2", "report=false"]
FOLDS = [*SMALL, "split=kfold", "split.k=3"]
LINEAR = ["data.n_train=200", "data.n_test=40", "model=linear", "threads=1", "watch=0", "report=false"]
IMPORTED = [
    "hydra",
    "jinja2",
    "optuna",
    "rich.progress",
    "scipy.optimize",
    "scipy.stats",
    "matplotlib.figure",
]
IMPORTED += ["matplotlib.backends.backend_agg", "svhncli.cli.execution", "svhncli.commands.train"]
IMPORTED += ["svhncli.commands.tune", "svhncli.commands.gather", "svhncli.commands.render"]
"""What takes long to import; every command is forked from a process that has it."""
TABLES = ("metrics.csv", "split.json", "val_predictions.csv")


@dataclass(frozen=True)
class Scenario:
    """A command that is killed. start: its words; again: those with which it is gone on.

    share: of the kills. before: commands whose results it needs, which are not killed. renders: whether it
    prepares its images anew each time, so that kills fall there, too.
    """

    start: Sequence[str]
    again: Sequence[str]
    share: float
    before: Sequence[Sequence[str]] = ()
    renders: bool = False


JOBS = [
    ["train", *LINEAR, "split=kfold", "split.k=2", f"split.fold={fold}", f"out=jobs/{fold}"]
    for fold in (0, 1)
]
TUNE = ["tune", *LINEAR[:4], "report=false", "epochs=2", "lr=log(1e-4,1e-2)", "sampler=random", "trials=4"]
SCENARIOS = {
    "train": Scenario(["train", *SMALL, "epochs=6", "out=run"], ["train", "--resume", "run"], 0.4),
    "folds": Scenario(
        ["train", *FOLDS, "epochs=2", "jobs=1", "out=run"], ["train", "--resume", "run", "jobs=1"], 0.15
    ),
    "folds side by side": Scenario(
        ["train", *FOLDS, "epochs=2", "jobs=2", "out=run"], ["train", "--resume", "run", "jobs=2"], 0.05
    ),
    "sweep": Scenario(
        ["train", "-m", *LINEAR, "epochs=2", "lr=1e-2,1e-3,1e-4", "hydra.sweep.dir=run"],
        ["train", "-m", "--resume", "run"],
        0.1,
    ),
    "tune": Scenario(
        [*TUNE, "pruner=none", "finalists=0", "jobs=1", "out=run"],
        ["tune", "--resume", "run", "jobs=1"],
        0.1,
    ),
    "rendering": Scenario(*(["train", *LINEAR, "epochs=1", "out=run"],) * 2, 0.05, renders=True),
    "photographs": Scenario(
        *(["render", "layout=mchar", "data.n_train=40", "data.n_test=20", "out=run"],) * 2, 0.05
    ),
    "gather": Scenario(*(["gather", "jobs", "out=run", "report=false"],) * 2, 0.1, JOBS),
}


@dataclass
class Tally:
    """What the kills of a scenario came to."""

    kills: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    lost: list[str] = field(default_factory=list)


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--kills", type=int, default=300, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--only", nargs="*", choices=SCENARIOS, help="some of the commands")
    options, overrides = parser.parse_known_args()
    chosen = options.only or list(SCENARIOS)
    total = sum(SCENARIOS[name].share for name in chosen)
    lost = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            kills = round(options.kills * SCENARIOS[name].share / total)
            place = Path(folder) / name.replace(" ", "-")
            began = time.monotonic()
            tally = soak(SCENARIOS[name], place, kills, random.Random(f"{options.seed} {name}"), overrides)
            listed = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.kills.items()))
            print(
                f"{name:20} {tally.kills.total():4} kills ({listed}), {tally.ended} times to its end, "
                f"{len(tally.lost)} losses; {time.monotonic() - began:.0f} s",
                flush=True,
            )
            lost += [f"{name}: {loss}" for loss in tally.lost]
    print("\n".join(lost) or "nothing was lost")
    return int(bool(lost))


def soak(scenario: Scenario, place: Path, kills: int, rng: random.Random, overrides: Sequence[str]) -> Tally:
    """Kill a scenario's command so many times; what came of it."""
    tally, whole = Tally(), place / "whole"
    _prepare(scenario, whole, overrides)
    began = time.monotonic()
    code, errors = run(whole, [*scenario.start, *_for(scenario, overrides)])
    seconds = time.monotonic() - began
    if code != 0:
        raise RuntimeError(errors)
    saves = len(re.findall("^save$", errors, re.MULTILINE))
    wanted = bits(whole)
    disturbed: Path | None = None
    done = 0  # saves of the commands in its folder so far
    while tally.kills.total() < kills:
        if disturbed is None:
            disturbed = place / f"disturbed{tally.ended}"
            _prepare(scenario, disturbed, overrides)
            words, done = [*scenario.start, *_for(scenario, overrides)], 0
        left = max(4, saves - done)
        kind, code, errors = disturb(disturbed, words, seconds * left / saves, left, rng)
        done += len(re.findall("^save$", errors, re.MULTILINE))
        if kind is not None:
            tally.kills[kind] += 1
        if missing := _missing(disturbed, errors):
            tally.lost.append(missing)
        words = _going_on(scenario, disturbed, overrides)
        is_whole = scenario.start[0] == "render" and (disturbed / "run").is_dir()
        if kind is not None and not is_whole:
            continue
        tally.ended += 1
        is_failed = kind is None and code != 0
        tally.lost += [f"exit {code}: {errors[-600:]}"] if is_failed else _differences(wanted, disturbed)
        shutil.rmtree(disturbed)
        disturbed = None
    if disturbed is not None:
        code, errors = run(disturbed, words)
        tally.lost += [f"exit {code}: {errors[-600:]}"] if code else _differences(wanted, disturbed)
    return tally


def _for(scenario: Scenario, overrides: Sequence[str]) -> Sequence[str]:
    return overrides if scenario.start[0] in ("train", "tune") else ()


def _going_on(scenario: Scenario, place: Path, overrides: Sequence[str]) -> list[str]:
    """The words that go on with what is there: a folder without a run is begun anew."""
    marks = {"train": ("config.yaml", "sweep.json"), "tune": ("study.json",)}.get(scenario.start[0], ())
    if marks and not any((place / "run" / mark).is_file() for mark in marks):
        return [*scenario.start, *_for(scenario, overrides)]
    return list(scenario.again)


def _prepare(scenario: Scenario, place: Path, overrides: Sequence[str]) -> None:
    place.mkdir(parents=True)
    os.environ["SVHN_CACHE"] = str((place if scenario.renders else place.parent) / "cache")
    for words in scenario.before:
        code, errors = run(place, [*words, *_for(scenario, overrides)])
        if code != 0:
            raise RuntimeError(errors)


# ----------------------------------------------------------------------------- a command, disturbed


def disturb(
    place: Path, words: Sequence[str], seconds: float, saves: int, rng: random.Random
) -> tuple[str | None, int, str]:
    """Start a command, and kill it: how, or None where it ended before; its exit code; what it printed."""
    if rng.random() < 0.5:
        code, errors = run(place, words, at_save=rng.randrange(1, saves))
        return ("inside a save" if code == -signal.SIGKILL else None), code, errors
    number = signal.SIGTERM if rng.random() < 1 / 6 else signal.SIGKILL
    wait, is_group = rng.uniform(0, seconds), rng.random() < 0.5
    code, errors = run(place, words, after=wait, number=number, is_group=is_group)
    is_hit = code in (-number, 128 + number)
    return (f"{number.name} at random" if is_hit else None), code, errors


def run(
    place: Path,
    words: Sequence[str],
    at_save: int = 0,
    after: float | None = None,
    number: signal.Signals = signal.SIGKILL,
    is_group: bool = False,
) -> tuple[int, str]:
    """Run a command in a process of its own; its exit code, negative for a signal, and its standard error.

    at_save: kill it at so many fsyncs and renames, counted from 1. after: send it `number` so many seconds
    later.
    """
    with tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if pid == 0:
            _become(place, words, errors.fileno(), at_save)
        timer = None
        if after is not None:
            timer = threading.Timer(after, _send, (pid, number, is_group))
            timer.start()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if timer is not None:
            timer.cancel()
            timer.join()
        if code == -signal.SIGKILL:
            _end_group(pid)
        errors.seek(0)
        return code, errors.read().decode(errors="replace")


def _become(place: Path, words: Sequence[str], errors: int, at_save: int) -> None:
    """Be `svhn words` in a folder, which counts its saves on standard error and is killed at one of them."""
    code = 1
    try:
        os.setsid()
        os.chdir(place)
        os.dup2(errors, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
        _count_saves(at_save)
        code = cli.main(list(words))
    finally:
        sys.stderr.flush()
        os._exit(code)


def _count_saves(at_save: int) -> None:
    """Before and after each fsync and rename, print a line, and end by SIGKILL at the one that is wanted."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        os.write(2, b"save\n")
        if done == at_save:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(*args: object) -> None:
            step()
            call(*args)
            step()

        return wrapper

    os.fsync, os.replace, os.rename = counted(os.fsync), counted(os.replace), counted(os.rename)


def _send(pid: int, number: signal.Signals, is_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if is_group else os.kill)(pid, number)


def _end_group(pid: int) -> None:
    """Wait until the processes that a killed one had started have ended by themselves."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise RuntimeError("a process outlived its parent by 10 s")


# ----------------------------------------------------------------------------- what is left


def _missing(place: Path, errors: str) -> str | None:
    """A finished epoch of a single run that its last.pt does not have."""
    if list((place / "run").glob("*/split.json")):
        return None  # of several folds
    printed = [int(epoch) for epoch in re.findall(r"^epoch +(\d+)/", errors, re.MULTILINE)]
    last = place / "run" / "last.pt"
    if not printed:
        return None
    saved = checkpoint.load(last)["state"]["epoch"] if last.is_file() else 0
    return None if saved >= max(printed) else f"epoch {max(printed)} was printed, and last.pt has {saved}"


def bits(place: Path) -> dict[str, str]:
    """What must not differ: tensors of checkpoints, tables, and all of what a command renders."""
    made = {}
    for path in sorted((place / "run").rglob("*")):
        name = str(path.relative_to(place))
        if path.suffix == ".pt":
            content = checkpoint.load(path)
            made[name] = checkpoint.digest(content.get("weights", content.get("state")))
        elif path.name in TABLES or (path.is_file() and path.parent.name.startswith("mchar_")):
            made[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return made


def _differences(wanted: dict[str, str], place: Path) -> Iterator[str]:
    made = bits(place)
    yield from (f"{name} differs" for name in wanted if made.get(name) != wanted[name])
    for config in place.rglob("config.yaml"):
        with RunDir(
            config.parent
        ).held():  # a kill after the end leaves something until the next that does so
            pass
    yield from (f"{path.name} is left" for path in place.rglob(f"{TEMP_PREFIX}*"))
    for record in place.rglob(sums.SUMS):
        yield from (f"{record.parent.name}/{name}: {fault}" for name, fault in sums.faults(record))


if __name__ == "__main__":
    for module in IMPORTED:
        importlib.import_module(module)
    torch.set_num_threads(1)
    raise SystemExit(main())
