"""How often each test cries wolf, and how often it sees a real difference: share of p < 0.05.

    python benchmarks/p_values.py [--comparisons 4000] [--trainings 2000] [--jobs 2]

Of models that are equally good 5 % should be told apart, and no more. Readings are drawn at random; trainings
are real ones, of small classifiers on rendered digits. Twins are two classifiers whose pictures differ by
noise of the same strength: which is which is a coin's toss, so they are exactly as good as each other.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from small import Small, digits, nearest, ridge

from svhncli.core.rng import numpy_generator
from svhncli.data import split
from svhncli.stats.significance import corrected_t, holm, images_needed, mcnemar, paired_bootstrap, paired_t

SIZES = (200, 1_000, 10_000)
DISCORDANT = {0.02: 0.01, 0.10: 0.02}
"""Share of discordant pictures -> the true difference where there is one."""

RESAMPLES = 2_000
"""A fifth of the default: p-values move by less than their own error."""

ALIKE = 0.7
"""Share of a house number's pictures that fare as one draw for the whole number does."""

PICTURES, FOLDS, REPEATS, HOLDOUTS, REPLICATES = 200, 5, 5, 10, 25
NOISE, LESS_NOISE = 0.08, 0.06
SEEDS, SEED_PICTURES, HALF, MORE = (5, 10), 600, 64, 96
MODELS, MODEL_PICTURES, MODEL_DISCORDANT = 5, 2_000, 0.10
Rejected = dict[str, float]
"""Test -> whether it rejected; and the true difference, to be averaged over comparisons as well."""


def outcomes(count: int, discordant: float, difference: float, draw: np.random.Generator) -> np.ndarray:
    """B's score minus A's, float (count,)."""
    only_a, only_b = (discordant - difference) / 2, (discordant + difference) / 2
    return draw.choice([-1.0, 0.0, 1.0], count, p=[only_a, 1 - discordant, only_b])


def independent(n: int, discordant: float, difference: float, seed: int) -> Rejected:
    found = outcomes(n, discordant, difference, numpy_generator(seed, "independent", n))
    return {
        "McNemar": mcnemar(found < 0, found > 0).p < 0.05,
        "bootstrap": paired_bootstrap(found, seed=seed, resamples=RESAMPLES).p < 0.05,
    }


def clustered(n: int, discordant: float, difference: float, seed: int) -> Rejected:
    """House numbers of 1 to 5 digits, most of which fare alike."""
    draw = numpy_generator(seed, "clustered", n)
    groups = np.repeat(np.arange(n), draw.integers(1, 6, n))[:n]
    of_group = outcomes(n, discordant, difference, draw)[groups]
    found = np.where(draw.random(n) < ALIKE, of_group, outcomes(n, discordant, difference, draw))
    return {
        "McNemar": mcnemar(found < 0, found > 0).p < 0.05,
        "bootstrap": paired_bootstrap(found, seed=seed, resamples=RESAMPLES).p < 0.05,
        "bootstrap of house numbers": paired_bootstrap(found, groups, seed=seed, resamples=RESAMPLES).p
        < 0.05,
    }


def several(seed: int) -> Rejected:
    """Models against one baseline, on the same pictures: is any of them told apart?"""
    draw = numpy_generator(seed, "several")
    hard = draw.random(MODEL_PICTURES) < 2 * MODEL_DISCORDANT  # each model reads these by a coin's toss
    rights = ~hard | (draw.random((MODELS + 1, MODEL_PICTURES)) < 0.5)
    p_values = [mcnemar(rights[0], right).p for right in rights[1:]]
    return {"uncorrected": min(p_values) < 0.05, "Holm": min(holm(p_values)) < 0.05}


POOL: list[Small] = []
"""The digits, in each process that trains."""


def prepare() -> None:
    POOL.append(digits()[0])


def noisy(data: Small, noise: float, draw: np.random.Generator) -> Small:
    more = draw.normal(scale=noise, size=data.features.shape).astype(np.float32)
    return Small(data.features + more, data.labels, data.groups)


def right(classify: object, data: Small, fold: split.Fold) -> float:
    return float(np.mean(classify(data[fold.train], data.features[fold.val]) == data.labels[fold.val]))


