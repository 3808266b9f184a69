"""`svhn compare` refuses what cannot be compared, with a message that says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from svhncli.cli import main as cli


def mark_interrupted(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))


def mislabel(run: Path) -> None:
    path = run / "val_predictions.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    cells[3] = str((int(cells[3]) + 1) % 10)
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")


def drop_fingerprint(run: Path) -> None:
    evaluation = run / "eval" / "synth-test"
    evaluation.mkdir(parents=True)
    (evaluation / "results.json").write_text("{}")


def change_data(run: Path) -> None:
    env = json.loads((run / "env.json").read_text())
    env["data"]["fingerprint"] = "0" * 64
    (run / "env.json").write_text(json.dumps(env))


def give_val_part(run: Path) -> None:
    split = json.loads((run / "split.json").read_text())
    (run / "split.json").write_text(json.dumps(split | {"val_part": "val"}))


def keep_one_image(run: Path) -> None:
    path = run / "val_predictions.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")


REFUSALS: dict[str, tuple[str, Callable[[Path], None] | None, int, str, str]] = {
    "nothing": ("", None, 2, "no runs are named", "svhn compare A B"),
    "one run": ("linear", None, 2, "there is nothing to compare 'linear' with", "two runs or more"),
    "twice": ("linear mlp linear/best.pt", None, 2, "'linear' is named twice", "once"),
    "missing": ("linear nowhere", None, 4, "there is no run 'nowhere'", "name a run's folder"),
    "not a run": ("linear .", None, 4, "does not belong to a run", ""),
    "unfinished": ("linear mlp", mark_interrupted, 4, "'mlp' is not finished", "svhn train --resume mlp"),
    "no predictions": ("linear mlp", lambda run: (run / "val_predictions.csv").unlink(), 4, "cannot be", ""),
    "no split": ("linear mlp", lambda run: (run / "split.json").unlink(), 4, "no readable split.json", ""),
    "labels": ("linear mlp", mislabel, 4, "different labels for image", "again"),
    "other data": ("linear mlp", change_data, 2, "different images or labels", "tested_on=NAME"),
    "other part": ("linear mlp", give_val_part, 2, "none in common", "part=test"),
    "one image": ("linear mlp", keep_one_image, 2, "1 image(s) of one group", "same images"),
    "not evaluated": ("linear mlp part=test", None, 4, "has not been evaluated yet", "svhn eval linear"),
    "never evaluated there": ("linear mlp part=test tested_on=svhn", None, 4, "svhn-test", "data=svhn"),
    "old evaluation": (
        "mlp linear part=test", drop_fingerprint, 4, "results.json' cannot be used", "svhn eval mlp"
    ),
    "many baselines": ("linear mlp baseline=sweep", None, 2, "baseline=sweep names 2 runs", "name one run"),
    "wrong pairs": ("linear mlp pairs=every", None, 2, "pairs=every: must be baseline or all", ""),
    "out is taken": ("linear mlp out=linear", None, 2, "'linear' contains other files", "a new folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_runs_that_cannot_be_compared_are_refused_with_a_message(
    runs: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words, damage, code, message, hint = REFUSALS[name]
    if damage is not None:
        damage(runs / "mlp")
    before = sorted(runs.rglob("*"))
    capsys.readouterr()
    assert cli.main(["compare", *words.split()]) == code
    out, err = capsys.readouterr()
    first, _, rest = err.partition("  hint: ")
    assert message in first
    assert hint in rest
    assert "Traceback" not in err
    assert out == ""
    assert [path for path in sorted(runs.rglob("*")) if path.name != "outputs"] == before


def test_completion_offers_runs_after_every_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "outputs" / "train" / "mine").mkdir(parents=True)
    for words in (["compare", ""], ["compare", "latest", ""], ["compare", "a", "baseline="]):
        assert cli.main(["--complete", *words]) == 0
        assert "outputs/train/mine" in capsys.readouterr().out
