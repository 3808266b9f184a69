"""The street-character contest on Tianchi: whole numbers, their labels and boxes in JSON files."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import labels, photographs
from svhncli.data.formats.photographs import Part, Photograph
from svhncli.data.framing import Framing
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent


def load(
    root: Path, framing: Framing, *, skip_broken: bool = False, cache: Cache, progress: Progress = silent
) -> DataSet:
    """`mchar_train/` with `mchar_train.json`, and the same of `mchar_val`, where it is there, as `val`.

    The contest's test part, `mchar_test_a/`, has no labels: it is there to be predicted, not to be loaded.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache cannot be written.
    """
    parts = {"train": _part(root, "mchar_train")}
    if (root / "mchar_val.json").exists():
        parts["val"] = _part(root, "mchar_val")
    return photographs.load("mchar", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress)


def _part(root: Path, name: str) -> Part:
    file, folder = root / f"{name}.json", root / name
    if not file.is_file():
        raise DataError(
            f"there is no file '{os.path.abspath(file)}'",
            "data.root=FOLDER says where the contest's files are: mchar_train.json, mchar_train/, …",
        )
    if not folder.is_dir():
        raise DataError(
            f"there is no folder '{os.path.abspath(folder)}'", f"it holds the pictures of {name}.json"
        )

    def read() -> list[Photograph]:
        return [
            Photograph(f"{name}/{picture}", folder / picture, label, boxes)
            for picture, label, boxes in read_labels(file)
        ]

    return Part((file, folder), read)


def read_labels(path: Path) -> list[labels.Row]:
    """Name, digits and boxes (left, top, right, bottom in pixels) of every picture, in the file's order.

    Raises:
        DataError: the file cannot be read, is no strict JSON, or says other things than numbers and boxes.
    """
    try:
        content = json.loads(
            path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_refused
        )
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "look at its path") from error
    except RecursionError as error:
        raise DataError(f"'{path}' is nested too deeply", labels.HINT) from error
    except ValueError as error:  # of JSON, UTF-8, very long integers, and of ours
        raise DataError(f"'{path}' is no JSON of this contest: {error}", "get the file again") from error
    if not isinstance(content, dict):
        raise DataError(f"'{path}' holds no object", 'expected: {"000000.png": {"label": [1, 9], …}, …}')
    return [_row(path, name, values) for name, values in content.items()]


def _row(path: Path, name: str, values: Any) -> labels.Row:
    if not isinstance(values, dict) or not all(isinstance(field, list) for field in values.values()):
        raise DataError(f"'{path}', picture {name!r}: its labels are no lists", labels.HINT)
    return labels.row(path, name, values, range(10))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{double!r} stands there twice")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