def twins(classify: object, difference: bool, seed: int) -> Rejected:
    """Two classifiers on the same folds."""
    draw = numpy_generator(seed, "twins")
    data = POOL[0][draw.choice(len(POOL[0].labels), PICTURES, replace=False)]
    pair = noisy(data, NOISE, draw), noisy(data, LESS_NOISE if difference else NOISE, draw)
    labels, groups = data.labels[:, None], np.arange(PICTURES)
    repeated = split.kfold(labels, groups, k=FOLDS, repeats=REPEATS, seed=seed)
    ways = {
        f"{FOLDS} folds": repeated[:FOLDS],
        f"{REPEATS} x {FOLDS} folds": repeated,
        f"{HOLDOUTS} hold-outs of 20%": [
            split.holdout(labels, groups, fraction=0.2, seed=HOLDOUTS * seed + i)[0] for i in range(HOLDOUTS)
        ],
        f"{REPLICATES} bootstrap replicates": split.bootstrap(labels, groups, n=REPLICATES, seed=seed),
    }
    scores = {id(fold): right(classify, pair[1], fold) - right(classify, pair[0], fold)
              for fold in {id(fold): fold for folds in ways.values() for fold in folds}.values()}  # fmt: skip
    found: Rejected = {}
    for way, folds in ways.items():
        differences = [scores[id(fold)] for fold in folds]
        n_train, n_val = (float(np.mean([len(part) for part in parts]))
                          for parts in ([f.train for f in folds], [f.val for f in folds]))  # fmt: skip
        found[f"{way}, plain t"] = paired_t(differences).p < 0.05
        found[f"{way}, corrected t"] = corrected_t(differences, n_train, n_val).p < 0.05
    return found | {"true difference": float(np.mean([scores[id(fold)] for fold in repeated]))}


def seeds(seed: int) -> Rejected:
    """Nearest neighbours, each of which sees the numbers that its own seed draws, on one split."""
    draw = numpy_generator(seed, "seeds")
    data = POOL[0][draw.choice(len(POOL[0].labels), SEED_PICTURES, replace=False)]
    twin, other = noisy(data, NOISE, draw), noisy(data, NOISE, draw)
    (fold,) = split.holdout(data.labels[:, None], np.arange(SEED_PICTURES), fraction=0.5, seed=seed)

    def scores(of: Small, numbers: int) -> list[float]:
        def seen() -> Small:
            return Small(of.features[:, draw.permutation(128)[:numbers]], of.labels, of.groups)

        return [right(nearest, seen(), fold) for _ in range(max(SEEDS))]

    a, same, better, equal = scores(twin, HALF), scores(twin, HALF), scores(twin, MORE), scores(other, HALF)
    found: Rejected = {}
    for many in SEEDS:
        for name, b in (("no difference", same), ("a difference", better), ("other pictures", equal)):
            differences = [second - first for first, second in zip(a[:many], b[:many], strict=True)]
            found[f"{many} seeds, {name}"] = paired_t(differences).p < 0.05
    return found | {"true difference": float(np.mean(better) - np.mean(a))}


def averaged(found: Iterable[Rejected]) -> dict[str, str]:
    """Of each test the share that rejected, with its standard error, in percent."""
    columns = defaultdict(list)
    for one in found:
        for name, value in one.items():
            columns[name].append(value)
    cells = {}
    for name, values in columns.items():
        share = float(np.mean(values))
        error = np.std(values) / np.sqrt(len(values))
        cells[name] = f"{100 * share:.2f} ± {100 * error:.2f}"
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=4_000)
    parser.add_argument("--trainings", type=int, default=2_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    digits()  # rendered once, before several processes need them
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, context, prepare) as pool:

        def shares(one: object, times: int) -> dict[str, str]:
            return averaged(pool.map(one, range(times), chunksize=20))

        for name, draw in (("independent pictures", independent), ("house numbers", clustered)):
            for discordant, true in DISCORDANT.items():
                for difference in (0, true):
                    for n in SIZES:
                        cells = shares(partial(draw, n, discordant, difference), options.comparisons)
                        needed = images_needed(difference, discordant) or "-"
                        print(f"\n{name}: {n:,}, {discordant:.0%} discordant, difference {difference:.0%}"
                              f" (needs {needed} for 80 %)")  # fmt: skip
                        show(cells)
        print(f"\n{MODELS} models against one:")
        show(shares(several, options.comparisons))
        for classify in (nearest, ridge):
            for difference in (False, True):
                print(f"\n{classify.__name__}, {'different' if difference else 'twins'}:")
                show(shares(partial(twins, classify, difference), options.trainings))
        print("\nseeds on one split:")
        show(shares(seeds, options.trainings))


def show(cells: dict[str, str]) -> None:
    print(*(f"| {name} | {cell} |" for name, cell in cells.items()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
