"""Keys of the verbs that work with a data set: they look at it, train on it, or measure a person on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svhncli.config.declare import verb
from svhncli.config.rules import UNSET, key
from svhncli.config.verbs import shared
from svhncli.core.errors import UsageError

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


@dataclass
class TrainingConfig:
    """Keys of every verb that trains a network."""

    epochs: int = key(20, "passes over the training set", low=1)
    batch_size: int = key(128, "images per step", low=1)
    lr: float = key(UNSET, "learning rate; each optimizer has its own default", above=0)
    seed: int = key(0, "random seed of the split, the initial weights, the order and the augmentation", low=0)
    device: str = shared.device()
    precision: str = shared.precision(
        "auto", "bf16 where the machine gains from it, else fp16 on a GPU and fp32 on a CPU"
    )
    deterministic: bool = key(
        True, "a GPU computes by kernels that repeat their bits; false: by the fastest ones, in TF32"
    )
    compile: bool | str = key(
        "auto",
        "compile the network with torch.compile; auto: on a GPU, in runs of 5 million images or more",
        choices=("auto", "true", "false"),
    )
    threads: int = key(0, "CPU threads; 0 uses all. Another number gives different bits", low=0)
    grey: bool = key(False, "train on gray images: one channel instead of three")
    init_from: str | None = key(None, "start from the weights of this run or file (fine-tuning)")
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation images are chosen")
    model: Any = key(UNSET, "the network")
    optim: Any = key(UNSET, "the optimizer")
    schedule: Any = key(UNSET, "how lr changes over the run")
    reg: Any = key(UNSET, "regularization, augmentation and early stopping")


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
    jobs: int | str = shared.jobs()
    devices: int = key(1, "processes, one per GPU, that train one network together", low=1)
    sync_norm: bool = key(True, "with devices: batch norm over the whole batch, as in one process")
    metric: str = shared.metric("what chooses best.pt and drives early stopping")
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
        if self.devices > 1 and getattr(self.data, "fresh", False):
            raise UsageError(
                f"devices={self.devices} with data.fresh=true: every process would render all the images",
                "give data.fresh=false and a larger data.n_train, or devices=1",
            )


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
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()
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
    jobs: int | str = shared.jobs()
    metric: str = shared.metric("what chooses the best epoch and drives early stopping")
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
    cache: str | None = shared.cache()
    plugins: list[str] = shared.plugins()
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation images are chosen")
