"""The speed of training five folds in parallel, compared with training them one after another.

    python benchmarks/jobs.py [ROUNDS] [KEY=VALUE ...]

With jobs=1, folds use all threads; with jobs=2 and jobs=auto (on two CPUs three folds at once, then two),
each fold uses one thread. Images per second are those of all folds, divided by the time of the whole
command including start and end. The order alternates between rounds, of which there are 5 by default.
KEY=VALUE overrides apply to every run.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from command import SVHN, argument_parser, print_round, run_process, value_range

JOBS = ("1", "2", "auto")
FIXED = ["split=kfold", "split.k=5", "epochs=10", "reg.patience=0", "data.n_train=10000", "report=false"]


def images_per_second(jobs: str, folder: Path, overrides: list[str]) -> float:
    """Run one command and return its speed."""
    run = folder / f"run{time.monotonic_ns()}"
    command = [*SVHN, "train", f"hydra.run.dir={run}", f"jobs={jobs}", *FIXED, *overrides, "--json", "-q"]
    output, seconds = run_process(command)
    return sum(fold["n_train"] * fold["last"]["epoch"] for fold in json.loads(output)["folds"]) / seconds


def main() -> None:
    _, overrides = argument_parser(__doc__).parse_known_args()
    rounds = int(overrides.pop(0)) if overrides and overrides[0].isdigit() else 5
    rates: dict[str, list[float]] = {jobs: [] for jobs in JOBS}
    with tempfile.TemporaryDirectory() as folder:
        images_per_second("1", Path(folder), [*overrides, "epochs=1"])  # renders the data
        for number in range(rounds):
            for jobs in JOBS if number % 2 else JOBS[::-1]:
                rates[jobs].append(images_per_second(jobs, Path(folder), overrides))
            print_round(number + 1, {f"jobs={jobs}": values[-1] for jobs, values in rates.items()})
    for jobs in JOBS[1:]:
        ratios = [parallel / serial for parallel, serial in zip(rates[jobs], rates["1"], strict=True)]
        print(f"jobs={jobs} / jobs=1: median {statistics.median(ratios):.3f} ({value_range(ratios, '.3f')})")


if __name__ == "__main__":
    main()
