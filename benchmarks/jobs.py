"""Five folds side by side against one after another, in pairs that alternate.

    python benchmarks/jobs.py [pairs] [key=value ...]

Both use all CPUs: one training with all threads, or as many trainings as there are CPUs with a thread each.
Images a second are those of all folds over the time of the whole command, start and end included.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = ["split=kfold", "split.k=5", "epochs=10", "reg.patience=0", "report=false", "--json", "-q"]


def images_per_second(jobs: int, folder: Path, words: list[str]) -> float:
    """Of one command."""
    run = folder / f"run{time.monotonic_ns()}"
    command = [
        sys.executable,
        "-m",
        "svhncli",
        "train",
        f"hydra.run.dir={run}",
        f"jobs={jobs}",
        *WORDS,
        *words,
    ]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    folds = json.loads(done.stdout)["folds"]
    return sum(fold["n_train"] * fold["last"]["epoch"] for fold in folds) / seconds


def main() -> None:
    given = sys.argv[1:]
    pairs = int(given.pop(0)) if given and given[0].isdigit() else 5
    cpus = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        images_per_second(cpus, Path(folder), [*given, "epochs=1"])  # renders the data
        ratios, rates = [], {1: [], cpus: []}
        for pair in range(pairs):
            order = (1, cpus) if pair % 2 else (cpus, 1)
            for jobs in order:
                rates[jobs].append(images_per_second(jobs, Path(folder), given))
            ratios.append(rates[cpus][-1] / rates[1][-1])
            print(
                f"pair {pair + 1}: jobs=1 {rates[1][-1]:,.0f}, jobs={cpus} {rates[cpus][-1]:,.0f} images/s, "
                f"ratio {ratios[-1]:.3f}",
                flush=True,
            )
    middle = statistics.median(ratios)
    print(f"median ratio {middle:.3f}, from {min(ratios):.3f} to {max(ratios):.3f}, {cpus} CPUs")


if __name__ == "__main__":
    main()
