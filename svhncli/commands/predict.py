"""`svhn predict RUN PATHS...`: a trained run's predictions for images, as CSV or as a contest submission."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import RenderableType

from svhncli.config.verbs.results import PredictConfig
from svhncli.core.cells import inert
from svhncli.core.errors import DataError, UsageError
from svhncli.core.files import new_folder, place, print_rows, write_csv
from svhncli.core.labels import DecodedNumber, decode
from svhncli.core.plain import inlined, optional
from svhncli.core.streams import byte_lines
from svhncli.core.text import counted
from svhncli.data import inputs
from svhncli.data.framing import Framing
from svhncli.engine.device import Machine
from svhncli.evaluation import submission, trained
from svhncli.evaluation.held_out import HeldOutFit, fit_threshold
from svhncli.evaluation.trained import Trained
from svhncli.models.output import FindsBoxes
from svhncli.report import drawing
from svhncli.report.score_rows import accepted_text
from svhncli.report.terminal import Show, facts
from svhncli.runs.locate import checkpoint_files

GUESS = "2"
"""The code of an image that cannot be decoded. A submission needs every row, and no number is more frequent
in the contest's training and validation labels."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted for one image.

    probabilities: float32 (L, K). boxes: float64 (digits, 4), of the digits of the predicted number in pixels
    of the photograph; None where they are not known. rejected: None where a threshold rejects nothing.
    """

    image: inputs.StoredImage
    probabilities: np.ndarray
    boxes: np.ndarray | None
    guess: DecodedNumber
    rejected: bool | None


Named = tuple[str, Prediction | None]
"""The name of an image, and what is predicted; None where it cannot be decoded."""


@dataclass
class Counts:
    """How many images were decoded, the names of the broken ones, how many had no digit, and how many
    predictions were rejected; None where all are accepted."""

    read: int = 0
    broken: list[str] = field(default_factory=list)
    without_digits: int = 0
    rejected: int | None = optional()


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What `svhn predict` wrote, and how fast.

    checkpoints: whose probabilities were averaged. out: None for standard output. draw: the folder of the
    drawings, if there are any. tta: views of each image. precision: fp32 or bf16.
    broken: names of the images that cannot be decoded. without_digits: images whose most likely classes are
    all blank, for which the most likely number with a digit was written. threshold: predictions of a lower
    confidence were rejected. fit: how it was fitted, if it was.
    """

    run: str
    checkpoints: list[str]
    out: str | None
    draw: str | None = optional()
    format: str
    tta: int
    precision: str
    counts: Counts = inlined()
    threshold: float | None = optional()
    fit: HeldOutFit | None = optional()
    seconds: float
    images_per_second: float


def run(config: PredictConfig) -> Predictions:
    """Predict images; the probabilities of several folds are averaged.

    Raises:
        UsageError: the network needs boxes, which plain images do not have, no threshold can be fitted, or
            the folder for drawings has other files.
        DataError: there are no such images, or none can be decoded; with `strict`, one that cannot.
        CheckpointError: no such run, or a damaged file.
        DiskError: a file cannot be written.
    """
    show, counts = Show(), Counts()
    files = inputs.find(config.paths, byte_lines(sys.stdin))
    folds = [trained.load(path) for path in checkpoint_files(config.run)]
    framing = _framing(config, folds[0].preprocess.framing)
    folds = [fold.with_framing(framing) for fold in folds]
    fit = None if config.coverage is None else fit_threshold(folds, config.coverage)
    threshold = config.threshold if fit is None else fit.accepted.threshold
    out = None if config.out is None else place(config.out)
    draw = None if config.draw is None else place(config.draw)
    if len(folds) > 1:
        show.say(f"{len(folds)} folds, their probabilities averaged")

    started = time.monotonic()
    images = inputs.stored(files, framing)
    machine = trained.machine(config.device, config.precision, folds[0].config)
    named = _predicted(config, folds, machine, images, len(files), threshold, counts, show)
    is_contest = config.format == "tianchi"
    # the contest compares the names of a submission letter by letter
    cell = str if is_contest else inert
    with contextlib.ExitStack() as stack:
        if draw is not None:
            named = _drawn(named, stack.enter_context(new_folder(draw, drawing.drawings(draw))))
        columns, rows = _submission(named, counts) if is_contest else _rows(named, folds[0], threshold)
        # rows that are printed on the terminal show the progress themselves
        if not (out is None and sys.stdout.isatty()):
            stack.enter_context(show.bars())
        if out is None:
            print_rows(sys.stdout, columns, rows, cell)
        else:
            write_csv(out, columns, rows, cell)
    seconds = time.monotonic() - started
    if out is not None and is_contest:
        submission.check(out, [os.path.basename(file) for file in files])
    if counts.broken:
        instead = f"their code is {GUESS}" if is_contest else "they have no row"
        show.warn(f"images that cannot be decoded: {len(counts.broken):,}; {instead}")
    return Predictions(
        run=config.run,
        checkpoints=[str(fold.path) for fold in folds],
        out=config.out,
        draw=config.draw,
        format=config.format,
        tta=config.tta,
        precision=machine.precision,
        counts=counts,
        threshold=threshold,
        fit=fit,
        seconds=seconds,
        images_per_second=counts.read / seconds,
    )


