"""What marks a folder as a run's; rooms that know nothing else of runs ask for it, too."""

from __future__ import annotations

from pathlib import Path

CONFIG = "config.yaml"
"""The file with a run's config, the first that is written."""


def is_run(folder: Path) -> bool:
    """Whether a run has begun in a folder. Its config is not read."""
    return (folder / CONFIG).is_file()
