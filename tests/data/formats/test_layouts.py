"""Rendered data sets on disk: each layout as other software reads it, written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import REAL, shared_cache
from forked import Forked
from killed import before_every_step
from PIL import Image
from scipy.io import loadmat

from svhncli.cli import main as cli
from svhncli.core.errors import DataError, UsageError
from svhncli.data.formats import digit_struct, requested_labels
from svhncli.data.formats.layouts import RenderSettings, write
from svhncli.data.formats.requested_labels import RequestedLabels
from svhncli.data.render.renderer import photographs, render
from svhncli.data.render.world import STREET

pytestmark = pytest.mark.engine

needs_real = pytest.mark.skipif(
    not (REAL / "full_numbers_mini").is_dir(), reason=f"no real numbers at {REAL} (set SVHN_TEST_DATA)"
)

ROWS: list[requested_labels.ImageLabel] = [
    ("b.png", (0, 5), np.array([[10.0, 5, 20, 25], [22, 5.5, 31, 25]])),
    ("a.png", (7,), np.array([[4.0, 3, 14, 30]])),
    ("c.png", (1, 0, 0), np.array([[10.0, 4, 10, 20], [12, 4, 20, 20], [-3, 4, 40, 20]])),
    ("d.png", (3, 9), np.array([[1.0, 2, 3, 4], [3, 2, 5, 4]])),
    ("e.png", (0,), np.array([[4.0, 30, 14, 3]])),
]
DigitStruct = dict[str, tuple[list[int], list[list[float]]]]


def render_settings(**changes: object) -> RenderSettings:
    return RenderSettings(
        **{"seed": 0, "size": 32, "spec": STREET, "cache": shared_cache(), "workers": 1, **changes}
    )


def read_digit_struct(path: Path) -> DigitStruct:
    """Names, labels as in the file, and left, top, width, height; read by MATLAB's rules."""
    with h5py.File(path) as file:

        def values(data: h5py.Dataset) -> list[float]:
            cells = data[()].ravel()
            return [float(file[cell][0, 0]) for cell in cells] if data.dtype == h5py.ref_dtype else [*cells]

        struct = file["digitStruct"]
        labels = {}
        for name, bbox in zip(struct["name"][:, 0], struct["bbox"][:, 0], strict=True):
            fields = {
                field: values(file[bbox][field]) for field in ("label", "left", "top", "width", "height")
            }
            columns = [fields[field] for field in ("left", "top", "width", "height")]
            image_name = "".join(map(chr, file[name][()].ravel()))
            labels[image_name] = (
                [int(v) for v in fields["label"]],
                [list(row) for row in zip(*columns, strict=True)],
            )
        return labels


def drawn(count: int, part: str) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    rendered = photographs(count, seed=0, part=part, cache=shared_cache(), workers=1)
    return [(photo.image, photo.label) for photo in rendered]


def test_scipy_reads_the_built_in_images_from_the_mat_layout(tmp_path: Path) -> None:
    written = write("mat", tmp_path / "new" / "out", {"train": 40, "test": 20}, render_settings())
    assert written == [tmp_path / "new" / "out" / f"{part}_32x32.mat" for part in ("train", "test")]
    for path, count in zip(written, (40, 20), strict=True):
        images, labels = np.empty((count, 3, 32, 32), np.uint8), np.empty((count, 1), np.int64)
        part = path.name.split("_")[0]
        render(images, labels, np.empty(count, np.int64), seed=0, part=part, cache=shared_cache(), workers=1)
        content = loadmat(path)
        np.testing.assert_array_equal(content["X"], images.transpose(2, 3, 1, 0))
        assert content["X"].dtype == np.uint8
        np.testing.assert_array_equal(content["y"] % 10, labels)
        assert set(content["y"].ravel()) <= set(range(1, 11))


