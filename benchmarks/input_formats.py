"""Small valid inputs of every format, and svhn's readers of them, for fuzz_inputs.py."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from svhncli.cli import main as cli
from svhncli.core.errors import DataError
from svhncli.data import inputs
from svhncli.data.dataset import DataSet
from svhncli.data.exclude import without
from svhncli.data.formats import cropped_mat, digit_struct, hub_parquet, mchar_json
from svhncli.data.framing import Framing
from svhncli.data.render import world
from svhncli.data.sources import arrays, folder, mchar, parquet, svhn, svhn_full
from svhncli.data.store.cache import Cache
from svhncli.evaluation import submission

COUNT, SIDE = 4, 16
DIGITS = [(7,), (1, 0), (3, 2, 9), (0, 0, 7)]
"""The numbers of the images: of each length, with zeros that lead."""
FRAMING, BOXED = Framing(8, 8), Framing(8, 8, "boxes", 0.1, 0.1)


@dataclass(frozen=True)
class Format:
    """make: writes an input into a folder; the file to damage. read: reads the folder, and returns all that
    was read. is_named: whether a message names the file, or what the file lists."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    is_named: Callable[[str, str], bool] = lambda message, file: file in message


def _all_of(data: DataSet) -> list[Any]:
    """Everything that a data set holds."""
    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    held = [[part.images, part.labels, part.groups, part.boxes, list(part.names)] for part in parts]
    return [[value if value is None else np.asarray(value).tolist() for value in part] for part in held]


