"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

from svhncli.core.errors import UsageError


def expanded(text: str | Path) -> Path:
    """A path with ~ and ~USER replaced by the home folder.

    Raises:
        UsageError: there is no such user, or this one has no home folder, as in some containers.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"'{text}': it is not known which folder '{Path(text).parts[0]}' is",
            "write the path without ~, or set HOME (for the cache also: SVHN_CACHE=FOLDER)",
        ) from error
