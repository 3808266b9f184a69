"""What ensembles gain over their members: folds, two kinds of runs with fitted weights, snapshots.

    python benchmarks/ensembles.py FOLDER [--draws 5] [--beside "KEY=VALUE ..."] [--cycles 5] [KEY=VALUE ...]

FOLDER contains train_32x32.mat, for training, and test_32x32.mat, for scoring. KEY=VALUE overrides apply to
every run. Each draw uses its own seed for the split, the weights and the order of the images. For each
draw, the script trains five folds and joins them, trains five more with the overrides of --beside, and
joins all ten by their mean and with fitted weights. Finally, it trains hold-out runs with --cycles restarts
and joins one snapshot per restart, to compare with the same runs without restarts.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from command import argument_parser, run_json, svhn_data, value_range


def points(difference: dict[str, Any]) -> str:
    """A difference between accuracies with its interval, in points."""
    values = (difference["mean"], difference["interval"]["low"], difference["interval"]["high"])
    mean, low, high = (f"{round(100 * value, 2) + 0:+.2f}" for value in values)  # + 0: never -0.00
    return f"{mean} ({low} to {high})"


def print_row(name: str, ensemble: dict[str, Any]) -> None:
    accuracies = [member["accuracy"] for member in ensemble["members"]]
    losses = [member["loss"] for member in ensemble["members"]]
    test, gain = ensemble["test"], ensemble["gain"]
    print(
        f"| {name} | {statistics.mean(accuracies):.2%} ({value_range(accuracies, '.2%')}) "
        f"| {test['accuracy']:.2%} | {points(gain['over_mean'])} | {points(gain['over_best'])} "
        f"| {statistics.mean(losses):.4f} | {test['loss']:.4f} |",
        flush=True,
    )


def main() -> None:
    parser = argument_parser(__doc__, folder=True)
    parser.add_argument("--draws", type=int, default=5, help="number of seeds")
    parser.add_argument("--beside", default="model=mlp", help="overrides of the second kind of run")
    parser.add_argument("--cycles", type=int, default=5, help="restarts, and snapshots, of a run")
    options, overrides = parser.parse_known_args()
    runs = Path(tempfile.mkdtemp())
    common = [*svhn_data(options.folder), "threads=1", "report=false", *overrides]

    def train(name: str, *arguments: str) -> str:
        run_json("train", *common, *arguments, f"hydra.run.dir={runs / name}")
        return str(runs / name)

    def join(*paths: str, how: str = "mean") -> dict[str, Any]:
        return run_json("ensemble", *paths, f"how={how}")

    print("| | members: mean (range) | ensemble | gain over mean | gain over best | members' loss | loss |")
    print("|---|---|---|---|---|---|---|")
    weights, own, beside = [], [], []
    for draw in range(options.draws):
        folds = ["split=kfold", "split.k=5", f"seed={draw}"]
        own.append(train(f"own{draw}", *folds))
        print_row(f"5 folds, draw {draw}", join(own[-1]))
        print_row("the same, vote", join(own[-1], how="vote"))
        beside.append(train(f"beside{draw}", *folds, *options.beside.split()))
        print_row("with 5 folds of the second kind, mean", join(own[-1], beside[-1]))
        weighted = join(own[-1], beside[-1], how="weights")
        print_row("with 5 folds of the second kind, weights", weighted)
        weights.append(5 * weighted["members"][-1]["share"])
    print_row(f"all {5 * options.draws} folds of the first kind", join(*own))
    print("\ntotal weight of the second kind:", " ".join(f"{weight:.3f}" for weight in weights), "\n")

    cycles = ["reg.patience=0", f"schedule.cycles={options.cycles}", f"snapshots={options.cycles}"]
    for draw in range(options.draws):
        plain = train(f"plain{draw}", f"seed={draw}", "reg.patience=0")
        snapshots = f"{train(f'cycled{draw}', f'seed={draw}', *cycles)}/snapshots"
        print_row(f"{options.cycles} snapshots, draw {draw}", join(snapshots))
        print_row("run without restarts", join(plain))


if __name__ == "__main__":
    main()
