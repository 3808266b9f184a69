"""`svhn predict` rejects predictions below a threshold, given or fitted on the images that were held out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import write_run
from test_predict import NUMBERS, favour_blanks, predict, write_image

from svhncli.cli import main as cli
from svhncli.config.groups.model import DatawhaleConfig
from svhncli.core.labels import BLANK
from svhncli.data.digits import Digits, NumberedNames
from svhncli.evaluation import trained
from svhncli.runs import checkpoint
from svhncli.runs.predictions import write_predictions
from svhncli.stats.intervals import wilson

IMAGES = 20


@pytest.fixture
def run(folder: Path) -> Path:
    """A folder `photos` of 20 images and a run `run` for numbers of up to 4 digits."""
    for seed in range(IMAGES):
        write_image(folder / "photos" / f"{seed:02}.png", seed)
    return write_run(folder / "run", NUMBERS, 4, DatawhaleConfig())


def hold_out(run: Path, probabilities: np.ndarray, labels: np.ndarray, first: int = 0) -> Path:
    """Predictions for images that a run held out, from the index `first` on."""
    count = len(labels)
    images = np.zeros((first + count, 3, 4, 4), np.uint8)
    labels = np.concatenate([np.full((first, 4), BLANK), labels])
    digits = Digits(images, labels, np.arange(first + count), NumberedNames("n", first + count))
    path = run / "val_predictions.csv"
    write_predictions(path, digits, first + np.arange(count), probabilities)
    return path


def ones(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """The prediction 1 for each image, with these probabilities, and labels 1, or 2 where it is wrong."""
    made = np.zeros((len(right), 4, 11), np.float32)
    made[:, 1:, BLANK] = 1
    made[:, 0, 1], made[:, 0, 2] = confidences, 1 - np.array(confidences)
    labels = np.full((len(right), 4), BLANK)
    labels[:, 0] = np.where(right, 1, 2)
    return made, labels


def summary(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    code = cli.main(["predict", *words, "out=out.csv", "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def refusal(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """What a command that cannot run says; it writes nothing."""
    before = sorted(Path().rglob("*"))
    assert cli.main(["predict", *words, "out=new/out.csv"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(Path().rglob("*")) == before
    return " ".join(err.split())


# ----------------------------------------------------------------------------- a given threshold


def test_rows_below_the_threshold_are_kept_marked_and_counted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    favour_blanks(run)
    whole = predict(capsys, "run", "photos")
    threshold = sorted((row["confidence"] for row in whole), key=float)[IMAGES // 2]
    marked = predict(capsys, "run", "photos", f"threshold={threshold}")
    assert list(marked[0]) == ["file", "prediction", "confidence", "rejected", "c1", "c2", "c3", "c4"]
    for row, before in zip(marked, whole, strict=True):
        assert row.pop("rejected") == ("yes" if float(row["confidence"]) < float(threshold) else "")
        assert row == before
    kinds = {(row["prediction"] == "", float(row["confidence"]) < float(threshold)) for row in whole}
    assert len(kinds) == 4, "with and without digits, accepted and rejected"

    Path("photos/broken.png").write_bytes(b"not an image")
    result = summary(capsys, "run", "photos", f"threshold={threshold}")
    assert (result["rejected"], result["read"]) == (IMAGES // 2, IMAGES)
    assert result["threshold"] == float(threshold)
    assert "fit" not in result
    assert cli.main(["predict", "run", "photos", f"threshold={threshold}", "out=out.csv"]) == 0
    assert f"10 of 20: confidence below {threshold}" in capsys.readouterr().out


def test_without_a_threshold_nothing_is_said_of_rejection(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not {"rejected", "threshold", "fit"} & {*summary(capsys, "run", "photos")}


@pytest.mark.parametrize(("threshold", "rejected"), [("0", 0), ("1", IMAGES)])
def test_the_ends_of_the_range_accept_everything_and_certainty_alone(
    run: Path, capsys: pytest.CaptureFixture[str], threshold: str, rejected: int
) -> None:
    assert summary(capsys, "run", "photos", f"threshold={threshold}")["rejected"] == rejected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["threshold=0.9", "coverage=0.9"], "threshold and coverage both set the threshold"),
        (["threshold=1.1"], "at most 1"),
        (["threshold=-0.1"], "0"),
        (["coverage=0"], "above 0"),
        (["coverage=98"], "at most 1"),
        (["threshold=0.9", "format=tianchi"], "every image needs a code"),
        (["coverage=0.9", "format=tianchi"], "every image needs a code"),
    ],
    ids=str,
)
def test_keys_that_cannot_be_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert message in refusal(capsys, "run", "photos", *words)


# ----------------------------------------------------------------------------- a fitted threshold


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_lowest_that_leaves_the_share_of_the_held_out_predictions_correct(
    run: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.full(11, 0.02), (200, 4)).astype(np.float32)
    labels = (probabilities.cumsum(-1) > draw.random((200, 4, 1))).argmax(-1)
    labels = np.take_along_axis(labels, np.argsort(labels == BLANK, axis=1, kind="stable"), axis=1)
    path = hold_out(run, probabilities, labels)
    with path.open(newline="") as file:
        held_out = [
            (float(row["confidence"]), row["label"] == row["prediction"]) for row in csv.DictReader(file)
        ]
    result = summary(capsys, "run", "photos", "coverage=0.9")
    fit = result["fit"]

    def kept(threshold: float) -> list[bool]:
        return [correct for confidence, correct in held_out if confidence >= threshold]

    reaching = [sure for sure, _ in held_out if sum(kept(sure)) / len(kept(sure)) >= 0.9]
    # the product of rounded probabilities differs in its last digits from the rounded product in the file
    assert fit["threshold"] == result["threshold"] == pytest.approx(min(reaching), rel=3e-5)
    accepted = kept(min(reaching))
    assert 10 < len(accepted) < 200
    assert (fit["n"], fit["accepted"], fit["coverage"]) == (200, len(accepted), len(accepted) / 200)
    assert fit["accuracy"] == sum(accepted) / len(accepted)
    assert fit["coverage_interval"]["low"] == wilson(len(accepted), 200).low
    assert fit["accuracy_interval"]["high"] == wilson(sum(accepted), len(accepted)).high
    assert (fit["target_accuracy"], fit["fitted_on"]) == (0.9, ["run/val_predictions.csv"])


def test_the_result_says_on_what_the_threshold_was_fitted_and_what_it_accepts(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_out(run, *ones([0.9, 0.8, 0.7, 0.6], [True, True, True, False]))
    for views, words in ((1, ""), (5, ", one view of each")):
        assert cli.main(["predict", "run", "photos", "coverage=1", f"tta={views}", "out=out.csv"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "20 of 20: confidence below 0.7" in shown
        assert (
            f"fitted on 4 held-out images{words}: 75.00% [30.06%, 95.44%] accepted, "
            "100.00% [43.85%, 100.00%] of these correct"
        ) in shown


def test_folds_are_fitted_on_all_images_that_one_of_them_held_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, first, right in (("fold0", 0, [True, True]), ("fold1", 2, [True, False])):
        fold = write_run(Path("kfold") / name, NUMBERS, 4, DatawhaleConfig())
        hold_out(fold, *ones([0.9, 0.8], right), first)
    (fold / "config.yaml").rename("kfold/config.yaml")
    result = summary(capsys, "kfold", "photos", "coverage=0.7")
    assert (result["fit"]["n"], result["fit"]["accepted"], result["threshold"]) == (4, 4, 0.8)
    assert result["fit"]["fitted_on"] == [f"kfold/fold{i}/val_predictions.csv" for i in range(2)]
    assert cli.main(["predict", "kfold", "photos", "coverage=0.7", "out=out.csv"]) == 0
    words = "fitted on 4 held-out images of 2 networks, each predicted by those that held it out"
    assert words in " ".join(capsys.readouterr().out.split())
    assert summary(capsys, "kfold/fold1", "photos", "coverage=0.7")["fit"]["n"] == 2
    Path("kfold/fold1/val_predictions.csv").unlink()
    assert "'kfold/fold1/best.pt'" in refusal(capsys, "kfold", "photos", "coverage=0.7")


def test_an_image_that_several_seeds_held_out_counts_once_with_the_mean_of_their_probabilities(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, confidences in enumerate(([0.9, 0.6, 0.7], [0.5, 0.8, 0.6])):
        member = write_run(Path("seeds") / f"seed{seed}", NUMBERS, 4, DatawhaleConfig())
        hold_out(member, *ones(confidences, [True, True, False]))
    (member / "config.yaml").rename("seeds/config.yaml")
    fit = summary(capsys, "seeds", "photos", "coverage=1")["fit"]
    assert (fit["n"], fit["accepted"]) == (3, 2)
    assert fit["threshold"] == pytest.approx(0.7, rel=1e-5)


def test_a_network_that_was_trained_on_all_images_held_none_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_out(run, *ones([0.9], [True]))
    content = checkpoint.load(run / "best.pt")
    content["meta"]["fold"] = "all"
    checkpoint.save(run / "best.pt", content)
    assert "it was trained on all images" in refusal(capsys, "run", "photos", "coverage=0.5")


def test_an_accuracy_out_of_reach_is_refused_with_the_best_that_there_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_out(run, *ones([0.9, 0.8, 0.7, 0.6], [False, True, True, False]))
    said = refusal(capsys, "run", "photos", "coverage=0.98")
    assert "coverage=0.98: no threshold reaches this accuracy on the 4 held-out images" in said
    assert "the highest is 66.67%, of the 3 most confident (75.00% of them)" in said
    assert summary(capsys, "run", "photos", "coverage=0.6666")["threshold"] == 0.7


def test_without_predictions_for_held_out_images_a_threshold_must_be_given(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "run", "photos", "coverage=0.98")
    assert "there is no val_predictions.csv beside the checkpoint" in said
    assert "threshold=0.9" in said
    path = hold_out(run, *ones([0.9, 0.8], [True, True]))
    (run / "best.pt").rename(run / "last.pt")
    assert "'run/last.pt'" in refusal(capsys, "run/last.pt", "photos", "coverage=0.98")
    (run / "last.pt").rename(run / "best.pt")
    path.write_text(path.read_text().replace("0.9", "x"))
    assert "line 2" in refusal(capsys, "run", "photos", "coverage=0.98", code=4)


def test_an_ensemble_held_no_images_out(folder: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = checkpoint.load(run / "best.pt")
    hold_out(run, *ones([0.9], [True]))
    members = [content["meta"].copy()] * 2
    content["meta"] |= {"ensemble": {"members": members, "shares": [0.5, 0.5], "how": "mean"}}
    network = trained.network_of(content["meta"])
    checkpoint.save(run / "best.pt", content | {"weights": network.state_dict()})
    said = refusal(capsys, "run", "photos", "coverage=0.98")
    assert "an ensemble held no images out" in said
    assert "threshold=0.9" in said
