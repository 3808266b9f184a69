"""Keys of the networks."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.declare import choice
from svhncli.config.rules import key


@dataclass
class NetworkConfig:
    """Keys that all networks share."""

    init_bias: bool = key(False, "initialize the head's bias to the class frequencies of the training set")
    stn: bool = key(False, "put a spatial transformer in front of the network (Jaderberg et al. 2015)")
    stn_size: list[int] = key(
        [],
        "height and width of the spatial transformer's output, such as [48, 64]; [] keeps the input size",
        low=8,
        high=1024,
    )


@choice("model", builds="svhncli.models.linear:Linear")
@dataclass
class LinearConfig(NetworkConfig):
    """Softmax regression on pixels; degree 2 adds polynomial features."""

    name: str = key("linear", "the network")
    degree: int = key(1, "2 adds the products of all pairs of pixels of a pooled gray image", low=1, high=2)
    pool: int = key(8, "side of the pooled image for degree=2, in pixels", low=2, high=16)


@choice("model", builds="svhncli.models.mlp:Mlp")
@dataclass
class MlpConfig(NetworkConfig):
    """Fully connected layers with ReLU."""

    name: str = key("mlp", "the network")
    widths: list[int] = key([512, 256], "number of units in each hidden layer", low=1)


@choice("model", builds="svhncli.models.cnn:Cnn")
@dataclass
class CnnConfig(NetworkConfig):
    """The default: a small convolutional network with batch normalization, about 0.3M parameters."""

    name: str = key("cnn", "the network")
    width: float = key(1.0, "factor on the number of channels of every layer", above=0, high=16)
    depth: int = key(1, "convolutions at each resolution except the first", low=1, high=8)
    hidden: int = key(0, "units of a hidden layer before the head; 0 leaves the layer out", low=0)
    reader: str = key(
        "heads",
        "what classifies the digits: a head for each position, or one classifier for all columns",
        choices=("heads", "columns"),
    )


@choice("model", builds="svhncli.models.spotter:Spotter")
@dataclass
class SpotterConfig(NetworkConfig):
    """A detector of digits, trained on their boxes: which digits are where, or that there are none."""

    name: str = key("spotter", "the network")
    width: float = key(1.0, "factor on the number of channels of every layer", above=0, high=16)
    depth: int = key(2, "convolutions at each resolution except the first two", low=1, high=8)


@choice("model", builds="svhncli.models.datawhale:Datawhale")
@dataclass
class DatawhaleConfig(NetworkConfig):
    """The two-block strided network of the Datawhale street-character article."""

    name: str = key("datawhale", "the network")


@dataclass
class ResnetConfig(NetworkConfig):
    """Keys that torchvision's residual networks share."""

    pretrained: bool = key(False, "start from ImageNet weights (downloaded by torchvision)")
    small_stem: bool = key(True, "3x3 stem without max pooling, for images up to 64 pixels")


@choice("model", builds="svhncli.models.resnet:resnet18")
@dataclass
class Resnet18Config(ResnetConfig):
    """torchvision's ResNet-18 (He et al. 2016)."""

    name: str = key("resnet18", "the network")


@choice("model", builds="svhncli.models.resnet:resnet34")
@dataclass
class Resnet34Config(ResnetConfig):
    """torchvision's ResNet-34 (He et al. 2016)."""

    name: str = key("resnet34", "the network")


@choice("model", builds="svhncli.models.resnet:resnet50")
@dataclass
class Resnet50Config(ResnetConfig):
    """torchvision's ResNet-50 (He et al. 2016), built from bottleneck blocks."""

    name: str = key("resnet50", "the network")


@choice("model", builds="svhncli.models.wide_resnet:WideResNet")
@dataclass
class WideResnetConfig(NetworkConfig):
    """Wide residual network (Zagoruyko & Komodakis 2016)."""

    name: str = key("wide_resnet", "the network")
    depth: int = key(16, "number of layers: 6n + 4, such as 16 or 28", low=10)
    width: int = key(8, "factor on the number of channels of a ResNet", low=1)
