"""What each factor of the rendered world contributes: recipe `quick` without it, scored on photographs.

    python benchmarks/ablation.py FOLDER [KEY=VALUE ...] [--jobs 2] [--seeds 1] [--factors shadow ...]

FOLDER contains train_32x32.mat and test_32x32.mat. Both are used for scoring only, never for training.
Every run uses one thread, and KEY=VALUE overrides apply to every run. The first line gives the mean and the
standard deviation over five seeds of the full world. Each further line gives accuracy and mean loss without
one factor, and the difference from the full world with the same seeds. A difference below two standard
deviations is not conclusive.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from command import argument_parser, process_pool, run_json, svhn_data

from svhncli.data.render.world import STREET, load

BASELINE_SEEDS = 5
Score = tuple[float, float]
"""Accuracy and mean loss"""
Job = tuple[str, int, Path, str, list[str]]


def score(job: Job) -> Score:
    """Train without a factor ("" for none) and score the run on all photographs."""
    factor, seed, photographs, cache, overrides = job
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        run_json("train", "experiment=quick", f"seed={seed}", f"data.seed={seed}", "data.n_test=100",
                 "threads=1", f"hydra.run.dir={run}", f"cache={cache}", f"data.without=[{factor}]",
                 *overrides)  # fmt: skip
        data = [*svhn_data(photographs), f"cache={cache}"]
        parts = [run_json("eval", run, *data, f"part={part}")[part] for part in ("train", "test")]
    count = sum(part["n"] for part in parts)
    return tuple(sum(part["n"] * part[key] for part in parts) / count for key in ("accuracy", "loss"))


def main() -> None:
    parser = argument_parser(__doc__, folder=True, jobs=True)
    parser.add_argument("--seeds", type=int, default=1, help="number of runs without each factor")
    all_factors = list(load(STREET).factors)
    parser.add_argument("--factors", nargs="+", choices=all_factors, default=all_factors, metavar="FACTOR",
                        help="the factors to leave out, one at a time; all by default")  # fmt: skip
    options, overrides = parser.parse_known_args()
    photographs = options.folder.resolve()
    cases = [("", seed) for seed in range(BASELINE_SEEDS)]
    cases += [(factor, seed) for factor in options.factors for seed in range(options.seeds)]
    scores: dict[str, list[Score]] = {}
    # All runs share one cache, so that the typefaces are drawn only once.
    with tempfile.TemporaryDirectory() as cache, process_pool(options.jobs) as pool:
        jobs = [(factor, seed, photographs, cache, overrides) for factor, seed in cases]
        for (factor, _), run_score in zip(cases, pool.map(score, jobs), strict=True):
            scores.setdefault(factor, []).append(run_score)
            expected = BASELINE_SEEDS if factor == "" else options.seeds
            if len(scores[factor]) == expected:
                report(factor, scores[factor], scores[""])


def report(factor: str, scores: list[Score], baseline: list[Score]) -> None:
    accuracy, loss = map(statistics.mean, zip(*scores, strict=True))
    if factor == "":
        sd, loss_sd = (statistics.stdev(values) for values in zip(*baseline, strict=True))
        print(f"{'full world':24} {accuracy:.1%} sd {sd:.1%}   loss {loss:.3f} sd {loss_sd:.3f}", flush=True)
        return
    same_seeds = baseline[: len(scores)]
    base, base_loss = map(statistics.mean, zip(*same_seeds, strict=True))
    change, loss_change = f"{accuracy - base:+.1%}", f"{loss - base_loss:+.3f}"
    print(
        f"{'without ' + factor:24} {accuracy:.1%}    {change}   loss {loss:.3f}    {loss_change}", flush=True
    )


if __name__ == "__main__":
    main()
