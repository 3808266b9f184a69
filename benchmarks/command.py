"""`svhn` in this process, for the scripts beside it."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from svhncli.cli import main as cli


def told(verb: str, *words: str) -> dict[str, Any]:
    """What a command prints with --json.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        if cli.main([verb, "-q", "--json", *words]) != 0:
            raise RuntimeError(err.getvalue())
    return json.loads(out.getvalue())
