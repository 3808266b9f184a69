"""`svhn report`: a self-contained page that agrees with the run's files and never makes a run fail."""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import requests_of
from omegaconf import OmegaConf
from PIL import Image

from svhncli.cli import main as cli
from svhncli.core.files import read_json, write_json
from svhncli.core.text import percent
from svhncli.report import next_commands
from svhncli.report.diagnosis import TRY, turns
from svhncli.report.html.page import Beside, write_report
from svhncli.runs.locate import reported_folder
from svhncli.runs.reader import Run
from svhncli.runs.sweeps import sweep_jobs

pytestmark = pytest.mark.engine

SMALL = [
    "data=tiny",
    "data.n_train=150",
    "data.n_test=40",
    "model=linear",
    "epochs=2",
    "threads=1",
    "device=cpu",
]
OF_ALL = ["summary", "use", "diagnosis", "curves", "confusion", "mistakes", "dynamics", "calibration"]
OF_ALL += ["data", "environment", "missing"]
"""Sections of a run that nothing but `svhn train` has seen."""
HOSTILE = """</title><script>alert(1)</script>'"><img src=//x.y/z onerror=alert(2)>"""


class Page(HTMLParser):
    """A page as a browser parses it: its elements, and its text without style sheets."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] not in ("style", "script"):
            self.text += f" {data}"

    def visible_text(self) -> str:
        return " ".join(self.text.split())

    def sections(self) -> list[str]:
        return [attrs["id"] for tag, attrs in self.elements if tag == "section"]

    def contents(self) -> list[str]:
        """The sections to which the table of contents links."""
        return re.findall(r'<li><a href="#(\w+)">', self.source)

    def refers_to(self) -> list[str]:
        """Everything that a browser might fetch."""
        names = ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
        urls = [value for _, attrs in self.elements for name, value in attrs.items() if name in names]
        return urls + re.findall(r"url\(([^)]*)\)|@import (\S+)", self.source)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the runs `single`, `folds` (two) and `numbers`, and a sweep with failed jobs."""
    folder, before = tmp_path_factory.mktemp("report"), Path.cwd()
    os.chdir(folder)
    try:
        assert cli.main(["train", *SMALL, "hydra.run.dir=single"]) == 0
        assert cli.main(["train", *SMALL, "split=kfold", "jobs=1", "split.k=2", "hydra.run.dir=folds"]) == 0
        sweep = ["lr=1e-2,1e-3", "init_from=null,nowhere", "hydra.sweep.dir=sweep"]
        assert cli.main(["train", "-m", *SMALL, *sweep]) == 1
        numbers = [
            "data=synth_full",
            "data.n_train=60",
            "data.n_test=0",
            "epochs=1",
            "model=linear",
            "threads=1",
        ]
        assert cli.main(["train", *numbers, "split.fraction=0.3", "hydra.run.dir=numbers"]) == 0
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of the run `single`, to be damaged."""
    return Path(shutil.copytree(made / "single", tmp_path / "single"))


# ----------------------------------------------------------------------------- the page


@pytest.mark.parametrize("name", ["single", "folds", "numbers", "sweep"])
def test_every_run_and_sweep_ends_with_a_self_contained_page(made: Path, name: str) -> None:
    page = Page(made / name / "report.html")
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    for url in page.refers_to():
        assert url.startswith("data:") or (url[:1] == "#" and url[1:] in ids), url
    assert not {"iframe", "object", "form"} & {tag for tag, _ in page.elements}
    place = OF_ALL.index("data")
    expected = {"folds": [*OF_ALL[:place], "folds", *OF_ALL[place:]], "sweep": ["jobs", *OF_ALL]}
    assert page.sections() == page.contents() == expected.get(name, OF_ALL)


@pytest.mark.parametrize("name", ["single", "folds", "numbers", "sweep"])
def test_the_page_is_accessible_to_screen_readers(made: Path, name: str) -> None:
    page = Page(made / name / "report.html")
    assert page.elements[0] == ("html", {"lang": "en"})
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attrs.get("alt") for tag, attrs in page.elements if tag == "img")
    assert all(attrs.get("scope") for tag, attrs in page.elements if tag == "th")
    assert all(attrs.get("aria-label") for tag, attrs in page.elements if tag == "svg")


@pytest.mark.parametrize(("name", "fold"), [("single", ""), ("folds", "fold0"), ("numbers", "")])
def test_the_sheets_of_the_page_are_those_of_the_run(made: Path, name: str, fold: str) -> None:
    page = Page(made / name / "report.html")
    urls = [attrs.get("srcset") or attrs["src"] for tag, attrs in page.elements if tag in ("img", "source")]
    sheets = [base64.b64decode(url.partition(",")[2]) for url in urls if url.startswith("data:image/jpeg")]
    files = ["predictions.png", "watch_dark.png", "watch.png", "augmented.png"]
    assert len(sheets) == len(files)
    for content, file in zip(sheets, files, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        drawn = np.asarray(Image.open(made / name / fold / "plots" / file))
        assert shown.shape == drawn.shape
        assert np.abs(shown - drawn).mean() < 6, file
    folded = page.source.split("<details>")[1:]
    assert sum("Random validation images" in part.split("</details>")[0] for part in folded) == 1
    assert sum("as the network gets them" in part.split("</details>")[0] for part in folded) == 1
    assert page.visible_text().count("as the network gets them, of the first fold") == bool(fold)


def test_a_run_of_an_earlier_version_has_a_page_without_the_new_sheets(copy: Path) -> None:
    before = Page(write_report(copy)).sections()
    for name in ("predictions.png", "watch_dark.png", "augmented.png"):
        (copy / "plots" / name).unlink()
    page = Page(write_report(copy))
    assert page.sections() == before
    assert sum(attrs.get("class") == "sheet" for _, attrs in page.elements) == 1, "the film"
    assert "source" not in {tag for tag, _ in page.elements}
    assert "as the network gets them" not in page.visible_text()


def test_the_numbers_of_the_page_are_those_of_summary_json(made: Path) -> None:
    text = Page(made / "single" / "report.html").visible_text()
    summary = read_json(made / "single" / "summary.json")
    for part in ("val", "test"):
        bounds = summary[part]["interval"]
        interval = f"[{percent(bounds['low'])}, {percent(bounds['high'])}] at 95%"
        name = {"val": "validation", "test": "test"}[part]
        line = f"{name} accuracy {percent(summary[part]['accuracy'])} {interval}, {summary[part]['n']} images"
        assert line in text
    assert f"{summary['parameters']:,} parameters" in text
    assert f"trained on {summary['n_train']} images" in text
    assert f"{summary['images_per_second']:,.0f} images/s" in text
    assert f"status done {summary['reason']}" in text
    assert f"{summary['diagnosis']['verdict']} : {summary['diagnosis']['why']}" in text
    labels = Run.of(made / "single").val_outputs[1][:, 0]
    assert f"majority baseline {percent(np.bincount(labels).max() / len(labels))}" in text


def test_the_confusion_matrix_counts_every_validation_image(made: Path) -> None:
    source = (made / "single" / "report.html").read_text()
    table = source[source.index('<table class="matrix">') :].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr>")[2:]]
    counts = np.array([[int(cell.replace("·", "0")) for cell in row] for row in rows])
    expected = np.zeros((10, 10), int)
    for line in (made / "single" / "val_predictions.csv").read_text().splitlines()[1:]:
        true, predicted = line.split(",")[3:5]
        expected[int(true), int(predicted)] += 1
    assert (counts == expected).all()


def test_hostile_names_reasons_and_labels_are_escaped(copy: Path) -> None:
    summary = read_json(copy / "summary.json")
    write_json(copy / "summary.json", {**summary, "reason": HOSTILE})
    sheet = read_json(copy / "data.json")
    write_json(copy / "data.json", {**sheet, "name": HOSTILE})
    mistakes = read_json(copy / "plots" / "mistakes.json")
    for mistake in mistakes["mistakes"]:
        mistake |= {"name": HOSTILE, "label": HOSTILE, "prediction": HOSTILE}
    write_json(copy / "plots" / "mistakes.json", mistakes)
    config = (copy / "config.yaml").read_text().replace("name: linear", f"name: {json.dumps(HOSTILE)}")
    (copy / "config.yaml").write_text(config)
    (copy / ".hydra" / "overrides.yaml").write_text(json.dumps([f"data.root={HOSTILE}"]))
    page = Page(write_report(copy))
    assert [tag for tag, _ in page.elements].count("script") == 1, "that of the page itself"
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
    assert all(url[:1] == "#" or url.startswith("data:") for url in page.refers_to())
    assert page.visible_text().count("<script>alert(1)</script>") > 5  # as visible text
    assert sum(attrs.get("title") == HOSTILE for _, attrs in page.elements) == len(mistakes["mistakes"])


def test_a_run_that_is_no_better_than_guessing_says_so_beside_its_diagnosis(copy: Path) -> None:
    assert "no better than always predicting" not in Page(write_report(copy)).visible_text()
    summary = read_json(copy / "summary.json")
    summary["diagnosis"]["val_accuracy"] = 0.05
    write_json(copy / "summary.json", summary)
    assert "val 5.00% is no better than always predicting" in Page(write_report(copy)).visible_text()


# ----------------------------------------------------------------------------- every kind of run


def test_a_run_of_folds_has_a_row_for_every_fold_and_their_mean(made: Path) -> None:
    text = Page(made / "folds" / "report.html").visible_text()
    summary = read_json(made / "folds" / "summary.json")
    mean = summary["val_accuracy"]
    assert f"validation accuracy {percent(mean['mean'])} [{percent(mean['low'])}" in text
    for fold in summary["folds"]:
        digest = Run.of(made / "folds" / fold["name"]).split.digest[:12]
        row = (
            f"{fold['name']} done {fold['best']['epoch']} {fold['n_val']} {percent(fold['val']['accuracy'])}"
        )
        assert re.search(rf"{re.escape(row)} .{{20,60}} {digest}", text)
    assert not (made / "folds" / "fold0" / "report.html").exists()


def test_a_fold_has_a_report_of_its_own_on_request(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "fold.html"
    assert cli.main(["report", str(made / "folds" / "fold1"), f"out={out}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run_dir": str(made / "folds" / "fold1"),
        "report": str(out),
    }
    val = read_json(made / "folds" / "fold1" / "summary.json")["val"]
    assert f"validation accuracy {percent(val['accuracy'])}" in Page(out).visible_text()


def test_a_sweep_is_ranked_and_the_reasons_of_failed_jobs_are_shown(made: Path) -> None:
    page = Page(made / "sweep" / "report.html")
    text = page.visible_text()
    assert "2 of 4 jobs are done" in text
    assert text.count("init_from=nowhere) failed: there is no run 'nowhere'") == 2
    scores = [
        read_json(path)["score"]["value"]
        for path in (made / "sweep").glob("*/summary.json")
        if read_json(path)["status"] == "done"
    ]
    places = [text.index(f" {percent(score)} ") for score in sorted(scores, reverse=True)]
    assert places == sorted(places)
    assert f"validation accuracy {percent(max(scores))}" in text
    dots = [attrs for tag, attrs in page.elements if tag == "circle" and attrs["r"] == "4"]
    assert len(dots) == 2, "a chart for lr, none for init_from, of which one value alone was done"


def test_a_stopped_sweep_shows_the_jobs_of_its_folders(made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made / "sweep", tmp_path / "sweep"))
    (copy / "summary.csv").unlink()
    text = Page(write_report(copy)).visible_text()
    assert "2 of 4 jobs are done" in text
    assert "failed: there is no run 'nowhere'" in text
    summaries = [read_json(path) for path in copy.glob("*/summary.json")]
    best = max(summary["score"]["value"] for summary in summaries if summary["status"] == "done")
    assert f"validation accuracy {percent(best)}" in text
    ranks = sweep_jobs(copy)
    assert [job.status for job in ranks] == ["done", "done", "failed", "failed"]
    assert ranks[0].score is not None
    assert ranks[1].score is not None
    assert ranks[0].score == best >= ranks[1].score


def test_a_command_with_another_choice_leaves_out_the_keys_of_the_old_choice(copy: Path) -> None:
    words = ["model=cnn", "model.width=2", "lr=0.1", "reg.l2=1e-3"]
    OmegaConf.save(OmegaConf.create(words), copy / ".hydra" / "overrides.yaml")
    run = Run.of(copy)
    assert next_commands.train(run, "model=resnet18") == "svhn train lr=0.1 reg.l2=1e-3 model=resnet18"
    assert next_commands.train(run, "lr=1") == "svhn train model=cnn model.width=2 reg.l2=1e-3 lr=1"


def test_another_choice_is_not_mixed_with_what_a_recipe_sets(copy: Path) -> None:
    OmegaConf.save(OmegaConf.create(["experiment=numbers"]), copy / ".hydra" / "overrides.yaml")
    run = Run.of(copy)
    run.config["reg"]["dropout"] = 0.2
    words = next_commands.train(run, "reg=none").split()
    assert words[-1] == "reg=none"
    assert not [word for word in words if word.startswith(("experiment", "reg."))]
    assert next_commands.train(run, "lr=1") == "svhn train experiment=numbers lr=1"


def test_a_failed_run_shows_the_reason_and_the_setting_to_change(folder: Path) -> None:
    assert cli.main(["train", *SMALL, "lr=1e30", "model=mlp", "hydra.run.dir=run"]) == 7
    page = Page(folder / "run" / "report.html")
    assert "The run failed: the training loss became" in page.visible_text()
    assert "optim.clip=1" in page.visible_text()
    assert "svhn train data=tiny" in page.visible_text()
    assert page.sections() == ["summary", "diagnosis", "data", "environment", "missing"]


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_an_unfinished_run_shows_its_finished_epochs(copy: Path, status: str) -> None:
    for name in (
        "summary.json",
        "val_predictions.csv",
        "data.json",
        "plots/mistakes.json",
        "plots/watch.png",
    ):
        (copy / name).unlink()
    write_json(copy / "status.json", {"status": status, "time": "2026-01-02T03:04:05+0000"})
    if status == "interrupted":
        write_json(copy / "summary.json", {"status": status, "reason": "stopped in epoch 3", "hint": "go on"})
    page = Page(write_report(copy))
    expected = {"interrupted": "stopped in epoch 3", "running": "2026-01-02T03:04:05"}[status]
    advice = ["diagnosis"] if status == "interrupted" else []
    assert expected in page.visible_text()
    assert page.sections() == ["summary", "use", *advice, "curves", "environment", "missing"]
    assert sum(tag == "svg" for tag, _ in page.elements) == 3, "the curves of the epochs that there are"


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("summary.json", {"diagnosis"}),
        ("metrics.csv", {"curves"}),
        ("val_predictions.csv", {"confusion", "calibration"}),
        ("data.json", {"data"}),
        ("config.yaml", set()),
        ("env.json", set()),
        ("split.json", set()),
    ],
)
def test_a_damaged_file_is_named_and_its_section_left_out(copy: Path, name: str, without: set[str]) -> None:
    path = copy / name
    path.write_bytes(b"\x00{" + path.read_bytes()[: path.stat().st_size // 2])
    page = Page(write_report(copy))
    assert f"left out: {name}" in page.visible_text()
    assert page.sections() == page.contents() == [section for section in OF_ALL if section not in without]


def test_results_of_other_commands_are_shown_only_for_the_same_data(copy: Path, tmp_path: Path) -> None:
    fingerprint = read_json(copy / "env.json")["data"]["fingerprint"]
    split = Run.of(copy).split.digest
    beside = Beside(*(tmp_path / name for name in ("human", "check", "inspect")))
    for path in (beside.human, beside.check, beside.inspect):
        path.mkdir()
    shutil.copy(copy / "plots" / "watch.png", beside.inspect / "blurred.png")
    bounds = {"low": 0.7, "high": 0.9, "level": 0.95}
    quiz = {"n": 50, "accuracy": 0.8123, "interval": bounds, "median_seconds": 1.5, "split": split}
    check = {"name": "overfit", "question": "Can it?", "measured": "0.01", "expected": "below 0.1"}
    checks = {
        "of": "cnn, adam",
        "config": {name: Run.of(copy).config[name] for name in next_commands.MEASURED},
        "passed": True,
        "seconds": 9.0,
        "checks": [{**check, "passed": True, "mend": None, "sheet": None}],
    }
    finding = {"name": "blurred", "title": "Blurred images", "measure": "sharpness", "count": 7}
    findings = {"findings": [{**finding, "level": "look", "sheet": "blurred.png", "mend": None}]}
    expected = ("a person 81.23%", "1 of 1 checks passed (cnn", "Blurred images: 7")

    def shown_for(fingerprint: str, **more: Any) -> tuple[list[bool], int]:
        for path, new in ((beside.human, quiz | more), (beside.check, checks), (beside.inspect, findings)):
            write_json(path / "result.json", {**new, "fingerprint": fingerprint})
        page = Page(write_report(copy, beside=beside))
        text = page.visible_text()
        return [line in text for line in expected], sum(tag == "img" for tag, _ in page.elements)

    shown, n_images = shown_for(fingerprint)
    assert shown == [True, True, True]
    assert shown_for("0" * 64) == ([False, False, False], n_images - 1)
    assert shown_for(fingerprint, split="0" * 64)[0] == [False, True, True]


def test_results_written_by_inspect_and_check_are_shown(folder: Path) -> None:
    data = [word for word in SMALL if word.startswith("data")]
    assert (
        cli.main(["train", *SMALL, "split=kfold", "jobs=1", "split.k=2", "report=false", "hydra.run.dir=run"])
        == 0
    )
    assert cli.main(["inspect", *data]) == 0
    assert cli.main(["inspect", "run"]) == 0

    assert cli.main(["check", *SMALL, "check.steps=20"]) == 8  # so little data cannot pass
    assert "checks passed" not in Page(write_report(folder / "run")).visible_text(), "it has another split"
    assert cli.main(["check", *SMALL, "split=kfold", "split.k=2", "check.steps=20"]) == 8
    text = Page(write_report(folder / "run")).visible_text()
    result = read_json(folder / "outputs" / "check" / "result.json")
    passed = sum(entry["passed"] for entry in result["checks"])
    assert f"{passed} of {len(result['checks'])} checks passed ({result['of']})" in text
    failed = next(entry for entry in result["checks"] if entry["name"] == "validation size")
    assert failed["mend"] in text
    for entry in read_json(folder / "outputs" / "inspect" / "result.json")["findings"]:
        assert f"{entry['title']}: {entry['count']}" in text
    assert "likely label errors, not judged: 0" in text


def test_what_a_run_lacks_is_listed_once_in_a_closed_list_at_the_end(made: Path) -> None:
    source = (made / "single" / "report.html").read_text()
    body, end = source.split('<section id="missing">')
    summary = re.findall(r"<details><summary>(.*?)</summary>", end)
    assert summary == ["Human accuracy, folds, inspection of the data, checks"]
    assert [name for name, count in Counter(re.findall(r"<dt>(.*?)</dt>", end)).items() if count == 1] == [
        *("Human accuracy", "Folds", "Inspection of the data", "Checks")
    ]
    for verb in ("human", "inspect", "check"):
        assert f">svhn {verb} " in end
        assert f">svhn {verb} " not in body


@pytest.mark.parametrize(
    ("name", "verbs"),
    [("single", ["predict", "export"]), ("sweep", ["predict", "export"]), ("folds", ["predict", "ensemble"])],
)
def test_the_page_shows_how_to_use_the_weights(made: Path, name: str, verbs: list[str]) -> None:
    source = (made / name / "report.html").read_text()
    use = source[source.index('<section id="use">') :].split("</section>")[0]
    commands = [html.unescape(text) for text in re.findall(r'<code class="command">(.*?)</code>', use)]
    assert [command.split()[1] for command in commands] == verbs
    best = f"sweep/{sweep_jobs(made / name)[0].path.name}" if name == "sweep" else name
    assert [shlex.split(command)[2] for command in commands] == [best, best]


def test_a_network_of_boxes_predicts_images_that_are_numbers_already(copy: Path) -> None:
    run = Run.of(copy)
    assert next_commands.predict(run) == f"svhn predict {copy} PATHS..."
    run.config["data"]["crop"] = "boxes"
    assert next_commands.predict(run) == f"svhn predict {copy} PATHS... crop=whole"


def test_a_run_without_weights_has_no_commands_for_them(copy: Path) -> None:
    (copy / "best.pt").unlink()
    page = Page(write_report(copy))
    assert "use" not in page.sections()
    assert "svhn predict" not in page.visible_text()
    assert "The run saved no best.pt" in page.visible_text()


def test_scores_of_svhn_eval_are_included(made: Path, copy: Path) -> None:
    assert cli.main(["eval", str(copy), "tta=3", "part=val"]) == 0
    (results,) = copy.glob("eval/*/results.json")
    accuracy = read_json(results)["accuracy"]
    assert re.search(rf"synth val 3 \d+ {percent(accuracy)}", Page(write_report(copy)).visible_text())


# ----------------------------------------------------------------------------- failures and costs


def test_no_report_is_written_if_none_is_requested(folder: Path) -> None:
    assert cli.main(["train", *SMALL, "report=false", "hydra.run.dir=run"]) == 0
    assert cli.main(["train", "-m", *SMALL, "report=false", "seed=1,2", "hydra.sweep.dir=sweep"]) == 0
    assert not list(folder.rglob("report.html"))
    assert cli.main(["report", "run"]) == 0
    assert (folder / "run" / "report.html").is_file()


def test_a_report_that_cannot_be_written_leaves_the_run_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, "out=run", "report=false"]) == 0
    (folder / "run" / "report.html" / "in the way").mkdir(parents=True)
    assert cli.main(["train", "--resume", "run", "epochs=9", "report=true"]) == 0
    assert "no report was written" in capsys.readouterr().err
    assert read_json(folder / "run" / "status.json")["status"] == "done"
    assert read_json(folder / "run" / "summary.json")["status"] == "done"
    assert cli.main(["report", "run"]) == 6


def test_a_report_needs_no_torch() -> None:
    code = "import sys, svhncli.commands.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_of_anything_but_a_run_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert cli.main(["report", "nowhere"]) == 4
    assert cli.main(["report", "empty"]) == 4
    assert cli.main(["report", "latest"]) == 4
    assert "svhn: error: there is no run" in capsys.readouterr().err


def test_a_file_means_the_run_around_it(made: Path, tmp_path: Path) -> None:
    assert reported_folder(str(made / "single" / "best.pt")) == made / "single"
    assert reported_folder(str(made / "folds" / "fold0" / "best.pt")) == made / "folds" / "fold0"
    assert reported_folder(str(made / "sweep" / "summary.csv")) == made / "sweep"
    copy = Path(shutil.copytree(made / "folds", tmp_path / "folds"))
    (copy / "fold0" / "summary.json").unlink()
    assert reported_folder(str(copy / "fold0")) == copy / "fold0", "a fold that has not ended"


@pytest.mark.parametrize("verdict", TRY)
def test_every_piece_of_advice_is_a_valid_change_of_the_config(made: Path, verdict: str) -> None:
    config = Run.of(made / "single").config
    words = [word for _, word in turns(verdict, config) if word]
    assert words
    assert cli.main(["train", *SMALL, *words, "--cfg", "job"]) == 0
    if verdict == "diverged":
        assert f"lr={config['lr'] / 10:.6g}" in words


# ----------------------------------------------------------------------------- a real browser


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_a_request_an_error_or_a_sideways_scroll(
    made: Path, browser: Any, width: int
) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for name in ("single", "folds", "numbers", "sweep"):
        browser.get((made / name / "report.html").as_uri())
        page, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert window == width
        assert page <= width, name
        broken = "return [...document.images].filter(image => !image.naturalWidth).length"
        assert browser.execute_script(broken) == 0
    assert browser.get_log("browser") == []
    assert requests_of(browser) == []


def opened(browser: Any, page: Path) -> str:
    """Show a page, in which the clipboard may be read; the page's first command."""
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    browser.get(page.as_uri())
    return str(browser.execute_script("return document.querySelector('code.command').textContent"))


