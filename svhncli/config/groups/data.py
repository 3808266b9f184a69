"""Keys of where images come from."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class SourceConfig:
    """What all data sources share."""

    exclude: str | None = key(
        None, "a file of names, one a line, of training (or own validation) pictures to leave out"
    )


@dataclass
class RenderedConfig(SourceConfig):
    """What all rendered pictures share."""

    world: str | None = key(None, "a YAML that changes the renderer's distributions (see svhn render)")
    without: list[str] = key([], "the renderer's factors to leave out, such as [shadow, plate]")
    fonts: str | None = key(None, "folder of fonts of yours, drawn in addition to the installed ones")


@dataclass
class SynthConfig(RenderedConfig):
    """Street-number digits rendered from fonts: the embedded data, nothing to download."""

    name: str = key("synth", "the data source")
    n_train: int = key(40_000, "rendered training pictures", low=20)
    n_test: int = key(4_000, "rendered test pictures; 0 leaves the test part out", low=0)
    size: int = key(32, "side of a picture in pixels", low=16, high=128)
    seed: int = key(0, "which pictures are rendered; independent of the run's seed", low=0)
    fresh: bool = key(False, "every epoch after the first trains on newly rendered pictures")


@dataclass
class SvhnConfig(SourceConfig):
    """The official cropped digits: train_32x32.mat, test_32x32.mat and optionally extra_32x32.mat."""

    name: str = key("svhn", "the data source")
    root: str = key("data/svhn", "folder that holds the .mat files, or where they are downloaded to")
    extra: str = key(
        "none",
        "the extra part: unused, more training, or the validation part",
        choices=("none", "train", "val"),
    )
    download: bool = key(True, "fetch files that are missing")
    check_md5: bool = key(True, "insist on the official files; false takes your own files of the same layout")


@dataclass
class MixConfig(SvhnConfig, RenderedConfig):
    """The pictures of data=svhn, with rendered ones beside them that only train, never validate or test."""

    name: str = key("mix", "the data source")
    share: float = key(0.5, "how much of each training batch is rendered", low=0, below=1)
    n_rendered: int = key(20_000, "rendered training pictures, of the real ones' size", low=20)
    seed: int = key(0, "which pictures are rendered; independent of the run's seed", low=0)
    fresh: bool = key(False, "every epoch after the first draws newly rendered pictures")


@dataclass
class PhotographsConfig(SourceConfig):
    """What photographs of whole numbers share: which part of them is seen, in how many pixels."""

    height: int = key(64, "rows of pixels that the network sees", low=8, high=1024)
    width: int = key(128, "columns of pixels that the network sees", low=8, high=1024)
    crop: str = key(
        "whole", "what is seen: the whole photograph, or its digits' boxes", choices=("whole", "boxes")
    )
    widen: float = key(
        0.15, "crop=boxes: share of their width and height that is added at each side", low=0, high=4
    )
    jitter: float = key(
        0.1, "crop=boxes: how far the view moves in training, as a share of its sides", low=0, high=1
    )


@dataclass
class FilesConfig(PhotographsConfig):
    """What photographs in files share."""

    skip_broken: bool = key(False, "leave out pictures that are missing or cannot be read")


@dataclass
class SynthFullConfig(PhotographsConfig, RenderedConfig):
    """Photographs of whole street numbers, rendered: sizes, lengths and boxes as the real ones have them."""

    name: str = key("synth_full", "the data source")
    n_train: int = key(20_000, "rendered training photographs", low=20)
    n_test: int = key(2_000, "rendered test photographs; 0 leaves the test part out", low=0)
    seed: int = key(0, "which photographs are rendered; independent of the run's seed", low=0)
    crop: str = key(
        "boxes", "what is seen: the whole photograph, or its digits' boxes", choices=("whole", "boxes")
    )


@dataclass
class SvhnFullConfig(FilesConfig):
    """The official whole numbers (format 1): train.tar.gz, test.tar.gz, extra.tar.gz or their folders."""

    name: str = key("svhn_full", "the data source")
    root: str = key("data/svhn_full", "folder that holds the archives or folders, or where they are put")
    extra: str = key(
        "none",
        "the extra part: unused, more training, or the validation part",
        choices=("none", "train", "val"),
    )
    download: bool = key(True, "fetch archives that are missing; false for files of your own")
    crop: str = key(
        "boxes", "what is seen: the whole photograph, or its digits' boxes", choices=("whole", "boxes")
    )


@dataclass
class McharConfig(FilesConfig):
    """The Tianchi street-character contest: mchar_train/, mchar_train.json, mchar_val/, mchar_val.json."""

    name: str = key("mchar", "the data source")
    root: str = key("data/mchar", "folder that holds the contest's files")


@dataclass
class FolderConfig(FilesConfig):
    """Pictures of yours: class folders 0 to 9 or a labels.csv, also in train/, test/ and val/."""

    name: str = key("folder", "the data source")
    root: str = key("data/folder", "folder that holds the pictures")
    height: int = key(32, "rows of pixels that the network sees", low=8, high=1024)
    width: int = key(32, "columns of pixels that the network sees", low=8, high=1024)
