"""JSON files of labels, read strictly: what other readers pass over in silence is an error."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError


def read(path: Path, hint: str) -> Any:
    """The content of a file in UTF-8, without NaN, infinities and names that appear twice in an object.

    hint: what the file should hold.

    Raises:
        DataError: the file cannot be read or is not strict JSON.
    """
    try:
        return parse(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its path") from error
    except RecursionError as error:
        raise DataError(f"'{path}' is nested too deeply", hint) from error
    except ValueError as error:  # from JSON, UTF-8, very long integers, and the two functions below
        raise DataError(f"'{path}' is not valid JSON: {error}", "get the file again") from error


def parse(text: str) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError, RecursionError: it is not strict JSON.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)


def load(path: Path, hint: str) -> dict[str, Any]:
    """The object in such a file.

    Raises:
        DataError: as for `read`, or the file holds anything else than an object.
    """
    content = read(path, hint)
    if not isinstance(content, dict):
        raise DataError(f"'{path}' is not a JSON object", hint)
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{repeated!r} appears twice")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a finite number")
