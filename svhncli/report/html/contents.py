"""Which sections a report has, and what the run lacks for the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from svhncli.report import next_commands
from svhncli.report.html import facts
from svhncli.runs.reader import Run


@dataclass(frozen=True)
class Section:
    """parts: it is left out if the run lacks all of them; if there are none, every run has it."""

    id: str
    title: str
    parts: tuple[str, ...] = ()


SECTIONS = (
    Section("summary", "Summary"),
    Section("use", "Use it", ("weights",)),
    Section("diagnosis", "Diagnosis", ("diagnosis",)),
    Section("curves", "Curves", ("curves",)),
    Section("confusion", "Confusion", ("predictions",)),
    Section("mistakes", "Worst mistakes", ("mistakes",)),
    Section("dynamics", "Dynamics", ("film",)),
    Section("calibration", "Calibration", ("predictions",)),
    Section("folds", "Folds", ("folds",)),
    Section("data", "Data sheet", ("sheet", "inspection")),
    Section("checks", "Checks", ("check",)),
    Section("environment", "Command, environment"),
)
"""In the order of the page; each is a macro of sections.html."""


@dataclass(frozen=True)
class Absence:
    """What a run lacks, the reason, and a command that adds it, "" if none does."""

    name: str
    reason: str
    command: str = ""


def sections(absences: Mapping[str, Absence]) -> list[Section]:
    """Those that have something to show."""
    return [section for section in SECTIONS if not section.parts or not absences.keys() >= set(section.parts)]


def absences(run: Run, values: Mapping[str, Any]) -> dict[str, Absence]:
    """What the run lacks, by the part that is left out.

    values: what the page shows of the run, by name; empty where there is nothing.
    """
    return dict(_absences(run, values))


def _absences(run: Run, values: Mapping[str, Any]) -> Iterator[tuple[str, Absence]]:
    if not values["human"]:
        reason = "It is unknown how well a person recognizes these images. This command measures it:"
        yield "human", Absence("human accuracy", reason, next_commands.on_same_data(run, "human"))
    if not run.weights:
        yield "weights", Absence("weights", "The run saved no best.pt: it has to finish an epoch first.")
    if not (facts.diagnosis(run) or facts.hint(run) or facts.turns_of(run)):
        yield "diagnosis", Absence("diagnosis", "A run gets one when it has finished.")
    if not values["curves"]:
        yield "curves", Absence("curves", "No epoch was finished.")
    if run.judged is None:
        reason = "The run has no val_predictions.csv: it is written when a fold has finished."
        yield "predictions", Absence("confusion and calibration", reason)
    if not values["mistakes"]:
        yield "mistakes", _no_mistakes(run)
    if not (values["film"] or facts.jumps(run)):
        reason = (
            "No predictions were tracked over the epochs, or no fold has finished. The key watch sets for "
            "how many images they are tracked."
        )
        yield "film", Absence("dynamics", reason)
    if not run.folds:
        reason = (
            "With one split and one network, it is unknown how much the score varies between splits. This "
            "command measures it:"
        )
        yield "folds", Absence("folds", reason, next_commands.train(run, "split=kfold"))
    if not (run.sheet and run.sheet.parts):
        reason = "The run was trained by an earlier version, or ended before its data was loaded."
        yield "sheet", Absence("data sheet", reason)
    if not (values["inspect"] or values["doubts"]):
        reason = "This command looks for wrong labels, duplicates and drift:"
        command = next_commands.on_same_data(run, "inspect")
        yield "inspection", Absence("inspection of the data", reason, command)
    if not values["check"]:
        reason = "This command checks whether the pipeline can learn at all, and more:"
        yield "check", Absence("checks", reason, next_commands.check(run))


def _no_mistakes(run: Run) -> Absence:
    name = "worst mistakes"
    if run.judged and not run.judged.wrong:
        return Absence(name, "There are none: every image of the validation part was classified correctly.")
    reason = "The run has no images of its mistakes. They are saved when a fold has finished."
    if not run.weights:
        return Absence(name, reason)
    return Absence(name, f"{reason} This command draws them again:", next_commands.evaluate_val(run.path))
