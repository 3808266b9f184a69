"""What ensembles gain over their members: folds, two kinds of runs with fitted weights, snapshots.

    python benchmarks/ensembles.py FOLDER [--draws 5] [--beside "KEY=VALUE ..."] [--cycles 5] [KEY=VALUE ...]

FOLDER holds train_32x32.mat and test_32x32.mat, which judges. Words with "=" go to every run. For each draw
(seed of split, weights and order) a run of five folds is trained and joined, and so is one with the words
`beside`; both together are weighed. Then a hold-out run of as many epochs with `cycles` restarts and as many
snapshots stands beside the same run without restarts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from command import told


def points(found: dict[str, Any]) -> str:
    """A difference of accuracies with its interval, in points."""
    values = (found["mean"], found["interval"]["low"], found["interval"]["high"])
    mean, low, high = (f"{round(100 * value, 2) + 0:+.2f}" for value in values)  # + 0: never -0.00
    return f"{mean} ({low} to {high})"


def row(name: str, found: dict[str, Any]) -> None:
    members = [one["accuracy"] for one in found["members"]]
    losses = [one["loss"] for one in found["members"]]
    test, gain = found["test"], found["gain"]
    print(
        f"| {name} | {statistics.mean(members):.2%} ({min(members):.2%} to {max(members):.2%}) "
        f"| {test['accuracy']:.2%} | {points(gain['over_mean'])} | {points(gain['over_best'])} "
        f"| {statistics.mean(losses):.4f} | {test['loss']:.4f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--beside", default="model=mlp")
    parser.add_argument("--cycles", type=int, default=5)
    options, words = parser.parse_known_args()
    place = Path(tempfile.mkdtemp())
    data = ["data=svhn", f"data.root={options.folder.resolve()}", "data.check_md5=false"]
    common = [*data, "threads=1", "report=false", *words]

    def train(name: str, *more: str) -> str:
        told("train", *common, *more, f"hydra.run.dir={place / name}")
        return str(place / name)

    def join(*runs: str, how: str = "mean") -> dict[str, Any]:
        return told("ensemble", *runs, f"how={how}")

    print("| | members: mean (range) | ensemble | over their mean | over the best | loss of members | loss |")
    print("|---|---|---|---|---|---|---|")
    weights, own, beside = [], [], []
    for draw in range(options.draws):
        folds = ["split=kfold", "split.k=5", f"seed={draw}"]
        own.append(train(f"own{draw}", *folds))
        row(f"5 folds, draw {draw}", join(own[-1]))
        row("their votes", join(own[-1], how="vote"))
        beside.append(train(f"beside{draw}", *folds, *options.beside.split()))
        row("with 5 others, mean", join(own[-1], beside[-1]))
        found = join(own[-1], beside[-1], how="weights")
        row("with 5 others, weights", found)
        weights.append(5 * found["members"][-1]["share"])
    row(f"all {5 * options.draws} folds", join(*own))
    print("\nweights of the others:", " ".join(f"{weight:.3f}" for weight in weights), "\n")

    cycles = ["reg.patience=0", f"schedule.cycles={options.cycles}", f"snapshots={options.cycles}"]
    for draw in range(options.draws):
        plain = train(f"plain{draw}", f"seed={draw}", "reg.patience=0")
        snapshots = f"{train(f'cycled{draw}', f'seed={draw}', *cycles)}/snapshots"
        row(f"{options.cycles} snapshots, draw {draw}", join(snapshots))
        row("one run without restarts", join(plain))


if __name__ == "__main__":
    main()
