"""Trained networks that become one: which they are, whether they fit together, and their weights."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.config.groups.split import OfficialConfig
from svhncli.config.rules import to_dict
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.files import read_json
from svhncli.core.paths import expanded
from svhncli.data import split
from svhncli.data.dataset import DataSet
from svhncli.evaluation import trained
from svhncli.evaluation.trained import Trained
from svhncli.models.ensemble import Member, ensemble_of
from svhncli.runs.locate import member_files
from svhncli.runs.predictions import COLLECTED, read_collected, read_probabilities
from svhncli.runs.run_dir import RunDir
from svhncli.stats import scores

PREDICTIONS = "val_predictions.csv"


@dataclass(frozen=True)
class Unit:
    """What one word of the command line names: the networks of a run, which share one weight equally."""

    word: str
    networks: list[Trained]

    @property
    def paths(self) -> list[Path]:
        return [network.path for network in self.networks]


def find(words: Sequence[str]) -> list[Unit]:
    """The networks that words mean: of a run, of all of its folds, a file's, a folder's of .pt files (such as
    RUN/snapshots); a glob stands for what it matches.

    Raises:
        CheckpointError: there is no such run, or a file is damaged.
        UsageError: nothing is named, or one network twice, or networks do not see the same part of a
            photograph, or read other numbers or classes.
    """
    named = [match for word in words for match in _matches(word)]
    if not named:
        raise UsageError(
            "no runs are named", "svhn ensemble RUNS..., where RUNS are runs, .pt files or folders of them"
        )
    files = [member_files(word) for word in named]
    resolved = [path.resolve() for paths in files for path in paths]
    if twice := next((path for path in resolved if resolved.count(path) > 1), None):
        raise UsageError(f"'{twice}' is named twice", "name each network once; how=weights weighs them")
    units = [
        Unit(word, [trained.load(path) for path in paths]) for word, paths in zip(named, files, strict=True)
    ]
    first, *others = (network for unit in units for network in unit.networks)
    for other in others:
        _refuse_unlike(first, other)
    return units


def _matches(word: str) -> list[str]:
    path = expanded(word)
    if path.exists() or not glob.has_magic(word):
        return [word]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise CheckpointError(f"nothing matches '{word}'", "name runs' folders or .pt files")
    return matches


def _refuse_unlike(first: Trained, other: Trained) -> None:
    own, others = _task_of(first), _task_of(other)
    if differ := [f"{name} {own[name]} and {others[name]}" for name in own if own[name] != others[name]]:
        raise UsageError(
            f"'{first.path}' and '{other.path}' were trained for different images: {', '.join(differ)}",
            "join networks that were trained for the same task",
        )


def _task_of(network: Trained) -> dict[str, Any]:
    """How photographs become images, and what is recognized in them."""
    return asdict(network.preprocess.framing) | {
        name: network.meta[name] for name in ("positions", "classes")
    }


def join(networks: Sequence[Trained], shares: Sequence[float], how: str) -> Trained:
    """One network of several, which is in no file yet.

    It is fed with pixels in [0, 1]: each member does its own normalization. Its fingerprint and split
    are those that all members have in common, else None; its config is that of the first.
    """
    first = networks[0]
    channels = max(network.meta["in_shape"][0] for network in networks)
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
        "ensemble": {"how": how, "shares": [*shares], "members": [network.meta for network in networks]},
    }
    members = [Member(model.network, model.preprocess.mean, model.preprocess.std) for model in networks]
    network = ensemble_of(members, shares, vote=how == "vote")
    return Trained(Path("best.pt"), meta, first.config, network.eval(), trained.preprocess_of(meta))


def with_own_validation(joined: Trained, networks: Sequence[Trained], data: DataSet) -> Trained:
    """The ensemble with the data's own validation part as its own, if its members have none in common.

    The folds of a k-fold run hold out training images, so this part is as new to them as a test part. A
    member that validated on it selected its best epoch there, so with such a member it is left alone.
    """
    if data.val is None or joined.meta["split"] is not None or data.fingerprint != joined.meta["fingerprint"]:
        return joined
    (fold,) = split.official(len(data.train), len(data.val))
    if any(network.meta["split"] == fold.digest for network in networks):
        return joined
    config = replace(joined.config, split=OfficialConfig())
    own = {"config": to_dict(config), "fold": fold.name, "split": fold.digest}
    return replace(joined, meta=joined.meta | own, config=config)


def _common(networks: Sequence[Trained], name: str) -> Any:
    """The value that all checkpoints have under a name; None where they differ or have none."""
    values = {network.meta.get(name) for network in networks}
    return values.pop() if len(values) == 1 else None


# ----------------------------------------------------------------------------- weights


def equal_shares(units: Sequence[Unit]) -> list[float]:
    """The same weight for every network, whatever its run."""
    count = sum(len(unit.networks) for unit in units)
    return [1 / count] * count


def fitted_shares(units: Sequence[Unit]) -> tuple[list[float], int]:
    """A share for each network, fitted on images that validated in every unit, and how many these are.

    A unit's weight is fitted to its networks' predictions for images that they did not train on (of a k-fold
    run each image by the fold that held it out; Wolpert 1992), and divided equally among them.

    Raises:
        UsageError: there is only one unit, or there are no such images.
        CheckpointError: a file of predictions is damaged.
    """
    if len(units) < 2:
        raise UsageError(
            f"how=weights weighs runs against each other, and '{units[0].word}' is a single run, whose folds "
            "have equal weights",
            "name several runs, or leave how out",
        )
    fingerprints = {network.meta.get("fingerprint") for unit in units for network in unit.networks}
    if len(fingerprints) > 1 or None in fingerprints:
        raise UsageError(
            "how=weights: these runs were not trained on the same data, so no images validated in all",
            "how=mean and how=vote need no such images",
        )
    held_out = [_held_out(unit) for unit in units]
    if len({part for part, *_ in held_out}) > 1:
        common = np.empty(0, np.int64)
    else:
        common = reduce(np.intersect1d, [indices for _, indices, *_ in held_out])
    if not len(common):
        raise UsageError(
            "how=weights: no image validated in all of these runs",
            "weigh whole k-fold runs, or runs with the same split; how=mean and how=vote need none",
        )
    likely = []
    for _, indices, probabilities, labels in held_out:
        rows = np.searchsorted(indices, common)
        likely.append(np.take_along_axis(probabilities[rows], labels[rows][..., None], -1).ravel())
    weights = scores.fit_weights(np.stack(likely, 1)).tolist()
    weighted = zip(units, weights, strict=True)
    shares = [weight / len(unit.networks) for unit, weight in weighted for _ in unit.networks]
    return shares, len(common)


def _held_out(unit: Unit) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """The part that validated, indices in it int64 (N,), sorted, probabilities (N, L, K), labels (N, L)."""
    first = unit.networks[0]
    folder, sizes = first.path.parent, (first.meta["positions"], first.meta["classes"])
    own = all(path.name == "best.pt" for path in unit.paths) and (folder / "split.json").is_file()
    if own and len(unit.paths) == 1 and (folder / PREDICTIONS).is_file():
        predictions = read_probabilities(folder / PREDICTIONS, *sizes, "train the run again that wrote it")
    elif own and len(unit.paths) > 1 and (folder.parent / COLLECTED).is_file():
        predictions = read_collected(RunDir(folder.parent), *sizes)
    else:
        raise UsageError(
            f"how=weights: '{unit.word}' has no predictions for images that it did not train on",
            "name finished runs; how=mean and how=vote need no such images",
        )
    return read_json(folder / "split.json")["val_part"], *predictions
