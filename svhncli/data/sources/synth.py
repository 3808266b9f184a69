"""The embedded data set: rendered once from fonts that installed packages ship, then read from the cache."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.render.renderer import RENDERER_VERSION, render
from svhncli.data.render.world import STREET, Spec
from svhncli.data.sources.fresh import Fresh
from svhncli.data.store.arrays import create
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Progress, silent

PACKAGES = ("Pillow", "matplotlib", "numpy", "scipy")
"""Whose versions change pixels: two ship and draw fonts, two draw random numbers and blur."""


def load(
    *,
    n_train: int,
    n_test: int,
    seed: int,
    size: int,
    spec: Spec = STREET,
    fresh: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """Rendered digits: images uint8 (N, 3, size, size); groups are house numbers, distinct over the parts.

    n_train, n_test: pictures in each part, from 1; n_test = 0 leaves the test part out.
    seed: names the random numbers; the parts share no scene.
    spec: which world is drawn.
    fresh: whether every epoch after the first trains on new pictures.

    Raises:
        DataError, UsageError: the world or its fonts are not as they should be.
        DiskError: the cache cannot be written.
    """
    train_folder = _render("train", n_train, seed, size, spec, cache, progress)
    train = load_part(train_folder, "train", "train")
    new = Fresh(cache, seed, size, spec) if fresh else None
    if n_test == 0:
        return DataSet("synth", train, fingerprint(train_folder), fresh=new)
    test_folder = _render("test", n_test, seed, size, spec, cache, progress)
    test = load_part(test_folder, "test", "test", first_group=int(train.groups.max()) + 1)
    return DataSet("synth", train, fingerprint(train_folder, test_folder), test, fresh=new)


def part(
    name: str, n: int, seed: int, size: int, spec: Spec, cache: Cache, progress: Progress = silent
) -> tuple[Digits, str]:
    """One part by itself, as `load` renders it, and its fingerprint."""
    folder = _render(name, n, seed, size, spec, cache, progress)
    return load_part(folder, name, f"rendered-{name}"), fingerprint(folder)


def renderer(spec: Spec) -> dict[str, Any]:
    """What pictures depend on beside their seed and size: part of a cache's key."""
    packages = {package: version(package) for package in PACKAGES}
    return {"renderer": RENDERER_VERSION, "world": spec.digest(), "packages": packages}


def _render(part: str, n: int, seed: int, size: int, spec: Spec, cache: Cache, progress: Progress) -> Path:
    def build(folder: Path) -> None:
        images, labels, groups = create(folder, part, n, (3, size, size))
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress(f"render {part}", done, n)

        render(images, labels, groups, seed=seed, part=part, spec=spec, cache=cache, progress=count)

    key = {"n": n, "seed": seed, "size": size, "part": part, **renderer(spec)}
    return cache.open(f"synth-{part}", key, build)
