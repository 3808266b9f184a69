"""`svhn submission FILE FOLDER`: whether a file may be handed in for a folder of pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from svhncli.config.verbs import SubmissionConfig
from svhncli.data import inputs
from svhncli.evaluation import submission


def run(config: SubmissionConfig) -> dict[str, Any]:
    """Check a submission.

    Returns:
        {"file", "folder", "rows"}.

    Raises:
        DataError: what is wrong with it, or there are no pictures.
    """
    names = [os.path.basename(path) for path in inputs.in_folder(os.path.expanduser(config.folder))]
    submission.check(Path(config.file).expanduser(), names)
    return {"file": config.file, "folder": config.folder, "rows": len(names)}
