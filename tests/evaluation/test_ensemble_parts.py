"""The parts of an ensemble: snapshots of a run, and the mixture of probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_mat
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import LinearConstraint, minimize
from torch import Tensor, nn

from svhncli.cli import main as cli
from svhncli.core.labels import BLANK
from svhncli.models.ensemble import Ensemble, Member, agreeing_boxes
from svhncli.models.output import Spots
from svhncli.runs import checkpoint
from svhncli.stats.scores import fit_weights

# ----------------------------------------------------------------------------- the mixture


class Constant(nn.Module):
    """A network that outputs these logits for any images."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.from_numpy(logits).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.logits


def mixed(logits: np.ndarray, shares: list[float], vote: bool = False) -> np.ndarray:
    """The probabilities of an ensemble whose members output `logits` (M, B, L, K)."""
    members = [Member(Constant(member_logits), [0.0], [1.0]) for member_logits in logits]
    images = torch.zeros(len(logits[0]), 1, 2, 2)
    return Ensemble(members, shares, vote)(images).softmax(-1).numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


LOGITS = arrays(np.int64, (3, 2, 3, 11), elements=st.integers(-480, 480)).map(lambda eighths: eighths / 8)
"""So far apart that no rounding makes two probabilities equal."""


@given(LOGITS)
def test_a_number_is_as_probable_as_for_the_members_on_average(logits: np.ndarray) -> None:
    shares = [0.2, 0.5, 0.3]
    members, ensemble = softmax(logits), mixed(logits, shares)
    np.testing.assert_allclose(ensemble[:, 0], np.tensordot(shares, members[:, :, 0], 1), atol=1e-6)
    number = ensemble.argmax(-1)[..., None]
    of_members = np.take_along_axis(members, number[None], 3)[..., 0].prod(-1)
    of_ensemble = np.take_along_axis(ensemble, number, 2)[..., 0].prod(-1)
    np.testing.assert_allclose(of_ensemble, np.tensordot(shares, of_members, 1), rtol=1e-4, atol=1e-6)


def test_a_member_that_is_a_position_behind_does_not_spoil_the_rest() -> None:
    probabilities = np.full((2, 1, 3, 11), 0.01)
    for member, (number, sure) in enumerate([((1, 2, 3), (0.9, 0.5, 0.5)), ((2, 3, BLANK), (0.8, 0.9, 0.9))]):
        probabilities[member, 0, range(3), number] = sure
    logits = np.log(probabilities / probabilities.sum(-1, keepdims=True))
    assert softmax(logits).mean(0).argmax(-1).tolist() == [[1, 3, BLANK]]
    assert mixed(logits, [0.5, 0.5]).argmax(-1).tolist() == [[1, 2, 3]]


@given(LOGITS)
def test_the_mean_never_overrules_the_vote(logits: np.ndarray) -> None:
    votes = (logits.argmax(-1)[..., None] == np.arange(11)).sum(0)
    probabilities = mixed(logits, [1 / 3] * 3, vote=True)
    predicted = probabilities.argmax(-1)[..., None]
    assert (np.take_along_axis(votes, predicted, -1)[..., 0] == votes.max(-1)).all()
    np.testing.assert_allclose(probabilities, (votes + softmax(logits).mean(0)) / 4, atol=1e-6)


def test_a_tie_of_votes_is_broken_by_the_larger_mean() -> None:
    probabilities = np.array([[0.50, 0.49, 0.01], [0.01, 0.60, 0.39], [0.45, 0.35, 0.20], [0.30, 0.40, 0.30]])
    logits = np.log(probabilities)[:, None, None]
    assert mixed(logits, [0.25] * 4, vote=True).argmax() == 1  # two votes each
    assert mixed(logits[:3], [1 / 3] * 3, vote=True).argmax() == 0 != mixed(logits[:3], [1 / 3] * 3).argmax()


def test_a_member_without_a_share_has_no_effect() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 1, 10))
    np.testing.assert_allclose(mixed(logits, [0.0, 1.0]), softmax(logits[1]), atol=1e-6)


def test_boxes_are_of_the_first_member_that_agrees_and_has_them() -> None:
    number, other = torch.tensor([[1, BLANK]]), torch.tensor([[2, BLANK]])
    answers = [(other, 0.0), (number, torch.nan), (number, 2.0), (number, 3.0)]
    found = [Spots(torch.eye(11)[classes], torch.full((1, 2, 4), box)) for classes, box in answers]
    assert torch.equal(agreeing_boxes(number, found), found[2].boxes)
    assert agreeing_boxes(number, found[:2]).isnan().all()


# ----------------------------------------------------------------------------- the weights


def loss(weights: np.ndarray, likely: np.ndarray) -> float:
    return -float(np.log(likely @ weights).mean())


