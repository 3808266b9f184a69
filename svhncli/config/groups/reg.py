"""Keys of the regularization."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.declare import choice
from svhncli.config.rules import key


@dataclass
class AugmentConfig:
    """Random changes of the training images, drawn anew for each image; 0 switches a change off."""

    policy: str = key(
        "none",
        "operations drawn for each image, applied before the changes below",
        choices=("none", "randaugment", "trivialaugment"),
    )
    policy_ops: int = key(3, "RandAugment: operations per image", low=1, high=16)
    policy_magnitude: float = key(9.0, "RandAugment: magnitude of every operation", low=0, high=10)
    rotate: float = key(0.0, "largest rotation to either side, in degrees", low=0, high=180)
    translate: float = key(0.0, "largest shift, as a fraction of the side", low=0, below=1)
    scale: float = key(0.0, "largest zoom: 0.1 is 1/1.1 to 1.1", low=0, high=4)
    shear: float = key(0.0, "largest shear, in degrees", low=0, below=90)
    crop: int = key(0, "random crop after padding by this many pixels", low=0, high=64)
    elastic: float = key(0.0, "elastic distortion in pixels (Simard et al. 2003)", low=0, high=32)
    elastic_sigma: float = key(4.0, "smoothness of the elastic distortion in pixels", above=0, high=64)
    brightness: float = key(
        0.0, "largest change of brightness, as a fraction of the value range", low=0, high=1
    )
    contrast: float = key(0.0, "largest relative change of contrast", low=0, high=1)
    saturation: float = key(0.0, "largest relative change of saturation", low=0, high=1)
    noise: float = key(
        0.0, "largest standard deviation of Gaussian noise, as a fraction of the value range", low=0, high=1
    )
    blur: float = key(0.0, "largest sigma of a Gaussian blur, in pixels", low=0, high=8)
    erase: float = key(
        0.0, "side of an erased square, as a fraction of the image's side (cutout)", low=0, high=1
    )
    hflip: bool = key(False, "mirror half the images; a mirrored digit is another digit or none")
    vflip: bool = key(False, "turn half the images upside down; 6 becomes 9 or no digit")


@choice("reg")
@dataclass
class RegConfig:
    """Regularization, augmentation and early stopping."""

    name: str = key("custom", "the preset")
    l0: float = key(
        0.0, "L0 penalty for each unit with an open gate (Louizos et al. 2018); 0 adds no gates", low=0
    )
    l1: float = key(0.0, "L1 penalty in the loss: l1 * sum |w|", low=0)
    l2: float = key(
        0.0, "L2 penalty in the loss: l2 / 2 * sum w^2; optim.weight_decay is the alternative", low=0
    )
    dropout: float = key(0.0, "probability of dropping an activation before the head", low=0, below=1)
    label_smoothing: float = key(0.0, "probability mass spread evenly over all classes", low=0, below=1)
    position_weights: list[float] = key(
        [], "weight of each position in the training loss, such as [2, 1, 1]; [] weights all alike", above=0
    )
    box_loss: float = key(
        0.0,
        "factor of the distance between a spatial transformer's frame and the digits' boxes; 0 ignores them",
        low=0,
    )
    mixup: float = key(0.0, "alpha of mixup's beta distribution (Zhang et al. 2018)", low=0)
    cutmix: float = key(
        0.0,
        "alpha of CutMix's beta distribution (Yun et al. 2019); with mixup, each takes half of the batches",
        low=0,
    )
    ema: float = key(
        0.0,
        "decay of a moving average of the weights, which is validated in their place; 0 is off",
        low=0,
        below=1,
    )
    patience: int = key(10, "early stopping: epochs without improvement; 0 never stops early", low=0)
    min_delta: float = key(0.0, "smallest change of the metric that counts as improvement", low=0)
    augment: AugmentConfig = key(AugmentConfig, "random changes of the training images")
