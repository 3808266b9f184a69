"""What a person should know about the data before any verb uses it."""

from __future__ import annotations

from svhncli.core.text import some
from svhncli.data.dataset import DataSet
from svhncli.data.describe import class_gaps, flat_parts, misplaced_boxes
from svhncli.data.split import Fold
from svhncli.report.terminal import Show


def say_notes(data: DataSet, show: Show, fold: Fold | None = None) -> None:
    """How the files were understood, what was not read, which parts are all but blank or lack a class, and
    how many images show no number.

    fold: what will be trained on and validated, where that is known.
    """
    if data.framing is not None and data.framing.white is not None:
        show.say(f"deep     images of more than 8 bits: 0 is black, {data.framing.white:,.0f} is white")
    for sentence in (*flat_parts(data), *misplaced_boxes(data), *class_gaps(data, fold)):
        show.warn(sentence)
    parts = (("training", data.train), ("validation", data.val), ("test", data.test))
    blank = [
        f"{count:,} {name}"
        for name, digits in parts
        if digits is not None and (count := int(digits.is_blank.sum()))
    ]
    if blank:
        show.say(f"blank    images without a number: {', '.join(blank)}")
    if data.lacking:
        show.tell(f"lacking  images without a number in {'; '.join(data.lacking)}")
    if data.read:
        show.tell(f"read     {'; '.join(data.read)}")
    if data.unread:
        show.tell(f"unread   {some(data.unread)}")