def test_the_folder_layout_has_every_crop_in_its_class_folder(tmp_path: Path) -> None:
    write("folder", tmp_path / "out", {"train": 60, "test": 5}, render_settings(size=24))
    images, labels = np.empty((60, 3, 24, 24), np.uint8), np.empty((60, 1), np.int64)
    render(images, labels, np.empty(60, np.int64), seed=0, part="train", cache=shared_cache(), workers=1)
    assert sorted(path.name for path in (tmp_path / "out" / "train").iterdir()) == list("0123456789")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 65
    for index, (image, label) in enumerate(zip(images, labels[:, 0], strict=True)):
        saved = Image.open(tmp_path / "out" / "train" / str(label) / f"{index:06d}.png")
        np.testing.assert_array_equal(np.asarray(saved), image.transpose(1, 2, 0))


def test_mchar_has_a_json_for_train_and_val_and_none_for_test(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write("mchar", out, {"train": 12, "val": 4, "test": 3}, render_settings())
    assert sorted(path.name for path in out.iterdir()) == [
        "mchar_test_a", "mchar_train", "mchar_train.json", "mchar_val", "mchar_val.json"
    ]  # fmt: skip
    for part, count in (("train", 12), ("val", 4)):
        labels = json.loads((out / f"mchar_{part}.json").read_text())
        assert list(labels) == [f"{i:06d}.png" for i in range(count)]
        for (name, entry), (image, label) in zip(labels.items(), drawn(count, part), strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(out / f"mchar_{part}" / name)), image)
            assert entry["label"] == list(label)
            assert list(entry) == ["height", "label", "left", "top", "width"]
            assert all(isinstance(value, int) for column in entry.values() for value in column)
            right = np.add(entry["left"], entry["width"])
            assert (right <= image.shape[1]).all()
            assert min(entry["width"] + entry["height"]) >= 1
    assert len(list((out / "mchar_test_a").iterdir())) == 3


def test_svhn_full_numbers_its_images_from_1(tmp_path: Path) -> None:
    write("svhn_full", tmp_path / "out", {"train": 7, "test": 2}, render_settings())
    labels = read_digit_struct(tmp_path / "out" / "train" / "digitStruct.mat")
    assert list(labels) == [f"{i + 1}.png" for i in range(7)]
    for (name, (label, _)), (image, true) in zip(labels.items(), drawn(7, "train"), strict=True):
        assert [digit % 10 for digit in label] == list(true)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "train" / name)), image)


def test_digit_struct_keeps_names_digits_and_boxes(tmp_path: Path) -> None:
    digit_struct.write(tmp_path / "digitStruct.mat", ROWS)
    labels = read_digit_struct(tmp_path / "digitStruct.mat")
    assert list(labels) == [name for name, _, _ in ROWS]
    for name, label, boxes in ROWS:
        assert labels[name][0] == [10 if digit == 0 else digit for digit in label]
        ends = np.array(labels[name][1])
        np.testing.assert_array_equal(np.hstack([ends[:, :2], ends[:, :2] + ends[:, 2:]]), boxes)
    head = (tmp_path / "digitStruct.mat").read_bytes()[:128]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head.endswith(b"\x00\x02IM")


def shape(node: h5py.HLObject, file: h5py.File) -> object:
    """The structure of a struct, following its references: kinds, ranks and MATLAB's attributes."""
    kind = node.attrs.get("MATLAB_class")
    if isinstance(node, h5py.Group):
        fields = [b"".join(field).decode() for field in node.attrs["MATLAB_fields"]]
        return kind, fields, {name: shape(node[name], file) for name in fields}
    if node.dtype == h5py.ref_dtype:
        return "references", node.ndim, node.shape[1], shape(file[node[0, 0]], file)
    return kind, node.dtype, node.ndim, node.attrs.get("MATLAB_int_decode")


