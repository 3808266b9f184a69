"""What a report says about a run: sentences, tiles, rows and commands, made from the files of its folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svhncli.core.errors import NotFiniteError
from svhncli.core.labels import quoted
from svhncli.core.run_mark import CONFIG
from svhncli.core.text import bounds, count_range, duration, ordinal, percent
from svhncli.report import next_commands
from svhncli.report.diagnosis import beside_guessing, diagnose_together, turns
from svhncli.report.run_table import bootstrap_accuracies, counted, made_of
from svhncli.runs.reader import Run
from svhncli.runs.results import DIVERGED, BestEpoch, Diagnosis, EpochRow, Failure, FoldSummary, RunSummary
from svhncli.stats.intervals import Interval
from svhncli.stats.metrics import VAL_ACCURACY, column_text, rank
from svhncli.stats.score import Score


@dataclass(frozen=True)
class Tile:
    """One figure of the summary: what it is, the figure, and what belongs to it."""

    name: str
    figure: str
    detail: str


def title(run: Run) -> str:
    """Such as `cnn on synth, 3 folds of kfold`, after the run's label where it has one."""
    if not run.config:
        return f"A run whose {CONFIG} is damaged" if CONFIG in run.damaged else "A run that did not start"
    if name := run.config.get("name"):
        return f"{name}: {title_of_parts(run)}"
    return title_of_parts(run)


def title_of_parts(run: Run) -> str:
    model, data, split = (run.config[group]["name"] for group in ("model", "data", "split"))
    if run.folds:
        count = len(run.folds) if run.finished else f"the first {len(run.folds)}"
        seeds = run.config.get("repeats", 1)
        what = f"{count} jobs with {seeds} seeds" if seeds > 1 else f"{count} folds"
        return f"{model} on {data}, {what} of {split}"
    return f"{model} on {data}, {run.path.name if run.path != run.top else split}"


def verify_command(run: Run) -> str:
    return shlex.join(["svhn", "verify", str(run.top)])


def unit(run: Run) -> str:
    """What is counted as correct or wrong."""
    return "numbers" if run.val_outputs is not None and run.val_outputs[1].shape[1] > 1 else "digits"


def outcome(run: Run) -> str:
    """done, failed, diverged, interrupted or running; a killed run still has the status running."""
    status = run.status.status if run.status else None
    if status == "running" or run.summary is None:
        return status or "unknown"
    return run.summary.status


def lede(run: Run) -> list[str]:
    """The summary in sentences."""
    state = outcome(run)
    sentences = [] if state == "done" else [_ending(run, state)]
    sentences += _reached(run, state)
    if run.finished:
        optimistic = "The validation score is slightly optimistic because it selected the best epoch"
        has_test = getattr(run.summary, "has_test", False)
        sentences.append(f"{optimistic}{'; the test part selected nothing' if has_test else ''}.")
    return sentences


def _ending(run: Run, state: str) -> str:
    """Why a run is not done."""
    reason = "" if run.summary is None else run.summary.reason
    if state in ("failed", DIVERGED):
        where = f" in epoch {run.history[-1].epoch + 1}" if run.history and not run.finished else ""
        what = "run failed" if state == "failed" else "loss diverged"
        return f"The {what}{where}: {reason or 'it recorded no reason'}."
    if state == "interrupted":
        return f"The run was interrupted and can be resumed: {reason}."
    if state == "running":
        when = run.status.time if run.status else ""
        return f"The run had not ended when this was written (its last status: {when or 'no time'})."
    return "The run recorded no status at its end."


