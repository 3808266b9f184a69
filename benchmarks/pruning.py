"""How many epochs pruning saves, and whether it loses the best trial.

    python benchmarks/pruning.py [--seeds 3] [--trials 30] [--epochs 9] [--keep FOLDER]

A search with sampler=random draws the same trials with every pruner, and a trial has the same bits whether or
not others were stopped. So each study is run once, without a pruner, and every pruner is then played over its
recorded epochs, one trial after another: what it would have stopped, and the best score that it would have
found. Nothing is timed, so the machine need not be quiet.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import optuna

from svhncli.training.search.recorded import make_pruner

WORDS = ["space=small", "model.width=0.5", "data.limit=5000", "finalists=0", "pruner=none", "report=false"]
LEASTS = (27, 9, 4)
"""Further rows: ASHA whose first rung is at so large a part of the epochs."""


def run(folder: Path, seed: int, trials: int, epochs: int) -> None:
    words = [*WORDS, f"seed={seed}", f"trials={trials}", f"epochs={epochs}", f"out={folder}"]
    goes_on = ["--resume", str(folder)] if (folder / "study.json").is_file() else words
    subprocess.run([sys.executable, "-m", "svhncli", "tune", *goes_on], check=True, stdout=subprocess.DEVNULL)


def recorded(folder: Path) -> list[list[float]]:
    """The validation accuracy of every epoch of every trial, in the order of the trials."""
    histories = []
    for trial in sorted(folder.glob("trial-*")):
        with (trial / "metrics.csv").open(newline="") as file:
            histories.append([float(row["val_accuracy"]) for row in csv.DictReader(file)])
    return histories


def play(pruner: optuna.pruners.BasePruner, histories: list[list[float]]) -> tuple[int, float]:
    """The epochs that are trained with a pruner, and the best accuracy of the trials that it lets finish."""
    study = optuna.create_study(direction="maximize", pruner=pruner, study_name="played")
    spent, best = 0, 0.0
    for history in histories:
        trial, pruned = study.ask(), False
        for epoch, score in enumerate(history, 1):
            trial.report(score, epoch)
            spent += 1
            if epoch < len(history) and trial.should_prune():
                pruned = True
                break
        study.tell(
            trial, None if pruned else max(history), optuna.trial.TrialState.PRUNED if pruned else None
        )
        best = best if pruned else max(best, *history)
    return spent, best


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--trials", type=int, default=30)
    arguments.add_argument("--epochs", type=int, default=9)
    arguments.add_argument(
        "--keep", type=Path, default=None, help="folder of the studies; existing ones go on"
    )
    given = arguments.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    folder = given.keep or Path(tempfile.mkdtemp())
    print(
        "| pruner | seed | epochs | saved | best without | best with |\n|---|---|---|---|---|---|", flush=True
    )
    for seed in range(given.seeds):
        run(folder / f"seed{seed}", seed, given.trials, given.epochs)
        histories = recorded(folder / f"seed{seed}")
        whole, top = sum(map(len, histories)), max(map(max, histories))
        pruners = {name: make_pruner(name, given.epochs, 1) for name in ("median", "asha", "hyperband")}
        for part in LEASTS:
            least = max(1, given.epochs // part)
            pruners[f"asha from epoch {least}"] = optuna.pruners.SuccessiveHalvingPruner(least, 3)
        for name, pruner in pruners.items():
            spent, best = play(pruner, histories)
            print(
                f"| {name} | {seed} | {spent} of {whole} | {1 - spent / whole:.0%} | {top:.2%} | {best:.2%} |"
            )


if __name__ == "__main__":
    main()
