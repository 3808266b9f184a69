"""What a person should know about the data before any verb uses it."""

from __future__ import annotations

from svhncli.core.text import some
from svhncli.data.dataset import DataSet
from svhncli.data.describe import flat_parts, misplaced_boxes
from svhncli.report.terminal import Show


def say_notes(data: DataSet, show: Show) -> None:
    """How the files were understood, what was not read, and which parts are all but blank."""
    if data.framing is not None and data.framing.white is not None:
        show.say(f"deep     images of more than 8 bits: 0 is black, {data.framing.white:,.0f} is white")
    for sentence in (*flat_parts(data), *misplaced_boxes(data)):
        show.warn(sentence)
    if data.read:
        show.tell(f"read     {'; '.join(data.read)}")
    if data.unread:
        show.tell(f"unread   {some(data.unread)}")