def _reached(run: Run, state: str) -> Iterator[str]:
    """How good the run is so far."""
    summary = run.summary
    if isinstance(summary, RunSummary):
        accuracy = percent(summary.estimates["val_accuracy"].mean)
        sizes = [fold.n_val for fold in summary.folds]
        yield (
            f"{len(sizes)} networks ({_network(run, summary)}) were trained on different folds or with "
            f"different seeds. On average, each classifies {accuracy} of the {unit(run)} in its validation "
            f"part correctly ({count_range(sizes)} each)."
        )
    elif isinstance(summary, FoldSummary) and state in ("done", DIVERGED):
        data = run.env.data.name if run.env else "unknown data"
        yield (
            f"A network ({_network(run, summary)}) was trained on {summary.n_train:,} images of {data}; "
            f"after {_epochs(summary)} it classifies {percent(summary.val.accuracy)} of {summary.n_val:,} "
            f"validation {unit(run)} correctly."
        )
    elif run.folds:
        done = sum(fold.finished is not None for fold in run.folds)
        yield f"Of the {len(run.folds)} folds that were started, {done} are done; their scores are below."
    elif (best := _best_so_far(run)) is not None:
        yield f"Its best epoch so far is the {ordinal(best.epoch)}: {_best(best)}."


def _best_so_far(run: Run) -> BestEpoch | EpochRow | None:
    if isinstance(run.summary, (FoldSummary, Failure)) and run.summary.best is not None:
        return run.summary.best
    metric = run.config.get("metric", VAL_ACCURACY.name)

    def place(row: EpochRow) -> float:
        scores = {"val_accuracy": row.val_accuracy, "val_loss": row.val_loss, **row.added}
        return rank(metric, scores[metric])

    return min(run.history, key=place, default=None)


def tiles(run: Run, human: Mapping[str, Any] | None) -> list[Tile]:
    """The figures at the top."""
    summary = run.finished
    shown = [] if summary is None else _score_tiles(summary)
    shown += filter(None, [baseline(run)])
    if human:
        detail = f"{quiz_score(human)}; {human['median_seconds']:.1f} s per image"
        shown.append(Tile("a person", percent(human["accuracy"]), detail))
    if summary is not None:
        detail = f"{summary.images_per_second:,.0f} images/s in the median epoch"
        shown.append(Tile("training time", duration(summary.seconds), detail))
    shown.append(Tile("status", outcome(run), "" if run.summary is None else run.summary.reason))
    return shown


def _score_tiles(summary: FoldSummary | RunSummary) -> list[Tile]:
    if isinstance(summary, RunSummary):
        val = Tile("validation accuracy", percent(summary.estimates["val_accuracy"].mean), _spread(summary))
        detail = (
            f"mean over folds, sd {percent(summary.estimates['test_accuracy'].sd)}" if summary.test else ""
        )
    else:
        val = Tile("validation accuracy", percent(summary.val.accuracy), scored(summary.val))
        detail = scored(summary.test) if summary.test else ""
    if summary.test is not None:
        return [val, Tile("test accuracy", percent(summary.test.accuracy), detail)]
    why = "test=false" if summary.has_test else "this data has no test part"
    return [val, Tile("test accuracy", "none", f"not scored: {why}")]


def baseline(run: Run) -> Tile | None:
    """The accuracy of always predicting the most frequent label."""
    if run.majority is None:
        return None
    answer, share = run.majority
    detail = f"always predicting {quoted(answer)}, the most frequent label of the validation part"
    return Tile("majority baseline", percent(share), detail)


def no_better_than_guessing(run: Run) -> str | None:
    """The warning that is printed beside the diagnosis."""
    judged = diagnosis(run)
    return None if judged is None else beside_guessing(judged, run.majority)


def scored(score: Score) -> str:
    """Such as `[92.9%, 93.8%] at 95%, 8,000 images`."""
    parts = [interval(score.interval), f"{score.n:,} images"]
    if score.digit_accuracy is not None and score.length_accuracy is not None:
        digits, lengths = percent(score.digit_accuracy), percent(score.length_accuracy)
        parts.append(f"digits {digits}, lengths {lengths}")
    return ", ".join(parts)


def quiz_score(human: Mapping[str, Any]) -> str:
    """Of a person, from the result.json of `svhn human`."""
    ends = human["interval"]
    known = f"{bounds(ends['low'], ends['high'])} at {ends['level']:.0%}, " if ends else ""
    return f"{known}{human['n']:,} images"


