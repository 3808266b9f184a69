"""What a report says of a run: sentences, tiles, rows and commands, made of what `gather` read."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svhncli.core.errors import NotFiniteError
from svhncli.core.labels import as_text
from svhncli.report.diagnosis import turns
from svhncli.report.terminal import percent
from svhncli.runs.overall import BOOTSTRAP
from svhncli.runs.reader import Run
from svhncli.stats.metrics import VAL_ACCURACY, column_text, rank


@dataclass(frozen=True)
class Tile:
    """One figure of the summary: what it is, the figure, and what belongs to it."""

    name: str
    figure: str
    detail: str


def title(run: Run) -> str:
    """Such as `cnn on synth, 3 folds of kfold`."""
    if not run.config:
        return "A run that did not begin"
    model, data, split = (run.config[group]["name"] for group in ("model", "data", "split"))
    if run.folds:
        count = len(run.folds) if outcome(run) == "done" else f"the first {len(run.folds)}"
        seeds = run.config.get("repeats", 1)
        what = f"{count} trainings with {seeds} seeds" if seeds > 1 else f"{count} folds"
        return f"{model} on {data}, {what} of {split}"
    return f"{model} on {data}, {run.path.name if run.path != run.top else split}"


def unit(run: Run) -> str:
    """What is counted as right or wrong."""
    return "numbers" if run.said is not None and run.said[1].shape[1] > 1 else "digits"


def outcome(run: Run) -> str:
    """done, failed, interrupted, or running: also what a killed run still says of itself."""
    said = run.status.get("status")
    return said if said == "running" else run.summary.get("status") or said or "unknown"


def lede(run: Run) -> list[str]:
    """The summary in sentences."""
    summary, told = run.summary, []
    state = outcome(run)
    if state != "done":
        where = f" in epoch {run.history[-1]['epoch'] + 1:.0f}" if run.history else ""
        told.append(
            {
                "failed": f"The run failed{where}: {summary.get('reason', 'no reason was noted')}.",
                "interrupted": f"The run was interrupted and can go on: {summary.get('reason', '')}.",
                "running": f"The run had not ended when this was written (its last note: "
                f"{run.status.get('time', 'no time')}).",
            }.get(state, "The run left no note of how it ended.")
        )
    if "folds" in summary:
        accuracy, n = summary["val_accuracy"], [fold["n_val"] for fold in summary["folds"]]
        told.append(
            f"{len(n)} networks ({_network(run)}), each of other pictures or another seed, read on average "
            f"{percent(accuracy['mean'])} of the {unit(run)} of their validation part right "
            f"({_range(n)} each)."
        )
    elif state == "done" and "val" in summary:
        told.append(
            f"A network ({_network(run)}) was trained on {summary['n_train']:,} pictures of "
            f"{run.env.get('data', {}).get('name', 'unknown data')}; after {_epochs(summary)} it reads "
            f"{percent(summary['val']['accuracy'])} of {summary['n_val']:,} validation {unit(run)} right."
        )
    elif run.folds:
        done = sum(outcome(fold) == "done" for fold in run.folds)
        told.append(f"Of the {len(run.folds)} folds that began {done} are done; their scores stand below.")
    elif best := summary.get("best"):
        told.append(f"Its best epoch so far, the {_ordinal(best['epoch'])}, reads {_best(best)}.")
    elif run.history:
        metric = run.config.get("metric", VAL_ACCURACY.name)
        best = min(run.history, key=lambda row: rank(metric, row[metric]))
        told.append(f"Its best epoch so far, the {_ordinal(int(best['epoch']))}, reads {_best(best)}.")
    if state == "done":
        told.append(
            "The validation score is a little too good, since it chose the epoch; "
            "the test part chose nothing."
        )
    return told


def tiles(run: Run, human: Mapping[str, Any] | None) -> list[Tile]:
    """The figures that stand at the top."""
    summary, found = run.summary, []
    if "folds" in summary:
        found.append(Tile("validation accuracy", percent(summary["val_accuracy"]["mean"]), _spread(summary)))
    elif "val" in summary:
        found.append(Tile("validation accuracy", percent(summary["val"]["accuracy"]), scored(summary["val"])))
    if test := summary.get("test"):
        sd = summary.get("test_accuracy")
        detail = f"mean over folds, sd {percent(sd['sd'])}" if sd else scored(test)
        found.append(Tile("test accuracy", percent(test["accuracy"]), detail))
    elif outcome(run) == "done":
        why = "test=false" if summary.get("has_test") else "this data has no test part"
        found.append(Tile("test accuracy", "none", f"not scored: {why}"))
    if majority := baseline(run):
        found.append(majority)
    if human:
        detail = f"{scored(human)}; {human['median_seconds']:.1f} s a picture"
        found.append(Tile("a person", percent(human["accuracy"]), detail))
    if "seconds" in summary:
        detail = f"of training, {summary['images_per_second']:,.0f} images/s"
        found.append(Tile("time", duration(summary["seconds"]), detail))
    found.append(Tile("status", outcome(run), summary.get("reason", "")))
    return found


def baseline(run: Run) -> Tile | None:
    """What one would score who always said the same."""
    if run.said is None:
        return None
    counts = Counter(as_text(row) for row in run.said[1])
    answer, count = counts.most_common(1)[0]
    detail = f"always reading “{answer}”, the commonest in the validation part"
    return Tile("majority baseline", percent(count / counts.total()), detail)


def scored(score: Mapping[str, Any]) -> str:
    """Such as `[92.9%, 93.8%] at 95%, 8,000 pictures`."""
    parts = [interval(score.get("interval")), f"{score['n']:,} pictures"]
    if "digit_accuracy" in score:
        parts.append(
            f"digits {percent(score['digit_accuracy'])}, lengths {percent(score['length_accuracy'])}"
        )
    return ", ".join(filter(None, parts))


def interval(found: Mapping[str, Any] | None, level: bool = True) -> str:
    if not found:
        return ""
    told = f"[{percent(found['low'])}, {percent(found['high'])}]"
    return f"{told} at {found['level']:.0%}" if level else told


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def verdicts(run: Run) -> list[dict[str, Any]]:
    """The diagnosis of the run, or of each of its folds: {"name", "verdict", "why"}."""
    inner = run.summary.get("folds") or [fold.summary for fold in run.folds] or [run.summary]
    return [{"name": one.get("name"), **one["diagnosis"]} for one in inner if one.get("diagnosis")]


def next_commands(run: Run) -> list[tuple[str, str | None]]:
    """What to try by the folds' commonest verdict: words, and the whole command where one can be given."""
    found = [one["verdict"] for one in verdicts(run)]
    if run.summary.get("exit_code") == NotFiniteError.exit_code:
        found = ["diverged"]
    if not found or not run.config:
        return []
    verdict = Counter(found).most_common(1)[0][0]
    return [(text, word and train_command(run, word)) for text, word in turns(verdict, run.config)]


