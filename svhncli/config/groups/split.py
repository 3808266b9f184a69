"""Keys of how validation images are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.declare import choice
from svhncli.config.rules import key


@choice("split", builds="svhncli.data.split:holdout")
@dataclass
class HoldoutConfig:
    """One validation part, drawn at random."""

    name: str = key("holdout", "the split")
    fraction: float = key(0.1, "fraction of the training set held out for validation", above=0, below=1)
    stratify: bool = key(True, "keep the class proportions equal on both sides")
    seed: int | None = key(None, "seed of the split; null uses the run's seed", low=0)


@choice("split", builds="svhncli.data.split:kfold")
@dataclass
class KfoldConfig:
    """k-fold cross-validation: every image is held out once."""

    name: str = key("kfold", "the split")
    k: int = key(5, "number of folds", low=2)
    repeats: int = key(1, "repeat the cross-validation with other partitions", low=1)
    fold: int | None = key(None, "train this fold only (counted from 0); null trains all", low=0)
    stratify: bool = key(True, "keep the class proportions equal in every fold")
    seed: int | None = key(None, "seed of the partition; null uses the run's seed", low=0)


@choice("split", builds="svhncli.registry.splits:bootstrap")
@dataclass
class BootstrapConfig:
    """n bootstrap replicates, each validated out of bag, and one fit on all the data for .632."""

    name: str = key("bootstrap", "the split")
    n: int = key(20, "number of replicates", low=1)
    fold: int | None = key(
        None, "train this replicate only (from 0; n is the fit on all the data); null trains all", low=0
    )
    seed: int | None = key(None, "seed of the resampling; null uses the run's seed", low=0)


@choice("split", builds="svhncli.registry.splits:official")
@dataclass
class OfficialConfig:
    """The validation part that comes with the data, or a file of your own."""

    name: str = key("official", "the split")
    file: str | None = key(
        None,
        "a .mat file in the cropped-digits layout to validate on (data=svhn)",
        path=True,
        needed="check the path",
    )


@choice("split", builds="svhncli.registry.splits:auto")
@dataclass
class AutoConfig:
    """The validation part that comes with the data or, where there is none, one drawn at random."""

    name: str = key("auto", "the split")
    fraction: float = key(
        0.1, "fraction of the training set held out if the data has no validation part", above=0, below=1
    )
    stratify: bool = key(True, "keep the class proportions equal on both sides")
    seed: int | None = key(None, "seed of the split; null uses the run's seed", low=0)


@choice("split", builds="svhncli.data.split:ordered")
@dataclass
class OrderedConfig:
    """The last images are held out: for data ordered by time."""

    name: str = key("ordered", "the split")
    fraction: float = key(0.1, "fraction at the end held out for validation", above=0, below=1)
