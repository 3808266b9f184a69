"""From config dataclasses to objects: the only package that knows both.

A part is a dataclass in schema/ (its keys), a builder here, and a YAML in conf/. A plugin brings all
three from outside: see `register`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from svhncli.config import rules
from svhncli.config.groups.data import (
    FolderConfig,
    McharConfig,
    MixConfig,
    PhotographsConfig,
    RenderedConfig,
    SvhnConfig,
    SvhnFullConfig,
    SynthConfig,
    SynthFullConfig,
)
from svhncli.config.groups.optim import AdamConfig, AdamwConfig, RmspropConfig, SgdConfig
from svhncli.config.groups.reg import AugmentConfig
from svhncli.config.groups.schedule import (
    ConstantConfig,
    CosineConfig,
    OneCycleConfig,
    PlateauConfig,
    StepConfig,
)
from svhncli.config.groups.split import (
    BootstrapConfig,
    HoldoutConfig,
    KfoldConfig,
    OfficialConfig,
    OrderedConfig,
)
from svhncli.core.errors import DataError, UsageError
from svhncli.data import split
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.exclude import without
from svhncli.data.framing import Framing
from svhncli.data.render.world import Spec
from svhncli.data.store.cache import Cache, default_root
from svhncli.data.store.disk import Progress
from svhncli.engine import optimizers, schedules
from svhncli.engine.augment import Augment, warp
from svhncli.engine.policies import RANDAUGMENT, TRIVIALAUGMENT, Policy
from svhncli.registry.networks import model
from svhncli.registry.table import BUILDERS, builder, register

__all__ = ["augment", "data", "folds", "model", "optimizer", "policy", "register", "schedule", "world"]


@dataclass(frozen=True)
class Sources:
    """What a data source may need beside its own config.

    framing: which part of photographs is seen, in place of what the config says.
    """

    cache: Cache
    progress: Progress
    val_file: Path | None = None
    framing: Framing | None = None


# ----------------------------------------------------------------------------- data


def data(
    config: Any, split_config: Any, cache: str | None, progress: Progress, framing: Framing | None = None
) -> DataSet:
    """Load (render, download, convert, decode) a data set.

    framing: that of a trained network; photographs are seen by it, whatever the config says.

    Raises:
        DataError: missing or bad files, or an exclude list that does not fit them.
    """
    val_file = getattr(split_config, "file", None)
    if val_file is not None and not isinstance(config, SvhnConfig):
        raise UsageError(
            "split.file is for data=svhn and data=mix", "leave split.file out, or use another split"
        )
    folder = Path(cache).expanduser() if cache else default_root()
    sources = Sources(Cache(folder), progress, Path(val_file).expanduser() if val_file else None, framing)
    found: DataSet = BUILDERS[type(config)](config, sources)
    if (file := getattr(config, "exclude", None)) is not None:  # a plugin's source need not have the key
        found = without(found, Path(file).expanduser())
    for name, part in (("training", found.train), ("test", found.test)):
        if found.val is not None and part is not None and _same(found.val, part):
            raise DataError(
                f"the validation part holds the very pictures of the {name} part",
                "what chooses the best epoch must not train or test: name another file, or another split",
            )
    return found


def _same(one: Digits, other: Digits) -> bool:
    return one.images.shape == other.images.shape and np.array_equal(one.images, other.images)


@builder(SynthConfig)
def _synth(config: SynthConfig, sources: Sources) -> DataSet:
    from svhncli.data.sources import synth

    return synth.load(
        n_train=config.n_train,
        n_test=config.n_test,
        seed=config.seed,
        size=config.size,
        spec=world(config),
        fresh=config.fresh,
        cache=sources.cache,
        progress=sources.progress,
    )


def world(config: RenderedConfig) -> Spec:
    """Which world the renderer draws."""

    def path(text: str | None) -> Path | None:
        return Path(text).expanduser() if text else None

    return Spec(path(config.world), tuple(config.without), path(config.fonts))


@builder(SvhnConfig)
def _svhn(config: SvhnConfig, sources: Sources) -> DataSet:
    from svhncli.data.sources import svhn

    return svhn.load(
        Path(config.root).expanduser(),
        extra=config.extra,
        check_md5=config.check_md5,
        download=config.download,
        val_file=sources.val_file,
        cache=sources.cache,
        progress=sources.progress,
    )


@builder(MixConfig)
def _mix(config: MixConfig, sources: Sources) -> DataSet:
    from svhncli.data.sources import mix

    return mix.add_rendered(
        _svhn(config, sources),
        share=config.share,
        n_rendered=config.n_rendered,
        seed=config.seed,
        spec=world(config),
        fresh=config.fresh,
        cache=sources.cache,
        progress=sources.progress,
    )


def _framing(config: PhotographsConfig, sources: Sources) -> Framing:
    if sources.framing is not None:
        return sources.framing
    return Framing(config.height, config.width, config.crop, config.widen, config.jitter)


@builder(SynthFullConfig)
def _synth_full(config: SynthFullConfig, sources: Sources) -> DataSet:
    from svhncli.data.sources import synth_full

    return synth_full.load(
        _framing(config, sources),
        n_train=config.n_train,
        n_test=config.n_test,
        seed=config.seed,
        spec=world(config),
        cache=sources.cache,
        progress=sources.progress,
    )


@builder(SvhnFullConfig)
def _svhn_full(config: SvhnFullConfig, sources: Sources) -> DataSet:
    from svhncli.data.sources import svhn_full

    return svhn_full.load(
        Path(config.root).expanduser(),
        _framing(config, sources),
        extra=config.extra,
        download=config.download,
        skip_broken=config.skip_broken,
        cache=sources.cache,
        progress=sources.progress,
    )


@builder(McharConfig)
@builder(FolderConfig)
def _of_files(config: McharConfig | FolderConfig, sources: Sources) -> DataSet:
    from svhncli.data.sources import folder, mchar

    load = mchar.load if isinstance(config, McharConfig) else folder.load
    return load(
        Path(config.root).expanduser(),
        _framing(config, sources),
        skip_broken=config.skip_broken,
        cache=sources.cache,
        progress=sources.progress,
    )


# ----------------------------------------------------------------------------- split


def folds(config: Any, data: DataSet, seed: int) -> list[split.Fold]:
    """The folds of a split, each with its train and validation indices.

    Raises:
        UsageError, DataError: the data cannot be split so.
    """
    own_seed = getattr(config, "seed", None)
    return BUILDERS[type(config)](config, data, seed if own_seed is None else own_seed)


@builder(HoldoutConfig)
def _holdout(config: HoldoutConfig, data: DataSet, seed: int) -> list[split.Fold]:
    part = data.train
    return split.holdout(
        part.labels, part.groups, fraction=config.fraction, seed=seed, stratify=config.stratify
    )


@builder(KfoldConfig)
def _kfold(config: KfoldConfig, data: DataSet, seed: int) -> list[split.Fold]:
    part = data.train
    found = split.kfold(
        part.labels, part.groups, k=config.k, repeats=config.repeats, seed=seed, stratify=config.stratify
    )
    return _chosen(found, config.fold)


@builder(BootstrapConfig)
def _bootstrap(config: BootstrapConfig, data: DataSet, seed: int) -> list[split.Fold]:
    found = split.bootstrap(data.train.labels, data.train.groups, n=config.n, seed=seed)
    if config.n > 1:
        found.append(split.everything(len(data.train)))
    return _chosen(found, config.fold)


def _chosen(folds: list[split.Fold], one: int | None) -> list[split.Fold]:
    """All of them, or the one that is asked for.

    Raises:
        UsageError: there is no such fold.
    """
    if one is None:
        return folds
    if one >= len(folds):
        raise UsageError(f"split.fold={one}: there are folds 0 to {len(folds) - 1}")
    return [folds[one]]


@builder(OfficialConfig)
def _official(config: OfficialConfig, data: DataSet, seed: int) -> list[split.Fold]:
    if data.val is None:
        raise UsageError(
            f"split=official: the data ({data.name}) brings no validation part",
            "data.extra=val validates on SVHN's extra part, split.file=FILE.mat on a file of yours; "
            "mchar brings mchar_val, a folder its val/",
        )
    return split.official(len(data.train), len(data.val))


@builder(OrderedConfig)
def _ordered(config: OrderedConfig, data: DataSet, seed: int) -> list[split.Fold]:
    return split.ordered(data.train.labels, data.train.groups, fraction=config.fraction)


# ----------------------------------------------------------------------------- optimiser and schedule


def optimizer(config: Any, network: nn.Module, lr: float) -> torch.optim.Optimizer:
    """torch's optimiser over parameter groups with and without weight decay."""
    groups = optimizers.param_groups(network, config.weight_decay, config.decay_norm_and_bias)
    optimizers.avoid_compiler_import()
    return BUILDERS[type(config)](config, groups, lr)


