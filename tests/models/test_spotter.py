"""The detector of digits: what its loss asks of the map, and how a map is read."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_iou, nms

from svhncli.core.labels import BLANK
from svhncli.models import spotter
from svhncli.models.output import FindsBoxes, LearnsBoxes
from svhncli.models.spotter import CENTER, INSIDE, OVERLAP, STRIDE, Spotter, read, spot_loss

ROWS, COLUMNS = 8, 32
HEIGHT, WIDTH = ROWS * STRIDE[0], COLUMNS * STRIDE[1]
POSITIONS = 6

Box = tuple[float, float, float, float]


def truth(digits: list[tuple[int, Box]], positions: int = POSITIONS) -> tuple[Tensor, Tensor]:
    """Labels (1, L) and boxes (1, L, 4)."""
    labels = torch.full((1, positions), BLANK)
    boxes = torch.full((1, positions, 4), torch.nan)
    for place, (digit, box) in enumerate(digits):
        labels[0, place] = digit
        boxes[0, place] = torch.tensor(box)
    return labels, boxes


def ideal(digits: list[tuple[int, Box]], sure: float = 20.0) -> Tensor:
    """The map (1, 15, ROWS, COLUMNS) that says exactly this: cells near a digit's center, and no other."""
    maps = torch.zeros(1, 15, ROWS, COLUMNS)
    maps[:, BLANK] = sure
    for digit, (left, top, right, bottom) in digits:
        x, y = (left + right) / 2, (top + bottom) / 2
        for row in range(ROWS):
            for column in range(COLUMNS):
                at_x, at_y = (column + 0.5) * STRIDE[1], (row + 0.5) * STRIDE[0]
                away = max(abs(at_x - x) * 2 / (right - left), abs(at_y - y) * 2 / (bottom - top))
                if away <= CENTER:
                    nearness = 2 * sure - away  # the cell nearest to the center is the surest
                    maps[0, :BLANK, row, column] = 0
                    maps[0, digit, row, column] = nearness
                    maps[0, 11, row, column] = (x - at_x) / STRIDE[1]
                    maps[0, 12, row, column] = (y - at_y) / STRIDE[0]
                    maps[0, 13, row, column] = math.log((right - left) / STRIDE[1])
                    maps[0, 14, row, column] = math.log((bottom - top) / STRIDE[0])
    return maps


def text_of(logits: Tensor) -> str:
    return "".join(str(k) for k in logits[0].argmax(-1).tolist() if k != BLANK)


ROW = [(4, (20.0, 10.0, 40.0, 50.0)), (7, (42.0, 12.0, 62.0, 52.0)), (1, (70.0, 8.0, 78.0, 48.0))]
STACK = [(9, (50.0, 2.0, 64.0, 20.0)), (2, (48.0, 22.0, 62.0, 40.0)), (5, (51.0, 42.0, 65.0, 60.0))]
STAIR = [(3, (20.0, 34.0, 36.0, 60.0)), (8, (40.0, 20.0, 56.0, 46.0)), (6, (60.0, 4.0, 76.0, 30.0))]


@pytest.mark.parametrize(
    ("digits", "expected"), [(ROW, "471"), (STACK, "925"), (STAIR, "386"), (ROW[1:2], "7"), ([], "")]
)
def test_a_map_is_read_in_reading_order_with_its_boxes(digits: list, expected: str) -> None:
    logits, boxes = read(ideal(digits[::-1]), POSITIONS)  # the order of a map means nothing
    assert logits.shape == (1, POSITIONS, 11)
    assert text_of(logits) == expected
    for found, (_, box) in zip(boxes[0], digits, strict=False):
        torch.testing.assert_close(found, torch.tensor(box), atol=1e-3, rtol=0)


def test_a_position_has_probabilities_and_what_is_not_there_is_blank() -> None:
    logits, _ = read(torch.randn(5, 15, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)), 4)
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(5, 4), atol=2e-5, rtol=0)
    empty, _ = read(ideal([]), POSITIONS)
    assert (empty.argmax(-1) == BLANK).all()
    assert empty[..., BLANK].exp().min() > 0.999


def test_an_uncertain_digit_lowers_the_confidence_whether_it_is_read_or_not() -> None:
    for bias, expected in ((0.5, "471"), (-0.5, "47")):
        maps = ideal(ROW)
        near = maps[:, :BLANK].amax(1) > 0
        third = near & (torch.arange(COLUMNS) * STRIDE[1] > 66)
        maps[:, 1][third] = maps[:, BLANK][third] + bias
        logits, _ = read(maps, POSITIONS)
        assert text_of(logits) == expected
        confidence = logits[0].exp().amax(-1).prod().item()
        assert confidence == pytest.approx(1 / (1 + math.exp(-0.5)), abs=0.02)


