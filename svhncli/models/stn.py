"""A spatial transformer (Jaderberg et al. 2015): a network locates the number and moves it to the center."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from svhncli.core.labels import BLANK
from svhncli.models.ensemble import agreeing_boxes, mixture
from svhncli.models.output import BoxOutput, Output, Spots
from svhncli.models.spotter import Spotter, distance

POOLED = 32
"""Side of the pooled image that the localization network sees."""

LIMITS = (math.pi / 4, math.log(4), math.log(4), 1.0, 1.0)
"""The largest rotation (in radians; more would turn 6 into 9), the logarithms of the largest zoom along x and
y, and the largest shifts in half sides: any point can move to the center, and none entirely out of view."""

CAUTION = 0.1
"""Factor of the localization network's outputs, so that it learns slowly compared with the network behind it,
whose gradients it depends on. Without it (digits shifted far, in front of a linear model) the outputs ran to
the limits and stayed there in 4 of 4 runs with SGD (lr 0.05) and 1 of 8 with Adam (0.003); with it, never."""

MARGIN = 0.15
"""Of the number's width and height, on each side of it, in the frame that boxes ask for."""
VOTED = 64
"""Rows of the pooled image that a `Voting` localization sees."""
VOTERS = (16, 2, 1), (32, 2, 1), (64, 2, 1), (64, 1, 1), (64, 1, 2)
"""Channels, stride and dilation of each convolution of a `Voting` localization."""
LOOKS = 3
"""How often a detector behind a transformer looks at an image."""
CLOSEST = math.log(32)
"""The logarithm of its largest zoom."""


