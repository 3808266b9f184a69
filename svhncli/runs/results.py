"""The results of training as types: the summary of one fold, of several, of a failure, of an ensemble.

Each is the content of a summary.json: `to_plain` gives the keys in the order of the fields, and
`read_summary` reads whichever kind a file holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svhncli.core.errors import Interrupted, NotFiniteError, SvhnError
from svhncli.core.plain import from_plain, inlined, keyed, optional, rest
from svhncli.stats.intervals import Interval
from svhncli.stats.score import Score
from svhncli.stats.significance import Difference

DIVERGED = "diverged"
"""The status of a run whose loss became NaN, infinite or far larger than that of guessing."""

# ----------------------------------------------------------------------------- one fold


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """One epoch, a row of metrics.csv. added: the values of registered metrics."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    added: dict[str, float] = rest()


@dataclass(frozen=True, kw_only=True)
class BestEpoch:
    """The epoch whose weights are in best.pt, and its scores."""

    epoch: int
    val_loss: float
    val_accuracy: float
    added: dict[str, float] = rest()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> BestEpoch:
        """From a row of the history, as a checkpoint holds it."""
        scores = {name: value for name, value in row.items() if name.startswith("val_")}
        return from_plain(cls, {"epoch": row["epoch"]} | scores)

    @classmethod
    def among(cls, history: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> BestEpoch:
        """As `of`, of a row that must be one of a history.

        Raises:
            KeyError, ValueError: it is none.
        """
        best = cls.of(row)
        if row not in history:
            raise ValueError(f"its epoch {best.epoch} is not as the history in last.pt has it")
        return best

    @property
    def scores(self) -> dict[str, float]:
        """The values of all metrics, by their names."""
        return {"val_loss": self.val_loss, "val_accuracy": self.val_accuracy, **self.added}


@dataclass(frozen=True)
class Achieved:
    """The metric that chose the best epoch, and its value there."""

    metric: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Whether a run overfits or underfits. why: the figures behind the verdict. advice: what to try first."""

    verdict: str
    why: str
    advice: list[str] = keyed("try")
    train_accuracy: float
    val_accuracy: float
    gap: float


@dataclass(frozen=True)
class Movement:
    """How much the predictions for the watched images still changed late in a run.

    epochs: how many changes of epoch are counted. changed: the share of predictions that became others.
    moved: the mean total variation distance of the probabilities.
    """

    pictures: int
    epochs: int
    changed: float
    moved: float


@dataclass(frozen=True)
class OpenUnits:
    """How many of the units that L0 regularization may close are open."""

    open: int
    of: int


@dataclass(frozen=True, kw_only=True)
class FoldSummary:
    """summary.json of one finished fold with one seed, which may be all of a run.

    status: done or diverged. train: scored on training images without augmentation. n_train counts each
    training image once.
    patience: the epochs without improvement that ended it early; None where it trained all epochs.
    """

    status: str
    reason: str
    name: str
    fold: str = ""
    seed: int = 0
    epochs: int
    best: BestEpoch
    last: EpochRow
    score: Achieved
    train: Score
    val: Score
    test: Score | None
    has_test: bool
    diagnosis: Diagnosis
    watch: Movement | None = None
    units: OpenUnits | None = None
    parameters: int
    seconds: float
    images_per_second: float
    n_train: int
    n_val: int
    run_dir: str
    patience: int | None = optional()


# ----------------------------------------------------------------------------- several folds


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Mean and standard deviation of a score over folds or seeds, with an interval where one can be given."""

    mean: float
    sd: float
    low: float | None = optional()
    high: float | None = optional()
    level: float | None = optional()
    method: str | None = optional()


@dataclass(frozen=True)
class SeedSpread:
    """Validation accuracy over n seeds on the same folds."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class HeldOutAccuracy:
    """Accuracy on images that the predicting networks did not train on. groups: how many these are in."""

    n: int
    groups: int
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True)
class BootstrapAccuracy:
    """An accuracy with its bootstrap intervals; None where there were too few images or no spread."""

    value: float
    percentile: Interval | None
    bca: Interval | None


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Out-of-bag, .632 and .632+ accuracies of a bootstrap, and what they are made of.

    weight: that of the out-of-bag error in .632+.
    """

    oob: BootstrapAccuracy
    point632: BootstrapAccuracy = keyed("632")
    point632plus: BootstrapAccuracy = keyed("632plus")
    train_error: float
    no_information_rate: float
    relative_overfitting: float
    weight: float


@dataclass(frozen=True)
class MeanScore:
    """Mean scores of several folds on a part of n images."""

    n: int
    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """summary.json of a run of several folds or seeds.

    estimates: over all folds, by the name of the score, such as `val_accuracy`. diagnosis: of all folds
    together; None where an earlier version trained. folds: without the fit on all data, which counts in no
    mean.
    """

    status: str
    reason: str
    epochs: int
    score: Achieved
    estimates: dict[str, Estimate] = rest()
    unseen: HeldOutAccuracy | None = None
    bootstrap: Bootstrap | None = None
    seeds: SeedSpread | None = None
    test: MeanScore | None
    has_test: bool
    parameters: int
    seconds: float
    images_per_second: float
    run_dir: str
    diagnosis: Diagnosis | None = optional()
    folds: list[FoldSummary]


# ----------------------------------------------------------------------------- other ends


@dataclass(frozen=True, kw_only=True)
class Failure:
    """summary.json of a run that did not end well: failed, diverged or interrupted. best: its best epoch so
    far."""

    status: str
    reason: str
    hint: str = ""
    exit_code: int = 1
    run_dir: str = ""
    best: BestEpoch | None = optional()


def failure(error: BaseException, run_dir: Path, best: BestEpoch | None = None) -> Failure:
    """The summary of a run that an error or a signal ended."""
    if isinstance(error, SvhnError):
        kinds = {Interrupted: "interrupted", NotFiniteError: DIVERGED}
        status = kinds.get(type(error), "failed")
        reason, hint, code = error.message, error.hint, error.exit_code
    else:
        status = "failed" if isinstance(error, Exception) else "interrupted"  # Ctrl-C or SIGTERM
        reason, hint, code = f"{type(error).__name__}: {error}", "", 1
    return Failure(status=status, reason=reason, hint=hint, exit_code=code, run_dir=str(run_dir), best=best)


@dataclass(frozen=True)
class MemberSummary:
    """One network of an ensemble. run: the word that named it. share: its weight."""

    run: str
    checkpoint: str
    fold: str
    share: float
    accuracy: float | None
    loss: float | None


@dataclass(frozen=True)
class Gain:
    """How much better an ensemble is than its best member, and than its members are on average."""

    best: str
    over_best: Difference
    over_mean: Difference


@dataclass(frozen=True, kw_only=True)
class EnsembleSummary:
    """summary.json of an ensemble. fitted_on: how many images its weights were fitted on. scored_on: the part
    and data of its scores. next: commands to go on with, which are not in the file."""

    status: str
    reason: str
    how: str
    members: list[MemberSummary]
    fitted_on: int | None
    scored_on: str | None
    val: Score | None = optional()
    test: Score | None = optional()
    gain: Gain | None
    parameters: int
    run_dir: str
    next: list[str] | None = optional()


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What `svhn train` returns. next: commands to go on with. report: the page, where one was written."""

    summary: FoldSummary | RunSummary = inlined()
    next: list[str] | None = optional()
    report: str | None = optional()


Summary = FoldSummary | RunSummary | EnsembleSummary | Failure


def read_summary(value: Any) -> Summary:
    """What a summary.json holds.

    Raises:
        ValueError: a key is missing or has a value of another type.
    """
    if not isinstance(value, Mapping):
        raise ValueError("it is not an object with keys")
    kind: type[Summary] = Failure
    if "members" in value:
        kind = EnsembleSummary
    elif "folds" in value:
        kind = RunSummary
    elif value.get("status") in ("done", DIVERGED) and "n_train" in value:
        kind = FoldSummary
    return from_plain(kind, value)