def test_of_too_many_digits_the_surest_remain_in_their_order() -> None:
    many = [(k, (4.0 + 16 * k, 10.0, 16.0 + 16 * k, 50.0)) for k in range(7)]
    maps = ideal(many)
    maps[:, 3][maps[:, 3] > 20] -= 15  # the least sure
    logits, _ = read(maps, 4)
    assert len(text_of(logits)) == 4
    assert "3" not in text_of(logits)
    assert text_of(logits) == "".join(sorted(text_of(logits)))


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(2, spotter.CANDIDATES))
def test_copies_are_removed_as_by_torchvision(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 40
    boxes = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 30], 1)
    kept = spotter._first_of_each(boxes[None])[0]
    scores = torch.arange(count, 0, -1).float()
    assert kept.nonzero().flatten().tolist() == sorted(nms(boxes, scores, OVERLAP).tolist())
    overlaps = box_iou(boxes[kept], boxes[kept]).fill_diagonal_(0)
    assert overlaps.max() <= OVERLAP


def test_the_loss_of_an_ideal_map_is_zero_and_every_fault_costs() -> None:
    labels, boxes = truth(ROW)
    right = ideal(ROW, sure=40)
    assert spot_loss(right, labels, boxes).item() == pytest.approx(0, abs=1e-4)
    faults = {
        "a wrong digit": ideal([(5, ROW[0][1]), *ROW[1:]], sure=40),
        "a missing digit": ideal(ROW[1:], sure=40),
        "a digit too many": ideal([*ROW, (0, (100.0, 10.0, 120.0, 50.0))], sure=40),
    }
    for channel in (11, 12, 13, 14):
        off = right.clone()
        off[:, channel] += 0.5
        faults[f"a box that is off in channel {channel}"] = off
    for what, maps in faults.items():
        assert spot_loss(maps, labels, boxes).item() > 0.05, what


def test_a_box_that_is_not_known_teaches_nothing_and_an_empty_image_that_nothing_is_there() -> None:
    labels, boxes = truth(ROW)
    boxes[0, 1] = torch.nan
    assert spot_loss(ideal([], sure=5), labels, boxes).item() == 0
    nothing = truth([])
    assert spot_loss(ideal([], sure=40), *nothing).item() == pytest.approx(0, abs=1e-4)
    assert spot_loss(ideal(ROW, sure=5), *nothing).item() > 1


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_cells_belong_to_the_nearest_digit_as_defined(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(3, 2, generator=generator) * torch.tensor([90.0, 40.0])
    size = 2 + torch.rand(3, 2, generator=generator) * 25
    drawn = torch.cat([corner, corner + size], 1).tolist()
    labels, boxes = truth([(k, tuple(box)) for k, box in enumerate(drawn)])
    cells, owner = spotter._assigned(labels, boxes, ROWS, COLUMNS)
    for row in range(ROWS):
        for column in range(COLUMNS):
            x, y = (column + 0.5) * STRIDE[1], (row + 0.5) * STRIDE[0]
            aways = []
            for left, top, right, bottom in boxes[0, :3].tolist():
                across, down = abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)
                away = max(across * 2 / (right - left), down * 2 / (bottom - top))
                if across <= STRIDE[1] / 2 and down <= STRIDE[0] / 2:
                    away = min(away, CENTER)
                aways.append(away)
            nearest = min(aways)
            if min(abs(nearest - limit) for limit in (CENTER, INSIDE)) < 1e-4 and nearest != CENTER:
                continue  # float32 decides
            if nearest <= CENTER + 1e-9:
                assert cells[0, row, column] >= 0
                assert aways[int(owner[0, row, column])] == pytest.approx(nearest, abs=1e-4)
            else:
                expected = spotter.IGNORED if nearest <= INSIDE else spotter.BACKGROUND
                assert cells[0, row, column] == expected


def test_every_digit_owns_a_cell_however_small() -> None:
    labels, boxes = truth([(1, (41.0, 21.0, 42.0, 23.0))])
    cells, _ = spotter._assigned(labels, boxes, ROWS, COLUMNS)
    assert (cells >= 0).sum() == 1


def test_in_evaluation_it_returns_the_logits_of_its_spots() -> None:
    torch.manual_seed(0)
    network = Spotter((3, HEIGHT, WIDTH), POSITIONS, 11).eval()
    images = torch.rand(2, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        assert torch.equal(network(images), network.spots(images).logits)
    assert isinstance(network, LearnsBoxes)
    assert isinstance(network, FindsBoxes)


def test_an_untrained_detector_finds_nothing() -> None:
    torch.manual_seed(0)
    network = Spotter((3, HEIGHT, WIDTH), POSITIONS, 11).eval()
    with torch.no_grad():
        assert (network(torch.rand(4, 3, HEIGHT, WIDTH)).argmax(-1) == BLANK).all()


def test_without_a_blank_the_likeliest_digit_is_returned() -> None:
    torch.manual_seed(0)
    network = Spotter((3, 32, 32), 1, 10).eval()
    with torch.no_grad():
        assert network(torch.rand(4, 3, 32, 32)).shape == (4, 1, 10)
