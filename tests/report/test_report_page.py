"""`svhn report`: a self-contained page that agrees with the run's files, for every kind of run."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import unrecorded
from omegaconf import OmegaConf
from PIL import Image
from reported import OF_ALL, SMALL, Page

from svhncli.cli import main as cli
from svhncli.core.files import read_json, write_json
from svhncli.core.text import percent
from svhncli.report import next_commands
from svhncli.report.html.page import write_report
from svhncli.runs.reader import Run
from svhncli.runs.sweeps import sweep_jobs

pytestmark = pytest.mark.engine
HOSTILE = """</title><script>alert(1)</script>'"><img src=//x.y/z onerror=alert(2)>"""


# ----------------------------------------------------------------------------- the page


@pytest.mark.parametrize("name", ["single", "folds", "numbers", "sweep"])
def test_every_run_and_sweep_ends_with_a_self_contained_page(reports: Path, name: str) -> None:
    page = Page(reports / name / "report.html")
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    for url in page.refers_to():
        assert url.startswith("data:") or (url[:1] == "#" and url[1:] in ids), url
    assert not {"iframe", "object", "form"} & {tag for tag, _ in page.elements}
    place = OF_ALL.index("data")
    expected = {"folds": [*OF_ALL[:place], "folds", *OF_ALL[place:]], "sweep": ["jobs", *OF_ALL]}
    assert page.sections() == page.contents() == expected.get(name, OF_ALL)


@pytest.mark.parametrize("name", ["single", "folds", "numbers", "sweep"])
def test_the_page_is_accessible_to_screen_readers(reports: Path, name: str) -> None:
    page = Page(reports / name / "report.html")
    assert page.elements[0] == ("html", {"lang": "en"})
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attrs.get("alt") for tag, attrs in page.elements if tag == "img")
    assert all(attrs.get("scope") for tag, attrs in page.elements if tag == "th")
    assert all(attrs.get("aria-label") for tag, attrs in page.elements if tag == "svg")


