"""`svhn submission FILE FOLDER`: whether a file is a valid submission for a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import RenderableType

from svhncli.config.verbs.results import SubmissionConfig
from svhncli.core.paths import expanded
from svhncli.data import inputs
from svhncli.evaluation import submission
from svhncli.report.terminal import facts


@dataclass(frozen=True)
class SubmissionCheck:
    """A valid submission, and how many rows it has."""

    file: str
    folder: str
    rows: int


def run(config: SubmissionConfig) -> SubmissionCheck:
    """Check a submission.

    Raises:
        DataError: what is wrong with it, or there are no images.
    """
    names = [os.path.basename(path) for path in inputs.in_folder(os.path.expanduser(config.folder))]
    submission.check(expanded(config.file), names)
    return SubmissionCheck(config.file, config.folder, len(names))


def table(result: SubmissionCheck) -> Iterator[RenderableType]:
    yield facts([("rows", f"{result.rows:,}: a valid submission")])
