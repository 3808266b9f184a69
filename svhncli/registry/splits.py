"""Folds from the config of a split."""

from __future__ import annotations

from typing import Any

import numpy as np

from svhncli.core.errors import UsageError
from svhncli.data import split
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold
from svhncli.registry.table import BUILDERS, call, own_keys


def folds(config: Any, data: DataSet, seed: int) -> list[Fold]:
    """The folds of a split, each with its training and validation indices.

    Raises:
        UsageError, DataError: the data cannot be split so.
    """
    own_seed = getattr(config, "seed", None)
    seed = seed if own_seed is None else own_seed
    if (builder := BUILDERS.get(type(config))) is not None:
        return builder(config, data, seed)
    made = call(
        config,
        own_keys(config, without=("seed", "fold", "file")),
        labels=data.train.labels,
        groups=data.train.groups,
        data=data,
        seed=seed,
    )
    return _chosen(made, getattr(config, "fold", None))


def _chosen(folds: list[Fold], index: int | None) -> list[Fold]:
    """All folds, or only the one that is asked for.

    Raises:
        UsageError: there is no such fold.
    """
    if index is None:
        return folds
    if index >= len(folds):
        raise UsageError(
            f"split.fold={index} does not exist", f"the folds are numbered 0 to {len(folds) - 1}"
        )
    return [folds[index]]


def bootstrap(labels: np.ndarray, groups: np.ndarray, *, n: int, seed: int) -> list[Fold]:
    """n replicates and, if there are several, one fit on all the data, which .632 needs."""
    replicates = split.bootstrap(labels, groups, n=n, seed=seed)
    return [*replicates, split.everything(len(labels))] if n > 1 else replicates


def official(data: DataSet) -> list[Fold]:
    """The validation part that comes with the data.

    Raises:
        UsageError: there is none.
    """
    if data.val is None:
        raise UsageError(
            f"split=official: the data ({data.name}) has no validation part",
            "data.extra=val validates on SVHN's extra part, split.file=FILE.mat on a file of your own; "
            "mchar comes with mchar_val, a folder with its val/",
        )
    return split.official(len(data.train), len(data.val))


def auto(data: DataSet, *, fraction: float, seed: int, stratify: bool) -> list[Fold]:
    """The validation part that comes with the data or, where there is none, a hold-out."""
    if data.val is not None:
        return split.official(len(data.train), len(data.val))
    part = data.train
    return split.holdout(part.labels, part.groups, fraction=fraction, seed=seed, stratify=stratify)
