"""`svhn compare` with a person's answers in a quiz of `svhn human`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from compared import SMALL, Compare, correct, rows

from svhncli.cli import main as cli


def answer_quiz(folder: Path, count: int) -> None:
    """Save what `svhn human` saves of a person who makes no mistake: an answer to each question of the quiz
    page, and the facts that the page stores beside the answers."""
    assert cli.main(["human", *SMALL[:3], "html=true", f"n={count}", f"out={folder}"]) == 0
    (content,) = re.findall(r'json">(.*?)</script>', (folder / "quiz.html").read_text())
    page = json.loads(content)
    answers = [
        {name: question[name] for name in ("index", "name", "label")}
        | {"answer": question["label"], "seconds": 1.0}
        for question in page["questions"]
    ]
    (folder / "result.json").write_text(json.dumps({"answers": answers, **page["facts"]}))


def test_a_person_is_compared_with_a_run_on_the_images_of_the_quiz(runs: Path, compare: Compare) -> None:
    answer_quiz(runs / "outputs" / "human", 15)
    asked = {
        answer["index"] for answer in json.loads((runs / "outputs/human/result.json").read_text())["answers"]
    }
    path = runs / "linear" / "val_predictions.csv"
    run_correct = correct(path)[[int(row["index"]) in asked for row in rows(path)]]
    for word in ("outputs/human", "outputs/human/result.json"):
        result = compare(word, "linear")
        (comparison,) = result["comparisons"]
        assert comparison["pictures"] == 15
        assert (comparison["accuracy_a"], comparison["accuracy_b"]) == (1, run_correct.mean())
        assert (comparison["only_a"], comparison["only_b"]) == (int((~run_correct).sum()), 0)
        assert comparison["outcome"] == "worse"
        assert comparison["groups"] < 15  # which the run's predictions.csv records
        assert comparison["warning"] is None
        assert result["differs"] == []


def test_a_person_has_no_test_part(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer_quiz(runs / "outputs" / "human", 5)
    assert cli.main(["compare", "outputs/human", "linear", "part=test"]) == 2
    assert "leave part=test out" in capsys.readouterr().err
    (runs / "outputs" / "human" / "result.json").write_text('{"answers": []}')
    assert cli.main(["compare", "outputs/human", "linear"]) == 4
    assert "where svhn human saved its answers" in capsys.readouterr().err
