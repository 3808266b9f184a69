"""The sheet of a data set: each of its parts in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.data.dataset import DataSet
from svhncli.data.describe import PartDescription, describe
from svhncli.data.digits import Digits
from svhncli.data.split import Fold


@dataclass(frozen=True)
class DataSheet:
    """What a fold trains on, validates on and is tested on, as data.json holds it.

    share: of rendered images in a batch. fresh: whether these are new in every epoch. parts: "train", "val",
    and "rendered" and "test" where there are any.
    """

    name: str
    fingerprint: str
    fold: str
    share: float
    fresh: bool
    parts: dict[str, PartDescription]


def data_sheet(data: DataSet, fold: Fold, val: Digits) -> DataSheet:
    """Describe the parts of a data set.

    val: the images that `fold.val` indexes.
    """
    parts = {"train": _part(data.train, fold.train), "val": _part(val, fold.val)}
    for name, digits in (("rendered", data.extra_train), ("test", data.test)):
        if digits is not None and len(digits):
            parts[name] = _part(digits, np.arange(len(digits)))
    return DataSheet(data.name, data.fingerprint, fold.name, data.share, data.fresh is not None, parts)


def _part(digits: Digits, rows: np.ndarray) -> PartDescription:
    return describe(digits.images, digits.labels, digits.groups, rows, BLANK)
