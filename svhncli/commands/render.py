"""`svhn render`: what the renderer draws, beside photographs and factor by factor, or as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import RenderableType

from svhncli import registry
from svhncli.config.groups.data import SynthConfig
from svhncli.config.verbs.results import RenderConfig
from svhncli.core.errors import UsageError
from svhncli.core.paths import expanded
from svhncli.core.plain import optional
from svhncli.core.rng import numpy_generator
from svhncli.data.formats import layouts, requested_labels
from svhncli.data.render import painter
from svhncli.data.render.chunk import CHUNK, render_chunk
from svhncli.data.render.dice import Dice
from svhncli.data.render.faces import DIGITS, atlas
from svhncli.data.render.world import OWN, Spec, load
from svhncli.data.sources import svhn
from svhncli.data.store.cache import Cache, default_root
from svhncli.report.terminal import Show
from svhncli.runs.contact_sheet import Block, draw_sheet

OVERVIEW = 128
"""Images on a sheet of the whole world."""
SHOWN = 32
"""Images on each half of a factor's sheet."""
COMPARED = 128
"""Images among which those are chosen that a factor changes most."""
HANDS = 40
"""Painters among whose digits the same choice is made."""


@dataclass(frozen=True)
class Rendering:
    """What was drawn: sheets and the file of the distributions, or the files and folders of a data set."""

    sheets: list[str] | None = optional()
    world: str | None = optional()
    written: list[str] | None = optional()


def run(config: RenderConfig) -> Rendering:
    """Draw a sheet of the world, and with `sheet` one of each factor; or with `layout` write a data set.

    Raises:
        UsageError: a factor does not exist, or there is already something where the data set would go.
        DataError: the world, its fonts, or the files `beside` or `labels` are invalid.
        DiskError: the folder cannot be written.
    """
    show, out = Show(), expanded(config.out)
    cache = Cache(expanded(config.cache) if config.cache else default_root())
    if config.layout == "none":
        return _look(config, config.data, out, cache, show)
    return _write(config, config.data, out, cache, show)


def table(result: Rendering) -> Iterator[RenderableType]:
    """Nothing: a line on standard error has named the files."""
    yield from ()


def _write(config: RenderConfig, data: SynthConfig, out: Path, cache: Cache, show: Show) -> Rendering:
    """A data set on disk: all of its parts, or one of them."""
    order = layouts.RenderSettings(data.seed, data.size, registry.world(data), cache)
    parts: dict[str, int | requested_labels.RequestedLabels]
    if config.labels is not None:
        file = expanded(config.labels)
        part = requested_labels.part_of(file) if config.part == "all" else config.part
        parts = {part: requested_labels.read(file)}
    else:
        named = layouts.PARTS[config.layout] if config.part == "all" else (config.part,)
        sizes = {part: data.n_train if part == "train" else data.n_test for part in named}
        parts = {part: count for part, count in sizes.items() if count}
        if not parts:
            raise UsageError(f"part={config.part} has no images", "give their number with data.n_test")
    with show.bars():
        written = layouts.write(config.layout, out, parts, order, show.work)
    show.say(f"written to '{out}': {', '.join(path.name for path in written)}")
    return Rendering(written=[str(path) for path in written])


def _look(config: RenderConfig, data: SynthConfig, out: Path, cache: Cache, show: Show) -> Rendering:
    """Sheets of the world, and of its factors."""
    spec, sheets = registry.world(data), [out / "world.png"]
    images = _drawn(data, spec, cache, CHUNK)
    blocks = [Block(f"renders, seed {data.seed}", _spread(images, OVERVIEW))]
    if config.beside is not None:
        blocks.append(Block(config.beside, _spread(_photographs(config.beside, cache), OVERVIEW)))
    draw_sheet(sheets[0], blocks)
    if config.sheet:
        factors = [factor for factor in load(spec).factors if factor not in spec.without]
        with show.bars():
            for number, factor in enumerate(factors, 1):
                sheets.append(out / f"{number:02d}-{factor}.png")
                draw_sheet(sheets[-1], _compared(data, spec, factor, cache))
                show.work("draw factors", number, len(factors))
    show.say(f"drawn in '{out}', by the distributions of {OWN}")
    return Rendering(sheets=[str(path) for path in sheets], world=str(OWN))


def _drawn(data: SynthConfig, spec: Spec, cache: Cache, count: int) -> np.ndarray:
    """Crops, uint8 (count, 3, size, size)."""
    world = load(spec)
    images, _, _ = render_chunk(
        data.seed, "sheet", 0, data.size, world, atlas(spec.fonts, world, cache), count
    )
    return images


def _compared(data: SynthConfig, spec: Spec, factor: str, cache: Cache) -> list[Block]:
    """The same scenes without a factor and with it: those that it changes the most."""
    specs = replace(spec, without=(*spec.without, factor)), replace(spec, always=(factor,))
    if factor in painter.OF_A_HAND:
        without, always = (_specimens(data, sheet_spec) for sheet_spec in specs)
    else:
        without, always = (_drawn(data, sheet_spec, cache, COMPARED) for sheet_spec in specs)
    change = np.abs(without.astype(np.int16) - always).mean((1, 2, 3))
    shown = np.sort(np.argsort(-change, kind="stable")[:SHOWN])
    return [Block(f"without {factor}", without[shown]), Block(f"with {factor}", always[shown])]


def _specimens(data: SynthConfig, spec: Spec) -> np.ndarray:
    """Digits of painters, black on white, uint8 (10 * HANDS, 3, size, size)."""
    hands = painter.hands(Dice(numpy_generator(data.seed, "specimens"), HANDS, load(spec)))
    side = 4 * data.size  # drawn larger, so that edges are soft
    inks = [painter.ink(hand, digit, 0.7 * side, side, 0.15 * side) for hand in hands for digit in DIGITS]
    shares = np.stack(inks).reshape(-1, data.size, 4, data.size, 4).mean((2, 4))
    return np.repeat((255 * (1 - shares)).astype(np.uint8)[:, None], 3, axis=1)


def _photographs(file: str, cache: Cache) -> np.ndarray:
    return svhn.load_file(expanded(file), cache=cache).images


def _spread(images: np.ndarray, count: int) -> np.ndarray:
    """`count` images, spread evenly."""
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]
