"""Sections of the report come and go with the files of the run; a report never makes a run fail."""

from __future__ import annotations

import html
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from reported import OF_ALL, SMALL, Page

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


# ----------------------------------------------------------------------------- sections


@pytest.mark.fault("`svhn report` meets a damaged file", "the page names it, and does without", "0")
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
def test_a_damaged_file_is_named_and_its_section_left_out(
    run_copy: Path, name: str, without: set[str]
) -> None:
    path = run_copy / name
    path.write_bytes(b"\x00{" + path.read_bytes()[: path.stat().st_size // 2])
    page = Page(write_report(run_copy))
    assert f"left out of this report: {name}" in page.visible_text()
    assert ("A run whose config.yaml is damaged" in page.visible_text()) == (name == "config.yaml")
    assert page.sections() == page.contents() == [section for section in OF_ALL if section not in without]


def test_results_of_other_commands_are_shown_only_for_the_same_data(run_copy: Path, tmp_path: Path) -> None:
    fingerprint = read_json(run_copy / "env.json")["data"]["fingerprint"]
    split = Run.of(run_copy).split.digest
    beside = Beside(*(tmp_path / name for name in ("human", "check", "inspect")))
    for path in (beside.human, beside.check, beside.inspect):
        path.mkdir()
    shutil.copy(run_copy / "plots" / "watch.png", beside.inspect / "blurred.png")
    bounds = {"low": 0.7, "high": 0.9, "level": 0.95}
    quiz = {"n": 50, "accuracy": 0.8123, "interval": bounds, "median_seconds": 1.5, "split": split}
    check = {"name": "overfit", "question": "Can it?", "measured": "0.01", "expected": "below 0.1"}
    checks = {
        "of": "cnn, adam",
        "config": {name: Run.of(run_copy).config[name] for name in next_commands.MEASURED},
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
        page = Page(write_report(run_copy, beside=beside))
        text = page.visible_text()
        return [line in text for line in expected], sum(tag == "img" for tag, _ in page.elements)

    shown, n_images = shown_for(fingerprint)
    assert shown == [True, True, True]
    assert shown_for("0" * 64) == ([False, False, False], n_images - 1)
    assert shown_for(fingerprint, split="0" * 64)[0] == [False, True, True]


def test_results_written_by_inspect_and_check_are_shown(
    reports: Path, folder: Path, quick_checks: None
) -> None:
    shutil.copytree(reports / "folds", "run")
    shutil.copytree(reports / "single", "single")
    assert cli.main(["inspect", *(word for word in SMALL if word.startswith("data"))]) == 0
    assert cli.main(["inspect", "run"]) == 0
    checked = [*SMALL, "split=kfold", "split.k=2", "check.steps=20"]
    assert cli.main(["check", *checked]) == 8  # so little data cannot pass
    assert "checks passed" not in Page(write_report(Path("single"))).visible_text(), "it has another split"
    text = Page(write_report(Path("run"))).visible_text()
    result = read_json(folder / "outputs" / "check" / "result.json")
    passed = sum(entry["passed"] for entry in result["checks"])
    assert f"{passed} of {len(result['checks'])} checks passed ({result['of']})" in text
    failed = next(entry for entry in result["checks"] if entry["name"] == "validation size")
    assert failed["mend"] in text
    for entry in read_json(folder / "outputs" / "inspect" / "result.json")["findings"]:
        assert f"{entry['title']}: {entry['count']}" in text
    assert "likely label errors, not judged: 0" in text


def test_what_a_run_lacks_is_listed_once_in_a_closed_list_at_the_end(reports: Path) -> None:
    source = (reports / "single" / "report.html").read_text()
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
def test_the_page_shows_how_to_use_the_weights(reports: Path, name: str, verbs: list[str]) -> None:
    source = (reports / name / "report.html").read_text()
    use = source[source.index('<section id="use">') :].split("</section>")[0]
    commands = [html.unescape(text) for text in re.findall(r'<code class="command">(.*?)</code>', use)]
    assert [command.split()[1] for command in commands] == verbs
    best = f"sweep/{sweep_jobs(reports / name)[0].path.name}" if name == "sweep" else name
    assert [shlex.split(command)[2] for command in commands] == [best, best]


def test_a_network_of_boxes_predicts_images_that_are_numbers_already(run_copy: Path) -> None:
    run = Run.of(run_copy)
    assert next_commands.predict(run) == f"svhn predict {run_copy} PATHS..."
    run.config["data"]["crop"] = "boxes"
    assert next_commands.predict(run) == f"svhn predict {run_copy} PATHS... crop=whole"


def test_a_run_without_weights_has_no_commands_for_them(run_copy: Path) -> None:
    (run_copy / "best.pt").unlink()
    page = Page(write_report(run_copy))
    assert "use" not in page.sections()
    assert "svhn predict" not in page.visible_text()
    assert "The run saved no best.pt" in page.visible_text()


def test_scores_of_svhn_eval_are_included(reports: Path, run_copy: Path) -> None:
    assert cli.main(["eval", str(run_copy), "tta=3", "part=val"]) == 0
    (results,) = run_copy.glob("eval/*/results.json")
    accuracy = read_json(results)["accuracy"]
    assert re.search(rf"synth val 3 \d+ {percent(accuracy)}", Page(write_report(run_copy)).visible_text())


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


def test_a_file_means_the_run_around_it(reports: Path, tmp_path: Path) -> None:
    assert reported_folder(str(reports / "single" / "best.pt")) == reports / "single"
    assert reported_folder(str(reports / "folds" / "fold0" / "best.pt")) == reports / "folds" / "fold0"
    assert reported_folder(str(reports / "sweep" / "summary.csv")) == reports / "sweep"
    copy = Path(shutil.copytree(reports / "folds", tmp_path / "folds"))
    (copy / "fold0" / "summary.json").unlink()
    assert reported_folder(str(copy / "fold0")) == copy / "fold0", "a fold that has not ended"


@pytest.mark.parametrize("verdict", TRY)
def test_every_piece_of_advice_is_a_valid_change_of_the_config(reports: Path, verdict: str) -> None:
    config = Run.of(reports / "single").config
    words = [word for _, word in turns(verdict, config) if word]
    assert words
    assert cli.main(["train", *SMALL, *words, "--cfg", "job"]) == 0
    if verdict == "diverged":
        assert f"lr={config['lr'] / 10:.6g}" in words
