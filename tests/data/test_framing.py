"""Which part of a photograph is stored, and which part of it the network sees, against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from svhncli.data.framing import Framing
from svhncli.engine.collective import Rows
from svhncli.engine.preprocess import Preprocess

WIDTH, HEIGHT = 61, 43
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
PHOTOGRAPH = Image.fromarray(PIXELS)
ROUNDING = 2
"""Levels: Pillow rounds after each of two passes, and two windows' corners differ in their last bits."""


def network_view(framing: Framing, stored: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) of a network's view, not normalized."""
    preprocess = Preprocess(framing, False, (0.0,) * 3, (1.0,) * 3)
    values = preprocess(torch.from_numpy(stored[None]))[0]
    return (values * 255).round().byte().permute(1, 2, 0).numpy()


def window_of(boxes: list[tuple[float, ...]], widen: float) -> tuple[float, float, float, float]:
    left, top = (min(box[i] for box in boxes) for i in (0, 1))
    right, bottom = (max(box[i] for box in boxes) for i in (2, 3))
    width, height = right - left, bottom - top
    return left - widen * width, top - widen * height, right + widen * width, bottom + widen * height


def pillow_crop(window: tuple[float, ...], size: tuple[int, int], margin: int = 150) -> np.ndarray:
    """The reference: the photograph with its edges repeated all around, cropped and resized by Pillow."""
    wide = np.pad(PIXELS, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    box = tuple(edge + margin for edge in window)
    return np.asarray(Image.fromarray(wide).resize(size, Image.Resampling.BILINEAR, box=box))


def boxes(low_x: int, high_x: int, low_y: int, high_y: int) -> st.SearchStrategy:
    """One to three boxes in whole pixels, at least 2 wide and high."""

    def box(corner: tuple[int, int, int, int]) -> tuple[float, ...]:
        x, y, width, height = corner
        return float(x), float(y), float(x + width), float(y + height)

    sides = st.integers(2, 20)
    corner = st.tuples(st.integers(low_x, high_x - 20), st.integers(low_y, high_y - 20), sides, sides)
    return st.lists(corner.map(box), min_size=1, max_size=3)


@given(boxes(12, WIDTH - 12, 12, HEIGHT - 10), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.1, 0.25]))
def test_a_view_inside_the_photograph_matches_pillows_crop(
    digit_boxes: list, widen: float, jitter: float
) -> None:
    framing = Framing(16, 32, "boxes", widen, jitter)
    window = window_of(digit_boxes, widen)
    reference = PHOTOGRAPH.resize((32, 16), Image.Resampling.BILINEAR, box=window)
    view = network_view(framing, framing.store(PHOTOGRAPH, digit_boxes))
    stored_part_crosses_border = jitter > 0 and (
        window[0] < 7 or window[1] < 7 or window[2] > WIDTH - 7 or window[3] > HEIGHT - 7
    )
    if not stored_part_crosses_border:
        limit = ROUNDING if jitter else 0
        assert np.abs(view.astype(int) - np.asarray(reference)).max() <= limit


@given(boxes(-40, WIDTH + 40, -40, HEIGHT + 40), st.sampled_from([0.0, 0.3]))
def test_beyond_the_borders_the_edge_is_repeated(digit_boxes: list, widen: float) -> None:
    framing = Framing(24, 48, "boxes", widen, 0.25)  # stored with enough margin around the compared part
    view = network_view(framing, framing.store(PHOTOGRAPH, digit_boxes))
    reference = pillow_crop(window_of(digit_boxes, widen), (48, 24))
    assert np.abs(view.astype(int) - reference).max() <= ROUNDING


@given(boxes(12, WIDTH - 12, 10, HEIGHT - 10))
def test_the_middle_of_the_stored_image_is_the_view_without_jitter(digit_boxes: list) -> None:
    still, moving = Framing(16, 32, "boxes", 0.0, 0.0), Framing(16, 32, "boxes", 0.0, 0.25)
    assert moving.stored == (24, 48)
    still_view = network_view(still, still.store(PHOTOGRAPH, digit_boxes)).astype(int)
    moving_view = network_view(moving, moving.store(PHOTOGRAPH, digit_boxes))
    assert np.abs(still_view - moving_view)[1:-1, 1:-1].max() <= ROUNDING


def test_the_whole_crop_ignores_boxes() -> None:
    framing = Framing(16, 32, "whole", 0.3, 0.25)
    assert framing.stored == (16, 32)
    reference = np.asarray(PHOTOGRAPH.resize((32, 16), Image.Resampling.BILINEAR))
    for digit_boxes in ([], [(1.0, 2.0, 3.0, 4.0)]):
        assert (framing.store(PHOTOGRAPH, digit_boxes).transpose(1, 2, 0) == reference).all()


@pytest.mark.parametrize("jitter", [0.0, 0.1])
@pytest.mark.parametrize(
    ("box", "corner"),
    [
        ((900.0, 700.0, 950.0, 740.0), PIXELS[-1, -1]),
        ((-900.0, -700.0, -850.0, -690.0), PIXELS[0, 0]),
        ((900.0, -700.0, 950.0, -690.0), PIXELS[0, -1]),
        ((30.0, 20.0, 30.0, 20.0), None),
        ((-5.0, -5.0, 200.0, 100.0), None),
    ],
    ids=["far right", "far left", "far above", "without size", "all around"],
)
def test_unusual_boxes_give_an_image(box: tuple, corner: np.ndarray | None, jitter: float) -> None:
    framing = Framing(16, 32, "boxes", 0.1, jitter)
    stored = framing.store(PHOTOGRAPH, [box])
    assert stored.dtype == np.uint8
    assert stored.shape == (3, *framing.stored)
    if corner is not None:
        assert (stored.transpose(1, 2, 0) == corner).all()


def test_boxes_without_size_give_one_pixel_around_their_center() -> None:
    framing = Framing(8, 8, "boxes")
    stored = framing.store(PHOTOGRAPH, [(30.5, 20.5, 30.5, 20.5)])
    reference = PHOTOGRAPH.resize((8, 8), Image.Resampling.BILINEAR, box=(30, 20, 31, 21))
    assert (stored.transpose(1, 2, 0) == np.asarray(reference)).all()


@pytest.mark.parametrize("digit_boxes", [[], [(0.0, 0.0, 1e5, 1e5)], [(9e5, 9e5, 9e5, 9e5)]])
def test_impossible_boxes_are_refused_before_memory_is_allocated(digit_boxes: list) -> None:
    with pytest.raises(ValueError, match="boxes"):
        Framing(16, 32, "boxes").store(PHOTOGRAPH, digit_boxes)


def test_training_shifts_its_view_only_within_the_stored_image() -> None:
    framing = Framing(10, 20, "boxes", 0.0, 0.2)
    preprocess = Preprocess(framing, False, (0.0,), (1.0,))
    rows, columns = framing.stored
    stored = torch.arange(rows * columns).float().view(1, 1, rows, columns).repeat(300, 1, 1, 1)

    def moved_by(seed_key: int) -> torch.Tensor:
        window = preprocess.window(seed_key, Rows(300))
        assert window is not None
        return window.of(stored)

    moved = moved_by(7)
    corners = moved[:, 0, 0, 0].long()
    assert {(c // columns).item() for c in corners} == set(range(5))
    assert {(c % columns).item() for c in corners} == set(range(9))
    assert torch.equal(moved, moved_by(7))
    assert not torch.equal(moved, moved_by(8))
