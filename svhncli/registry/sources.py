"""Data sets from their configs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.config import rules
from svhncli.config.groups.data import PhotographsConfig, RenderedConfig, SourceConfig, SvhnConfig
from svhncli.core.errors import DataError, UsageError
from svhncli.core.paths import expanded
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.exclude import without
from svhncli.data.framing import Framing
from svhncli.data.render.world import Spec
from svhncli.data.store.cache import Cache, default_root, joint_fingerprint
from svhncli.data.store.disk import Progress
from svhncli.registry.table import BUILDERS, call, own_keys

VIEWED = "height", "width", "crop", "fit", "widen", "jitter"
"""Keys of photographs that a trained network has settled."""


@dataclass(frozen=True)
class Sources:
    """What a data source may need besides its own config.

    framing: which part of photographs is seen, in place of what the config says.
    test_only: no part is needed but test; a source that cannot load it alone loads all of them.
    """

    cache: Cache
    progress: Progress
    val_file: Path | None = None
    framing: Framing | None = None
    test_only: bool = False


def data(
    config: Any,
    split_config: Any,
    cache: str | None,
    progress: Progress,
    framing: Framing | None = None,
    *,
    test_only: bool = False,
) -> DataSet:
    """Load (render, download, convert, decode) a data set.

    framing: that of a trained network; it replaces what the config says about photographs.
    test_only: no part is needed but test. Sources that read files then load it alone, and the fingerprint is
    its own.

    Raises:
        DataError: missing or bad files, or an exclude list that does not match them.
    """
    val_file = getattr(split_config, "file", None)
    if val_file is not None and not isinstance(config, SvhnConfig):
        raise UsageError(
            "split.file is for data=svhn and data=mix", "leave split.file out, or use another split"
        )
    rules.require_paths(config, "data.")
    folder = expanded(cache) if cache else default_root()
    val_path = expanded(val_file) if val_file else None
    limit = getattr(config, "limit", None)  # a plugin's source need not have these keys
    if limit is not None and isinstance(config, RenderedConfig):
        config = _fewer(config, limit)
    loaded = _load(config, Sources(Cache(folder), progress, val_path, framing, test_only))
    file = getattr(config, "exclude", None)
    if file is not None and not test_only:  # the test part is never changed
        loaded = without(loaded, expanded(file))
    if limit is not None:
        loaded = limited(loaded, limit)
    for name, part in (("training", loaded.train), ("test", loaded.test)):
        if loaded.val is not None and part is not None and _same(loaded.val, part):
            raise DataError(
                f"the validation part holds the same images as the {name} part",
                "what chooses the best epoch must not train or test: name another file, or another split",
            )
    return loaded


def _fewer(config: RenderedConfig, limit: int) -> RenderedConfig:
    """The config for as few images as are needed, so that no others are rendered."""
    most = {"n_train": limit, "n_rendered": limit, "n_test": limit // 5}
    own = {item.name for item in fields(config)}
    few = {name: min(getattr(config, name), count) for name, count in most.items() if name in own}
    return replace(config, **few)


def limited(data: DataSet, limit: int) -> DataSet:
    """At most `limit` training images, and a fifth as many of the others, evenly spaced in their order."""

    def some(part: Digits, most: int) -> Digits:
        if len(part) <= most:
            return part
        return part.take(np.linspace(0, len(part) - 1, most).astype(np.int64))

    train = some(data.train, limit)
    val = data.val and some(data.val, limit // 5)
    test = data.test and some(data.test, limit // 5)
    if train is data.train and val is data.val and test is data.test:
        return data
    mark = joint_fingerprint(data.fingerprint, f"limit {limit}")
    return replace(data, train=train, val=val, test=test, fingerprint=mark)


def _load(config: Any, sources: Sources) -> DataSet:
    """Call the data source with its own keys; the keys that sources share become a world and a framing."""
    if (builder := BUILDERS.get(type(config))) is not None:
        return builder(config, sources)
    offered: dict[str, Any] = {
        "cache": sources.cache,
        "progress": sources.progress,
        "val_file": sources.val_file,
        "test_only": sources.test_only,
    }
    shared: list[type] = [SourceConfig]
    if isinstance(config, RenderedConfig):
        shared.append(RenderedConfig)
        offered["spec"] = world(config)
    if isinstance(config, PhotographsConfig):
        shared.append(PhotographsConfig)
        offered["framing"] = sources.framing or _framing(config)
        offered["blank"] = config.blank
    return call(config, own_keys(config, *shared), **offered)


def world(config: RenderedConfig) -> Spec:
    """Which world the renderer draws."""

    def path(text: str | None) -> Path | None:
        return expanded(text) if text else None

    return Spec(path(config.world), tuple(config.without), path(config.fonts))


def require_framing(config: Any, framing: Framing | None) -> None:
    """Refuse keys of photographs that ask for something else than a trained network sees.

    Raises:
        UsageError: such a key has neither its default nor the network's value.
    """
    if framing is None or not isinstance(config, PhotographsConfig):
        return
    asked, default = _framing(config), _framing(type(config)())
    for name in VIEWED:
        value, own = getattr(asked, name), getattr(framing, name)
        if value not in (getattr(default, name), own):
            raise UsageError(
                f"data.{name}={value}: the network was trained with {name}={own}, and sees all images so",
                f"leave data.{name} out, or train a network with it",
            )


def _framing(config: PhotographsConfig) -> Framing:
    return Framing(config.height, config.width, config.crop, config.widen, config.jitter, fit=config.fit)


def _same(first: Digits, second: Digits) -> bool:
    return first.images.shape == second.images.shape and np.array_equal(first.images, second.images)
