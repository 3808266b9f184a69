"""Boxes follow what happens to the pixels: framed, augmented and resampled, against painted rectangles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from svhncli.data.framing import Framing
from svhncli.engine.augment import Augment, Window
from svhncli.engine.collective import Rows
from svhncli.models.stn import Regression, SpatialTransformer, in_frame

WIDTH, HEIGHT = 200, 120


def painted(box: tuple[int, int, int, int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A black image uint8 (height, width, 3) with a white rectangle."""
    pixels = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 255
    return pixels


def seen_box(image: np.ndarray) -> np.ndarray:
    """Where an image (H, W) is at least half white: left, top, right and bottom."""
    rows, columns = np.nonzero(image >= 0.5 * image.max())
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@settings(deadline=None)
@given(
    st.sampled_from(["whole", "boxes"]),
    st.sampled_from(["stretch", "pad"]),
    st.sampled_from([0.0, 0.2]),
    st.tuples(st.integers(40, 80), st.integers(30, 50), st.integers(30, 60), st.integers(20, 50)),
)
def test_a_framed_box_is_where_the_framed_pixels_are(
    crop: str, fit: str, jitter: float, corner: tuple[int, int, int, int]
) -> None:
    left, top, wide, high = corner
    box = (left, top, left + wide, top + high)
    framing = Framing(60, 100, crop, widen=0.3, jitter=jitter, fit=fit)
    stored = framing.store(Image.fromarray(painted(box)), [tuple(map(float, box))])
    boxes = np.full((1, 3, 4), np.nan, np.float32)
    boxes[0, 0] = box
    placed = framing.placed(boxes, np.array([[WIDTH, HEIGHT]]))
    assert placed.dtype == np.float32
    np.testing.assert_allclose(placed[0, 0], seen_box(stored[0]), atol=1)
    assert np.isnan(placed[0, 1:]).all()


@given(st.integers(20, 400), st.integers(20, 400))
def test_padding_keeps_the_shape_of_what_is_seen_and_loses_nothing(width: int, height: int) -> None:
    framing = Framing(64, 128, fit="pad")
    corners = np.array([[[0, 0, width, height]]], np.float32)
    left, top, right, bottom = framing.placed(corners, np.array([[width, height]]))[0, 0].tolist()
    assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=1e-4)
    assert left >= -1e-3
    assert top >= -1e-3
    assert right <= 128 + 1e-3
    assert bottom <= 64 + 1e-3
    assert right - left == pytest.approx(128) or bottom - top == pytest.approx(64)


def test_padding_repeats_the_edge() -> None:
    pixels = np.arange(30 * 20 * 3, dtype=np.uint8).reshape(30, 20, 3)
    stored = Framing(30, 60, fit="pad").store(Image.fromarray(pixels), ())
    assert (stored[:, :, 20:40] == pixels.transpose(2, 0, 1)).all()
    assert (stored[:, :, :20] == stored[:, :, 20:21]).all()
    assert (stored[:, :, 40:] == stored[:, :, 39:40]).all()


MOVES = {
    "rotate": Augment(rotate=20),
    "shear": Augment(shear=15),
    "scale": Augment(scale=0.4),
    "translate": Augment(translate=0.1),
    "crop": Augment(crop=6),
    "hflip": Augment(hflip=True, vflip=True),
    "all": Augment(rotate=10, shear=5, scale=0.2, translate=0.05, crop=2, brightness=0.2),
    "none": Augment(brightness=0.2),
}


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("name", MOVES)
def test_an_augmented_box_is_where_the_augmented_pixels_are(name: str, windowed: bool) -> None:
    box, count = (70, 40, 120, 80), 12
    augment = MOVES[name]
    one = torch.from_numpy(painted(box)).permute(2, 0, 1) / 255
    images = one.repeat(count, 1, 1, 1)
    corners = torch.arange(2 * count).view(count, 2) % 7
    window = Window(HEIGHT - 8, WIDTH - 8, corners) if windowed else None
    boxes = torch.full((count, 2, 4), torch.nan)
    boxes[:, 1] = torch.tensor(box)
    moved = augment.moved(boxes, (HEIGHT, WIDTH), 5, Rows(count), window)
    assert moved[:, 0].isnan().all()
    changed = augment(images, 5, None, window)
    for image, expected in zip(changed, moved[:, 1], strict=True):
        np.testing.assert_allclose(seen_box(image[0].numpy()), expected, atol=1.6)
    if name not in ("none", "hflip"):
        assert (moved[:, 1] - moved[:1, 1]).abs().max() > 2  # every image has its own draws


def test_some_rows_boxes_move_as_within_the_batch() -> None:
    boxes = torch.tensor([70.0, 40, 120, 80]).repeat(9, 1, 1)
    rows = Rows(9, torch.tensor([2, 5, 6]))
    whole = MOVES["all"].moved(boxes, (HEIGHT, WIDTH), 3, Rows(9), None)
    some = MOVES["all"].moved(rows.of(boxes), (HEIGHT, WIDTH), 3, rows, None)
    torch.testing.assert_close(some, rows.of(whole))


def test_a_box_in_a_frame_is_where_the_resampled_pixels_are() -> None:
    box, size = (70, 40, 120, 80), (48, 64)
    frames = torch.tensor([[0.0, -0.7, -0.5, 0.05, 0.1], [0.0, -1.0, -0.6, -0.1, 0.0]])
    images = (torch.from_numpy(painted(box)).permute(2, 0, 1) / 255).repeat(2, 1, 1, 1)
    seen = SpatialTransformer(Regression(3), size).resample(images, frames)
    pixels = torch.stack(
        [
            (frames[:, 3] + 1) * WIDTH / 2,
            (frames[:, 4] + 1) * HEIGHT / 2,
            frames[:, 1] + np.log(WIDTH / 2),
            frames[:, 2] + np.log(HEIGHT / 2),
        ],
        1,
    )
    inside = in_frame(torch.tensor(box, dtype=torch.float32).repeat(2, 1, 1), pixels, size)
    for image, expected in zip(seen, inside[:, 0], strict=True):
        np.testing.assert_allclose(seen_box(image[0].numpy()), expected, atol=1.1)
