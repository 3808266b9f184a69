"""Keys of the verbs that work with what was trained, and of those that make or check files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svhncli.config.declare import verb
from svhncli.config.groups.data import RenderedConfig, SvhnConfig, SynthConfig
from svhncli.config.rules import UNSET, key
from svhncli.config.verbs import shared
from svhncli.core.errors import UsageError
from svhncli.core.paths import expanded
from svhncli.core.run_mark import is_run


@verb("eval", "RUN", data=None)
@dataclass
class EvalConfig:
    """Evaluate a trained run on its own or on other data."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest")
    part: str = key("test", "which part of the data", choices=("train", "val", "test"))
    root: str | None = key(
        None, "where the run's own data lies now, if it was moved; data.root= means the same", path=True
    )
    tta: int = shared.tta()
    confusion: str = key(
        "counts", "what confusion.png shows: counts or percent of each label", choices=("counts", "percent")
    )
    out: str | None = key(None, "folder for the report; null is RUN/eval/DATA-PART")
    device: str = shared.device()
    precision: str = shared.precision("auto", "as in training, where that was on the same device")
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()
    data: Any = key(None, "another data source; null is the run's own")

    def refuse_conflicts(self) -> None:
        if self.root is not None and self.data is not None:
            raise UsageError("root is for the run's own data", f"give data.root= with data={self.data.name}")
        is_rendered = isinstance(self.data, RenderedConfig) and not isinstance(self.data, SvhnConfig)
        if self.part == "val" and is_rendered:
            raise UsageError(
                f"part=val: data={self.data.name} has no validation part of its own",
                "choose part=test, or part=train; without data=, part=val is what the run held out",
            )


@verb("compare", "RUNS...")
@dataclass
class CompareConfig:
    """Test whether runs differ by more than chance."""

    runs: list[str] = key(
        [], "runs, sweeps (each finished job is a run) or answers of a quiz; the first is the baseline"
    )
    baseline: str | None = key(None, "the run that the others are compared with; null is the first")
    pairs: str = key(
        "baseline", "compare each run with the baseline, or all pairs of runs", choices=("baseline", "all")
    )
    part: str = key(
        "val", "which images: held-out ones, or test images scored by `svhn eval`", choices=("val", "test")
    )
    tested_on: str | None = key(
        None, "part=test: name of the data that `svhn eval RUN data=` scored; null is each run's own"
    )
    level: float = key(0.95, "confidence level of intervals and verdicts", above=0, below=1)
    out: str = key("outputs/compare", "folder for result.json and the plot of the differences")

    def refuse_conflicts(self) -> None:
        if not self.runs:
            raise UsageError("no runs are named", "svhn compare A B, or the folder of a sweep")
        if self.tested_on is not None and self.part != "test":
            raise UsageError("tested_on names data whose test part was scored", "add part=test")


@verb("gather", "DIR")
@dataclass
class GatherConfig:
    """Join jobs that trained one fold or seed each."""

    dir: str = key(UNSET, "a sweep's folder, or any folder of such runs")
    out: str | None = key(None, "folder of the new run; null is DIR/gathered")
    report: bool = key(True, "write report.html: the whole run on one page")


@verb("report", "RUN")
@dataclass
class ReportConfig:
    """Write a report of a run or a sweep as one HTML page."""

    run: str = key(UNSET, "folder of a run, a fold or a sweep, a file in it, or latest")
    out: str | None = key(None, "the file to write; null is report.html in the run's folder")
    human: str = key("outputs/human", "folder of quiz answers; shown if they are for the same images")
    check: str = key("outputs/check", "folder of check results; shown if they are for the same data")
    inspect: str = key("outputs/inspect", "folder of inspect results; shown if they are for the same data")


@verb("verify", "RUN")
@dataclass
class VerifyConfig:
    """Check that a run's files are as they were written."""

    run: str = key(UNSET, "folder of a run, a fold, a sweep or a study, a file in it, or latest")


@verb("ensemble", "RUNS...")
@dataclass
class EnsembleConfig:
    """Combine folds, snapshots or runs into one model."""

    runs: list[str] = key([], "runs, .pt files, folders of them such as RUN/snapshots, or globs")
    how: str = key(
        "mean",
        "average the probabilities, take a majority vote, or fit weights on the validation images",
        choices=("mean", "vote", "weights"),
    )
    out: str | None = key(None, "folder to write; null is a new one in outputs/ensemble")
    device: str = shared.device()
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()


def _names_run(word: str) -> bool:
    path = expanded(word)
    return word == "latest" or path.suffix == ".pt" or is_run(path)


