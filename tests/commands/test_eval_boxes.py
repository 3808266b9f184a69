"""`svhn eval` scores what a detector finds, and draws it into its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bright_digits import finds_bright, write_detector, write_labeled
from conftest import write_run
from PIL import Image

from svhncli.cli import main as cli
from svhncli.config.groups.model import DatawhaleConfig
from svhncli.data.framing import Framing
from svhncli.runs.contact_sheet import RIGHT, WRONG

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("finds_bright")]
__all__ = ["finds_bright"]

CROPPED = Framing(40, 80, "boxes", 0.3, 0.2, fit="pad")


@pytest.fixture
def data(folder: Path) -> list[str]:
    write_labeled(folder / "mine")
    return ["data=folder", "data.root=mine", "device=cpu"]


@pytest.mark.parametrize("framing", [CROPPED, Framing(40, 80, fit="pad"), Framing(40, 80)], ids=str)
def test_boxes_are_right_whatever_part_of_the_photograph_is_stored(
    data: list[str], capsys: pytest.CaptureFixture[str], framing: Framing
) -> None:
    write_detector(Path("run"), framing)
    assert cli.main(["eval", "run", *data, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    score = result["test"]["detection"]
    assert result["test"]["accuracy"] == 1
    assert (score["n"], score["true"], score["predicted"], score["iou"]) == (2, 3, 3, 0.5)
    assert (score["any_digit"]["matched"], score["right_digit"]["matched"]) == (3, 3)
    saved = json.loads(Path(result["report"], "results.json").read_text())
    assert saved["detection"] == score


def test_wrong_digits_and_wrong_boxes_are_told_apart(
    data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("off"), off=1)
    assert cli.main(["eval", "off", *data]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "precision 100.00%, recall 100.00% at IoU 0.5" in shown
    assert "with the right digit precision 0.00%, recall 0.00%" in shown
    write_detector(Path("right"), right=12)
    assert cli.main(["eval", "right", *data]) == 0
    assert "detection precision 0.00%, recall 0.00% at IoU 0.5" in " ".join(capsys.readouterr().out.split())


def test_mistakes_are_drawn_with_true_and_predicted_boxes(
    data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("run"), off=1, right=4)
    assert cli.main(["eval", "run", *data, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    sheet = np.asarray(Image.open(Path(report, "mistakes.png")).convert("RGB"))
    zoom = 128 // 40
    # the photograph of 60×40 pixels fills the middle 60 of the 80 columns; its first box begins at 10, 12
    first = sheet[14 : 14 + 40 * zoom, : 80 * zoom]
    cells = [sheet[14 : 14 + 40 * zoom, left : left + 80 * zoom] for left in (0, 80 * zoom + 2)]
    marks = [{tuple(color) for color in np.unique(cell.reshape(-1, 3), axis=0).tolist()} for cell in cells]
    assert all({RIGHT, WRONG} <= found for found in marks)
    two = next(cell for cell in cells if (cell[12 * zoom, 20 * zoom] == RIGHT).all())
    assert (two[12 * zoom, 24 * zoom : 30 * zoom] == WRONG).all()
    assert first.shape == two.shape


def test_networks_that_find_no_boxes_have_no_score_of_them(
    data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("run"), Framing(24, 48), 4, DatawhaleConfig())
    assert cli.main(["eval", "run", *data]) == 0
    assert "IoU" not in capsys.readouterr().out