def table(result: Predictions) -> Iterator[RenderableType]:
    """How many images were predicted, what was wrong with others, and where the predictions are."""
    counts = result.counts
    rows = [("images", f"{counts.read:,} predicted")]
    if counts.broken:
        rows.append(("broken", f"{len(counts.broken):,}, named above"))
    if counts.without_digits:
        text = f"{counts.without_digits:,}; the most likely number with a digit was written"
        rows.append(("without digits", text))
    if counts.rejected is not None:
        rows.append(
            ("rejected", f"{counts.rejected:,} of {counts.read:,}: confidence below {result.threshold:.6g}")
        )
    if result.fit:
        rows.append(("threshold", _fit_text(result.fit, result.tta)))
    if result.out:
        rows.append(("written", result.out))
    if result.draw:
        rows.append(("drawn", result.draw))
    if result.tta > 1:
        rows.append(("views", f"{result.tta} of each image, their probabilities averaged"))
    rows.append(("time", f"{result.seconds:.0f} s, {result.images_per_second:,.0f} images/s"))
    yield facts(rows)


def _fit_text(fit: HeldOutFit, tta: int) -> str:
    """On which images the threshold was fitted, and what it accepts of them."""
    images, networks = counted(fit.accepted.n, "held-out image"), len(fit.fitted_on)
    views = ", one view of each" if tta > 1 else ""
    pooled = f" of {networks} networks, each predicted by those that held it out" if networks > 1 else ""
    return f"fitted on {images}{pooled}{views}: {accepted_text(fit.accepted)}"


def _framing(config: PredictConfig, trained_on: Framing) -> Framing:
    if config.crop == "whole":
        return replace(trained_on, crop="whole", widen=0.0, jitter=0.0)
    if trained_on.crop == "boxes":
        raise UsageError(
            "the network was trained on numbers cut out by their boxes, and plain images have no boxes",
            "crop=whole takes images that are the numbers themselves, best cut with a margin of "
            f"{trained_on.widen:.0%} of the number's size at each side",
        )
    return trained_on


def _predicted(
    config: PredictConfig,
    folds: list[Trained],
    machine: Machine,
    images: Iterator[inputs.NamedImage],
    total: int,
    threshold: float | None,
    counts: Counts,
    show: Show,
) -> Iterator[Named]:
    """The predictions for every image, batch by batch; an image that cannot be decoded is warned of, and what
    a threshold rejects is counted."""
    while batch := list(itertools.islice(images, config.batch)):
        decoded = [image for _, image in batch if isinstance(image, inputs.StoredImage)]
        if decoded:
            made = iter(_batch(config, folds, machine, decoded, threshold))
        for name, image in batch:
            if isinstance(image, DataError):
                if config.strict:
                    raise image
                show.warn(image.message)
                counts.broken.append(name)
                yield name, None
            else:
                counts.read += 1
                prediction = next(made)
                if prediction.rejected is not None:
                    counts.rejected = (counts.rejected or 0) + prediction.rejected
                yield name, prediction
        done = counts.read + len(counts.broken)
        show.step("predict", done, max(done, total))
    if not counts.read:
        raise DataError("none of the images can be decoded, so nothing is predicted", "look at the warnings")


def _batch(
    config: PredictConfig,
    folds: list[Trained],
    machine: Machine,
    images: list[inputs.StoredImage],
    threshold: float | None,
) -> Iterator[Prediction]:
    pixels, sizes = np.stack([image.pixels for image in images]), np.array([image.size for image in images])
    probabilities, boxes = trained.located(folds, pixels, machine, config.tta)
    framing = folds[0].preprocess.framing
    windows = framing.windows(np.full((len(images), 1, 4), np.nan), sizes)
    for i, image in enumerate(images):
        found = None if boxes is None else boxes[i]
        if found is not None:
            found = framing.in_photographs(found[None], windows[i : i + 1])[0]
        guess = decode(probabilities[i])
        # the number in the file tells what is rejected
        rejected = None if threshold is None else float(_written(guess.confidence)) < threshold
        yield Prediction(image, probabilities[i], found, guess, rejected)


def _drawn(named: Iterator[Named], folder: Path) -> Iterator[Named]:
    """The same predictions, each drawn into a PNG in a folder."""
    names = drawing.DrawingNames()
    for name, made in named:
        if made is not None:
            drawn = drawing.drawing(made.image.photograph(), made.guess, made.boxes, bool(made.rejected))
            drawing.save(drawn, folder / names.of(name))
        yield name, made


def _written(share: float) -> str:
    return f"{share:.6g}"


def _rows(
    named: Iterator[Named], fold: Trained, threshold: float | None
) -> tuple[list[str], Iterator[dict[str, str]]]:
    """The columns, and a row for each image that could be decoded; what a threshold rejects is marked."""
    marks = [] if threshold is None else ["rejected"]
    places = [f"c{place}" for place in range(1, fold.meta["positions"] + 1)]
    boxes = ["boxes"] if isinstance(fold.network, FindsBoxes) else []

    def rows() -> Iterator[dict[str, str]]:
        for name, made in named:
            if made is not None:
                row = {
                    "file": name,
                    "prediction": made.guess.text,
                    "confidence": _written(made.guess.confidence),
                }
                if marks:
                    row["rejected"] = "yes" if made.rejected else ""
                row |= zip(places, map(_written, made.guess.digits), strict=False)
                if made.boxes is not None:
                    row["boxes"] = json.dumps((made.boxes.round(1) + 0.0).tolist())  # no -0.0
                yield row

    return ["file", "prediction", "confidence", *marks, *places, *boxes], rows()


def _submission(named: Iterator[Named], counts: Counts) -> tuple[list[str], Iterator[dict[str, str]]]:
    """The columns, and a row for every image, with one digit or more."""

    def rows() -> Iterator[dict[str, str]]:
        for name, made in named:
            code = GUESS
            if made is not None:
                counts.without_digits += not made.guess.text
                code = decode(made.probabilities, demand_digit=True).text
            yield dict(zip(submission.HEADER, (os.path.basename(name), code), strict=True))

    return list(submission.HEADER), rows()
