"""Estimates of the error on new images, from predictions on images that were not trained on.

Images of one group (a house number) are not independent: every interval here is over groups.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from svhncli.core.rng import numpy_generator
from svhncli.stats.intervals import Interval, tail, wilson

MOST_GROUPS = 5_000
"""The most groups for which BCa intervals are computed: their jackknife is quadratic in the groups."""

CELLS = 1 << 22
"""Draws (int64) that one batch of bootstrap resamples may hold: 32 MiB."""


@dataclass(frozen=True)
class Point632:
    """A .632 or .632+ error.

    R: the relative overfitting rate, from 0 (none) to 1 (as much as guessing).
    weight: the weight of the out-of-bag error; the training error has the rest.
    """

    value: float
    R: float
    weight: float


@dataclass(frozen=True)
class Resampled:
    """An accuracy and its bootstrap intervals; bca is None if there are too many groups or no spread."""

    value: float
    percentile: Interval
    bca: Interval | None


def clustered_wilson(scores: np.ndarray, groups: np.ndarray, level: float = 0.95) -> Interval:
    """Wilson's interval of the mean score of N images in groups, with an effective number of trials.

    That number is N divided by the design effect, which is the variance of the mean over groups (linearized
    as a ratio; Rao & Scott 1992) divided by that of N independent images, both estimated with one degree of
    freedom fewer than there are terms, times the squared ratio of Student's quantiles for that many groups
    and that many images (Korn & Graubard 1998), since few groups estimate their variance poorly.

    The variance ratio is taken to be at least 1: a smaller one is mostly chance, and averaging an image's
    predictions reduces its spread without accounting for the variation between runs, which all images share.
    If all scores are 0, or all are 1, it cannot be estimated and is taken to be 1. For 0/1 scores without
    groups the interval is bit-identical to that of `wilson`.

    scores: float (N,) in [0, 1], the share of an image's predictions that are correct
    groups: int (N,)

    Raises:
        ValueError: fewer than 2 groups, a score outside [0, 1], lengths that differ, or a level outside
            (0, 1).
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape != groups.shape or scores.ndim != 1:
        raise ValueError(f"{scores.shape} scores and {groups.shape} groups do not belong together")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("a score is outside [0, 1]")
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, many = len(scores), len(sizes)
    if many < 2:
        raise ValueError(f"{many} group of images has no spread: an interval needs 2 or more")
    total = float(scores.sum())
    effect = 1.0
    if 0 < total < n:
        # In integers, scaled by n², so that independent images have an effect of exactly 1.
        residual = n * np.bincount(group, scores) - total * sizes
        clustered = float(residual @ residual) * many / (many - 1)
        effect = max(1.0, clustered / (n * total * (n - total) * n / (n - 1)))
    if many < n:
        from scipy.stats import t

        effect *= float(t.ppf(tail(level), many - 1) / t.ppf(tail(level), n - 1)) ** 2
    return wilson(total / effect, n / effect, level, "clustered wilson")


def leave_one_out(wrong_sum: np.ndarray, times: np.ndarray) -> float:
    """Leave-one-out bootstrap error Err(1) (Efron & Tibshirani 1997, eq. 17).

    The mean, over the images that were out of bag at least once, of the share of the replicates that left the
    image out and misclassified it.

    wrong_sum: float (N,), the number of these replicates that misclassified each image
    times: int (N,), the number of replicates that left it out

    Raises:
        ValueError: no image was ever out of bag.
    """
    out = times > 0
    if not out.any():
        raise ValueError("no image was ever out of bag: use more replicates")
    return float(np.mean(wrong_sum[out] / times[out]))


