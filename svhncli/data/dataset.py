"""A data set with its parts, and the images that a fold validates on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from svhncli.data.digits import Digits
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.render.fresh import FreshImages
from svhncli.data.split import Fold


@dataclass(frozen=True)
class DataSet:
    """The parts of a data set. `test` is never used to choose anything.

    train: empty where only the test part was loaded.
    val: a validation part that comes with the data set, for `split=official`.
    fingerprint: changes whenever the images or labels do; a resumed run requires the same one.
    extra_train: more images of the same shape that are only trained on: no split includes them.
    share: their fraction of every training batch, 0 <= share < 1.
    fresh: renders new images for every epoch after the first, in place of `extra_train` or, without it, in
        place of a fold's training images.
    framing: how the images were cut from photographs; None for images that are used as stored.
    broken: names of the files that could not be read and were left out.
    excluded: names of the images that the user left out. whole: the fingerprint before that.
    read: how the files were understood, in words, where they could mean several things.
    unread: what lies beside the images and belongs to no part, in words.
    lacking: of which parts more images without a number were asked for than could be made, in words.
    originals: part -> what lists its photographs as they are in their files, by the names of the images.
    """

    name: str
    train: Digits
    fingerprint: str
    test: Digits | None = None
    val: Digits | None = None
    extra_train: Digits | None = None
    share: float = 0.0
    fresh: FreshImages | None = None
    framing: Framing | None = None
    broken: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    whole: str | None = None
    read: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    originals: Mapping[str, Callable[[], list[PhotographFile]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        extra = self.extra_train
        if extra is not None and (extra.shape, extra.classes) != (self.train.shape, self.train.classes):
            raise ValueError(f"extra_train must have images of shape {self.train.shape}, not {extra.shape}")

    @classmethod
    def of_parts(
        cls,
        name: str,
        parts: Mapping[str, Digits],
        fingerprint: str,
        *,
        framing: Framing | None = None,
        broken: tuple[str, ...] = (),
        read: tuple[str, ...] = (),
        unread: tuple[str, ...] = (),
    ) -> DataSet:
        """A data set of the parts that were loaded: all that it has, or only "test"."""
        train = parts["train"] if "train" in parts else parts["test"].take(np.empty(0, np.int64))
        test, val = parts.get("test"), parts.get("val")
        return cls(
            name, train, fingerprint, test, val, framing=framing, broken=broken, read=read, unread=unread
        )


def val_digits(data: DataSet, fold: Fold) -> Digits:
    """The images that a fold's `val` indexes."""
    return data.val if fold.val_part == "val" and data.val is not None else data.train