class SpatialTransformer(nn.Module):
    """Resamples every image once, by an affine map of its own: (B, C, H, W) -> (B, C, *size), float32.

    A localization network predicts the frame of each: float32 (B, 5), its rotation in radians, the logarithms
    of its width and height as shares of the image's, and its center, in half sides from the middle. It is
    initialized to predict the identity, which returns the whole image. Locations outside an image repeat the
    nearest edge pixel.

    Args:
        localise: images -> frames.
        size: height and width of the output. A number that fills a quarter of a photograph keeps its
            resolution with half as many rows and columns, once the transformer has located it, and the
            network behind it has a quarter of the work.
    """

    def __init__(self, localise: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.localise = localise

    def forward(self, images: Tensor) -> Tensor:
        return self.resample(images, self.localise(images))

    def resample(self, images: Tensor, frames: Tensor) -> Tensor:
        """What is in the frames."""
        rotation, zoom_x, zoom_y, right, down = frames.unbind(1)
        height, width = images.shape[2:]
        rows, columns = self.size
        x, y = ((2 * torch.arange(side, device=images.device) + 1) / side - 1 for side in (columns, rows))
        # a rotation in pixels even if the sides differ; elementwise products, since autocast reduces the
        # precision of matrix products
        cos, sin = rotation.cos(), rotation.sin()
        across = _plane(cos, x, -sin * (height / width), y) * zoom_x.exp()[:, None, None]
        along = _plane(sin * (width / height), x, cos, y) * zoom_y.exp()[:, None, None]
        grid = torch.stack((across + right[:, None, None], along + down[:, None, None]), -1)
        return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


class Regression(nn.Sequential):
    """A localization that learns from the network behind it, as in the paper: a small convolutional network
    sees the image pooled to 32×32 and predicts a frame within `LIMITS`.

    Args:
        channels: of the images.
    """

    limits: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(POOLED),
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (POOLED // 4) ** 2, 32),
            nn.ReLU(inplace=True),
            last := nn.Linear(32, len(LIMITS)),
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("limits", torch.tensor(LIMITS), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        # in reduced precision a coordinate would be off by half a pixel
        outputs: Tensor = images
        for layer in self:
            outputs = layer(outputs)
        return (CAUTION * outputs.float()).tanh() * self.limits


class Voting(nn.Module):
    """A localization that learns from boxes: every cell of a map votes for an upright frame.

    It sees the image pooled to about `VOTED` rows. How much a vote counts is a softmax over the cells
    (Levine et al. 2016), so the same weights find a number wherever it is.

    Args:
        channels, height: of the images.
    """

    def __init__(self, channels: int, height: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.AvgPool2d(max(1, round(height / VOTED)))]
        for out, stride, reach in VOTERS:
            layers += [
                nn.Conv2d(channels, out, 3, stride, padding=reach, dilation=reach, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels = out
        self.body = nn.Sequential(*layers)
        self.votes = nn.Conv2d(channels, 5, 1)
        for parameter in self.votes.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        votes = self.votes(self.body(images)).float()
        rows, columns = votes.shape[2:]
        x, y = ((2 * torch.arange(side, device=votes.device) + 1) / side - 1 for side in (columns, rows))
        weight = votes[:, 0].flatten(1).softmax(1)
        place = torch.stack([votes[:, 3] + x, votes[:, 4] + y[:, None]], 1)
        values = torch.cat([votes[:, 1:3], place], 1).flatten(2)
        zoom, center = (values * weight[:, None]).sum(2).split([2, 2], 1)
        upright = torch.zeros_like(zoom[:, :1])
        return torch.cat([upright, zoom.clamp(-CLOSEST, CLOSEST), center.clamp(-1, 1)], 1)


def _plane(by_x: Tensor, x: Tensor, by_y: Tensor, y: Tensor) -> Tensor:
    """by_x · x + by_y · y for factors (B,) and coordinates (W,) and (H,): (B, H, W)."""
    return (by_x[:, None] * x)[:, None, :] + (by_y[:, None] * y)[:, :, None]


class Located(nn.Module):
    """A network behind a transformer: (B, C, H, W) -> logits (B, positions, classes).

    The network's state dict keeps its names, prefixed by `network.`.

    Args:
        stn: its output is what the network takes.
    """

    def __init__(self, stn: SpatialTransformer, network: nn.Module) -> None:
        super().__init__()
        self.stn = stn
        self.network = network

    def forward(self, images: Tensor) -> Output:
        logits: Tensor = self.network(self.stn(images))
        return logits


class LocatedByBoxes(Located):
    """A transformer that learns from boxes where the number is, in front of a network that classifies.

    The network has no part in that: its gradients do not reach the transformer.

    Args:
        factor: of `frame_loss` in the loss.
    """

    def __init__(self, stn: SpatialTransformer, network: nn.Module, factor: float) -> None:
        super().__init__(stn, network)
        self.factor = factor

    def forward(self, images: Tensor) -> Output:
        if not self.training:
            return super().forward(images)
        frames = self.stn.localise(images)
        output = self.network(self.stn.resample(images, frames.detach()))
        located = in_pixels(frames, images.shape[2], images.shape[3])
        if isinstance(output, Tensor):
            return BoxOutput(output, (located,))
        return BoxOutput(output.logits, (located, *output.located))

    def losses(
        self, output: BoxOutput, labels: Tensor, boxes: Tensor, classify: Callable[[Tensor], Tensor]
    ) -> Tensor:
        own = self.losses_behind(output, labels, boxes, classify)
        return own + self.factor * frame_loss(output.located[0], boxes, self.stn.size)

    def losses_behind(
        self, output: BoxOutput, labels: Tensor, boxes: Tensor, classify: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The part of the network behind the transformer."""
        return classify(output.logits)


class LocatedDetector(LocatedByBoxes):
    """The same in front of a network that itself learns from boxes and finds them.

    In evaluation it looks several times, as a cascade does (Cai & Vasconcelos 2018): from the second look on,
    the frame is around the digits that were found by the look before. Its number is the `mixture` of all
    looks, and has the boxes of the last look that reads it; NaN if none does.

    Args:
        network: a `Spotter`.
    """

    network: Spotter

    def forward(self, images: Tensor) -> Output:
        return super().forward(images) if self.training else self.spots(images).logits

    def losses_behind(
        self, output: BoxOutput, labels: Tensor, boxes: Tensor, classify: Callable[[Tensor], Tensor]
    ) -> Tensor:
        frames, *located = output.located
        inside = in_frame(boxes, frames.detach(), self.stn.size)
        return self.network.losses(BoxOutput(output.logits, tuple(located)), labels, inside, classify)

    def spots(self, images: Tensor) -> Spots:
        frames = self.stn.localise(images)
        looks = [self.look(images, frames)]
        while len(looks) < LOOKS:
            frames = self._around(looks[-1], images, frames)
            looks.append(self.look(images, frames))
        shares = frames.new_full((LOOKS,), 1 / LOOKS)
        logits = mixture(torch.stack([look.logits.float().log_softmax(-1) for look in looks]), shares)
        return Spots(logits, agreeing_boxes(logits.argmax(-1), looks[::-1]))

    def _around(self, found: Spots, images: Tensor, frames: Tensor) -> Tensor:
        """The frames around the digits that were found; the same as before where there are none."""
        blank = found.logits.argmax(-1, keepdim=True) == BLANK
        around, there = wanted(torch.where(blank, math.nan, found.boxes), self.stn.size)
        return torch.where(there, of_image(around, *images.shape[2:]), frames)

    def look(self, images: Tensor, frames: Tensor) -> Spots:
        """What the network finds in the frames."""
        logits, boxes = self.network.spots(self.stn.resample(images, frames))
        return Spots(logits, from_frame(boxes, in_pixels(frames, *images.shape[2:]), self.stn.size))


def in_frame(boxes: Tensor, frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (B, L, 4) of images, in pixels of what a transformer makes of them in upright frames.

    frames: as for `frame_loss`. size: height and width of its output.
    """
    values = zip(boxes.unbind(2), _middles(frames), _scales(frames, size), 2 * size[::-1], strict=True)
    return torch.stack([(side - at) / scale + length / 2 for side, at, scale, length in values], 2)


def from_frame(boxes: Tensor, frames: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of `in_frame`."""
    values = zip(boxes.unbind(2), _middles(frames), _scales(frames, size), 2 * size[::-1], strict=True)
    return torch.stack([(side - length / 2) * scale + at for side, at, scale, length in values], 2)


def _middles(frames: Tensor) -> list[Tensor]:
    """Of what each side of a box is measured: (B, 1) for each of the four."""
    x, y = frames[:, :1], frames[:, 1:2]
    return [x, y, x, y]


def _scales(frames: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Pixels of the image for one of the output's, along each of a box's sides: (B, 1) each."""
    across, down = (2 * frames[:, 2:].exp()).split(1, 1)
    return 2 * [across / size[1], down / size[0]]


def in_pixels(frames: Tensor, height: int, width: int) -> Tensor:
    """Frames of images of that size as `frame_loss` takes them: (B, 5) -> (B, 4)."""
    _, zoom_x, zoom_y, right, down = frames.unbind(1)
    center = (right + 1) * (width / 2), (down + 1) * (height / 2)
    return torch.stack([*center, zoom_x + math.log(width / 2), zoom_y + math.log(height / 2)], 1)


def of_image(frames: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `in_pixels`, for upright frames: (B, 4) -> (B, 5)."""
    across, down = width / 2, height / 2
    x, y, half_width, half_height = frames.unbind(1)
    values = half_width - math.log(across), half_height - math.log(down), x / across - 1, y / down - 1
    return torch.stack([torch.zeros_like(x), *values], 1)


def frame_loss(frames: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """How far each frame is from the `wanted` one: float32 (B,).

    It is the `distance` of the center, relative to the wanted frame, and of the logarithms of the sides; 0
    where no box is known.

    Args:
        frames: float32 (B, 4), center x and y in pixels, and the logarithms of half the width and height.
        boxes, size: as for `wanted`.
    """
    around, there = wanted(boxes, size)
    off = torch.cat([(frames[:, :2] - around[:, :2]) / around[:, 2:].exp(), frames[:, 2:] - around[:, 2:]], 1)
    return torch.where(there[:, 0], distance(off), 0.0)


def wanted(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The frame around all of an image's digits, widened by `MARGIN`, in the shape of the transformer's
    output, so that digits keep theirs.

    Args:
        boxes: float32 (B, L, 4), left, top, right and bottom in pixels, NaN where there is none.
        size: height and width of the output.

    Returns:
        The frames as `frame_loss` takes them, and whether any box is known: bool (B, 1).
    """
    known = ~boxes.isnan().any(-1, keepdim=True)
    low = torch.where(known, boxes[..., :2], math.inf).amin(1)
    high = torch.where(known, boxes[..., 2:], -math.inf).amax(1)
    there = known.any(1)
    low, high = (torch.where(there, edge, side) for edge, side in ((low, 0.0), (high, 1.0)))
    center, half = (low + high) / 2, ((high - low) / 2).clamp(min=1) * (1 + 2 * MARGIN)
    across = torch.maximum(half[:, :1], half[:, 1:] * (size[1] / size[0]))
    half = torch.cat([across, across * (size[0] / size[1])], 1)
    return torch.cat([center, half.log()], 1), there