@pytest.mark.parametrize("models", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_fitted_weights_are_scipys(models: int, seed: int) -> None:
    likely = np.random.default_rng(seed).beta(np.arange(1, models + 1), 1, (400, models))
    weights = fit_weights(likely)
    best = minimize(
        loss,
        np.full(models, 1 / models),
        (likely,),
        "SLSQP",
        bounds=[(0, 1)] * models,
        constraints=LinearConstraint(np.ones(models), 1, 1),
        options={"ftol": 1e-12},
    )
    assert loss(weights, likely) == pytest.approx(best.fun, abs=1e-5)
    np.testing.assert_allclose(weights, best.x, atol=0.02)


def test_fitted_weights_are_those_of_a_grid() -> None:
    likely = np.random.default_rng(3).beta([2, 2.5], 1, (500, 2))
    grid = np.linspace(0, 1, 10_001)
    best = grid[np.argmin([loss(np.array([w, 1 - w]), likely) for w in grid])]
    assert 0 < best < 1
    assert fit_weights(likely)[0] == pytest.approx(best, abs=2e-3)


@given(arrays(np.float32, (20, 3), elements=st.floats(0, 1, width=32)))
def test_fitted_weights_are_convex_and_no_worse_than_equal_weights_or_a_single_model(
    likely: np.ndarray,
) -> None:
    fitted = fit_weights(likely)
    clipped = np.maximum(likely.astype(np.float64), np.finfo(np.float32).tiny)
    assert (fitted >= 0).all()
    assert fitted.sum() == pytest.approx(1)
    others = [np.full(3, 1 / 3), *np.eye(3)]
    assert loss(fitted, clipped) <= min(loss(weights, clipped) for weights in others) + 1e-3


# ----------------------------------------------------------------------------- snapshots

RUN = [
    *["data=svhn", "data.root=data", "data.check_md5=false", "threads=1", "device=cpu", "report=false"],
    *["model=linear", "reg.patience=0", "schedule=cosine", "schedule.cycles=2", "snapshots=2", "reg.ema=0.9"],
]


def digests(run: str) -> dict[str, str]:
    files = sorted(Path(run, "snapshots").iterdir())
    return {file.name: checkpoint.digest(checkpoint.load(file)) for file in files}


@pytest.fixture
def data(folder: Path) -> Path:
    for part, count, seed in (("train", 200, 1), ("test", 60, 2)):
        write_mat(folder / "data", part, count, seed)
    return folder


@pytest.mark.engine
def test_snapshots_are_the_weights_at_the_ends_of_equal_stretches(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *RUN, "epochs=5", "hydra.run.dir=run"]) == 0
    assert cli.main(["train", *RUN, "epochs=5", "snapshots=0", "hydra.run.dir=without"]) == 0
    assert list(digests("run")) == ["epoch002.pt", "epoch005.pt"]
    assert not Path("without/snapshots").exists()
    last, best = checkpoint.load(Path("run/last.pt")), checkpoint.load(Path("run/best.pt"))
    kept = checkpoint.load(Path("run/snapshots/epoch005.pt"))
    assert kept.keys() == best.keys()
    assert kept["row"] == last["state"]["history"][-1]
    assert checkpoint.digest(kept["weights"]) == checkpoint.digest(last["state"]["ema"]["module"])
    assert checkpoint.load(Path("without/last.pt"))["state"]["history"] == last["state"]["history"]
    capsys.readouterr()
    for number, words in enumerate((["run/snapshots"], ["run/snapshots/*.pt"], [*map(str, files("run"))])):
        assert cli.main(["ensemble", *words, f"out=joined{number}", "device=cpu", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert [member["checkpoint"] for member in result["members"]] == [*map(str, files("run"))]
    assert cli.main(["eval", "joined0", "part=val"]) == 0  # they validated on the same images


def files(run: str) -> list[Path]:
    return sorted(Path(run, "snapshots").glob("*.pt"))


@pytest.mark.e2e
def test_a_killed_and_resumed_run_has_the_snapshots_of_an_undisturbed_run(
    data: Path, spawn: Callable[..., Any]
) -> None:
    assert cli.main(["train", *RUN, "epochs=4", "hydra.run.dir=whole"]) == 0
    process = spawn("train", *RUN, "epochs=4", "hydra.run.dir=killed", cwd=data)
    for line in process.stderr:
        if "epoch 3/4" in line:
            process.kill()
            break
    process.wait()
    assert list(digests("killed")) == ["epoch002.pt"]
    assert cli.main(["train", "--resume", "killed"]) == 0
    assert digests("killed") == digests("whole")
    assert len(digests("whole")) == 2


@pytest.mark.engine
def test_more_epochs_keep_the_old_snapshots_and_add_their_own(data: Path) -> None:
    assert cli.main(["train", *RUN, "epochs=2", "hydra.run.dir=run"]) == 0
    before = digests("run")
    assert list(before) == ["epoch001.pt", "epoch002.pt"]
    assert cli.main(["train", "--resume", "run", "epochs=6"]) == 0
    after = digests("run")
    assert list(after) == [*before, "epoch003.pt", "epoch006.pt"]
    assert {name: after[name] for name in before} == before


@pytest.mark.engine
def test_a_short_run_keeps_every_epoch_once(data: Path) -> None:
    assert cli.main(["train", *RUN, "epochs=2", "snapshots=9", "hydra.run.dir=run"]) == 0
    assert list(digests("run")) == ["epoch001.pt", "epoch002.pt"]
