"""Hydra's errors as messages that help: which word is wrong, what is allowed, what was probably meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from svhncli.cli import catalog
from svhncli.config import rules
from svhncli.config.loading import KeyMistake
from svhncli.config.verbs import VERBS
from svhncli.core.errors import UsageError
from svhncli.core.run_mark import is_run

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

ALIASES = {
    "learning_rate": "lr",
    "bs": "batch_size",
    "batch": "batch_size",
    "optimizer": "optim",
    "optimiser": "optim",
    "scheduler": "schedule",
    "dataset": "data",
    "network": "model",
    "early_stopping": "reg.patience",
    "imgsz": "data.size",
    "output_dir": "out",
    "run_name": "name",
}
"""What other tools call a key -> its name here."""
_GPU = "device=cuda; device=cuda:1 is the second GPU"
_MIXED = "mixed precision is precision=bf16, on old GPUs fp16; precision=auto chooses by machine"
_WORKERS = "images are prepared in memory, without worker processes; CPU threads are threads=N"
_TRACKER = "nothing is sent to a tracker: metrics.csv, summary.json and report.html lie in the run's folder"
ANSWERS = {
    "amp": _MIXED,
    "fp16": _MIXED,
    "gpu": _GPU,
    "gpus": _GPU,
    "num_workers": _WORKERS,
    "workers": _WORKERS,
    "wandb": _TRACKER,
    "tensorboard": _TRACKER,
    "mlflow": _TRACKER,
}
"""What other tools call a key -> what there is here in its place."""
VERB_ALIASES = {
    "fit": "train",
    "finetune": "train init_from=RUN",
    "sweep": "train -m",
    "tune": "train -m",
    "resume": "train --resume",
    "test": "eval",
    "validate": "eval",
    "score": "eval",
    "infer": "predict",
    "classify": "predict",
    "ls": "compare outputs/train/*",
    "list": "compare outputs/train/*",
    "plot": "report",
    "show": "report",
}
"""What other tools call a verb -> the words that do it here."""


_ABSENT = object()


def unknown_verb(word: str) -> UsageError:
    meant = VERB_ALIASES.get(word) or rules.closest(word, [*VERBS, "help", "completion"])
    hint = f"did you mean '{meant}'?" if meant else f"the verbs are: {', '.join(VERBS)}"
    return UsageError(f"unknown verb '{word}'", hint)


def unknown_topic(word: str, verb: str) -> UsageError:
    """`svhn help VERB WORD` with a word that is no group or key of the verb."""
    known = [*catalog.defaults(verb), *catalog.keys(verb)]
    near = _near(word, known)
    hint = f"did you mean '{near}'?" if near else f"see every key with: svhn {verb} --help"
    return UsageError(f"'{word}' is neither a group nor a key of svhn {verb}", hint)


def did_you_mean(word: str, words: Sequence[str], suffix: str = "") -> str:
    near = rules.closest(word, words)
    return f"did you mean '{near}{suffix}'?" if near else ""


def grammar(word: str, verb: str) -> UsageError:
    """A word that is not `key=value`."""
    key, equals, value = word.partition("=")
    if equals and value.endswith(","):
        return UsageError(
            f"'{word}' ends in a comma",
            f"several values are written without spaces: svhn {verb} -m {key}={value}...",
        )
    declared = catalog.keys(verb).get(key)
    if equals and declared is not None and not declared.is_free_text and not {*value} & {*"[](){}'\""}:
        return wrong_type(key, value, verb)
    if equals:
        return UsageError(
            f"cannot parse '{word}'",
            "close every bracket and quote; text with spaces or special characters needs two pairs: "
            "'key=\"a b\"'",
        )
    for group in catalog.defaults(verb):
        if word in catalog.choices(group):
            return UsageError(f"'{word}' is not key=value", f"did you mean '{group}={word}'?")
    if is_config(word):
        return UsageError(f"'{word}' is not key=value", own_config(word))
    if verb == "train" and is_run(Path(word)):
        start = f"--resume {word} continues that run, init_from={word} starts a new run from its weights"
        return UsageError(f"'{word}' is not key=value", start)
    if "data" in catalog.defaults(verb) and Path(word).is_dir():
        return UsageError(f"'{word}' is not key=value", _own_images(word))
    known = [*catalog.defaults(verb), *catalog.keys(verb)]
    return UsageError(
        f"'{word}' is not key=value", did_you_mean(word, known, "=...") or f"see: svhn {verb} --help"
    )


def is_config(word: str) -> bool:
    """Whether a word looks like a config file."""
    return word.endswith((".yaml", ".yml"))


def own_config(file: str) -> str:
    """How a config file of the user's own is used."""
    path = PurePath(file)
    return (
        f"a config of your own is a recipe: move it to MINE/experiment/{path.name}, with the first line "
        f"# @package _global_, and: svhn train --config-dir MINE experiment={path.stem}"
    )


