"""ResNet-18 (He et al. 2016) as torchvision has it, with a stem for small pictures."""

from __future__ import annotations

from torch import Tensor, nn

from svhncli.errors import DataError
from svhncli.models.head import Head, require_side

FEATURES = 512


class ResNet18(nn.Module):
    """torchvision's residual network with 18 layers; (B, C, H, W) -> logits (B, positions, classes).

    Args:
        in_shape: (C, H, W) of a picture; H and W at least 8 with the small stem, 32 with the large one.
        small_stem: a 3×3 stem with stride 1 and no pool, instead of 7×7 with stride 2 and a pool, which leave
            one cell of a 32×32 picture; None: where H is at most 64.
        pretrained: start from ImageNet weights. A stem that torchvision's weights do not fit (the small one,
            or other than 3 channels) starts from random ones.
        dropout: share of the head's inputs that is dropped in training.

    Raises:
        UsageError: the picture is too small.
        DataError: the ImageNet weights are neither here nor can they be downloaded.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        small_stem: bool | None = None,
        pretrained: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, height, _ = in_shape
        small = height <= 64 if small_stem is None else small_stem
        require_side("resnet18" if small else "resnet18 with small_stem=false", in_shape, 8 if small else 32)
        self.body = _torchvision_resnet18(pretrained)
        if small or channels != 3:
            side, stride = (3, 1) if small else (7, 2)
            stem = nn.Conv2d(channels, 64, side, stride, padding=side // 2, bias=False)
            nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
            self.body.conv1 = stem
        if small:
            self.body.maxpool = nn.Identity()
        self.body.fc = nn.Dropout(dropout)
        self.head = Head(FEATURES, positions, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


def _torchvision_resnet18(pretrained: bool) -> nn.Module:
    from torchvision import models  # here, since it takes seconds that other networks need not spend

    weights = models.ResNet18_Weights.IMAGENET1K_V1
    try:
        return models.resnet18(weights=weights if pretrained else None, progress=False)
    except (OSError, RuntimeError) as error:  # no network; a download that is damaged
        raise DataError(
            f"the ImageNet weights of resnet18 cannot be had from {weights.url}: {error}",
            "download that file into $TORCH_HOME/hub/checkpoints (default ~/.cache/torch), "
            "or set model.pretrained=false",
        ) from error
