"""What each factor of the renderer's world is worth: recipe `quick` without it, scored on photographs.

    python benchmarks/ablation.py data/svhn [KEY=VALUE ...] [--jobs 2] [--seeds 1] [--factors shadow ...]

The folder holds train_32x32.mat and test_32x32.mat; both are read, none trains. Runs have one thread each. A
line a factor: accuracy and mean loss without it, and the difference to the whole world of the same seeds. The
whole world's mean and deviation over five seeds stand first: less than two deviations says nothing. Words
with "=" go to every run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from command import told

from svhncli.data.render.world import STREET, load

WHOLE = 5
"""Seeds of the whole world."""
Job = tuple[str, int, Path, str, list[str]]


def score(job: Job) -> tuple[float, float]:
    """Accuracy and mean loss on the photographs of a run without a factor ("" for none)."""
    factor, seed, photographs, cache, words = job
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        told("train", "experiment=quick", f"seed={seed}", f"data.seed={seed}", "data.n_test=100", "threads=1",
             f"hydra.run.dir={run}", f"cache={cache}", f"data.without=[{factor}]", *words)  # fmt: skip
        data = ["data=svhn", f"data.root={photographs}", "data.check_md5=false", f"cache={cache}"]
        parts = [told("eval", run, *data, f"part={part}")[part] for part in ("train", "test")]
    count = sum(part["n"] for part in parts)
    return tuple(sum(part["n"] * part[key] for part in parts) / count for key in ("accuracy", "loss"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    every = list(load(STREET).factors)
    parser.add_argument("--factors", nargs="+", choices=every, default=every, metavar="FACTOR")
    options, words = parser.parse_known_args()
    place = options.photographs.resolve()
    cases = [("", seed) for seed in range(WHOLE)]
    cases += [(factor, seed) for factor in options.factors for seed in range(options.seeds)]
    found: dict[str, list[tuple[float, float]]] = {}
    context = multiprocessing.get_context("spawn")
    # not a Pool, whose processes may not start those that render; one cache, so that faces are drawn once
    with tempfile.TemporaryDirectory() as cache, ProcessPoolExecutor(options.jobs, context) as pool:
        jobs = [(factor, seed, place, cache, words) for factor, seed in cases]
        for (factor, _), scored in zip(cases, pool.map(score, jobs), strict=True):
            found.setdefault(factor, []).append(scored)
            done = WHOLE if factor == "" else options.seeds
            if len(found[factor]) == done:
                report(factor, found[factor], found[""])


def report(factor: str, scores: list[tuple[float, float]], whole: list[tuple[float, float]]) -> None:
    accuracy, loss = map(statistics.mean, zip(*scores, strict=True))
    if factor == "":
        sd, loss_sd = (statistics.stdev(values) for values in zip(*whole, strict=True))
        print(
            f"{'the whole world':24} {accuracy:.1%} sd {sd:.1%}   loss {loss:.3f} sd {loss_sd:.3f}",
            flush=True,
        )
        return
    base, base_loss = map(statistics.mean, zip(*whole[: len(scores)], strict=True))  # of the same seeds
    change, more = f"{accuracy - base:+.1%}", f"{loss - base_loss:+.3f}"
    print(f"{'without ' + factor:24} {accuracy:.1%}    {change}   loss {loss:.3f}    {more}", flush=True)


if __name__ == "__main__":
    main()
