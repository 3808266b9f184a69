"""What is compared: runs with one or more folds and seeds, or a person, and their predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.config import rules
from svhncli.config.loading import NEUTRAL, from_dict
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.files import read_json
from svhncli.core.paths import expanded
from svhncli.core.plain import to_plain
from svhncli.core.run_mark import is_run
from svhncli.data.split import Fold
from svhncli.runs import locate, reader
from svhncli.runs.environment import Environment
from svhncli.runs.locate import evaluation_folder
from svhncli.runs.predictions import PredictionRows, read_rows
from svhncli.runs.results import EnsembleSummary, Failure, RunSummary
from svhncli.runs.sweeps import sweep_jobs

ANSWERS = "result.json"
"""What `svhn human` writes."""


@dataclass(frozen=True)
class Training:
    """One network, or one person, and its predictions.

    split: digest of the images of its training and validation part. n_train counts each image once.
    """

    seed: int | None
    split: str
    n_train: int
    n_val: int
    rows: PredictionRows


@dataclass(frozen=True)
class Side:
    """One run or person that is compared.

    part: the part of the data ("train", "val" or "test") that the images' indices refer to.
    config, environment: key -> value; {} of a person. label: the run's `name=`. whole: the fingerprint of the
    data before `data.exclude` left images out of it; None of a person.
    """

    path: Path
    data: str
    fingerprint: str
    part: str
    trainings: Sequence[Training]
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None
    whole: str | None = None

    @cached_property
    def rows(self) -> PredictionRows:
        """Of all trainings."""
        names = ("index", "group", "label", "prediction", "fold", "name")
        columns = ([getattr(training.rows, name) for training in self.trainings] for name in names)
        return PredictionRows(*map(np.concatenate, columns))

    @cached_property
    def by_image(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `PredictionRows.by_image`."""
        return self.rows.by_image()


def find(words: Sequence[str], baseline: str | None = None) -> tuple[list[Path], list[str]]:
    """The folders that the words name, each finished job of a sweep by itself, the baseline first.

    Returns:
        The folders, and those of a sweep's unfinished jobs, which are left out.

    Raises:
        CheckpointError: there is no such run.
        UsageError: one is named twice, or the baseline is several.
    """
    folders, unfinished = _named(words)
    resolved = [path.resolve() for path in folders]
    for number, path in enumerate(resolved):
        if path in resolved[:number]:
            raise UsageError(f"'{folders[number]}' is named twice", "name each run once")
    if baseline is not None:
        first, _ = _named([baseline])
        if len(first) != 1:
            raise UsageError(f"baseline={baseline} names {len(first)} runs", "name one run")
        folders = first + [path for path in folders if path.resolve() != first[0].resolve()]
    return folders, unfinished


