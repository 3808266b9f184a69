"""Small data sets of photographs on disk, in the layouts of the sources, and the leftovers in a cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

Row = tuple[str, tuple[int, ...], tuple[tuple[float, ...], ...]]


def rows(n: int, seed: int, longest: int = 3, width: int = 6) -> list[Row]:
    """Names, labels and boxes of n photographs."""
    draw = np.random.default_rng(seed)
    labels = []
    for i in range(n):
        length = int(draw.integers(1, longest + 1)) if i else longest
        left = draw.integers(2, 8) + 9 * np.arange(length)
        top, height = draw.integers(1, 8, length), draw.integers(9, 14, length)
        boxes = np.stack([left, top, left + 7, top + height], 1).astype(float)
        label = tuple(draw.integers(0, 10, length).tolist())
        labels.append((f"{i + 1:0{width}}.png", label, tuple(map(tuple, boxes.tolist()))))
    return labels


def write_images(folder: Path, labels: list[Row], seed: int) -> None:
    """A photograph for each row, of random size; the larger a digit, the brighter its box."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    for name, label, boxes in labels:
        pixels = draw.integers(0, 60, (int(draw.integers(24, 40)), int(draw.integers(40, 70)), 3))
        for digit, box in zip(label, boxes, strict=True):
            left, top, right, bottom = map(int, box)
            pixels[top:bottom, left:right] += 15 * (digit + 1)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)


def fields(label: tuple[int, ...], boxes: Any, zero: int = 0) -> dict[str, list[Any]]:
    left, top, right, bottom = np.array(boxes).T.tolist()
    return {
        "height": [b - t for t, b in zip(top, bottom, strict=True)],
        "label": [digit or zero for digit in label],
        "left": left,
        "top": top,
        "width": [r - x for x, r in zip(left, right, strict=True)],
    }


def write_mchar(root: Path, part: str, n: int, seed: int) -> list[Row]:
    """`mchar_{part}/` and its JSON, as distributed by the contest."""
    labels = rows(n, seed)
    write_images(root / f"mchar_{part}", labels, seed)
    content = {name: fields(label, boxes) for name, label, boxes in labels}
    (root / f"mchar_{part}.json").write_text(json.dumps(content))
    return labels


def write_svhn_full(root: Path, part: str, n: int, seed: int) -> list[Row]:
    """`{part}/` with PNGs and a digitStruct.mat."""
    labels = rows(n, seed, width=1)
    write_images(root / part, labels, seed)
    write_digit_struct(root / part / "digitStruct.mat", labels)
    return labels


def write_digit_struct(path: Path, labels: list[Row]) -> None:
    """The struct as MATLAB 7.3 writes it: fields hold a number for one digit, references for several."""
    with h5py.File(path, "w", userblock_size=512) as file:
        store = file.create_group("#refs#")

        def put(values: Any, kind: str) -> h5py.Reference:
            return store.create_dataset(str(len(store)), data=np.array(values, kind)).ref

        names, structs = [], []
        for name, label, boxes in labels:
            names.append(put([[ord(letter)] for letter in name], "u2"))
            struct = store.create_group(str(len(store)))
            for field, values in fields(label, boxes, zero=10).items():
                if len(values) == 1:
                    struct[field] = np.array([values], float)
                else:
                    struct.create_dataset(
                        field,
                        (len(values), 1),
                        h5py.ref_dtype,
                        data=column([put([[v]], "f8") for v in values]),
                    )
            structs.append(struct.ref)
        top = file.create_group("digitStruct")
        top.create_dataset("name", (len(labels), 1), h5py.ref_dtype, data=column(names))
        top.create_dataset("bbox", (len(labels), 1), h5py.ref_dtype, data=column(structs))


def column(references: list[h5py.Reference]) -> np.ndarray:
    array = np.empty((len(references), 1), h5py.ref_dtype)
    array[:, 0] = references
    return array


def assert_labels(digits: Any, expected: list[Row]) -> None:
    """The labels and boxes of a part match those that were written."""
    assert len(digits) == len(expected)
    for i, (name, label, boxes) in enumerate(expected):
        assert digits.names[i].rpartition("/")[2] == name
        length = len(label)
        assert digits.labels[i].tolist() == [*label, *[10] * (digits.labels.shape[1] - length)]
        assert (digits.boxes[i, :length] == np.array(boxes, np.float32)).all()
        assert np.isnan(digits.boxes[i, length:]).all()


def leftovers(cache: Path) -> list[str]:
    """Files and folders in a cache other than complete sets and locks."""
    if not cache.exists():
        return []
    return [
        path.name
        for path in cache.iterdir()
        if not path.name.endswith(".lock") and not (path / "meta.json").is_file()
    ]
