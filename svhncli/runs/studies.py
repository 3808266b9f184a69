"""What `svhn tune` leaves: the study's record, its trials, and the verdict on what the search gained."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svhncli.core.errors import CheckpointError
from svhncli.core.files import begin_sums, read_json, write_json
from svhncli.core.plain import from_plain, optional, to_plain
from svhncli.runs.locate import STUDY
from svhncli.runs.sweeps import SweepJob
from svhncli.stats.intervals import Interval

RESULT, BEST, PLOTS, VERDICT = "result.json", "experiment/best.yaml", "plots", "verdict"


@dataclass(frozen=True)
class StudyRecord:
    """study.json. name: in the storage. words: of the command line, without spaces. space: key -> text."""

    name: str
    words: list[str]
    space: dict[str, str]

    @classmethod
    def new(cls, folder: Path, words: Sequence[str], space: dict[str, str]) -> StudyRecord:
        return cls(f"{folder.name}-{secrets.token_hex(4)}", list(words), space)

    @classmethod
    def read(cls, folder: Path) -> StudyRecord:
        """Raises: CheckpointError: the file is damaged."""
        try:
            return from_plain(cls, read_json(folder / STUDY))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"'{folder / STUDY}' cannot be used: {error}", "start a new study"
            ) from error

    def write(self, folder: Path) -> None:
        begin_sums(folder)
        write_json(folder / STUDY, to_plain(self))


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A config that was trained anew: that without the search (trial None), or a finalist.

    words: the trial's values. searched: the validation accuracy that the search saw. val, judged: mean
    accuracies of the fresh seeds on the validation images that the search used and on those of the verdict;
    val is None where these are the same. difference, interval: of judged, to the config without the search.
    p: corrected for several comparisons (Holm).
    """

    trial: int | None
    words: list[str]
    run_dir: str
    searched: float | None
    val: float | None
    judged: float
    difference: float | None = optional()
    interval: Interval | None = optional()
    p: float | None = optional()
    outcome: str | None = optional()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the search gained anything. images: those of the verdict, in words. chosen: the trial that is
    recommended; None where the config without the search is. optimism: how much the search's own figure for
    it fell with fresh seeds. says: the conclusion, a sentence each."""

    images: str
    seeds: list[int]
    retrained: list[Retrained]
    chosen: int | None
    optimism: float | None
    says: list[str]


@dataclass(frozen=True)
class Importance:
    """The share of the score's variance that each key explains, most first; empty of too few trials.

    after: the epoch or fold after which scores were taken, such as `epoch 2`; empty for the final scores.
    """

    shares: dict[str, float]
    after: str = ""

    @property
    def meaning(self) -> str:
        """What the shares are of."""
        return "of the variance of the score" + (f" after {self.after}" if self.after else "")


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What `svhn tune` returns, and result.json. pending: trials that the study is still to have."""

    study: str
    metric: str
    trials: list[SweepJob]
    epochs: int
    pending: int
    importance: Importance
    best: str | None
    plots: list[str]
    verdict: Verdict | None
    next: list[str]
    report: str | None = optional()

    @classmethod
    def read(cls, folder: Path) -> StudyResult:
        """Raises: CheckpointError: there is none yet, or it is damaged."""
        try:
            return from_plain(cls, read_json(folder / RESULT))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"'{folder}' has no result yet",
                f"go on with it: svhn tune --resume {shlex.quote(str(folder))}",
            ) from error
        except (OSError, ValueError) as error:
            raise CheckpointError(f"'{folder / RESULT}' cannot be used: {error}") from error
