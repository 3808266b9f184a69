"""Which accuracy estimate to trust: the bias and coverage of each, measured against the true accuracy.

    python benchmarks/estimators.py [--draws 400] [--pictures 250] [--jobs 2]

For each draw, a classifier trains on a few rendered digits, and more than 40,000 digits of other house
numbers measure its true accuracy. Every estimate made from the few digits is compared with that accuracy
(the conditional accuracy) and with its mean over all draws (the expected accuracy). Splits and statistics
are svhn's own. Writes benchmarks/estimators.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from command import argument_parser, process_pool
from small import Classifier, Samples, is_correct, mean_sizes, nearest, rendered_digits, ridge

from svhncli.core.rng import numpy_generator
from svhncli.data import split
from svhncli.stats.estimates import clustered_wilson, resampled_intervals
from svhncli.stats.intervals import Interval, fold_interval

FOLDS, REPEATS, REPLICATES = 5, 5, 50
Key = tuple[str, str]
"""The names of an estimate and of its interval"""
Estimates = dict[Key, tuple[float, Interval]]
"""Key -> accuracy and interval"""

SETTINGS: dict[str, tuple[Classifier, bool]] = {
    "nearest neighbor": (nearest, False),
    "ridge": (ridge, False),
    "ridge, house numbers": (ridge, True),
}
"""Name -> classifier, and whether whole house numbers are drawn"""


@dataclass(frozen=True)
class Measurements:
    """An estimate, its interval and the true accuracy in every draw: each float (draws,)."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    truth: np.ndarray

    @property
    def expected_truth(self) -> float:
        return float(self.truth.mean())

    @property
    def bias(self) -> float:
        return float(self.estimate.mean() - self.truth.mean())

    def rmse(self, truth: np.ndarray | float) -> float:
        return float(np.sqrt(np.mean((self.estimate - truth) ** 2)))

    def coverage(self, truth: np.ndarray | float) -> float:
        return float(np.mean((self.low <= truth) & (truth <= self.high)))


Results = dict[str, dict[Key, Measurements]]
"""Setting -> key -> measurements"""


def draw_samples(pool: Samples, count: int, whole_numbers: bool, rng: np.random.Generator) -> Samples:
    """Draw `count` images at random, or whole house numbers until there are at least `count` images."""
    if not whole_numbers:
        return pool[rng.choice(len(pool.labels), count, replace=False)]
    ids, sizes = np.unique(pool.groups, return_counts=True)
    order = rng.permutation(len(ids))
    n_groups = np.searchsorted(np.cumsum(sizes[order]), count) + 1
    return pool[np.flatnonzero(np.isin(pool.groups, ids[order[:n_groups]]))]


def make_estimates(samples: Samples, classify: Classifier, whole_numbers: bool, seed: int) -> Estimates:
    """Every estimate of the accuracy of a classifier that trains on all of `samples`."""
    labels, n = samples.labels[:, None], len(samples.labels)
    groups = samples.groups if whole_numbers else np.arange(n)
    estimates: Estimates = {}

    def validate(folds: Sequence[split.Fold]) -> tuple[np.ndarray, np.ndarray, list[float]]:
        """Correct predictions and all predictions of each image, int (N,), and the accuracy of each fold."""
        n_correct, n_predictions, accuracies = np.zeros(n, int), np.zeros(n, int), []
        for fold in folds:
            correct = is_correct(classify, samples, fold)
            n_correct[fold.val] += correct
            n_predictions[fold.val] += 1
            accuracies.append(float(correct.mean()))
        return n_correct, n_predictions, accuracies

    def add_fold_interval(name: str, folds: Sequence[split.Fold], accuracies: list[float]) -> None:
        interval = fold_interval(accuracies, *mean_sizes(folds))
        estimates[name, "corrected t"] = (float(np.mean(accuracies)), interval)

    def add_wilson_interval(name: str, scores: np.ndarray, groups: np.ndarray) -> None:
        estimates[name, "Wilson"] = (float(scores.mean()), clustered_wilson(scores, groups))

    n_correct, n_predictions, _ = validate(split.holdout(labels, groups, fraction=0.2, seed=seed))
    is_held_out = n_predictions > 0
    add_wilson_interval("hold-out 20%", n_correct[is_held_out], groups[is_held_out])

    repeated = split.kfold(labels, groups, k=FOLDS, repeats=REPEATS, seed=seed)
    for name, folds in (("5-fold", repeated[:FOLDS]), ("5 x 5-fold", repeated)):
        n_correct, n_predictions, accuracies = validate(folds)
        add_fold_interval(name, folds, accuracies)
        add_wilson_interval(name, n_correct / n_predictions, groups)

    replicates = split.bootstrap(labels, groups, n=REPLICATES, seed=seed)
    n_correct, n_predictions, accuracies = validate(replicates)
    add_fold_interval("out-of-bag", replicates, accuracies)
    scores = n_correct / n_predictions
    add_wilson_interval("out-of-bag", scores, groups)
    train_predictions = classify(samples, samples.features)
    resampled = resampled_intervals(1 - scores, samples.labels, train_predictions, groups, seed=seed)
    for key, name in (("oob", "out-of-bag"), ("632", ".632"), ("632plus", ".632+")):
        estimates[name, "percentile"] = (resampled[key].value, resampled[key].percentile)
        if (bca := resampled[key].bca) is not None:
            estimates[name, "BCa"] = (resampled[key].value, bca)
    return estimates


