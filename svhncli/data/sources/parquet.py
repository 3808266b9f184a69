"""The Parquet files of the Hugging Face Hub, whose copy of SVHN comes in no other form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from svhncli.core.errors import DataError
from svhncli.core.processes import each_apart
from svhncli.data.dataset import DataSet
from svhncli.data.formats import hub_parquet
from svhncli.data.formats.images import size
from svhncli.data.formats.part_names import PART, part_name
from svhncli.data.framing import Framing
from svhncli.data.house_numbers import inferred
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.nested import visible
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.sources.recognize import not_here
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

HUB = (
    "SVHN on the Hub: hf download ufldl-stanford/svhn --repo-type dataset --local-dir data/svhn-hub, and "
    "then data.root=data/svhn-hub/cropped_digits or …/full_numbers"
)
LARGEST = 64
"""Pixels of a side of the crops among which house numbers are looked for."""


def load(
    root: Path,
    framing: Framing,
    *,
    extra: str = "none",
    skip_broken: bool = False,
    blank: float = 0.0,
    test_only: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """Files such as `train-00000-of-00001.parquet` in a folder, or in its folders train, test, …

    The name of a file or of its folder says the part, or else it belongs to the training part; the columns
    are those of `hub_parquet`. Files of single digits hold no house ids, so the groups of small crops are
    inferred (`house_numbers`).

    root: the folder, or a file that is the training part alone.
    extra: "none"; "train" appends the extra part to the training part; "val" makes it the validation part.
    blank: as for `photograph_files.load`.
    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: there are no such files, one is damaged or lacks the columns, or an image is damaged.
        DiskError: the cache cannot be written.
        UsageError: pyarrow is not installed.
    """
    files, others = _files(root)
    if "train" not in files:
        raise not_here(f"there are no Parquet files of a training part in '{root}'", root, "parquet", HUB)
    if extra != "none" and "extra" not in files:
        raise DataError(f"'{root}' has no Parquet files of an extra part", "leave data.extra out")
    if extra != "none":
        files[extra] = [*files.get(extra, []), *files.pop("extra")]
    unread = [f"{path.name} (data.extra=train or val uses it)" for path in files.pop("extra", [])]
    if test_only and "test" in files:
        files = {"test": files["test"]}
    parts = {
        name: PhotographPart(tuple(paths), partial(_photographs, name, paths, progress))
        for name, paths in files.items()
    }
    return photograph_files.load(
        "parquet",
        parts,
        framing,
        skip_broken=skip_broken,
        blank=blank,
        unread=(*unread, *others),
        cache=cache,
        progress=progress,
    )


def _files(root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """The files of each part, and the names of whatever else lies in the folder."""
    if root.is_file():
        return {"train": [root]}, []
    files: dict[str, list[Path]] = {}
    others: list[str] = []
    for path in visible(root):
        inside = visible(path) if path.is_dir() and PART.search(path.name) else [path]
        parquet = [file for file in inside if file.suffix.lower() == ".parquet"]
        for file in parquet:
            files.setdefault(part_name(file.stem) or part_name(path.name) or "train", []).append(file)
        others += [str(file.relative_to(root)) for file in inside if file not in parquet]
    folders = [path.name for path in visible(root) if path.is_dir() and any(path.glob("**/*.parquet"))]
    if not files and folders:
        choose = " or ".join(f"data.root={root / name}" for name in folders)
        raise DataError(f"'{root}' holds several data sets: {', '.join(folders)}", f"choose one: {choose}")
    return files, others


def _photographs(part: str, paths: Sequence[Path], progress: Progress) -> list[PhotographFile]:
    photographs: dict[str, PhotographFile] = {}
    for path in paths:
        for content, name, digits, boxes in hub_parquet.read(path):
            label = f"{part}/{Path(name).name}"
            if not name or label in photographs:  # of the training and the extra part, for one
                label = f"{part}/{len(photographs)}"
            photographs[label] = PhotographFile(label, path, digits, boxes, content=content)
    return _grouped(list(photographs.values()), progress)


def _grouped(photographs: list[PhotographFile], progress: Progress) -> list[PhotographFile]:
    """Photographs with the house numbers of SVHN's crops as groups, where they may be such crops."""
    if any(len(photograph.label) > 1 or photograph.boxes for photograph in photographs):
        return photographs
    images: list[np.ndarray] = []
    for pixels in each_apart(_pixels, photographs):
        if not isinstance(pixels, np.ndarray):
            return photographs
        images.append(pixels)
        if pixels.shape != images[0].shape:
            return photographs
    labels = np.array([photograph.label for photograph in photographs])
    groups = inferred(np.stack(images).transpose(0, 3, 1, 2), labels, partial(progress, "find house numbers"))
    return [
        replace(photograph, group=str(group)) for photograph, group in zip(photographs, groups, strict=True)
    ]


def _pixels(photograph: PhotographFile) -> np.ndarray | None:
    """uint8 (H, W, 3); None for an image that is too large for a crop, or cannot be read."""
    try:
        is_small = max(size(photograph.source())) <= LARGEST
        return np.asarray(photograph.image()) if is_small else None
    except DataError:  # reported, or left out, when it is framed
        return None
