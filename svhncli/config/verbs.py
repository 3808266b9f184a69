"""Keys of each verb: what stands at the root of its config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svhncli.config.rules import UNSET, key

METRICS = ("val_accuracy", "val_loss")


def _jobs() -> Any:
    """The key of verbs that train several networks."""
    meaning = "trainings side by side, where there are several; auto: one a GPU, or what keeps the CPUs busy"
    return key("auto", meaning, low=1, choices=("auto",))


@dataclass
class TrainingConfig:
    """What trains a network, whatever the verb."""

    epochs: int = key(20, "passes over the training part", low=1)
    batch_size: int = key(128, "pictures a step", low=1)
    lr: float = key(UNSET, "learning rate; each optimiser brings its own default", above=0)
    seed: int = key(0, "of the split, the start weights, the order and the augmentation", low=0)
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    precision: str = key(
        "auto", "bf16 where the machine gains from it, or as you say", choices=("auto", "fp32", "bf16")
    )
    threads: int = key(0, "CPU threads; 0 takes all. Another number gives other bits", low=0)
    grey: bool = key(False, "train on the pictures' brightness alone, in one channel")
    init_from: str | None = key(None, "start from the weights of this run or file (fine-tuning)")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation pictures are chosen")
    model: Any = key(UNSET, "the network")
    optim: Any = key(UNSET, "the optimiser")
    schedule: Any = key(UNSET, "how lr changes over the run")
    reg: Any = key(UNSET, "regularisation")


@dataclass
class TrainConfig(TrainingConfig):
    """`svhn train`: data, split, model, optimiser, schedule and regularisation in one run."""

    repeats: int = key(1, "train with so many seeds, from `seed` on, on the folds of the first", low=1)
    jobs: int | str = _jobs()
    metric: str = key("val_accuracy", "what chooses best.pt and stops early", choices=METRICS)
    test: bool = key(True, "score the best weights on the test part, once, at the end")
    watch: int = key(
        16, "validation pictures whose predictions are followed from epoch to epoch", low=0, high=64
    )
    report: bool = key(True, "write report.html at the end: everything about the run as one page")
    snapshots: int = key(
        0, "keep the weights at the ends of so many equal stretches, in snapshots/; 0 keeps none", low=0
    )
    save_minutes: float = key(
        5.0, "last.pt is also saved within an epoch when this much time has passed", above=0
    )
    resume: str | None = key(None, "go on with this run (folder, file, or latest); the same as --resume")


@dataclass
class LrFindConfig(TrainingConfig):
    """`svhn lr-find`: the learning rate range test (Smith 2017)."""

    low: float = key(1e-6, "lr of the first step", above=0)
    high: float = key(10.0, "lr of the last step, where the loss has not grown long before", above=0)
    steps: int = key(200, "steps in which lr rises from low to high", low=20)
    out: str = key("outputs/lr-find", "folder for the curve")


@dataclass
class LearningCurveConfig(TrainingConfig):
    """`svhn learning-curve`: would more data help, or a larger model?"""

    sizes: list[float] = key(
        [0.05, 0.1, 0.2, 0.5, 1.0], "shares of the training part that are trained on", above=0, high=1
    )
    repeats: int = key(3, "draws of each size, each with a seed of its own, from `seed` on", low=1)
    jobs: int | str = _jobs()
    metric: str = key("val_accuracy", "what chooses the best epoch and stops early", choices=METRICS)
    out: str = key("outputs/learning-curve", "folder for the trainings and the curve; named again it goes on")


@dataclass
class MeasuresConfig:
    """What the checks of `svhn check` are measured by."""

    delta: float = key(
        0.01, "difference of accuracy that the validation part must be able to show", above=0, below=1
    )
    error: float = key(0.05, "share of wrong readings that you expect in the end", above=0, below=1)
    steps: int = key(160, "steps of the small trainings that must beat others", low=20)


@dataclass
class CheckConfig(TrainingConfig):
    """`svhn check`: small trainings that show whether a large one can be trusted (Karpathy 2019)."""

    check: MeasuresConfig = key(MeasuresConfig, "what the checks are measured by")
    out: str = key("outputs/check", "folder for the results")


@dataclass
class HumanConfig:
    """`svhn human`: a person reads pictures of the validation part."""

    n: int = key(50, "pictures", low=1)
    html: bool = key(False, "write a page for a browser instead of asking here")
    seed: int = key(0, "of the split and of which pictures are asked for", low=0)
    out: str = key("outputs/human", "folder for the answers or the page")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation pictures are chosen")


@dataclass
class InspectConfig:
    """`svhn inspect`: what is wrong or odd in a data set and its split, or which labels a run doubts."""

    run: str | None = key(
        None, "a k-fold or bootstrap run, whose labels are to be doubted; null inspects data"
    )
    seed: int = key(0, "of the split and of which pictures are shown", low=0)
    blank: float = key(4.0, "contrast in grey levels (0 to 255) below which a picture is blank", low=0)
    similar: float = key(0.96, "correlation from which two pictures are near-duplicates", above=0, high=1)
    outlier: float = key(3.5, "robust standard deviations beyond which a picture is an outlier", above=0)
    out: str | None = key(None, "folder for the result; null is outputs/inspect, or RUN/inspect")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(None, "the data source that is inspected")
    split: Any = key(
        None, "how validation pictures are chosen; null: official where there are some, else holdout"
    )


@dataclass
class EvalConfig:
    """`svhn eval RUN`: scores, calibration and worst mistakes of a trained run."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest")
    part: str = key("test", "which part of the data", choices=("train", "val", "test"))
    tta: int = key(1, "views of a picture that are averaged; 1 is the picture alone", low=1, high=13)
    out: str | None = key(None, "folder for the report; null is RUN/eval/DATA-PART")
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(None, "another data source; null is the run's own")


