"""Folders of a person's own images, in the layouts that data=folder reads, or refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from box_files import numbers, write_coco, write_voc, write_yolo
from folder_files import files, folder, image, images
from own_images import make_image

MINE = "data=folder data.root=mine"


def classes(folder: Path, kind: str, count: int = 2, names: Sequence[str] = tuple("0123456789")) -> None:
    """Folders with images whose names begin with `kind`."""
    images(folder, [f"{name}/{kind}{name}_{i}.png" for name in names for i in range(count)])


@folder
def folders_of_more_than_ten_classes(root: Path) -> str:
    classes(root, "m")
    classes(root, "x", 1, ("10", "07", "five", "NaN"))
    return MINE


@folder
def parts_in_capitals(root: Path) -> str:
    classes(root / "Train", "m")
    classes(root / "Valid", "v", 1)
    images(root / "TEST", [f"{i:04}.png" for i in range(5)])
    return MINE


@folder
def leftovers_of_macos_and_windows(root: Path) -> str:
    classes(root, "m")
    files(root, ".DS_Store", "3/.DS_Store", "3/._m3_0.png", "__MACOSX/mine/3/._m3_0.png")
    files(root, "Thumbs.db", "desktop.ini", "3/Thumbs.db", "4/desktop.ini")
    return MINE


@folder
def class_folders_deeper(root: Path) -> str:
    classes(root / "digits" / "train", "m")
    classes(root / "digits" / "test", "t", 1)
    files(root, "readme.txt")
    return MINE


@folder
def class_folders_two_deeper(root: Path) -> str:
    classes(root / "data" / "digits", "m")
    return MINE


@folder
def photographs_of_an_iphone(root: Path) -> str:
    classes(root, "m")
    files(root, *(f"{k % 10}/IMG_{k:04}.HEIC" for k in range(12)))
    return MINE


@folder
def images_of_one_color(root: Path) -> str:
    for k in range(20):
        make_image(root / str(k % 10) / f"{k}.png", 12 * k)
    return MINE


@folder
def deep_images(root: Path) -> str:
    for k in range(20):
        image(root / str(k % 10) / f"{k}.png", deep=True)
    return MINE


# ----------------------------------------------------------------------------- lists


def listed(root: Path, header: str = "file,label", row: str = "{i}.png,{label}", **how: Any) -> str:
    """A labels.csv of 20 images; how: its encoding and its ends of lines."""
    names = [f"{i}.png" for i in range(20)]
    images(root, names)
    rows = [row.format(i=i, label=i % 10, part=("train", "val")[i % 5 == 4], meter=i // 2) for i in range(20)]
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n", **how)
    return MINE


@folder
def labels_csv(root: Path) -> str:
    listed(root)
    image(root / "unlabeled.png")
    return "data=folder data.root=mine/labels.csv"


@folder
def labels_csv_of_german_excel(root: Path) -> str:
    return listed(root, "file;label", "{i}.png;{label}", encoding="utf-8-sig", newline="\r\n")


@folder
def labels_csv_as_unicode_text(root: Path) -> str:
    return listed(root, "file\tlabel", "{i}.png\t{label}", encoding="utf-16", newline="\r\n")


@folder
def labels_csv_of_pandas_floats(root: Path) -> str:
    return listed(root, row="{i}.png,{label}.0")


@folder
def labels_csv_with_a_misspelt_column(root: Path) -> str:
    return listed(root, "file,lable")


@folder
def labels_csv_of_windows(root: Path) -> str:
    images(root / "images", [f"{i}.png" for i in range(20)])
    rows = [f"images\\{i}.png,{i % 10}" for i in range(20)]
    (root / "labels.csv").write_text("\n".join(["file,label", *rows]), newline="\r\n")
    return MINE


@folder
def labels_csv_with_groups_and_parts(root: Path) -> str:
    return listed(root, "file,label,group,part", "{i}.png,{label},meter{meter},{part}")


@folder
def metadata_csv_of_the_hub(root: Path) -> str:
    for part in ("train", "test"):
        images(root / part, [f"{part}{i}.png" for i in range(20)])
        rows = [f"{part}{i}.png,{i % 10},clean" for i in range(20)]
        (root / part / "metadata.csv").write_text("\n".join(["file_name,label,quality", *rows]))
    files(root, "README.md")
    return MINE


@folder
def metadata_jsonl_of_the_hub(root: Path) -> str:
    images(root / "train", [f"{i}.png" for i in range(20)])
    rows = [json.dumps({"file_name": f"{i}.png", "label": i % 10}) for i in range(20)]
    (root / "train" / "metadata.jsonl").write_text("\n".join(rows))
    return MINE


# ----------------------------------------------------------------------------- labels in names


@folder
def labels_in_names(root: Path) -> str:
    images(root, [f"{i % 10}_dig{i}.jpg" for i in range(20)])
    return MINE


@folder
def labels_in_names_by_a_pattern(root: Path) -> str:
    images(root, [*(f"{i % 10}_dig{i}.jpg" for i in range(20)), "wall.jpg"])
    return r"data=folder data.root=mine data.label=^(\d)_"


@folder
def readings_of_a_dial(root: Path) -> str:
    images(root, [f"{i % 10}.{i // 2}/{i}.png" for i in range(20)])
    return MINE


@folder
def readings_of_a_dial_by_a_pattern(root: Path) -> str:
    images(root, [*(f"{i % 10}.{i // 2}/{i}.png" for i in range(20)), "NaN/x.png"])
    return r"data=folder data.root=mine data.label=^(\d)\.\d/"


# ----------------------------------------------------------------------------- boxes


@folder
def yolo_of_roboflow(root: Path) -> str:
    for seed, (part, count) in enumerate((("train", 20), ("valid", 4), ("test", 3))):
        labeled = numbers(root / part / "images", count, seed)
        write_yolo(root / part / "labels", root / part / "images", labeled)
    for file in (root / "test" / "labels").iterdir():
        file.write_text("")
    (root / "data.yaml").write_text(f"names: {list('3920184756')}\n")
    files(root, "README.roboflow.txt", "README.dataset.txt")
    return MINE


@folder
def yolo_of_ultralytics(root: Path) -> str:
    for seed, (part, count) in enumerate((("train", 20), ("val", 4))):
        labeled = numbers(root / "images" / part, count, seed)
        write_yolo(root / "labels" / part, root / "images" / part, labeled, tuple("0123456789"))
    files(root, "labels/train.cache", "yolov8n.pt")
    return MINE


@folder
def coco_of_roboflow(root: Path) -> str:
    for seed, (part, count) in enumerate((("train", 20), ("valid", 4))):
        labeled = numbers(root / part, count, seed)
        write_coco(root / part / "_annotations.coco.json", labeled[1:])
    return MINE


@folder
def coco_as_published(root: Path) -> str:
    for seed, (part, count) in enumerate((("train", 20), ("val", 4))):
        labeled = numbers(root / f"{part}2017", count, seed)
        write_coco(root / "annotations" / f"instances_{part}2017.json", labeled)
    return MINE


@folder
def voc_devkit(root: Path) -> str:
    top = root / "VOCdevkit" / "VOC2007"
    labeled = numbers(top / "JPEGImages", 20, 0)
    write_voc(top / "Annotations", labeled)
    (top / "ImageSets" / "Main").mkdir(parents=True)
    for part, rows in (("train", labeled[:14]), ("val", labeled[14:18])):
        lines = "\n".join(Path(name).stem for name, _, _ in rows)
        (top / "ImageSets" / "Main" / f"{part}.txt").write_text(lines)
    return MINE
