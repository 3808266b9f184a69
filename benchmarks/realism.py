"""Real or render? How well a small network tells photographs from renders: 50 % would be perfect renders.

    python benchmarks/realism.py data/svhn/train_32x32.mat [FILE.mat ...] [--world FILE]

As many renders as there are photographs; five folds of whole house numbers, each judged by a network that met
none of its pictures; mean and deviation of the five.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from command import told
from scipy.io import savemat

from svhncli.data.render.renderer import render
from svhncli.data.render.world import Spec
from svhncli.data.sources import svhn
from svhncli.data.store.cache import Cache, default_root

EPOCHS, FOLDS = 30, 5
REAL, RENDER = 1, 2


def renders(count: int, world: Path | None, cache: Cache) -> np.ndarray:
    """Crops uint8 (count, 3, 32, 32)."""
    images = np.empty((count, 3, 32, 32), np.uint8)
    labels, groups = np.empty((count, 1), np.int64), np.empty(count, np.int64)
    render(images, labels, groups, seed=0, part="realism", spec=Spec(file=world), cache=cache)
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.mat")
    parser.add_argument("--world", type=Path)
    options = parser.parse_args()
    cache = Cache(default_root())
    real = np.concatenate([svhn.load_file(file, cache=cache).images for file in options.files])
    images = np.concatenate([real, renders(len(real), options.world, cache)])
    with tempfile.TemporaryDirectory() as folder:
        labels = np.repeat([REAL, RENDER], len(real))[:, None]
        for part in ("train", "test"):  # what the tool reads; nothing is made of the test file
            savemat(f"{folder}/{part}_32x32.mat", {"X": images.transpose(2, 3, 1, 0), "y": labels})
        words = ["data=svhn", f"data.root={folder}", "data.check_md5=false", f"hydra.run.dir={folder}/run"]
        words += ["split=kfold", f"split.k={FOLDS}", f"epochs={EPOCHS}", "lr=0.001", "reg.patience=0"]
        score = told("train", *words)["val_accuracy"]
    print(f"real or render: {score['mean']:.1%} told rightly, sd {score['sd']:.1%} over {FOLDS} folds")


if __name__ == "__main__":
    main()
