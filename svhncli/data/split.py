"""Splits into training and validation images: labels and groups in, folds out; no files, no torch.

All splits take `labels` int64 (N, L) and `groups` int64 (N,), arbitrary ids (all distinct: no grouping).
A group is never on both sides of a fold. Draws are keyed by the seed (and the repeat or replicate), so a
seed always gives the same folds, and adding replicates does not change earlier ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.core.labels import BLANK
from svhncli.core.rng import numpy_generator
from svhncli.core.text import counted

ALL = "all"
"""The fold that trains on everything, next to bootstrap replicates."""

RESERVE = 20
"""Groups of each kind that are placed one at a time, to even out what dealing in bulk leaves uneven."""

MISSED = 0.1
"""A validation side that misses its number of images by more than this share of it is drawn anew."""


@dataclass(frozen=True)
class Fold:
    """The images that a network trains on, and those it is validated on.

    train: int64 sorted indices; a bootstrap sample repeats what was drawn more than once.
    val: int64 sorted indices, all distinct.
    val_part: "train" if `val` indexes the training part, "val" if it indexes the validation part that comes
        with the data set.
    """

    name: str
    train: np.ndarray
    val: np.ndarray
    val_part: str = "train"

    @property
    def digest(self) -> str:
        """A hash of the fold's indices: a resumed run requires the same ones."""
        sha = hashlib.sha256(self.val_part.encode())
        for indices in (self.train, self.val):
            sha.update(np.ascontiguousarray(indices, dtype="<i8").tobytes() + b"|")
        return sha.hexdigest()


def holdout(
    labels: np.ndarray, groups: np.ndarray, *, fraction: float, seed: int, stratify: bool = True
) -> list[Fold]:
    """A single fold whose validation side holds about `fraction` of every class.

    Where a class has too few images for that, rounding it in every class would miss the fraction of all
    images; then that fraction is met, spread over the classes as evenly as it goes.

    Raises:
        UsageError: a fraction outside (0, 1), or so close to 0 or 1 that a side would be empty.
    """
    _check_fraction(fraction)
    group, counts = _counts(labels, groups, stratify)
    val = _deal(counts, [1 - fraction, fraction], numpy_generator(seed, "holdout")) == 1
    due = fraction * len(labels)
    if abs(counts[val].sum() - due) > MISSED * due:
        spread = _spread(counts, fraction, numpy_generator(seed, "holdout", "few"))
        val = min(val, spread, key=lambda chosen: abs(counts[chosen].sum() - due))
    return [_checked("holdout", val[group], fraction)]


def kfold(
    labels: np.ndarray, groups: np.ndarray, *, k: int, repeats: int = 1, seed: int, stratify: bool = True
) -> list[Fold]:
    """k folds per repeat; within a repeat, every image is in exactly one validation side.

    If no two images share a group, a class's counts in two folds of a repeat differ by at most 1.

    Raises:
        UsageError: k below 2, no repeats, or fewer groups than folds.
    """
    if k < 2 or repeats < 1:
        raise UsageError(f"{repeats} x {k} folds: at least 2 folds and 1 repeat are needed")
    group, counts = _counts(labels, groups, stratify)
    if (n_groups := len(counts)) < k:
        hint = f"set split.k to {n_groups} or less" if n_groups > 1 else "a single group cannot be split"
        raise UsageError(f"{k} folds, but only {counted(n_groups, 'group')}: a fold would be empty", hint)
    folds = []
    for repeat in range(repeats):
        part = _deal(counts, [1 / k] * k, numpy_generator(seed, "kfold", repeat))[group]
        prefix = f"repeat{repeat}-" if repeats > 1 else ""
        folds += [_fold(f"{prefix}fold{i}", part == i) for i in range(k)]
    return folds


def bootstrap(labels: np.ndarray, groups: np.ndarray, *, n: int, seed: int) -> list[Fold]:
    """n replicates: each trains on G groups drawn with replacement from all G, and validates on the others.

    Efron & Tibshirani 1993, with groups as the units; about 63.2% are drawn and 36.8% are out of bag.

    Raises:
        UsageError: fewer than 1 replicate.
        DataError: so few groups that a replicate drew all of them.
    """
    if n < 1:
        raise UsageError(f"{n} bootstrap replicates: at least 1 is needed")
    ids, group = np.unique(groups, return_inverse=True)
    folds = []
    for i in range(n):
        drawn = numpy_generator(seed, "bootstrap", i).integers(len(ids), size=len(ids))
        times = np.bincount(drawn, minlength=len(ids))[group]
        name = f"boot{i:0{max(2, len(str(n - 1)))}d}"
        if times.all():
            raise DataError(
                f"{name} drew all {len(ids)} groups: none is out of bag to validate on",
                "a bootstrap needs more groups; try split=holdout or another seed",
            )
        folds.append(Fold(name, np.repeat(np.arange(len(group)), times), np.flatnonzero(times == 0)))
    return folds


def everything(count: int) -> Fold:
    """All `count` images for training and validation, so errors are training errors."""
    return Fold(ALL, np.arange(count), np.arange(count))


