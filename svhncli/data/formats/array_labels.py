"""Digits in arrays of labels, in the conventions that people use; none is chosen that a label contradicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from svhncli.core.errors import DataError
from svhncli.core.labels import BLANK, CLASSES
from svhncli.data.formats.boxed_labels import LONGEST

CONVENTIONS = (
    "labels are digits 0 to 9 (N), digits padded to the longest number with 10 or -1 (N, L), text such as "
    "'007', or one-hot; 10 is the digit 0 where no label is 0"
)


@dataclass(frozen=True)
class Convention:
    """How labels are written. zero: what the digit 0 is. pad: what follows a number's last digit, None if all
    have the same length. counted: whether the first column is the number's length."""

    zero: int
    pad: int | None = None
    counted: bool = False

    def __str__(self) -> str:
        words = ["10 is the digit 0"] if self.zero == 10 else []
        words += [] if self.pad is None else [f"{self.pad} is no digit"]
        return ", ".join(words + ["the first column is the number of digits"] * self.counted)


def label_shape(shape: Sequence[int]) -> int | None:
    """N for the shape of an array that may hold labels: (N,), (1, N), (N, L), (N, 10), (N, L, 10 or 11)."""
    if len(shape) == 2 and shape[0] == 1:
        return shape[1]
    if len(shape) == 1 or (len(shape) == 2 and shape[1] <= LONGEST):
        return shape[0]
    one_hot = len(shape) == 3 and shape[1] <= LONGEST and shape[2] in (CLASSES, CLASSES + 1)
    return shape[0] if one_hot else None


def integers(values: np.ndarray, where: str) -> np.ndarray:
    """Labels of any kind as int64 (N, L), still in their convention; text is padded with -1.

    where: names the array in error messages.

    Raises:
        DataError: a label is no whole number, or text that is not digits.
    """
    if values.dtype.kind in "US":
        return _from_text(values.astype(str).ravel(), where)
    if values.ndim == 2 and values.shape[0] == 1:
        values = values.T
    rows = values[:, None] if values.ndim == 1 else values
    if values.dtype.kind == "f" and len(wrong := np.argwhere(values != np.floor(values))):
        place = tuple(wrong[0].tolist())
        raise DataError(f"{where}: label {values[place]:g} in row {place[0]} (counted from 0)", CONVENTIONS)
    if rows.ndim == 3 or rows.shape[1] == CLASSES:
        ones = (rows == 1).sum(-1) == 1
        if (ones & ((rows == 0).sum(-1) == rows.shape[-1] - 1)).all():
            return rows.argmax(-1).reshape(len(rows), -1).astype(np.int64)
    if rows.ndim == 3:
        raise DataError(f"{where} has three dimensions, but is not one-hot", CONVENTIONS)
    return rows.astype(np.int64)


def _from_text(texts: np.ndarray, where: str) -> np.ndarray:
    longest = max(map(len, texts), default=1)
    labels = np.full((len(texts), max(1, min(longest, LONGEST))), -1, np.int64)
    for row, text in enumerate(texts):
        if not (text.isascii() and text.isdigit() and len(text) <= LONGEST):
            raise DataError(f"{where}: label {str(text)[:60]!r} in row {row} (counted from 0)", CONVENTIONS)
        labels[row, : len(text)] = [int(letter) for letter in text]
    return labels


def convention(labels: np.ndarray, where: str) -> Convention:
    """The first convention that fits all labels, int64 (N, L).

    Raises:
        DataError: none does.
    """
    for candidate in _candidates(labels.shape[1]):
        digits = _digits(labels, candidate)
        varies = digits is not None and len(np.unique((digits != BLANK).sum(1))) > 1
        # Padding must occur; and a first column that never changes may as well be a digit.
        if (
            digits is not None
            and (varies or not candidate.counted)
            and (candidate.pad is None or (digits == BLANK).any())
        ):
            return candidate
    allowed = range(-1, 11) if labels.shape[1] > 1 else range(11)
    outside = np.argwhere(~np.isin(labels, list(allowed)))
    if len(outside):
        row, column = outside[0].tolist()
        raise DataError(
            f"{where}: label {labels[row, column]} in row {row} (counted from 0)",
            f"a number is written as text, or with a digit in each column; {CONVENTIONS}",
        )
    seen = ", ".join(map(str, np.unique(labels).tolist()))
    raise DataError(f"{where} holds {seen}, which fits no way of writing digits", CONVENTIONS)


def read(labels: np.ndarray, chosen: Convention) -> np.ndarray:
    """Labels int64 (N, L), which fit the convention, as digits 0-9 padded with `BLANK`."""
    digits = _digits(labels, chosen)
    assert digits is not None  # it was chosen because it fits
    return digits


def _candidates(columns: int) -> Iterator[Convention]:
    if columns > 1:
        yield from (Convention(0, counted=True), Convention(10, counted=True))
    yield Convention(0)
    if columns > 1:
        yield from (Convention(0, 10), Convention(0, -1), Convention(10, -1), Convention(10, 0))
    yield Convention(10)


def _digits(labels: np.ndarray, chosen: Convention) -> np.ndarray | None:
    """The labels as digits 0-9 padded with `BLANK`; None where one contradicts the convention."""
    if chosen.counted:
        lengths, labels = labels[:, :1], labels[:, 1:]
        empty = np.arange(labels.shape[1]) >= lengths
        if (lengths < 1).any() or (lengths > labels.shape[1]).any() or len(np.unique(labels[empty])) > 1:
            return None
    else:
        empty = np.zeros(labels.shape, bool) if chosen.pad is None else labels == chosen.pad
        if empty[:, 0].any() or (empty[:, :-1] & ~empty[:, 1:]).any():
            return None
    known = range(10) if chosen.zero == 0 else range(1, 11)
    if not np.isin(labels[~empty], list(known)).all():
        return None
    return np.where(empty, BLANK, np.where(labels == chosen.zero, 0, labels))