@needs_real
def test_digit_struct_is_structured_like_the_official_file(tmp_path: Path) -> None:
    digit_struct.write(tmp_path / "own.mat", ROWS)
    official = REAL / "full_numbers_mini" / "train" / "digitStruct.mat"
    with h5py.File(tmp_path / "own.mat") as own, h5py.File(official) as other:
        assert own.userblock_size == other.userblock_size
        assert shape(own["digitStruct"], own) == shape(other["digitStruct"], other)


@pytest.mark.parametrize("label_format", ["mchar", "svhn_full"])
@pytest.mark.parametrize("layout", ["mchar", "svhn_full"])
def test_images_are_drawn_for_the_labels_of_either_file(
    tmp_path: Path, label_format: str, layout: str
) -> None:
    """A label file of the layout itself is copied with its names; from another, digits and boxes are kept."""
    file = tmp_path / "given"
    file.write_bytes(b"the very same")
    out = tmp_path / "out"
    write(layout, out, {"train": RequestedLabels(file, label_format, ROWS)}, render_settings())
    folder = out / ("mchar_train" if layout == "mchar" else "train")
    target = out / "mchar_train.json" if layout == "mchar" else folder / "digitStruct.mat"
    images = {path.name for path in folder.glob("*.png")}
    if label_format == layout:
        assert target.read_bytes() == b"the very same"
        assert images == {name for name, _, _ in ROWS}
    elif layout == "mchar":
        entries = list(json.loads(target.read_text()).values())
        assert [tuple(entry["label"]) for entry in entries] == [label for _, label, _ in ROWS]
        assert entries[0] == {
            "height": [20, 19.5], "label": [0, 5], "left": [10, 22], "top": [5, 5.5], "width": [10, 9]
        }  # fmt: skip
        assert images == {f"{i:06d}.png" for i in range(len(ROWS))}
    else:
        assert next(iter(read_digit_struct(target).values()))[0] == [10, 5]
        assert images == {f"{i + 1}.png" for i in range(len(ROWS))}


@pytest.mark.full
def test_several_processes_write_the_same_files(tmp_path: Path) -> None:
    for workers in (1, 2):
        write("mchar", tmp_path / str(workers), {"train": 150}, render_settings(workers=workers))
    serial, parallel = (sorted((tmp_path / name).rglob("*.*")) for name in "12")
    assert len(serial) == 151
    assert [path.read_bytes() for path in serial] == [path.read_bytes() for path in parallel]


# Written whole or not at all


def test_a_part_is_added_to_others_but_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write("mchar", out, {"val": 2}, render_settings())
    write("mchar", out, {"train": 2}, render_settings())
    before = sorted(out.rglob("*"))
    with pytest.raises(UsageError, match="mchar_val' already exists"):
        write("mchar", out, {"val": 2}, render_settings())
    assert sorted(out.rglob("*")) == before


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        write("mat", tmp_path, {"train": 5, "test": 5}, render_settings())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int | None) -> None:
        if stage == "render val":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("mchar", tmp_path / "out", {"train": 3, "val": 3, "test": 3}, render_settings(), interrupt)
    assert not list(tmp_path.iterdir())


@pytest.mark.e2e
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_leftovers_of_a_killed_write_are_removed_by_the_next(
    tmp_path: Path, spawn: Callable[..., Forked]
) -> None:
    args = ("render", "layout=mchar", f"out={tmp_path / 'out'}", "part=train")
    process = spawn(*args, "data.n_train=100000")
    assert process.stderr is not None
    assert process.stderr.readline() == "render train ...\n"
    while not list(tmp_path.glob(".writing-*/mchar_train/*.png")):
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".writing-")
    assert list((leftover / "mchar_train").glob("*.png"))
    write("mchar", tmp_path / "out", {"train": 2}, render_settings())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="file' is a file"):
        write("mat", tmp_path / out, {"train": 5}, render_settings())


# Requests