@verb("predict", "RUN PATHS...")
@dataclass
class PredictConfig:
    """Predict the numbers in image files, as CSV."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest; folds are averaged")
    paths: list[str] = key(
        [],
        "files, folders, globs, or arrays (.npy, .npz, HDF5, .mat); - reads a list from standard input",
    )
    out: str | None = key(None, "the file to write; null is standard output")
    draw: str | None = key(
        None,
        "folder for PNGs of the images with their predictions and the digits' boxes; null draws none",
    )
    format: str = key(
        "csv", "csv: all columns; tianchi: a submission to the contest", choices=("csv", "tianchi")
    )
    strict: bool = key(False, "stop at the first image that cannot be decoded")
    crop: str | None = key(
        None,
        "whole: the images are already cropped to the number; null crops as in training",
        choices=("whole",),
    )
    threshold: float | None = key(
        None, "reject predictions whose confidence is below this; they are marked", low=0, high=1
    )
    coverage: float | None = key(
        None,
        "reject by a threshold fitted on the run's held-out images: the lowest that leaves this share of the "
        "accepted ones correct, such as 0.98",
        above=0,
        high=1,
    )
    tta: int = shared.tta()
    batch: int = key(256, "images per batch", low=1)
    device: str = shared.device()
    precision: str = shared.precision("fp32", "as in training, where that was on the same device")
    plugins: list[str] = shared.plugins()

    def refuse_conflicts(self) -> None:
        if swapped := [path for path in self.paths if _names_run(path) and not _names_run(self.run)]:
            raise UsageError(
                f"'{swapped[0]}' is a run, and stands where images are expected",
                f"the run comes first: svhn predict {swapped[0]} {self.run}",
            )
        if not self.paths:
            raise UsageError(
                f"no images are named: '{self.run}' is taken as the run",
                "svhn predict RUN PATHS..., where RUN is a run's folder, a .pt file, or latest, "
                "and PATHS are files, folders, globs, arrays, or -",
            )
        if self.out is not None and expanded(self.out).is_dir():
            raise UsageError(f"out={self.out} is a folder", "name a file for the predictions")
        if self.out is not None and self.draw is not None:
            drawn, folders = expanded(self.draw).resolve(), expanded(self.out).resolve().parents
            if drawn in folders:
                raise UsageError(
                    f"out={self.out} lies in draw={self.draw}, which is for drawings alone",
                    "name a file elsewhere",
                )
        if self.threshold is not None and self.coverage is not None:
            raise UsageError("threshold and coverage both set the threshold", "give one of them")
        if self.format == "tianchi":
            if self.threshold is not None or self.coverage is not None:
                given = "coverage" if self.threshold is None else "threshold"
                raise UsageError(
                    f"{given}: format=tianchi rejects nothing, since every image needs a code",
                    f"leave {given} out, or format=tianchi",
                )
            if self.out is None:
                raise UsageError("format=tianchi needs a file to write to", "give out=FILE")
            if len(self.paths) != 1 or not expanded(self.paths[0]).is_dir():
                raise UsageError("format=tianchi takes one folder", "name the folder of the contest's images")


@verb("submission", "FILE FOLDER")
@dataclass
class SubmissionConfig:
    """Check a submission to the Tianchi contest."""

    file: str = key(UNSET, "the submission: file_name,file_code")
    folder: str = key(UNSET, "the folder of the images")


@verb("export", "RUN")
@dataclass
class ExportConfig:
    """Export a network to ONNX and safetensors."""

    run: str = key(UNSET, "folder of a run or a fold, a .pt file, or latest")
    out: str | None = key(None, "folder to write; null is RUN/export")
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()


LAYOUTS = ("mat", "svhn_full", "mchar", "folder", "arrays", "parquet")


@verb("convert", data=None)
@dataclass
class ConvertConfig:
    """Write a data set in another layout."""

    layout: str = key("folder", "the layout to write", choices=LAYOUTS)
    out: str = key("outputs/convert", "a new folder for the data set")
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()
    data: Any = key(None, "the data to convert; required")

    def refuse_conflicts(self) -> None:
        if self.data is None:
            raise UsageError(
                "no data is named", "such as: svhn convert data=mchar data.root=… layout=folder out=…"
            )


@verb("render", data="synth")
@dataclass
class RenderConfig:
    """Render sheets of samples or a data set on disk."""

    layout: str = key(
        "none",
        "none draws sheets; the others write a data set in the layout of SVHN, Tianchi or class folders",
        choices=("none", "mat", "svhn_full", "mchar", "folder"),
    )
    part: str = key("all", "which part of the data set to write", choices=("all", "train", "val", "test"))
    labels: str | None = key(
        None,
        "an mchar JSON or a digitStruct.mat file whose numbers and boxes are drawn; it sets the part",
    )
    sheet: bool = key(False, "also draw a sheet for each factor: the same scenes without it and with it")
    beside: str | None = key(
        None, "a .mat file in the cropped-digits layout; its images are shown beside the rendered ones"
    )
    out: str = key("outputs/render", "folder for the sheets or the data set")
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()
    data: Any = key(UNSET, "what to render")

    def refuse_conflicts(self) -> None:
        if not isinstance(self.data, SynthConfig):
            raise UsageError(
                f"data={self.data.name} cannot be rendered",
                "leave it out: layout says whether crops or whole photographs are drawn",
            )
        if self.layout == "none" and (self.labels is not None or self.part != "all"):
            raise UsageError("labels and part are for data sets", "give layout=mchar or another layout")
        if self.data.limit is not None:
            raise UsageError(
                "data.limit is for training", "data.n_train=300 data.n_test=60 renders fewer images"
            )
        if self.layout != "none" and (self.sheet or self.beside is not None):
            raise UsageError("sheets are drawn without a layout", "leave out layout, or sheet and beside")
