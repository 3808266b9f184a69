"""The commands that a run suggests, on the terminal and in its report. Each works as it is printed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svhncli.config.choices import CHOICES
from svhncli.config.rules import to_dict
from svhncli.config.verbs.training import GROUPS, TrainConfig, TrainingConfig
from svhncli.config.words import overrides, word
from svhncli.report.diagnosis import OVER
from svhncli.runs.reader import Run
from svhncli.runs.results import DIVERGED, Diagnosis, FoldSummary, RunSummary

DATA = ("data", "split", "seed", "cache", "plugins")
"""Keys and groups that say which images a run trained and validated on."""
MEASURED = ("data", "split", "model", "optim", "lr", "schedule", "reg", "batch_size", "seed", "grey")
"""Keys and groups on which the results of `svhn check` depend."""
CHECKED = ("experiment", *MEASURED, "cache", "plugins")
"""Keys and groups with which `svhn check` checks the same config as the run."""


def after_training(run: Run, summary: FoldSummary | RunSummary) -> list[str]:
    """Commands to go on with after a run has finished.

    A run that stopped early would stop again at once, so a new run starts from its weights.
    """
    commands = [f"svhn eval {_quoted(run.path)}" if summary.has_test else evaluate_val(run.path)]
    if isinstance(summary, RunSummary):
        commands.append(ensemble(run.path))
    elif not summary.has_test:
        commands.append(predict(run))
    folds = summary.folds if isinstance(summary, RunSummary) else [summary]
    stopped = [fold for fold in folds if fold.last.epoch < fold.epochs]
    if isinstance(summary, FoldSummary) and stopped:
        lr = float(f"{run.config['lr'] / 10:.3g}")
        commands.append(train(run, word("init_from", str(run.path)), word("lr", lr)))
    elif len(stopped) < len(folds) and not _is_against_more_epochs(summary.diagnosis):
        commands.append(f"svhn train --resume {_quoted(run.path)} epochs={2 * summary.epochs}")
    return commands


def _is_against_more_epochs(diagnosis: Diagnosis | None) -> bool:
    return diagnosis is not None and diagnosis.verdict in (OVER, DIVERGED)


def after_joining(run: Run, part: str) -> list[str]:
    """Commands to go on with after members were joined and scored on a part, "" where on none."""
    scored = {"test": [f"svhn eval {_quoted(run.path)}"], "val": [evaluate_val(run.path)]}
    return [*scored.get(part, []), predict(run), export(run.path)]


def evaluate_val(path: Path) -> str:
    return f"svhn eval {_quoted(path)} part=val"


def predict(run: Run) -> str:
    # files of a person's own have no boxes by which a network that was trained on boxes could cut them
    whole = " crop=whole" if run.config.get("data", {}).get("crop") == "boxes" else ""
    return f"svhn predict {_quoted(run.path)} {_unlabeled(run) or 'PATHS...'}{whole}"


def _unlabeled(run: Run) -> str | None:
    """The images without labels that came with a run's data, as words for `svhn predict`."""
    data = run.config.get("data", {})
    if data.get("name") == "mchar":
        tests = sorted(Path(data["root"]).glob("mchar_test_?"))
        return f"{_quoted(tests[0])} format=tianchi out=submission.csv" if tests else None
    test = Path(data.get("root") or "", "test")
    has_test = getattr(run.summary, "has_test", True)
    return _quoted(test) if data.get("name") == "folder" and not has_test and test.is_dir() else None


def export(path: Path) -> str:
    return f"svhn export {_quoted(path)}"


def ensemble(path: Path) -> str:
    """Join the folds or seeds of a run to one network."""
    return f"svhn ensemble {_quoted(path)}"


def train(run: Run, *changes: str) -> str:
    """The command of the run, with some keys or groups changed."""
    own = [_settled(run, text) for text in run.words]
    if any(change.partition("=")[0] in CHOICES for change in changes) and any(map(_is_recipe, own)):
        # a recipe's keys of the old choice would still apply, so the command does without it
        own = overrides(run.config, "train", [*GROUPS, *TrainConfig.__dataclass_fields__])
    words = {_key(text): text for text in own}  # if a key is given twice, the last word counts
    for change in changes:
        group = _key(change)  # the other words of this group belong to the old choice
        words = {key: text for key, text in words.items() if not f"{key}.".startswith(f"{group}.")}
        words[group] = change
    return _command("train", list(words.values()))


def with_lr(config: TrainingConfig, lr: float) -> str:
    """Train this config with another learning rate."""
    names = [*GROUPS, *(name for name in TrainingConfig.__dataclass_fields__ if name not in GROUPS)]
    words = overrides(to_dict(config), "train", [name for name in names if name != "lr"])
    return _command("train", [*words, word("lr", float(f"{lr:.2g}"))])


def compare(sweep: Path) -> str:
    return f"svhn compare {_quoted(sweep)}"


def on_same_data(run: Run, verb: str) -> str:
    """A command of another verb for the run's images and its split."""
    return _command(verb, overrides(run.config, verb, DATA))


def check(run: Run) -> str:
    """`svhn check` of the run's config."""
    return _command("check", [text for text in run.words if _key(text).partition(".")[0] in CHECKED])


def is_checked(run: Run, checked: Mapping[str, Any]) -> bool:
    """Whether `svhn check` was given a config that is the run's own in everything that matters to it."""
    return all(checked.get(name) == run.config.get(name) for name in MEASURED)


def _is_recipe(text: str) -> bool:
    return _key(text) == "experiment" and text != "experiment=none"


def _settled(run: Run, text: str) -> str:
    """A word of the run; `init_from=latest` as the file that it meant when the run started."""
    return word("init_from", run.config["init_from"]) if _key(text) == "init_from" else text


def _key(text: str) -> str:
    return text.lstrip("+").partition("=")[0]


def _command(verb: str, words: list[str]) -> str:
    return " ".join([f"svhn {verb}", *map(for_shell, words)])


def _quoted(path: Path) -> str:
    return for_shell(str(path))


def for_shell(text: str) -> str:
    """Text as one word of a shell's command line, in double quotes where those of Hydra are in it."""
    readable = "'" in text and not {*'"$`!\n'} & {*text} and "\\\\" not in text and not text.endswith("\\")
    return f'"{text}"' if readable else shlex.quote(text)