@pytest.mark.parametrize(("name", "fold"), [("single", ""), ("folds", "fold0"), ("numbers", "")])
def test_the_sheets_of_the_page_are_those_of_the_run(reports: Path, name: str, fold: str) -> None:
    page = Page(reports / name / "report.html")
    urls = [attrs.get("srcset") or attrs["src"] for tag, attrs in page.elements if tag in ("img", "source")]
    sheets = [base64.b64decode(url.partition(",")[2]) for url in urls if url.startswith("data:image/jpeg")]
    files = ["predictions.png", "watch_dark.png", "watch.png", "augmented.png"]
    assert len(sheets) == len(files)
    for content, file in zip(sheets, files, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        drawn = np.asarray(Image.open(reports / name / fold / "plots" / file))
        assert shown.shape == drawn.shape
        assert np.abs(shown - drawn).mean() < 6, file
    folded = page.source.split("<details>")[1:]
    assert sum("Random validation images" in part.split("</details>")[0] for part in folded) == 1
    assert sum("as the network gets them" in part.split("</details>")[0] for part in folded) == 1
    assert page.visible_text().count("as the network gets them, of the first fold") == bool(fold)


def test_a_run_of_an_earlier_version_has_a_page_without_the_new_sheets(run_copy: Path) -> None:
    before = Page(write_report(run_copy)).sections()
    for name in ("predictions.png", "watch_dark.png", "augmented.png"):
        (run_copy / "plots" / name).unlink()
    page = Page(write_report(run_copy))
    assert page.sections() == before
    assert sum(attrs.get("class") == "sheet" for _, attrs in page.elements) == 1, "the film"
    assert "source" not in {tag for tag, _ in page.elements}
    assert "as the network gets them" not in page.visible_text()


def test_the_numbers_of_the_page_are_those_of_summary_json(reports: Path) -> None:
    text = Page(reports / "single" / "report.html").visible_text()
    summary = read_json(reports / "single" / "summary.json")
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
    labels = Run.of(reports / "single").val_outputs[1][:, 0]
    assert f"majority baseline {percent(np.bincount(labels).max() / len(labels))}" in text


def test_the_confusion_matrix_counts_every_validation_image(reports: Path) -> None:
    source = (reports / "single" / "report.html").read_text()
    table = source[source.index('<table class="matrix">') :].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr>")[2:]]
    counts = np.array([[int(cell.replace("·", "0")) for cell in row] for row in rows])
    expected = np.zeros((10, 10), int)
    for line in (reports / "single" / "val_predictions.csv").read_text().splitlines()[1:]:
        true, predicted = line.split(",")[3:5]
        expected[int(true), int(predicted)] += 1
    assert (counts == expected).all()


def test_hostile_names_reasons_and_labels_are_escaped(run_copy: Path) -> None:
    summary = read_json(unrecorded(run_copy) / "summary.json")
    write_json(run_copy / "summary.json", {**summary, "reason": HOSTILE})
    sheet = read_json(run_copy / "data.json")
    write_json(run_copy / "data.json", {**sheet, "name": HOSTILE})
    mistakes = read_json(run_copy / "plots" / "mistakes.json")
    for mistake in mistakes["mistakes"]:
        mistake |= {"name": HOSTILE, "label": HOSTILE, "prediction": HOSTILE}
    write_json(run_copy / "plots" / "mistakes.json", mistakes)
    config = (run_copy / "config.yaml").read_text().replace("name: linear", f"name: {json.dumps(HOSTILE)}")
    (run_copy / "config.yaml").write_text(config)
    (run_copy / ".hydra" / "overrides.yaml").write_text(json.dumps([f"data.root={HOSTILE}"]))
    page = Page(write_report(run_copy))
    assert [tag for tag, _ in page.elements].count("script") == 1, "that of the page itself"
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
    assert all(url[:1] == "#" or url.startswith("data:") for url in page.refers_to())
    assert page.visible_text().count("<script>alert(1)</script>") > 5  # as visible text
    assert sum(attrs.get("title") == HOSTILE for _, attrs in page.elements) == len(mistakes["mistakes"])


def test_a_run_that_is_no_better_than_guessing_says_so_beside_its_diagnosis(run_copy: Path) -> None:
    assert "no better than always predicting" not in Page(write_report(run_copy)).visible_text()
    summary = read_json(run_copy / "summary.json")
    summary["diagnosis"]["val_accuracy"] = 0.05
    write_json(run_copy / "summary.json", summary)
    assert "val 5.00% is no better than always predicting" in Page(write_report(run_copy)).visible_text()


# ----------------------------------------------------------------------------- every kind of run


def test_a_run_of_folds_has_a_row_for_every_fold_and_their_mean(reports: Path) -> None:
    text = Page(reports / "folds" / "report.html").visible_text()
    summary = read_json(reports / "folds" / "summary.json")
    mean = summary["val_accuracy"]
    assert f"validation accuracy {percent(mean['mean'])} [{percent(mean['low'])}" in text
    for fold in summary["folds"]:
        digest = Run.of(reports / "folds" / fold["name"]).split.digest[:12]
        row = (
            f"{fold['name']} done {fold['best']['epoch']} {fold['n_val']} {percent(fold['val']['accuracy'])}"
        )
        assert re.search(rf"{re.escape(row)} .{{20,60}} {digest}", text)
    assert not (reports / "folds" / "fold0" / "report.html").exists()


def test_a_fold_has_a_report_of_its_own_on_request(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "fold.html"
    assert cli.main(["report", str(reports / "folds" / "fold1"), f"out={out}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run_dir": str(reports / "folds" / "fold1"),
        "report": str(out),
    }
    val = read_json(reports / "folds" / "fold1" / "summary.json")["val"]
    assert f"validation accuracy {percent(val['accuracy'])}" in Page(out).visible_text()


def test_a_sweep_is_ranked_and_the_reasons_of_failed_jobs_are_shown(reports: Path) -> None:
    page = Page(reports / "sweep" / "report.html")
    text = page.visible_text()
    assert "2 of 4 jobs are done" in text
    assert text.count("init_from=nowhere) failed: there is no run 'nowhere'") == 2
    scores = [
        read_json(path)["score"]["value"]
        for path in (reports / "sweep").glob("*/summary.json")
        if read_json(path)["status"] == "done"
    ]
    places = [text.index(f" {percent(score)} ") for score in sorted(scores, reverse=True)]
    assert places == sorted(places)
    assert f"validation accuracy {percent(max(scores))}" in text
    dots = [attrs for tag, attrs in page.elements if tag == "circle" and attrs["r"] == "4"]
    assert len(dots) == 2, "a chart for lr, none for init_from, of which one value alone was done"


def test_a_stopped_sweep_shows_the_jobs_of_its_folders(reports: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(reports / "sweep", tmp_path / "sweep"))
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


def test_a_command_with_another_choice_leaves_out_the_keys_of_the_old_choice(run_copy: Path) -> None:
    words = ["model=cnn", "model.width=2", "lr=0.1", "reg.l2=1e-3"]
    OmegaConf.save(OmegaConf.create(words), unrecorded(run_copy) / ".hydra" / "overrides.yaml")
    run = Run.of(run_copy)
    assert next_commands.train(run, "model=resnet18") == "svhn train lr=0.1 reg.l2=1e-3 model=resnet18"
    assert next_commands.train(run, "lr=1") == "svhn train model=cnn model.width=2 reg.l2=1e-3 lr=1"


def test_another_choice_is_not_mixed_with_what_a_recipe_sets(run_copy: Path) -> None:
    OmegaConf.save(
        OmegaConf.create(["experiment=numbers"]), unrecorded(run_copy) / ".hydra" / "overrides.yaml"
    )
    run = Run.of(run_copy)
    run.config["reg"]["dropout"] = 0.2
    words = next_commands.train(run, "reg=none").split()
    assert words[-1] == "reg=none"
    assert not [word for word in words if word.startswith(("experiment", "reg."))]
    assert next_commands.train(run, "lr=1") == "svhn train experiment=numbers lr=1"


def test_a_failed_run_shows_the_reason_and_the_setting_to_change(folder: Path) -> None:
    assert cli.main(["train", *SMALL, "lr=1e30", "model=mlp", "hydra.run.dir=run"]) == 7
    page = Page(folder / "run" / "report.html")
    assert "The loss diverged: the training loss became" in page.visible_text()
    assert "optim.clip=1" in page.visible_text()
    assert "svhn train data=tiny" in page.visible_text()
    assert page.sections() == ["summary", "diagnosis", "data", "environment", "missing"]


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_an_unfinished_run_shows_its_finished_epochs(run_copy: Path, status: str) -> None:
    for name in (
        "summary.json",
        "val_predictions.csv",
        "data.json",
        "plots/mistakes.json",
        "plots/watch.png",
    ):
        (run_copy / name).unlink()
    write_json(run_copy / "status.json", {"status": status, "time": "2026-01-02T03:04:05+0000"})
    if status == "interrupted":
        write_json(
            run_copy / "summary.json", {"status": status, "reason": "stopped in epoch 3", "hint": "go on"}
        )
    page = Page(write_report(run_copy))
    expected = {"interrupted": "stopped in epoch 3", "running": "2026-01-02T03:04:05"}[status]
    advice = ["diagnosis"] if status == "interrupted" else []
    assert expected in page.visible_text()
    assert page.sections() == ["summary", "use", *advice, "curves", "environment", "missing"]
    assert sum(tag == "svg" for tag, _ in page.elements) == 3, "the curves of the epochs that there are"
