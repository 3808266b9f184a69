"""`svhn convert`: a data set of any source in another layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from rich.console import RenderableType

from svhncli import registry
from svhncli.config.choices import CHOICES
from svhncli.config.rules import to_dict
from svhncli.config.verbs.results import ConvertConfig
from svhncli.config.words import overrides
from svhncli.core.files import place
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.formats import conversion
from svhncli.report.data_notes import say_notes
from svhncli.report.terminal import Show, facts, next_steps

SOURCES = {name: name for name in conversion.LAYOUTS} | {"mat": "svhn"}
"""Layout -> the data source that reads it."""


@dataclass(frozen=True)
class Conversion:
    """What was written: the folder, how many images of each part, and the command that trains on them."""

    out: str
    layout: str
    images: dict[str, int]
    next: list[str]


def run(config: ConvertConfig) -> Conversion:
    """Write the images that training would use, without those that it leaves out or the layout cannot hold.

    Raises:
        UsageError: the layout cannot hold the data, or `out` has other content.
        DataError: the data is missing or damaged.
        DiskError: `out` or the cache cannot be written.
    """
    show, out = Show(), place(config.out)
    with show.bars():
        data = registry.data(config.data, None, config.cache, show.work)
    say_notes(data, show)
    with show.bars():
        images = conversion.write(config.layout, data, out, show.work)
    parts = [digits for digits in (data.train, data.val, data.test) if digits is not None]
    if left_out := sum(map(len, parts)) - sum(images.values()):
        show.tell(
            f"left out {counted(left_out, 'image')} without a number: layout={config.layout} cannot hold them"
        )
    words = overrides({"data": to_dict(_source(config.layout, str(out), data))}, "train", ["data"])
    return Conversion(str(out), config.layout, images, [" ".join(["svhn train", *words])])


def table(result: Conversion) -> Iterator[RenderableType]:
    """The parts, where they are, and how to train on them."""
    parts = ", ".join(f"{count:,} {name}" for name, count in result.images.items())
    yield facts([("written", f"{result.out} ({result.layout}: {parts} images)")])
    yield from next_steps(result.next)


def _source(layout: str, root: str, data: DataSet) -> Any:
    """The config that reads what was written, with images of the same size as before."""
    kind = CHOICES["data"][SOURCES[layout]]
    wanted: dict[str, Any] = {"root": root, "check_md5": False, "download": False}
    if data.val is not None:
        wanted["extra"] = "val"
    parts = (part for part in (data.train, data.val, data.test) if part is not None)
    if layout in conversion.KEEPS_BLANK and any(part.is_blank.any() for part in parts):
        wanted["backgrounds"] = True
    height, width = data.train.shape[1:]
    if data.framing is not None:
        height, width = data.framing.height, data.framing.width
        wanted["crop"] = data.framing.crop
    elif data.train.classes == 10:
        wanted["crop"] = "whole"
    wanted |= {"height": height, "width": width}
    own = {item.name for item in fields(kind)}
    if layout not in ("mat", "svhn_full"):  # the others have a validation part of their own
        own -= {"extra"}
    return kind(**{name: value for name, value in wanted.items() if name in own})
