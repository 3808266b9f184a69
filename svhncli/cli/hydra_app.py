"""Hydra stays in this folder: YAML and overrides become a config dataclass."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, cast

import hydra
import omegaconf._utils
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from svhncli.cli import catalog, grammar, launchers, suggest
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.loading import KeyMistake, Uncomposed, from_dict
from svhncli.config.presets import conf_dir
from svhncli.config.verbs import VERBS
from svhncli.core.errors import UsageError
from svhncli.core.paths import expanded
from svhncli.runs import config_yaml

IS_HYDRA_1_3 = hydra.__version__.startswith("1.3.")
HYDRAS_FOLDERS = {
    "run": "outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "sweep": "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}",
}
"""Where Hydra puts runs and sweeps for which nobody names a folder."""
VERSION_BASE = {"version_base": "1.3"} if IS_HYDRA_1_3 else {}  # deprecated in 1.4


def load_plugins(overrides: Sequence[Override]) -> None:
    """Import the modules that `plugins=[...]` names on the command line; they register their parts.

    Only what the user typed is imported, never what a config or a checkpoint names.

    Raises:
        UsageError: a module does not exist or cannot be imported.
    """
    named = [word.value() for word in overrides if word.key_or_group == "plugins"]
    for module in (name for value in named if isinstance(value, list) for name in value):
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # the installed command does not search the current folder
        try:
            importlib.import_module(str(module))
        except Exception as error:
            raise UsageError(
                f"plugins: cannot import '{module}': {error}",
                "it must be installed or be in the current folder; --debug shows where it fails",
            ) from error


def register() -> None:
    """Register a plugin's choices, which have no YAML file, with Hydra: their dataclasses are the config.

    The built-in dataclasses are not registered: `from_dict` checks every key and type once, after
    composition, and Hydra would take a tenth of a second to do it again.
    """
    replace: dict[str, Any] = {} if IS_HYDRA_1_3 else {"replace": True}
    store = partial(ConfigStore.instance().store, **replace)
    for group, kinds in CHOICES.items():
        for name, kind in kinds.items():
            if group != "reg" and not (conf_dir() / group / f"{name}.yaml").is_file():
                store(group=group, name=name, node=kind)


def launch(verb: str, task: Callable[[DictConfig], Any], words: Sequence[str]) -> None:
    """Let Hydra compose `verb` from flags and overrides, in this order, and call `task` with it.

    Raises:
        UsageError: the config cannot be composed. The task must keep its own errors to itself.
    """
    register()
    launchers.rename_plugins()
    with _process_state([f"svhn {verb}", *words]):
        try:
            hydra.main(config_path=str(conf_dir()), config_name=verb, **VERSION_BASE)(task)()
        except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
            if isinstance(error, UnicodeDecodeError):  # whoever knows the files says which one
                raise
            raise Uncomposed.of(suggest.composition(error, verb)) from error


@contextlib.contextmanager
def _process_state(argv: list[str]) -> Iterator[None]:
    """Set what Hydra reads from the process, and restore it afterwards."""
    from hydra._internal.core_plugins import basic_launcher
    from hydra._internal.hydra import Hydra

    loader = config_yaml.loader()
    old_full = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # re-raise instead of printing
    try:
        with (
            _replaced(sys, "argv", argv),
            # Python 3.14 refuses a help text of Hydra 1.3
            _replaced(argparse.ArgumentParser, "_check_help", lambda *_: None),
            _replaced(omegaconf._utils, "get_yaml_loader", lambda: loader),
            # Hydra would compose everything, only to learn whether this is a sweep, which the flags say
            _replaced(Hydra, "get_mode", lambda *_, **__: None),
            _replaced(basic_launcher, "run_job", _run_job),
        ):
            yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if old_full is not None:
            os.environ["HYDRA_FULL_ERROR"] = old_full


def _run_job(**options: Any) -> JobReturn:
    """Hydra's, without the configs: it keeps what this returns of every job until the sweep ends."""
    job = run_job(**options)
    job.cfg = job.hydra_cfg = None
    return job


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Another value of an attribute, if it has the attribute."""
    if not hasattr(owner, name):
        yield
        return
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def checked(
    verb: str,
    composed: DictConfig,
    many: Mapping[str, list[str]] = MappingProxyType({}),
    incomplete: bool = False,
) -> Any:
    """The one place where a composed config becomes a config dataclass, with its types and ranges checked.

    incomplete: whether required keys may be missing.

    Raises:
        UsageError: the config is wrong.
    """
    try:
        return _checked(verb, composed, many, incomplete)
    except KeyMistake:
        raise
    except UsageError as error:
        raise Uncomposed.of(error) from error


def _checked(verb: str, composed: DictConfig, many: Mapping[str, list[str]], incomplete: bool) -> Any:
    try:
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing and not incomplete:
            raise suggest.missing(missing[0], verb)
        values = cast("dict[str, Any]", OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise suggest.composition(error, verb) from error
    for group, default in catalog.defaults(verb).items():
        if group in CHOICES and group not in values and default != "null":
            raise suggest.missing(group, verb)  # taken away with ~group
    try:
        config = from_dict(
            VERBS[verb].config, {name: value for name, value in values.items() if name not in missing}
        )
    except rules.WrongType as error:
        raise suggest.wrong_type(error.path, str(error.value), verb) from error
    config = replace(config, **many)
    rules.validate(config, incomplete)
    return config


def show(verb: str, flags: Sequence[str], words: Sequence[str]) -> None:
    """Print what Hydra's own flags ask for; with --cfg, only a config that a run would accept.

    Raises:
        UsageError: the config is wrong.
    """
    if "--cfg" in flags:
        text = accepted(verb, flags, words, incomplete=True)
        if list(flags) == ["--cfg", "job"]:
            sys.stdout.write(text)
            return
    launch(verb, lambda _: None, [*flags, *words])


def accepted(verb: str, flags: Sequence[str], words: Sequence[str], incomplete: bool = False) -> str:
    """The composed config as YAML, if a run would accept it.

    incomplete: whether required keys may be missing.

    Raises:
        UsageError: the config is wrong.
    """
    text, values = _printed(verb, "job", flags, words)
    checked(verb, cast(DictConfig, OmegaConf.create(values)), incomplete=incomplete)
    return text


def composed(verb: str, flags: Sequence[str], words: Sequence[str]) -> Any:
    """The config dataclass of these words, with absolute paths; the plugins that they name are imported.

    Raises:
        UsageError: the config is wrong.
    """
    load_plugins(grammar.parse(words, verb))
    _, values = _printed(verb, "job", flags, words)
    return rules.with_absolute_paths(checked(verb, cast(DictConfig, OmegaConf.create(values))))


def _printed(verb: str, what: str, flags: Sequence[str], words: Sequence[str]) -> tuple[str, Any]:
    """What Hydra prints for `--cfg` as text, and as plain values."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        launch(verb, lambda _: None, ["--cfg", what, *config_dir(flags), *words])
    text = printed.getvalue()
    return text, yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def named_folder(verb: str, flags: Sequence[str], overrides: Sequence[Override], kind: str) -> str | None:
    """The folder of a run or a sweep that a file of the user's own names, as `out` or as Hydra's own key.

    kind: "run" or "sweep".

    Raises:
        UsageError: the config cannot be composed, or the folder not resolved.
    """
    if not config_dir(flags):
        return None
    plain = [str(word.input_line) for word in overrides if not word.is_sweep_override()]
    _, values = _printed(verb, "all", flags, plain)
    folder = values["out"] or values["hydra"][kind]["dir"]
    return None if folder == HYDRAS_FOLDERS[kind] else str(expanded(resolved(folder)))


def config_dir(flags: Sequence[str]) -> Sequence[str]:
    """The flag of the user's own choices, which a config may need."""
    if "--config-dir" not in flags:
        return []
    at = flags.index("--config-dir")
    return flags[at : at + 2]


def resolved(text: str) -> str:
    """A value with its resolvers applied, such as `${now:%Y-%m-%d}`, now and not for each job anew.

    Raises:
        UsageError: it refers to what is known only within a job.
    """
    setup_globals()
    try:
        return str(OmegaConf.create({"value": text})["value"])
    except OmegaConfBaseException as error:
        raise UsageError(f"'{text}' cannot be resolved before the jobs start", "name the folder") from error