def in_recipe(error: Exception, overrides: Sequence[Override]) -> UsageError | None:
    """A key that the chosen recipe sets and another choice on the command line does not have."""
    words = {str(word.key_or_group): word for word in overrides}
    recipe = words.get("experiment")
    if recipe is None or not isinstance(error, KeyMistake) or error.path in words:
        return None
    group = error.path.partition(".")[0]
    if group not in words:
        return None
    return UsageError(
        f"{recipe.input_line} sets {error.path}, which {words[group].input_line} does not have",
        f"leave out {words[group].input_line}, or the recipe",
    )


def in_file(error: Exception, folders: Sequence[Path]) -> UsageError | None:
    """What is wrong in a file of the user's own, in one of these folders; None where that is not the reason.

    error: an unknown key, or one that was raised while the file was read.
    """
    import yaml

    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        return UsageError(
            f"'{_near_path(mark.name)}', line {mark.line + 1} is not YAML: {error.problem}",
            "keys are written as key: value",
        )
    if isinstance(error, yaml.reader.ReaderError):
        return UsageError(
            f"'{_near_path(error.name)}' is not YAML: {error.reason}", "save it as plain text, in UTF-8"
        )
    for file in sorted(file for folder in folders for file in folder.rglob("*.yaml")):
        mistake = _in_text(file, error) if isinstance(error, KeyMistake) else _not_utf8(file)
        if mistake is not None:
            return mistake
    return None


def beside_file(error: UsageError, folders: Sequence[Path], words: Sequence[str]) -> UsageError:
    """A config that is wrong, with the user's own files that are part of it, unless a word is to blame.

    words: overrides, such as experiment=mine.
    """
    keys = dict(word.lstrip("+").partition("=")[::2] for word in words)
    if error.message.partition("=")[0] in keys:
        return error
    chosen = [folder / key / f"{value}.yaml" for folder in folders for key, value in keys.items()]
    files = [f"'{_near_path(str(file))}'" for file in chosen if file.is_file()]
    if not files or any(file in error.message for file in files):
        return error
    return UsageError(f"with {' and '.join(files)}: {error.message}", error.hint)


def _near_path(file: str) -> Path:
    """As a person would type it from here."""
    path = Path(file)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _not_utf8(file: Path) -> UsageError | None:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return UsageError(f"'{file}' is not UTF-8", "save it as plain text, in UTF-8")
    return None


def _in_text(file: Path, error: KeyMistake) -> UsageError | None:
    """A mistaken key in a file, if it is there."""
    import yaml
    from hydra.plugins.config_source import ConfigSource

    from svhncli.core import bounded_yaml

    group = file.parent.name
    try:
        text = file.read_text(encoding="utf-8")
        value: Any = bounded_yaml.load(text)
        package = ConfigSource._get_header_dict(text)["package"] or group
    except (OSError, ValueError, yaml.YAMLError):  # of a file that this command does not use
        return None
    if group in catalog.BUNDLES and error.path == package.partition(".")[0]:
        mark = " and save it without a byte-order mark" if text.startswith("\ufeff") else ""
        return UsageError(
            f"'{file}' sets keys of a group that does not exist: {error.path}",
            f"a recipe sets keys of the whole config: make its first line # @package _global_{mark}",
        )
    if error.path == package and isinstance(value, dict) and value.get("name") is None:
        return UsageError(f"{error.message} in '{file}'", error.hint)
    key = error.path if package == "_global_" else error.path.removeprefix(f"{group}.")
    if isinstance(value, str) and value.split() == key.split():  # a file of one word
        return UsageError(f"{error.message} in '{file}'", error.hint or "keys are written as key: value")
    if isinstance(value, dict) and key in map(str, value):
        return UsageError(f"{error.message} in '{file}'", error.hint)
    for name in key.split("."):
        value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
    return None if value is _ABSENT else UsageError(f"{error.message} in '{file}'", error.hint)


