"""The standard streams as callers leave them: without bytes below the text (StringIO, notebooks), or None."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO


@contextmanager
def stand_ins() -> Iterator[None]:
    """In the block, standard streams that are None, as in a program without a console, are empty files."""
    with ExitStack() as stack:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, stack.enter_context(open(os.devnull, mode, encoding="utf-8")))
                stack.callback(setattr, sys, name, None)
        yield


def byte_lines(stream: TextIO) -> Iterator[bytes]:
    """The lines of a text stream as bytes: those of the file below it, if it has one."""
    yield from getattr(stream, "buffer", None) or map(os.fsencode, stream)
