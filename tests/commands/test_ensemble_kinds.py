"""`svhn ensemble` joins networks of different kinds, data and tasks, as far as that makes sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_mat, write_run
from joined import CPU, SMALL, Command, evaluate_test, probabilities_of, refused, train
from numpy.testing import assert_allclose

from svhncli.cli import main as cli
from svhncli.config.groups.model import DatawhaleConfig, LinearConfig
from svhncli.data.framing import Framing
from svhncli.evaluation import trained
from svhncli.models.ensemble import mixture
from svhncli.models.gates import count_open

LINEAR = [*SMALL, "model=linear", "epochs=1"]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, two runs on gray images, one on color images, and one of a network with gates."""
    folder = tmp_path_factory.mktemp("kinds")
    for part, count, seed in (("train", 240, 1), ("test", 90, 2)):
        write_mat(folder / "data", part, count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("plain", *LINEAR)
        for seed in (3, 4):
            train(f"grey{seed}", *LINEAR, "grey=true", f"seed={seed}")
        train("gated", *SMALL, "model=cnn", "model.width=0.25", "epochs=1", "reg.l0=0.001")
    return folder


@pytest.fixture
def workdir(kinds: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(kinds)
    return kinds


@pytest.mark.parametrize("how", ["mean", "vote"])
def test_grey_gated_and_other_networks_are_combined_and_onnx_agrees(
    workdir: Path, ensemble: Command, json_of: Command, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    summary = ensemble("grey3", "gated", "plain", f"how={how}", f"out=kinds-{how}")
    predicted = np.stack([probabilities_of(run) for run in ("grey3", "gated", "plain")])
    if how == "mean":
        assert_allclose(evaluate_test(json_of, "kinds-mean")[0], predicted.mean(0), atol=5e-6)
    exported = json_of("export", f"kinds-{how}")
    assert exported["agreement"]["difference"] < 1e-5
    card = Path(exported["out"], "model_card.md").read_text()
    assert "# Ensemble of 3: single digits" in card
    assert f"accuracy {100 * summary['test']['accuracy']:.2f}%" in card
    whole = trained.load(Path(f"kinds-{how}/best.pt"))
    assert count_open(whole.network)[1] == count_open(trained.load(Path("gated/best.pt")).network)[1] > 0


def test_an_ensemble_of_only_grey_networks_takes_grey_images(
    workdir: Path, ensemble: Command, json_of: Command
) -> None:
    ensemble("grey3", "grey4", "out=greys")
    assert trained.load(Path("greys/best.pt")).preprocess.grey
    predicted = [probabilities_of(f"grey{seed}") for seed in (3, 4)]
    assert_allclose(evaluate_test(json_of, "greys")[0], np.mean(predicted, 0), atol=2e-6)


def test_whole_numbers_are_combined_and_ensembles_joined_again(
    folder: Path, ensemble: Command, json_of: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    framing = Framing(32, 64, "boxes", 0.15, 0.1)
    for name in ("a", "b", "c"):
        write_run(folder / name, framing, 4, DatawhaleConfig())
    summary = ensemble("[abc]", "out=whole")
    assert (summary["scored_on"], summary["gain"]) == (None, None)
    images = np.random.default_rng(0).integers(0, 256, (20, 3, *framing.stored), dtype=np.uint8)
    whole, *members = (trained.load(Path(name, "best.pt")) for name in ("whole", "a", "b", "c"))
    combined = trained.probabilities([whole], images, CPU)
    assert combined.shape == (20, 4, 11)
    assert_allclose(combined, trained.probabilities(members, images, CPU), atol=1e-6)
    assert json_of("export", "whole")["agreement"]["difference"] < 1e-5
    ensemble("whole", "a", "out=nested")
    nested = trained.probabilities([trained.load(Path("nested/best.pt"))], images, CPU)
    both = np.stack([combined, trained.probabilities(members[:1], images, CPU)])
    expected = mixture(torch.from_numpy(both).log(), torch.full((2,), 0.5)).exp().numpy()
    assert_allclose(nested, expected, atol=1e-6)


def test_networks_for_different_tasks_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(folder / "digit", Framing(12, 12), 1, LinearConfig())
    write_run(folder / "larger", Framing(14, 12), 1, LinearConfig())
    write_run(folder / "number", Framing(12, 12), 3, LinearConfig())
    for other, difference in (("larger", "height 12 and 14"), ("number", "positions 1 and 3")):
        code, err = refused(capsys, "ensemble", "digit", other, "how=weights")
        assert (code, f"were trained for different images: {difference}" in err) == (2, True)


def test_members_trained_on_different_data_are_combined_with_a_warning(
    workdir: Path,
    folder: Path,
    ensemble: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    write_mat(folder / "data", "train", 100, 9)
    train("other", *LINEAR)
    assert cli.main(["ensemble", str(workdir / "plain"), "other", "out=two", "device=cpu"]) == 0
    assert "the members were trained on different data" in capsys.readouterr().err
    code, err = refused(capsys, "ensemble", str(workdir / "plain"), "other", "how=weights")
    assert (code, "not trained on the same data" in err) == (2, True)


def test_an_ensemble_of_seeds_is_compared_with_a_single_run_on_the_test_part(
    kinds: Path, folder: Path, ensemble: Command, json_of: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "data").symlink_to(kinds / "data")
    train("run", *LINEAR, "repeats=2", "jobs=1")
    summary = ensemble("run", "out=joined")
    assert [entry["checkpoint"] for entry in summary["members"]] == ["run/seed0/best.pt", "run/seed1/best.pt"]
    train("alone", *LINEAR)
    for run in ("alone", "joined"):
        json_of("eval", run, "device=cpu")
    comparison = json_of("compare", "alone", "joined", "part=test")
    assert [row["key"] for row in comparison["differs"]] == ["ensemble"]
    assert comparison["comparisons"][0]["changes"] == ["ensemble"]
    assert comparison["comparisons"][0]["pictures"] == 90
    assert comparison["runs"][1]["accuracy"] == summary["test"]["accuracy"]
    code, err = refused(capsys, "compare", "alone", "joined")
    assert (code, "'joined' is an ensemble" in err, "part=test" in err) == (2, True, True), err
