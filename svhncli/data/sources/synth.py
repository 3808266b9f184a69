"""The built-in data set: rendered once with the fonts of installed packages, then read from the cache."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.render.fresh import FreshImages
from svhncli.data.render.renderer import RENDERER_VERSION, render
from svhncli.data.render.world import STREET, Spec
from svhncli.data.store.arrays import create
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Progress, silent

PACKAGES = ("Pillow", "matplotlib", "numpy", "scipy")
"""Their versions affect pixels: two supply and draw fonts, two supply random numbers and blur."""


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
    """Rendered digits: images uint8 (N, 3, size, size); groups are house numbers, distinct across parts.

    n_train, n_test: images in each part, at least 1; n_test = 0 omits the test part.
    seed: keys the random numbers; the parts share no scene.
    spec: the world that is rendered.
    fresh: whether every epoch after the first trains on new images.

    Raises:
        DataError, UsageError: the world or its fonts are invalid.
        DiskError: the cache cannot be written.
    """
    train_folder = _render("train", n_train, seed, size, spec, cache, progress)
    train = load_part(train_folder, "train", "train")
    new_images = FreshImages(cache, seed, size, spec) if fresh else None
    if n_test == 0:
        return DataSet("synth", train, fingerprint(train_folder), fresh=new_images)
    test_folder = _render("test", n_test, seed, size, spec, cache, progress)
    test = load_part(test_folder, "test", "test", first_group=int(train.groups.max()) + 1)
    return DataSet("synth", train, fingerprint(train_folder, test_folder), test, fresh=new_images)


def part(
    name: str, n: int, seed: int, size: int, spec: Spec, cache: Cache, progress: Progress = silent
) -> tuple[Digits, str]:
    """A single part, as `load` renders it, and its fingerprint."""
    folder = _render(name, n, seed, size, spec, cache, progress)
    return load_part(folder, name, f"rendered-{name}"), fingerprint(folder)


def renderer(spec: Spec) -> dict[str, Any]:
    """What images depend on besides their seed and size: part of a cache's key."""
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
