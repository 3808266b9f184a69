"""The lines of Python in docs/data.md turn files of other formats into ones that svhn reads."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doc_pages import PAGES
from PIL import Image

from svhncli.data.framing import Framing
from svhncli.data.sources import arrays, folder
from svhncli.data.store.cache import Cache

PAGE = next(page for page in PAGES if page.name == "data.md").read_text(encoding="utf-8")
CONVERSIONS = dict(re.findall(r"### (\w+)\n\n```python\n(.*?)```", PAGE, re.DOTALL))
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(12) % 10


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_pickle() -> None:
    Path("svhn.pickle").write_bytes(pickle.dumps({"train_dataset": IMAGES, "train_labels": LABELS}))


def write_tensors() -> None:
    torch = pytest.importorskip("torch")
    torch.save((torch.tensor(IMAGES), torch.tensor(LABELS)), "train.pt")


def write_lmdb() -> None:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open("train_lmdb") as store, store.begin(write=True) as rows:
        rows.put(b"num-samples", b"%d" % len(IMAGES))
        for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True), 1):
            rows.put(b"image-%09d" % number, png(image))
            rows.put(b"label-%09d" % number, b"%d" % label)


def write_records() -> None:
    tf = pytest.importorskip("tensorflow")
    train = tf.train
    with tf.io.TFRecordWriter("train.tfrecord") as file:
        for image, label in zip(IMAGES, LABELS, strict=True):
            content = train.Feature(bytes_list=train.BytesList(value=[png(image)]))
            number = train.Feature(int64_list=train.Int64List(value=[label]))
            features = train.Features(feature={"image": content, "label": number})
            file.write(train.Example(features=features).SerializeToString())


WRITERS = {"Pickle": write_pickle, "TFRecord": write_records, "LMDB": write_lmdb, "PyTorch": write_tensors}


def test_every_conversion_is_tested() -> None:
    assert set(CONVERSIONS) == set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_conversion_writes_has_the_same_images_and_labels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write: Callable[[], None] = WRITERS[name]
    write()
    exec(compile(CONVERSIONS[name], name, "exec"), {})
    cache = Cache(tmp_path / "cache")
    if Path("photos").exists():
        data = folder.load(Path("photos"), Framing(16, 16), cache=cache)
    else:
        data = arrays.load(Path("svhn.npz"), cache=cache)
    assert np.array_equal(data.train.images, IMAGES.transpose(0, 3, 1, 2))
    assert data.train.labels[:, 0].tolist() == LABELS.tolist()
