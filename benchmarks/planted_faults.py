"""How many planted faults `svhn inspect` finds, and what else it finds.

    python benchmarks/planted_faults.py FOLDER [--seed 0] [KEY=VALUE ...]

FOLDER holds train_32x32.mat and test_32x32.mat. Of a copy, 30 training labels are swapped for others, 20
training pictures are copied into the test part, 10 training pictures are made blank, and 10 near-duplicates
are added to the training part (moved by a pixel, another brightness, JPEG). Then `svhn inspect` looks at the
data, and at a 5-fold run that is trained on it; words with "=" go to that training.

Precision counts what is planted, by whatever fault, and what was listed before anything was planted, as blank
or as a duplicate of some other picture: that real pictures are there twice is no mistake of the search. Of
label errors nobody knows which were there before.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command import told
from PIL import Image
from scipy.io import savemat

from svhncli.data.sources import svhn
from svhncli.data.store.cache import Cache

SWAPPED, COPIED, BLANK, NEAR = 30, 20, 10, 10
TOP = 60
Place = tuple[str, int]
"""A file, train or test, and a picture's index in it."""


@dataclass(frozen=True)
class Planted:
    """Which pictures have which fault."""

    swapped: set[Place]
    copied: set[Place]
    blank: set[Place]
    near: set[Place]


def read(folder: Path, part: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 3, 32, 32) and classes int64 (N,) of a file of the cropped layout."""
    digits = svhn.load_file(folder / f"{part}_32x32.mat", cache=Cache(cache))
    return np.array(digits.images), digits.labels[:, 0].copy()


def write(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    rows = images.transpose(2, 3, 1, 0)
    savemat(folder / f"{part}_32x32.mat", {"X": rows, "y": np.where(labels == 0, 10, labels)[:, None]})


def nearly(picture: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The picture uint8 (3, H, W) a pixel aside, a little lighter or darker, through JPEG of quality 75 to
    90."""
    down, right = draw.permutation([0, draw.choice([-1, 1])])
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = padded[:, 1 + down : 33 + down, 1 + right : 33 + right]
    lit = np.clip(moved * draw.uniform(0.9, 1.1) + draw.uniform(-8, 8), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(lit.transpose(1, 2, 0)).save(file, "jpeg", quality=int(draw.integers(75, 91)))
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def plant(source: Path, folder: Path, cache: Path, seed: int) -> Planted:
    """Write a copy of `source` with faults into `folder`."""
    draw = np.random.default_rng(seed)
    train, labels = read(source, "train", cache)
    test, test_labels = read(source, "test", cache)
    rows = draw.permutation(len(train))[: SWAPPED + COPIED + BLANK + NEAR]
    swapped, copied, blank, near = np.split(rows, np.cumsum([SWAPPED, COPIED, BLANK]))
    labels[swapped] = (labels[swapped] + draw.integers(1, 10, SWAPPED)) % 10
    colours = draw.integers(0, 256, (BLANK, 3, 1, 1))
    noise = draw.normal(0, 1.5, (BLANK, *train.shape[1:]))
    train[blank] = np.clip(colours + noise, 0, 255).astype(np.uint8)
    again = np.stack([nearly(train[row], draw) for row in near])
    write(folder, "train", np.concatenate([train, again]), np.concatenate([labels, labels[near]]))
    write(
        folder,
        "test",
        np.concatenate([test, train[copied]]),
        np.concatenate([test_labels, labels[copied]]),
    )
    return Planted(
        {("train", int(row)) for row in swapped},
        {("test", len(test) + place) for place in range(COPIED)},
        {("train", int(row)) for row in blank},
        {("train", len(train) + place) for place in range(NEAR)},
    )


def listed(table: Path) -> dict[str, list[set[Place]]]:
    """Finding -> for each of its items the picture and its partner, as (file, index)."""
    found: dict[str, list[set[Place]]] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            sides = ((row["part"], row["index"]), (row["partner_part"], row["partner_index"]))
            item = {("test" if part == "test" else "train", int(index)) for part, index in sides if index}
            found.setdefault(row["finding"], []).append(item)
    return found


def score(items: list[set[Place]], planted: set[Place], explained: set[Place]) -> list[str]:
    """A row of the table: recall, then what the items are."""
    hit = set().union(*items) & planted
    right = [item for item in items if item & planted]
    known = [item for item in items if not item & planted and item & explained]
    precision = f"{(len(right) + len(known)) / len(items):.0%}" if items else "-"
    counts = (len(items), len(right), len(known), len(items) - len(right) - len(known))
    return [f"{len(hit)} of {len(planted)}", *map(str, counts), precision]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temp:
        place = Path(temp)
        data = ["data=svhn", "data.check_md5=false", "data.download=false"]

        def inspected(folder: Path, name: str) -> dict[str, list[set[Place]]]:
            told("inspect", *data, f"data.root={folder}", f"cache={place}/cache", f"out={place}/{name}")
            return listed(place / name / "findings.csv")

        before = inspected(options.folder, "before")
        blank = set().union(*before.get("blank", []))
        twice = set().union(*before.get("exact_duplicates", []), *before.get("near_duplicates", []))
        (place / "faulty").mkdir()
        faults = plant(options.folder, place / "faulty", place / "cache", options.seed)
        found = inspected(place / "faulty", "found")
        print("| finding | planted ones found | listed | planted | explained | others | precision |")
        print("|---|---|---|---|---|---|---|")
        for kind, planted, known in (
            ("blank", faults.blank, blank),
            ("exact_duplicates", faults.copied, twice | faults.near),
            ("near_duplicates", faults.near, twice | faults.copied),
            ("leakage", faults.copied, twice | faults.near),
            ("contradictions", faults.swapped, twice | faults.near),
        ):
            print(f"| {kind} | {' | '.join(score(found.get(kind, []), planted, known))} |")

        where = [f"data.root={place}/faulty", f"cache={place}/cache", f"hydra.run.dir={place}/run"]
        told("train", *data, *where, "split=kfold", "test=false", "watch=0", *words)
        told("inspect", f"{place}/run", f"cache={place}/cache")
        with (place / "run" / "inspect" / "labels.csv").open(newline="") as file:
            ranked = list(csv.DictReader(file))
        likely = [{("train", int(row["index"]))} for row in ranked if row["likely_error"] == "1"]
        print(f"| labels of a run | {' | '.join(score(likely, faults.swapped, set()))} |")
        top = {("train", int(row["index"])) for row in ranked[:TOP]}
        print(f"\nOf the {SWAPPED} swapped labels {len(top & faults.swapped)} are among the first {TOP}.")


if __name__ == "__main__":
    main()
