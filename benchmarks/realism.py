"""How well a small network distinguishes photographs from renders: 50% would mean perfect renders.

    python benchmarks/realism.py FILE.mat [FILE.mat ...] [--world FILE]

Each file contains cropped digits, such as train_32x32.mat. There are as many renders as photographs. The
network is validated by 5-fold cross-validation that keeps house numbers whole, so no image is scored by a
network that trained on it. The script prints the mean and the standard deviation over the folds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from command import argument_parser, run_json, svhn_data
from scipy.io import savemat

from svhncli.data.render.renderer import render
from svhncli.data.render.world import Spec
from svhncli.data.sources import svhn
from svhncli.data.store.cache import Cache, default_root

EPOCHS, FOLDS = 30, 5
REAL, RENDERED = 1, 2


def render_digits(count: int, world: Path | None, cache: Cache) -> np.ndarray:
    """Crops uint8 (count, 3, 32, 32)."""
    images = np.empty((count, 3, 32, 32), np.uint8)
    labels, groups = np.empty((count, 1), np.int64), np.empty(count, np.int64)
    render(images, labels, groups, seed=0, part="realism", spec=Spec(file=world), cache=cache)
    return images


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.mat", help="photographs")
    parser.add_argument(
        "--world", type=Path, metavar="FILE", help="a world.yaml to render in place of svhn's own"
    )
    options = parser.parse_args()
    cache = Cache(default_root())
    real = np.concatenate([svhn.load_file(file, cache=cache).images for file in options.files])
    images = np.concatenate([real, render_digits(len(real), options.world, cache)])
    labels = np.repeat([REAL, RENDERED], len(real))[:, None]
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "test"):  # svhn requires a test file; its score is not used
            savemat(f"{folder}/{part}_32x32.mat", {"X": images.transpose(2, 3, 1, 0), "y": labels})
        accuracy = run_json(
            "train", *svhn_data(folder), f"hydra.run.dir={folder}/run", "split=kfold", f"split.k={FOLDS}",
            f"epochs={EPOCHS}", "lr=0.001", "reg.patience=0",
        )["val_accuracy"]  # fmt: skip
    print(f"real or rendered: accuracy {accuracy['mean']:.1%} (sd {accuracy['sd']:.1%} over {FOLDS} folds)")


if __name__ == "__main__":
    main()
