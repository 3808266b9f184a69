"""Keys of where images come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from svhncli.config.declare import choice
from svhncli.config.rules import key
from svhncli.core.errors import UsageError

MISTYPED = "check the path"
NO_CONTEST = (
    "set data.root to the folder of mchar_train.json and mchar_train/; "
    "to render a practice set in this layout: svhn render layout=mchar data.n_train=5000 out=data/mchar"
)


def _crop(default: str) -> Any:
    meaning = "what the network sees: the whole photograph, or the bounding box of its digits"
    return key(default, meaning, choices=("whole", "boxes"))


def _extra() -> Any:
    meaning = "what the extra part is used for: nothing, training or validation"
    return key("none", meaning, choices=("none", "train", "val"))


def _backgrounds() -> Any:
    return key(False, "use images whose labels name no digit as images without a number")


def _fresh() -> Any:
    return key(False, "render new training images for every epoch after the first")


@dataclass
class SourceConfig:
    """Keys that all data sources share."""

    exclude: str | None = key(
        None,
        "a file with the names of training or validation images to leave out, one per line",
        path=True,
        needed=MISTYPED,
    )
    limit: int | None = key(
        None,
        "use at most this many training images, and a fifth as many of every other part; null uses all",
        low=20,
    )


@dataclass
class RenderedConfig(SourceConfig):
    """Keys that all rendered data shares."""

    world: str | None = key(
        None,
        "a YAML file that changes the renderer's distributions (see svhn render)",
        path=True,
        needed=MISTYPED,
    )
    without: list[str] = key([], "factors of the renderer to leave out, such as [shadow, plate]")
    fonts: str | None = key(
        None,
        "a folder of your own fonts, used in addition to the installed ones",
        path=True,
        needed=MISTYPED,
    )


@choice("data", builds="svhncli.data.sources.synth:load")
@dataclass
class SynthConfig(RenderedConfig):
    """Street-number digits rendered from fonts: built in, nothing to download."""

    name: str = key("synth", "the data source")
    n_train: int = key(40_000, "number of rendered training images", low=20)
    n_test: int = key(4_000, "number of rendered test images; 0 leaves the test part out", low=0)
    size: int = key(32, "side of an image in pixels", low=16, high=128)
    seed: int = key(0, "which images are rendered; independent of the run's seed", low=0)
    fresh: bool = _fresh()


@dataclass
class PhotographsConfig(SourceConfig):
    """Keys of photographs of whole numbers: which part of each is seen, and at what size."""

    height: int = key(64, "height of the network's input in pixels", low=8, high=1024)
    width: int = key(128, "width of the network's input in pixels", low=8, high=1024)
    crop: str = _crop("whole")
    fit: str = key(
        "stretch",
        "how that becomes an image of this size: stretched, or in its own shape and padded",
        choices=("stretch", "pad"),
    )
    widen: float = key(
        0.15, "crop=boxes: margin on each side, as a fraction of the box's width and height", low=0, high=4
    )
    jitter: float = key(
        0.1,
        "crop=boxes: largest random shift of the crop in training, as a fraction of its sides",
        low=0,
        high=1,
    )
    blank: float = key(
        0.0,
        "images without a number that are added to every part, as a fraction of its images with one: "
        "rendered without digits, or cut from the photographs beside the boxes of their digits",
        low=0,
        below=1,
    )


@choice("data", builds="svhncli.data.sources.synth_full:load")
@dataclass
class SynthFullConfig(PhotographsConfig, RenderedConfig):
    """Rendered photographs of whole street numbers, with the sizes, lengths and boxes of real ones."""

    name: str = key("synth_full", "the data source")
    n_train: int = key(20_000, "number of rendered training photographs", low=20)
    n_test: int = key(2_000, "number of rendered test photographs; 0 leaves the test part out", low=0)
    seed: int = key(0, "which photographs are rendered; independent of the run's seed", low=0)
    crop: str = _crop("boxes")


@dataclass
class OfficialConfig:
    """Keys that the official SVHN files share."""

    extra: str = _extra()
    download: bool = key(True, "download missing files")
    urls: list[str] = key(
        ["http://ufldl.stanford.edu/housenumbers"],
        "addresses of folders from which missing files are downloaded, tried in order",
    )


@choice("data", builds="svhncli.data.sources.svhn:load")
@dataclass
class SvhnConfig(OfficialConfig, SourceConfig):
    """The official cropped digits: train_32x32.mat, test_32x32.mat and optionally extra_32x32.mat."""

    name: str = key("svhn", "the data source")
    root: str = key("data/svhn", "folder of the .mat files; missing ones are downloaded to it", path=True)
    check_md5: bool = key(
        True, "require the official files (MD5); false accepts your own files in the same layout"
    )


@choice("data", builds="svhncli.data.sources.mix:load")
@dataclass
class MixConfig(SvhnConfig, RenderedConfig):
    """The images of data=svhn plus rendered ones, which are only trained on, never validated or tested."""

    name: str = key("mix", "the data source")
    share: float = key(0.5, "fraction of each training batch that is rendered", low=0, below=1)
    n_rendered: int = key(20_000, "number of rendered training images, in the size of the real ones", low=20)
    seed: int = key(0, "which images are rendered; independent of the run's seed", low=0)
    fresh: bool = _fresh()


@choice("data", builds="svhncli.data.sources.arrays:load")
@dataclass
class ArraysConfig(SourceConfig):
    """Arrays of other tools: .npz, pairs of .npy, HDF5 or .mat, recognized by shape and name."""

    name: str = key("arrays", "the data source")
    root: str = key(
        "data/arrays",
        "the array file, or the folder of such files",
        path=True,
        needed="set data.root to the array file or its folder",
    )
    images: str | None = key(None, "a word in the names of the arrays of images, where several could be")
    labels: str | None = key(None, "a word in the names of the arrays of labels, where several could be")


@dataclass
class FilesConfig(PhotographsConfig):
    """Keys that photographs in files share."""

    skip_broken: bool = key(False, "leave out images that are missing or damaged")


@choice("data", builds="svhncli.data.sources.svhn_full:load")
@dataclass
class SvhnFullConfig(OfficialConfig, FilesConfig):
    """The official full numbers (format 1): train.tar.gz, test.tar.gz, extra.tar.gz or their folders."""

    name: str = key("svhn_full", "the data source")
    root: str = key(
        "data/svhn_full", "folder of the archives or folders; missing ones are downloaded to it", path=True
    )
    crop: str = _crop("boxes")


@choice("data", builds="svhncli.data.sources.parquet:load")
@dataclass
class ParquetConfig(FilesConfig):
    """The Hugging Face Hub's copy of SVHN, and Parquet files in its columns: image and label, or digits."""

    name: str = key("parquet", "the data source")
    root: str = key(
        "data/parquet",
        "folder of the .parquet files of one data set, or such a file",
        path=True,
        needed="set data.root to the folder of the .parquet files",
    )
    extra: str = _extra()
    height: int = key(32, "height of the network's input in pixels", low=8, high=1024)
    width: int = key(32, "width of the network's input in pixels", low=8, high=1024)


