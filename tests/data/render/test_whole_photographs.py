"""The renderer's whole photographs: what a seed determines, how they are framed, requested numbers."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import installed_faces, shared_cache
from hypothesis import given, settings
from hypothesis import strategies as st

from svhncli.core.processes import in_order
from svhncli.data.render import whole_photographs
from svhncli.data.render.renderer import photographs
from svhncli.data.render.request import LARGEST, RenderedPhotograph, RequestedNumber
from svhncli.data.render.world import STREET, Spec, load

pytestmark = pytest.mark.engine

WORLD = load(STREET)
BARE = Spec(without=tuple(WORLD.factors))
"""Sharp digits on a bare wall, every factor at its middle."""

REAL = [  # boxes like SVHN's: left, top, right, bottom; width and height of the image
    ((1, 9), [(246, 77, 327, 296), (323, 81, 419, 300)], (741, 350)),
    ((2, 3), [(77, 29, 100, 61), (98, 25, 124, 57)], (199, 83)),
    ((2, 5), [(17, 5, 25, 20), (25, 5, 34, 20)], (52, 23)),
    ((4, 7, 8), [(24, 70, 62, 120), (54, 40, 90, 90), (78, 22, 122, 72)], (166, 141)),  # climbs a stair
    ((7, 2, 4), [(60, 5, 75, 25), (62, 27, 75, 47), (63, 50, 78, 70)], (140, 80)),  # one below the other
    ((1, 1, 0, 3), [(20, 12, 24, 30), (27, 12, 31, 30), (33, 11, 43, 29), (44, 11, 54, 29)], (80, 44)),
    ((5,), [(30, 8, 48, 33)], (64, 40)),
    ((1, 2, 3, 4, 5, 6), [(9 * i + 5, 9, 9 * i + 14, 26) for i in range(6)], (70, 36)),
]


def draw(
    count: int, *, seed: int = 0, part: str = "train", spec: Spec = STREET,
    numbers: list[RequestedNumber] | None = None, workers: int | None = 1, blank: bool = False,
) -> list[RenderedPhotograph]:  # fmt: skip
    return list(
        photographs(
            count, seed=seed, part=part, spec=spec, cache=shared_cache(), workers=workers, numbers=numbers,
            blank=blank,
        )
    )  # fmt: skip


def equal(first: list[RenderedPhotograph], second: list[RenderedPhotograph]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a.image, b.image) and a.label == b.label and np.array_equal(a.boxes, b.boxes)
        for a, b in zip(first, second, strict=True)
    )


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (L, 4)."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    intersection = sides.clip(0).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return intersection / (areas[0] + areas[1] - intersection)


@pytest.fixture(scope="module")
def photos() -> list[RenderedPhotograph]:
    return draw(400)


# What a seed determines


def test_a_longer_set_begins_with_the_shorter_one(photos: list[RenderedPhotograph]) -> None:
    for count in (1, 130):
        assert equal(draw(count), photos[:count])


@pytest.mark.parametrize("start", [0, 37, 301])
def test_a_photograph_does_not_depend_on_its_batch(photos: list[RenderedPhotograph], start: int) -> None:
    for index in range(start, start + 12):
        alone = whole_photographs.photographs(0, "train", index, 1, WORLD, installed_faces())
        assert equal(alone, photos[index : index + 1]), index


@pytest.mark.full  # the renderer of crops, whose processes these are, is tried in every run
@pytest.mark.engine
def test_rendering_in_processes_is_bit_identical(photos: list[RenderedPhotograph]) -> None:
    assert equal(draw(400, workers=2), photos)


@pytest.mark.parametrize(("seed", "part"), [(1, "train"), (0, "test")])
def test_seeds_and_parts_share_no_photograph(photos: list[RenderedPhotograph], seed: int, part: str) -> None:
    first = {photo.image.tobytes() for photo in photos}
    assert len(first) == len(photos)
    assert first.isdisjoint(photo.image.tobytes() for photo in draw(20, seed=seed, part=part))


@pytest.mark.engine
def test_only_a_few_results_are_held_in_memory() -> None:
    class Jobs(list[int]):
        started = 0

        def __iter__(self):
            for job in super().__iter__():
                self.started += 1
                yield job

    jobs = Jobs(range(-1000, 0))
    done = in_order(abs, jobs, 2)
    assert next(done) == 1000
    assert jobs.started < 20
    assert list(done) == list(range(999, 0, -1))


# Framing


def test_boxes_lie_inside_the_image_and_images_use_the_full_range(photos: list[RenderedPhotograph]) -> None:
    for photo in photos:
        height, width, channels = photo.image.shape
        assert (photo.image.dtype, channels, photo.boxes.dtype) == (np.uint8, 3, np.float32)
        assert photo.boxes.shape == (len(photo.label), 4)
        assert (photo.boxes >= 0).all()
        assert (photo.boxes[:, 2:] <= (width, height)).all()
        assert (photo.boxes[:, 2:] - photo.boxes[:, :2] >= 1).all()
        assert photo.image.std() > 1
    assert min(photo.image.min() for photo in photos) < 10
    assert max(photo.image.max() for photo in photos) > 245


def test_photographs_are_framed_like_svhns_training_part(photos: list[RenderedPhotograph]) -> None:
    """Compared with the medians of the published boxes of 33,402 photographs."""
    sizes = np.array([photo.image.shape[1::-1] for photo in photos], float)
    heights = np.array([np.median(photo.boxes[:, 3] - photo.boxes[:, 1]) for photo in photos])
    pairs = np.array([len(photo.label) == 2 for photo in photos])
    middle = np.array([photo.boxes[:, [0, 2]].mean() for photo in photos])
    assert np.median(sizes, axis=0) == pytest.approx([104, 47], rel=0.15)
    assert np.mean(sizes, axis=0) == pytest.approx([128, 57], rel=0.2)
    assert np.median(heights) == pytest.approx(30, rel=0.12)
    assert np.median(heights / sizes[:, 1]) == pytest.approx(0.67, abs=0.05)
    assert np.median(sizes[pairs, 0] / sizes[pairs, 1]) == pytest.approx(2.2, rel=0.06)
    assert np.median(middle / sizes[:, 0]) == pytest.approx(0.5, abs=0.03)
    lengths = np.bincount([len(photo.label) for photo in photos], minlength=6)[1:] / len(photos)
    np.testing.assert_allclose(lengths, [0.154, 0.542, 0.260, 0.043, 0.001], atol=0.08)


def test_digits_are_legible_inside_their_boxes(photos: list[RenderedPhotograph]) -> None:
    """The middle column of a 1 has one tone, unlike other digits'; misplaced boxes or labels break this."""
    spreads: dict[bool, list[float]] = {True: [], False: []}
    for photo in photos:
        for digit, box in zip(photo.label, photo.boxes, strict=True):
            left, top, right, bottom = box.round().astype(int)
            ink = photo.image[top + 1 : bottom - 1, (left + right) // 2].mean(axis=-1)
            if len(ink) > 8:
                spread = photo.image[top:bottom, left:right].mean(axis=-1).std()
                spreads[digit == 1].append(ink.std() / max(spread, 1))
    assert np.median(spreads[True]) < 0.8 * np.median(spreads[False])


# Photographs without a number


def test_a_blank_photograph_is_the_same_one_without_its_digits(photos: list[RenderedPhotograph]) -> None:
    """Equal beyond the reach of a digit's shadow and of the lens, and different where the digits are."""
    compared = 0
    for photo, blank in zip(photos[:100], draw(100, blank=True), strict=True):
        assert blank.label == ()
        np.testing.assert_array_equal(blank.boxes, photo.boxes)
        changed = (blank.image != photo.image).any(axis=2)
        for left, top, right, bottom in photo.boxes.round().astype(int).tolist():
            assert changed[top:bottom, left:right].mean() > 0.2
        reach = int(np.ceil(1.5 * (photo.boxes[:, 3] - photo.boxes[:, 1]).max())) + 16
        (left, top), (right, bottom) = (
            photo.boxes[:, :2].min(0).astype(int) - reach,
            photo.boxes[:, 2:].max(0).astype(int) + reach,
        )
        far = np.ones(changed.shape, bool)
        far[max(0, top) : bottom, max(0, left) : right] = False
        assert not (changed & far).any()
        compared += far.any()
    assert compared > 10


def test_a_bare_wall_without_digits_is_of_one_color() -> None:
    for photo in draw(10, spec=BARE, blank=True):
        assert np.ptp(photo.image.astype(int), axis=(0, 1)).max() <= 2


# Requested numbers and boxes


def test_digits_fill_the_requested_boxes() -> None:
    numbers = [RequestedNumber(label, np.array(boxes), size) for label, boxes, size in REAL * 5]
    drawn = draw(len(numbers), numbers=numbers)
    for number, photo in zip(numbers, drawn, strict=True):
        assert photo.label == number.label
        assert photo.image.shape[1::-1] == number.size
    overlaps = [overlap(photo.boxes, number.boxes) for photo, number in zip(drawn, numbers, strict=True)]
    assert np.concatenate(overlaps).mean() > 0.98
    assert np.concatenate(overlaps).min() > 0.7


def test_ink_is_inside_the_requested_box_and_nowhere_else() -> None:
    """Thresholds images of digits on a bare wall; the ink is within two pixels on each side."""
    box = (20, 12, 52, 60)
    for digit in range(10):
        (photo,) = draw(
            1, seed=digit, spec=BARE, numbers=[RequestedNumber((digit,), np.array([box]), (90, 80))]
        )
        gray = photo.image.astype(float).mean(axis=-1)
        apart = np.abs(gray - gray[0, 0])
        ink = apart > 0.4 * apart.max()
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        np.testing.assert_allclose(ends, box, atol=2.1)


def test_without_a_size_the_image_has_room_on_all_sides() -> None:
    numbers = [RequestedNumber(label, np.array(boxes)) for label, boxes, _ in REAL]
    for photo, number in zip(draw(len(REAL), numbers=numbers), numbers, strict=True):
        height, width = photo.image.shape[:2]
        right, bottom = number.boxes[:, 2:].max(axis=0)
        left = number.boxes[:, 0].min()
        assert width == pytest.approx(right + left, rel=0.4)
        assert height >= bottom


def test_a_requested_number_does_not_depend_on_other_requests() -> None:
    numbers = [RequestedNumber(label, np.array(boxes), size) for label, boxes, size in REAL]
    all_photos = draw(len(numbers), numbers=numbers)
    assert equal(draw(3, numbers=numbers[:3]), all_photos[:3])


side = st.floats(-60, 260, width=32)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), side, side, side, side), min_size=1, max_size=6),
    st.none() | st.tuples(st.integers(1, 300), st.integers(1, 200)),
)
def test_any_boxes_give_an_image(
    rows: list[tuple[int, float, float, float, float]], size: tuple[int, int] | None
) -> None:
    """Without width, upside down, or outside the image: clipped to it, at least a pixel wide and high."""
    number = RequestedNumber(tuple(row[0] for row in rows), np.array([row[1:] for row in rows]), size)
    (photo,) = draw(1, numbers=[number])
    height, width = photo.image.shape[:2]
    assert size is None or (width, height) == size
    assert np.isfinite(photo.boxes).all()
    assert (photo.boxes >= 0).all()
    assert (photo.boxes[:, 2:] <= (width, height)).all()
    assert (photo.boxes[:, 2:] - photo.boxes[:, :2] >= 0.999).all()


BOX = np.array([[1.0, 2.0, 5.0, 9.0]])


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (RequestedNumber((), np.empty((0, 4))), "at least one"),
        (RequestedNumber((10,), BOX), "0 to 9"),
        (RequestedNumber((1, 2), BOX), "as many boxes"),
        (RequestedNumber((1,), BOX[0]), "as many boxes"),
        (RequestedNumber((1,), BOX * np.nan), "finite"),
        (RequestedNumber((1,), BOX * LARGEST), "wide and high"),
        (RequestedNumber((1,), BOX, (0, 5)), "wide and high"),
        (RequestedNumber((1,), BOX, (LARGEST + 1, 5)), "wide and high"),
    ],
)
def test_invalid_requests_are_refused(number: RequestedNumber, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(1, numbers=[number])


def test_the_number_of_requests_must_match_the_count() -> None:
    with pytest.raises(ValueError, match="1 numbers"):
        draw(2, numbers=[RequestedNumber((1,), BOX)])
