"""`svhn render`: look at what the renderer draws, beside photographs, and factor by factor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from svhncli import build, schema
from svhncli.data import svhn
from svhncli.data.cache import Cache, default_root
from svhncli.data.synth import painter, render
from svhncli.data.synth.chunk import CHUNK
from svhncli.data.synth.dice import Dice
from svhncli.data.synth.faces import DIGITS
from svhncli.data.synth.world import OWN, Spec, load
from svhncli.errors import UsageError
from svhncli.report.sheet import draw_sheet
from svhncli.rng import numpy_generator
from svhncli.show import Show

OVERVIEW = 128
"""Pictures on a sheet of the whole world."""
SHOWN = 32
"""Pictures on each half of a factor's sheet."""
HANDS = 40
"""Painters, whose digits are looked through for those that a factor changes most."""


def run(config: schema.Render) -> dict[str, Any]:
    """Draw a sheet of the world, and with `sheet` one of each factor.

    Returns:
        {"sheets": the files, "world": the file of the distributions}.

    Raises:
        UsageError: the data is not rendered, or a factor does not exist.
        DataError: the world, its fonts or the file `beside` are not as they should be.
    """
    if not isinstance(config.data, schema.Synth):
        raise UsageError(f"data={config.data.name} is not rendered", "choose data=synth")
    show, spec, out = Show(), build.world(config.data), Path(config.out).expanduser()
    sheets = [out / "world.png"]
    cache = Cache(Path(config.cache).expanduser() if config.cache else default_root())
    pictures = _drawn(config.data, spec, cache)
    blocks = [(f"renders, seed {config.data.seed}", _spread(pictures, OVERVIEW))]
    if config.beside is not None:
        blocks.append((config.beside, _spread(_photographs(config.beside, cache), OVERVIEW)))
    draw_sheet(sheets[0], blocks)
    if config.sheet:
        factors = list(load(spec).factors)
        with show.bars():
            for number, factor in enumerate(factors, 1):
                sheets.append(out / f"{number:02d}-{factor}.png")
                draw_sheet(sheets[-1], _compared(config.data, spec, factor, cache))
                show.work("draw factors", number, len(factors))
    show.say(f"drawn in '{out}', by the distributions of {OWN}")
    return {"sheets": [str(path) for path in sheets], "world": str(OWN)}


def _drawn(data: schema.Synth, spec: Spec, cache: Cache) -> np.ndarray:
    """A chunk of crops, uint8 (CHUNK, 3, size, size)."""
    images = np.empty((CHUNK, 3, data.size, data.size), np.uint8)
    labels, groups = np.empty((CHUNK, 1), np.int64), np.empty(CHUNK, np.int64)
    render(images, labels, groups, seed=data.seed, part="sheet", spec=spec, cache=cache, workers=1)
    return images


def _compared(data: schema.Synth, spec: Spec, factor: str, cache: Cache) -> list[tuple[str, np.ndarray]]:
    """The same scenes without a factor and with it: those that it changes the most."""
    specs = replace(spec, without=(*spec.without, factor)), replace(spec, always=(factor,))
    if factor in painter.OF_A_HAND:
        without, always = (_specimens(data, each) for each in specs)
    else:
        without, always = (_drawn(data, each, cache) for each in specs)
    change = np.abs(without.astype(np.int16) - always).mean((1, 2, 3))
    shown = np.sort(np.argsort(-change, kind="stable")[:SHOWN])
    return [(f"without {factor}", without[shown]), (f"with {factor}", always[shown])]


def _specimens(data: schema.Synth, spec: Spec) -> np.ndarray:
    """Digits of painters, black on white, uint8 (10 * HANDS, 3, size, size)."""
    hands = painter.hands(Dice(numpy_generator(data.seed, "specimens"), HANDS, load(spec)))
    side = 4 * data.size  # drawn larger, so that edges are soft
    inks = [painter.ink(hand, digit, 0.7 * side, side, 0.15 * side) for hand in hands for digit in DIGITS]
    shares = np.stack(inks).reshape(-1, data.size, 4, data.size, 4).mean((2, 4))
    return np.repeat((255 * (1 - shares)).astype(np.uint8)[:, None], 3, axis=1)


def _photographs(file: str, cache: Cache) -> np.ndarray:
    return svhn.load_file(Path(file).expanduser(), cache=cache).images


def _spread(images: np.ndarray, count: int) -> np.ndarray:
    """`count` pictures from all over."""
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]
