"""The folder that an evaluation writes: its sheet of mistakes, and numbers read back from its predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reported import EVALUATION_FILES

from svhncli.core.errors import CheckpointError
from svhncli.core.labels import BLANK
from svhncli.data.digits import Digits, NumberedNames
from svhncli.report.scorecard import Evaluated, write_report
from svhncli.runs.predictions import read_predictions, write_predictions
from svhncli.stats.coverage import Fitted, ThresholdFit
from svhncli.stats.intervals import Interval
from svhncli.stats.score import Score
from svhncli.stats.scores import TemperatureFit

UNFITTED = Fitted(TemperatureFit(None, None, "why"), ThresholdFit(None, "why"))
EVALUATED = Evaluated(
    "best.pt",
    "numbers",
    "",
    "test",
    1,
    Score(loss=0, accuracy=1, n=1, interval=Interval(0, 1, 0.95, "wilson")),
)


def numbers(count: int, seed: int = 0) -> tuple[Digits, np.ndarray]:
    """Numbers of 0 to 3 digits, 64x128, and probabilities that predict each of them correctly."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 4, (count, 1))
    labels = np.where(np.arange(3) < lengths, draw.integers(0, 10, (count, 3)), BLANK)
    images = draw.integers(0, 256, (count, 3, 64, 128)).astype(np.uint8)
    probabilities = np.full((count, 3, 11), 0.01, np.float32)
    np.put_along_axis(probabilities, labels[..., None], 0.9, axis=-1)
    return Digits(images, labels, np.arange(count), NumberedNames("n", count)), probabilities


def test_the_most_confident_mistakes_come_first_and_are_at_most_64(tmp_path: Path) -> None:
    digits, probabilities = numbers(100)
    wrong = np.arange(30, 100)
    probabilities[wrong, 0] = np.roll(probabilities[wrong, 0], 1, axis=-1)
    sure = np.linspace(0.6, 0.8, len(wrong), dtype=np.float32)
    probabilities[wrong, 1] = 0.2 / 10 * np.ones(11, np.float32)
    probabilities[wrong, 1, digits.labels[wrong, 1]] = sure
    report = write_report(tmp_path, EVALUATED, digits, np.arange(100), probabilities, UNFITTED)
    assert report.mistakes == 70
    with Image.open(tmp_path / "mistakes.png") as sheet:
        assert sheet.size == (8 * (2 * 128 + 2), 14 + 8 * (2 * 64 + 14 + 2))
        first = np.asarray(sheet)[14 : 14 + 128 : 2, : 2 * 128 : 2]
    assert (first == digits.images[99].transpose(1, 2, 0)).all()


def test_without_mistakes_there_is_no_plot_of_them_and_an_old_one_is_removed(tmp_path: Path) -> None:
    digits, probabilities = numbers(20)
    (tmp_path / "mistakes.png").write_text("of an earlier report")
    report = write_report(tmp_path, EVALUATED, digits, np.arange(20), probabilities, UNFITTED)
    assert (report.mistakes, report.files["mistakes.png"]) == (0, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        name for name in EVALUATION_FILES if "mist" not in name
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_single_image_of_one_digit_makes_a_report(tmp_path: Path, channels: int) -> None:
    digits = Digits(np.zeros((1, channels, 32, 32), np.uint8), np.array([[3]]), np.zeros(1, np.int64), ["a"])
    probabilities = np.zeros((1, 1, 10), np.float32)
    probabilities[..., 4] = 1  # and all others exactly 0
    report = write_report(
        tmp_path,
        EVALUATED,
        digits,
        np.arange(1),
        probabilities,
        Fitted(TemperatureFit(2.0, "val_predictions.csv", None), ThresholdFit(0.5, None)),
    )
    assert report.calibration.ece == 1
    assert [score.recall for score in report.classes] == [0.0 if k == 3 else None for k in range(10)]
    assert [score.precision for score in report.classes] == [0.0 if k == 4 else None for k in range(10)]
    assert sorted(path.name for path in tmp_path.iterdir()) == EVALUATION_FILES


@given(st.integers(0, 2**31), st.integers(1, 12))
def test_numbers_are_read_back_from_a_file_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    digits, _ = numbers(count, seed)
    drawn = np.random.default_rng(seed).dirichlet(np.full(11, 0.1), (count, 3)).astype(np.float32)
    order = np.random.default_rng(seed).permutation(count)
    path = tmp_path_factory.mktemp("numbers") / "p.csv"
    write_predictions(path, digits, order, drawn)
    probabilities, labels = read_predictions(path, 3, 11)
    assert (labels == digits.labels[order]).all()
    assert probabilities == pytest.approx(drawn, rel=1e-5, abs=1e-30)
    with pytest.raises(CheckpointError, match="no column 'p0'"):
        read_predictions(path, 1, 10)
