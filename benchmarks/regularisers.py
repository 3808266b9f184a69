"""What each regulariser does to the gap between training and validation, on few real pictures.

    python benchmarks/regularisers.py FOLDER [key=value ...]

FOLDER holds train_32x32.mat and test_32x32.mat. Every row trains the default network on the same pictures
with the same five seeds (of split, weights and order), with nothing against over-fitting but what the row
names, and scores the weights of the last epoch; early stopping those of its best. Train is scored without
augmentation.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.engine import device
from svhncli.engine.batches import Batches
from svhncli.engine.loop import evaluate
from svhncli.evaluation import trained
from svhncli.models.gates import count_open

SEEDS = range(5)
FIXED = """
data=svhn data.check_md5=false data.download=false split.fraction=0.33 epochs=100 batch_size=32
lr=1e-3 precision=fp32 threads=1 test=false report=false watch=0
"""
ROWS = {
    "nothing": "reg=none",
    "L0, 1e-2": "reg=none reg.l0=1e-2",
    "L1, 1e-4": "reg=none reg.l1=1e-4",
    "L2, 1e-2": "reg=none reg.l2=1e-2",
    "dropout, 0.5": "reg=none reg.dropout=0.5",
    "augmentation (light's)": "reg=light",
    "augmentation (strong's)": "reg=strong reg.dropout=0 reg.label_smoothing=0 reg.mixup=0 reg.ema=0",
    "early stopping": "reg=none",
    "all of reg=strong": "reg=strong",
}


def scores(run: Path, file: str) -> dict[str, float]:
    """Accuracy on the pictures that trained and that validated, and the loss of the latter."""
    model = trained.load(run / file)
    data = registry.data(model.config.data, model.config.split, None, lambda *_: None)
    split = json.loads((run / "split.json").read_text())
    machine = device.resolve("cpu", "fp32", 1)
    found = {}
    for part in ("train", "val"):
        batches = Batches(data.train, np.array(split[part]), machine.device)
        score, _ = evaluate(model.network, batches, model.preprocess, machine)
        found |= {f"{part} accuracy": score.accuracy, f"{part} loss": score.loss}
    opened, of = count_open(model.network)
    return found | {
        "units": opened / of if of else np.nan,
        "n": len(split["train"]),
        "n val": len(split["val"]),
    }


def main(folder: str, more: list[str]) -> None:
    place = Path(tempfile.mkdtemp())
    print("| | train | val | gap | val loss |\n|---|---|---|---|---|", flush=True)
    for name, words in ROWS.items():
        found = []
        for seed in SEEDS:
            run = place / f"{len(list(place.iterdir()))}"
            patience = 10 * (name == "early stopping")
            own = [f"reg.patience={patience}", f"data.root={folder}", f"hydra.run.dir={run}", f"seed={seed}"]
            with contextlib.redirect_stdout(io.StringIO()):
                assert cli.main(["train", "-q", *FIXED.split(), *words.split(), *own, *more]) == 0
            found.append(scores(run, "best.pt" if "stopping" in name else "last.pt"))
        figures = {key: np.array([one[key] for one in found]) for key in found[0]}
        train, val = 100 * figures["train accuracy"], 100 * figures["val accuracy"]
        cells = [f"{one.mean():.1f} ± {one.std(ddof=1):.1f}" for one in (train, val, train - val)]
        loss = figures["val loss"]
        closed = f" ({figures['units'].mean():.0%} of units open)" if "L0" in name else ""
        print(
            f"| {name}{closed} | {' | '.join(cells)} | {loss.mean():.2f} ± {loss.std(ddof=1):.2f} |",
            flush=True,
        )
    print(f"{figures['n'].mean():.0f} train, {figures['n val'].mean():.0f} validate")
    shutil.rmtree(place)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