def _named(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    folders, unfinished = [], []
    for word in words:
        folder = _answers(word) or locate.reported_folder(word)
        if locate.is_sweep(folder):
            jobs = sorted(sweep_jobs(folder), key=lambda job: job.job)
            folders += [job.path for job in jobs if job.is_done]
            unfinished += [job.run_dir for job in jobs if not job.is_done]
        else:
            folders.append(folder)
    return folders, unfinished


def read(folder: Path, part: str, tested_on: str | None = None) -> Side:
    """The run or the answers in a folder that `find` named.

    Args:
        part: "val" or "test".
        tested_on: name of the data whose test part was evaluated; None: the run's own.

    Raises:
        CheckpointError: the run is not finished, was not evaluated on the test part, or its files are
        damaged. UsageError: a person is to be compared on a test part.
    """
    return _person(folder, part) if _answers(str(folder)) else _run(folder, part, tested_on)


# ----------------------------------------------------------------------------- a run


def _run(folder: Path, part: str, tested_on: str | None) -> Side:
    run = reader.Run.of(folder)
    if run.summary is None or isinstance(run.summary, Failure):
        raise CheckpointError(f"'{folder}' is not finished", f"finish it: svhn train --resume {run.top}")
    if not run.env or not run.config:
        raise CheckpointError(
            f"'{run.top}' has no readable config.yaml and env.json", "name a run whose files are complete"
        )
    ensemble = run.summary if isinstance(run.summary, EnsembleSummary) else None
    if ensemble and part != "test":
        raise UsageError(
            f"'{folder}' is an ensemble, whose members validated on different images",
            f"svhn eval {folder}, and the others, then svhn compare ... part=test",
        )
    data, seed = run.env.data, run.config.get("seed")
    summaries = run.summary.folds if isinstance(run.summary, RunSummary) else []
    seeds = {summary.name: summary.seed for summary in summaries}
    name = tested_on or data.name
    whole = data.whole or (None if run.config["data"].get("exclude") else data.fingerprint)
    trainings, marks, parts = [], set(), set()
    for fold in run.folds or [run]:
        if (split := fold.split) is None and not ensemble:
            raise CheckpointError(
                f"'{fold.path}' has no readable split.json", "name a run whose files are complete"
            )
        if part == "test":
            if tested_on is None and not getattr(run.summary, "has_test", True):
                raise CheckpointError(
                    f"the data of '{folder}' has no test part",
                    "train the runs with the same split, such as split=official, or name data that has one: "
                    "svhn eval RUN data=NAME for each, then svhn compare ... part=test tested_on=NAME",
                )
            evaluation = evaluation_folder(fold.path, name, "test")
            other = f" data={tested_on}" if tested_on else ""
            marks.add(_evaluated(evaluation, f"svhn eval {folder}{other}"))
            parts.add("test")
            rows = read_rows(evaluation / "predictions.csv")
        else:
            marks.add(str(data.fingerprint))
            parts.add(split.val_part if split else part)
            rows = read_rows(fold.path / "val_predictions.csv")
        trainings.append(_training(seeds.get(fold.path.name, seed), split, rows))
    if len(marks) > 1:
        raise CheckpointError(
            f"the folds of '{folder}' were evaluated on different images", f"svhn eval {folder}"
        )
    config, environment = _config(run.config), _environment(run.env)
    if ensemble:  # its config is that of its first member
        config, environment = config | {"ensemble": f"{ensemble.how} of {len(ensemble.members)}"}, {}
    return Side(
        folder, name, marks.pop(), parts.pop(), trainings, config, environment, run.config.get("name"), whole
    )


def _training(seed: int | None, split: Fold | None, rows: PredictionRows) -> Training:
    if split is None:  # an ensemble, of several
        return Training(seed, "", 0, 0, rows)
    return Training(seed, split.digest, len(np.unique(split.train)), len(split.val), rows)


def _evaluated(folder: Path, command: str) -> str:
    """The fingerprint of the data that `svhn eval` scored; `command` would score it."""
    if not (folder / "results.json").is_file():
        raise CheckpointError(
            f"there is no '{folder}': the test part has not been evaluated yet", f"evaluate it: {command}"
        )
    try:
        return str(read_json(folder / "results.json")["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"'{folder / 'results.json'}' cannot be used: {error}", command) from error


def _config(saved: dict[str, Any]) -> dict[str, Any]:
    """A run's keys, with the defaults of those that are newer than it, and the seed that its split had."""
    with suppress(UsageError):  # a part of a plugin, whose defaults are unknown here
        saved = rules.to_dict(from_dict(TrainConfig, saved))
    flat = rules.flat(saved)
    if flat.get("split.seed", "") is None:
        flat["split.seed"] = flat.get("seed")
    return {name: value for name, value in flat.items() if name not in NEUTRAL}


def _environment(env: Environment) -> dict[str, Any]:
    kept = {name: to_plain(getattr(env, name)) for name in ("python", "platform", "machine", "versions")}
    return rules.flat(kept)


# ----------------------------------------------------------------------------- a person


def _answers(word: str) -> Path | None:
    """The folder of a quiz's answers, where the word means one."""
    path = expanded(word)
    folder = path.parent if path.name == ANSWERS else path
    of_run = is_run(folder) or (folder / "summary.json").is_file()
    return folder if (folder / ANSWERS).is_file() and not of_run else None


def _person(folder: Path, part: str) -> Side:
    if part == "test":
        raise UsageError(
            f"'{folder}' holds a person's answers, which are for validation images", "leave part=test out"
        )
    try:
        result = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
        answers = result["answers"]
        index = np.array([int(answer["index"]) for answer in answers], np.int64)
        label, prediction = (
            np.array([str(answer[key]) for answer in answers]) for key in ("label", "answer")
        )
        rows = PredictionRows(
            index, index, label, prediction, np.full(len(index), ""), np.full(len(index), "")
        )
        training = Training(None, str(result["split"]), 0, len(index), rows)
        if not len(index):
            raise ValueError("it has no answers")
        return Side(folder, result["data"], result["fingerprint"], result["part"], [training])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"'{folder / ANSWERS}' cannot be used: {type(error).__name__}: {error}",
            "name a run, or the folder where svhn human saved its answers",
        ) from error