@dataclass
class CompareConfig:
    """`svhn compare RUNS...`: whether runs differ by more than chance."""

    runs: list[str] = key(
        [], "runs, sweeps (each finished job is a run), a quiz's answers; the first is the baseline"
    )
    baseline: str | None = key(None, "the run that the others are compared with; null is the first")
    pairs: str = key("baseline", "all: every two of them are compared", choices=("baseline", "all"))
    part: str = key(
        "val", "pictures: those that validated, or test, which `svhn eval` reads", choices=("val", "test")
    )
    tested_on: str | None = key(
        None, "part=test: name of the data that `svhn eval RUN data=` read; null is each run's own"
    )
    level: float = key(0.95, "confidence of intervals and verdicts", above=0, below=1)
    out: str = key("outputs/compare", "folder for result.json and the picture of the differences")


@dataclass
class RenderConfig:
    """`svhn render`: look at what the renderer draws, or write a data set of it."""

    layout: str = key(
        "none",
        "none draws sheets to look at; else a data set is written as SVHN or Tianchi lay theirs out",
        choices=("none", "mat", "svhn_full", "mchar", "folder"),
    )
    part: str = key("all", "which part of the data set is written", choices=("all", "train", "val", "test"))
    labels: str | None = key(
        None, "an mchar JSON or a digitStruct.mat whose numbers and boxes are drawn; the part is its own"
    )
    sheet: bool = key(False, "also a sheet for each factor: the same scenes without it and with it")
    beside: str | None = key(None, "a .mat of the cropped layout whose pictures are drawn beside the renders")
    out: str = key("outputs/render", "folder for the sheets or the data set")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(UNSET, "what is rendered")


@dataclass
class GatherConfig:
    """`svhn gather DIR`: jobs that trained one fold or seed each become one run of several."""

    dir: str = key(UNSET, "a sweep's folder, or any folder of such runs")
    out: str | None = key(None, "the run's folder; null is DIR/gathered")
    report: bool = key(True, "write report.html: everything about the run as one page")


@dataclass
class ReportConfig:
    """`svhn report RUN`: everything about a run or a sweep as one HTML page."""

    run: str = key(UNSET, "a run's, fold's or sweep's folder, a file in it, or latest")
    out: str | None = key(None, "the file to write; null is report.html in the run's folder")
    human: str = key("outputs/human", "folder of a quiz's answers, shown where they are of the same pictures")
    check: str = key("outputs/check", "folder of checks, shown where they are of the same data")
    inspect: str = key("outputs/inspect", "folder of findings, shown where they are of the same data")


@dataclass
class EnsembleConfig:
    """`svhn ensemble`: several trained networks as one."""

    runs: list[str] = key([], "runs, .pt files, folders of them such as RUN/snapshots, or globs")
    how: str = key(
        "mean",
        "mean of the probabilities; vote: a vote for each network; weights: fitted on validation pictures",
        choices=("mean", "vote", "weights"),
    )
    out: str | None = key(None, "the folder to write; null is a new one in outputs/ensemble")
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")


@dataclass
class PredictConfig:
    """`svhn predict`: what a trained run reads in pictures."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest; folds are averaged")
    paths: list[str] = key([], "files, folders, globs, a .mat; - for a list of files on standard input")
    out: str | None = key(None, "the file to write; null is standard output")
    format: str = key("csv", "what is written; tianchi: a submission", choices=("csv", "tianchi"))
    strict: bool = key(False, "end at the first picture that cannot be read")
    crop: str | None = key(
        None, "whole: the pictures are the numbers themselves; null: cut as in training", choices=("whole",)
    )
    tta: int = key(1, "views of a picture that are averaged; 1 is the picture alone", low=1, high=13)
    batch: int = key(256, "pictures that are read at once", low=1)
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")


@dataclass
class SubmissionConfig:
    """`svhn submission`: whether a file is a valid submission to the Tianchi contest."""

    file: str = key(UNSET, "the file: file_name,file_code")
    folder: str = key(UNSET, "the folder of the pictures")


@dataclass
class ExportConfig:
    """`svhn export`: a trained network as ONNX and safetensors, with a model card."""

    run: str = key(UNSET, "a run's or fold's folder, a .pt file, or latest")
    out: str | None = key(None, "the folder to write; null is RUN/export")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")


VERBS: dict[str, type] = {
    "train": TrainConfig,
    "inspect": InspectConfig,
    "check": CheckConfig,
    "lr-find": LrFindConfig,
    "learning-curve": LearningCurveConfig,
    "human": HumanConfig,
    "eval": EvalConfig,
    "compare": CompareConfig,
    "gather": GatherConfig,
    "report": ReportConfig,
    "ensemble": EnsembleConfig,
    "predict": PredictConfig,
    "submission": SubmissionConfig,
    "export": ExportConfig,
    "render": RenderConfig,
}