CLIPBOARD = "const done = arguments[0]; (window.kept ?? navigator.clipboard).readText().then(done, done)"
NO_CLIPBOARD = """
    window.kept = navigator.clipboard;
    Object.defineProperty(navigator, "clipboard", {value: undefined});
"""


@pytest.mark.parametrize("how", ["clipboard", "selection"])
def test_a_button_beside_each_command_copies_it(made: Path, browser: Any, how: str) -> None:
    if how == "selection":
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_CLIPBOARD})
    opened(browser, made / "single" / "report.html")
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    commands = browser.find_elements("css selector", "code.command")
    buttons = browser.find_elements("css selector", ".copyable > button")
    assert len(buttons) == len(commands) > 5
    assert not browser.find_elements("css selector", "code button")
    for command, button in zip(commands, buttons, strict=True):
        assert button.accessible_name == f"Copy: {command.text}"
        button.click()
        assert browser.execute_async_script(CLIPBOARD) == command.text
        assert [other.text for other in buttons if other.text != "Copy"] == ["Copied"]
    assert (
        browser.find_element("css selector", "[role=status]")
        .get_property("textContent")
        .endswith(commands[-1].text)
    )
    assert browser.get_log("browser") == []
    assert requests_of(browser) == []


def test_where_nothing_may_be_copied_the_command_is_selected(made: Path, browser: Any) -> None:
    refused = f"{NO_CLIPBOARD} document.execCommand = () => false;"
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refused})
    command = opened(browser, made / "single" / "report.html")
    button = browser.find_element("css selector", ".copy")
    button.click()
    assert button.text == "Press Ctrl+C"
    assert browser.execute_script("return getSelection().toString()") == command


