"""Images with boxes by YOLO, COCO and VOC, in the layouts in which tools leave them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from box_files import numbers, write_coco, write_voc, write_yolo
from own_images import load
from photo_files import Row
from PIL import Image

from svhncli.core.errors import DataError
from svhncli.data.digits import Digits
from svhncli.data.framing import Framing

YAML = "train: ../train/images\nnc: 10\nnames: ['3', '9', '2', '0', '1', '8', '4', '7', '5', '6']\n"
CROPPED = Framing(8, 8, "boxes", 0.1, 0.0)
SIZES = {"train": 5, "val": 3, "test": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def roboflow_yolo(root: Path) -> dict[str, tuple[str, list[Row]]]:
    (root / "data.yaml").write_text(YAML)
    made = {}
    for seed, (part, name) in enumerate((("train", "train"), ("val", "valid"), ("test", "test"))):
        labeled = numbers(root / name / "images", SIZES[part], seed)
        write_yolo(root / name / "labels", root / name / "images", labeled)
        made[part] = f"{name}/images", labeled
    return made


def ultralytics(root: Path) -> dict[str, tuple[str, list[Row]]]:
    (root / "data.yaml").write_text(YAML)
    made = {}
    for seed, part in enumerate(SIZES):
        labeled = numbers(root / "images" / part, SIZES[part], seed)
        write_yolo(root / "labels" / part, root / "images" / part, labeled)
        made[part] = f"mine/images/{part}", labeled
    return made


def plain_yolo(root: Path) -> dict[str, tuple[str, list[Row]]]:
    labeled = numbers(root / "images", 5, 0)
    write_yolo(root / "labels", root / "images", labeled)
    (root / "labels" / "classes.txt").write_text("\n".join("3920184756"))
    return {"train": ("mine/images", labeled)}


def darknet(root: Path) -> dict[str, tuple[str, list[Row]]]:
    labeled = numbers(root / "train", 5, 0)
    write_yolo(root / "train", root / "train", labeled, names=tuple("0123456789"))
    return {"train": ("train", labeled)}


def roboflow_coco(root: Path) -> dict[str, tuple[str, list[Row]]]:
    made = {}
    for seed, (part, name) in enumerate((("train", "train"), ("val", "valid"), ("test", "test"))):
        labeled = numbers(root / name, SIZES[part], seed)
        write_coco(root / name / "_annotations.coco.json", labeled)
        made[part] = name, labeled
    return made


def coco(root: Path, places: dict[str, str]) -> dict[str, tuple[str, list[Row]]]:
    made = {}
    for seed, (part, place) in enumerate(places.items()):
        labeled = [(f"{part}_{name}", *rest) for name, *rest in numbers(root / "new", SIZES[part], seed)]
        (root / place).mkdir(parents=True, exist_ok=True)
        for name, _, _ in labeled:
            (root / "new" / name.partition("_")[2]).rename(root / place / name)
        shutil.rmtree(root / "new")
        write_coco(root / "annotations" / f"instances_{part}2017.json", labeled)
        made[part] = f"mine/{place}", labeled
    return made


def roboflow_voc(root: Path) -> dict[str, tuple[str, list[Row]]]:
    made = {}
    for seed, (part, name) in enumerate((("train", "train"), ("val", "valid"), ("test", "test"))):
        labeled = numbers(root / name, SIZES[part], seed)
        write_voc(root / name, labeled)
        made[part] = name, labeled
    return made


def voc(root: Path, place: str) -> dict[str, tuple[str, list[Row]]]:
    top = root / place
    labeled = numbers(top / "JPEGImages", 10, 0)
    write_voc(top / "Annotations", labeled)
    (top / "ImageSets" / "Main").mkdir(parents=True)
    made, start = {}, 0
    for part, count in SIZES.items():
        made[part] = f"{top.name}/JPEGImages", labeled[start : start + count]
        stems = [Path(name).stem for name, _, _ in made[part][1]]
        (top / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{stem}  1\n" for stem in stems))
        start += count
    return made


def voc_without_sets(root: Path) -> dict[str, tuple[str, list[Row]]]:
    labeled = numbers(root / "images", 5, 0)
    write_voc(root / "annotations", labeled)
    return {"train": ("mine/images", labeled)}


Layout = Callable[[Path], dict[str, tuple[str, list[Row]]]]
LAYOUTS: dict[str, Layout] = {
    "YOLO by Roboflow": roboflow_yolo,
    "YOLO by Ultralytics": ultralytics,
    "YOLO in two folders": plain_yolo,
    "YOLO beside images": darknet,
    "COCO by Roboflow": roboflow_coco,
    "COCO with images in parts": lambda root: coco(root, {part: part for part in SIZES}),
    "COCO with parts in images": lambda root: coco(root, {part: f"images/{part}" for part in SIZES}),
    "COCO as published": lambda root: coco(root, {part: f"{part}2017" for part in SIZES}),
    "COCO with published parts in images": lambda root: coco(
        root, {part: f"images/{part}2017" for part in SIZES}
    ),
    "COCO with all images together": lambda root: coco(root, dict.fromkeys(SIZES, "images")),
    "VOC by Roboflow": roboflow_voc,
    "VOC": lambda root: voc(root, "."),
    "VOCdevkit": lambda root: voc(root, "VOCdevkit/VOC2007"),
    "VOC without sets": voc_without_sets,
}


def assert_part(part: Digits | None, place: str, labeled: Sequence[Row], folder: Path) -> None:
    """Pixels, names, labels and boxes are those that were written."""
    assert part is not None
    assert sorted(part.names) == sorted(f"{place}/{name}" for name, _, _ in labeled)
    by_name = dict(zip(part.names, range(len(part)), strict=True))
    for name, label, boxes in labeled:
        row = by_name[f"{place}/{name}"]
        length = len(label)
        assert part.labels[row].tolist() == [*label, *[10] * (part.labels.shape[1] - length)]
        np.testing.assert_allclose(part.boxes[row, :length], boxes, atol=1e-3)
        assert np.isnan(part.boxes[row, length:]).all()
        with Image.open(next(folder.rglob(name))) as image:
            expected = image.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(part.images[row], np.array(expected).transpose(2, 0, 1))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_layout_is_read_exactly(root: Path, layout: Layout) -> None:
    made = layout(root)
    data = load(root)
    parts = {"train": data.train, "val": data.val, "test": data.test}
    for part, digits in parts.items():
        if part in made:
            place, labeled = made[part]
            files = next((path for path in (root.parent / place, root / place) if path.is_dir()), root)
            assert_part(digits, place, labeled, files)
        else:
            assert digits is None
    assert data.unread == ()
    groups = np.concatenate([digits.groups for digits in parts.values() if digits is not None])
    assert len(np.unique(groups)) == sum(len(labeled) for _, labeled in made.values())
    if "test" in made:
        alone = load(root, test_only=True)
        assert (len(alone.train), list(alone.test.names)) == (0, list(data.test.names))


@pytest.mark.parametrize("layout", ["YOLO by Roboflow", "COCO by Roboflow", "VOC by Roboflow"])
def test_numbers_are_cropped_by_their_boxes(root: Path, layout: str) -> None:
    _, labeled = LAYOUTS[layout](root)["train"]
    data = load(root, CROPPED)
    for row, (name, _, boxes) in zip(data.train.images, sorted(labeled), strict=True):
        with Image.open(next((root / "train").rglob(name))) as image:
            expected = CROPPED.store(image.convert("RGB"), boxes)
        np.testing.assert_allclose(row.astype(int), expected.astype(int), atol=1)


def test_boxes_of_a_rotated_photograph_are_fractions_of_what_is_seen(root: Path) -> None:
    turned = Image.new("RGB", (40, 20))
    exif = turned.getexif()
    exif[0x0112] = 6
    (root / "images").mkdir()
    (root / "labels").mkdir()
    turned.save(root / "images" / "a.jpg", exif=exif)
    (root / "labels" / "a.txt").write_text("7 0.5 0.5 0.5 0.25\n")
    np.testing.assert_allclose(load(root).train.boxes[0], [[5, 15, 15, 25]])


def test_images_without_boxes_are_left_out_and_counted(root: Path) -> None:
    roboflow_yolo(root)
    labels = sorted((root / "train" / "labels").iterdir())
    labels[0].write_text("\n")
    labels[1].unlink()
    (root / "train" / "labels" / "zzz.txt").write_text("1 .5 .5 .5 .5\n")
    (root / "train" / "labels.cache").write_text("x")
    (root / "README.txt").write_text("x")
    data = load(root)
    assert len(data.train) == SIZES["train"] - 2
    assert data.unread == (
        "README.txt",
        "2 images without boxes, such as train/images/000001.png "
        "(data.backgrounds=true uses 1 of them, with empty labels)",
        "train/labels.cache",
        "train/labels/zzz.txt",
    )


def test_a_part_whose_images_have_no_boxes_is_no_part(root: Path) -> None:
    made = voc(root, ".")
    for name, _, _ in made["test"][1]:
        (root / "Annotations" / f"{Path(name).stem}.xml").unlink()
    data = load(root)
    assert (len(data.train), data.test) == (5, None)
    assert data.unread == ("2 images without boxes, such as JPEGImages/000009.png",)


def test_a_folder_with_empty_label_files_is_no_part(root: Path) -> None:
    roboflow_yolo(root)
    for part in ("valid", "test"):
        for file in (root / part / "labels").iterdir():
            file.write_text("")
    data = load(root)
    assert (len(data.train), data.val, data.test) == (SIZES["train"], None, None)
    assert data.unread == ("test (no labels)", "valid (no labels)")


def test_what_a_coco_file_does_not_list_is_named(root: Path) -> None:
    roboflow_coco(root)
    shutil.copy(root / "train" / "000001.png", root / "train" / "more.png")
    (root / "train" / "README.txt").write_text("x")
    assert load(root).unread == ("train/README.txt", "train/more.png")


def test_of_trainval_and_train_the_latter_counts(root: Path) -> None:
    voc(root, ".")
    sets = root / "ImageSets" / "Main"
    stems = sorted(path.stem for path in (root / "JPEGImages").iterdir())
    (sets / "trainval.txt").write_text("\n".join(stems[:8]))
    data = load(root)
    assert (len(data.train), data.unread) == (5, ("ImageSets/Main/trainval.txt",))
    (sets / "train.txt").unlink()
    (sets / "val.txt").unlink()
    data = load(root)
    assert (len(data.train), data.val, data.unread) == (8, None, ())


def test_new_boxes_are_seen(root: Path) -> None:
    plain_yolo(root)
    before = load(root)
    (root / "labels" / "000001.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    after = load(root)
    assert before.fingerprint != after.fingerprint
    assert after.train.labels[0, :2].tolist() == [3, 10]
    (root / "labels" / "classes.txt").write_text("\n".join("9320184756"))
    assert load(root).train.labels[0, 0] == 9


def test_groups_and_lists_go_with_boxes(root: Path) -> None:
    plain_yolo(root)
    data = load(root, group=r"^0000(\d\d)\.", test_fraction=0.4)
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (3, 2)
    (root / "labels.csv").write_text("file,label\nimages/000001.png,5\n")
    listed = load(root)
    assert (listed.train.labels.tolist(), np.isnan(listed.train.boxes).all()) == ([[5]], True)


def test_broken_images_are_left_out_if_asked_for(root: Path) -> None:
    plain_yolo(root)
    (root / "images" / "000001.png").write_bytes(b"x")
    with pytest.raises(DataError, match="000001"):
        load(root)
    assert len(load(root, CROPPED, skip_broken=True).train) == 4


def other_class(root: Path) -> None:
    plain_yolo(root)
    (root / "labels" / "classes.txt").write_text("\n".join([*"392018475", "10"]))
    (root / "labels" / "000002.txt").write_text("9 0.5 0.5 0.5 0.5\n")


def two_files(root: Path) -> None:
    coco(root, {"train": "train"})
    shutil.copy(
        root / "annotations" / "instances_train2017.json", root / "annotations" / "captions_train.json"
    )


def no_image(root: Path) -> None:
    voc(root, ".")
    (root / "ImageSets" / "Main" / "train.txt").write_text("000001\nnone\n")


def missing_image(root: Path) -> None:
    roboflow_coco(root)
    (root / "train" / "000001.png").unlink()


REFUSED = {
    "a class that is no digit": (other_class, "classes.txt'): class '10' is not a digit"),
    "two COCO files": (two_files, "two files of the train part: captions_train.json and instances_train2017"),
    "no such image": (no_image, "train.txt' lists 'none', but '"),
    "a missing image": (missing_image, "train/000001.png': No such file"),
}


@pytest.mark.parametrize(("spoil", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_boxes_are_one_data_error(root: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(root)
    with pytest.raises(DataError) as caught:
        load(root)
    assert message in caught.value.message
    assert str(root) in caught.value.message
    assert caught.value.hint


# ----------------------------------------------------------------------------- data.root is a file


LISTS = {
    "labels.csv": "file,label\n000001.png,5\n",
    "metadata.csv": "file_name,label\n000001.png,5\n",
    "metadata.jsonl": '{"file_name": "000001.png", "label": 5}\n',
}


@pytest.mark.parametrize(("name", "content"), LISTS.items())
def test_a_list_stands_for_its_folder(root: Path, name: str, content: str) -> None:
    numbers(root, 2, 0)
    (root / name).write_text(content)
    data = load(root / name)
    assert (list(data.train.names), data.train.labels.tolist()) == (["mine/000001.png"], [[5]])
    assert data.unread == ("000002.png",)


def test_files_of_yolo_and_coco_stand_for_their_folders(root: Path) -> None:
    roboflow_yolo(root)
    assert load(root / "data.yaml").fingerprint == load(root).fingerprint
    shutil.rmtree(root)
    roboflow_coco(root)
    assert len(load(root / "valid" / "_annotations.coco.json").train) == SIZES["val"]


@pytest.mark.parametrize("name", ["photos.zip", "mine.csv", "000001.png"])
def test_another_file_is_refused_with_what_would_do(root: Path, name: str) -> None:
    (root / name).write_bytes(b"x")
    with pytest.raises(DataError, match=f"{name}' is a file, and none that labels") as caught:
        load(root / name)
    assert "labels.csv" in caught.value.hint