def _images(folder: Path) -> list[np.ndarray]:
    """Images uint8 (3, SIDE, SIDE), drawn the same for every format; as PNG files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    pixels = [draw.integers(0, 256, (3, SIDE, SIDE), np.uint8) for _ in range(COUNT)]
    for place, image in enumerate(pixels, start=1):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"photo{place}.png")
    return pixels


def _labels() -> list[tuple[str, tuple[int, ...], np.ndarray]]:
    """Names, digits and their boxes, as label files list them."""
    return [
        (f"photo{place}.png", digits, np.array([(4.0 * k, 2, 4 * k + 4, 12) for k in range(len(digits))]))
        for place, digits in enumerate(DIGITS, start=1)
    ]


# ----------------------------------------------------------------------------- data sets


def _mat(data: Path) -> Path:
    images = np.stack(_images(data / "unused"))
    shutil.rmtree(data / "unused")
    cropped_mat.write(data / "train_32x32.mat", images, np.array([1, 0, 5, 9]))
    return data / "train_32x32.mat"


def _plain_mat(data: Path) -> Path:
    images = np.stack(_images(data / "unused"))
    shutil.rmtree(data / "unused")
    y = np.array([[1], [10], [5], [9]], np.uint8)
    savemat(data / "train_32x32.mat", {"X": images.transpose(2, 3, 1, 0), "y": y})
    return data / "train_32x32.mat"


def _hdf5(name: str, compression: str | None = None) -> Callable[[Path], Path]:
    def make(data: Path) -> Path:
        images = np.stack(_images(data / "unused"))
        shutil.rmtree(data / "unused")
        with h5py.File(data / name, "w", userblock_size=512 if name.endswith(".mat") else 0) as file:
            x = file.create_dataset("X", data=images, compression=compression)
            y = file.create_dataset("y", data=np.array([1, 0, 5, 9], np.uint8))
            if name.endswith(".mat"):
                x.attrs["MATLAB_class"] = y.attrs["MATLAB_class"] = np.bytes_("uint8")
        if name.endswith(".mat"):
            with (data / name).open("r+b") as begin:
                begin.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")
        return data / name

    return make


def _npz(save: Callable[..., None]) -> Callable[[Path], Path]:
    def make(data: Path) -> Path:
        images = np.stack(_images(data / "unused"))
        shutil.rmtree(data / "unused")
        save(data / "digits.npz", images=images, labels=np.array([1, 0, 5, 9]))
        return data / "digits.npz"

    return make


def _npy(data: Path) -> Path:
    images = np.stack(_images(data / "unused"))
    shutil.rmtree(data / "unused")
    np.save(data / "images.npy", images)
    np.save(data / "labels.npy", np.array(["7", "10", "329", "007"]))
    return data / "images.npy"


def _npy_labels(data: Path) -> Path:
    return _npy(data).with_name("labels.npy")


def _digit_struct(data: Path) -> Path:
    _images(data / "train")
    digit_struct.write(data / "train" / "digitStruct.mat", _labels())
    return data / "train" / "digitStruct.mat"


def _fields(digits: tuple[int, ...], boxes: np.ndarray) -> list[dict[str, float]]:
    return [
        {"label": digit, "left": left, "top": top, "width": right - left, "height": bottom - top}
        for digit, (left, top, right, bottom) in zip(digits, boxes.tolist(), strict=True)
    ]


def _digit_struct_5(data: Path) -> Path:
    _images(data / "train")
    kinds = [(field, "O") for field in ("height", "left", "top", "width", "label")]
    struct = np.empty((1, COUNT), [("name", "O"), ("bbox", "O")])
    for place, (name, digits, boxes) in enumerate(_labels()):
        rows = [
            tuple(float(box[field] or 10 if field == "label" else box[field]) for field, _ in kinds)
            for box in _fields(digits, boxes)
        ]
        struct[0, place] = name, np.array([rows], kinds)
    savemat(data / "train" / "digitStruct.mat", {"digitStruct": struct})
    return data / "train" / "digitStruct.mat"


def _digit_struct_json(data: Path) -> Path:
    _images(data / "train")
    entries = [{"filename": name, "boxes": _fields(digits, boxes)} for name, digits, boxes in _labels()]
    (data / "train" / "digitStruct.json").write_text(json.dumps(entries))
    return data / "train" / "digitStruct.json"


def _mchar(data: Path) -> Path:
    _images(data / "mchar_train")
    mchar_json.write(data / "mchar_train.json", _labels())
    return data / "mchar_train.json"


def _archive(kind: str) -> Callable[[Path], Path]:
    def make(data: Path) -> Path:
        _mchar(data)
        packed = data / f"mchar_train{kind}"
        if kind == ".zip":
            with zipfile.ZipFile(packed, "w") as file:
                for image in sorted((data / "mchar_train").iterdir()):
                    file.write(image, f"mchar_train/{image.name}")
        else:
            with tarfile.open(packed, "w:gz" if kind.endswith("gz") else "w") as file:
                file.add(data / "mchar_train", "mchar_train")
        shutil.rmtree(data / "mchar_train")
        return packed

    return make


def _unpacked(message: str, archive: str) -> bool:
    """Whether a message names an archive without checksums, or an image that came damaged out of it."""
    return archive in message or re.search(r"photo\d\.png': it is damaged", message) is not None


def _labels_csv(data: Path) -> Path:
    _images(data)
    rows = [f"{name},{''.join(map(str, digits))},house{len(digits)}" for name, digits, _ in _labels()]
    (data / "labels.csv").write_text("\n".join(["file,label,group", *rows]) + "\n")
    return data / "labels.csv"


def _metadata(name: str) -> Callable[[Path], Path]:
    def make(data: Path) -> Path:
        _images(data)
        rows = [(file, "".join(map(str, digits))) for file, digits, _ in _labels()]
        if name.endswith("csv"):
            text = "file_name,label\n" + "".join(f"{file},{label}\n" for file, label in rows)
        else:
            text = "".join(json.dumps({"file_name": f, "label": label}) + "\n" for f, label in rows)
        (data / name).write_text(text)
        return data / name

    return make


def _coco(data: Path) -> Path:
    _images(data)
    listed = list(enumerate(_labels(), start=1))
    content = {
        "images": [{"id": place, "file_name": name} for place, (name, _, _) in listed],
        "categories": [{"id": digit, "name": str(digit)} for digit in range(10)],
        "annotations": [
            {
                "image_id": place,
                "category_id": box["label"],
                "bbox": [box["left"], box["top"], box["width"], box["height"]],
            }
            for place, (_, digits, boxes) in listed
            for box in _fields(digits, boxes)
        ],
    }
    (data / "_annotations.coco.json").write_text(json.dumps(content))
    return data / "_annotations.coco.json"


def _yolo(data: Path) -> Path:
    _images(data / "images")
    (data / "labels").mkdir()
    for name, digits, boxes in _labels():
        lines = [
            f"{digit} {(left + right) / 2 / SIDE} {(top + bottom) / 2 / SIDE} {(right - left) / SIDE} "
            f"{(bottom - top) / SIDE}\n"
            for digit, (left, top, right, bottom) in zip(digits, boxes.tolist(), strict=True)
        ]
        (data / "labels" / name).with_suffix(".txt").write_text("".join(lines))
    (data / "data.yaml").write_text(f"nc: 10\nnames: {[str(digit) for digit in range(10)]}\n")
    return data / "labels" / "photo3.txt"


def _yolo_names(data: Path) -> Path:
    return _yolo(data).parent.with_name("data.yaml")


def _voc(data: Path) -> Path:
    _images(data)
    for name, digits, boxes in _labels():
        objects = "".join(
            f"<object><name>{digit}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object>"
            for digit, (left, top, right, bottom) in zip(digits, boxes.tolist(), strict=True)
        )
        (data / name).with_suffix(".xml").write_text(f"<annotation>{objects}</annotation>")
    return data / "photo3.xml"


def _parquet(data: Path) -> Path:
    _images(data / "unused")
    rows = [
        ((data / "unused" / name).read_bytes(), name, digits, tuple(map(tuple, boxes.tolist())))
        for name, digits, boxes in _labels()
    ]
    hub_parquet.write(data / "train-00000-of-00001.parquet", rows, boxed=True)
    shutil.rmtree(data / "unused")
    return data / "train-00000-of-00001.parquet"


def _encoded(suffix: str, **options: Any) -> Callable[[Path], Path]:
    """Class folders, of which one image is in another format."""

    def make(data: Path) -> Path:
        for digit, image in enumerate(_images(data / "unused")):
            (data / str(digit)).mkdir()
            Image.fromarray(image.transpose(1, 2, 0)).save(data / str(digit) / f"a{suffix}", **options)
        shutil.rmtree(data / "unused")
        return data / "2" / f"a{suffix}"

    return make


def _read_svhn(data: Path) -> Any:
    return _all_of(svhn.load(data, check_md5=False, cache=Cache(data.parent / "cache")))


def _read_full(data: Path) -> Any:
    return _all_of(svhn_full.load(data, BOXED, cache=Cache(data.parent / "cache")))


def _read_mchar(data: Path) -> Any:
    return _all_of(mchar.load(data, BOXED, cache=Cache(data.parent / "cache")))


def _read_folder(framing: Framing) -> Callable[[Path], Any]:
    return lambda data: _all_of(folder.load(data, framing, cache=Cache(data.parent / "cache")))


def _read_arrays(data: Path) -> Any:
    return _all_of(arrays.load(data, cache=Cache(data.parent / "cache")))


def _read_parquet(data: Path) -> Any:
    return _all_of(parquet.load(data, BOXED, cache=Cache(data.parent / "cache")))


# ----------------------------------------------------------------------------- what commands read


def _predicted(make: Callable[[Path], Path]) -> Format:
    """A file that `svhn predict` is given."""

    def read(data: Path) -> list[Any]:
        (file,) = [path for path in sorted(data.rglob("*")) if path.suffix in inputs.ARRAYS]
        return _stored([str(file)])

    return Format(make, read)


def _stored(files: Sequence[str]) -> list[Any]:
    stored = []
    for name, image in inputs.stored(files, FRAMING):
        if isinstance(image, DataError):
            raise image
        stored.append((name, image.tolist()))
    return stored


def _list(data: Path) -> Path:
    _images(data)
    (data / "list").write_text("".join(f"data/{name}\n" for name, _, _ in _labels()))
    return data / "list"


def _quoted(message: str, _: str) -> bool:
    """Whether a message names a file: the list itself has no name."""
    return "'" in message or "standard input" in message


def _read_list(data: Path) -> list[Any]:
    return _stored(inputs.find(["-"], io.BytesIO((data / "list").read_bytes())))


def _excluded(data: Path) -> Path:
    _labels_csv(data)
    (data / "exclude.txt").write_text(f"# too dark\n{data.name}/photo4.png\n".replace(data.name, "data"))
    return data / "exclude.txt"


def _read_excluded(data: Path) -> Any:
    loaded = folder.load(data, FRAMING, cache=Cache(data.parent / "cache"))
    return _all_of(without(loaded, data / "exclude.txt"))


def _submission(data: Path) -> Path:
    with (data / "submission.csv").open("w", newline="") as file:
        csv.writer(file).writerows([submission.HEADER, *((name, "07") for name, _, _ in _labels())])
    return data / "submission.csv"


def _read_submission(data: Path) -> None:
    submission.check(data / "submission.csv", [name for name, _, _ in _labels()])


def _config(data: Path) -> Path:
    (data / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /model: linear\nepochs: 7\nlr: 0.02\n"
    (data / "experiment" / "mine.yaml").write_text(text + "data:\n  seed: 3\nname: 'a: b'\n")
    return data / "experiment" / "mine.yaml"


def _read_config(data: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        cli.run(cli.parse(["train", "--cfg", "job", "--config-dir", str(data), "experiment=mine"]))
    return out.getvalue()


def _world(data: Path) -> Path:
    text = "number:\n  layout: {weights: {row: 3, climb: 1}}\nface:\n  stroke: [0.0, 0.1]\n"
    (data / "world.yaml").write_text(text + "balls: {chance: 0.5, size: [0.4, 0.9]}\n")
    return data / "world.yaml"


def _read_world(data: Path) -> str:
    return repr(world.load(world.Spec(data / "world.yaml")))


FORMATS = {
    "mat": Format(_mat, _read_svhn),
    "mat plain": Format(_plain_mat, _read_svhn),
    "mat 7.3": Format(_hdf5("train.mat"), _read_arrays),
    "hdf5": Format(_hdf5("train.h5"), _read_arrays),
    "hdf5 gzip": Format(_hdf5("train.h5", "gzip"), _read_arrays),
    "npz": Format(_npz(np.savez_compressed), _read_arrays),
    "npz plain": Format(_npz(np.savez), _read_arrays),
    "npy": Format(_npy, _read_arrays),
    "npy of text": Format(_npy_labels, _read_arrays),
    "digitStruct": Format(_digit_struct, _read_full),
    "digitStruct 5": Format(_digit_struct_5, _read_full),
    "digitStruct json": Format(_digit_struct_json, _read_full),
    "mchar": Format(_mchar, _read_mchar),
    "zip": Format(_archive(".zip"), _read_mchar),
    "tar": Format(_archive(".tar"), _read_mchar, _unpacked),
    "tar.gz": Format(_archive(".tar.gz"), _read_mchar),
    "labels.csv": Format(_labels_csv, _read_folder(FRAMING)),
    "metadata.csv": Format(_metadata("metadata.csv"), _read_folder(FRAMING)),
    "metadata.jsonl": Format(_metadata("metadata.jsonl"), _read_folder(FRAMING)),
    "coco": Format(_coco, _read_folder(BOXED)),
    "yolo": Format(_yolo, _read_folder(BOXED)),
    "yolo names": Format(
        _yolo_names, _read_folder(BOXED), lambda message, file: file in message or "has no name" in message
    ),
    "voc": Format(_voc, _read_folder(BOXED)),
    "parquet": Format(_parquet, _read_parquet),
    "png": Format(_encoded(".png"), _read_folder(FRAMING)),
    "jpeg": Format(_encoded(".jpg"), _read_folder(FRAMING)),
    "gif": Format(_encoded(".gif"), _read_folder(FRAMING)),
    "webp": Format(_encoded(".webp"), _read_folder(FRAMING)),
    "tiff": Format(_encoded(".tif", compression="tiff_lzw"), _read_folder(FRAMING)),
    "bmp": Format(_encoded(".bmp"), _read_folder(FRAMING)),
    "predict mat": _predicted(_plain_mat),
    "predict npy": _predicted(lambda data: _without_labels(_npy(data))),
    "predict hdf5": _predicted(_hdf5("train.h5")),
    "predict list": Format(
        _list, _read_list, lambda message, _: "'" in message or "standard input" in message
    ),
    "exclude list": Format(_excluded, _read_excluded),
    "submission": Format(_submission, _read_submission),
    "config": Format(_config, _read_config),
    "world": Format(_world, _read_world),
}


def _without_labels(images: Path) -> Path:
    images.with_name("labels.npy").unlink()
    return images
