"""The data sheet of a run: what its parts consist of, as `describe` counts it."""

from __future__ import annotations

from typing import Any

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.data.dataset import DataSet
from svhncli.data.describe import describe
from svhncli.data.digits import Digits
from svhncli.data.split import Fold


def data_sheet(data: DataSet, fold: Fold, val: Digits) -> dict[str, Any]:
    """What a fold trains on, validates on and is tested on.

    val: the images that `fold.val` indexes.

    Returns:
        {"name", "fingerprint", "fold", "share": fraction of rendered images in a batch, "fresh": whether they
        are rendered anew for every epoch, "parts": {"train", "val", and if there are any "rendered" and
        "test"}}.
    """
    parts = {"train": _part(data.train, fold.train), "val": _part(val, fold.val)}
    for name, digits in (("rendered", data.extra_train), ("test", data.test)):
        if digits is not None and len(digits):
            parts[name] = _part(digits, np.arange(len(digits)))
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "fold": fold.name,
        "share": data.share,
        "fresh": data.fresh is not None,
        "parts": parts,
    }


def _part(digits: Digits, rows: np.ndarray) -> dict[str, Any]:
    return describe(digits.images, digits.labels, digits.groups, rows, BLANK)