def run_draws(setting: str, n_images: int, seeds: range) -> tuple[list[Estimates], list[float]]:
    """The estimates and the true accuracy of some of the draws."""
    classify, whole_numbers = SETTINGS[setting]
    pool, held_out = rendered_digits()
    estimates, truth = [], []
    for seed in seeds:
        samples = draw_samples(pool, n_images, whole_numbers, numpy_generator(seed, "draw"))
        estimates.append(make_estimates(samples, classify, whole_numbers, seed))
        truth.append(float(np.mean(classify(samples, held_out.features) == held_out.labels)))
    return estimates, truth


def measure(setting: str, n_draws: int, n_images: int, jobs: int) -> dict[Key, Measurements]:
    """Every estimate over all draws."""
    seeds = [range(start, n_draws, jobs) for start in range(jobs)]
    with process_pool(jobs) as pool:
        batches = list(pool.map(run_draws, [setting] * jobs, [n_images] * jobs, seeds))
    draws = list(chain.from_iterable(estimates for estimates, _ in batches))
    truth = np.array(list(chain.from_iterable(accuracies for _, accuracies in batches)))
    measurements = {}
    for key in draws[0]:
        values, intervals = zip(*(estimates[key] for estimates in draws), strict=True)
        low, high = np.array([(interval.low, interval.high) for interval in intervals]).T
        measurements[key] = Measurements(np.array(values), low, high, truth)
    return measurements


def print_table(results: Results) -> None:
    """One row per estimate: bias, RMSE, mean width and coverage of both accuracies, in each setting."""
    heading = ["estimate", "interval"]
    for setting, measurements in results.items():
        truth = measurements["5-fold", "Wilson"].truth
        print(f"{setting}: true accuracy {truth.mean():.1%} (sd {truth.std(ddof=1):.1%} over draws)")
        heading += [f"{setting}: bias", "RMSE", "width", "coverage: conditional / expected"]
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
    for key in next(iter(results.values())):
        cells = list(key)
        for measurements in results.values():
            row = measurements[key]
            width = (row.high - row.low).mean()
            cells += [f"{100 * row.bias:+.1f}", f"{100 * row.rmse(row.truth):.1f}", f"{100 * width:.1f}"]
            conditional, expected = row.coverage(row.truth), row.coverage(row.expected_truth)
            cells.append(f"{100 * conditional:.1f} / {100 * expected:.1f}")
        print(f"| {' | '.join(cells)} |")


def plot(results: Results, path: Path) -> None:
    """Two panels with one row per estimate: bias with the central 95% of errors, and coverage."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 11, "figure.dpi": 100})
    keys = list(next(iter(results.values())))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 7.4), sharey=True, layout="constrained")
    for number, (setting, measurements) in enumerate(results.items()):
        color = f"C{number}"
        for line, key in enumerate(keys):
            if key not in measurements:
                continue
            row, y = measurements[key], line + 0.24 * (number - 1)
            errors = 100 * (row.estimate - row.truth)
            label = setting if line == 0 else None
            left.plot(np.percentile(errors, [2.5, 97.5]), [y, y], color=color, lw=1.5, alpha=0.6)
            left.plot(errors.mean(), y, "o", color=color, ms=6, label=label)
            right.plot(100 * row.coverage(row.truth), y, "o", color=color, ms=6)
            right.plot(100 * row.coverage(row.expected_truth), y, "o", color=color, mfc="white", ms=6)
    left.axvline(0, color="0.3", lw=1)
    right.axvline(95, color="0.3", lw=1)
    left.set_yticks(range(len(keys)), [f"{name}\n{interval}" for name, interval in keys], fontsize=10)
    left.invert_yaxis()
    left.set_xlabel("estimate minus true accuracy (points):\nmean and central 95%")
    right.set_xlabel("coverage of the 95% interval (%):\n● conditional accuracy  ○ expected accuracy")
    for axes in (left, right):
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for line in range(1, len(keys)):
            axes.axhline(line - 0.5, color="0.92", lw=1)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argument_parser(__doc__, jobs=True)
    parser.add_argument("--draws", type=int, default=400, help="number of training sets")
    parser.add_argument("--pictures", type=int, default=250, dest="images", help="images in a training set")
    options = parser.parse_args()
    rendered_digits()  # fill the cache before several processes need it
    results = {setting: measure(setting, options.draws, options.images, options.jobs) for setting in SETTINGS}
    print_table(results)
    plot(results, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
