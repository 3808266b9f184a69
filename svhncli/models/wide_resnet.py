"""Wide residual networks (Zagoruyko & Komodakis 2016), strong on SVHN: few layers with many channels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from svhncli.core.errors import UsageError
from svhncli.models.gates import Units
from svhncli.models.head import Head, require_side

SMALLEST_SIDE = 8


class Block(nn.Module):
    """Norm, ReLU, 3×3 convolution, twice, with dropout in between; added to the input.

    If the shape changes, a 1×1 convolution of the activated input replaces the input in the sum.
    """

    def __init__(self, channels: int, out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.relu2 = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        same = channels == out and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        active = functional.relu(self.norm1(images))
        residual = self.conv2(self.dropout(self.relu2(self.norm2(self.conv1(active)))))
        return residual + (images if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    """WRN-depth-width; (B, C, H, W) -> logits (B, positions, classes).

    The paper's best on SVHN is 16-8 (11.0M parameters) with dropout 0.4; 28-10 has 36.5M.

    Args:
        in_shape: (C, H, W) of an image; H and W at least 8.
        depth: number of layers, 6n + 4: three groups of n blocks.
        width: multiplies the 16, 32 and 64 channels of the groups.
        dropout: share of the values between the two convolutions of a block that is dropped in training.

    Raises:
        UsageError: depth is not of that form, or the image is too small.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        depth: int = 16,
        width: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            nearest = max(10, round((depth - 4) / 6) * 6 + 4)
            raise UsageError(
                f"model.depth of wide_resnet must be 6n + 4 (10, 16, 22, 28, …), not {depth}",
                f"the nearest is model.depth={nearest}",
            )
        require_side("wide_resnet", in_shape, SMALLEST_SIDE)
        channels = 16
        layers: list[nn.Module] = [nn.Conv2d(in_shape[0], channels, 3, padding=1, bias=False)]
        for base, stride in ((16, 1), (32, 2), (64, 2)):
            for index in range((depth - 4) // 6):
                layers.append(Block(channels, base * width, stride if index == 0 else 1, dropout))
                channels = base * width
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.head = Head(channels, positions, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def units(self) -> list[Units]:
        """The units between the two convolutions of each block; all others are summed over blocks."""
        blocks = [name for name, module in self.named_modules() if isinstance(module, Block)]
        return [Units(f"{b}.conv1", f"{b}.norm2", f"{b}.relu2", f"{b}.conv2") for b in blocks]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean((2, 3)))
