"""The preprocessing from image to tensor, measured on the training part alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from svhncli.engine.preprocess import SAMPLE, Preprocess


def random_images(n: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 6, 5), dtype=np.uint8)


def test_mean_and_deviation_are_those_of_the_training_images() -> None:
    images, chosen = random_images(), np.array([3, 5, 5, 30])
    preprocess = Preprocess.measure(images, chosen)
    values = images[chosen] / 255
    np.testing.assert_allclose(preprocess.mean, values.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(preprocess.std, values.std((0, 2, 3)), rtol=1e-9)


def test_images_outside_the_training_part_do_not_matter() -> None:
    images, chosen = random_images(), np.arange(20)
    before = Preprocess.measure(images, chosen)
    images[20:] = 255
    assert Preprocess.measure(images, chosen) == before
    images[0] = 255
    assert Preprocess.measure(images, chosen) != before


def test_the_training_part_has_mean_0_and_deviation_1_afterward() -> None:
    images = random_images()
    normalized = Preprocess.measure(images, np.arange(40))(torch.from_numpy(images))
    assert normalized.dtype == torch.float32
    assert normalized.shape == (40, 3, 6, 5)
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    images = random_images()
    images[:, 1] = 7
    normalized = Preprocess.measure(images, np.arange(40))(torch.from_numpy(images))
    assert torch.isfinite(normalized).all()
    assert (normalized[:, 1].abs() < 1e-4).all()


@given(st.integers(1, 5))
def test_an_image_gives_the_same_tensor_alone_and_in_any_batch(count: int) -> None:
    images = torch.from_numpy(random_images())
    preprocess = Preprocess.measure(random_images(), np.arange(40))
    assert torch.equal(preprocess(images[:count]), preprocess(images)[:count])


def test_images_of_another_size_are_resized_to_that_of_training() -> None:
    preprocess = Preprocess.measure(random_images(), np.arange(40))
    flat = torch.full((2, 3, 12, 10), 128, dtype=torch.uint8)
    resized = preprocess.floats(flat)
    assert resized.shape == (2, 3, 6, 5)
    torch.testing.assert_close(resized, torch.full_like(resized, 128 / 255))


def test_preprocessing_is_restored_from_a_checkpoint() -> None:
    preprocess = Preprocess.measure(random_images(), np.arange(40))
    assert Preprocess.from_dict(preprocess.to_dict()) == preprocess


def test_a_large_training_part_is_measured_on_an_even_sample() -> None:
    images = np.zeros((2 * SAMPLE + 2, 1, 1, 1), np.uint8)
    images[len(images) // 2 :] = 200
    mean = Preprocess.measure(images, np.arange(len(images))).mean[0]
    assert abs(mean - 100 / 255) < 1e-3
