"""One sweep of eight jobs in every way that trains it on one machine: the same bits, and the seconds of each.

    python benchmarks/sweeps.py [ROUNDS] [KEY=VALUE ...]

The ways: one job after another, two at once, and the launchers joblib (two at once), Slurm's stand-in on one
machine (all at once) and Ray (one for each CPU). A launcher that is not installed is left out. Every job has
one thread. Seconds are those of the whole command, start and end included; the order alternates between
rounds, of which there are 3 by default. KEY=VALUE overrides apply to every job. The exit code is 1 if the
weights or the history of a job differ from those of the first way.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from command import SVHN, argument_parser, print_round, run_process, value_range

from svhncli.runs import checkpoint

WAYS = {
    "one after another": ["jobs=1"],
    "jobs=2": ["jobs=2"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "slurm_local": ["hydra/launcher=slurm_local"],
    "ray": ["hydra/launcher=ray"],
}
PLUGINS = {"joblib": "joblib", "slurm_local": "submitit", "ray": "ray"}
"""What a way needs: hydra_plugins.hydra_NAME_launcher."""
FIXED = ["lr=1e-3,3e-4", "reg=light,none", "seed=0,1", "epochs=5", "reg.patience=0"]
FIXED += ["data.n_train=4000", "data.n_test=1000", "threads=1", "device=cpu", "report=false"]


def is_there(way: str) -> bool:
    plugin = PLUGINS.get(way)
    return plugin is None or (
        find_spec("hydra_plugins") is not None
        and find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is not None
    )


def bits(sweep: Path) -> dict[str, tuple[str, str]]:
    """Job -> hashes of its best weights and of its history."""
    return {
        best.parent.name: (
            checkpoint.digest(checkpoint.load(best)["weights"]),
            hashlib.sha256((best.parent / "metrics.csv").read_bytes()).hexdigest(),
        )
        for best in sorted(sweep.glob("*/best.pt"))
    }


def main() -> None:
    _, overrides = argument_parser(__doc__).parse_known_args()
    rounds = int(overrides.pop(0)) if overrides and overrides[0].isdigit() else 3
    ways = [way for way in WAYS if is_there(way)]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    reference: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run_process(
            [*SVHN, "train", "-m", *FIXED, *overrides, f"out={folder}/first", "epochs=1", "-q"]
        )  # renders
        for number in range(rounds):
            for way in ways if number % 2 == 0 else ways[::-1]:
                sweep = Path(folder) / f"{number}-{way.replace(' ', '-')}"
                words = [*FIXED, *overrides, *WAYS[way], f"out={sweep}"]
                seconds[way].append(run_process([*SVHN, "train", "-m", *words, "-q"])[1])
                reference = reference or bits(sweep)
                if bits(sweep) != reference or len(reference) < 8:
                    sys.exit(f"{way}: the bits of {sweep.name} differ from those of the first sweep")
            print_round(number + 1, {way: values[-1] for way, values in seconds.items()})
    print(f"{len(reference)} jobs, the same bits in every way and round")
    for way, values in seconds.items():
        print(f"{way}: median {statistics.median(values):.1f} s ({value_range(values, '.1f')})")


if __name__ == "__main__":
    main()
