"""What a run says of itself before its first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svhncli.config import rules
from svhncli.config.verbs.training import TrainConfig
from svhncli.config.words import differing
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.split import ALL, Fold
from svhncli.engine import device
from svhncli.report.data_notes import say_notes
from svhncli.report.terminal import Show, class_balance


def say_header(
    config: TrainConfig,
    machine: device.Machine,
    data: DataSet,
    folds: list[Fold],
    folder: Path,
    show: Show,
) -> None:
    """Print what is trained on what and where, before the first step."""
    part = data.train
    extra = data.extra_train
    parts = [
        f"{len(part):,} real + {len(extra):,} rendered training"
        if extra is not None
        else f"{len(part):,} training"
    ]
    parts += [f"{len(data.val):,} validation"] if data.val is not None else []
    parts += [f"{len(data.test):,} test"] if data.test is not None else []
    channels, height, width = part.shape
    show.say(f"data     {data.name}: {', '.join(parts)} images, {height}x{width}, {channels} channels")
    if extra is not None:
        share = "half" if data.share == 0.5 else f"{100 * data.share:g}%"
        show.say(f"mix      {share} of each batch is rendered; validation and test are real images only")
    if data.fresh is not None:
        show.say("fresh    every epoch after the first trains on newly rendered images")
    say_notes(data, show, folds[0] if len(folds) == 1 else None)
    if data.excluded:
        show.say(f"exclude  {len(data.excluded):,} images are left out by {config.data.exclude}")
    show.say(f"classes  {class_balance(part.class_counts())}")
    if part.labels.shape[1] > 1:
        lengths = [f"{length}: {count:,}" for length, count in enumerate(part.length_counts(), start=1)]
        if blank := int(part.is_blank.sum()):
            lengths.insert(0, f"no number: {blank:,}")
        show.say(f"lengths  {'  '.join(lengths)}")
    groups = len(np.unique(part.groups))
    if groups < len(part):
        show.say(f"groups   {groups:,}; none is on both sides of a split")
    if len(folds) > 1:
        beside = ", and one fit on all the data" if folds[-1].name == ALL else ""
        show.say(f"split    {config.split.name}: {len(folds) - bool(beside)} folds{beside}")
    if data.val is not None and all(fold.val_part == "train" for fold in folds):
        use = "svhn ensemble scores the folds on them" if len(folds) > 1 else "split=auto validates on them"
        show.tell(
            f"unused   the {len(data.val):,} validation images of {data.name}, since "
            f"split={config.split.name} holds out training images; {use}"
        )
    show.tell(
        f"model    {_choice('model', config)}; {_choice('optim', config)}, lr {config.lr:g}, "
        f"{_choice('schedule', config)}; reg {_choice('reg', config)}"
    )
    show.say(
        f"machine  {f'{config.devices} processes, each ' * (config.devices > 1)}{machine.device}, "
        f"{machine.precision}{', compiled' if machine.compiled else ''}, "
        f"{counted(machine.threads, 'thread')}; "
        f"seed {config.seed}, batch {config.batch_size}"
    )
    show.say(f"run      {folder}" + (f" ({config.name})" if config.name else ""))
    for flip in ("hflip", "vflip"):
        if getattr(config.reg.augment, flip):
            show.warn(f"reg.augment.{flip}=true: a mirrored digit is a different digit or none")


def _choice(group: str, config: TrainConfig) -> str:
    """What is chosen, with what differs from its defaults: `none + cutmix 1, policy randaugment`."""
    name, changed = differing(group, rules.to_dict(getattr(config, group)))
    parts = []
    for key, value in changed.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(key.rpartition(".")[2] + ("" if value is True else f" {text}"))
    return f"{name} + {', '.join(parts)}" if parts else name
