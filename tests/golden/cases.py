"""The commands whose results are pinned, and the recorded results: exit code, standard output, files."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from forked import PIPE, Server, type_keys
from golden.shapes import merged, shape

from svhncli.cli.main import main

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """A command, run in the folder in which those before it ran.

    words: the command line after `svhn`. {seed} is a number, a different one in each recording.
    look: the file or folder that is recorded afterwards.
    keys: typed on a terminal, the next key whenever `when` has been shown once more.
    """

    name: str
    words: str
    look: str = ""
    json: bool = True
    keys: str = ""
    when: str = ""


CPU = "device=cpu threads=1 precision=fp32 seed={seed}"
LINEAR = f"{CPU} model=linear epochs=2"
DIGITS = "data=tiny data.n_train=200 data.n_test=100 data.size=16 data.seed={seed}"
NUMBERS = "data=synth_full data.n_train=60 data.n_test=30 data.height=16 data.width=32 data.seed={seed}"
LESS = "watch=0 report=false"
MAT = "data.root=mat data.check_md5=false data.download=false"
OLD = "data.root=old-data data.check_md5=false data.download=false"


def train(name: str, words: str, look: bool = True, **more: Any) -> Case:
    """A run in a folder of the case's name."""
    words = f"train {LINEAR} jobs=1 {words} hydra.run.dir={name}"
    return Case(f"train-{name}", words, name if look else "", **more)


def sweep(name: str, words: str) -> Case:
    return Case(name, f"train -m {LINEAR} {words} hydra.sweep.dir={name}", name)


CASES = [
    # single runs
    train("single", f"{DIGITS} snapshots=1"),
    Case("train-finished", "train --resume single"),
    train("early", f"{DIGITS} {LESS} test=false lr=1e-30 epochs=9 reg.patience=1"),
    Case("train-resumed", "train --resume single epochs=3"),
    train("l0", f"{DIGITS} {LESS} model=mlp model.widths=[8] reg.l0=1e-2", look=False),
    train("sure", f"{DIGITS} {LESS} test=false epochs=40 lr=0.02 reg.patience=0", look=False),
    train("numbers", f"{NUMBERS} {LESS}"),
    train("failed", f"{DIGITS} optim=sgd lr=1e30"),
    train("interrupted", f"{DIGITS} epochs=99999 reg.patience=0", when="epoch     1/99999", keys="\x03"),
    # several runs
    train("kfold", f"{DIGITS} split=kfold split.k=2"),
    train("kfold-untested", f"{DIGITS} {LESS} split=kfold split.k=2 test=false", look=False),
    train("kfold-numbers", f"{NUMBERS} {LESS} split=kfold split.k=2"),
    train("bootstrap", f"{DIGITS} {LESS} split=bootstrap split.n=2"),
    train("repeats", f"{DIGITS} {LESS} repeats=2"),
    sweep("sweep", f"{DIGITS} {LESS} lr=0.01,0.001 init_from=single,missing report=true"),
    sweep("sweep-folds", f"{DIGITS} {LESS} split=kfold split.k=2 split.fold=0,1"),
    Case("gather", "gather sweep-folds out=gathered", "gathered"),
    # evaluating and comparing
    Case("eval", "eval single", "single/eval"),
    Case("eval-l0", "eval l0"),
    Case("eval-val", "eval single part=val tta=3 out=val", "val"),
    Case("eval-train", "eval sure part=train"),
    Case("eval-folds", "eval kfold out=eval-folds", "eval-folds"),
    Case("eval-numbers", "eval numbers", "numbers/eval"),
    Case("report", "report single"),
    Case("report-sweep", "report sweep"),
    Case("human", f"human {DIGITS} seed={{seed}} n=3 out=human", "human", when="\x1b[2J", keys="371"),
    Case("human-page", f"human {DIGITS} seed={{seed}} n=3 html=true out=page", "page"),
    Case("compare-runs", "compare single early out=compared", "compared"),
    Case("compare-seeds", "compare single repeats"),
    Case("compare-folds", "compare kfold gathered kfold-untested pairs=all"),
    Case("compare-sweep", "compare sweep"),
    Case("compare-test", "compare single l0 part=test"),
    Case("compare-human", "compare single human"),
    # before a long run
    Case("lr-find", f"lr-find {LINEAR} {DIGITS} schedule=step steps=60 out=lr-find", "lr-find"),
    Case(
        "learning-curve",
        f"learning-curve {LINEAR} {DIGITS} jobs=1 sizes=[0.3,0.5,0.8,1] repeats=1 out=curve",
        "curve",
    ),
    Case(
        "check",
        f"check {CPU} data=tiny data.n_train=1500 data.n_test=0 data.size=16 model=mlp model.widths=[64] "
        "lr=3e-3 batch_size=32 check.steps=60 check.delta=0.3 out=check",
        "check",
    ),
    # the data
    Case("inspect", f"inspect {DIGITS} blank=30 similar=0.8 outlier=2 out=inspected", "inspected"),
    Case("inspect-numbers", f"inspect {NUMBERS}"),
    Case("inspect-run", "inspect kfold out=doubts", "doubts"),
    Case("render", "render data.size=16 out=sheets"),
    Case("render-mat", "render layout=mat data.n_train=80 data.n_test=20 out=mat"),
    Case("render-mchar", "render layout=mchar data.n_train=20 data.n_test=20 out=mchar", "mchar"),
    Case("convert", "convert data=mchar data.root=mchar layout=folder out=copy", "copy"),
    train("mix", f"data=mix {MAT} {LESS} data.n_rendered=60"),
    # using trained networks
    Case("predict", "predict single mat/test_32x32.mat single/summary.json out=read.csv", "read.csv"),
    Case("predict-coverage", "predict kfold mat/test_32x32.mat coverage=0.01 out=sure.csv", "sure.csv"),
    Case("predict-printed", "predict single mat/test_32x32.mat", json=False),
    Case(
        "predict-tianchi",
        "predict numbers mchar/mchar_test_a format=tianchi crop=whole out=code.csv",
        "code.csv",
    ),
    Case("submission", "submission code.csv mchar/mchar_test_a"),
    Case("ensemble-mean", "ensemble kfold out=mean", "mean"),
    Case("ensemble-weights", "ensemble single early how=weights out=weights"),
    Case("ensemble-numbers", "ensemble kfold-numbers out=mean-numbers"),
    Case("export-l0", "export l0 out=export", "export"),
    # a run that version 0.1 left, of model=linear grey=true epochs=3 on the images of data-0.1
    Case("old-report", "report old"),
    Case("old-finished", "train --resume old"),
    Case("old-eval", f"eval old data=svhn {OLD}"),
    Case("old-compare", "compare old old-copy"),
    Case("old-resumed", f"train --resume old epochs=4 {OLD}", "old"),
]


