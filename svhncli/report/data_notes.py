"""What a person should know about the data before any verb uses it."""

from __future__ import annotations

from svhncli.core.text import some
from svhncli.data.dataset import DataSet
from svhncli.data.describe import flat_parts
from svhncli.report.terminal import Show


def say_notes(data: DataSet, show: Show) -> None:
    """How the files were understood, what was not read, and which parts are all but blank."""
    for sentence in flat_parts(data):
        show.warn(sentence)
    if data.read:
        show.say(f"read     {'; '.join(data.read)}")
    if data.unread:
        show.tell(f"unread   {some(data.unread)}")