@pytest.mark.parametrize(
    ("layout", "parts", "size", "message"),
    [
        ("mat", {"val": 5}, 32, "no part 'val'"),
        ("mat", {"train": 5}, 24, "32 x 32"),
        ("folder", {"train": RequestedLabels(Path("x.json"), "mchar", ROWS)}, 32, "single digits"),
    ],
)
def test_parts_sizes_and_labels_that_a_layout_does_not_support_are_refused(
    tmp_path: Path, layout: str, parts: dict[str, int | RequestedLabels], size: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write(layout, tmp_path / "out", parts, render_settings(size=size))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "part"),
    [("mchar_train.json", "train"), ("my_val.json", "val"), ("a/test/digitStruct.mat", "test")],
)
def test_the_part_of_a_label_file_follows_from_its_name(file: str, part: str) -> None:
    assert requested_labels.part_of(Path(file)) == part


def test_a_label_file_whose_name_does_not_contain_its_part_is_refused() -> None:
    with pytest.raises(UsageError, match="which part"):
        requested_labels.part_of(Path("labels.json"))


def entry(**changes: object) -> dict[str, object]:
    return {"height": [20], "label": [5], "left": [4], "top": [3], "width": [10], **changes}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("../a.png", {}, "not a valid file name"),
        ("a.jpg", {}, "not the name of a PNG"),
        ("a.png", {"left": [90_000]}, "wide and high"),
    ],
)
def test_labels_that_cannot_be_drawn_are_refused_with_the_image_name(
    tmp_path: Path, name: str, changes: dict[str, object], message: str
) -> None:
    (tmp_path / "mchar_train.json").write_text(json.dumps({name: entry(**changes)}))
    with pytest.raises(DataError, match=message) as caught:
        requested_labels.read(tmp_path / "mchar_train.json")
    assert name in caught.value.message


def test_the_command_draws_the_labels_of_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = json.dumps({"000003.png": entry(), "000001.png": entry(label=[0], left=[6.0])})
    Path("mchar_val.json").write_text(text)
    assert cli.main(["render", "layout=mchar", "labels=mchar_val.json", "out=there", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": ["there/mchar_val", "there/mchar_val.json"]}
    assert Path("there/mchar_val.json").read_text() == text
    assert sorted(path.name for path in Path("there/mchar_val").iterdir()) == ["000001.png", "000003.png"]


def test_the_command_writes_all_parts(folder: Path) -> None:
    assert cli.main(["render", "layout=svhn_full", "out=there", "data.n_train=20", "data.n_test=0"]) == 0
    assert [path.name for path in Path("there").iterdir()] == ["train"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["labels=x.json"], 2, "for data sets"),
        (["part=train"], 2, "for data sets"),
        (["layout=mat", "sheet=true"], 2, "without a layout"),
        (["layout=mat", "part=val"], 2, "no part 'val'"),
        (["layout=mchar", "labels=x.csv", "part=val"], 2, "neither"),
        (["layout=mchar", "labels=x.json"], 2, "which part"),
        (["layout=mchar", "part=test", "data.n_test=0"], 2, "no images"),
        (["layout=tar"], 2, "must be none or mat"),
    ],
)
def test_conflicting_options_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    assert cli.main(["render", *args]) == code
    assert message in capsys.readouterr().err
    assert not list(folder.iterdir())


WORK = """
from svhncli.data.formats.layouts import _atomic_folder

def work(folder):
    with _atomic_folder(folder / "out", ["a", "b"]) as made:
        (made / "a").write_text("")
        (made / "b").write_text("")
"""


@pytest.mark.e2e
def test_a_kill_at_any_step_leaves_all_parts_or_none(tmp_path: Path) -> None:
    folders = before_every_step(WORK, ("os.rename", "os.rmdir", "os.remove", "os.mkdir"), tmp_path)
    made = {tuple(sorted(path.name for path in out.iterdir())) for out in tmp_path.glob("*/out")}
    assert len(folders) > 3
    assert made == {("a", "b")}
