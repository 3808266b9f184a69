"""Keys of each verb: what stands at the root of its config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svhncli.config.declare import VERBS, verb
from svhncli.config.groups.data import RenderedConfig, SvhnConfig, SynthConfig
from svhncli.config.rules import UNSET, key
from svhncli.core.errors import UsageError
from svhncli.stats.metrics import METRICS

__all__ = ["VERBS"]

GROUPS = {
    "data": "synth",
    "split": "holdout",
    "model": "cnn",
    "optim": "adam",
    "schedule": "cosine",
    "reg": "light",
    "experiment": "none",
    "debug": "none",
}
"""Config groups of the verbs that train, with their defaults."""


# ----------------------------------------------------------------------------- keys of several verbs


def _jobs() -> Any:
    meaning = "runs trained side by side; auto: one per GPU, or as many as keep the CPUs busy"
    return key("auto", meaning, low=1, choices=("auto",))


def _metric(meaning: str) -> Any:
    return key("val_accuracy", meaning, choices=METRICS)


def _device() -> Any:
    elsewhere = {
        r"gpu|(?:cuda|gpu):0": "did you mean 'cuda'?",
        r"(?:cuda|gpu):(\d+)": r"did you mean 'cuda'? The variable CUDA_VISIBLE_DEVICES=\1 chooses the GPU",
        r"mps|xpu|tpu|hpu": "there is no support for this one; did you mean 'cpu'?",
    }
    return key("auto", "where to compute", choices=("auto", "cpu", "cuda"), elsewhere=elsewhere)


def _precision(default: str, auto: str) -> Any:
    return key(default, f"number format; auto: {auto}", choices=("auto", "fp32", "bf16"))


def _tta() -> Any:
    meaning = "test-time augmentation: average over this many views of each image; 1 is the image alone"
    return key(1, meaning, low=1, high=13)


def _cache() -> Any:
    return key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn", path=True)


def _plugins() -> Any:
    return key([], "your own modules to import; they register models, data sources and other parts")


@dataclass
class TrainingConfig:
    """Keys of every verb that trains a network."""

    epochs: int = key(20, "passes over the training set", low=1)
    batch_size: int = key(128, "images per step", low=1)
    lr: float = key(UNSET, "learning rate; each optimizer has its own default", above=0)
    seed: int = key(0, "random seed of the split, the initial weights, the order and the augmentation", low=0)
    device: str = _device()
    precision: str = _precision("auto", "bf16 where the machine gains from it")
    threads: int = key(0, "CPU threads; 0 uses all. Another number gives different bits", low=0)
    grey: bool = key(False, "train on gray images: one channel instead of three")
    init_from: str | None = key(None, "start from the weights of this run or file (fine-tuning)")
    cache: str | None = _cache()
    plugins: list[str] = _plugins()
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation images are chosen")
    model: Any = key(UNSET, "the network")
    optim: Any = key(UNSET, "the optimizer")
    schedule: Any = key(UNSET, "how lr changes over the run")
    reg: Any = key(UNSET, "regularization, augmentation and early stopping")


# ----------------------------------------------------------------------------- the verbs, as help lists them


@verb("train", **GROUPS)
@dataclass
class TrainConfig(TrainingConfig):
    """Train a network: one split, or several folds or seeds."""

    name: str | None = key(None, "a label for the run in tables and reports")
    out: str | None = key(
        None,
        "the run's folder, or the sweep's; null is a new one in outputs/train or outputs/sweep; "
        "the same as hydra.run.dir or hydra.sweep.dir",
    )
    repeats: int = key(1, "train with this many seeds, counted up from `seed`, on the same folds", low=1)
    jobs: int | str = _jobs()
    metric: str = _metric("what chooses best.pt and drives early stopping")
    test: bool = key(True, "score the best weights on the test set, once, at the end")
    watch: int = key(
        16, "number of validation images whose predictions are tracked over the epochs", low=0, high=64
    )
    report: bool = key(True, "write report.html at the end: the whole run on one page")
    snapshots: int = key(
        0, "save the weights in snapshots/ this many times, at equal intervals; 0 saves none", low=0
    )
    save_minutes: float = key(
        5.0, "last.pt is also saved within an epoch when this many minutes have passed", above=0
    )
    resume: str | None = key(None, "continue this run (folder, file or latest); the same as --resume")

    def refuse_conflicts(self) -> None:
        for name in ("out", "resume"):  # Hydra needs them before it has composed the config
            if getattr(self, name) is not None:
                raise UsageError(f"{name} stands in a config file", f"give {name}=... on the command line")


@verb("inspect", "[RUN]", data=None, split=None)
@dataclass
class InspectConfig:
    """Look for problems in a data set, or for label errors."""

    run: str | None = key(
        None, "a k-fold or bootstrap run; its labels are checked. null inspects the data set"
    )
    seed: int = key(0, "random seed of the split and of the choice of images that are shown", low=0)
    blank: float = key(4.0, "an image is blank below this contrast, in gray levels from 0 to 255", low=0)
    similar: float = key(0.96, "two images are near-duplicates from this correlation on", above=0, high=1)
    outlier: float = key(3.5, "an image is an outlier beyond this many robust standard deviations", above=0)
    out: str | None = key(None, "folder for the result; null is outputs/inspect, or RUN/inspect")
    cache: str | None = _cache()
    plugins: list[str] = _plugins()
    data: Any = key(None, "the data source to inspect; required unless there is a RUN")
    split: Any = key(
        None,
        "how validation images are chosen; null is split=auto",
    )

    def refuse_conflicts(self) -> None:
        if self.run is not None and self.split is not None:
            raise UsageError("a run has its own split", "leave split out")
        if (self.run is None) == (self.data is None):
            raise UsageError(
                "nothing to inspect is named" if self.run is None else "a run has its own data",
                "svhn inspect data=NAME for a data set, svhn inspect RUN for the labels of a run",
            )


@dataclass
class MeasuresConfig:
    """What the checks of `svhn check` measure by."""

    delta: float = key(
        0.01, "smallest difference in accuracy that the validation set must be able to show", above=0, below=1
    )
    error: float = key(0.05, "error rate that you expect of the final model", above=0, below=1)
    steps: int = key(160, "steps of the short runs in which a network must learn", low=20)


@verb("check", **GROUPS)
@dataclass
class CheckConfig(TrainingConfig):
    """Check data, network and training loop in short runs."""

    check: MeasuresConfig = key(MeasuresConfig, "what the checks measure by")
    out: str = key("outputs/check", "folder for the results")


@verb("lr-find", **GROUPS)
@dataclass
class LrFindConfig(TrainingConfig):
    """Find a learning rate with a range test (Smith 2017)."""

    low: float = key(1e-6, "lr of the first step", above=0)
    high: float = key(10.0, "lr of the last step, unless the loss diverges before it", above=0)
    steps: int = key(200, "number of steps from low to high", low=20)
    out: str = key("outputs/lr-find", "folder for the curve")

    def refuse_conflicts(self) -> None:
        if self.low >= self.high:
            raise UsageError(f"low={self.low:g} is not below high={self.high:g}", "lr rises from low to high")


@verb("learning-curve", **GROUPS)
@dataclass
class LearningCurveConfig(TrainingConfig):
    """Measure whether more data or a larger model would help."""

    sizes: list[float] = key(
        [0.05, 0.1, 0.2, 0.5, 1.0], "fractions of the training set to train on", above=0, high=1
    )
    repeats: int = key(3, "draws of each size, each with its own seed, counted up from `seed`", low=1)
    jobs: int | str = _jobs()
    metric: str = _metric("what chooses the best epoch and drives early stopping")
    out: str = key(
        "outputs/learning-curve", "folder for the runs and the curve; an existing one is continued"
    )

    def refuse_conflicts(self) -> None:
        if len({*self.sizes}) < 3:
            raise UsageError(f"sizes={self.sizes}: a curve needs 3 or more", "such as sizes=[0.1,0.3,1]")


@verb("human", data="synth", split="holdout")
@dataclass
class HumanConfig:
    """Measure how well a person does on validation images."""

    n: int = key(50, "number of images", low=1)
    html: bool = key(False, "write a page for a browser instead of asking in the terminal")
    seed: int = key(0, "random seed of the split and of the choice of images", low=0)
    out: str = key("outputs/human", "folder for the answers or the page")
    cache: str | None = _cache()
    plugins: list[str] = _plugins()
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation images are chosen")


@verb("eval", "RUN", data=None)
@dataclass
class EvalConfig:
    """Evaluate a trained run on its own or on other data."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest")
    part: str = key("test", "which part of the data", choices=("train", "val", "test"))
    root: str | None = key(
        None, "where the run's own data lies now, if it was moved; data.root= means the same", path=True
    )
    tta: int = _tta()
    confusion: str = key(
        "counts", "what confusion.png shows: counts or percent of each label", choices=("counts", "percent")
    )
    out: str | None = key(None, "folder for the report; null is RUN/eval/DATA-PART")
    device: str = _device()
    precision: str = _precision("auto", "as in training, where that was on the same device")
    cache: str | None = _cache()
    plugins: list[str] = _plugins()
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
    device: str = _device()
    cache: str | None = _cache()
    plugins: list[str] = _plugins()


