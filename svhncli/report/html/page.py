"""The report of a run or a sweep: one self-contained HTML file, made from the files in its folder."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from svhncli import __version__
from svhncli.core.errors import DiskError
from svhncli.core.files import read_json, write_text
from svhncli.core.paths import expanded
from svhncli.core.plain import to_plain
from svhncli.core.text import percent
from svhncli.report import next_commands
from svhncli.report.html import contents, facts, svg
from svhncli.report.html.svg import Dot, Line
from svhncli.report.study_table import gain, name_of
from svhncli.runs.contact_sheet import data_url, jpeg_url
from svhncli.runs.locate import SWEEP, is_study, is_sweep
from svhncli.runs.reader import UNREADABLE, Run
from svhncli.runs.results import Failure, FoldSummary
from svhncli.runs.studies import PLOTS, StudyRecord, StudyResult
from svhncli.runs.sweeps import SweepJob, sweep_jobs
from svhncli.stats.metrics import added_metrics, column_text, is_percent
from svhncli.stats.scores import LEAST, calibration_error

NAME = "report.html"
_TEMPLATES = Path(__file__).with_name("template")
FIGURES = {
    "history.png": "The search over its trials",
    "importance.png": "Which keys mattered",
    "slices.png": "The score by each key",
    "parallel.png": "All keys of every trial",
}
"""Files of a study -> what they show."""
SHOWN, WIDE = 64, 32
"""How many mistakes are shown, of highest confidence over all folds; fewer where images are wide."""


@dataclass(frozen=True)
class Beside:
    """Folders whose result.json is shown where it is about the run's own data."""

    human: Path = Path("outputs/human")
    check: Path = Path("outputs/check")
    inspect: Path = Path("outputs/inspect")


def write_report(folder: Path, out: Path | None = None, beside: Beside = Beside()) -> Path:
    """Write the report of a run's, a fold's or a sweep's folder; where it was written.

    out: the file, None for report.html in the folder.

    Raises:
        DiskError: it cannot be written.
    """
    out = out or folder / NAME
    values: dict[str, Any] = {"run": None, "sweep": None}
    if is_study(folder):
        values = _study(folder)
    elif is_sweep(folder):
        values = _sweep(folder)
    else:
        values["run"] = Run.of(folder)
    if values["run"] is not None:
        values |= _run(values["run"], beside)
    text = _environment().get_template("page.html").render(values, version=__version__)
    if out.is_dir():
        raise DiskError(f"cannot write '{out}': it is a folder", "move it away, or name a file with out=")
    write_text(out, text)
    return out


