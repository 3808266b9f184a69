"""How many labeled photographs are saved by pretraining on renders: accuracy with and without it.

    python benchmarks/labels_saved.py FOLDER RUN [--sizes 50 100 ...] [--draws 3] [--jobs 2] [KEY=VALUE ...]

FOLDER contains train_32x32.mat, from which the training photographs are drawn at random, and
test_32x32.mat, for scoring. RUN is a run trained on renders. Each draw of photographs is trained on twice:
from scratch, and from the weights of RUN at a third of the learning rate. Every run uses one thread and
sees about the same number of images, however few of them are distinct. The table gives the mean and the
range over the draws, by number of photographs. KEY=VALUE overrides apply to every run; they must match the
network of RUN, for example model.width=2.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
from command import argument_parser, process_pool, run_json, svhn_data, value_range
from scipy.io import loadmat, savemat

IMAGES_SEEN = 40_000
"""Images that a run trains on, counting repeats"""
MIN_EPOCHS, MAX_EPOCHS = 8, 200
Job = tuple[Path, str, int, int, bool, list[str]]


def accuracy(job: Job) -> float:
    """Train on `size` photographs and return the test accuracy."""
    photographs, pretrained, size, draw, is_pretrained, overrides = job
    mat = loadmat(photographs / "train_32x32.mat")
    chosen = np.sort(np.random.default_rng(draw).choice(len(mat["y"]), size, replace=False))
    with tempfile.TemporaryDirectory() as folder:
        savemat(f"{folder}/train_32x32.mat", {"X": mat["X"][..., chosen], "y": mat["y"][chosen]})
        (Path(folder) / "test_32x32.mat").symlink_to(photographs / "test_32x32.mat")
        start = [f"init_from={pretrained}", "lr=0.0003"] if is_pretrained else ["lr=0.001"]
        epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, IMAGES_SEEN // size))
        run = [f"hydra.run.dir={folder}/run", f"cache={folder}/cache", "threads=1"]
        length = [f"epochs={epochs}", "reg.patience=0"]
        return run_json("train", *svhn_data(folder), *run, *length, *start, *overrides)["test"]["accuracy"]


def main() -> None:
    parser = argument_parser(__doc__, folder=True, jobs=True)
    parser.add_argument("run", metavar="RUN", help="a run trained on renders")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200, 400, 800, 1600, 3200],
                        metavar="N", help="numbers of training photographs")  # fmt: skip
    parser.add_argument("--draws", type=int, default=3, help="draws of the training photographs per size")
    options, overrides = parser.parse_known_args()
    photographs, run = options.folder.resolve(), str(Path(options.run).resolve())
    jobs = [(photographs, run, size, draw, is_pretrained, overrides) for size in options.sizes
            for is_pretrained in (False, True) for draw in range(options.draws)]  # fmt: skip
    with process_pool(options.jobs) as pool:
        scores = pool.map(accuracy, jobs)
        print(f"{'photographs':>11}  {'from scratch':22} pretrained on renders")
        for size in options.sizes:
            pair = [[next(scores) for _ in range(options.draws)] for _ in range(2)]
            cells = [f"{statistics.mean(values):.1%} ({value_range(values, '.1%')})" for values in pair]
            print(f"{size:11,}  {cells[0]:22} {cells[1]}", flush=True)


if __name__ == "__main__":
    main()
