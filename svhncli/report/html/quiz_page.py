"""The quiz as one self-contained HTML page with images, keys, score and the file of answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from svhncli.core.files import write_text
from svhncli.core.plain import to_plain
from svhncli.report.quiz import Question, QuizFacts
from svhncli.runs.contact_sheet import data_url

_TEMPLATE = Path(__file__).with_name("quiz.html")


def write_page(
    path: Path,
    questions: Sequence[Question],
    positions: int,
    facts: QuizFacts,
    *,
    may_be_blank: bool = False,
) -> None:
    """Write the page. The file that it saves has the same format as that of the quiz on the terminal.

    positions: with 1, a digit is the answer; with more, Enter ends a number.
    may_be_blank: whether Enter alone says that an image shows no number.
    """
    content = {
        "facts": to_plain(facts),
        "folder": str(path.parent),
        "positions": positions,
        "mayBeBlank": may_be_blank,
        "questions": [
            {
                "index": question.index,
                "name": question.name,
                "label": question.label,
                "picture": _png(question),
            }
            for question in questions
        ],
    }
    text = json.dumps(content).replace("<", "\\u003c")  # a name must not close the script element
    write_text(path, _TEMPLATE.read_text(encoding="utf-8").replace("{{content}}", text))


def _png(question: Question) -> str:
    pixels = question.image.transpose(1, 2, 0)
    return data_url(Image.fromarray(pixels.repeat(3 // pixels.shape[2], axis=2)))
