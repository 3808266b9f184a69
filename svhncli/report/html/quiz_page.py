"""The quiz as one HTML page that needs nothing else: pictures, keys, score and the file of answers."""

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


def write_page(path: Path, questions: Sequence[Question], positions: int, facts: QuizFacts) -> None:
    """Write the page. What it lets a person save has the form of the terminal quiz's file.

    positions: 1 answers at once by a digit; more read a number until Enter.
    """
    content = {
        "facts": to_plain(facts),
        "positions": positions,
        "questions": [
            {"index": one.index, "name": one.name, "label": one.label, "picture": _png(one)}
            for one in questions
        ],
    }
    text = json.dumps(content).replace("<", "\\u003c")  # no end of the script in a name
    write_text(path, _TEMPLATE.read_text(encoding="utf-8").replace("{{content}}", text))


def _png(question: Question) -> str:
    pixels = question.image.transpose(1, 2, 0)
    return data_url(Image.fromarray(pixels.repeat(3 // pixels.shape[2], axis=2)))
