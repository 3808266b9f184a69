"""Which arrays are the images and labels of a part: their shapes decide, then their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.data.formats import array_images, array_labels
from svhncli.data.formats.array_file import StoredArray, arrays_in
from svhncli.data.formats.part_names import PART, part_name

IMAGES = {"x", "image", "images", "img", "imgs", "data", "pixels", "photos"}
LABELS = {
    "y",
    "label",
    "labels",
    "target",
    "targets",
    "digit",
    "digits",
    "class",
    "classes",
    "number",
    "numbers",
}
GROUPS = {"group", "groups"}


@dataclass(frozen=True)
class Pair:
    """Images and their labels. axes: of the images, see `array_images.ORDERS`. groups: images with the same
    value are never on both sides of a split."""

    images: StoredArray
    labels: StoredArray
    axes: str
    groups: StoredArray | None = None


def choose(arrays: Sequence[StoredArray], part: str, images: str | None, labels: str | None) -> Pair | None:
    """The images and labels among the arrays of a part; None if a held-out part has no labels.

    images, labels: words in the names of the arrays to use.

    Raises:
        DataError: no arrays are images and labels, or several are.
    """
    labeled = [array for array in arrays if _may_label(array) and _named(array, labels)]
    pairs = [
        Pair(array, digits, axes)
        for digits in labeled
        for array in arrays
        if array.dtype.kind in "buif" and array is not digits and _named(array, images)
        if (axes := array_images.order(array.shape, _count(digits))) is not None
    ]
    if len({pair.images for pair in pairs}) > 1:
        pairs = [pair for pair in pairs if _words(pair.images) & IMAGES] or pairs
    if len({pair.labels for pair in pairs}) > 1:
        pairs = [pair for pair in pairs if _words(pair.labels) & LABELS] or pairs
    if len(pairs) == 1:
        (pair,) = pairs
        grouped = [a for a in arrays if _words(a) & GROUPS and a.shape == (_count(pair.labels),)]
        return Pair(pair.images, pair.labels, pair.axes, grouped[0] if grouped else None)
    if part != "train" and not any(_words(array) & LABELS for array in labeled):
        return None
    raise _unclear(arrays, part, pairs, images, labels)


def unlabeled(path: Path) -> tuple[StoredArray, str]:
    """The only array of images in a file, or the only one of its test part, and the order of its axes.

    Raises:
        DataError: there is none, or there are several; or the file is damaged.
    """
    arrays = arrays_in(path)
    images = {
        array: axes
        for array in arrays
        if array.dtype.kind in "buif" and (axes := array_images.likely_order(array.shape)) is not None
    }
    chosen = images if len(images) == 1 else {a: x for a, x in images.items() if part_name(a.name) == "test"}
    if len(chosen) == 1:
        return next(iter(chosen.items()))
    raise DataError(
        f"{'several arrays' if images else 'no arrays'} in '{path}' are images: it holds "
        f"{', '.join(map(str, arrays)) or 'no arrays'}",
        "save the images in a file of their own: np.save(…, images)",
    )


def _unclear(
    arrays: Sequence[StoredArray], part: str, pairs: Sequence[Pair], images: str | None, labels: str | None
) -> DataError:
    which = "several arrays may be" if pairs else "no arrays are"
    words = [f"{key}={word}" for key, word in (("data.images", images), ("data.labels", labels)) if word]
    by_name = f" by {' and '.join(words)}" if words else ""
    shapes = f"images have the axes {', '.join(array_images.ORDERS)} (N images, C is 1 or 3), and N labels"
    held: dict[Path, list[str]] = {}
    for array in arrays:
        held.setdefault(array.file, []).append(str(array))
    found = "; ".join(f"'{file}' holds {', '.join(texts)}" for file, texts in held.items())
    return DataError(
        f"{which} the images and labels of the {part} part{by_name}: {found}",
        f"name them, such as data.images={pairs[0].images.name} data.labels={pairs[0].labels.name}"
        if pairs
        else f"{shapes}; {array_labels.CONVENTIONS}",
    )


def _may_label(array: StoredArray) -> bool:
    return (
        array.dtype.kind in "buifUS"
        and array_labels.label_shape(array.shape) is not None
        and not _words(array) & GROUPS
    )


def _count(labels: StoredArray) -> int:
    count = array_labels.label_shape(labels.shape)
    assert count is not None  # it may label
    return count


def _words(array: StoredArray) -> set[str]:
    """The words of an array's name, without that of its part."""
    return set(filter(None, re.split(r"[^a-z]+", PART.sub("_", array.name).lower())))


def _named(array: StoredArray, word: str | None) -> bool:
    name = array.name.lower()
    return word is None or word.lower() in {name, *re.split(r"[^a-z0-9]+", name)}