# ----------------------------------------------------------------------------- run


def observed(server: Server, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Run the cases in an empty folder; {"command", "exit", "stdout", "files"} of every case."""
    for name in ("old", "old-copy"):
        shutil.copytree(HERE / "run-0.1", folder / name)
    shutil.copytree(HERE / "data-0.1", folder / "old-data")
    results = {}
    for case in CASES:
        code, out = _run(server, case, folder, case.words.format(seed=seed))
        results[case.name] = {
            "command": case.words,
            "exit": str(code),
            "stdout": _of_text(out),
            "files": _of_files(folder, folder / case.look) if case.look else {},
        }
    return results


def _run(server: Server, case: Case, folder: Path, words: str) -> tuple[int, str]:
    """The exit code and standard output. Only what is typed on a terminal needs a process of its own."""
    command = [*shlex.split(words), *["--json"] * case.json]
    if case.keys:
        process, _ = type_keys(partial(server.start, *command, cwd=folder), case.keys, case.when, stdout=PIPE)
        return process.wait(), process.communicate()[0]
    before = Path.cwd()
    os.chdir(folder)
    try:
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out:
            code = main(command)
            out.seek(0)
            return code, out.read()
    finally:
        os.chdir(before)


# ----------------------------------------------------------------------------- the recorded results


def _of_text(text: str) -> Any:
    """The shape of JSON, the first line of anything else."""
    try:
        return shape(json.loads(text))
    except ValueError:
        return text.partition("\n")[0]


def _of_files(folder: Path, place: Path) -> dict[str, Any]:
    """Path -> the shape of a JSON file, the header of a CSV, "file" for others.

    Folders that differ in a number, such as those of folds, are merged. Images are left out, since many are
    drawn only if there is something to show, and so are Hydra's own files.
    """
    shapes_of: dict[str, list[Any]] = {}
    for path in [place] if place.is_file() else sorted(place.rglob("*")):
        if path.is_file() and path.suffix != ".png" and "/." not in str(path):
            name = re.sub(r"\d+(?=[^/]*/)", "*", path.relative_to(folder).as_posix())
            is_text = path.suffix in (".json", ".csv")
            shapes_of.setdefault(name, []).append(_of_text(path.read_text()) if is_text else "file")
    return {name: merged(shapes) for name, shapes in shapes_of.items()}
