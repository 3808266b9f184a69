"""Which dataclass stands behind each choice of a group."""

from __future__ import annotations

from svhncli.config.groups.data import (
    FolderConfig,
    McharConfig,
    MixConfig,
    SvhnConfig,
    SvhnFullConfig,
    SynthConfig,
    SynthFullConfig,
)
from svhncli.config.groups.model import (
    CnnConfig,
    DatawhaleConfig,
    LinearConfig,
    MlpConfig,
    Resnet18Config,
    Resnet34Config,
    Resnet50Config,
    WideResnetConfig,
)
from svhncli.config.groups.optim import AdamConfig, AdamwConfig, RmspropConfig, SgdConfig
from svhncli.config.groups.reg import RegConfig
from svhncli.config.groups.schedule import (
    ConstantConfig,
    CosineConfig,
    OneCycleConfig,
    PlateauConfig,
    StepConfig,
)
from svhncli.config.groups.split import (
    BootstrapConfig,
    HoldoutConfig,
    KfoldConfig,
    OfficialConfig,
    OrderedConfig,
)

CHOICES: dict[str, dict[str, type]] = {
    "data": {
        "synth": SynthConfig,
        "synth_full": SynthFullConfig,
        "svhn": SvhnConfig,
        "mix": MixConfig,
        "svhn_full": SvhnFullConfig,
        "mchar": McharConfig,
        "folder": FolderConfig,
    },
    "split": {
        "holdout": HoldoutConfig,
        "kfold": KfoldConfig,
        "bootstrap": BootstrapConfig,
        "official": OfficialConfig,
        "ordered": OrderedConfig,
    },
    "model": {
        "linear": LinearConfig,
        "mlp": MlpConfig,
        "cnn": CnnConfig,
        "datawhale": DatawhaleConfig,
        "resnet18": Resnet18Config,
        "resnet34": Resnet34Config,
        "resnet50": Resnet50Config,
        "wide_resnet": WideResnetConfig,
    },
    "optim": {"sgd": SgdConfig, "adam": AdamConfig, "adamw": AdamwConfig, "rmsprop": RmspropConfig},
    "schedule": {
        "constant": ConstantConfig,
        "cosine": CosineConfig,
        "one_cycle": OneCycleConfig,
        "step": StepConfig,
        "plateau": PlateauConfig,
    },
    "reg": {"custom": RegConfig},
}
"""Group -> name -> dataclass. A plugin adds its own (see build.register)."""
