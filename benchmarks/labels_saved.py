"""What rendering before saves in labelled photographs: accuracy by their number, with and without it.

    python benchmarks/labels_saved.py data/meters RUN [--sizes 50 100 ...] [--draws 3] [KEY=VALUE ...]

The folder holds train_32x32.mat, of which photographs are drawn at random (the same for both), and
test_32x32.mat, which judges. RUN is a run on renders: its weights start the second of each pair, with a third
of the first's lr. Every run sees about as many pictures, however few are different, and has one thread; mean
and range over the draws. Words with "=" go to every run: model.width=2 where RUN has it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from command import told
from scipy.io import loadmat, savemat

SEEN = 40_000
"""Pictures that a run trains on, repeats counted; no picture is repeated more than `MOST` times."""
LEAST, MOST = 8, 200
Job = tuple[Path, str, int, int, bool, list[str]]


def accuracy(job: Job) -> float:
    """Of the test file, after training on `size` photographs."""
    place, run, size, draw, rendered_before, more = job
    mat = loadmat(place / "train_32x32.mat")
    chosen = np.sort(np.random.default_rng(draw).choice(len(mat["y"]), size, replace=False))
    with tempfile.TemporaryDirectory() as folder:
        savemat(f"{folder}/train_32x32.mat", {"X": mat["X"][..., chosen], "y": mat["y"][chosen]})
        (Path(folder) / "test_32x32.mat").symlink_to(place / "test_32x32.mat")
        start = [f"init_from={run}", "lr=0.0003"] if rendered_before else ["lr=0.001"]
        epochs = min(MOST, max(LEAST, SEEN // size))
        words = ["data=svhn", f"data.root={folder}", "data.check_md5=false", f"cache={folder}/cache"]
        words += [
            f"hydra.run.dir={folder}/run",
            "threads=1",
            f"epochs={epochs}",
            "reg.patience=0",
            *start,
            *more,
        ]
        return told("train", *words)["test"]["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("run")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200, 400, 800, 1600, 3200])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options, words = parser.parse_known_args()
    place, run = options.photographs.resolve(), str(Path(options.run).resolve())
    jobs = [(place, run, size, draw, before, words) for size in options.sizes for before in (False, True)
            for draw in range(options.draws)]  # fmt: skip
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        scores = pool.map(accuracy, jobs)
        print(f"{'photographs':>11}  {'from scratch':22} after renders")
        for size in options.sizes:
            both = [[next(scores) for _ in range(options.draws)] for _ in range(2)]
            cells = [f"{statistics.mean(each):.1%} ({min(each):.1%} to {max(each):.1%})" for each in both]
            print(f"{size:11,}  {cells[0]:22} {cells[1]}", flush=True)


if __name__ == "__main__":
    main()
