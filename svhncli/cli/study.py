"""`svhn tune`: a new study in a folder of its own, or one that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from svhncli.cli import execution, grammar, hydra_app, space
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.space import Space, words
from svhncli.config.words import quote
from svhncli.core.errors import UsageError
from svhncli.core.paths import expanded
from svhncli.runs.locate import STUDIES, is_study, reserve, study_folder
from svhncli.runs.studies import StudyRecord
from svhncli.training.search import recorded

VERB = space.VERB
QUOTES = "'\""
FREE = {
    "trials",
    "max_minutes",
    "max_epochs",
    "jobs",
    "finalists",
    "repeats",
    "report",
    "storage",
    "cache",
    "plugins",
}
"""Keys that a study which goes on may change: none of them affects what a trial learns."""


def run(flags: Sequence[str], given: Sequence[str], resume: str | None) -> object:
    """Start a study, or go on with one; its result.

    given: the words of the command line. resume: None for a new study, "" for the latest, or a folder.

    Raises:
        SvhnError: what a person can fix; a folder in which nothing was done is removed again.
    """
    texts, plain = space.split(given)
    overrides = grammar.parse(plain, VERB)
    hydra_app.load_plugins(overrides)
    if flags and flags[0] in ("--cfg", "--info", "--hydra-help"):
        hydra_app.show(VERB, flags, plain)
        return None
    if resume is not None:
        folder = study_folder(resume)
        record = StudyRecord.read(folder)
        _refuse_changes(folder, texts, plain)
        return _tune(folder, flags, record, plain)
    out = [str(word.value()) for word in overrides if word.key_or_group == "out" and word.value() is not None]
    folder = expanded(hydra_app.resolved(out[-1])) if out else reserve(STUDIES.name)
    if is_study(folder):
        raise UsageError(
            f"'{folder}' holds a study", f"go on with it: svhn tune --resume {shlex.quote(str(folder))}"
        )
    plain = [word for word in plain if not word.startswith("out=")]
    safe = [_recordable(word) for word in plain if not word.startswith("plugins=")]
    try:
        return _tune(folder, flags, StudyRecord.new(folder, safe, texts), plain)
    finally:
        if folder.is_dir() and not is_study(folder):
            execution.release(folder)


def _recordable(word: str) -> str:
    """A word for the study's record: what it is resumed with, but for a password."""
    key, _, text = word.partition("=")
    return f"storage={quote(recorded.shown(text.strip(QUOTES)))}" if key == "storage" else word


def _refuse_changes(folder: Path, texts: Mapping[str, str], plain: Sequence[str]) -> None:
    changed = [*texts, *(word.partition("=")[0] for word in plain if word.partition("=")[0] not in FREE)]
    if changed:
        raise UsageError(
            f"{changed[0]}: the study in '{folder}' keeps its space and its config",
            f"it may change {', '.join(sorted(FREE))}; for the others start a new study",
        )


def _tune(folder: Path, flags: Sequence[str], record: StudyRecord, given: Sequence[str]) -> object:
    base = [*record.words, *given]
    config = hydra_app.composed(VERB, flags, base)
    typed = {word.partition("=")[0] for word in base}
    texts = {key: text for key, text in space.texts_of(config.space).items() if key not in typed}
    chosen = {group: getattr(config, group).name for group in CHOICES}
    searched = space.read(texts | record.space, chosen)
    compose = partial(_composed, tuple(flags), tuple(base))  # which can be sent to another process
    rules.require_paths(config)
    recorded.refuse_mistakes(config, searched, folder)
    if not is_study(folder):
        _refuse_mistakes(searched, compose)
    folder.mkdir(parents=True, exist_ok=True)
    again = f"svhn tune --resume {shlex.join([str(folder), *flags])}"
    if not is_study(folder):
        record.write(folder)
    return execution.command(VERB).run(config, folder, record, searched, compose, again)


def _composed(flags: Sequence[str], base: Sequence[str], more: Sequence[str]) -> object:
    return hydra_app.composed(VERB, flags, [*base, *more])


def _refuse_mistakes(searched: Space, compose: Callable[[Sequence[str]], object]) -> None:
    """Check the config of a few trials: what is mistyped must not wait for its turn.

    Raises:
        UsageError: a config is wrong.
    """
    probe = ""
    try:
        for drawn in searched.probes():
            probe = " ".join(words(drawn))
            compose(words(drawn))
    except UsageError as error:
        raise UsageError(f"a trial would be {probe}:\n{error.message}", error.hint) from error