def train_command(run: Run, change: str | None = None) -> str:
    """The command of the run, with one key or group changed."""
    words = {_key(word): word for word in run.words}  # of a key that is given twice the last word counts
    if change:
        group = _key(change)  # what stood in the group was said of another choice
        words = {key: word for key, word in words.items() if not f"{key}.".startswith(f"{group}.")}
        words[group] = change
    return " ".join(["svhn train", shlex.join(words.values())]).rstrip()


TRAINS = (
    "experiment",
    "data",
    "split",
    "model",
    "optim",
    "lr",
    "schedule",
    "reg",
    "batch_size",
    "seed",
    "grey",
)
"""Keys by which `svhn check` trains what the run trained."""


def same_data(run: Run, verb: str, *groups: str) -> str:
    """A command of another verb with those of the run's own words that are of these keys or groups."""
    words = [word for word in run.words if word.partition("=")[0].partition(".")[0] in groups]
    return " ".join([f"svhn {verb}", shlex.join(words)]).rstrip()


def folds(run: Run) -> list[dict[str, Any]]:
    """A row for every fold: what it reached, as far as it came."""
    rows = []
    for fold in run.folds:
        summary = fold.summary
        best, val, test = (summary.get(name) or {} for name in ("best", "val", "test"))
        rows.append(
            {
                "name": fold.path.name,
                "status": outcome(fold),
                "epoch": best.get("epoch"),
                "n": summary.get("n_val"),
                "val": percent(best["val_accuracy"]) if best else "",
                "interval": interval(val.get("interval"), level=False),
                "loss": f"{best['val_loss']:.4f}" if best else "",
                "test": percent(test["accuracy"]) if test else "",
                "digest": fold.split.digest[:12] if fold.split else "",
            }
        )
    return rows


def validates_again(run: Run) -> bool:
    """Whether some pictures validate in more than one fold, as with a bootstrap or repeats."""
    rows = [fold.split.val for fold in run.folds if fold.split is not None]
    return bool(rows) and len(np.unique(np.concatenate(rows))) < sum(map(len, rows))


