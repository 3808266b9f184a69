"""Keys of networks, optimisers, schedules and of what works against over-fitting."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class Network:
    """What all networks share."""

    init_bias: bool = key(False, "the head starts from the shares of the classes in the training part")
    stn: bool = key(False, "a spatial transformer in front (Jaderberg et al. 2015)")
    stn_size: list[int] = key(
        [], "rows and columns that it hands to the network, such as [48, 64]; [] keeps all", low=8, high=1024
    )


@dataclass
class Linear(Network):
    """Softmax regression on pixels; degree 2 adds polynomial features."""

    name: str = key("linear", "the network")
    degree: int = key(1, "2 adds all products of pairs of pixels of a pooled grey picture", low=1, high=2)
    pool: int = key(8, "side of the pooled picture that degree 2 multiplies", low=2, high=16)


@dataclass
class Mlp(Network):
    """Fully connected layers with ReLU."""

    name: str = key("mlp", "the network")
    widths: list[int] = key([512, 256], "units of each hidden layer", low=1)


@dataclass
class Cnn(Network):
    """The default: a small convolutional network with batch normalisation, about 0.3M parameters."""

    name: str = key("cnn", "the network")
    width: float = key(1.0, "multiplies the channels of every layer", above=0, high=16)
    depth: int = key(1, "convolutions at each size of the pictures but the first", low=1, high=8)
    hidden: int = key(0, "units of a hidden layer before the head; 0 has none", low=0)


@dataclass
class Datawhale(Network):
    """The two-block strided network of the Datawhale street-character article."""

    name: str = key("datawhale", "the network")


@dataclass
class Resnet(Network):
    """What torchvision's residual networks share."""

    pretrained: bool = key(False, "start from ImageNet weights (downloaded by torchvision)")
    small_stem: bool = key(True, "3x3 stem without the first pool, for pictures up to 64 pixels")


@dataclass
class Resnet18(Resnet):
    """torchvision's ResNet-18 (He et al. 2016)."""

    name: str = key("resnet18", "the network")


@dataclass
class Resnet34(Resnet):
    """torchvision's ResNet-34 (He et al. 2016)."""

    name: str = key("resnet34", "the network")


@dataclass
class Resnet50(Resnet):
    """torchvision's ResNet-50 (He et al. 2016), of bottleneck blocks."""

    name: str = key("resnet50", "the network")


@dataclass
class WideResnet(Network):
    """Wide residual network (Zagoruyko & Komodakis 2016)."""

    name: str = key("wide_resnet", "the network")
    depth: int = key(16, "layers: 6n + 4, such as 16 or 28", low=10)
    width: int = key(8, "channels are this many times those of a ResNet", low=1)


# ----------------------------------------------------------------------------- optim


@dataclass
class Optim:
    """What all optimisers share."""

    clip: float = key(0.0, "largest norm of the gradient; 0 does not clip", low=0)
    decay_norm_and_bias: bool = key(False, "apply weight decay to norm layers and biases as well")


@dataclass
class Sgd(Optim):
    """Stochastic gradient descent with (Nesterov) momentum."""

    name: str = key("sgd", "the optimiser")
    momentum: float = key(0.9, "momentum", low=0, below=1)
    nesterov: bool = key(True, "Nesterov's look-ahead")
    weight_decay: float = key(5e-4, "weight decay; for SGD the same as an L2 penalty", low=0)


@dataclass
class Adam(Optim):
    """Adam (Kingma & Ba 2015); its weight decay is added to the gradient."""

    name: str = key("adam", "the optimiser")
    beta1: float = key(0.9, "decay of the gradient's mean", low=0, below=1)
    beta2: float = key(0.999, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.0, "added to the gradient (not decoupled)", low=0)


@dataclass
class Adamw(Optim):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: str = key("adamw", "the optimiser")
    beta1: float = key(0.9, "decay of the gradient's mean", low=0, below=1)
    beta2: float = key(0.999, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.01, "decoupled from the gradient, multiplied by lr", low=0)


@dataclass
class Rmsprop(Optim):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: str = key("rmsprop", "the optimiser")
    alpha: float = key(0.99, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    momentum: float = key(0.0, "momentum", low=0, below=1)
    weight_decay: float = key(0.0, "added to the gradient", low=0)


# ----------------------------------------------------------------------------- schedule


@dataclass
class Schedule:
    """What all schedules share."""

    warmup: float = key(0.0, "epochs in which lr rises linearly from near 0 at the start", low=0)


@dataclass
class Constant(Schedule):
    """lr stays as it is."""

    name: str = key("constant", "the schedule")


@dataclass
class Cosine(Schedule):
    """lr falls along half a cosine to the end (Loshchilov & Hutter 2017)."""

    name: str = key("cosine", "the schedule")
    final: float = key(0.0, "share of lr that is left at the end", low=0, high=1)
    cycles: int = key(1, "times that lr falls so over the run; in between it restarts", low=1)


@dataclass
class OneCycle(Schedule):
    """lr rises to its peak and falls to almost nothing (Smith & Topin 2019); momentum is not cycled."""

    name: str = key("one_cycle", "the schedule")
    peak: float = key(0.3, "share of the run after which lr is at its peak", above=0, below=1)
    start_div: float = key(25.0, "it starts at the peak divided by this", low=1)
    end_div: float = key(1e4, "and ends at the peak divided by this", low=1)


@dataclass
class Step(Schedule):
    """lr is multiplied by gamma every few epochs."""

    name: str = key("step", "the schedule")
    every: int = key(10, "epochs between two drops", low=1)
    at: list[int] = key([], "epochs after which lr drops, such as [80, 120]; they replace every", low=1)
    gamma: float = key(0.1, "factor of a drop", above=0, high=1)


@dataclass
class Plateau(Schedule):
    """lr is multiplied by gamma when the validation loss stops falling."""

    name: str = key("plateau", "the schedule")
    gamma: float = key(0.1, "factor of a drop", above=0, below=1)
    patience: int = key(3, "epochs without a better validation loss before a drop", low=0)
    threshold: float = key(1e-4, "relative fall that counts as better", low=0, below=1)
    min_factor: float = key(1e-4, "lr never falls below this share of its start", low=0, high=1)


# ----------------------------------------------------------------------------- regularisation


@dataclass
class Augment:
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
class Reg:
    """Against over-fitting."""

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
    augment: Augment = key(Augment, "random changes of the training pictures")
