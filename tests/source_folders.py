"""Folders of published data sets and of arrays, as downloads and other tools leave them."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow
from folder_files import files, folder, images
from mat_files import make_images
from mat_files import write as write_mat
from photo_files import fields, write_mchar, write_svhn_full
from PIL import Image
from pyarrow import parquet

# ----------------------------------------------------------------------------- mchar and svhn_full


@folder
def mchar(root: Path) -> str:
    write_mchar(root, "train", 20, 0)
    write_mchar(root, "val", 5, 1)
    images(root / "mchar_test_a", [f"{i:06}.png" for i in range(5)])
    files(root, "mchar_sample_submit_A.csv", "notes.docx")
    return "data=mchar data.root=mine"


@folder
def mchar_with_each_archive_in_its_folder(root: Path) -> str:
    for seed, part in enumerate(("train", "val")):
        write_mchar(root / "new", part, 20, seed)
        (root / f"mchar_{part}").mkdir()
        shutil.move(root / "new" / f"mchar_{part}", root / f"mchar_{part}")
        shutil.move(root / "new" / f"mchar_{part}.json", root)
    shutil.rmtree(root / "new")
    return "data=mchar data.root=mine"


@folder
def mchar_in_zips(root: Path) -> str:
    for seed, part in enumerate(("train", "val")):
        write_mchar(root, part, 20, seed)
        shutil.make_archive(str(root / f"mchar_{part}"), "zip", root, f"mchar_{part}")
        shutil.rmtree(root / f"mchar_{part}")
    return "data=mchar data.root=mine"


@folder
def mchar_without_the_labels_of_val(root: Path) -> str:
    write_mchar(root, "train", 20, 0)
    images(root / "mchar_val", [f"{i:06}.png" for i in range(5)])
    return "data=mchar data.root=mine"


@folder
def mchar_with_the_labels_of_val_for_train(root: Path) -> str:
    labeled = write_mchar(root, "train", 20, 0)
    others = {name: fields(label, np.add(boxes, 40)) for name, label, boxes in labeled[:15]}
    (root / "mchar_train.json").write_text(json.dumps(others))
    return "data=mchar data.root=mine"


@folder
def mchar_with_the_root_one_level_too_deep(root: Path) -> str:
    write_mchar(root, "train", 20, 0)
    return "data=mchar data.root=mine/mchar_train"


@folder
def svhn_full(root: Path) -> str:
    write_svhn_full(root, "train", 20, 0)
    write_svhn_full(root, "test", 5, 1)
    write_svhn_full(root, "extra", 5, 2)
    images(root / "train", ["900.png", "901.png"])
    return "data=svhn_full data.root=mine data.download=false"


@folder
def svhn_full_in_json_and_an_archive(root: Path) -> str:
    labeled = write_svhn_full(root, "train", 20, 0)
    (root / "train" / "digitStruct.mat").unlink()
    content = [
        {
            "filename": name,
            "boxes": [
                {"label": digit or 10, "left": x, "top": y, "width": right - x, "height": bottom - y}
                for digit, (x, y, right, bottom) in zip(label, boxes, strict=True)
            ],
        }
        for name, label, boxes in labeled
    ]
    (root / "train" / "digitStruct.json").write_text(json.dumps(content))
    with tarfile.open(root / "train.tar.gz", "w:gz") as archive:
        archive.add(root / "train", "train")
    shutil.rmtree(root / "train")
    return "data=svhn_full data.root=mine data.download=false"


@folder
def svhn_full_without_label_files(root: Path) -> str:
    images(root / "train", [f"{i}.png" for i in range(1, 6)])
    return "data=svhn_full data.root=mine data.download=false"


@folder
def svhn_full_of_a_text_file(root: Path) -> str:
    files(root, "notes.txt")
    return "data=svhn_full data.root=mine/notes.txt"


# ----------------------------------------------------------------------------- .mat and arrays


@folder
def svhn_mat(root: Path) -> str:
    for part, count in (("train", 30), ("test", 10), ("extra", 10)):
        write_mat(root / f"{part}_32x32.mat", *make_images(part, count, 32))
    files(root, "README.txt")
    return "data=svhn data.root=mine data.check_md5=false"


@folder
def svhn_mat_of_ones_own(root: Path) -> str:
    for part, count in (("train", 30), ("test", 10)):
        write_mat(root / f"{part}_32x32.mat", *make_images(part, count, 32))
    return "data=svhn data.root=mine"


@folder
def svhn_mat_in_gray(root: Path) -> str:
    x, y = make_images("train", 30, 32)
    write_mat(root / "train_32x32.mat", x[:, :, 0], y)
    return "data=svhn data.root=mine data.check_md5=false"


@folder
def svhn_mat_by_another_name(root: Path) -> str:
    write_mat(root / "digits.mat", *make_images("train", 30, 32))
    return "data=svhn data.root=mine/digits.mat"


@folder
def svhn_mat_by_another_name_in_a_folder(root: Path) -> str:
    write_mat(root / "digits.mat", *make_images("train", 30, 32))
    return "data=svhn data.root=mine data.check_md5=false"


@folder
def svhn_mat_of_matlab_7(root: Path) -> str:
    root.mkdir()
    x, y = make_images("train", 30, 32)
    with h5py.File(root / "train_32x32.mat", "w", userblock_size=512) as file:
        for name, values in (("X", x), ("y", y)):
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("uint8")
    with (root / "train_32x32.mat").open("r+b") as begin:
        begin.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")
    return "data=svhn data.root=mine data.check_md5=false"


def arrays(kind: str, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 3) and digits (N,) in which all occur."""
    return make_images(kind, count, 32)[0].transpose(3, 0, 1, 2), np.arange(count) % 10


