"""What a config asks of the images is refused before the first step, where it cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from folder_files import images

from svhncli.cli import main as cli

WORDS = ["data=folder", "data.root=d", "data.height=8", "data.width=8", "split=official", "epochs=1"]
WORDS += ["threads=1", "device=cpu", "watch=0", "report=false"]


def train(folder: Path, count: int, *words: str) -> int:
    """Train on a few images of 8 pixels, which the network shrinks to a single one."""
    images(folder / "d" / "train" / "3", [f"{i}.png" for i in range(count)])
    images(folder / "d" / "val" / "3", ["v.png"])
    return cli.main(["train", *WORDS, *words])


@pytest.mark.fault("a batch gives batch norm a single value", "refused, with the batch size to choose", "2")
@pytest.mark.parametrize(
    ("count", "batch_size", "hint"),
    [
        (1, 128, "provide more training images"),
        (3, 1, "set batch_size to 3 or more"),
        (3, 2, "set batch_size to 3 or more"),
        (4, 1, "set batch_size to 2 or more"),
    ],
)
def test_batch_norm_of_a_single_value_is_refused(
    count: int, batch_size: int, hint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, count, f"batch_size={batch_size}") == 2
    err = capsys.readouterr().err
    assert "cannot train on a batch of 1 image, of which it sees 1×1 pixels" in err
    assert f"hint: {hint}\n" in err


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (3, ["batch_size=3"]),
        (1, ["model=linear"]),
        (2, ["batch_size=1", "data.height=32", "data.width=32"]),
    ],
)
def test_a_few_images_train_where_batch_norm_has_several_values(
    count: int, words: list[str], folder: Path
) -> None:
    assert train(folder, count, *words) == 0


@pytest.mark.fault("the training images show one class, or lack one", "a warning before training", "0")
def test_a_single_class_is_named_before_training_starts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, 4, "model=linear") == 0
    err = capsys.readouterr().err
    warned = err.index("warning: every digit of the training images is 3: no other digit can be learned")
    assert "warning: every digit of the validation images is 3: others are not scored" in err
    assert warned < err.index("epoch 1/1")
