from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import REAL
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter

from svhncli.core.rng import numpy_generator
from svhncli.data.house_numbers import BLOCK, NOISE, halved, house_numbers, overlap_difference

REAL_CROPS = REAL / "svhn32_real"
needs_real = pytest.mark.skipif(
    not REAL_CROPS.is_dir(), reason=f"no real crops at {REAL_CROPS} (set SVHN_TEST_DATA)"
)


def real(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """images (N, 3, 32, 32), labels (N, 1), and the photograph that each crop was cut from (N,)."""
    mat = loadmat(REAL_CROPS / f"{part}_32x32.mat")
    images = np.ascontiguousarray(mat["X"].transpose(3, 2, 0, 1))
    labels = mat["y"].astype(np.int64).reshape(-1, 1) % 10
    with open(REAL_CROPS / "source_image.csv") as file:
        source = np.array([int(row["source_image"]) for row in csv.DictReader(file)])
    return images, labels, source[:601] if part == "train" else source[601:]


def ones(n: int) -> np.ndarray:
    return np.ones((n, 1), np.int64)


def wall(seed: int, *key: int | str, height: int = 64, width: int = 256) -> np.ndarray:
    """An image (3, height, width) with strokes of a digit's size, in its own color."""
    draw = numpy_generator(seed, "wall", *key)
    strokes = gaussian_filter(draw.normal(size=(height, width)), 2) * 300
    return np.clip(draw.uniform(60, 190, 3)[:, None, None] + strokes, 0, 255).astype(np.uint8)


def flat(*shades: int) -> np.ndarray:
    """Crops without any strokes, uint8 (N, 3, 32, 32)."""
    return np.tile(np.array(shades, np.uint8)[:, None, None, None], (1, 3, 32, 32))


def slow_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The definition of `overlap_difference` on halved crops, one shift at a time, in double precision."""
    _, height, width = a.shape
    differences = []
    for down in range(-(height // 2), height // 2 + 1):
        for right in range(width):
            left, lower = a[:, max(0, down) :, right:].astype(float), b[:, max(0, -down) :].astype(float)
            rows = height - abs(down)
            left, lower = left[:, :rows], lower[:, :rows, : width - right]
            variance = (left.var((1, 2)).mean() + lower.var((1, 2)).mean()) / 2
            differences.append(((left - lower) ** 2).mean() / (variance + NOISE))
    return min(differences)


@given(
    st.integers(0, 10**6),
    st.sampled_from([(3, 16, 16), (3, 15, 18), (1, 24, 11), (3, 4, 6), (3, 2, 2)]),
    st.sampled_from([2, 256]),
)
@settings(max_examples=30, deadline=None)
def test_the_difference_over_all_shifts_at_once_matches_one_shift_at_a_time(
    seed: int, shape: tuple[int, ...], levels: int
) -> None:
    images = numpy_generator(seed, "noise").integers(0, levels, (4, *shape), np.uint8)
    slow = [slow_difference(a, b) for a, b in pairwise(halved(images))]
    assert overlap_difference(images) == pytest.approx(slow, rel=1e-3, abs=1e-3)


@given(st.integers(0, 10**6), st.integers(0, 28), st.integers(-14, 14))
@settings(max_examples=50, deadline=None)
def test_crops_that_share_pixels_are_the_same_number_at_any_shift(seed: int, right: int, down: int) -> None:
    scene = wall(seed)
    crops = np.stack([scene[:, 16:48, 40:72], scene[:, 16 + down : 48 + down, 40 + right : 72 + right]])
    even = right % 2 == down % 2 == 0  # an odd shift is half a pixel of the halved crops
    assert overlap_difference(crops)[0] < (1e-2 if even else 0.5)
    assert house_numbers(crops, ones(2)).tolist() == [0, 0]


def test_crops_of_different_walls_are_different_numbers() -> None:
    crops = np.stack([wall(0, i)[:, :32, :32] for i in range(60)])
    assert house_numbers(crops, ones(60))[-1] >= 0.8 * 59


def test_numbers_of_several_digits_are_consecutive_and_counted_from_0() -> None:
    lengths = [3, 1, 2, 5]
    crops = [
        wall(3, number)[:, 16:48, 40 + 14 * digit : 72 + 14 * digit]
        for number, length in enumerate(lengths)
        for digit in range(length)
    ]
    groups = house_numbers(np.stack(crops), ones(11))
    assert groups.dtype == np.int64
    assert groups.tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 3]


def test_flat_walls_are_joined_only_if_they_have_the_same_color() -> None:
    assert house_numbers(flat(120, 122, 190), ones(3)).tolist() == [0, 0, 1]


def test_a_number_does_not_begin_with_0() -> None:
    crops = flat(20, 80, 140, 200)
    assert house_numbers(crops, ones(4)).tolist() == [0, 1, 2, 3]
    assert house_numbers(crops, np.array([[0], [1], [0], [9]])).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("n", [0, 1])
def test_without_neighbors_nothing_is_joined(n: int) -> None:
    assert house_numbers(np.zeros((n, 3, 32, 32), np.uint8), ones(n)).tolist() == [0] * n


def test_house_numbers_do_not_depend_on_how_the_file_is_read(tmp_path: Path) -> None:
    images = numpy_generator(0, "noise").integers(0, 256, (2 * BLOCK + 3, 3, 4, 4), np.uint8)
    np.save(tmp_path / "images.npy", images)
    whole = overlap_difference(np.load(tmp_path / "images.npy", mmap_mode="r"))
    assert len(whole) == len(images) - 1
    for start in (0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK + 1):
        assert whole[start] == pytest.approx(overlap_difference(images[start : start + 2])[0], rel=1e-4)


@needs_real
@pytest.mark.parametrize("part", ["train", "test"])
def test_no_real_number_is_split_and_few_are_joined(part: str) -> None:
    images, labels, source = real(part)
    groups = house_numbers(images, labels)
    joined, same_number = groups[1:] == groups[:-1], source[1:] == source[:-1]
    assert joined[same_number].all()
    assert joined[~same_number].mean() < 0.2
    assert np.bincount(groups).max() <= 16


@needs_real
@pytest.mark.parametrize("part", ["train", "test"])
def test_real_neighbors_stay_clear_of_the_threshold(part: str) -> None:
    images, _, source = real(part)
    difference = overlap_difference(images)[source[1:] == source[:-1]]
    assert difference.max() < 0.6
    assert np.quantile(difference, 0.98) < 0.4
