"""From the words of a verb to what they ask for: show a config, resume a run, sweep, or run once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from yaml import YAMLError

from svhncli.cli import catalog, execution, grammar, hydra_app, suggest
from svhncli.config.loading import KeyMistake, Uncomposed
from svhncli.config.words import quote
from svhncli.core.errors import UsageError
from svhncli.core.paths import expanded
from svhncli.core.plain import to_plain
from svhncli.core.processes import launched
from svhncli.runs import locate


def run(
    verb: str,
    flags: list[str],
    words: list[str],
    many: dict[str, list[str]],
    resume: str | None,
    multirun: bool,
    as_json: bool,
    debug: bool,
) -> int:
    """Do it; the exit code.

    Args:
        flags: Hydra's own, such as `--cfg job`.
        words: overrides, `key=value`.
        many: values that are not written as overrides.
        resume: None for a new run, "" for the latest one, or a run.

    Raises:
        SvhnError: what a person can fix.
    """
    if catalog.is_search(verb):
        from svhncli.cli import study

        if multirun:
            raise UsageError("a study runs its trials by itself", "leave -m out; jobs=N runs N side by side")
        with _named_file(flags, [], words):
            result = study.run(flags, words, resume)
        if result is not None:
            _print(verb, result, as_json)
        return 0
    overrides = grammar.parse(words, verb)
    words = [str(word.input_line) for word in overrides]
    hydra_app.load_plugins(overrides)
    multirun = multirun or "hydra.mode=MULTIRUN" in words
    if not multirun:
        suggest.refuse_several(overrides, verb)
    prints = catalog.prints(verb) and all(word.key_or_group != "out" for word in overrides)
    if prints and as_json:
        raise UsageError("the CSV and --json both go to standard output", "give out=FILE for the CSV")
    if {"--cfg", "--info", "--hydra-help"} & {*flags}:
        if multirun:
            raise UsageError(f"{flags[0]} shows one config", "leave -m out and give each key one value")
        with _named_file(flags, overrides, words):
            hydra_app.show(verb, flags, words)
        return 0

    from svhncli.cli import sweep

    rank, size = launched()
    if size > 1 and (multirun or verb != "train"):
        raise UsageError(
            f"torchrun has started {size} processes, and svhn {'train -m' if multirun else verb} is one",
            "start it without torchrun",
        )
    if rank > 0:  # rank 0 alone reads the command line, and is the only one that Hydra gives a folder
        from svhncli.training import ranks

        return ranks.follow()
    if verb == "eval":
        overrides = _root_key(overrides)
    if catalog.is_trainer(verb):
        resume, overrides = _resume_key(resume, overrides)
        overrides = _out_key(overrides, multirun)
    if resume is not None:
        target = locate.resumable(resume, multirun)
        if target is not None and locate.is_sweep(target):
            return sweep.resume(target, flags, overrides, as_json, debug)
        result = execution.command(verb).resume(str(target) if target else None, changes(overrides, verb))
    elif multirun:
        with _named_file(flags, overrides, words):
            return sweep.start(flags, overrides, as_json, debug)
    else:
        with _named_file(flags, overrides, words):
            result = execution.single(verb, flags, [str(word.input_line) for word in overrides], many)
    _print(verb, result, as_json, prints)
    return 0


def _print(verb: str, result: object, as_json: bool, prints: bool = False) -> None:
    """prints: whether standard output holds the result already, so that the table goes to standard error."""
    if as_json:
        print(json.dumps(to_plain(result), allow_nan=False))
        return
    from svhncli.report import terminal

    terminal.present(execution.command(verb).table(result), stderr=prints)


def _resume_key(resume: str | None, overrides: list[Override]) -> tuple[str | None, list[Override]]:
    """`resume=RUN` means what `--resume RUN` means."""
    for word in overrides:
        if word.key_or_group == "resume" and word.value() is not None:
            resume = str(word.value())
    rest = [word for word in overrides if word.key_or_group != "resume"]
    return "" if resume == "latest" else resume, rest


def _root_key(overrides: list[Override]) -> list[Override]:
    """`data.root=DIR` without `data=` is where the run's own data lies now."""
    if any(word.key_or_group == "data" for word in overrides):
        return overrides
    given = [word for word in overrides if word.key_or_group == "data.root"]
    moved = [f"root={quote(str(word.value()))}" for word in given]
    return [word for word in overrides if word not in given] + grammar.parse(moved, "eval")


def _out_key(overrides: list[Override], multirun: bool) -> list[Override]:
    """`out=DIR` as Hydra's own key for the folder of a run or a sweep; that key itself where it has a ~.

    Raises:
        UsageError: it refers to what is known only within a job.
    """
    key = f"hydra.{'sweep' if multirun else 'run'}.dir"

    def is_folder(word: Override) -> bool:
        return word.key_or_group == "out" or (word.key_or_group == key and str(word.value())[:1] == "~")

    given = [word for word in overrides if is_folder(word)]
    texts = [hydra_app.resolved(str(word.value())) for word in given if word.value() is not None]
    folders = [str(expanded(text)) for text in texts]
    rest = [word for word in overrides if word not in given]
    return rest + grammar.parse([f"{key}={quote(folder)}" for folder in folders], "train")


@contextlib.contextmanager
def _named_file(flags: list[str], overrides: list[Override], words: Sequence[str]) -> Iterator[None]:
    """Say what is wrong in a file: one of the user's own, or the chosen recipe."""
    folders = [Path(folder) for folder in hydra_app.config_dir(flags)[1:]]
    try:
        yield
    except Uncomposed as error:
        raise suggest.beside_file(error, folders, words) from error
    except (KeyMistake, YAMLError, UnicodeDecodeError) as error:
        raise suggest.in_file(error, folders) or suggest.in_recipe(error, overrides) or error from error


def changes(overrides: list[Override], verb: str) -> dict[str, Any]:
    """Overrides beside --resume as key -> plain value; a group's choice stands under the group's name.

    Raises:
        UsageError: an unknown key, or a word that is not key=value alone.
    """
    for word in overrides:
        if word.type.name != "CHANGE" or word.is_hydra_override():
            raise UsageError(f"'{word.input_line}' cannot be combined with --resume", "give key=value alone")
        if word.key_or_group not in {*catalog.keys(verb), *catalog.defaults(verb)}:
            raise suggest.unknown_key(word.key_or_group, verb)
    return {word.key_or_group: word.value() for word in overrides}
