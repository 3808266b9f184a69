"""How often `svhn compare` would call one config better than its equal, and how often it sees a better one.

    python benchmarks/false_alarms.py [--comparisons 1000] [--pictures 1000] [--seeds 5]

Networks are simulated: each picture has a difficulty, each training a skill that is drawn anew, and a picture
is read rightly with the chance logistic(skill - difficulty). B's mean skill is A's, or 0.3 more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from svhncli.analysis.compare import verdict
from svhncli.analysis.compare.pairing import pair
from svhncli.analysis.compare.sides import Side, Training
from svhncli.core.rng import numpy_generator
from svhncli.runs.predictions import Readings

LEVEL = 0.95


def trained(draw: np.random.Generator, difficulty: np.ndarray, skill: float, sd: float, seeds: int) -> Side:
    """A run of so many seeds."""
    index = np.arange(len(difficulty))
    label = np.full(len(index), "1")
    each = []
    for seed in range(seeds):
        chance = 1 / (1 + np.exp(difficulty - draw.normal(skill, sd)))
        read = np.where(draw.random(len(index)) < chance, "1", "7")
        each.append(
            Training(seed, "", 4 * len(index), len(index), Readings(index, index, label, read, label))
        )
    return Side(Path(), "simulated", "", "train", each)


def main() -> None:
    """Print the shares in which each test rejects that there is no difference."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    told = parser.parse_args()
    print("sd of trainings  B - A  pictures  seeds   both")
    for sd in (0.0, 0.3):
        for more in (0.0, 0.3):
            draw = numpy_generator(0, "false alarms", f"{sd} {more}")
            p = np.empty((told.comparisons, 3))
            for row in p:
                difficulty = draw.normal(-2.5, 2, told.pictures)
                sides = (trained(draw, difficulty, skill, sd, told.seeds) for skill in (0, more))
                found = verdict.measure(pair(*sides), LEVEL)
                row[:] = found.p, found.repeated.p if found.repeated else 1, found.p_both
            shares = "  ".join(f"{share:6.1%}" for share in (p < 1 - LEVEL).mean(0))
            print(f"{sd:15.1f}  {more:5.1f}    {shares}")


if __name__ == "__main__":
    main()
