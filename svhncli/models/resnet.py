"""torchvision's residual networks (He et al. 2016), with a stem for small images."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor, nn

from svhncli.core.errors import DataError
from svhncli.models.head import Head, require_side

Depth = Literal[18, 34, 50]
FEATURES: dict[Depth, int] = {18: 512, 34: 512, 50: 2048}


class ResNet(nn.Module):
    """torchvision's residual network of the given depth; (B, C, H, W) -> logits (B, positions, classes).

    Args:
        in_shape: (C, H, W) of an image; H and W at least 8 with the small stem, 32 with the large one.
        depth: number of layers; 50 has bottleneck blocks.
        small_stem: a 3×3 stem with stride 1 and no pooling, instead of 7×7 with stride 2 and pooling, which
            reduce a 32×32 image to a single cell; None: if H is at most 64.
        pretrained: start from ImageNet weights. A stem that they do not fit (the small one, or any with other
            than 3 channels) is initialized randomly.
        dropout: share of the head's inputs that is dropped in training.

    Raises:
        UsageError: the image is too small.
        DataError: the ImageNet weights are not on this machine and cannot be downloaded.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        depth: Depth = 18,
        small_stem: bool | None = None,
        pretrained: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        name = f"resnet{depth}"
        channels, height, _ = in_shape
        small = height <= 64 if small_stem is None else small_stem
        require_side(name if small else f"{name} with small_stem=false", in_shape, 8 if small else 32)
        self.body = _torchvision(name, pretrained)
        if small or channels != 3:
            side, stride = (3, 1) if small else (7, 2)
            stem = nn.Conv2d(channels, 64, side, stride, padding=side // 2, bias=False)
            nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
            self.body.conv1 = stem
        if small:
            self.body.maxpool = nn.Identity()
        self.body.fc = nn.Dropout(dropout)
        self.head = Head(FEATURES[depth], positions, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


def _torchvision(name: str, pretrained: bool) -> nn.Module:
    from torchvision import (
        models,
    )  # here, since importing it takes seconds, which other networks need not spend

    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return models.get_model(name, weights=weights if pretrained else None, progress=False)
    except (OSError, RuntimeError) as error:  # offline, or a damaged download
        raise DataError(
            f"cannot download the ImageNet weights of {name} from {weights.url}: {error}",
            "download that file to $TORCH_HOME/hub/checkpoints (default ~/.cache/torch), "
            "or set model.pretrained=false",
        ) from error


resnet18 = partial(ResNet, depth=18)
resnet34 = partial(ResNet, depth=34)
resnet50 = partial(ResNet, depth=50)