def no_information_rate(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Error γ of predictions that are independent of the labels (Efron & Tibshirani 1997, eq. 27).

    1 - Σ p q over the classes, where p is a class's share of the labels and q its share of the predictions of
    the network that was trained on all images.

    labels, predicted: (N,) of any sortable type: digits, or whole numbers as strings

    Raises:
        ValueError: no images.
    """
    if len(labels) == 0:
        raise ValueError("0 images have no classes")
    label_class, predicted_class, classes = _classes(labels, predicted)
    shared = np.bincount(label_class, minlength=classes) @ np.bincount(predicted_class, minlength=classes)
    return 1 - int(shared) / len(labels) ** 2


def point632(train_error: float, oob_error: float) -> Point632:
    """The .632 error (Efron 1983): .368 of the training error and .632 of the out-of-bag error.

    It is too low if the network has memorized its training images: see `point632plus`.
    """
    return Point632(0.368 * train_error + 0.632 * oob_error, 0.0, 0.632)


def point632plus(train_error: float, oob_error: float, gamma: float) -> Point632:
    """The .632+ error (Efron & Tibshirani 1997, eqs. 28 to 32): less training error the more it overfits.

    R is how far the out-of-bag error lies on the way from the training error to the no-information rate γ; an
    out-of-bag error above γ is replaced by γ.
    """
    value, rate, weight = _plus(*np.array([[train_error], [oob_error], [gamma]]))
    return Point632(float(value[0]), float(rate[0]), float(weight[0]))


def resampled_intervals(
    oob_error: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 10_000,
) -> dict[str, Resampled]:
    """Percentile and BCa intervals (Efron 1987) of the accuracies "oob", "632" and "632plus".

    scipy.stats.bootstrap draws groups with replacement; the trained networks stay the same. BCa needs an
    estimate without each group in turn: above `MOST_GROUPS` groups only the percentile interval is computed.

    oob_error: float (N,), of the replicates that left the image out, the share that misclassified it; NaN if
        none left it out
    labels, predicted: (N,), as for `no_information_rate`; where they differ, the image is a training error
    groups: int (N,)

    Raises:
        ValueError: fewer than 2 groups, no image was out of bag, or a level outside (0, 1).
    """
    from scipy.stats import bootstrap

    out = ~np.isnan(oob_error)
    if not out.any():
        raise ValueError("no image was ever out of bag: use more replicates")
    table = _sums(np.where(out, oob_error, 0), out, labels, predicted, groups)
    many, columns = table.shape
    if many < 2:
        raise ValueError(f"{many} group of images cannot be resampled: it takes 2 or more")
    tail(level)

    def resample(method: Literal["percentile", "BCa"], n_resamples: int, before: Any = None) -> Any:
        return bootstrap(
            (np.arange(many),),
            lambda drawn, axis: _accuracies(table, drawn),
            vectorized=True,
            batch=max(1, CELLS // max(many, columns)),
            n_resamples=n_resamples,
            confidence_level=level,
            method=method,
            bootstrap_result=before,
            rng=numpy_generator(seed, "resampled intervals"),
        )

    # without spread, or if none of a few out-of-bag images is drawn, intervals are NaN, with warnings
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        drawn = resample("percentile", resamples)
        ends = np.stack(drawn.confidence_interval)
        bca = np.full_like(ends, np.nan)
        if many <= MOST_GROUPS:
            bca = np.stack(resample("BCa", 0, drawn).confidence_interval)
    if np.isnan(ends).any():
        raise ValueError(f"{np.count_nonzero(out)} images were out of bag: too few to resample")
    values = _accuracies(table, np.arange(many))
    return {
        name: Resampled(
            float(values[i]),
            Interval(float(ends[0, i]), float(ends[1, i]), level, "percentile bootstrap"),
            None
            if np.isnan(bca[:, i]).any()
            else Interval(float(bca[0, i]), float(bca[1, i]), level, "BCa bootstrap"),
        )
        for i, name in enumerate(("oob", "632", "632plus"))
    }


def _sums(
    wrong: np.ndarray, out: np.ndarray, labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray
) -> Any:
    """Sums over each group: a float matrix (G, 4 + 2K), sparse since whole numbers make many classes.

    Its columns: images, out-of-bag error, images out of bag, training errors, labels of each class,
    predictions of each class.
    """
    from scipy.sparse import csr_matrix

    ids, group = np.unique(groups, return_inverse=True)
    label_class, predicted_class, classes = _classes(labels, predicted)
    n = len(group)
    values = [np.ones(n), wrong, out, labels != predicted, np.ones(n), np.ones(n)]
    columns = [*(np.full(n, column) for column in range(4)), 4 + label_class, 4 + classes + predicted_class]
    cells = (np.tile(group, len(columns)), np.concatenate(columns))
    return csr_matrix((np.concatenate(values), cells), shape=(len(ids), 4 + 2 * classes))


def _accuracies(table: Any, drawn: np.ndarray) -> np.ndarray:
    """The three accuracies, float (3, …), of resampled groups, int (…, g)."""
    many = table.shape[0]
    rows = np.atleast_2d(drawn)
    cells = rows + many * np.arange(len(rows))[:, None]
    counts = np.bincount(cells.ravel(), minlength=many * len(rows)).reshape(len(rows), many)
    n, wrong, times, train_wrong, *both = (counts @ table).T
    shares = np.reshape(both, (2, -1, len(rows))) / n
    train, oob, gamma = train_wrong / n, wrong / times, 1 - shares.prod(0).sum(0)
    errors = [oob, 0.368 * train + 0.632 * oob, _plus(train, oob, gamma)[0]]
    return 1 - np.reshape(errors, (3, *drawn.shape[:-1]))


def _classes(labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Both as int (N,) class indices from 0, and the number of classes."""
    classes, index = np.unique(np.concatenate([labels, predicted]), return_inverse=True)
    return index[: len(labels)], index[len(labels) :], len(classes)


def _plus(train: np.ndarray, oob: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """.632+ errors, their R and their weights, float (…) like the arguments."""
    capped = np.minimum(oob, gamma)
    rate = np.divide(capped - train, gamma - train, out=np.zeros_like(capped), where=capped > train)
    weight = 0.632 / (1 - 0.368 * rate)
    return (1 - weight) * train + weight * capped, rate, weight
