"""How often `svhn compare` prefers one of two equal configs, and how often it detects a better one.

    python benchmarks/false_alarms.py [--comparisons 1000] [--pictures 1000] [--seeds 5]

The networks are simulated. Each image has a difficulty, and each run has a skill drawn at random; a run
predicts an image correctly with probability logistic(skill - difficulty). The mean skill of B is that of A,
or 0.3 more. The table gives the share of comparisons in which each test finds a difference.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command import argument_parser

from svhncli.analysis.compare import verdict
from svhncli.analysis.compare.pairing import pair
from svhncli.analysis.compare.sides import Side, Training
from svhncli.core.rng import numpy_generator
from svhncli.runs.predictions import PredictionRows

LEVEL = 0.95


def simulate(rng: np.random.Generator, difficulty: np.ndarray, skill: float, sd: float, n_seeds: int) -> Side:
    """One side of a comparison, with `n_seeds` runs."""
    n = len(difficulty)
    index, labels = np.arange(n), np.full(n, "1")
    runs = []
    for seed in range(n_seeds):
        chance = 1 / (1 + np.exp(difficulty - rng.normal(skill, sd)))
        predictions = np.where(rng.random(n) < chance, "1", "7")
        runs.append(Training(seed, "", 4 * n, n, PredictionRows(index, index, labels, predictions, labels)))
    return Side(Path(), "simulated", "", "train", runs)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--comparisons", type=int, default=1000, help="number of comparisons per row")
    parser.add_argument("--pictures", type=int, default=1000, dest="images", help="images in a comparison")
    parser.add_argument("--seeds", type=int, default=5, help="runs on each side")
    options = parser.parse_args()
    print(f"{'sd of skill':>15}  {'B - A':>5}  {'images':>8}  {'seeds':>6}  {'both':>6}")
    for sd in (0.0, 0.3):
        for advantage in (0.0, 0.3):
            rng = numpy_generator(0, "false alarms", f"{sd} {advantage}")
            p = np.empty((options.comparisons, 3))
            for row in p:
                difficulty = rng.normal(-2.5, 2, options.images)
                sides = (simulate(rng, difficulty, skill, sd, options.seeds) for skill in (0, advantage))
                tests = verdict.measure(pair(*sides), LEVEL)
                row[:] = tests.p, tests.repeated.p if tests.repeated else 1, tests.p_both
            shares = "  ".join(f"{share:6.1%}" for share in (p < 1 - LEVEL).mean(0))
            print(f"{sd:15.1f}  {advantage:5.1f}    {shares}")


if __name__ == "__main__":
    main()
