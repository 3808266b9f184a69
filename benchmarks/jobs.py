"""Five folds side by side against one after another, in rounds that alternate.

    python benchmarks/jobs.py [rounds] [key=value ...]

jobs=1 trains with all threads; jobs=2 and auto (three at once, then two, on two CPUs) with one thread each.
Images a second are those of all folds over the time of the whole command, start and end included.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("1", "2", "auto")
WORDS = ["split=kfold", "split.k=5", "epochs=10", "reg.patience=0", "data.n_train=10000", "report=false"]


def images_per_second(jobs: str, folder: Path, words: list[str]) -> float:
    """Of one command."""
    run = folder / f"run{time.monotonic_ns()}"
    command = [sys.executable, "-m", "svhncli", "train", f"hydra.run.dir={run}", f"jobs={jobs}", *WORDS]
    started = time.perf_counter()
    done = subprocess.run([*command, *words, "--json", "-q"], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    folds = json.loads(done.stdout)["folds"]
    return sum(fold["n_train"] * fold["last"]["epoch"] for fold in folds) / seconds


def main() -> None:
    given = sys.argv[1:]
    rounds = int(given.pop(0)) if given and given[0].isdigit() else 5
    rates: dict[str, list[float]] = {jobs: [] for jobs in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        images_per_second("1", Path(folder), [*given, "epochs=1"])  # renders the data
        for number in range(rounds):
            for jobs in KINDS if number % 2 else KINDS[::-1]:
                rates[jobs].append(images_per_second(jobs, Path(folder), given))
            print({jobs: round(found[-1]) for jobs, found in rates.items()}, flush=True)
    for jobs in KINDS[1:]:
        ratios = [one / other for one, other in zip(rates[jobs], rates["1"], strict=True)]
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"jobs={jobs} against jobs=1: median {statistics.median(ratios):.3f}, {spread}")


if __name__ == "__main__":
    main()
