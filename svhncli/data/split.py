"""Which pictures train and which validate: labels and groups in, folds out; no files, no torch.

All splits are called alike: `labels` int64 (N, L), `groups` int64 (N,) of arbitrary ids (all distinct: no
grouping). A group never stands on both sides of a fold. Draws are keyed by the seed (and the repeat or
replicate), so one seed always gives the same folds, and more replicates leave the earlier ones as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.core.labels import BLANK
from svhncli.core.rng import numpy_generator

ALL = "all"
"""The fold that trains on everything, beside bootstrap replicates."""

RESERVE = 20
"""Groups of each kind that are placed one by one: small ones mend what large ones leave uneven."""


@dataclass(frozen=True)
class Fold:
    """One run's pictures.

    train: int64 sorted indices; a bootstrap repeats what it drew more than once.
    val: int64 sorted indices, each once.
    val_part: "train" where val indexes the same part, "val" where it indexes the validation part that the
        data set brings.
    """

    name: str
    train: np.ndarray
    val: np.ndarray
    val_part: str = "train"

    @property
    def digest(self) -> str:
        """A hash of which pictures train and which validate: a resumed run must meet the same ones."""
        sha = hashlib.sha256(self.val_part.encode())
        for indices in (self.train, self.val):
            sha.update(np.ascontiguousarray(indices, dtype="<i8").tobytes() + b"|")
        return sha.hexdigest()


def holdout(
    labels: np.ndarray, groups: np.ndarray, *, fraction: float, seed: int, stratify: bool = True
) -> list[Fold]:
    """One fold whose validation side holds about `fraction` of every class.

    Raises:
        UsageError: a fraction outside (0, 1), or so near to either end that a side would be empty.
    """
    _check_fraction(fraction)
    group, counts = _counts(labels, groups, stratify)
    side = _deal(counts, [1 - fraction, fraction], numpy_generator(seed, "holdout"))
    return [_checked("holdout", side[group] == 1, fraction)]


def kfold(
    labels: np.ndarray, groups: np.ndarray, *, k: int, repeats: int = 1, seed: int, stratify: bool = True
) -> list[Fold]:
    """k folds for each repeat; within a repeat every picture validates once.

    Where no groups are shared, a class's counts in two folds of a repeat differ by at most 1.

    Raises:
        UsageError: k below 2, no repeat, or fewer groups than folds.
    """
    if k < 2 or repeats < 1:
        raise UsageError(f"{repeats} x {k} folds: there must be 2 folds or more and 1 repeat or more")
    group, counts = _counts(labels, groups, stratify)
    if (found := len(counts)) < k:
        hint = f"set split.k to {found} or less" if found > 1 else "a single group cannot be parted"
        raise UsageError(f"{k} folds of {found} groups: a fold would be empty", hint)
    folds = []
    for repeat in range(repeats):
        part = _deal(counts, [1 / k] * k, numpy_generator(seed, "kfold", repeat))[group]
        prefix = f"repeat{repeat}-" if repeats > 1 else ""
        folds += [_fold(f"{prefix}fold{i}", part == i) for i in range(k)]
    return folds


def bootstrap(labels: np.ndarray, groups: np.ndarray, *, n: int, seed: int) -> list[Fold]:
    """n replicates: as many groups as there are, drawn with replacement, train; the others validate.

    Efron & Tibshirani 1993, with groups as the units; about 63.2% of them are drawn, 36.8% are out of bag.

    Raises:
        UsageError: no replicate asked for.
        DataError: so few groups that a replicate drew them all.
    """
    if n < 1:
        raise UsageError(f"{n} bootstrap replicates: there must be 1 or more")
    ids, group = np.unique(groups, return_inverse=True)
    folds = []
    for i in range(n):
        drawn = numpy_generator(seed, "bootstrap", i).integers(len(ids), size=len(ids))
        times = np.bincount(drawn, minlength=len(ids))[group]
        name = f"boot{i:0{max(2, len(str(n - 1)))}d}"
        if times.all():
            raise DataError(
                f"{name} drew all of {len(ids)} groups: nothing is left out of bag to validate on",
                "bootstrap needs more groups; try split=holdout or another seed",
            )
        folds.append(Fold(name, np.repeat(np.arange(len(group)), times), np.flatnonzero(times == 0)))
    return folds


def everything(count: int) -> Fold:
    """All of `count` pictures train and validate, so what is misread is the training error."""
    return Fold(ALL, np.arange(count), np.arange(count))


def growing(fold: Fold, groups: np.ndarray, *, fractions: Sequence[float], seed: int) -> list[Fold]:
    """The fold with ever more of its training pictures: each part holds the smaller ones, groups are whole.

    Every part is repeated to the length of the whole, so that all of them train for as many steps; what is
    left over of the last repetition are its first pictures.

    fractions: of the training pictures, ascending, in (0, 1]; a part has the fraction or a little more, since
        its last group is whole. Its name is the fraction in percent.

    Raises:
        DataError: two parts are the same, since there are so few groups.
    """
    whole = np.unique(fold.train)
    ids, group, sizes = np.unique(groups[whole], return_inverse=True, return_counts=True)
    order = numpy_generator(seed, "growing").permutation(len(ids))
    held = np.cumsum(sizes[order])
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    ends = np.searchsorted(held, np.round(np.multiply(fractions, len(whole)), 6)) + 1
    if len(np.unique(ends)) < len(ends):
        raise DataError(
            f"{len(ids)} house numbers cannot be cut at all of {', '.join(f'{f:.3g}' for f in fractions)}",
            "name sizes that lie further apart",
        )
    folds = []
    for fraction, end in zip(fractions, ends, strict=True):
        part = whole[rank[group] < end]
        folds.append(replace(fold, name=f"{100 * fraction:g}pct", train=np.sort(np.resize(part, len(whole)))))
    return folds


def ordered(labels: np.ndarray, groups: np.ndarray, *, fraction: float) -> list[Fold]:
    """One fold that validates on about the last `fraction` of the pictures.

    A group with members on both sides of the border trains whole, so nothing before the border validates.

    Raises:
        UsageError: a fraction outside (0, 1), or so near to either end that a side would be empty.
    """
    _check_fraction(fraction)
    border = len(groups) - round(fraction * len(groups))
    return [_checked("ordered", ~np.isin(groups, groups[:border]), fraction)]


def official(n_train: int, n_val: int) -> list[Fold]:
    """One fold: the whole training part, and the validation part that the data set brings.

    Raises:
        DataError: either is empty.
    """
    if n_train < 1 or n_val < 1:
        raise DataError(f"{n_train} pictures to train on, {n_val} to validate on: neither part may be empty")
    return [Fold("official", np.arange(n_train), np.arange(n_val), val_part="val")]


def _fold(name: str, val: np.ndarray) -> Fold:
    return Fold(name, np.flatnonzero(~val), np.flatnonzero(val))


def _checked(name: str, val: np.ndarray, fraction: float) -> Fold:
    if val.all() or not val.any():
        side, way = ("training", "lower") if val.any() else ("validation", "raise")
        raise UsageError(
            f"split={name} fraction={fraction:g} of {len(val)} pictures leaves the {side} side empty",
            f"{way} split.fraction, or bring more pictures; a group is never cut in two",
        )
    return _fold(name, val)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise UsageError(f"fraction={fraction:g}: it must be above 0 and below 1")


def _counts(labels: np.ndarray, groups: np.ndarray, stratify: bool) -> tuple[np.ndarray, np.ndarray]:
    """Each picture's group, int64 (N,) counted from 0, and how many of each class each group has, (G, K).

    The class that is kept in equal shares is the digit, or of a number its length: lengths are what a draw
    can get badly wrong (6 digits: 1 number in 30,000), and with several digits in each picture the digits'
    own shares come out even by themselves.
    """
    ids, group = np.unique(groups, return_inverse=True)
    stratum = labels[:, 0] if labels.shape[1] == 1 else (labels != BLANK).sum(1)
    if not stratify:
        stratum = np.zeros_like(stratum)
    classes = stratum.max(initial=0) + 1
    counts = np.bincount(group * classes + stratum, minlength=len(ids) * classes).reshape(len(ids), classes)
    return group, counts[:, counts.any(0)]


def _deal(counts: np.ndarray, shares: list[float], rng: np.random.Generator) -> np.ndarray:
    """Deal groups with these counts (G, K) to len(shares) parts; the part, int64 (G,), of every group.

    Groups with the same counts are of one kind and can stand for each other, so each kind is dealt out by the
    shares at once. The few that are left of each kind are placed one by one, the largest first, each where
    it makes the sum over parts and classes of (held - due)² / due the least (Pearson's chi-square).
    """
    order = rng.permutation(len(counts))
    # A random sum for each row of counts: sorting that is 20 times as fast as sorting rows, and two kinds
    # that met in one sum (1 chance in 10^8) would only be a little less even.
    sums = counts @ rng.integers(2**62, size=counts.shape[1])
    _, kind, members = np.unique(sums[order], return_inverse=True, return_counts=True)
    order = order[np.argsort(kind, kind="stable")]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(members) - members, members)
    ends = np.cumsum(np.floor(np.outer(shares, np.maximum(members - RESERVE, 0))), axis=0)
    part = np.empty(len(order), np.int64)
    part[order] = sum(rank >= np.repeat(end, members) for end in ends)  # len(shares): not dealt yet

    sizes = counts.sum(1)
    due = np.outer(shares, counts.sum(0))
    surplus = np.stack([counts[part == i].sum(0) for i in range(len(shares))]) - due
    total = surplus.sum(1)
    left = order[part[order] == len(shares)]
    for one in left[np.argsort(-sizes[left], kind="stable")]:
        added = counts[one]
        cost = ((2 * surplus + added) * added / due).sum(1)
        to = np.lexsort((total, cost))[0]
        part[one] = to
        surplus[to] += added
        total[to] += sizes[one]
    return part
