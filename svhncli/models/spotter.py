"""A detector of digits: fully convolutional and free of anchors, in the manner of FCOS and CenterNet."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from svhncli.core.labels import BLANK, CLASSES
from svhncli.models.convolution import Convolution
from svhncli.models.head import require_side
from svhncli.models.output import BoxOutput, Spots

SMALLEST_SIDE = 32
STRIDE = 8, 4
"""Pixels of a cell of the map, down and across: digits are about twice as high as wide."""
CHANNELS = 16, 32, 64, 128, 192
"""Of the features whose cells are 2×2, 4×4, 8×4, 16×8 and 32×16 pixels."""
CENTER, INSIDE = 0.4, 0.7
"""A cell belongs to a digit if its center is within this share of the way from the box's center to its sides;
up to the second share it is neither that digit nor background."""
SMOOTH = 0.1
"""By how much a value is off from which on its loss grows linearly."""
RARE = 0.02
"""Share of cells that an untrained network takes for digits, so that the many others do not drown the few in
the first steps (Lin et al. 2017)."""
CANDIDATES = 24
"""Cells of the map that are looked at."""
OVERLAP = 0.3
"""Intersection over union from which on two boxes are of the same digit."""
STACKED = 0.7
"""In widths: digits whose centers spread less across, and more than that of a height down, are stacked."""
SIZE = 6.0
"""The largest logarithm of a side in cells, and the smallest, negated."""
LEAST = 1e-6
"""The least probability of a class at a position."""


class Spotter(nn.Module):
    """A map of the digits' classes, offsets and sizes; (B, C, H, W) -> logits (B, positions, classes).

    Each cell of 8×4 pixels says which digit has its center there, if any, and where its box is: one
    classifier for every place, so a digit that is learned at one place is known at all. Features of larger
    cells, whose receptive field spans the number, are added to those of the map's own resolution (Lin et al.
    2017). The map becomes a number by `read`: duplicates among the likeliest cells are removed, and the
    digits ordered from left to right, or from top to bottom if they are stacked.

    Args:
        in_shape: (C, H, W) of an image; H and W at least 32.
        positions: the most digits that are returned.
        classes: 11, or 10 without the blank: then the likeliest digit is returned, however unlikely.
        width: multiplies the channels of every convolution (rounded to multiples of 8).
        depth: convolutions at each resolution but the first two, which have one.
        dropout: share of the map's last features that is dropped in training.

    Raises:
        UsageError: the image is too small.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        width: float = 1.0,
        depth: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_side("spotter", in_shape, SMALLEST_SIDE)
        self.positions, self.classes = positions, classes
        first, second, third, fourth, fifth = (max(8, round(base * width / 8) * 8) for base in CHANNELS)
        self.stem = nn.Sequential(*_layer(in_shape[0], first, 5, 2), *_layer(first, second, 3, 2))
        self.fine = _stage(second, third, (2, 1), depth)
        self.middle = _stage(third, fourth, (2, 2), depth)
        self.coarse = _stage(fourth, fifth, (2, 2), depth)
        self.from_coarse = nn.Conv2d(fifth, fourth, 1, bias=False)
        self.from_middle = nn.Conv2d(fourth, third, 1, bias=False)
        self.fused = nn.Sequential(nn.BatchNorm2d(third), nn.ReLU(inplace=True), *_layer(third, third, 3, 1))
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(third, CLASSES + 1 + 4, 1)
        bias = torch.zeros(CLASSES + 1 + 4)
        bias[BLANK] = math.log(CLASSES * (1 - RARE) / RARE)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias = nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor | BoxOutput:
        if not self.training:
            return self.spots(images).logits
        maps = self.maps(images)
        return BoxOutput(self._read(maps.detach()).logits, (maps,))

    def spots(self, images: Tensor) -> Spots:
        return self._read(self.maps(images))

    def _read(self, maps: Tensor) -> Spots:
        logits, boxes = read(maps, self.positions)
        return Spots(logits[..., : self.classes], boxes)

    def maps(self, images: Tensor) -> Tensor:
        """Float32 (B, 15, rows, columns): of each cell the logits of the 11 classes, and of a digit's box the
        center, from the cell's, in cells across and down, and the logarithms of width and height in cells."""
        fine = self.fine(self.stem(images))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = middle + _enlarged(self.from_coarse(coarse), middle)
        fused = self.fused(fine + _enlarged(self.from_middle(middle), fine))
        maps: Tensor = self.head(self.dropout(fused))
        return maps.float()

    def losses(
        self, output: BoxOutput, labels: Tensor, boxes: Tensor, classify: Callable[[Tensor], Tensor]
    ) -> Tensor:
        (maps,) = output.located
        return spot_loss(maps, labels, boxes)