def interval(ends: Interval | None, level: bool = True) -> str:
    if ends is None:
        return ""
    text = bounds(ends.low, ends.high)
    return f"{text} at {ends.level:.0%}" if level else text


def diagnosis(run: Run) -> Diagnosis | None:
    """That of the run, or of all its folds together; None where there is none yet."""
    if isinstance(run.summary, (FoldSummary, RunSummary)) and run.summary.diagnosis is not None:
        return run.summary.diagnosis
    done = [part.summary for part in run.folds if isinstance(part.summary, FoldSummary)]
    return diagnose_together(run.path, done, run.config) if done and run.config else None


def uses(run: Run) -> list[tuple[str, str]]:
    """What the weights of a run are good for: words, and the command."""
    predict = next_commands.predict(run)
    own = "Predict the images without labels that came with the data."
    if "PATHS" in predict:
        own = "Predict images of your own; PATHS stands for image files, folders or globs."
    if not run.folds:
        text = "Export the network for use without svhn, as ONNX and safetensors."
        return [(own, predict), (text, next_commands.export(run.path))]
    return [
        (f"{own} The probabilities of all folds are averaged.", predict),
        ("Join the networks of all folds into one, which can be exported.", next_commands.ensemble(run.path)),
    ]


def hint(run: Run) -> str:
    """How to fix what made a run fail, as a sentence."""
    text = run.summary.hint if isinstance(run.summary, Failure) else ""
    return f"{text[:1].upper()}{text[1:]}"


def turns_of(run: Run) -> list[tuple[str, str]]:
    """What to try after the verdict: words, and the whole command if one can be given."""
    judged = diagnosis(run)
    verdict = judged.verdict if judged else ""
    if isinstance(run.summary, Failure) and run.summary.exit_code == NotFiniteError.exit_code:
        verdict = DIVERGED
    if not verdict or not run.config:
        return []
    stopped = any(part.history and len(part.history) < run.config["epochs"] for part in run.folds or [run])
    tried = turns(verdict, run.config, stopped=stopped)
    return [(text, word and next_commands.train(run, word)) for text, word in tried]


@dataclass(frozen=True)
class FoldCells:
    """The results of a fold so far, as text."""

    name: str
    status: str
    epoch: str = ""
    n: str = ""
    val: str = ""
    interval: str = ""
    loss: str = ""
    test: str = ""
    digest: str = ""


def folds(run: Run) -> list[FoldCells]:
    """A row for every fold."""
    return [_fold_cells(fold) for fold in run.folds]


def _fold_cells(fold: Run) -> FoldCells:
    name, status = fold.path.name, outcome(fold)
    digest = fold.split.digest[:12] if fold.split else ""
    summary = fold.summary
    if not isinstance(summary, FoldSummary):
        return FoldCells(name, status, digest=digest)
    return FoldCells(
        name,
        status,
        str(summary.best.epoch),
        f"{summary.n_val:,}",
        percent(summary.best.val_accuracy),
        interval(summary.val.interval, level=False),
        f"{summary.best.val_loss:.4f}",
        percent(summary.test.accuracy) if summary.test else "",
        digest,
    )


def validates_again(run: Run) -> bool:
    """Whether some images are validated in more than one fold, as with a bootstrap or repeats."""
    rows = [fold.split.val for fold in run.folds if fold.split is not None]
    return bool(rows) and len(np.unique(np.concatenate(rows))) < sum(map(len, rows))


def over_folds(run: Run) -> list[tuple[str, str, str, str]]:
    """Name, mean, standard deviation and interval of every score that has a mean over folds."""
    rows = []
    for name, estimate in run.summary.estimates.items() if isinstance(run.summary, RunSummary) else ():
        mean, sd = column_text(name, estimate.mean), column_text(name, estimate.sd)
        ends = ""
        if estimate.low is not None and estimate.high is not None:
            ends = f"[{column_text(name, estimate.low)}, {column_text(name, estimate.high)}]"
        rows.append((name.replace("_", " "), mean, sd, ends))
    return rows


