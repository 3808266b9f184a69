"""Which estimate of the accuracy to believe: bias and coverage of each against the truth.

    python benchmarks/estimators.py [--draws 400] [--pictures 250] [--jobs 2]

For each draw a classifier trains on a few rendered digits; more than 40,000 others, of other house numbers,
say how well it reads. What the few say by themselves is compared with that: with the accuracy of this very
classifier (conditional), and with the mean over all draws (expected). Splits and statistics are the tool's
own. Writes benchmarks/estimators.png.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from small import Small, digits, nearest, ridge

from svhncli.core.rng import numpy_generator
from svhncli.data import split
from svhncli.stats.estimates import clustered_wilson, resampled_intervals
from svhncli.stats.intervals import Interval, fold_interval

FOLDS, REPEATS, REPLICATES = 5, 5, 50
Classifier = Callable[[Small, np.ndarray], np.ndarray]
Estimates = dict[tuple[str, str], tuple[float, Interval]]
"""(estimate, interval's name) -> accuracy and interval"""

SETTINGS: dict[str, tuple[Classifier, bool]] = {
    "nearest neighbour": (nearest, False),
    "ridge": (ridge, False),
    "ridge, house numbers": (ridge, True),
}
"""What it is called -> classifier, and whether whole house numbers are drawn."""


@dataclass(frozen=True)
class Row:
    """One estimate and interval over the draws: estimates, lows, highs and truths float (draws,)."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    truth: np.ndarray

    @property
    def bias(self) -> float:
        return float(self.estimate.mean() - self.truth.mean())

    def rmse(self, truth: np.ndarray | float) -> float:
        return float(np.sqrt(np.mean((self.estimate - truth) ** 2)))

    def coverage(self, truth: np.ndarray | float) -> float:
        return float(np.mean((self.low <= truth) & (truth <= self.high)))


def drawn(pool: Small, pictures: int, whole: bool, draw: np.random.Generator) -> Small:
    """So many pictures at random; or whole house numbers, as they come, until there are as many."""
    if not whole:
        return pool[draw.choice(len(pool.labels), pictures, replace=False)]
    ids, sizes = np.unique(pool.groups, return_counts=True)
    order = draw.permutation(len(ids))
    enough = np.searchsorted(np.cumsum(sizes[order]), pictures) + 1
    return pool[np.flatnonzero(np.isin(pool.groups, ids[order[:enough]]))]


def estimates(data: Small, classify: Classifier, whole: bool, seed: int) -> Estimates:
    """Everything that `data` say about the accuracy of a classifier that trains on all of them."""
    labels, n = data.labels[:, None], len(data.labels)
    groups = data.groups if whole else np.arange(n)
    found: Estimates = {}

    def judged(folds: list[split.Fold]) -> tuple[np.ndarray, np.ndarray, list[float]]:
        """Right readings and readings of each picture, int (N,), and each fold's accuracy."""
        right, times, scores = np.zeros(n, int), np.zeros(n, int), []
        for fold in folds:
            hit = classify(data[fold.train], data.features[fold.val]) == data.labels[fold.val]
            right[fold.val] += hit
            times[fold.val] += 1
            scores.append(float(hit.mean()))
        return right, times, scores

    def over_folds(name: str, folds: list[split.Fold], scores: list[float]) -> None:
        train, val = (float(np.mean([len(part) for part in parts]))
                      for parts in ([f.train for f in folds], [f.val for f in folds]))  # fmt: skip
        found[name, "corrected t"] = (float(np.mean(scores)), fold_interval(scores, train, val))

    def over_pictures(name: str, share: np.ndarray, of: np.ndarray) -> None:
        found[name, "Wilson"] = (float(share.mean()), clustered_wilson(share, of))

    right, times, _ = judged(split.holdout(labels, groups, fraction=0.2, seed=seed))
    over_pictures("hold-out 20%", right[times > 0], groups[times > 0])

    repeated = split.kfold(labels, groups, k=FOLDS, repeats=REPEATS, seed=seed)
    for name, folds in (("5-fold", repeated[:FOLDS]), ("5 x 5-fold", repeated)):
        right, times, scores = judged(folds)
        over_folds(name, folds, scores)
        over_pictures(name, right / times, groups)

    replicates = split.bootstrap(labels, groups, n=REPLICATES, seed=seed)
    right, times, scores = judged(replicates)
    over_folds("out-of-bag", replicates, scores)
    share = right / times
    over_pictures("out-of-bag", share, groups)
    read = classify(data, data.features)
    resampled = resampled_intervals(1 - share, data.labels, read, groups, seed=seed)
    for key, name in (("oob", "out-of-bag"), ("632", ".632"), ("632plus", ".632+")):
        found[name, "percentile"] = (resampled[key].value, resampled[key].percentile)
        if (bca := resampled[key].bca) is not None:
            found[name, "BCa"] = (resampled[key].value, bca)
    return found


def one_share(setting: str, pictures: int, seeds: range) -> tuple[list[Estimates], list[float]]:
    """Estimates and the truth for some of the draws."""
    classify, whole = SETTINGS[setting]
    pool, judges = digits()
    found, truth = [], []
    for seed in seeds:
        data = drawn(pool, pictures, whole, numpy_generator(seed, "draw"))
        found.append(estimates(data, classify, whole, seed))
        truth.append(float(np.mean(classify(data, judges.features) == judges.labels)))
    return found, truth


def table(found: dict[str, dict[tuple[str, str], Row]]) -> None:
    """A line an estimate; of each setting bias, RMSE, mean width, and coverage of both truths."""
    for setting, rows in found.items():
        truth = rows["5-fold", "Wilson"].truth
        print(f"{setting}: true accuracy {truth.mean():.1%} (sd {truth.std(ddof=1):.1%} over draws)")
    for key in next(iter(found.values())):
        cells = list(key)
        for rows in found.values():
            row = rows[key]
            width, expected = (row.high - row.low).mean(), float(row.truth.mean())
            cells += [f"{100 * row.bias:+.1f}", f"{100 * row.rmse(row.truth):.1f}", f"{100 * width:.1f}"]
            cells.append(f"{100 * row.coverage(row.truth):.1f} / {100 * row.coverage(expected):.1f}")
        print(f"| {' | '.join(cells)} |")


def picture(found: dict[str, dict[tuple[str, str], Row]], path: Path) -> None:
    """Two panels, a line an estimate: bias with the middle 95% of errors, and coverage."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 11, "figure.dpi": 100})
    names = list(next(iter(found.values())))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 7.4), sharey=True, layout="constrained")
    for number, (setting, rows) in enumerate(found.items()):
        colour = f"C{number}"
        for line, name in enumerate(names):
            if name not in rows:
                continue
            row, at = rows[name], line + 0.24 * (number - 1)
            errors = 100 * (row.estimate - row.truth)
            label = setting if line == 0 else None
            left.plot(np.percentile(errors, [2.5, 97.5]), [at, at], color=colour, lw=1.5, alpha=0.6)
            left.plot(errors.mean(), at, "o", color=colour, ms=6, label=label)
            right.plot(100 * row.coverage(row.truth), at, "o", color=colour, ms=6)
            expected = 100 * row.coverage(float(row.truth.mean()))
            right.plot(expected, at, "o", color=colour, mfc="white", ms=6)
    left.axvline(0, color="0.3", lw=1)
    right.axvline(95, color="0.3", lw=1)
    left.set_yticks(range(len(names)), [f"{name}\n{interval}" for name, interval in names], fontsize=10)
    left.invert_yaxis()
    left.set_xlabel("estimate minus truth, points:\nmean and middle 95 %")
    right.set_xlabel(
        "how often the 95 % interval covers, %\n● this classifier's accuracy  ○ the expected one"
    )
    for axes in (left, right):
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for line in range(1, len(names)):
            axes.axhline(line - 0.5, color="0.92", lw=1)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path)


def measured(setting: str, draws: int, pictures: int, jobs: int) -> dict[tuple[str, str], Row]:
    """Every estimate over the draws."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        parts = [range(start, draws, jobs) for start in range(jobs)]
        shares = list(pool.map(one_share, [setting] * jobs, [pictures] * jobs, parts))
    found = [each for share, _ in shares for each in share]
    truth = np.array([each for _, share in shares for each in share])
    rows = {}
    for key in found[0]:
        estimate, intervals = zip(*(each[key] for each in found), strict=True)
        low, high = np.array([(interval.low, interval.high) for interval in intervals]).T
        rows[key] = Row(np.array(estimate), low, high, truth)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--pictures", type=int, default=250)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    digits()  # rendered once, before several processes need them
    found = {}
    for setting in SETTINGS:
        found[setting] = measured(setting, options.draws, options.pictures, options.jobs)
    table(found)
    picture(found, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