def _layer(channels: int, out: int, kernel: int, stride: int) -> list[nn.Module]:
    return [Convolution(channels, out, kernel, stride), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def _stage(channels: int, out: int, stride: tuple[int, int], depth: int) -> nn.Sequential:
    """Convolutions of which the first has the stride."""
    first = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
    layers: list[nn.Module] = [first, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
    for _ in range(depth - 1):
        layers += _layer(out, out, 3, 1)
    return nn.Sequential(*layers)


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, like.shape[2:], mode="nearest")


def _centers(rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The centers of the cells in pixels: x (columns,) and y (rows, 1)."""
    x = (torch.arange(columns, device=device) + 0.5) * STRIDE[1]
    y = (torch.arange(rows, device=device) + 0.5) * STRIDE[0]
    return x, y[:, None]


# ----------------------------------------------------------------------------- training


def spot_loss(maps: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
    """The loss of every image, float32 (B,): cross-entropy of the cells, and the distance of the boxes.

    The cells near a digit's center are to say its class and where its box is; those outside all boxes are to
    say blank. Both are sums over cells, divided by the number of the digits' cells. The `distance` is that of
    the center relative to the box, and of the logarithms of the sides.

    Args:
        maps: float32 (B, 15, rows, columns), see `Spotter.maps`.
        labels: int64 (B, L).
        boxes: float32 (B, L, 4), left, top, right and bottom in pixels. An image with a digit whose box is
            not known (NaN) has a loss of 0.
    """
    cells, owner = _assigned(labels, boxes, maps.shape[2], maps.shape[3])
    known = (boxes.isnan().any(-1) <= (labels == BLANK)).all(1)
    own = cells >= 0
    classes = torch.where(own, labels.gather(1, owner.flatten(1)).view_as(owner), BLANK)
    logits, places = maps.split([CLASSES + 1, 4], 1)
    crossed = functional.cross_entropy(logits, classes, reduction="none")
    crossed = torch.where(cells == IGNORED, 0.0, crossed).sum((1, 2))
    off = (places - _targets(boxes, owner)) * own[:, None]
    size = _sizes(boxes, owner)
    off = torch.cat([off[:, :2] / size, off[:, 2:]], 1)
    count = own.sum((1, 2)).clamp(min=1)
    return torch.where(known, (crossed + distance(off).sum((1, 2))) / count, 0.0)


def distance(off: Tensor) -> Tensor:
    """Smooth L1 (Girshick 2015) of how far the values of boxes are off, summed over dimension 1."""
    return functional.smooth_l1_loss(off, torch.zeros_like(off), reduction="none", beta=SMOOTH).sum(1)


BACKGROUND, IGNORED, DIGIT = -1, -2, 0


def _assigned(labels: Tensor, boxes: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """What each cell is, and the place in its number of the digit that is nearest to it: int64 (B, rows,
    columns) each."""
    x, y = _centers(rows, columns, boxes.device)
    low, high = boxes[..., None, None, :2], boxes[..., None, None, 2:]
    center, half = (low + high) / 2, ((high - low) / 2).clamp(min=0.5)
    across, down = (x - center[..., 0]).abs(), (y - center[..., 1]).abs()  # (B, L, rows, columns)
    away = torch.maximum(across / half[..., 0], down / half[..., 1])
    # of a tiny digit at least the cell that holds its center
    holds = (across <= STRIDE[1] / 2) & (down <= STRIDE[0] / 2)
    away = torch.where(holds, away.clamp(max=CENTER), away)
    absent = (labels == BLANK)[..., None, None] | away.isnan()
    away, owner = torch.where(absent, math.inf, away).min(1)
    cells = torch.where(away <= CENTER, DIGIT, torch.where(away <= INSIDE, IGNORED, BACKGROUND))
    return cells, owner


def _sizes(boxes: Tensor, owner: Tensor) -> Tensor:
    """Width and height of each cell's digit in cells: (B, 2, rows, columns)."""
    across, down = (boxes[..., 2] - boxes[..., 0]) / STRIDE[1], (boxes[..., 3] - boxes[..., 1]) / STRIDE[0]
    return _of_owner(torch.stack([across, down], -1).clamp(min=0.25).nan_to_num(1.0), owner)


def _of_owner(values: Tensor, owner: Tensor) -> Tensor:
    """Values of the digits (B, L, n) at their cells: (B, n, rows, columns)."""
    places = owner.flatten(1)[:, :, None].expand(-1, -1, values.shape[2])
    return values.gather(1, places).mT.unflatten(2, owner.shape[1:])


def _targets(boxes: Tensor, owner: Tensor) -> Tensor:
    """What the map is to say of each cell's digit: (B, 4, rows, columns)."""
    x, y = _centers(owner.shape[1], owner.shape[2], boxes.device)
    center = _of_owner(((boxes[..., :2] + boxes[..., 2:]) / 2).nan_to_num(0.0), owner)
    offset = torch.stack([(center[:, 0] - x) / STRIDE[1], (center[:, 1] - y) / STRIDE[0]], 1)
    return torch.cat([offset, _sizes(boxes, owner).log()], 1)


# ----------------------------------------------------------------------------- reading


def read(maps: Tensor, positions: int) -> Spots:
    """The numbers that maps (B, 15, rows, columns) show, with at most so many digits."""
    scores, found, boxes = _candidates(maps)
    kept = _first_of_each(boxes)
    # what is rejected comes last, the likeliest first; then what is a copy of something else
    log_odds = found[..., :BLANK].amax(-1) - found[..., BLANK]
    accepted = kept & (log_odds > 0)
    accepted &= accepted.cumsum(1) <= positions
    rank = torch.arange(scores.shape[1], device=maps.device)
    place = torch.where(accepted, _along(boxes, accepted), 1e6 + rank + 1e6 * ~kept)
    order = place.argsort(1)[:, :positions]
    is_blank = torch.arange(CLASSES + 1, device=maps.device) == BLANK
    blank = torch.where(is_blank, 0.0, math.log(LEAST))
    logits = torch.where(kept[..., None], found, blank).clamp(min=math.log(LEAST))
    logits = logits.gather(1, order[..., None].expand(-1, -1, logits.shape[2]))
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    if (missing := positions - logits.shape[1]) > 0:
        logits = torch.cat([logits, blank.expand(logits.shape[0], missing, -1)], 1)
        boxes = functional.pad(boxes, (0, 0, 0, missing))
    return Spots(logits, boxes)


def _candidates(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The cells that are likeliest to be digits, the likeliest first.

    Returns:
        Scores (B, n), logarithms of the probabilities of the classes (B, n, 11), and boxes in pixels
        (B, n, 4).
    """
    logits, places = maps.split([CLASSES + 1, 4], 1)
    score = logits[:, :BLANK].logsumexp(1) - logits[:, BLANK]
    x, y = _centers(maps.shape[2], maps.shape[3], maps.device)
    x, y = x + places[:, 0] * STRIDE[1], y + places[:, 1] * STRIDE[0]
    size = places[:, 2:].clamp(-SIZE, SIZE).exp()
    across, down = size[:, 0] * (STRIDE[1] / 2), size[:, 1] * (STRIDE[0] / 2)
    boxes = torch.stack([x - across, y - down, x + across, y + down], -1).flatten(1, 2)
    scores, cells = score.flatten(1).topk(min(CANDIDATES, score[0].numel()), 1)
    found = logits.flatten(2).mT.gather(1, cells[..., None].expand(-1, -1, CLASSES + 1)).log_softmax(-1)
    return scores, found, boxes.gather(1, cells[..., None].expand(-1, -1, 4))


def _first_of_each(boxes: Tensor) -> Tensor:
    """Which boxes (B, n, 4), the best first, do not overlap a better one that is kept: bool (B, n)."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    same = common > OVERLAP * (area[:, :, None] + area[:, None] - common)
    kept = [torch.ones_like(same[:, 0, 0])]
    for i in range(1, boxes.shape[1]):
        kept.append(~(same[:, i, :i] & torch.stack(kept, 1)).any(1))
    return torch.stack(kept, 1)


def _along(boxes: Tensor, accepted: Tensor) -> Tensor:
    """How far along its number each digit is, in pixels: (B, n); accepted: bool (B, n), which count."""
    center, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    counted = accepted[..., None]
    low = torch.where(counted, center, math.inf).amin(1)
    high = torch.where(counted, center, -math.inf).amax(1)
    mean = (size * counted).sum(1) / counted.sum(1).clamp(min=1)
    spread = (high - low) / mean.clamp(min=1e-3)
    stacked = (spread[:, 0] < STACKED) & (spread[:, 1] > STACKED)
    return torch.where(stacked[:, None], center[..., 1], center[..., 0])