def _is_run(word: str) -> bool:
    path = Path(word).expanduser()
    return word == "latest" or path.suffix == ".pt" or (path / "config.yaml").is_file()


@verb("predict", "RUN PATHS...")
@dataclass
class PredictConfig:
    """Predict the numbers in image files, as CSV."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest; folds are averaged")
    paths: list[str] = key(
        [], "files, folders, globs or a .mat file; - reads a list of files from standard input"
    )
    out: str | None = key(None, "the file to write; null is standard output")
    format: str = key(
        "csv", "csv: all columns; tianchi: a submission to the contest", choices=("csv", "tianchi")
    )
    strict: bool = key(False, "stop at the first image that cannot be decoded")
    crop: str | None = key(
        None,
        "whole: the images are already cropped to the number; null crops as in training",
        choices=("whole",),
    )
    tta: int = _tta()
    batch: int = key(256, "images per batch", low=1)
    device: str = _device()
    precision: str = _precision("fp32", "as in training, where that was on the same device")
    plugins: list[str] = _plugins()

    def refuse_conflicts(self) -> None:
        if swapped := [path for path in self.paths if _is_run(path) and not _is_run(self.run)]:
            raise UsageError(
                f"'{swapped[0]}' is a run, and stands where images are expected",
                f"the run comes first: svhn predict {swapped[0]} {self.run}",
            )
        if not self.paths:
            raise UsageError(
                f"no images are named: '{self.run}' is taken as the run",
                "svhn predict RUN PATHS..., where RUN is a run's folder, a .pt file, or latest, "
                "and PATHS are files, folders, globs, a .mat, or -",
            )
        if self.out is not None and Path(self.out).expanduser().is_dir():
            raise UsageError(f"out={self.out} is a folder", "name a file for the predictions")
        if self.format == "tianchi":
            if self.out is None:
                raise UsageError("format=tianchi needs a file to write to", "give out=FILE")
            if len(self.paths) != 1 or not Path(self.paths[0]).expanduser().is_dir():
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
    cache: str | None = _cache()
    plugins: list[str] = _plugins()


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
    cache: str | None = _cache()
    plugins: list[str] = _plugins()
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
