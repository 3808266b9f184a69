"""False-positive rate and power of each significance test: the share of comparisons with p < 0.05.

    python benchmarks/p_values.py [--comparisons 4000] [--trainings 2000] [--jobs 2]

If two models are equally good, 5% of the comparisons may find a difference, and no more. In the first part,
predictions are drawn at random. In the second part, small classifiers train on rendered digits. "Twins" are
two classifiers whose images carry different noise of the same strength. A coin decides which gets which
noise, so by construction they are equally good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from command import argument_parser, process_pool
from small import Classifier, Samples, is_correct, mean_sizes, nearest, rendered_digits, ridge

from svhncli.core.rng import numpy_generator
from svhncli.data import split
from svhncli.stats.significance import corrected_t, holm, images_needed, mcnemar, paired_bootstrap, paired_t

LEVEL = 0.05
SIZES = (200, 1_000, 10_000)
DISCORDANT = {0.02: 0.01, 0.10: 0.02}
"""Share of discordant images -> the true difference in accuracy when there is one"""

RESAMPLES = 2_000
"""A fifth of the default: the p-values change by less than their own standard error."""

SHARED_OUTCOME = 0.7
"""Share of the images of a house number that have the outcome drawn for the whole number"""

IMAGES, FOLDS, REPEATS, HOLDOUTS, REPLICATES = 200, 5, 5, 10, 25
NOISE, LESS_NOISE = 0.08, 0.06
SEEDS, SEED_IMAGES, FEWER_FEATURES, MORE_FEATURES = (5, 10), 600, 64, 96
MODELS, MODEL_IMAGES, MODEL_DISCORDANT = 5, 2_000, 0.10
Outcome = dict[str, float]
"""Test -> whether it rejected, and the true difference; both are averaged over comparisons."""


# ----------------------------------------------------------------------------- random predictions


def draw_scores(count: int, discordant: float, difference: float, rng: np.random.Generator) -> np.ndarray:
    """B's score minus A's for each image, float (count,)."""
    only_a, only_b = (discordant - difference) / 2, (discordant + difference) / 2
    return rng.choice([-1.0, 0.0, 1.0], count, p=[only_a, 1 - discordant, only_b])


def rejections(scores: np.ndarray, seed: int) -> Outcome:
    return {
        "McNemar": mcnemar(scores < 0, scores > 0).p < LEVEL,
        "bootstrap": paired_bootstrap(scores, seed=seed, resamples=RESAMPLES).p < LEVEL,
    }


def independent(n: int, discordant: float, difference: float, seed: int) -> Outcome:
    """Images that are independent of each other."""
    return rejections(draw_scores(n, discordant, difference, numpy_generator(seed, "independent", n)), seed)


def clustered(n: int, discordant: float, difference: float, seed: int) -> Outcome:
    """House numbers of 1 to 5 digits, most of which have the same outcome."""
    rng = numpy_generator(seed, "clustered", n)
    groups = np.repeat(np.arange(n), rng.integers(1, 6, n))[:n]
    group_scores = draw_scores(n, discordant, difference, rng)[groups]
    is_shared = rng.random(n) < SHARED_OUTCOME
    scores = np.where(is_shared, group_scores, draw_scores(n, discordant, difference, rng))
    by_number = paired_bootstrap(scores, groups, seed=seed, resamples=RESAMPLES)
    return rejections(scores, seed) | {"bootstrap over house numbers": by_number.p < LEVEL}


def several_models(seed: int) -> Outcome:
    """Several models against one baseline on the same images: does any test reject?"""
    rng = numpy_generator(seed, "several")
    is_hard = rng.random(MODEL_IMAGES) < 2 * MODEL_DISCORDANT  # a model predicts these by a coin toss
    baseline, *models = ~is_hard | (rng.random((MODELS + 1, MODEL_IMAGES)) < 0.5)
    p_values = [mcnemar(baseline, model).p for model in models]
    return {"uncorrected": min(p_values) < LEVEL, "Holm": min(holm(p_values)) < LEVEL}


# ----------------------------------------------------------------------------- trained classifiers

POOL: list[Samples] = []
"""The rendered digits, loaded once in each worker process"""


def load_pool() -> None:
    POOL.append(rendered_digits()[0])


def draw_samples(count: int, rng: np.random.Generator) -> Samples:
    return POOL[0][rng.choice(len(POOL[0].labels), count, replace=False)]


def add_noise(samples: Samples, scale: float, rng: np.random.Generator) -> Samples:
    noise = rng.normal(scale=scale, size=samples.features.shape).astype(np.float32)
    return Samples(samples.features + noise, samples.labels, samples.groups)


def accuracy(classify: Classifier, samples: Samples, fold: split.Fold) -> float:
    return float(np.mean(is_correct(classify, samples, fold)))


def twins(classify: Classifier, is_different: bool, seed: int) -> Outcome:
    """Two classifiers on the same folds; if they are different, one has less noise."""
    rng = numpy_generator(seed, "twins")
    samples = draw_samples(IMAGES, rng)
    a = add_noise(samples, NOISE, rng)
    b = add_noise(samples, LESS_NOISE if is_different else NOISE, rng)
    labels, groups = samples.labels[:, None], np.arange(IMAGES)
    repeated = split.kfold(labels, groups, k=FOLDS, repeats=REPEATS, seed=seed)
    splits = {
        f"{FOLDS} folds": repeated[:FOLDS],
        f"{REPEATS} x {FOLDS} folds": repeated,
        f"{HOLDOUTS} hold-outs of 20%": [
            split.holdout(labels, groups, fraction=0.2, seed=HOLDOUTS * seed + i)[0] for i in range(HOLDOUTS)
        ],
        f"{REPLICATES} bootstrap replicates": split.bootstrap(labels, groups, n=REPLICATES, seed=seed),
    }
    unique_folds = {id(fold): fold for folds in splits.values() for fold in folds}
    difference = {key: accuracy(classify, b, fold) - accuracy(classify, a, fold)
                  for key, fold in unique_folds.items()}  # fmt: skip
    outcome: Outcome = {}
    for name, folds in splits.items():
        differences = [difference[id(fold)] for fold in folds]
        outcome[f"{name}, plain t"] = paired_t(differences).p < LEVEL
        outcome[f"{name}, corrected t"] = corrected_t(differences, *mean_sizes(folds)).p < LEVEL
    return outcome | {"true difference": float(np.mean([difference[id(fold)] for fold in repeated]))}


def seeds(seed: int) -> Outcome:
    """Nearest neighbors on one split; each seed draws the features that its run sees."""
    rng = numpy_generator(seed, "seeds")
    samples = draw_samples(SEED_IMAGES, rng)
    first, second = add_noise(samples, NOISE, rng), add_noise(samples, NOISE, rng)
    (fold,) = split.holdout(samples.labels[:, None], np.arange(SEED_IMAGES), fraction=0.5, seed=seed)

    def accuracies(samples: Samples, n_features: int) -> list[float]:
        def select_features() -> Samples:
            columns = rng.permutation(128)[:n_features]
            return Samples(samples.features[:, columns], samples.labels, samples.groups)

        return [accuracy(nearest, select_features(), fold) for _ in range(max(SEEDS))]

    a = accuracies(first, FEWER_FEATURES)
    same = accuracies(first, FEWER_FEATURES)
    better = accuracies(first, MORE_FEATURES)
    twin = accuracies(second, FEWER_FEATURES)
    outcome: Outcome = {}
    for count in SEEDS:
        for name, b in (("no difference", same), ("more features", better), ("other noise", twin)):
            differences = [of_b - of_a for of_a, of_b in zip(a[:count], b[:count], strict=True)]
            outcome[f"{count} seeds, {name}"] = paired_t(differences).p < LEVEL
    return outcome | {"true difference": float(np.mean(better) - np.mean(a))}


# ----------------------------------------------------------------------------- tables


def averages(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """The mean of each value of the outcomes, with its standard error, in percent."""
    columns = defaultdict(list)
    for outcome in outcomes:
        for name, value in outcome.items():
            columns[name].append(value)
    cells = {}
    for name, values in columns.items():
        error = np.std(values) / np.sqrt(len(values))
        cells[name] = f"{100 * float(np.mean(values)):.2f} ± {100 * error:.2f}"
    return cells


def main() -> None:
    parser = argument_parser(__doc__, jobs=True)
    parser.add_argument("--comparisons", type=int, default=4_000, help="comparisons of random predictions")
    parser.add_argument("--trainings", type=int, default=2_000, dest="trained_pairs",
                        help="comparisons of trained classifiers")  # fmt: skip
    options = parser.parse_args()
    rendered_digits()  # fill the cache before several processes need it
    with process_pool(options.jobs, load_pool) as pool:

        def show(heading: str, compare: Callable[[int], Outcome], repeats: int) -> None:
            print(f"\n{heading}:", flush=True)
            for name, cell in averages(pool.map(compare, range(repeats), chunksize=20)).items():
                print(f"| {name} | {cell} |", flush=True)

        for name, compare in (("independent images", independent), ("images of house numbers", clustered)):
            for discordant, true_difference in DISCORDANT.items():
                for difference in (0, true_difference):
                    needed = images_needed(difference, discordant)
                    note = f" ({needed:,} images for 80% power)" if needed else ""
                    for n in SIZES:
                        heading = f"{n:,} {name}, {discordant:.0%} discordant, difference {difference:.0%}"
                        show(heading + note, partial(compare, n, discordant, difference), options.comparisons)
        show(f"{MODELS} models against one baseline", several_models, options.comparisons)
        for classify in (nearest, ridge):
            for is_different in (False, True):
                heading = f"{classify.__name__}, {'one with less noise' if is_different else 'twins'}"
                show(heading, partial(twins, classify, is_different), options.trained_pairs)
        show("seeds on one split", seeds, options.trained_pairs)


if __name__ == "__main__":
    main()