@cache
def _environment() -> jinja2.Environment:
    """Names, labels and reasons come from outside, so everything is escaped; missing values are left out."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    forms: dict[str, Callable[..., str]]
    forms = {"percent": percent, "score": _score, "interval": facts.interval, "commas": "{:,}".format}
    made.filters |= {name: _where_there_is(form) for name, form in forms.items()}
    script = (_TEMPLATES / "copy.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    made.globals |= {
        "facts": facts,
        "next": next_commands,
        "script": Markup(script),
        # the page runs the script with this hash and no other, whatever a name or a label contains
        "script_hash": f"sha256-{base64.b64encode(digest).decode()}",
    }
    return made


def _score(value: float, metric: str) -> str:
    return column_text(metric, value)


def _where_there_is(form: Callable[..., str]) -> Callable[..., str]:
    def filtered(value: Any, *more: Any, **named: Any) -> str:
        if value is None or isinstance(value, jinja2.Undefined):
            return ""
        return form(value, *more, **named)

    return filtered


# ----------------------------------------------------------------------------- a run


def _run(run: Run, beside: Beside) -> dict[str, Any]:
    fingerprint = (run.env.data.fingerprint if run.env else None) or (
        run.sheet.fingerprint if run.sheet else None
    )
    first = run.folds[0] if run.folds else run
    digest = first.split.digest if first.split else None
    human = _result(beside.human, fingerprint)
    mistakes, report = run.mistakes, run.judged
    wide = bool(mistakes) and mistakes[0][1].width > 1.2 * mistakes[0][1].height
    check = _result(beside.check, fingerprint)
    values = {
        "human": human if human and human.get("split") == digest else None,
        "check": check if check and next_commands.is_checked(run, check.get("config", {})) else None,
        "inspect": _result(beside.inspect, fingerprint),
        "doubts": _result(run.path / "inspect", fingerprint),
        "curves": _curves(run),
        "matrix": _matrix(run),
        "mistakes": [
            (mistake, data_url(image), image.size) for mistake, image in mistakes[: WIDE if wide else SHOWN]
        ],
        "wide": wide,
        "by_length": run.summary.val.by_length if isinstance(run.summary, FoldSummary) else None,
        "augmented": _embedded(run.plot("augmented.png")),
        "predictions": _embedded(run.plot("predictions.png")),
        "film": _embedded(run.plot("watch.png")),
        "dark_film": _embedded(run.plot("watch_dark.png")),
        "classes": report.classes if report else [],
        "ece": calibration_error(report.bins) if report else None,
        "reliability": _reliability(run),
        "least": LEAST,
    }
    missing = contents.absences(run, values)
    return values | {"missing": missing, "sections": contents.sections(missing)}


def _embedded(image: Image.Image | None) -> tuple[str, tuple[int, int]] | None:
    """A sheet as a URL that contains it, and its width and height."""
    return None if image is None else (jpeg_url(image), image.size)


def _result(folder: Path, fingerprint: str | None) -> dict[str, Any] | None:
    """The result of another command for the same data, with its sheets under `picture`."""
    folder = expanded(folder)
    try:
        result = dict(read_json(folder / "result.json"))
        if fingerprint is None or result["fingerprint"] != fingerprint:
            return None
        for entry in [*result.get("checks", []), *result.get("findings", [])]:
            sheet = folder / Path(entry.get("sheet") or "none").name
            entry["picture"] = data_url(sheet) if sheet.is_file() else None
    except UNREADABLE:
        return None
    return result


def _curves(run: Run) -> list[dict[str, Any]]:
    """Loss, accuracy and lr over the epochs; the folds' lines share a chart."""
    parts = [part for part in run.folds or [run] if part.history]
    if not parts:
        return []
    best = run.summary.best if isinstance(run.summary, (FoldSummary, Failure)) else None
    mark = None if run.folds or best is None else best.epoch
    rows = [[to_plain(row) for row in part.history] for part in parts]
    added = added_metrics([row for history in rows for row in history])
    made = []
    for name, keys, form in (
        ("loss", ("train_loss", "val_loss"), "{:.4f}".format),
        ("accuracy", ("train_accuracy", "val_accuracy"), percent),
        ("learning rate", ("lr",), "{:.2g}".format),
        *((metric.title, (metric.name,), metric.text) for metric in added),
    ):
        lines = [
            Line(key.partition("_")[0], [(row["epoch"], row[key]) for row in history])
            for key in keys
            for history in (rows[:1] if key == "lr" else rows)
        ]
        ends = "; ".join(
            f"{line.kind} from {form(line.points[0][1])} to {form(line.points[-1][1])}" for line in lines
        )
        label = f"{name} by epoch: {ends}"
        chart = svg.line_chart(lines, label, share=is_percent(keys[-1]), zero=keys == ("lr",), mark=mark)
        made.append({"name": name, "kinds": [key.partition("_")[0] for key in keys], "chart": chart})
    return made


