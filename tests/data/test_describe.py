"""The description of a part of a data set, compared with Pillow's luminance and with plain counts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from svhncli.data.dataset import DataSet
from svhncli.data.describe import BATCH, class_gaps, describe, light, luminance, misplaced_boxes
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.split import Fold


def make_images(n: int, channels: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, channels, 9, 7), dtype=np.uint8)


def test_luminance_matches_pillow() -> None:
    images = make_images(5, 3)
    for pixels, gray in zip(images, luminance(images), strict=True):
        expected = np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"), np.float32)
        assert np.abs(gray - expected).max() <= 1  # Pillow rounds


@pytest.mark.parametrize("channels", [1, 3])
def test_light_is_mean_and_deviation_of_each_image_across_batches(channels: int) -> None:
    images = make_images(BATCH + 3, channels)
    brightness, contrast = light(images)
    gray = luminance(images).reshape(len(images), -1).astype(np.float64)
    np.testing.assert_allclose(brightness, gray.mean(1), rtol=1e-5)
    np.testing.assert_allclose(contrast, gray.std(1), rtol=1e-5)


def test_a_description_counts_every_row_of_the_part_once() -> None:
    images = make_images(4, 1)
    labels = np.array([[1, 2], [3, 10], [3, 3], [9, 10]])
    description = describe(images, labels, np.array([5, 5, 6, 7]), np.array([2, 0, 2, 1]), blank=10)
    assert description.n == 3
    assert description.shape == [1, 9, 7]
    assert description.classes == [0, 1, 1, 3, 0, 0, 0, 0, 0, 0]
    assert description.lengths == [1, 2]
    assert description.groups == 2
    assert description.brightness.mean == pytest.approx(images[:3].mean(), rel=1e-5)


def test_a_part_without_images_is_refused() -> None:
    no_rows = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="no images to describe"):
        describe(make_images(1, 1), np.array([[1]]), np.array([0]), no_rows, blank=10)


def boxed(right: list[float]) -> DataSet:
    """Images of 20x10 pixels, with a box that ends at each of these columns."""
    n = len(right)
    boxes = np.full((n, 2, 4), np.nan, np.float32)
    boxes[:, 0] = [[2, 1, column, 9] for column in right]
    digits = Digits(
        make_images(n, 3), np.zeros((n, 2), np.int64), np.arange(n), NumberedNames("a", n), boxes,
        np.tile([20, 10], (n, 1)),
    )  # fmt: skip
    return DataSet("mchar", digits, "")


def test_boxes_of_other_images_are_told_from_those_drawn_carelessly() -> None:
    assert list(misplaced_boxes(boxed([15, 20.9, 19, 30, 3, 20, 20, 20, 20, 20]))) == []
    (sentence,) = misplaced_boxes(boxed([15, 20.9, 30, 30, 22]))
    assert sentence.startswith("in 60% of the training images a box reaches beyond the image")


def shown(labels: list[int]) -> Digits:
    """Images of these digits."""
    n = len(labels)
    return Digits(make_images(n, 1), np.array(labels)[:, None], np.arange(n), NumberedNames("a", n))


def test_classes_that_no_training_image_shows_are_named() -> None:
    assert list(class_gaps(DataSet("folder", shown([*range(10)]), "", test=shown([1, 2])))) == []
    (sentence,) = class_gaps(DataSet("folder", shown([0, 1, 2, 3, 4, 5, 6, 8]), ""))
    assert sentence.startswith("no training image shows 7 or 9: ")


def test_a_part_of_a_single_class_is_named() -> None:
    sentences = [*class_gaps(DataSet("folder", shown([3, 3]), "", test=shown([*range(10)]), val=shown([5])))]
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "every digit of the training images is 3",
        "every digit of the validation images is 5",
    ]


def test_what_a_fold_holds_out_is_not_among_its_training_images() -> None:
    fold = Fold("holdout", np.arange(9), np.array([9]))
    data = DataSet("folder", shown([*range(10)]), "", val=shown([*range(10)]))
    assert [sentence.split(":")[0] for sentence in class_gaps(data, fold)] == [
        "no training image shows 9",
        "every digit of the validation images is 9",
    ]


def test_rendered_images_show_what_real_ones_lack() -> None:
    data = DataSet("mix", shown([1, 2]), "", extra_train=shown([*range(10)]), share=0.5)
    assert list(class_gaps(data)) == []
