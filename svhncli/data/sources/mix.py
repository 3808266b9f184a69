"""Real images together with rendered ones, which are only trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.render.fresh import FreshImages
from svhncli.data.render.world import STREET, Spec
from svhncli.data.sources import svhn, synth
from svhncli.data.store.cache import Cache, joint_fingerprint
from svhncli.data.store.disk import Progress, silent

SIZES = range(16, 129)
"""Sides in pixels that the renderer supports."""


def add_rendered(
    real: DataSet,
    *,
    share: float,
    n_rendered: int,
    seed: int,
    spec: Spec = STREET,
    fresh: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """The parts of `real`, and `n_rendered` images of the same size that fill `share` of each batch.

    share: 0 <= share < 1; 0 renders nothing.
    seed, spec: which images of which world, the same as data=synth trains on.
    fresh: whether every epoch after the first renders new ones.

    Raises:
        DataError: the real images have a size that cannot be rendered, or the world is invalid.
        DiskError: the cache cannot be written.
    """
    if share == 0:
        return replace(real, name="mix")
    channels, height, width = real.train.shape
    if channels != 3 or height != width or height not in SIZES or real.train.labels.shape[1] != 1:
        raise DataError(
            f"the real images are {height}x{width} with {channels} channels; rendered ones are single "
            f"digits, square and in RGB, of {SIZES.start} to {SIZES.stop - 1} pixels",
            "provide images of such a size, or train without rendered ones: data.share=0",
        )
    rendered, mark = synth.part("train", n_rendered, seed, height, spec, cache, progress)
    return replace(
        real,
        name="mix",
        fingerprint=joint_fingerprint(real.fingerprint, mark),
        extra_train=rendered,
        share=share,
        fresh=FreshImages(cache, seed, height, spec) if fresh else None,
    )


def load(
    root: Path,
    *,
    extra: str,
    check_md5: bool,
    download: bool,
    urls: Sequence[str],
    val_file: Path | None,
    test_only: bool,
    share: float,
    n_rendered: int,
    seed: int,
    spec: Spec,
    fresh: bool,
    cache: Cache,
    progress: Progress,
) -> DataSet:
    """The official cropped set, as `svhn.load` has it, with rendered images as `add_rendered` adds them."""
    real = svhn.load(
        root,
        extra=extra,
        check_md5=check_md5,
        download=download,
        urls=urls,
        val_file=val_file,
        test_only=test_only,
        cache=cache,
        progress=progress,
    )
    return add_rendered(
        real,
        share=0.0 if test_only else share,
        n_rendered=n_rendered,
        seed=seed,
        spec=spec,
        fresh=fresh,
        cache=cache,
        progress=progress,
    )
