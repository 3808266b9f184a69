"""How many planted faults `svhn inspect` finds, and what else it lists.

    python benchmarks/planted_faults.py FOLDER [--seed 0] [KEY=VALUE ...]

FOLDER contains train_32x32.mat and test_32x32.mat. In a copy of the data, 30 training labels are changed,
20 training images are copied into the test part, 10 training images are made blank, and 10 near-duplicates
are added to the training part (shifted by a pixel, changed in brightness, compressed as JPEG). Then
`svhn inspect` examines the data, and a 5-fold run trained on it. KEY=VALUE overrides apply to that run.

An item counts toward precision if it involves any planted fault, or if its image was listed as blank or as
a duplicate before anything was planted: real duplicates are not false alarms. The label errors of the
original data are unknown, so they cannot be counted.
"""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command import argument_parser, run_json, svhn_data
from PIL import Image
from scipy.io import savemat

from svhncli.data.sources import svhn
from svhncli.data.store.cache import Cache

SWAPPED, COPIED, BLANK, NEAR = 30, 20, 10, 10
TOP = 60
Location = tuple[str, int]
"""A file, "train" or "test", and the index of an image in it"""
Item = set[Location]
"""The images that an item of a finding is about: one, or a pair"""


@dataclass(frozen=True)
class Planted:
    """The images with each fault."""

    swapped: set[Location]
    copied: set[Location]
    blank: set[Location]
    near: set[Location]


def read(folder: Path, part: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 3, 32, 32) and classes int64 (N,) of a file of cropped digits."""
    digits = svhn.load_file(folder / f"{part}_32x32.mat", cache=Cache(cache))
    return np.array(digits.images), digits.labels[:, 0].copy()


def write(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    rows = images.transpose(2, 3, 1, 0)
    savemat(folder / f"{part}_32x32.mat", {"X": rows, "y": np.where(labels == 0, 10, labels)[:, None]})


def near_duplicate(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift an image uint8 (3, 32, 32) by a pixel, change its brightness, and compress it as JPEG."""
    down, right = rng.permutation([0, rng.choice([-1, 1])])
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    shifted = padded[:, 1 + down : 33 + down, 1 + right : 33 + right]
    lit = np.clip(shifted * rng.uniform(0.9, 1.1) + rng.uniform(-8, 8), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(lit.transpose(1, 2, 0)).save(file, "jpeg", quality=int(rng.integers(75, 91)))
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def plant(source: Path, folder: Path, cache: Path, seed: int) -> Planted:
    """Write a copy of the data in `source`, with faults, to `folder`."""
    rng = np.random.default_rng(seed)
    train, labels = read(source, "train", cache)
    test, test_labels = read(source, "test", cache)
    rows = rng.permutation(len(train))[: SWAPPED + COPIED + BLANK + NEAR]
    swapped, copied, blank, near = np.split(rows, np.cumsum([SWAPPED, COPIED, BLANK]))
    labels[swapped] = (labels[swapped] + rng.integers(1, 10, SWAPPED)) % 10
    colors = rng.integers(0, 256, (BLANK, 3, 1, 1))
    noise = rng.normal(0, 1.5, (BLANK, *train.shape[1:]))
    train[blank] = np.clip(colors + noise, 0, 255).astype(np.uint8)
    duplicates = np.stack([near_duplicate(train[row], rng) for row in near])
    write(folder, "train", np.concatenate([train, duplicates]), np.concatenate([labels, labels[near]]))
    test_labels = np.concatenate([test_labels, labels[copied]])
    write(folder, "test", np.concatenate([test, train[copied]]), test_labels)
    return Planted(
        {("train", int(row)) for row in swapped},
        {("test", len(test) + i) for i in range(COPIED)},
        {("train", int(row)) for row in blank},
        {("train", len(train) + i) for i in range(NEAR)},
    )


def read_findings(table: Path) -> dict[str, list[Item]]:
    """Finding -> its items."""
    findings: dict[str, list[Item]] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            sides = ((row["part"], row["index"]), (row["partner_part"], row["partner_index"]))
            item = {("test" if part == "test" else "train", int(index)) for part, index in sides if index}
            findings.setdefault(row["finding"], []).append(item)
    return findings


def score(items: list[Item], planted: set[Location], explained: set[Location]) -> list[str]:
    """The cells of a table row: recall, counts of the items by kind, and precision."""
    recalled = set().union(*items) & planted
    n_planted = sum(bool(item & planted) for item in items)
    n_explained = sum(bool(item & explained) and not item & planted for item in items)
    precision = f"{(n_planted + n_explained) / len(items):.0%}" if items else "-"
    counts = (len(items), n_planted, n_explained, len(items) - n_planted - n_explained)
    return [f"{len(recalled)} of {len(planted)}", *map(str, counts), precision]


def main() -> None:
    parser = argument_parser(__doc__, folder=True)
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temp:
        work = Path(temp)
        faulty = work / "faulty"
        cache = f"cache={work}/cache"

        def data(folder: Path) -> list[str]:
            return [*svhn_data(folder), "data.download=false", cache]

        def inspect(folder: Path, name: str) -> dict[str, list[Item]]:
            run_json("inspect", *data(folder), f"out={work}/{name}")
            return read_findings(work / name / "findings.csv")

        before = inspect(options.folder, "before")
        blank = set().union(*before.get("blank", []))
        duplicates = set().union(*before.get("exact_duplicates", []), *before.get("near_duplicates", []))
        faulty.mkdir()
        faults = plant(options.folder, faulty, work / "cache", options.seed)
        findings = inspect(faulty, "after")
        print("| finding | recall | listed | planted | explained | unexplained | precision |")
        print("|---|---|---|---|---|---|---|")
        for finding, planted, explained in (
            ("blank", faults.blank, blank),
            ("exact_duplicates", faults.copied, duplicates | faults.near),
            ("near_duplicates", faults.near, duplicates | faults.copied),
            ("leakage", faults.copied, duplicates | faults.near),
            ("contradictions", faults.swapped, duplicates | faults.near),
        ):
            print(f"| {finding} | {' | '.join(score(findings.get(finding, []), planted, explained))} |")

        run = work / "run"
        run_json(
            "train", *data(faulty), f"hydra.run.dir={run}", "split=kfold", "test=false", "watch=0", *overrides
        )
        run_json("inspect", str(run), cache)
        with (run / "inspect" / "labels.csv").open(newline="") as file:
            ranked = list(csv.DictReader(file))
        likely_errors = [{("train", int(row["index"]))} for row in ranked if row["likely_error"] == "1"]
        print(f"| label errors of a run | {' | '.join(score(likely_errors, faults.swapped, set()))} |")
        top = {("train", int(row["index"])) for row in ranked[:TOP]}
        print(f"\n{len(top & faults.swapped)} of the {SWAPPED} changed labels are among the first {TOP}.")


if __name__ == "__main__":
    main()
