"""What each regularizer does to the gap between training and validation accuracy, on few real images.

    python benchmarks/regularizers.py FOLDER [KEY=VALUE ...]

FOLDER contains train_32x32.mat and test_32x32.mat. For each row, the default network trains on the same
images with the same five seeds (of the split, the weights and the order of the images). The only measure
against overfitting is the one that the row names. The weights of the last epoch are scored; with early
stopping, those of the best epoch. Training accuracy is measured without augmentation. KEY=VALUE overrides
apply to every run.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from command import argument_parser, run_json, svhn_data

from svhncli import registry
from svhncli.engine import device
from svhncli.engine.batches import Batches
from svhncli.engine.forward import evaluate
from svhncli.evaluation import trained
from svhncli.models.gates import count_open

SEEDS = range(5)
FIXED = """
data.download=false split.fraction=0.33 epochs=100 batch_size=32 lr=1e-3
precision=fp32 threads=1 test=false report=false watch=0
"""
EARLY_STOPPING, L0 = "early stopping", "L0, 1e-2"
ROWS = {
    "none": "reg=none",
    L0: "reg=none reg.l0=1e-2",
    "L1, 1e-4": "reg=none reg.l1=1e-4",
    "L2, 1e-2": "reg=none reg.l2=1e-2",
    "dropout, 0.5": "reg=none reg.dropout=0.5",
    "augmentation of reg=light": "reg=light",
    "augmentation of reg=strong": "reg=strong reg.dropout=0 reg.label_smoothing=0 reg.mixup=0 reg.ema=0",
    EARLY_STOPPING: "reg=none",
    "all of reg=strong": "reg=strong",
}


def scores(run: Path, checkpoint: str) -> dict[str, float]:
    """Accuracy, loss and number of images of the training and validation parts; the share of open units."""
    model = trained.load(run / checkpoint)
    data = registry.data(model.config.data, model.config.split, None, lambda *_: None)
    split = json.loads((run / "split.json").read_text())
    machine = device.resolve("cpu", "fp32", 1)
    values = {}
    for part in ("train", "val"):
        batches = Batches(data.train, np.array(split[part]), machine.device)
        score, _ = evaluate(model.network, batches, model.preprocess, machine)
        values |= {f"{part} accuracy": score.accuracy, f"{part} loss": score.loss}
        values[f"n {part}"] = len(split[part])
    n_open, n_gated = count_open(model.network)
    return values | {"open units": n_open / n_gated if n_gated else np.nan}


def main() -> None:
    options, overrides = argument_parser(__doc__, folder=True).parse_known_args()
    print("| regularizer | train | val | gap | val loss |\n|---|---|---|---|---|", flush=True)
    for name, regularizer in ROWS.items():
        runs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                patience = 10 if name == EARLY_STOPPING else 0
                run_json("train", *svhn_data(options.folder), *FIXED.split(), *regularizer.split(),
                         f"seed={seed}", f"reg.patience={patience}", f"hydra.run.dir={folder}/run",
                         *overrides)  # fmt: skip
                runs.append(scores(Path(folder) / "run", "best.pt" if name == EARLY_STOPPING else "last.pt"))
        values = {key: np.array([run[key] for run in runs]) for key in runs[0]}
        train, val = 100 * values["train accuracy"], 100 * values["val accuracy"]
        cells = [f"{column.mean():.1f} ± {column.std(ddof=1):.1f}" for column in (train, val, train - val)]
        loss = values["val loss"]
        cells.append(f"{loss.mean():.2f} ± {loss.std(ddof=1):.2f}")
        note = f" ({values['open units'].mean():.0%} of units open)" if name == L0 else ""
        print(f"| {name}{note} | {' | '.join(cells)} |", flush=True)
    print(f"{values['n train'].mean():.0f} training images, {values['n val'].mean():.0f} validation images")


if __name__ == "__main__":
    main()
