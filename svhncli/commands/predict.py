"""`svhn predict RUN PATHS...`: what a trained run reads in pictures, as CSV or as a contest's submission."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from svhncli.config.verbs import PredictConfig
from svhncli.core.errors import DataError, UsageError
from svhncli.core.files import place, write_csv, write_rows
from svhncli.core.labels import read
from svhncli.data import inputs
from svhncli.data.framing import Framing
from svhncli.evaluation import submission, trained
from svhncli.evaluation.trained import Trained
from svhncli.report.terminal import Show

GUESS = "2"
"""The code of a picture that cannot be read. A submission lacks no row, and no whole number is more frequent
in the contest's training and validation labels."""

Probabilities = tuple[str, "np.ndarray | None"]
"""The name of a picture, and its probabilities (L, K); None where it cannot be read."""


@dataclass
class Tally:
    """What happened: pictures read, names of the unreadable ones, readings that were given a digit."""

    read: int = 0
    broken: list[str] = field(default_factory=list)
    without_digits: int = 0


def run(config: PredictConfig) -> dict[str, Any]:
    """Read pictures; several folds read together, by the mean of their probabilities.

    Returns:
        {"run", "checkpoints", "out", "format", "tta", "read", "broken" (names), "without_digits", "seconds",
        "images_per_second"}.

    Raises:
        UsageError: no pictures are named, or the words do not fit the format or the network.
        DataError: there are no such pictures; with `strict`, one that cannot be read.
        CheckpointError: no such run, or a damaged file.
        DiskError: the file cannot be written.
    """
    show, tally = Show(), Tally()
    files = _files(config)
    folds = [trained.load(path) for path in trained.checkpoints(config.run)]
    framing = _framing(config, folds[0].preprocess.framing)
    folds = [fold.seeing(framing) for fold in folds]
    out = None if config.out is None else place(config.out)
    if len(folds) > 1:
        show.say(f"{len(folds)} folds read together: the mean of their probabilities")

    started = time.monotonic()
    pictures = inputs.stored(files, framing)
    found = _read(config, folds, pictures, len(files), tally, show)
    columns, rows = _submission(found, tally) if config.format == "tianchi" else _table(found, folds[0])
    # where the rows themselves run over the terminal, they say how far it is
    bars = contextlib.nullcontext() if out is None and sys.stdout.isatty() else show.bars()
    with bars:
        if out is None:
            write_rows(sys.stdout.buffer, columns, rows)
        else:
            write_csv(out, columns, rows)
    seconds = time.monotonic() - started
    if out is not None and config.format == "tianchi":
        submission.check(out, [os.path.basename(file) for file in files])
    if tally.broken:
        instead = f"their code is {GUESS}" if config.format == "tianchi" else "they have no row"
        show.warn(f"pictures that cannot be read: {len(tally.broken):,}; {instead}")
    return {
        "run": config.run,
        "checkpoints": [str(fold.path) for fold in folds],
        "out": config.out,
        "format": config.format,
        "tta": config.tta,
        **vars(tally),
        "seconds": seconds,
        "images_per_second": tally.read / seconds,
    }


def _files(config: PredictConfig) -> list[str]:
    if not config.paths:
        raise UsageError(
            "which pictures?",
            "svhn predict RUN PATHS..., where PATHS are files, folders, globs, a .mat, or -",
        )
    if config.format == "tianchi":
        if config.out is None:
            raise UsageError("format=tianchi writes a file", "give out=FILE")
        if len(config.paths) != 1 or not os.path.isdir(os.path.expanduser(config.paths[0])):
            raise UsageError("format=tianchi reads one folder", "name the folder of the contest's pictures")
    return inputs.find(config.paths, sys.stdin.buffer)


def _framing(config: PredictConfig, trained_on: Framing) -> Framing:
    if config.crop == "whole":
        return Framing(trained_on.height, trained_on.width)
    if trained_on.crop == "boxes":
        raise UsageError(
            "the network was trained on numbers cut out by their boxes, and pictures alone have no boxes",
            "crop=whole reads pictures that are the numbers themselves, best cut with "
            f"{trained_on.widen:.0%} of the number's size more at each side",
        )
    return trained_on


def _read(
    config: PredictConfig,
    folds: list[Trained],
    pictures: Iterator[inputs.NamedImage],
    total: int,
    tally: Tally,
    show: Show,
) -> Iterator[Probabilities]:
    """What the networks say of every picture; what cannot be read is told."""
    machine = trained.machine(config.device, folds[0].config)
    while batch := list(itertools.islice(pictures, config.batch)):
        images = [found for _, found in batch if isinstance(found, np.ndarray)]
        if images:
            said = iter(trained.probabilities(folds, np.stack(images), machine, config.tta))
        for name, found in batch:
            if isinstance(found, DataError):
                if config.strict:
                    raise found
                show.warn(found.message)
                tally.broken.append(name)
                yield name, None
            else:
                tally.read += 1
                yield name, next(said)
        done = tally.read + len(tally.broken)
        show.step("read", done, max(done, total))


def _table(found: Iterator[Probabilities], fold: Trained) -> tuple[list[str], Iterator[dict[str, str]]]:
    """The columns, and a row for each picture that could be read."""

    def rows() -> Iterator[dict[str, str]]:
        for name, probabilities in found:
            if probabilities is not None:
                reading = read(probabilities)
                digits = {f"c{place}": f"{p:.6g}" for place, p in enumerate(reading.digits, 1)}
                told = {"file": name, "prediction": reading.text, "confidence": f"{reading.confidence:.6g}"}
                yield told | digits

    places = range(1, fold.meta["positions"] + 1)
    return ["file", "prediction", "confidence", *(f"c{place}" for place in places)], rows()


def _submission(found: Iterator[Probabilities], tally: Tally) -> tuple[list[str], Iterator[dict[str, str]]]:
    """The columns, and a row for every picture, with a digit at least."""

    def rows() -> Iterator[dict[str, str]]:
        for name, probabilities in found:
            code = GUESS
            if probabilities is not None:
                tally.without_digits += not read(probabilities).text
                code = read(probabilities, demand_digit=True).text
            yield dict(zip(submission.HEADER, (os.path.basename(name), code), strict=True))

    return list(submission.HEADER), rows()
