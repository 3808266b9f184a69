"""Rendered photographs of whole numbers: drawn and cropped once, then read from the cache."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from svhncli.core.labels import BLANK
from svhncli.data.dataset import DataSet
from svhncli.data.framing import Framing
from svhncli.data.render.renderer import photographs
from svhncli.data.render.world import STREET, Spec
from svhncli.data.render.world import load as load_world
from svhncli.data.sources.synth import renderer
from svhncli.data.store.arrays import create_arrays
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Progress, silent


def load(
    framing: Framing,
    *,
    n_train: int,
    n_test: int,
    seed: int,
    spec: Spec = STREET,
    blank: float = 0.0,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """Numbers of the world's lengths, with their boxes; every photograph is its own group.

    n_train, n_test: photographs in each part, at least 1; n_test = 0 omits the test part.
    seed: keys the random numbers; the parts share no scene. `svhn render` writes the same photographs.
    spec: the world that is rendered.
    blank: how many photographs without digits follow in each part, as a fraction of its others. They are
        framed as those of numbers, by the boxes that their digits would have.

    Raises:
        DataError, UsageError: the world or its fonts are invalid.
        DiskError: the cache cannot be written.
    """
    train_folder = _render("train", n_train, blank, framing, seed, spec, cache, progress)
    train = load_part(train_folder, "train", "train")
    data = DataSet("synth_full", train, fingerprint(train_folder), framing=framing)
    if n_test == 0:
        return data
    test_folder = _render("test", n_test, blank, framing, seed, spec, cache, progress)
    test = load_part(test_folder, "test", "test", first_group=len(train))
    return replace(data, fingerprint=fingerprint(train_folder, test_folder), test=test)


def _render(
    part: str,
    n: int,
    blank: float,
    framing: Framing,
    seed: int,
    spec: Spec,
    cache: Cache,
    progress: Progress,
) -> Path:
    n_blank = round(blank * n)
    total = n + n_blank

    def build(folder: Path) -> None:
        longest = max(*load_world(spec).weights("number.length"), 2 if n_blank else 1)
        arrays = create_arrays(
            folder,
            part,
            {
                "images": (np.uint8, (total, 3, *framing.stored)),
                "labels": (np.int64, (total, longest)),
                "groups": (np.int64, (total,)),
                "boxes": (np.float32, (total, longest, 4)),
                "sizes": (np.int32, (total, 2)),
            },
        )
        arrays["groups"][:] = np.arange(total)
        arrays["labels"][:] = BLANK
        arrays["boxes"][:] = np.nan
        numbers = photographs(n, seed=seed, part=part, spec=spec, cache=cache)
        others = photographs(n_blank, seed=seed, part=f"{part}-blank", spec=spec, cache=cache, blank=True)
        with contextlib.closing(numbers), contextlib.closing(others):
            for row, photo in enumerate(itertools.chain(numbers, others)):
                arrays["images"][row] = framing.store(Image.fromarray(photo.image), photo.boxes.tolist())
                arrays["sizes"][row] = photo.image.shape[1::-1]
                if photo.label:
                    arrays["labels"][row, : len(photo.label)] = photo.label
                    arrays["boxes"][row, : len(photo.label)] = photo.boxes
                progress(f"render {part}", row + 1, total)

    key = {"part": part, "n": n, "seed": seed, "framing": framing.key, **renderer(spec)}
    if n_blank:
        key["blank"] = n_blank
    return cache.open(f"synth_full-{part}", key, build)
