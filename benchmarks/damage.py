"""Flip bits of a run's files, cut their ends off, and exchange what its checkpoints hold.

    python benchmarks/damage.py [--flips 20] [--checked 1000] [--others 40] [--jobs 2] [--seed 0] [FILE ...]

A small run is trained, and every trial damages one file in a copy of its folder and starts a command in a
process of its own. It may end as with the whole file, or name the damaged file, in a message or on the page.
Everything else is a finding: another result without a word, an error without the file's name, a traceback, a
process that crashed. --others exchanges or removes values in checkpoints, and gives them the SHA-256 that
fits: no command can know them all, so another result is not a finding there. `svhn verify`, which reads every
file, gets --checked flips and as many cuts, the other commands --flips of both. FILE is one of the names in
the table; without any, all are damaged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from command import argument_parser
from damaging import Damage, damage, damages, forked

from svhncli.cli import main as cli
from svhncli.commands import verify
from svhncli.config.verbs.results import VerifyConfig
from svhncli.core.sums import SUMS
from svhncli.runs import checkpoint

SMALL = ["model=linear", "data.n_train=400", "data.n_test=100", "watch=4", "threads=1", "device=cpu"]
COMMANDS = {
    "report": ["report", "run", "out=page.html"],
    "resume": ["train", "--resume", "run", "epochs=4", "report=false"],
    "verify": ["verify", "run"],
    "eval": ["eval", "run", "--json"],
    "predict": ["predict", "run", "image.png"],
    "ensemble": ["ensemble", "run", "run/snapshots", "out=joined", "--json"],
    "export": ["export", "run", "out=exported", "--json"],
    "compare": ["compare", "run", "run", "--json"],
}
TEXTS = ("config.yaml", "env.json", "data.json", "split.json", "metrics.csv", "timing.csv", "summary.json")
TEXTS += ("status.json", "val_predictions.csv", "plots/mistakes.json", "plots/mistakes.png", "SHA256SUMS")
TEXTS += (".hydra/overrides.yaml", "eval/synth-test/results.json", "eval/synth-test/predictions.csv")
TARGETS = {
    **dict.fromkeys(TEXTS, ("report", "resume", "verify")),
    "best.pt": ("resume", "eval", "predict", "ensemble", "export", "verify"),
    "last.pt": ("resume", "verify"),
}
"""File of the run's folder -> the commands that meet it damaged."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended. result: of everything that it made."""

    code: int
    result: str
    errors: str
    page: str


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--flips", type=int, default=20, help="bits flipped, and ends cut off, for each command"
    )
    parser.add_argument("--checked", type=int, default=1000, help="the same for svhn verify")
    parser.add_argument("--others", type=int, default=40, help="values exchanged, for each command")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once")
    parser.add_argument("--seed", type=int, default=0, help="of the random places")
    parser.add_argument("files", nargs="*", metavar="FILE", help="of the run's folder")
    options = parser.parse_args()
    findings = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder)
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            for file in options.files or TARGETS:
                for verb in TARGETS[file]:
                    whole = _attempt(folder, verb, file, None)
                    harms = _damages(folder / "run" / file, verb, options)
                    tasks = [(folder, verb, file, harm, whole) for harm in harms]
                    judged = pool.starmap(_judged, tasks, chunksize=4)
                    counts = Counter(kind for kind, _ in judged)
                    bad = [detail for kind, detail in judged if kind not in ("same", "named")]
                    findings += len(bad)
                    print(
                        f"{file:32} {verb:9} {dict(sorted(counts.items()))}", *bad[:3], sep="\n", flush=True
                    )
    print(f"{findings} findings")
    return int(findings > 0)


def _make(folder: Path) -> None:
    """Train a run that can be resumed, in a process of its own, as everything here."""
    for words in (
        ["train", *SMALL, f"out={folder / 'run'}", "epochs=3", "snapshots=2"],
        ["eval", str(folder / "run")],
        ["render", "layout=folder", "data.n_train=20", "data.n_test=20", f"out={folder / 'images'}"],
    ):
        if _run(words, folder, folder / "log") != 0:
            raise RuntimeError((folder / "log").read_text())
    shutil.copy(next((folder / "images").rglob("*.png")), folder / "image.png")