def refuse_several(overrides: Sequence[Override], verb: str) -> None:
    """Refuse `lr=1,2` without -m.

    Raises:
        UsageError: naming the first such word.
    """
    for word in overrides:
        if word.is_sweep_override():
            key, _, text = str(word.input_line).partition("=")
            declared = catalog.keys(verb).get(key)
            hint = f"write a list as {key}=[{text}]"
            if key.startswith("hydra.") or (declared is not None and declared.is_free_text):
                hint = f"quote text that has a comma twice: '{key}=\"{text}\"'"
            if catalog.is_trainer(verb):
                again = f"svhn {verb} -m {shlex.quote(str(word.input_line))}"
                hint = f"add -m to train with each of them: {again}; {hint}"
            raise UsageError(f"'{word.input_line}' gives several values to one run", hint)


def missing(path: str, verb: str) -> UsageError:
    """A required key that is not set."""
    if path == "run" and catalog.takes_run(verb):
        return UsageError(
            "no run is named", f"{VERBS[verb].usage}, where RUN is a run's folder, a .pt file, or latest"
        )
    if path in catalog.plain_keys(verb):
        return UsageError(f"no {path} is named", VERBS[verb].usage)
    if path in catalog.defaults(verb):
        return UsageError(f"{path} is not set", f"choose one: {path}={'|'.join(catalog.choices(path))}")
    return UsageError(f"{path} is not set", f"give {path}=...; see: svhn {verb} --help")


def unknown_key(path: str, verb: str) -> UsageError:
    """A key that the active choices do not have, or that does not exist at all."""
    keys, groups = catalog.keys(verb), catalog.defaults(verb)
    group = path.split(".")[0]
    if path in keys and keys[path].owners:
        owners = f"{group}={'|'.join(keys[path].owners)}"
        problem = f"'{path}' belongs to {owners}, which is not chosen here"
        return UsageError(problem, f"add {owners}" if len(keys[path].owners) == 1 else f"add one: {owners}")
    if answer := ANSWERS.get(group):
        return UsageError(f"unknown key '{path}'", answer)
    meant = ALIASES.get(path) or _near(path, [*keys, *groups])
    hint = f"did you mean '{meant}'?" if meant else f"see every key with: svhn {verb} --help"
    return UsageError(f"unknown key '{path}'", hint)


def _near(path: str, known: Sequence[str]) -> str | None:
    """The key that was probably meant: a sibling, one with the same last part, or one that looks similar."""
    parent, _, leaf = path.rpartition(".")
    siblings = {key.rpartition(".")[2]: key for key in known if parent and key.rpartition(".")[0] == parent}
    if near := rules.closest(leaf, siblings):
        return siblings[near]
    same = [key for key in known if key.rpartition(".")[2] == leaf]
    return same[0] if same else None if siblings else rules.closest(path, known)


def wrong_type(path: str, value: str, verb: str) -> UsageError:
    """A value of another type than the key's."""
    key = catalog.keys(verb).get(path)
    if key is None:
        group = path.partition(".")[0]  # reg.augment=strong
        is_choice = group in catalog.defaults(verb) and value in catalog.choices(group)
        hint = f"did you mean '{group}={value}'?" if is_choice else ""
        return UsageError(f"{path}={value} has the wrong type", hint)
    hint = f"{path}: {key.rule['meaning']}"
    if rules.type_text(key.hint).startswith("list"):
        entries = re.findall(r"[^\s,\[\]\"']+", value)
        hint = f"write a list as {path}=[{','.join(entries)}]"
    elif (
        key.hint is int
        and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE]\+?\d+|\d+\.0*", value)
        and float(value).is_integer()
    ):
        hint = f"write it out: {path}={float(value):.0f}"
    elif key.hint is int and re.fullmatch(r"0\d+", value):
        hint = f"write it without the zeros before it: {path}={int(value)}"
    elif key.hint in (int, float) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value):
        hint = f"write the number without quotes: {path}={value}"
    elif value.lower() == "none" and type(None) in getattr(key.hint, "__args__", ()):
        hint = f"an empty value is written as null: {path}=null"
    return UsageError(f"{path}={value} has the wrong type; it must be: {key.wanted}", hint)


