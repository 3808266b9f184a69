"""What the search gained: its finalists and the config without it, trained anew and judged on other images.

The best of many trials was chosen for its score, so that score flatters it: by the luck of its seed, and by
that of the validation images. So each is trained again with fresh seeds, and `svhn compare`'s tests decide on
images that chose nothing: the test part, or validation images that are drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from svhncli import registry
from svhncli.analysis.compare import sides, verdict
from svhncli.analysis.compare.pairing import pair
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.text import counted, percent
from svhncli.data.split import Fold
from svhncli.evaluation import trained
from svhncli.evaluation.held_out import fitted
from svhncli.evaluation.scored_part import score_part
from svhncli.report.comparison import Comparison
from svhncli.report.terminal import Show, Silent
from svhncli.runs.locate import checkpoint_files, evaluation_folder
from svhncli.runs.results import FoldSummary, RunSummary
from svhncli.runs.run_dir import RunDir
from svhncli.runs.studies import Retrained, Verdict
from svhncli.runs.sweeps import SweepJob
from svhncli.training.fold import is_finished
from svhncli.training.search.trials import Setting, train_run

DEFAULT = "default"
LEVEL = 0.95


def judge(
    folder: Path,
    base: TrainConfig,
    finalists: Sequence[tuple[SweepJob, TrainConfig]],
    repeats: int,
    setting: Setting,
    at_once: int,
    show: Show,
) -> Verdict:
    """Train the config without the search and the finalists on fresh seeds, and compare them.

    folder: for their runs; what is there already is not trained again.

    Raises:
        Interrupted: a signal came; the same again goes on.
        SvhnError: as for training.
    """
    is_tested = setting.data.test is not None
    split, images, is_new = _images(base, setting)
    seeds = [base.seed + 1 + i for i in range(repeats)]
    candidates = [(DEFAULT, base), *((job.path.name, config) for job, config in finalists)]
    runs = []
    for name, config in candidates:
        show.say(f"verdict  {name}: {counted(repeats, 'fresh seed')}")
        fresh = replace(config, seed=seeds[0], repeats=repeats, split=split)
        runs.append(_train(RunDir(folder / name), fresh, setting, at_once, is_tested))
    compared = [sides.read(folder / name, "test" if is_tested else "val") for name, _ in candidates]
    tests = [verdict.measure(pair(compared[0], other), LEVEL) for other in compared[1:]]
    names = [(DEFAULT, f"trial {job.job}") for job, _ in finalists]
    comparisons = verdict.judge(tests, names, LEVEL)
    rows = [
        Retrained(
            trial=None,
            words=[],
            run_dir=str(folder / DEFAULT),
            searched=None,
            val=_accuracy(runs[0]) if is_new else None,
            judged=comparisons[0].accuracy_a,
        )
    ]
    for (job, _), summary, comparison in zip(finalists, runs[1:], comparisons, strict=True):
        rows.append(
            Retrained(
                trial=job.job,
                words=[f"{key}={value}" for key, value in job.swept.items() if value],
                run_dir=str(folder / job.path.name),
                searched=job.val_accuracy,
                val=_accuracy(summary) if is_new else None,
                judged=comparison.accuracy_b,
                difference=comparison.difference,
                interval=comparison.interval,
                p=comparison.p_both,
                outcome=comparison.outcome,
            )
        )
    # chosen by validation images, so that the test images judge what they did not choose
    chosen = max(rows, key=lambda row: row.judged if row.val is None else row.val)
    made = Verdict(images=images, seeds=seeds, retrained=rows, chosen=chosen.trial, optimism=None, says=[])
    return _concluded(made, chosen, comparisons)


def _images(base: TrainConfig, setting: Setting) -> tuple[object, str, bool]:
    """The split of the verdict, its images in words, and whether the search did not see them."""
    data, own = setting.data, base.split
    old = getattr(own, "seed", None)
    old = base.seed if old is None else old
    fixed = replace(own, seed=old) if hasattr(own, "seed") else own
    if data.test is not None:
        return fixed, f"the {len(data.test):,} test images", True
    other = replace(own, seed=old + 1) if hasattr(own, "seed") else own
    before, after = (registry.folds(split, data, base.seed) for split in (fixed, other))
    if _digests(before) == _digests(after):
        return fixed, "the validation images that the search used, for the data has no others", False
    return other, "validation images that were drawn anew, for the data has no test part", False


def _digests(folds: Sequence[Fold]) -> list[str]:
    return [fold.digest for fold in folds]


def _train(
    record: RunDir, config: TrainConfig, setting: Setting, at_once: int, is_tested: bool
) -> FoldSummary | RunSummary:
    """Train a candidate, unless that is done, and predict the test part with each of its networks."""
    record.path.parent.mkdir(exist_ok=True)
    with record.held():
        summary = record.summary()
        if not (isinstance(summary, (FoldSummary, RunSummary)) and is_finished(summary, config)):
            summary = train_run(config, record, setting, Silent(), at_once=at_once)
        for path in checkpoint_files(str(record.path)) if is_tested else ():
            out = evaluation_folder(path.parent, setting.data.name, "test")
            if not (out / "results.json").is_file():
                fold = trained.load(path)
                score_part(out, "test", setting.data, fold, setting.machine, fitted(fold, False))
    return summary


def _accuracy(summary: FoldSummary | RunSummary) -> float:
    """Of the best epochs, on the validation images; the mean over seeds and folds."""
    folds = summary.folds if isinstance(summary, RunSummary) else [summary]
    return fmean(fold.best.val_accuracy for fold in folds)


def _concluded(made: Verdict, chosen: Retrained, comparisons: Sequence[Comparison]) -> Verdict:
    """The verdict with its conclusion: how far the search's own figure can be trusted, and what it gained."""
    by_trial = {row.trial: row for row in made.retrained}
    default = by_trial[None]
    if chosen.trial is None or chosen.searched is None:
        best = max((row for row in made.retrained if row.searched), key=lambda row: row.searched or 0.0)
        says = [
            _optimism(best, made.images),
            f"The search gained nothing: trained anew, the config without it is as good as the finalists "
            f"({percent(default.judged)} of {made.images}).",
        ]
        return replace(made, optimism=_gap(best), says=says)
    comparison = next(c for c in comparisons if c.b == f"trial {chosen.trial}")
    gains = {
        "better": "The search gained something",
        "worse": "The search made it worse",
        "none": "The search gained nothing that can be told from chance",
        "unsure": "The search may have gained something, or the seeds were lucky",
    }
    says = [_optimism(chosen, made.images), f"{gains[comparison.outcome]}: {comparison.verdict}."]
    return replace(made, optimism=_gap(chosen), says=says)


def _gap(row: Retrained) -> float:
    """How much the search's own figure fell with fresh seeds: on the same images, where these are known."""
    assert row.searched is not None
    return row.searched - (row.judged if row.val is None else row.val)


def _optimism(row: Retrained, images: str) -> str:
    """How far the search's own figure holds for other seeds, and for other images."""
    gap = 100 * _gap(row)
    if row.val is None:
        again = f"with fresh seeds it classifies {percent(row.judged)} of {images} correctly"
    else:
        again = (
            f"with fresh seeds it classifies {percent(row.val)} of these images correctly, and "
            f"{percent(row.judged)} of {images}"
        )
    return (
        f"The search's own figure for trial {row.trial}, {percent(row.searched or 0.0)} of the validation "
        f"images, was {'optimistic' if gap >= 0 else 'pessimistic'} by {abs(gap):.1f} points: {again}."
    )
