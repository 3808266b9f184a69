"""Rows of a table that say how a part of the data was scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from svhncli.core.text import bounds, percent
from svhncli.stats.coverage import Accepted, CoverageScore
from svhncli.stats.detection import DetectionScore, Matched
from svhncli.stats.intervals import Interval
from svhncli.stats.score import Score
from svhncli.stats.scores import ClassScore


def score_rows(part: str, score: Score) -> Iterator[tuple[str, str]]:
    """Accuracy and loss; of numbers also the accuracy of digits, of lengths and for each length."""
    yield f"{part} ({score.n:,} images)", loss_text(score.accuracy, score.loss, score.interval)
    if score.by_length is not None and score.digit_accuracy is not None and score.length_accuracy is not None:
        digits, length = percent(score.digit_accuracy), percent(score.length_accuracy)
        yield f"{part} digits", f"{digits} correct in their position, {length} of the correct length"
        shares = (
            f"{'no number' if size == '0' else size}: {percent(row.accuracy, 1)} of {row.n:,}"
            for size, row in score.by_length.items()
        )
        yield f"{part} by length", "  ".join(shares)


def coverage_rows(coverage: CoverageScore) -> Iterator[tuple[str, str]]:
    """The coverage at the target accuracy, and what the threshold of the validation part gives."""
    best, by_val = coverage.best, coverage.val_threshold
    at = f"{coverage.target_accuracy:.0%} accuracy"
    if best is None:
        yield "coverage", f"no threshold reaches {at}"
    else:
        share = share_text(best.coverage, best.coverage_interval)
        yield "coverage", f"{share} at {at}, from confidence {best.threshold:.6g} on"
    if by_val is not None:
        yield "threshold of val", f"{by_val.threshold:.6g}: {accepted_text(by_val)}"


def detection_rows(score: DetectionScore | None) -> Iterator[tuple[str, str]]:
    """How many of the boxes were right, and how many of the digits were found."""
    if score is not None:
        right = f"with the right digit {_matched_text(score.right_digit)}"
        yield "detection", f"{_matched_text(score.any_digit)} at IoU {score.iou:g}; {right}"


def _matched_text(made: Matched) -> str:
    shares = ("-" if share is None else percent(share) for share in (made.precision, made.recall))
    return "precision {}, recall {}".format(*shares)


def accepted_text(made: Accepted) -> str:
    """Such as `91.20% [90.34%, 91.99%] accepted, 98.00% [97.53%, 98.38%] of these correct`."""
    text = f"{share_text(made.coverage, made.coverage_interval)} accepted"
    if made.accuracy is not None and made.accuracy_interval is not None:
        text += f", {share_text(made.accuracy, made.accuracy_interval)} of these correct"
    return text


def share_text(share: float, interval: Interval) -> str:
    """Such as `93.35% [92.90%, 93.80%]`."""
    return f"{percent(share)} {bounds(interval.low, interval.high)}"


def loss_text(accuracy: float, loss: float, interval: Interval | None = None) -> str:
    return f"{accuracy_text(accuracy, interval)}, loss {loss:.4f}"


def accuracy_text(accuracy: float, interval: Interval | None = None) -> str:
    """Such as `accuracy 93.35% [92.90%, 93.80%] at 95%`."""
    text = f"accuracy {percent(accuracy)}"
    if interval is not None:
        text += f" [{percent(interval.low)}, {percent(interval.high)}] at {interval.level:.0%}"
    return text


def member_kind(names: Sequence[str]) -> str:
    """What a run consists of, by the names of its members' folders: fold0, seed1 or seed1-fold0."""
    seeds = [name.startswith("seed") for name in names]
    return "fold" if not all(seeds) else "seed, fold" if any("-" in name for name in names) else "seed"


def members_table(scores: Mapping[str, Score]) -> Table:
    """One row for each fold or seed: its score, and its interval over images."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(member_kind([*scores]))
    for name in ("images", "accuracy", "95%", "loss"):
        table.add_column(name, justify="right")
    for name, score in scores.items():
        ends = bounds(score.interval.low, score.interval.high)
        table.add_row(name, f"{score.n:,}", percent(score.accuracy), ends, f"{score.loss:.4f}")
    return table


def classes_table(classes: Sequence[ClassScore]) -> Table:
    """The ten digits; the blank of numbers is no digit."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("digit", "precision", "recall", "F1", "count"):
        table.add_column(name, justify="right")
    for score in classes[:10]:
        shares = (score.precision, score.recall, score.f1)
        cells = ("-" if share is None else percent(share) for share in shares)
        table.add_row(str(score.label), *cells, f"{score.support:,}")
    return table