@builder(SgdConfig)
def _sgd(config: SgdConfig, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    return optimizers.sgd(groups, lr, momentum=config.momentum, nesterov=config.nesterov)


@builder(AdamConfig)
def _adam(config: AdamConfig, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    return optimizers.adam(groups, lr, beta1=config.beta1, beta2=config.beta2, eps=config.eps)


@builder(AdamwConfig)
def _adamw(config: AdamwConfig, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    return optimizers.adamw(groups, lr, beta1=config.beta1, beta2=config.beta2, eps=config.eps)


@builder(RmspropConfig)
def _rmsprop(config: RmspropConfig, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    return optimizers.rmsprop(groups, lr, alpha=config.alpha, eps=config.eps, momentum=config.momentum)


def schedule(config: Any, steps_per_epoch: int) -> schedules.Schedule:
    """How lr changes from step to step, after a warm-up where the config has one."""
    planned = BUILDERS[type(config)](config, steps_per_epoch)
    warmup = round(config.warmup * steps_per_epoch)
    return schedules.Warmup(planned, warmup) if warmup else planned


@builder(ConstantConfig)
def _constant(config: ConstantConfig, steps_per_epoch: int) -> schedules.Schedule:
    return schedules.Constant()


@builder(CosineConfig)
def _cosine(config: CosineConfig, steps_per_epoch: int) -> schedules.Schedule:
    return schedules.Cosine(config.final, config.cycles)


@builder(OneCycleConfig)
def _one_cycle(config: OneCycleConfig, steps_per_epoch: int) -> schedules.Schedule:
    return schedules.OneCycle(config.peak, config.start_div, config.end_div)


@builder(StepConfig)
def _step(config: StepConfig, steps_per_epoch: int) -> schedules.Schedule:
    return schedules.Step(config.every, config.gamma, steps_per_epoch, config.at)


@builder(PlateauConfig)
def _plateau(config: PlateauConfig, steps_per_epoch: int) -> schedules.Schedule:
    return schedules.Plateau(config.gamma, config.patience, config.threshold, config.min_factor)


# ----------------------------------------------------------------------------- augmentation


def augment(config: AugmentConfig) -> Augment:
    """The changes of the training pictures that follow the policy."""
    own = {item.name for item in fields(Augment)}
    return Augment(**{name: value for name, value in rules.to_dict(config).items() if name in own})


def policy(config: AugmentConfig) -> Policy | None:
    """The policy of the training pictures; None where there is none."""
    if config.policy == "randaugment":
        return Policy(RANDAUGMENT, config.policy_ops, config.policy_magnitude / 10, warp)
    if config.policy == "trivialaugment":
        return Policy(TRIVIALAUGMENT, 1, None, warp)
    return None