def estimates(run: Run) -> list[tuple[str, str, str, str]]:
    """Name, accuracy, interval and an explanation of what several folds estimate for new images."""
    if not isinstance(run.summary, RunSummary):
        return []
    rows = []
    if (unseen := run.summary.unseen) is not None:
        about = f"{counted(unseen)}, each by its share of correct predictions; Wilson"
        rows.append(("held-out images", percent(unseen.accuracy), interval(unseen.interval), about))
    if (bootstrap := run.summary.bootstrap) is not None:
        for name, accuracy in bootstrap_accuracies(bootstrap):
            about = made_of(bootstrap) if accuracy is bootstrap.point632plus else ""
            ends = interval(accuracy.bca or accuracy.percentile)
            rows.append((name, percent(accuracy.value), ends, about))
    if (seeds := run.summary.seeds) is not None:
        about = f"sd {percent(seeds.sd)} from seed to seed, {seeds.n} seeds on the same folds"
        rows.append(("validation accuracy of a seed", percent(seeds.mean), "", about))
    return rows


def jumps(run: Run) -> list[str]:
    """How much the predictions for the watched images still changed in the last quarter of the run."""
    sentences = []
    for part in run.folds or [run]:
        if isinstance(part.summary, FoldSummary) and (watch := part.summary.watch) is not None:
            start = f"{part.path.name}: in" if run.folds else "In"
            epochs = "the last epoch" if watch.epochs == 1 else f"each of the last {watch.epochs} epochs"
            sentences.append(
                f"{start} {epochs}, {percent(watch.changed, 1)} of {watch.pictures} predictions changed, "
                f"and on average {percent(watch.moved, 1)} of the probability moved to other classes."
            )
    return sentences


def facts_of_environment(run: Run) -> list[tuple[str, str]]:
    """Names and values of everything besides the config on which the result depends."""
    rows = [("folder", str(run.path))]
    if run.env is not None:
        rows.append(("last started as", _command(run.env.command)))
    rows += [
        ("status recorded", run.status.time if run.status else ""),
        ("seed", str(run.config.get("seed", ""))),
    ]
    digest = ("split digest", run.split.digest if run.split else "")
    if (env := run.env) is None:
        return [(name, value) for name, value in [*rows, digest] if value]
    rows += [
        ("data fingerprint", env.data.fingerprint or ""),
        digest,
        ("device", env.machine.device or ""),
        ("precision", env.machine.precision or ""),
        ("threads", str(env.machine.threads or "")),
        ("processes", str(env.machine.devices or "")),
        ("compiled", "with torch.compile" if env.machine.compiled else ""),
        ("deterministic", "no" if env.machine.deterministic is False else ""),
        ("platform", env.platform),
        ("python", env.python),
        *((name, version or "") for name, version in env.versions.items()),
    ]
    return [(name, value) for name, value in rows if value]


# ----------------------------------------------------------------------------- pieces


def _spread(summary: RunSummary) -> str:
    estimate = summary.estimates["val_accuracy"]
    ends = ""
    if estimate.low is not None and estimate.high is not None and estimate.level is not None:
        ends = f"{bounds(estimate.low, estimate.high)} at {estimate.level:.0%} (corrected), "
    return f"{ends}sd {percent(estimate.sd)} over {len(summary.folds)} folds"


def _network(run: Run, summary: FoldSummary | RunSummary) -> str:
    name = run.config["model"]["name"] if run.config else "unknown"
    return f"{name}, {summary.parameters:,} parameters"


def _epochs(summary: FoldSummary) -> str:
    count, best = summary.last.epoch, ordinal(summary.best.epoch)
    return "1 epoch" if count == 1 else f"the best of {count} epochs, the {best},"


def _best(row: BestEpoch | EpochRow) -> str:
    return f"validation accuracy {percent(row.val_accuracy)}, loss {row.val_loss:.4f}"


def _command(words: Sequence[str]) -> str:
    """The recorded command without Hydra's own keys; the first word may contain the verb."""
    rest = [word for word in words[1:] if not word.startswith("hydra.")]
    return " ".join([*words[:1], shlex.join(rest)]).strip()
