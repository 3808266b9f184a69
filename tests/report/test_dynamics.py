"""Prediction dynamics: the same images after every epoch, also across a resume, and how much they jump."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svhncli.cli import main as cli
from svhncli.core.plain import to_plain
from svhncli.engine.forward import EVAL_BATCH
from svhncli.report.figures.dynamics import DARK, EDGE, GAP, HEAD, LIGHT, ROW, Theme, draw_film, jumps
from svhncli.runs import checkpoint
from svhncli.runs.contact_sheet import RIGHT, WRONG
from svhncli.runs.results import Movement

WORDS = ["data=tiny", "data.n_train=200", "data.n_test=0", "model=linear", "reg=none", "threads=1"]


def certain(*epochs: list[int]) -> np.ndarray:
    """Probabilities (epochs, N, 1, 10) that are 1 for a digit of each image."""
    return np.eye(10)[np.array(epochs)][:, :, None]


def test_jumps_count_the_predictions_that_change_in_the_last_quarter() -> None:
    movement = jumps(certain([1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [5, 5], [5, 5], [5, 5], [5, 6]))
    assert movement == Movement(pictures=2, epochs=2, changed=0.25, moved=0.25)


def test_jumps_measure_the_total_variation_where_no_prediction_changes() -> None:
    watched = np.full((2, 1, 1, 10), 0.05)
    watched[0, 0, 0, 3], watched[1, 0, 0, 3] = 0.55, 0.55
    watched[1, 0, 0, 4], watched[1, 0, 0, 5] = 0.0, 0.1
    movement = jumps(watched)
    assert movement is not None
    assert movement.changed == 0
    assert movement.moved == pytest.approx(0.05)


def test_a_single_epoch_has_no_jumps() -> None:
    assert jumps(certain([1])) is None


def test_a_cell_is_blue_if_the_prediction_is_correct_and_red_if_not(tmp_path: Path) -> None:
    watched = certain([3, 7], [4, 7])
    draw_film(tmp_path / "film.png", np.zeros((2, 3, 8, 8), np.uint8), ["4", "7"], watched)
    pixels = np.asarray(Image.open(tmp_path / "film.png"))
    cell = 15
    left = EDGE + ROW + cell + 2 * GAP
    colors = [
        [tuple(pixels[HEAD + row * (ROW + GAP), left + column * (cell + GAP)]) for column in range(2)]
        for row in range(2)
    ]
    assert colors == [[WRONG, RIGHT], [RIGHT, RIGHT]]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_legend_is_inside_the_film_and_has_the_colors_of_its_cells(tmp_path: Path, theme: Theme) -> None:
    watched = np.full((2, 1, 1, 10), 1 / 30)
    watched[..., 4] = 0.7
    draw_film(tmp_path / "film.png", np.zeros((1, 3, 8, 8), np.uint8), ["4"], watched, theme)
    pixels = np.asarray(Image.open(tmp_path / "film.png"))
    assert (pixels[:, -EDGE:] == theme.paper).all()
    assert (pixels[0] == theme.paper).all()
    head = {tuple(color) for color in pixels[:HEAD].reshape(-1, 3).tolist()}
    assert {theme.ink, RIGHT, WRONG} <= head
    cell = pixels[HEAD, EDGE + ROW + 15 + 2 * GAP].astype(int)
    assert min(np.abs(cell - color).max() for color in head) <= 3, "a shade of the color scale"


@pytest.mark.engine
def test_a_run_follows_the_same_validation_images_and_keeps_their_predictions(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ["data.n_train=1200", "split.fraction=0.5"]  # more images than a validation batch holds
    words = [*WORDS, *many, "watch=40", "epochs=3", "hydra.run.dir=run"]
    assert cli.main(["train", "--json", *words]) == 0
    summary = json.loads(capsys.readouterr().out)
    watched = np.stack(checkpoint.load(folder / "run" / "last.pt")["state"]["watched"])
    assert watched.shape == (3, 40, 1, 10)
    assert summary["watch"] == to_plain(jumps(watched))
    best = watched[summary["best"]["epoch"] - 1, :, 0]  # val_predictions.csv is that epoch's
    with (folder / "run" / "val_predictions.csv").open(newline="") as file:
        rows = np.array([[float(row[f"p{digit}"]) for digit in range(10)] for row in csv.DictReader(file)])
    assert len(rows) > EVAL_BATCH
    places = [int(np.abs(rows - distribution).sum(1).argmin()) for distribution in best]
    assert places == sorted(places)
    assert places[-1] >= EVAL_BATCH
    np.testing.assert_allclose(rows[places], best, atol=1e-5)
    Image.open(folder / "run" / "plots" / "watch.png").verify()


@pytest.mark.engine
def test_a_resumed_run_has_the_predictions_of_all_epochs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["train", *WORDS, "schedule=constant"]
    assert cli.main([*start, "hydra.run.dir=whole", "epochs=3"]) == 0
    assert cli.main([*start, "hydra.run.dir=again", "epochs=1"]) == 0
    assert cli.main(["train", "--resume", "again", "epochs=3"]) == 0
    for name in ("watch.png", "watch_dark.png"):
        films = [(folder / run / "plots" / name).read_bytes() for run in ("whole", "again")]
        assert films[0] == films[1]


@pytest.mark.engine
def test_a_checkpoint_of_a_version_that_watched_nothing_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *WORDS, "epochs=1", "hydra.run.dir=run"]) == 0
    content = checkpoint.load(folder / "run" / "last.pt")
    del content["state"]["watched"]
    checkpoint.save(folder / "run" / "last.pt", content)
    assert cli.main(["train", "--resume", "run", "epochs=2"]) == 4
    err = capsys.readouterr().err
    assert "another version of svhn" in err
    assert "Traceback" not in err


@pytest.mark.engine
def test_watch_0_switches_watching_off(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--json", *WORDS, "watch=0", "epochs=2", "hydra.run.dir=run"]) == 0
    assert json.loads(capsys.readouterr().out)["watch"] is None
    assert not (folder / "run" / "plots" / "watch.png").exists()
