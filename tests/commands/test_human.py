"""`svhn human` in a real terminal and a real browser, driven by key presses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import requests_of, write_mat
from forked import Forked, type_keys

from svhncli.cli import main as cli
from svhncli.commands.human import CLEAR
from svhncli.report.quiz import Answer, half_blocks, score
from svhncli.stats.intervals import wilson

MAT = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]


def play(spawn: Callable[..., Forked], folder: Path, keys: str, *words: str) -> tuple[int, str]:
    """Type a key for each image of a quiz once it is drawn; return the exit code and the screen."""
    process, screen = type_keys(partial(spawn, "human", *words, cwd=folder), keys, CLEAR)
    return process.wait(), screen


def test_each_digit_key_answers_an_image_and_the_result_is_saved(
    folder: Path, spawn: Callable[..., Forked]
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    code, screen = play(spawn, folder, "3731", *MAT, "n=4", "seed=5")
    assert code == 0, screen[-500:]
    result = json.loads((folder / "outputs" / "human" / "result.json").read_text())
    assert [answer["answer"] for answer in result["answers"]] == [*"3731"]
    correct = sum(answer["answer"] == answer["label"] for answer in result["answers"])
    assert (result["n"], result["accuracy"]) == (4, correct / 4)
    assert result["interval"]["low"] == wilson(correct, 4).low
    assert len({answer["index"] for answer in result["answers"]}) == 4
    assert "image 4 of 4" in screen


def test_ctrl_c_saves_the_answers_so_far(folder: Path, spawn: Callable[..., Forked]) -> None:
    write_mat(folder / "d", "train", 100, 0)
    code, screen = play(spawn, folder, "12\x03", *MAT, "n=9")
    assert code == 130
    assert "stopped after 2 of 9 images" in screen
    saved = (folder / "outputs" / "human" / "result.json").read_bytes()
    assert json.loads(saved)["n"] == 2
    code, screen = play(spawn, folder, "3", *MAT, "n=1")
    assert code == 2
    assert "already has answers" in screen
    assert (folder / "outputs" / "human" / "result.json").read_bytes() == saved


def test_without_a_terminal_an_html_page_is_suggested(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["human", "data=tiny"]) == 2
    assert "html=true" in capsys.readouterr().err
    assert not (folder / "outputs").exists()


def test_half_blocks_show_two_pixels_per_character() -> None:
    image = np.zeros((3, 4, 6), np.uint8)
    image[0, 0], image[1, 1] = 255, 128  # red above green
    lines = half_blocks(image, 6, 10).split("\n")
    assert len(lines) == 2
    assert lines[0].count("▀") == 6
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;0;128;0m")


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 128), (3, 8, 8)])
def test_half_blocks_fit_into_a_terminal(shape: tuple[int, int, int]) -> None:
    lines = half_blocks(np.full(shape, 7, np.uint8), 80, 20).split("\n")
    assert len(lines) <= 20
    assert all(line.count("▀") <= 80 for line in lines)
    assert len(lines) == 20 or lines[0].count("▀") == 80


def test_the_score_has_a_wilson_interval_and_the_median_of_the_seconds() -> None:
    answers = [Answer(i, "", "1", "1" if i else "7", seconds) for i, seconds in enumerate([9.0, 1.0, 2.0])]
    result = score(answers)
    assert result.accuracy == 2 / 3
    assert result.median_seconds == 2
    assert (result.interval.low, result.interval.high) == (wilson(2, 3).low, wilson(2, 3).high)


# ----------------------------------------------------------------------------- the page


@pytest.mark.parametrize("numbers", [False, True])
def test_the_page_is_answered_by_keys_and_scores_as_the_terminal_does(
    folder: Path, browser: Any, capsys: pytest.CaptureFixture[str], numbers: bool
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    data = ["data=synth_full", "data.n_train=40", "data.n_test=0", "split.fraction=0.25"] if numbers else MAT
    assert cli.main(["human", *data, "n=4", "html=true"]) == 0
    capsys.readouterr()
    page = folder / "outputs" / "human" / "quiz.html"
    (content,) = re.findall(r'json">(.*?)</script>', page.read_text())
    questions = json.loads(content)["questions"]
    browser.get(page.as_uri())
    body = browser.find_element("tag name", "body")
    typed = [questions[0]["label"], questions[1]["label"], "7", "0"]
    for answer in typed:
        body.send_keys(answer if not numbers else f"9\ue003{answer}\ue007")  # Backspace, Enter
    text = browser.execute_script(
        "return fetch(document.getElementById('save').href).then(response => response.text())"
    )
    result = json.loads(text)
    answers = [Answer(**answer) for answer in result["answers"]]
    assert [answer.answer for answer in answers] == typed
    assert {name: result[name] for name in ("n", "accuracy", "median_seconds")} == {
        name: getattr(score(answers), name) for name in ("n", "accuracy", "median_seconds")
    }
    assert result["interval"]["low"] == pytest.approx(score(answers).interval.low, rel=1e-12)
    assert len(result["split"]) == 64
    wrong = sum(answer.answer != answer.label for answer in answers)
    assert len(browser.find_elements("css selector", "#misread td img")) == wrong
    assert browser.get_log("browser") == []
    assert requests_of(browser) == []