def _matrix(run: Run) -> list[dict[str, Any]]:
    """A row for each true class: its name, and cells with a count and how dark they are, 0 to 1."""
    if run.judged is None:
        return []
    counts = run.judged.matrix
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    shades = shares.copy()
    np.fill_diagonal(shades, 0)
    shades /= max(float(shades.max()), 1e-9)
    np.fill_diagonal(shades, shares.diagonal())
    return [
        {
            "name": "none" if true == 10 else str(true),
            "cells": [
                {
                    "count": int(counts[true, predicted]),
                    "right": true == predicted,
                    "shade": round(float(shades[true, predicted]), 3),
                }
                for predicted in range(len(counts))
            ],
        }
        for true in range(len(counts))
    ]


def _reliability(run: Run) -> Any:
    if run.judged is None:
        return None
    error = calibration_error(run.judged.bins)
    return svg.reliability_chart(run.judged.bins, f"accuracy over confidence; calibration error {error:.2%}")


# ----------------------------------------------------------------------------- a sweep


@dataclass(frozen=True)
class JobRow:
    """A job of a sweep in the report: its values in words, and the interval of its accuracy."""

    job: SweepJob
    words: str
    interval: str


def _sweep(folder: Path) -> dict[str, Any]:
    jobs = sweep_jobs(folder)
    done = [job for job in jobs if job.is_done and job.score is not None]
    keys = list(jobs[0].swept) if jobs else []
    return {
        "run": Run.of(done[0].path) if done else None,
        "sweep": {
            "kind": "Sweep",
            "noun": "job",
            "path": folder,
            "rows": [_job_row(job) for job in jobs],
            "keys": keys,
            "done": len(done),
            "metric": done[0].metric if done else "score",
            "charts": list(_strips(done, keys)),
            "command": _sweep_command(folder),
        },
    }


def _study(folder: Path) -> dict[str, Any]:
    """A study is shown as a sweep whose jobs are its trials, with figures and the verdict."""
    result, record = StudyResult.read(folder), StudyRecord.read(folder)
    values = _sweep(folder)
    spaces = [f"{key}={text}" for key, text in record.space.items()]
    values["sweep"] |= {
        "kind": "Study",
        "noun": "trial",
        "charts": [],
        "figures": [(title, shown) for name, title in FIGURES.items() if (shown := _figure(folder, name))],
        "study": result,
        "name_of": name_of,
        "gain": gain,
        "command": f"svhn tune {shlex.join([*record.words, *spaces])}",
    }
    return values


def _figure(folder: Path, name: str) -> tuple[str, tuple[int, int]] | None:
    """A PNG of a study as a URL that contains it, and the size in which it is shown."""
    file = folder / PLOTS / name
    if not file.is_file():
        return None
    with Image.open(file) as image:
        size = image.size
    return data_url(file), size


def _job_row(job: SweepJob) -> JobRow:
    summary = Run.of(job.path).summary
    val = summary.val.interval if isinstance(summary, FoldSummary) else None
    words = ", ".join(f"{key}={value}" for key, value in job.swept.items())
    return JobRow(job, words, facts.interval(val, level=False))


def _strips(done: list[SweepJob], keys: list[str]) -> Iterator[tuple[str, Any]]:
    """A chart of the score for each key, where there is more than one value of it to compare."""
    metric = (done[0].metric or "") if done else ""
    scores = [(job, job.score) for job in done if job.metric == metric and job.score is not None]
    for key in keys:
        ordered = sorted(scores, key=lambda pair: _value(pair[0].swept[key]))
        dots = [
            Dot(job.swept[key], score, f"job {job.job}: {column_text(metric, score)}")
            for job, score in ordered
        ]
        if len({dot.row for dot in dots}) > 1:
            yield key, svg.strip_chart(dots, f"{metric} of every job by {key}", share=is_percent(metric))


def _value(text: str) -> tuple[bool, float, str]:
    """Numbers by their size, then words."""
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def _sweep_command(folder: Path) -> str:
    try:
        return f"svhn train -m {shlex.join(read_json(folder / SWEEP)['overrides'])}"
    except UNREADABLE:
        return ""