def _damages(file: Path, verb: str, options: argparse.Namespace) -> Iterator[Damage]:
    """Kind and place: a bit, a length, or the seed of an exchange."""
    size, rng = file.stat().st_size, random.Random(f"{options.seed} {file.name}")
    count = options.checked if verb == "verify" else options.flips
    yield from damages(size, count, count, rng)
    if file.suffix == ".pt":
        yield from (("other", rng.randrange(1 << 30)) for _ in range(options.others))


def _damage(file: Path, kind: str, place: int) -> None:
    if kind == "other":
        changed = checkpoint.load(file)
        _exchange(changed, random.Random(place))
        checkpoint.save(file, changed)
    else:
        damage(file, kind, place)


def _exchange(content: Any, rng: random.Random) -> None:
    """Remove one value of nested dicts and lists, or put another one in its place."""
    places = list(_places(content))
    holder, name = rng.choice(places)
    value = holder[name]
    others: list[Any] = [
        None,
        "",
        "x" * 300,
        -1,
        0,
        1 << 62,
        0.5,
        math.nan,
        math.inf,
        True,
        [],
        {},
        [[1], "a"],
    ]
    others += [torch.zeros(0), torch.zeros(3, 3), torch.tensor(7), torch.zeros(2, dtype=torch.complex64)]
    others += [holder[rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))]]
    if isinstance(value, torch.Tensor):
        others += [value.double(), value.reshape(-1)[:-1], value[None], value.bool()]
    if isinstance(value, dict):
        others += [{**value, "more": 1}, list(value.items())]
    if rng.random() < 0.2:
        del holder[name]
    else:
        holder[name] = rng.choice(others)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from _places(value[name])


def _judged(folder: Path, verb: str, file: str, harm: Damage, whole: Outcome) -> tuple[str, str]:
    """The kind of an outcome, and the damage with what was printed."""
    now = _attempt(folder, verb, file, harm)
    name = Path(file).name
    # of a damaged record, the file that it lists is named
    is_named = name in now.errors or name in now.page or (name == SUMS and now.page != "")
    if harm[0] == "other":  # a path of the config may be that of another machine, and is named by its key
        is_named = is_named or re.match(r"svhn: error: data\.\w+: ", now.errors) is not None
    is_known = is_named or (harm[0] == "other" and now.code == 0)
    kind = "same" if now.result == whole.result else "named" if is_known else "silent"
    if now.code < 0:
        kind = "crash"
    elif "Traceback" in now.errors or "bug" in now.errors:
        kind = "traceback"
    elif now.code != 0:
        kind = "named" if is_named else "unnamed"
    return kind, f"{file} {harm}: {kind}, exit {now.code}\n{now.errors[-1500:]}"


def _attempt(folder: Path, verb: str, file: str, harm: Damage | None) -> Outcome:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        shutil.copytree(folder / "run", place / "run")
        shutil.copy(folder / "image.png", place)
        if harm is not None:
            _damage(place / "run" / file, *harm)
        code = _run(COMMANDS[verb], place, place / "log", place / "out")
        page = place / "page.html"
        shown = page.read_text(errors="replace") if page.is_file() else ""
        note = re.search(r"Damaged files were left out of this report: .*", shown)
        text = (place / "out").read_text().replace(name, "PLACE")
        text = re.sub(r'"(seconds|images_per_second)": [\d.e-]+', "", text) + shown
        if verb == "resume" and code == 0:
            text = _trained(place / "run")
        result = hashlib.sha256(text.encode()).hexdigest()
        return Outcome(code, result, (place / "log").read_text(), note[0] if note else "")


def _trained(run: Path) -> str:
    """What training made: the bits of last.pt and best.pt, and the table."""
    parts = [checkpoint.digest(checkpoint.load(run / name)) for name in ("best.pt", "last.pt")]
    return json.dumps([*parts, (run / "metrics.csv").read_text(), (run / "split.json").read_text()])


def _run(words: Sequence[str], folder: Path, errors: Path, out: Path | None = None) -> int:
    """Run a command in a process of its own; its exit code, or the negative number of a signal."""
    work = _verify if words[0] == "verify" else partial(cli.main, list(words))
    return forked(work, folder, errors, out)


def _verify() -> int:
    """`svhn verify run`, without composing its config, which takes most of its time."""
    try:
        print(verify.run(VerifyConfig("run")))
    except Exception as error:
        return cli.explain(error, debug=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