def growing(fold: Fold, groups: np.ndarray, *, fractions: Sequence[float], seed: int) -> list[Fold]:
    """The fold with growing subsets of its training images: each contains the smaller ones and whole groups.

    Every subset is repeated to the length of the whole, so that all train for the same number of steps; the
    last repetition is cut off after its first images.

    fractions: of the training images, ascending, in (0, 1]; a subset has the fraction or a little more, since
        its last group is whole. Its name is the fraction in percent.

    Raises:
        DataError: two subsets are the same, since there are too few groups.
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
            f"{len(ids)} groups cannot be cut at {', '.join(f'{f:.3g}' for f in fractions)}",
            "choose sizes that lie further apart",
        )
    folds = []
    for fraction, end in zip(fractions, ends, strict=True):
        part = whole[rank[group] < end]
        folds.append(replace(fold, name=f"{100 * fraction:g}pct", train=np.sort(np.resize(part, len(whole)))))
    return folds


def ordered(labels: np.ndarray, groups: np.ndarray, *, fraction: float) -> list[Fold]:
    """A single fold that validates on about the last `fraction` of the images.

    A group with images on both sides of the border goes to the training side, so no validation image is
    before the border.

    Raises:
        UsageError: a fraction outside (0, 1), or so close to 0 or 1 that a side would be empty.
    """
    _check_fraction(fraction)
    border = len(groups) - round(fraction * len(groups))
    return [_checked("ordered", ~np.isin(groups, groups[:border]), fraction)]


def official(n_train: int, n_val: int) -> list[Fold]:
    """A single fold: the whole training part, and the validation part that comes with the data set.

    Raises:
        DataError: either is empty.
    """
    if n_train < 1 or n_val < 1:
        raise DataError(f"{n_train} training and {n_val} validation images: neither part may be empty")
    return [Fold("official", np.arange(n_train), np.arange(n_val), val_part="val")]


def _fold(name: str, val: np.ndarray) -> Fold:
    return Fold(name, np.flatnonzero(~val), np.flatnonzero(val))


def _checked(name: str, val: np.ndarray, fraction: float) -> Fold:
    if val.all() or not val.any():
        side, way = ("training", "lower") if val.any() else ("validation", "raise")
        hint = f"{way} split.fraction, or provide more images; a group is never split"
        if len(val) == 1:
            hint = "a single image cannot be split: provide more"
        raise UsageError(
            f"split={name} fraction={fraction:g} of {len(val)} images leaves the {side} side empty",
            hint,
        )
    return _fold(name, val)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise UsageError(f"fraction={fraction:g}: it must be above 0 and below 1")


def _counts(labels: np.ndarray, groups: np.ndarray, stratify: bool) -> tuple[np.ndarray, np.ndarray]:
    """Each image's group, int64 (N,) counted from 0, and each group's counts of the classes, (G, K).

    Stratified are digits or, for whole numbers, their lengths: random splits can get lengths badly wrong
    (6 digits: 1 number in 30,000), whereas with several digits per image, the shares of the digits even out
    by themselves. Images without a number are a class or a length of their own.
    """
    ids, group = np.unique(groups, return_inverse=True)
    lengths = (labels != BLANK).sum(1)
    single = labels.shape[1] == 1 or (lengths.max(initial=0) == 1 and not lengths.all())
    stratum = labels[:, 0] if single else lengths
    if not stratify:
        stratum = np.zeros_like(stratum)
    classes = stratum.max(initial=0) + 1
    counts = np.bincount(group * classes + stratum, minlength=len(ids) * classes).reshape(len(ids), classes)
    return group, counts[:, counts.any(0)]


def _spread(counts: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Whether each group is on the validation side, bool (G,): the fraction of all images, as it goes.

    Groups are added one at a time, each where the classes deviate the least from their dues (sum of squares),
    as long as the total comes nearer to its own.
    """
    sizes, due = counts.sum(1), fraction * counts.sum(0)
    chosen, order = np.zeros(len(counts), bool), rng.permutation(len(counts))
    while True:
        held = counts[chosen].sum(0)
        nearer = abs(held.sum() + sizes - due.sum()) < abs(held.sum() - due.sum())
        open_ = order[(nearer & ~chosen)[order]]
        if not len(open_):
            return chosen
        chosen[open_[((held + counts[open_] - due) ** 2).sum(1).argmin()]] = True


def _deal(counts: np.ndarray, shares: list[float], rng: np.random.Generator) -> np.ndarray:
    """Deal groups with these counts (G, K) to len(shares) parts; returns the part of each group, int64 (G,).

    Groups with equal counts are of one kind and interchangeable, so most of each kind is dealt in bulk by the
    shares. The few that remain of each kind are placed one at a time, the largest first, each where it
    minimizes the sum over parts and classes of (held - due)² / due (Pearson's chi-square).
    """
    order = rng.permutation(len(counts))
    # A random sum of each row of counts: sorting sums is 20 times as fast as sorting rows, and if two kinds
    # had the same sum (a chance of 1 in 10^8), they would only be dealt a little less evenly.
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
    for chosen in left[np.argsort(-sizes[left], kind="stable")]:
        added = counts[chosen]
        cost = ((2 * surplus + added) * added / due).sum(1)
        to = np.lexsort((total, cost))[0]
        part[chosen] = to
        surplus[to] += added
        total[to] += sizes[chosen]
    return part