def test_the_buttons_are_not_on_paper_and_not_there_without_javascript(made: Path, browser: Any) -> None:
    page = made / "single" / "report.html"
    opened(browser, page)
    assert browser.find_element("css selector", ".copy").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element("css selector", ".copy").is_displayed()
    assert browser.find_element("css selector", "code.command").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(page.as_uri())
    assert browser.find_element("css selector", "code.command").is_displayed()
    assert not browser.find_elements("css selector", "button")


def test_a_browser_refuses_every_script_but_that_of_the_page(
    made: Path, browser: Any, tmp_path: Path
) -> None:
    source = (made / "single" / "report.html").read_text()
    page = tmp_path / "page.html"
    page.write_text(source.replace("<main>", "<script>document.title = 'changed'</script><main>"))
    opened(browser, page)
    assert browser.title != "changed"
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]
    assert browser.find_elements("css selector", ".copy")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_shows_the_film_in_the_colors_of_the_page(made: Path, browser: Any, theme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get((made / "single" / "report.html").as_uri())
    source = "source" if theme == "dark" else "img"
    attribute = "srcset" if theme == "dark" else "src"
    shown, url = browser.execute_script(
        "const film = document.querySelector('picture');"
        "return [film.querySelector('img').currentSrc, film.querySelector(arguments[0])[arguments[1]]]",
        source,
        attribute,
    )
    assert shown == url
