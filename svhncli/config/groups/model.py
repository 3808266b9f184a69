"""Keys of the networks."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class NetworkConfig:
    """What all networks share."""

    init_bias: bool = key(False, "the head starts from the shares of the classes in the training part")
    stn: bool = key(False, "a spatial transformer in front (Jaderberg et al. 2015)")
    stn_size: list[int] = key(
        [], "rows and columns that it hands to the network, such as [48, 64]; [] keeps all", low=8, high=1024
    )


@dataclass
class LinearConfig(NetworkConfig):
    """Softmax regression on pixels; degree 2 adds polynomial features."""

    name: str = key("linear", "the network")
    degree: int = key(1, "2 adds all products of pairs of pixels of a pooled grey picture", low=1, high=2)
    pool: int = key(8, "side of the pooled picture that degree 2 multiplies", low=2, high=16)


@dataclass
class MlpConfig(NetworkConfig):
    """Fully connected layers with ReLU."""

    name: str = key("mlp", "the network")
    widths: list[int] = key([512, 256], "units of each hidden layer", low=1)


@dataclass
class CnnConfig(NetworkConfig):
    """The default: a small convolutional network with batch normalisation, about 0.3M parameters."""

    name: str = key("cnn", "the network")
    width: float = key(1.0, "multiplies the channels of every layer", above=0, high=16)
    depth: int = key(1, "convolutions at each size of the pictures but the first", low=1, high=8)
    hidden: int = key(0, "units of a hidden layer before the head; 0 has none", low=0)


@dataclass
class DatawhaleConfig(NetworkConfig):
    """The two-block strided network of the Datawhale street-character article."""

    name: str = key("datawhale", "the network")


@dataclass
class ResnetConfig(NetworkConfig):
    """What torchvision's residual networks share."""

    pretrained: bool = key(False, "start from ImageNet weights (downloaded by torchvision)")
    small_stem: bool = key(True, "3x3 stem without the first pool, for pictures up to 64 pixels")


@dataclass
class Resnet18Config(ResnetConfig):
    """torchvision's ResNet-18 (He et al. 2016)."""

    name: str = key("resnet18", "the network")


@dataclass
class Resnet34Config(ResnetConfig):
    """torchvision's ResNet-34 (He et al. 2016)."""

    name: str = key("resnet34", "the network")


@dataclass
class Resnet50Config(ResnetConfig):
    """torchvision's ResNet-50 (He et al. 2016), of bottleneck blocks."""

    name: str = key("resnet50", "the network")


@dataclass
class WideResnetConfig(NetworkConfig):
    """Wide residual network (Zagoruyko & Komodakis 2016)."""

    name: str = key("wide_resnet", "the network")
    depth: int = key(16, "layers: 6n + 4, such as 16 or 28", low=10)
    width: int = key(8, "channels are this many times those of a ResNet", low=1)
