"""`svhn render`: look at what the renderer draws, beside photographs, and factor by factor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from svhncli import build, schema
from svhncli.data import svhn
from svhncli.data.cache import Cache, default_root
from svhncli.data.synth import render
from svhncli.data.synth.chunk import CHUNK
from svhncli.data.synth.world import OWN, Spec, load
from svhncli.errors import UsageError
from svhncli.report.sheet import draw_sheet
from svhncli.show import Show

OVERVIEW = 128
"""Pictures on a sheet of the whole world."""
SHOWN = 32
"""Pictures on each half of a factor's sheet."""


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
    without = _drawn(data, replace(spec, without=(*spec.without, factor)), cache)
    always = _drawn(data, replace(spec, always=(factor,)), cache)
    change = np.abs(without.astype(np.int16) - always).mean((1, 2, 3))
    shown = np.sort(np.argsort(-change, kind="stable")[:SHOWN])
    return [(f"without {factor}", without[shown]), (f"with {factor}", always[shown])]


def _photographs(file: str, cache: Cache) -> np.ndarray:
    return svhn.load_file(Path(file).expanduser(), cache=cache).images


def _spread(images: np.ndarray, count: int) -> np.ndarray:
    """`count` pictures from all over."""
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]