@folder
def arrays_in_npz(root: Path) -> str:
    root.mkdir()
    (x, y), (test_x, test_y) = arrays("train"), arrays("test", 10)
    np.savez(root / "digits.npz", x_train=x, y_train=y, x_test=test_x, y_test=test_y)
    return "data=arrays data.root=mine/digits.npz"


@folder
def arrays_in_npy_pairs(root: Path) -> str:
    root.mkdir()
    for part in ("train", "val"):
        for name, values in zip("Xy", arrays(part), strict=True):
            np.save(root / f"{name}_{part}.npy", values)
    files(root, "convert.py")
    return "data=arrays data.root=mine"


@folder
def arrays_of_a_course(root: Path) -> str:
    root.mkdir()
    with h5py.File(root / "SVHN_single_grey1.h5", "w") as file:
        for part in ("train", "val", "test"):
            x, y = arrays(part)
            file[f"X_{part}"], file[f"y_{part}"] = x[..., 0] / np.float32(255), y
    return "data=arrays data.root=mine"


@folder
def arrays_of_several_kinds(root: Path) -> str:
    root.mkdir()
    x, y = arrays("train")
    np.savez(root / "a.npz", small=x, large=np.repeat(x, 2, 1), fine=y, coarse=y // 2)
    return "data=arrays data.root=mine"


@folder
def arrays_without_test_labels(root: Path) -> str:
    root.mkdir()
    x, y = arrays("train")
    np.savez(root / "a.npz", X_train=x, y_train=y, X_test=arrays("test")[0])
    return "data=arrays data.root=mine"


# ----------------------------------------------------------------------------- the Hub, other formats


def hub(path: Path, full: bool = False) -> None:
    """A file of the Hub's single digits, or of its full numbers."""
    contents = []
    for pixels in arrays(path.name)[0]:
        Image.fromarray(pixels).save(encoded := io.BytesIO(), "PNG")
        contents.append({"bytes": encoded.getvalue(), "path": None})
    number = {"bbox": [[1, 2, 3, 4]], "label": [7]}
    columns = {"digits": [number] * 20} if full else {"label": [i % 10 for i in range(20)]}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({"image": contents, **columns}), path)


@folder
def parquet_of_single_digits(root: Path) -> str:
    for part in ("train", "test", "extra"):
        hub(root / f"{part}-00000-of-00001.parquet")
    return "data=parquet data.root=mine"


@folder
def parquet_of_the_whole_repository(root: Path) -> str:
    for name in ("cropped_digits", "full_numbers"):
        hub(root / name / "train-00000-of-00001.parquet", full=name == "full_numbers")
    files(root, "README.md")
    return "data=parquet data.root=mine"


@folder
def pickled_batches(root: Path) -> str:
    files(root, "train.pkl", "test.pkl")
    return "data=arrays data.root=mine"


@folder
def tfrecords_of_tfds(root: Path) -> str:
    files(root, "svhn_cropped-train.tfrecord-00000-of-00001", "dataset_info.json", "features.json")
    return "data=folder data.root=mine"


@folder
def an_lmdb(root: Path) -> str:
    files(root, "train/data.mdb", "train/lock.mdb")
    return "data=folder data.root=mine"


@folder
def an_empty_folder(root: Path) -> str:
    root.mkdir()
    return "data=folder data.root=mine"


@folder
def no_folder(root: Path) -> str:
    return "data=folder data.root=mine"
