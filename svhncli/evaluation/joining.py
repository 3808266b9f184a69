"""Trained networks combined into one: which they are, whether they fit together, and their weights."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.files import read_json
from svhncli.evaluation import trained
from svhncli.evaluation.trained import Trained
from svhncli.models.ensemble import Ensemble, Member
from svhncli.runs.locate import member_files
from svhncli.runs.predictions import COLLECTED, read_collected, read_rows
from svhncli.runs.run_dir import RunDir
from svhncli.stats import scores

PREDICTIONS = "val_predictions.csv"


@dataclass(frozen=True)
class Unit:
    """The networks that one word of the command line names; they share one weight equally."""

    word: str
    networks: list[Trained]

    @property
    def paths(self) -> list[Path]:
        return [network.path for network in self.networks]


def find(words: Sequence[str]) -> list[Unit]:
    """The networks that words name: a run, all of its folds, a .pt file, or a folder of .pt files (such as
    RUN/snapshots); a glob stands for what it matches.

    Raises:
        CheckpointError: there is no such run, or a file is damaged.
        UsageError: nothing is named, a network is named twice, or the networks differ in their framing,
            positions or classes.
    """
    named = [match for word in words for match in _matches(word)]
    if not named:
        raise UsageError(
            "no runs are named", "svhn ensemble RUNS..., where RUNS are runs, .pt files or folders of them"
        )
    files = [member_files(word) for word in named]
    resolved = [path.resolve() for paths in files for path in paths]
    if twice := next((path for path in resolved if resolved.count(path) > 1), None):
        raise UsageError(
            f"'{twice}' is named twice", "name each network once; how=weights fits a weight for each run"
        )
    units = [
        Unit(word, [trained.load(path) for path in paths]) for word, paths in zip(named, files, strict=True)
    ]
    first, *others = (network for unit in units for network in unit.networks)
    for other in others:
        _refuse_unlike(first, other)
    return units


def _matches(word: str) -> list[str]:
    path = Path(word).expanduser()
    if path.exists() or not glob.has_magic(word):
        return [word]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise CheckpointError(f"nothing matches '{word}'", "name folders of runs, or .pt files")
    return matches


def _refuse_unlike(first: Trained, other: Trained) -> None:
    for what, ours, theirs in (
        ("framing", first.preprocess.framing, other.preprocess.framing),
        ("number of positions", first.meta["positions"], other.meta["positions"]),
        ("number of classes", first.meta["classes"], other.meta["classes"]),
    ):
        if ours != theirs:
            raise UsageError(
                f"'{first.path}' and '{other.path}' do not have the same {what}: {ours} and {theirs}",
                "join networks that were trained for the same task",
            )


def join(networks: Sequence[Trained], shares: Sequence[float], how: str) -> Trained:
    """Combine several networks into one, which is not saved yet.

    Its input are pixels in [0, 1]: each member normalizes them itself. Fingerprint and split are those of the
    members where all agree, else None. The config is that of the first member.
    """
    first = networks[0]
    channels = max(member.meta["in_shape"][0] for member in networks)
    plain = {"grey": channels == 1, "mean": [0.0] * channels, "std": [1.0] * channels}
    meta = {
        "config": first.meta["config"],
        "fold": first.meta["fold"],
        "fingerprint": _common(networks, "fingerprint"),
        "split": _common(networks, "split") if _common(networks, "fingerprint") else None,
        "preprocess": first.preprocess.to_dict() | plain,
        "in_shape": [channels, *first.meta["in_shape"][1:]],
        "positions": first.meta["positions"],
        "classes": first.meta["classes"],
        "ensemble": {"how": how, "shares": [*shares], "members": [member.meta for member in networks]},
    }
    members = [Member(part.network, part.preprocess.mean, part.preprocess.std) for part in networks]
    network = Ensemble(members, shares, vote=how == "vote")
    return Trained(Path("best.pt"), meta, first.config, network.eval(), trained.preprocess_of(meta))


def _common(networks: Sequence[Trained], name: str) -> Any:
    """The value that all checkpoints have under a name; None if they differ or have none."""
    values = {network.meta.get(name) for network in networks}
    return values.pop() if len(values) == 1 else None


# ----------------------------------------------------------------------------- weights


def equal_shares(units: Sequence[Unit]) -> list[float]:
    """The same weight for every network, whichever run it belongs to."""
    count = sum(len(unit.networks) for unit in units)
    return [1 / count] * count


def fitted_shares(units: Sequence[Unit]) -> tuple[list[float], int]:
    """A weight for each network, fitted on the images that every unit held out, and the number of images.

    The weight of a unit is fitted to its held-out predictions (in a k-fold run, those of the fold that held
    the image out; Wolpert 1992) and divided equally among its networks.

    Raises:
        UsageError: there is only one unit, or there are no such images.
        CheckpointError: a file of predictions is damaged.
    """
    if len(units) < 2:
        raise UsageError(
            f"how=weights needs several runs, but only '{units[0].word}' is named; the folds of one run "
            "always have equal weights",
            "name several runs, or leave how out",
        )
    fingerprints = {network.meta.get("fingerprint") for unit in units for network in unit.networks}
    if len(fingerprints) > 1 or None in fingerprints:
        raise UsageError(
            "how=weights: these runs were trained on different data and have no held-out images in common",
            "use how=mean or how=vote, which need no held-out images",
        )
    held_out = [_held_out(unit) for unit in units]
    if len({part for part, *_ in held_out}) > 1:
        common = np.empty(0, np.int64)
    else:
        common = reduce(np.intersect1d, [indices for _, indices, *_ in held_out])
    if not len(common):
        raise UsageError(
            "how=weights: no image was held out by all of these runs",
            "name whole k-fold runs, or runs with the same split; how=mean and how=vote need no such images",
        )
    likely = []
    for _, indices, probabilities, labels in held_out:
        rows = np.searchsorted(indices, common)
        likely.append(np.take_along_axis(probabilities[rows], labels[rows][..., None], -1).ravel())
    weights = scores.fit_weights(np.stack(likely, 1)).tolist()
    weighted = zip(units, weights, strict=True)
    return [weight / len(unit.networks) for unit, weight in weighted for _ in unit.networks], len(common)


def _held_out(unit: Unit) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """A unit's held-out predictions: the name of the part, the indices in it int64 (N,), sorted,
    probabilities (N, L, K), labels (N, L)."""
    first = unit.networks[0]
    folder, sizes = first.path.parent, (first.meta["positions"], first.meta["classes"])
    own = all(path.name == "best.pt" for path in unit.paths) and (folder / "split.json").is_file()
    if own and len(unit.paths) == 1 and (folder / PREDICTIONS).is_file():
        predictions = read_rows(folder / PREDICTIONS, *sizes, "train the run that wrote it again")
    elif own and len(unit.paths) > 1 and (folder.parent / COLLECTED).is_file():
        predictions = read_collected(RunDir(folder.parent), *sizes)
    else:
        raise UsageError(
            f"how=weights: '{unit.word}' has no predictions for held-out images",
            "name finished runs, or use how=mean or how=vote, which need no such predictions",
        )
    return read_json(folder / "split.json")["val_part"], *predictions
