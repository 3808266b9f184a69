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
from svhncli.core.plain import to_plain
from svhncli.report.quiz import Answer, half_blocks, score
from svhncli.stats.intervals import wilson

WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
"""How much red, green and blue contribute to the luminance."""
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


class OpenQuiz:
    """A quiz of `n` images in a browser, whose downloads are kept as text."""

    def __init__(self, browser: Any, page: Path) -> None:
        self.browser = browser
        browser.get(page.as_uri())
        (content,) = re.findall(r'json">(.*?)</script>', page.read_text())
        self.questions = json.loads(content)["questions"]
        # the file is looked at where it leaves the page, because a download has no end to wait for
        browser.execute_script("""
            window.saved = [];
            document.getElementById("save").addEventListener("click", event => {
              event.preventDefault();
              saved.push(event.currentTarget.href);
            });
        """)

    def press(self, keys: str) -> None:
        self.browser.find_element("tag name", "body").send_keys(keys)

    def tap(self, *names: str) -> None:
        for name in names:
            shown = [b for b in self.browser.find_elements("css selector", "button, a") if b.is_displayed()]
            (button,) = (button for button in shown if button.accessible_name == name)
            button.click()

    def text(self) -> str:
        return str(self.browser.find_element("tag name", "body").text)

    def saved(self) -> list[dict[str, Any]]:
        script = "return Promise.all(saved.map(url => fetch(url).then(response => response.json())))"
        return list(self.browser.execute_script(script))


@pytest.fixture
def opened(folder: Path, browser: Any) -> Callable[..., OpenQuiz]:
    """Makes a quiz and opens it: opened(*words)."""

    def make(*words: str) -> OpenQuiz:
        assert cli.main(["human", *words, "html=true"]) == 0
        return OpenQuiz(browser, folder / "outputs" / "human" / "quiz.html")

    return make


NUMBERS = ["data=synth_full", "data.n_train=40", "data.n_test=0", "split.fraction=0.25", "n=3"]


def test_the_page_says_what_it_asks_and_of_which_data(folder: Path, opened: Callable[..., OpenQuiz]) -> None:
    write_mat(folder / "d", "train", 100, 0)
    quiz = opened(*MAT, "n=4")
    (heading,) = quiz.browser.find_elements("tag name", "h1")
    assert heading.text == "Quiz: which digits do you see?"
    assert "4 held-out images of svhn" in quiz.text()


@pytest.mark.parametrize("touch", [False, True])
def test_the_last_answer_can_be_undone_even_after_the_last_image(
    folder: Path, opened: Callable[..., OpenQuiz], touch: bool
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    quiz = opened(*MAT, "n=3")

    def undo() -> None:
        quiz.tap("Undo last answer") if touch else quiz.press("u")

    quiz.press("12")
    undo()
    undo()
    assert "image 1 of 3" in quiz.text()
    quiz.press("u")  # there is nothing left to undo
    quiz.press("345")
    assert "Your accuracy" in quiz.text()
    undo()
    assert "image 3 of 3" in quiz.text()
    quiz.press("6")
    quiz.tap("Save result.json")
    (result,) = quiz.saved()
    assert [answer["answer"] for answer in result["answers"]] == [*"346"]
    assert [answer["index"] for answer in result["answers"]] == [q["index"] for q in quiz.questions]
    assert quiz.browser.get_log("browser") == []
    wrong = sum(answer["answer"] != answer["label"] for answer in result["answers"])
    assert len(quiz.browser.find_elements("css selector", "#misread td img")) == wrong


def test_an_undone_answer_keeps_the_time_that_its_image_was_seen(
    folder: Path, opened: Callable[..., OpenQuiz]
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    quiz = opened(*MAT, "n=1")
    quiz.browser.execute_script("shown -= 5000")  # as if the image had been seen for so long
    quiz.press("1u2")
    quiz.tap("Save result.json")
    assert quiz.saved()[0]["median_seconds"] >= 5


@pytest.mark.parametrize("touch", [False, True])
def test_the_quiz_can_be_stopped_and_saves_its_answers(
    folder: Path, opened: Callable[..., OpenQuiz], touch: bool
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    quiz = opened(*MAT, "n=9")
    quiz.press("q")  # there is nothing to save yet
    assert "image 1 of 9" in quiz.text()
    assert not quiz.browser.find_element("id", "stop").is_enabled()
    quiz.press("12")
    quiz.tap("Stop and save") if touch else quiz.press("q")
    quiz.press("3q")  # after the end, keys answer nothing and save nothing
    (result,) = quiz.saved()
    answers = [Answer(**answer) for answer in result["answers"]]
    assert [answer.answer for answer in answers] == ["1", "2"]
    expected = to_plain(score(answers))
    assert result["interval"].pop("low") == pytest.approx(expected["interval"].pop("low"), rel=1e-12)
    assert result["interval"].pop("high") == pytest.approx(expected["interval"].pop("high"), rel=1e-12)
    assert {name: result[name] for name in expected} == expected
    assert {*result} == {*expected, "data", "fingerprint", "part", "split", "seed"}
    quiz.press("u")
    assert "image 2 of 9" in quiz.text()


@pytest.mark.parametrize("numbers", [False, True])
def test_a_small_phone_shows_every_button_at_once_and_large_enough_to_tap(
    folder: Path, opened: Callable[..., OpenQuiz], numbers: bool
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    quiz = opened(*(NUMBERS if numbers else [*MAT, "n=3"]))
    phone = {"width": 390, "height": 664, "deviceScaleFactor": 1, "mobile": True}
    quiz.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    quiz.browser.refresh()
    sides = "const r = arguments[0].getBoundingClientRect(); return [r.left, r.right, r.top, r.bottom]"
    buttons = [b for b in quiz.browser.find_elements("css selector", "button") if b.is_displayed()]
    assert len(buttons) == (14 if numbers else 12)
    for button in buttons:
        left, right, top, bottom = quiz.browser.execute_script(sides, button)
        assert 0 <= left < right <= 390
        assert 0 <= top < bottom <= 664
        assert min(right - left, bottom - top) >= 44


def test_a_number_is_answered_by_touch_alone(opened: Callable[..., OpenQuiz]) -> None:
    quiz = opened(*NUMBERS)
    quiz.tap("1", "7", "delete a digit", "2", "enter the number", "5", "enter the number", "Stop and save")
    (result,) = quiz.saved()
    assert [answer["answer"] for answer in result["answers"]] == ["12", "5"]


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_text_has_contrast_in_light_and_in_dark_mode(
    folder: Path, opened: Callable[..., OpenQuiz], scheme: str, light: bool
) -> None:
    write_mat(folder / "d", "train", 100, 0)
    quiz = opened(*MAT, "n=3")
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    quiz.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)

    def luminance(element: str, color: str) -> float:
        """The relative luminance of WCAG 2."""
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        rgb = re.findall(r"\d+", quiz.browser.execute_script(script, element, color))[:3]
        parts = np.array([int(part) for part in rgb]) / 255
        return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ WEIGHTS)

    paper = luminance("html", "backgroundColor")
    assert (paper > 0.5) == light
    for element, behind in (("h1", paper), (".soft", paper), ("#keys button", None)):
        below = luminance(element, "backgroundColor") if behind is None else behind
        darker, lighter = sorted([luminance(element, "color"), below])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, element