@choice("data", builds="svhncli.data.sources.mchar:load")
@dataclass
class McharConfig(FilesConfig):
    """The Tianchi street-character contest: mchar_train/, mchar_train.json, mchar_val/, mchar_val.json."""

    name: str = key("mchar", "the data source")
    root: str = key("data/mchar", "folder of the contest's files", path=True, needed=NO_CONTEST)
    backgrounds: bool = _backgrounds()


@choice("data", builds="svhncli.data.sources.folder:load")
@dataclass
class FolderConfig(FilesConfig):
    """Your own images: class folders 0 to 9, a list or boxes, optionally in train/, test/ and val/."""

    name: str = key("folder", "the data source")
    root: str = key(
        "data/folder",
        "folder of the images, or the file in it that lists their labels",
        path=True,
        needed="set data.root to the folder of your images",
    )
    height: int = key(32, "height of the network's input in pixels", low=8, high=1024)
    width: int = key(32, "width of the network's input in pixels", low=8, high=1024)
    group: str | None = key(
        None,
        "a regular expression for file names, such as '(meter\\d+)_': images for which it finds the same "
        "text (in its parentheses) are never on both sides of a split",
    )
    label: str | None = key(
        None,
        "a regular expression for images' paths in their part's folder, such as '^(\\d+)_': the text that it "
        "finds (in its parentheses) is the label; images in which it finds nothing are left out",
    )
    backgrounds: bool = _backgrounds()
    test_fraction: float = key(
        0.0, "fraction of the images that is set aside as the test part, by whole groups", low=0, below=1
    )

    def refuse_conflicts(self) -> None:
        examples = {
            "group": r"such as data.group='(meter\d+)_' for files like meter07_2.jpg",
            "label": r"such as data.label='^(\d+)_' for files like 3_dig1.jpg",
        }
        for name, example in examples.items():
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise UsageError(
                    f"data.{name}={pattern} is not a regular expression: {error}", example
                ) from error
