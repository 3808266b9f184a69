"""A data set in its parts, and which images a fold validates on."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.data.digits import Digits
from svhncli.data.framing import Framing
from svhncli.data.sources.fresh import Fresh
from svhncli.data.split import Fold


@dataclass(frozen=True)
class DataSet:
    """The parts of a data set. `test` is never used for choosing anything.

    val: a validation part that the data set brings, for `split=official`.
    fingerprint: changes whenever the pictures or labels do; a resumed run must meet the same one.
    extra_train: pictures of the same kind that only ever train: no split sees them.
    share: how much of every training batch they are, 0 <= share < 1.
    fresh: renews for every epoch after the first what is drawn from `extra_train`, or where there is none,
        what a fold trains on.
    framing: what of the photographs the pictures are; None for pictures that are seen as they are stored.
    broken: names of the files that could not be read and were left out.
    excluded: names of the pictures that a person left out.
    """

    name: str
    train: Digits
    fingerprint: str
    test: Digits | None = None
    val: Digits | None = None
    extra_train: Digits | None = None
    share: float = 0.0
    fresh: Fresh | None = None
    framing: Framing | None = None
    broken: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        extra = self.extra_train
        if extra is not None and (extra.shape, extra.classes) != (self.train.shape, self.train.classes):
            raise ValueError(f"extra_train must have pictures {self.train.shape}, not {extra.shape}")


def val_digits(data: DataSet, fold: Fold) -> Digits:
    """The pictures that a fold's `val` indexes."""
    return data.val if fold.val_part == "val" and data.val is not None else data.train
