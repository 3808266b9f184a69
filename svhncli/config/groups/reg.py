"""Keys of what works against overfitting."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class AugmentConfig:
    """Random changes of the training pictures, drawn anew for each picture; 0 switches one off."""

    policy: str = key(
        "none",
        "operations drawn for each picture, before the changes below",
        choices=("none", "randaugment", "trivialaugment"),
    )
    policy_ops: int = key(3, "RandAugment's number of operations a picture", low=1, high=16)
    policy_magnitude: float = key(9.0, "RandAugment's magnitude of every operation", low=0, high=10)
    rotate: float = key(0.0, "degrees, at most, to either side", low=0, high=180)
    translate: float = key(0.0, "shift, at most, as a share of the side", low=0, below=1)
    scale: float = key(0.0, "zoom, at most: 0.1 is 1/1.1 to 1.1", low=0, high=4)
    shear: float = key(0.0, "slant in degrees, at most", low=0, below=90)
    crop: int = key(0, "random crop after padding by this many pixels", low=0, high=64)
    elastic: float = key(0.0, "elastic distortion in pixels (Simard et al. 2003)", low=0, high=32)
    elastic_sigma: float = key(4.0, "smoothness of the elastic distortion in pixels", above=0, high=64)
    brightness: float = key(0.0, "change, at most, as a share of the range", low=0, high=1)
    contrast: float = key(0.0, "relative change of contrast, at most", low=0, high=1)
    saturation: float = key(0.0, "relative change of saturation, at most", low=0, high=1)
    noise: float = key(
        0.0, "standard deviation of Gaussian noise, at most (1 is the whole range)", low=0, high=1
    )
    blur: float = key(0.0, "sigma of a Gaussian blur in pixels, at most", low=0, high=8)
    erase: float = key(0.0, "side of an erased square as a share of the picture's (cutout)", low=0, high=1)
    hflip: bool = key(False, "mirror half the pictures; a mirrored digit is another digit or none")
    vflip: bool = key(False, "turn half the pictures upside down; 6 becomes 9 or no digit")


@dataclass
class RegConfig:
    """Against overfitting."""

    name: str = key("custom", "the preset")
    l0: float = key(
        0.0, "L0 penalty for every unit whose gate is open (Louizos et al. 2018); 0 has no gates", low=0
    )
    l1: float = key(0.0, "L1 penalty in the loss: l1 * sum |w|", low=0)
    l2: float = key(
        0.0, "L2 penalty in the loss: l2 / 2 * sum w^2; optim.weight_decay is the other way", low=0
    )
    dropout: float = key(0.0, "share of activations dropped before the head", low=0, below=1)
    label_smoothing: float = key(0.0, "probability spread over all classes", low=0, below=1)
    position_weights: list[float] = key(
        [],
        "how much each position counts in the training loss, such as [2, 1, 1]; [] counts all alike",
        above=0,
    )
    mixup: float = key(0.0, "alpha of mixup's beta distribution (Zhang et al. 2018)", low=0)
    cutmix: float = key(
        0.0, "alpha of cutmix's beta distribution (Yun et al. 2019); beside mixup, half of the batches", low=0
    )
    ema: float = key(
        0.0, "decay of an average of the weights that is used for validation; 0 is off", low=0, below=1
    )
    patience: int = key(10, "early stopping: epochs without improvement; 0 never stops early", low=0)
    min_delta: float = key(0.0, "a smaller gain of the metric does not count as improvement", low=0)
    augment: AugmentConfig = key(AugmentConfig, "random changes of the training pictures")
