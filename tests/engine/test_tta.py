"""The views of test-time augmentation: which they are, and that they never change."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from svhncli.config.verbs.results import EvalConfig
from svhncli.engine.tta import VIEWS, views


def random_images() -> Tensor:
    return torch.rand(5, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def test_the_first_view_is_the_batch_itself() -> None:
    images = random_images()
    assert next(views(images, 1)) is images
    assert next(views(images, 7)) is images
    assert VIEWS[0] == (0, 0, 1)


def test_more_views_extend_fewer_and_no_view_repeats() -> None:
    images = random_images()
    all_views = list(views(images, len(VIEWS)))
    for count in range(1, len(VIEWS) + 1):
        views_of_count = list(views(images, count))
        assert len(views_of_count) == count
        assert all(
            torch.equal(view, expected) for view, expected in zip(views_of_count, all_views, strict=False)
        )
    assert len(set(VIEWS)) == len(VIEWS)


def test_a_shift_is_by_whole_pixels_and_repeats_the_edge() -> None:
    images = random_images()
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    for view, (right, down, zoom) in zip(views(images, len(VIEWS)), VIEWS, strict=True):
        if zoom == 1:
            expected = padded[:, :, 1 - down : 17 - down, 1 - right : 21 - right]
            np.testing.assert_allclose(view.numpy(), expected, atol=2e-5)


def test_a_zoom_matches_pillow_about_the_center() -> None:
    images = random_images()
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (20, 20), (20, 20)), mode="edge")
    for view, (_, _, zoom) in zip(views(images, len(VIEWS)), VIEWS, strict=True):
        if zoom != 1:
            matrix = (1 / zoom, 0, 30 - 30 / zoom, 0, 1 / zoom, 28 - 28 / zoom)
            for index, channel in np.ndindex(5, 3):
                wide = Image.fromarray(padded[index, channel])
                zoomed = wide.transform(wide.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
                np.testing.assert_allclose(
                    view[index, channel].numpy(), np.asarray(zoomed)[20:-20, 20:-20], atol=1e-4
                )


def test_the_views_of_an_image_are_the_same_in_any_batch() -> None:
    for alone, together in zip(views(random_images()[2:3], 13), views(random_images(), 13), strict=True):
        assert torch.equal(alone[0], together[2])


def test_the_largest_value_of_the_key_is_the_number_of_views() -> None:
    rule = next(item.metadata for item in fields(EvalConfig) if item.name == "tta")
    assert (rule["low"], rule["high"]) == (1, len(VIEWS))