def _own_images(folder: str) -> str:
    return f"images in class folders: data=folder data.root={folder}; other layouts have names, too"


_LAUNCHERS = {
    "submitit_slurm": "slurm",
    "submitit_local": "slurm",
    "joblib_plugin": "joblib",
    "ray_plugin": "ray",
}
"""What our launchers extend, as their plugins name it -> the extra that brings the plugin."""


def composition(error: Exception, verb: str) -> UsageError:
    """An exception from Hydra or OmegaConf as a UsageError."""
    text, cause = str(error), str(error.__cause__ or "")
    if (file := getattr(error, "missing_cfg_file", None)) and "/" in str(file):
        group, _, name = str(file).partition("/")
        if group not in catalog.defaults(verb):  # one of Hydra's own, such as hydra/launcher
            group, _, name = str(file).rpartition("/")
        if extra := _LAUNCHERS.get(name) if group == "hydra/launcher" else None:
            return UsageError(
                "this hydra/launcher needs a package that is not installed",
                f"pip install 'svhncli[{extra}]'",
            )
        options = list(getattr(error, "options", None) or [])
        hint = did_you_mean(name, options)
        if group in catalog.BUNDLES and "/" in name:  # `- model: mlp` under the defaults of a recipe
            part, _, choice = name.rpartition("/")
            return UsageError(
                f"there is no {name} among the recipes",
                f"a recipe chooses a part with: - override /{part}: {choice}",
            )
        if group == "data" and ("/" in name or Path(name).is_dir()):
            hint = _own_images(name)
        return UsageError(f"unknown {group} '{name}'; choose from: {', '.join(options)}", hint)
    if match := re.match(r"Could not override '([^'@]+)", text):
        inner = re.search(r"full_key: (\S+)", cause)
        written = match[1]
        nested = inner and inner[1].startswith(f"{written}.")  # reg.augment={rotatee: 1}
        return unknown_key(inner[1] if inner and nested else written, verb)
    if (match := re.match(r"Error merging override \+*([^=]+)=(.*)", text, re.DOTALL)) and cause:
        inner = re.search(r"full_key: (\S+)", cause)
        quoted = re.match(r"Value '(.*)' of type", cause)
        if inner and inner[1] != match[1] and quoted:
            return wrong_type(inner[1], quoted[1], verb)
        return wrong_type(match[1], match[2], verb)
    if match := re.match(r"Config group override must be a string or a list\. Got (\w+)", text):
        return UsageError(
            "a group takes the name of one of its choices, such as model=cnn", f"see: svhn {verb} --help"
        )
    reason = " ".join(line.strip() for line in (text or cause).splitlines() if "_type=" not in line)
    return UsageError(f"cannot compose the config: {reason}", _remedy(reason, verb))


_REMEDIES = {
    "Could not override|Invalid defaults": "under defaults, a line chooses a part: - override /model: mlp",
    "ListConfig": "a file sets keys as key: value; a dash before them makes it a list",
    "nterpolation|viable alternative": "${KEY} is the value of another key; a variable is ${oc.env:NAME}",
    "config directory": "--config-dir takes the folder in which MINE/experiment/NAME.yaml lies: MINE",
}
"""A part of Hydra's own message -> how to fix it."""


def _remedy(reason: str, verb: str) -> str:
    remedies = [hint for pattern, hint in _REMEDIES.items() if re.search(pattern, reason)]
    return remedies[0] if remedies else f"see: svhn {verb} --help"
