"""A composed config runs as its verb: inputs first, then the command, whose import may take seconds."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from svhncli.cli import catalog, grammar, hydra_app
from svhncli.config import rules
from svhncli.config.words import quote
from svhncli.core.files import matches, reading
from svhncli.core.paths import expanded
from svhncli.runs import locate


def execute(verb: str, composed: DictConfig, many: Mapping[str, list[str]] = MappingProxyType({})) -> object:
    """Check a composed config and its inputs, then load its command, which may import torch, and run it.

    many: values that are not composed by Hydra.

    Raises:
        SvhnError: the config is wrong, or the command failed.
    """
    config = rules.with_absolute_paths(hydra_app.checked(verb, composed, many))
    with reading():
        config = _with_runs(verb, config)
        rules.require_paths(config)
        for word in getattr(config, "paths", ()):
            if word != "-":
                matches(word)
    if catalog.is_trainer(verb):
        return command(verb).run(config, run_dir())
    return command(verb).run(config)


def _with_runs(verb: str, config: Any) -> Any:
    """The config with the newest run's folder for `latest`, after saying which it is.

    Raises:
        CheckpointError: there is no such run. The verb would say so, too, but only after it imported torch.
    """
    changed: dict[str, Any] = {}
    for name in ("run", "init_from"):
        value = getattr(config, name, None)
        if value == locate.LATEST:
            changed[name] = _latest()
        elif value is not None and not expanded(value).exists():
            locate.run_folder(value)
        if name == "init_from" and value is not None:
            locate.checkpoint_file(changed.get(name, value))
    if locate.LATEST in (runs := getattr(config, "runs", None) or ()):
        newest = _latest()
        changed["runs"] = [newest if value == locate.LATEST else value for value in runs]
    return replace(config, **changed)


def _latest() -> str:
    path = str(locate.latest_run())
    if not os.environ.get("SVHN_QUIET"):
        print(f"latest: {path}", file=sys.stderr)
    return path


def command(verb: str) -> ModuleType:
    """A verb's module. Most import torch, which takes seconds; meanwhile, a terminal shows `loading ...`."""
    says = sys.stderr.isatty() and not os.environ.get("SVHN_QUIET") and "torch" not in sys.modules
    if says:
        print("loading ...", end="\r", file=sys.stderr, flush=True)
    try:
        return importlib.import_module(f"svhncli.commands.{verb.replace('-', '_')}")
    finally:
        if says:
            print(" " * len("loading ..."), end="\r", file=sys.stderr, flush=True)


def run_dir() -> Path:
    """The directory of the run or job that is being started, as short as it can be written."""
    path = Path(HydraConfig.get().runtime.output_dir)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class Single:
    """The task of a single run. It keeps the result or the error, which Hydra would print differently."""

    def __init__(self, verb: str, many: Mapping[str, list[str]]) -> None:
        self.verb = verb
        self.many = many
        self.result: object = None
        self.error: Exception | None = None

    def __call__(self, composed: DictConfig) -> None:
        try:
            self.result = execute(self.verb, composed, self.many)
        except Exception as error:
            self.error = error


def single(verb: str, flags: Sequence[str], words: Sequence[str], many: Mapping[str, list[str]]) -> object:
    """Compose and run one config, with the values `many` beside it; the result of the verb.

    Raises:
        SvhnError: as the command; a run directory that holds nothing is removed again.
    """
    task = Single(verb, many)
    folder = None
    if not catalog.is_trainer(verb):
        words = ["hydra.run.dir=.", "hydra.output_subdir=null", *words]
    else:
        overrides = grammar.parse(words, verb)
        given = [word.value() for word in overrides if word.key_or_group == "hydra.run.dir"]
        if not given and (named := hydra_app.named_folder(verb, flags, overrides, "run")) is not None:
            given = [named]
            words = [*words, f"hydra.run.dir={quote(named)}", "out=null"]
        if not given:
            folder = locate.reserve(verb)
            words = [f"hydra.run.dir={folder}", *words]
        elif locate.is_begun(Path(str(given[-1]))):  # Hydra would overwrite the words that it was begun with
            words = ["hydra.output_subdir=null", *words]
    try:
        hydra_app.launch(verb, task, [*flags, *words])
        if task.error is not None:
            raise task.error
    finally:
        if folder is not None:
            release(folder)
    return task.result


def release(folder: Path) -> None:
    """Remove a run or sweep directory in which nothing was done, and its parents where they are empty."""
    if folder.exists() and {*locate.beyond_a_start(folder)} <= {locate.SWEEP}:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