def over_folds(run: Run) -> list[tuple[str, str, str, str]]:
    """Name, mean, standard deviation and interval of every score that has a mean over folds."""
    rows = []
    for name, value in run.summary.items():
        if isinstance(value, dict) and "sd" in value and name != "seeds":
            mean, sd, low, high = (
                column_text(name, value[key]) if key in value else "" for key in ("mean", "sd", "low", "high")
            )
            rows.append((name.replace("_", " "), mean, sd, f"[{low}, {high}]" if low else ""))
    return rows


def estimates(run: Run) -> list[tuple[str, str, str, str]]:
    """Name, accuracy, interval and a word about it, of what several trainings tell of unseen pictures."""
    rows = []
    if found := run.summary.get("unseen"):
        houses = f" of {found['groups']:,} house numbers" if found["groups"] < found["n"] else ""
        about = f"{found['n']:,} pictures{houses}, each by the share of its readings that are right; Wilson"
        rows.append(("pictures that did not train", percent(found["accuracy"]), found["interval"], about))
    if found := run.summary.get("bootstrap"):
        about = (
            f"training error {percent(found['train_error'])}, error without information "
            f"{percent(found['no_information_rate'])}, R {found['relative_overfitting']:.2f}"
        )
        for name, words in BOOTSTRAP.items():
            one = found[name]
            text = about if name == "632plus" else ""
            rows.append((words, percent(one["value"]), one["bca"] or one["percentile"], text))
    if found := run.summary.get("seeds"):
        about = f"sd {percent(found['sd'])} from seed to seed, {found['n']} seeds on the same folds"
        rows.append(("validation accuracy of a seed", percent(found["mean"]), None, about))
    return [(name, value, interval(bounds), about) for name, value, bounds, about in rows]


def jumps(run: Run) -> list[str]:
    """How much the predictions of the watched pictures still moved in the last quarter of the run."""
    told = []
    for one in run.folds or [run]:
        if found := one.summary.get("watch"):
            name = f"{one.path.name}: " if run.folds else ""
            epochs = (
                "the last epoch" if found["epochs"] == 1 else f"each of the last {found['epochs']} epochs"
            )
            told.append(
                f"{name}after {epochs}, {percent(found['changed'], 1)} of {found['pictures']} pictures were "
                f"read otherwise than before, and on average {percent(found['moved'], 1)} of the probability "
                "moved to other classes."
            )
    return told


def facts_of_environment(run: Run) -> list[tuple[str, str]]:
    """Names and values of everything on which the result rests beside the config."""
    env, machine = run.env, run.env.get("machine", {})
    found = [
        ("folder", str(run.path)),
        ("last started as", _command(env.get("command") or [])),
        ("status noted", str(run.status.get("time", ""))),
        ("seed", str(run.config.get("seed", ""))),
        ("data fingerprint", str(env.get("data", {}).get("fingerprint", ""))),
        ("split digest", run.split.digest if run.split else ""),
        ("device", str(machine.get("device", ""))),
        ("precision", str(machine.get("precision", ""))),
        ("threads", str(machine.get("threads", ""))),
        ("platform", str(env.get("platform", ""))),
        ("python", str(env.get("python", ""))),
        *((name, str(version)) for name, version in env.get("versions", {}).items() if version),
    ]
    return [(name, value) for name, value in found if value]


# ----------------------------------------------------------------------------- pieces


def _spread(summary: Mapping[str, Any]) -> str:
    estimate = summary["val_accuracy"]
    return (
        f"{interval(estimate)} (corrected), sd {percent(estimate['sd'])} over {len(summary['folds'])} folds"
    )


def _network(run: Run) -> str:
    name = run.config["model"]["name"] if run.config else "unknown"
    return f"{name}, {run.summary['parameters']:,} parameters"


def _epochs(summary: Mapping[str, Any]) -> str:
    count, best = summary["last"]["epoch"], _ordinal(summary["best"]["epoch"])
    return "1 epoch" if count == 1 else f"the best of {count} epochs, the {best},"


def _best(row: Mapping[str, float]) -> str:
    return f"{percent(row['val_accuracy'])} of the validation part right (loss {row['val_loss']:.4f})"


def _key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def _command(words: Sequence[str]) -> str:
    """As recorded, but for where Hydra was told to write; the first word may hold the verb."""
    rest = [word for word in words[1:] if not word.startswith("hydra.")]
    return " ".join([*words[:1], shlex.join(rest)]).strip()


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
