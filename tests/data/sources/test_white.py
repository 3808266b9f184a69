"""Images of more than 8 bits: one scale for a data set, measured on its training part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svhncli.data import inputs
from svhncli.data.dataset import DataSet
from svhncli.data.describe import flat_parts
from svhncli.data.formats.images import largest_value
from svhncli.data.framing import Framing
from svhncli.data.sources import folder
from svhncli.data.store.cache import Cache
from svhncli.engine.preprocess import Preprocess

FRAMING = Framing(9, 10)
RAMP = np.linspace(0, 1, 90).reshape(9, 10)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def load(root: Path) -> DataSet:
    return folder.load(root, FRAMING, cache=Cache(root.parent / "cache"))


@pytest.mark.parametrize(
    ("largest", "dtype", "white"),
    [
        (200, np.uint16, 255),
        (256, np.uint16, 511),
        (4095, np.uint16, 4095),
        (60_000, np.uint16, 65_535),
        (70_000, np.int32, 131_071),
        (0, np.uint16, 1),
        (0.9, np.float32, 1),
        (254.6, np.float32, 255),
        (np.inf, np.float32, 255),
    ],
)
def test_white_is_what_the_bits_of_the_largest_value_can_hold(
    tmp_path: Path, largest: float, dtype: type, white: float
) -> None:
    values = (RAMP * min(largest, 100)).astype(dtype)
    values[-1, -1] = largest
    save(tmp_path / "d" / "1" / "a.tif", (values / 2).astype(dtype))
    save(tmp_path / "d" / "2" / "b.tif", values)
    data = load(tmp_path / "d")
    assert data.framing is not None
    assert data.framing.white == white
    expected = np.clip(np.nan_to_num(values.astype(float)), 0, white) / white * 255
    assert np.abs(data.train.images[1].astype(float) - expected).max() < 1.01


def test_dark_images_stay_darker_than_bright_ones_and_other_parts_decide_nothing(tmp_path: Path) -> None:
    save(tmp_path / "d" / "train" / "1" / "dark.png", (RAMP * 1000).astype(np.uint16))
    save(tmp_path / "d" / "train" / "2" / "bright.png", (RAMP * 4000).astype(np.uint16))
    save(tmp_path / "d" / "train" / "3" / "plain.png", (RAMP * 200).astype(np.uint8))
    save(tmp_path / "d" / "test" / "1" / "a.png", (RAMP * 50_000).astype(np.uint16))
    data = load(tmp_path / "d")
    assert data.framing == Framing(9, 10, white=4095)
    assert data.train.images.max((1, 2, 3)).tolist() == [1000 * 255 // 4095, 4000 * 255 // 4095, 200]
    assert data.test is not None
    assert data.test.images.max() == 255
    assert list(flat_parts(data)) == []


def test_predictions_see_the_images_that_were_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "d" / "1" / "a.png"
    save(path, (RAMP * 3000).astype(np.uint16))
    data = load(tmp_path / "d")
    saved = Preprocess.measure(data.train.images, np.array([0]), data.framing).to_dict()
    ((_, image),) = inputs.stored([str(path)], Preprocess.from_dict(saved).framing)
    assert isinstance(image, inputs.StoredImage)
    assert (image.pixels == data.train.images[0]).all()
    del saved["white"]  # of an older version
    assert Preprocess.from_dict(saved).framing == FRAMING


def test_images_of_8_bits_are_not_decoded_to_learn_that_they_are(tmp_path: Path) -> None:
    path = tmp_path / "d" / "1" / "a.png"
    save(path, np.zeros((9, 10), np.uint8))
    assert load(tmp_path / "d").framing == FRAMING
    path.write_bytes(path.read_bytes()[:45])
    assert largest_value(path) is None


def test_a_measured_scale_is_kept_until_the_images_change(tmp_path: Path) -> None:
    path = tmp_path / "d" / "1" / "a.png"
    for largest, white in ((255, 255), (999, 1023)):
        save(path, (RAMP * largest).astype(np.uint16))
        for _ in range(2):
            assert load(tmp_path / "d").framing == Framing(9, 10, white=white)
    assert len(list((tmp_path / "cache").glob("folder-white-*/white.json"))) == 2


def test_transparent_images_are_called_blank(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 10, 4), np.uint8)
    pixels[..., 3] = 0
    save(tmp_path / "d" / "1" / "a.png", pixels)
    (sentence,) = flat_parts(load(tmp_path / "d"))
    assert "the training images are all but blank: their pixels are 255 to 255" in sentence
