"""Every key of every config: type, default, range and one line of meaning.

Hydra composes YAML and overrides, `from_dict` makes these dataclasses of it, `rules.validate` checks ranges;
after that the rest of the tool sees plain typed Python. The command line's help is generated from here, too.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from svhncli.config.rules import closest, key, typed
from svhncli.config.schema.data import (
    Bootstrap,
    Files,
    Folder,
    Holdout,
    Kfold,
    Mchar,
    Mix,
    Official,
    Ordered,
    Photographs,
    Rendered,
    Source,
    Svhn,
    SvhnFull,
    Synth,
    SynthFull,
)
from svhncli.config.schema.training import (
    Adam,
    Adamw,
    Augment,
    Cnn,
    Constant,
    Cosine,
    Datawhale,
    Linear,
    Mlp,
    Network,
    OneCycle,
    Plateau,
    Reg,
    Resnet,
    Resnet18,
    Resnet34,
    Resnet50,
    Rmsprop,
    Sgd,
    Step,
    WideResnet,
)
from svhncli.config.schema.verbs import (
    METRICS,
    Check,
    Compare,
    Ensemble,
    Eval,
    Export,
    Gather,
    Human,
    Inspect,
    LearningCurve,
    LrFind,
    Predict,
    Render,
    Report,
    Submission,
    Train,
    Training,
)
from svhncli.core.errors import UsageError

NEUTRAL = {
    "jobs",
    "repeats",
    "save_minutes",
    "cache",
    "test",
    "report",
    "resume",
    "data.root",
    "data.download",
}
"""Keys that change nothing of what a training computes."""

FREE = NEUTRAL | {"epochs", "plugins", "data.exclude"}
"""Keys that a resumed run may change: none of them changes what an epoch computes. Which pictures an exclude
list names is part of the data's fingerprint, where its file lies is not."""

VERBS: dict[str, type] = {
    "train": Train,
    "inspect": Inspect,
    "check": Check,
    "lr-find": LrFind,
    "learning-curve": LearningCurve,
    "human": Human,
    "eval": Eval,
    "compare": Compare,
    "gather": Gather,
    "report": Report,
    "ensemble": Ensemble,
    "predict": Predict,
    "submission": Submission,
    "export": Export,
    "render": Render,
}

CHOICES: dict[str, dict[str, type]] = {
    "data": {
        "synth": Synth,
        "synth_full": SynthFull,
        "svhn": Svhn,
        "mix": Mix,
        "svhn_full": SvhnFull,
        "mchar": Mchar,
        "folder": Folder,
    },
    "split": {
        "holdout": Holdout,
        "kfold": Kfold,
        "bootstrap": Bootstrap,
        "official": Official,
        "ordered": Ordered,
    },
    "model": {
        "linear": Linear,
        "mlp": Mlp,
        "cnn": Cnn,
        "datawhale": Datawhale,
        "resnet18": Resnet18,
        "resnet34": Resnet34,
        "resnet50": Resnet50,
        "wide_resnet": WideResnet,
    },
    "optim": {"sgd": Sgd, "adam": Adam, "adamw": Adamw, "rmsprop": Rmsprop},
    "schedule": {
        "constant": Constant,
        "cosine": Cosine,
        "one_cycle": OneCycle,
        "step": Step,
        "plateau": Plateau,
    },
    "reg": {"custom": Reg},
}
"""Group -> name -> dataclass. A plugin adds its own (see build.register)."""


# ----------------------------------------------------------------------------- from plain values


def from_dict(kind: type, values: Mapping[str, Any], path: str = "") -> Any:
    """A config dataclass from plain values, as saved in a run or a checkpoint.

    A saved config is data from outside: unknown keys, wrong types and interpolations are refused, and the
    choice of a group is looked up by its `name` in `CHOICES`, never imported.

    Raises:
        UsageError: naming the key.
    """
    hints = typing.get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}
    for name in values:
        if name not in known:
            near = closest(name, known)
            raise UsageError(f"unknown key '{path}{name}'", f"did you mean '{path}{near}'?" if near else "")
    made = {}
    for name, item in known.items():
        where = f"{path}{name}"
        if name not in values:
            if item.default is MISSING and item.default_factory is MISSING:
                raise UsageError(f"'{where}' is missing")
            continue
        value = values[name]
        if not path and name in CHOICES and value is not None:
            made[name] = _choice(name, value)
        elif is_dataclass(hints[name]) and isinstance(value, Mapping):
            made[name] = from_dict(typing.cast(type, hints[name]), value, f"{where}.")
        else:
            made[name] = typed(value, hints[name], where)
    return kind(**made)


def _choice(group: str, value: Any) -> Any:
    name = value.get("name") if isinstance(value, Mapping) else None
    kinds = CHOICES[group]
    if group == "reg":
        return from_dict(Reg, value, "reg.")
    if name not in kinds:
        raise UsageError(
            f"unknown {group} '{name}'; there are: {', '.join(kinds)}",
            "a part of your own needs its plugins=[module] on this command line, too",
        )
    return from_dict(kinds[name], value, f"{group}.")
