"""Keys of which images validate."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class HoldoutConfig:
    """One validation part, drawn at random."""

    name: str = key("holdout", "the split")
    fraction: float = key(0.1, "share of the training part that validates", above=0, below=1)
    stratify: bool = key(True, "keep the class shares equal on both sides")
    seed: int | None = key(None, "which draw; null follows the run's seed", low=0)


@dataclass
class KfoldConfig:
    """k runs; every picture validates once."""

    name: str = key("kfold", "the split")
    k: int = key(5, "number of folds", low=2)
    repeats: int = key(1, "repeat with another partition", low=1)
    fold: int | None = key(None, "train this fold alone (counted from 0); null trains all", low=0)
    stratify: bool = key(True, "keep the class shares equal in every fold")
    seed: int | None = key(None, "which partition; null follows the run's seed", low=0)


@dataclass
class BootstrapConfig:
    """n runs, each trained on a resample; what was not drawn (out of bag) validates. One on all, for .632."""

    name: str = key("bootstrap", "the split")
    n: int = key(20, "number of replicates", low=1)
    fold: int | None = key(
        None, "train this replicate alone (from 0; n: the one on all the data); null trains all", low=0
    )
    seed: int | None = key(None, "which resamples; null follows the run's seed", low=0)


@dataclass
class OfficialConfig:
    """A validation part that the data set brings, or a file that you name."""

    name: str = key("official", "the split")
    file: str | None = key(None, "a .mat of the cropped layout that validates (data=svhn)")


@dataclass
class OrderedConfig:
    """The last pictures validate: for data with time in it."""

    name: str = key("ordered", "the split")
    fraction: float = key(0.1, "share at the end that validates", above=0, below=1)
