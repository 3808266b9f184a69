"""`svhn compare` end to end on small trained runs: folds, seeds, a sweep, the test part."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compared import Compare, correct, rows, train
from conftest import REPO, unrecorded
from scipy.stats import binomtest, t, ttest_rel

from svhncli.cli import main as cli
from svhncli.stats.significance import paired_bootstrap

# ----------------------------------------------------------------------------- runs


def test_two_runs_are_compared_image_by_image(runs: Path, compare: Compare) -> None:
    result = compare("linear", "mlp")
    (comparison,) = result["comparisons"]
    a, b = (correct(runs / name / "val_predictions.csv") for name in ("linear", "mlp"))
    assert (comparison["only_a"], comparison["only_b"]) == (int((a & ~b).sum()), int((b & ~a).sum()))
    assert (comparison["accuracy_a"], comparison["accuracy_b"]) == (a.mean(), b.mean())
    assert comparison["difference"] == pytest.approx(b.mean() - a.mean(), abs=1e-12)
    groups = np.array([int(row["group"]) for row in rows(runs / "mlp" / "val_predictions.csv")])
    assert comparison["groups"] == len(set(groups.tolist())) < len(groups)
    assert comparison["test"] == "bootstrap over groups of images"
    assert comparison["p"] == paired_bootstrap(b * 1.0 - a, groups, seed=0).p
    assert comparison["trainings"] is None
    assert any("randomness of training was not measured" in note for note in comparison["notes"])


def test_predictions_without_groups_count_as_independent_and_are_tested_by_mcnemar(
    runs: Path, compare: Compare
) -> None:
    for name in ("linear", "mlp"):
        path = runs / name / "val_predictions.csv"
        kept = [{key: value for key, value in row.items() if key != "group"} for row in rows(path)]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(kept[0]))
            writer.writeheader()
            writer.writerows(kept)
    (comparison,) = compare("linear", "mlp")["comparisons"]
    assert comparison["test"] == "McNemar, exact"
    only_b, discordant = comparison["only_b"], comparison["only_a"] + comparison["only_b"]
    assert discordant > 0
    assert comparison["p"] == pytest.approx(binomtest(only_b, discordant).pvalue, rel=1e-12)


def test_the_result_and_the_plot_are_written(runs: Path, compare: Compare) -> None:
    result = compare("linear", "mlp", "out=there")
    assert {path.name for path in (runs / "there").iterdir()} == {"result.json", "differences.png"}
    saved = json.loads((runs / "there" / "result.json").read_text())
    assert result == {**saved, "picture": "there/differences.png", "out": "there"}
    assert (runs / "there" / "differences.png").read_bytes().startswith(b"\x89PNG")
    compare("linear", "wide", "out=there")  # replaces it


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["compare", "linear", "mlp", "wide", "slow_seeds", "pairs=all"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "C - B: " in out
    assert " p\n" not in out.replace("  p\n", "")  # no line ends between "p" and its value
    assert out.count("key ") == 1


def test_torch_is_not_imported(runs: Path) -> None:
    program = (
        "import sys; from svhncli.cli.main import main\n"
        "code = main(['compare', 'linear', 'mlp', 'part=val'])\n"
        "sys.exit(code or str({'torch', 'torchvision'} & {*sys.modules} or ''))"
    )
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    process = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=runs, capture_output=True, text=True, check=False
    )
    assert process.stderr == "\n"


def test_all_pairs_are_corrected_together(runs: Path, compare: Compare) -> None:
    pairs = compare("linear", "mlp", "wide", "pairs=all")["comparisons"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [("A", "B"), ("A", "C"), ("B", "C")]
    smallest = min(pairs, key=lambda pair: pair["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, 3 * smallest["p"]))
    assert "by Holm over 3" in pairs[0]["verdict"]
    assert len(compare("linear", "mlp", "wide")["comparisons"]) == 2


# ----------------------------------------------------------------------------- folds and seeds


def test_folds_are_paired_and_tested_by_the_corrected_t(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("slow_folds", "fast_folds")["comparisons"]
    accuracies = [
        [fold["val"]["accuracy"] for fold in json.loads((runs / name / "summary.json").read_text())["folds"]]
        for name in ("slow_folds", "fast_folds")
    ]
    differences = np.array(accuracies[1]) - accuracies[0]
    over_folds = comparison["trainings"]
    assert (over_folds["over"], over_folds["n"]) == ("folds", 3)
    assert over_folds["differences"] == pytest.approx(differences)
    # a fold has half as many validation images as training images
    error = np.sqrt(differences.var(ddof=1) * (1 / 3 + 1 / 2))
    assert over_folds["p"] == pytest.approx(2 * t.sf(abs(differences.mean()) / error, 2), rel=0.02)
    assert comparison["pictures"] == 300
    assert comparison["p_both"] == max(comparison["p"], over_folds["p"])
    assert "over 3 folds" in comparison["verdict"]


def test_seeds_are_paired_and_an_image_scores_its_fraction_of_correct_seeds(
    runs: Path, compare: Compare
) -> None:
    (comparison,) = compare("slow_seeds", "fast_seeds")["comparisons"]
    hits = [
        [correct(runs / name / f"seed{seed}" / "val_predictions.csv") for seed in range(3)]
        for name in ("slow_seeds", "fast_seeds")
    ]
    a, b = (np.mean(run, axis=1) for run in hits)
    assert comparison["trainings"]["over"] == "seeds"
    assert comparison["trainings"]["p"] == pytest.approx(ttest_rel(b, a).pvalue, rel=1e-9)
    # a mean over seeds is neither correct nor wrong
    assert (comparison["only_a"], comparison["only_b"]) == (None, None)
    groups = [int(row["group"]) for row in rows(runs / "slow_seeds" / "seed0" / "val_predictions.csv")]
    scores = np.mean(hits[1], axis=0) - np.mean(hits[0], axis=0)
    assert comparison["p"] == paired_bootstrap(scores, np.array(groups), seed=0).p


def test_runs_on_different_splits_are_compared_on_their_common_images(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("linear", "fast_folds")["comparisons"]
    count = len(rows(runs / "linear" / "val_predictions.csv"))
    assert (comparison["pictures"], comparison["left_out"]) == (count, [0, 300 - count])
    assert any(
        f"{300 - count} images that only B predicted are left out" in note for note in comparison["notes"]
    )
    assert comparison["trainings"] is None


def test_a_fold_is_compared_like_any_run(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("slow_folds/fold0", "fast_folds/fold0")["comparisons"]
    assert comparison["pictures"] == len(rows(runs / "slow_folds" / "fold0" / "val_predictions.csv"))
    assert comparison["changes"] == ["lr"]


# ----------------------------------------------------------------------------- a sweep


def test_a_sweep_is_compared_as_its_finished_jobs_in_the_order_given(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = rows(runs / "sweep" / "summary.csv")[0]
    assert float(first["lr"]) == 1e-2  # the best job is not the first in the order given
    assert cli.main(["compare", "sweep", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    names = [Path(run["run"]).name for run in result["runs"]]
    assert names == ["lr-0.0001", "lr-0.01"]
    assert [Path(job).name for job in result["unfinished"]] == ["lr-1e-30-661504c9"]  # 1e+30
    assert "is not finished and is left out" in err
    assert result["differs"] == [{"key": "lr", "values": [1e-4, 1e-2], "kind": "config"}]


def test_baseline_names_another_run(runs: Path, compare: Compare) -> None:
    result = compare("sweep", "baseline=sweep/lr-0.01")
    assert [Path(run["run"]).name for run in result["runs"]] == ["lr-0.01", "lr-0.0001"]
    added = compare("sweep", "baseline=linear")
    assert [Path(run["run"]).name for run in added["runs"]] == ["linear", "lr-0.0001", "lr-0.01"]


# ----------------------------------------------------------------------------- settings


def test_a_single_change_is_shown_without_a_warning(runs: Path, compare: Compare) -> None:
    result = compare("linear", "mlp")
    assert result["comparisons"][0]["changes"] == ["model"]  # with its own keys it is a single change
    assert result["comparisons"][0]["warning"] is None
    assert result["differs"] == [{"key": "model", "values": ["linear", "mlp"], "kind": "config"}]


def test_several_changes_at_once_give_a_warning(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("mlp", "wide")["comparisons"]
    assert comparison["changes"] == ["batch_size", "model.widths"]
    assert comparison["warning"].startswith("2 settings differ (batch_size, model.widths)")


def test_runs_of_the_same_config_differ_by_chance_whatever_their_machine(
    runs: Path, compare: Compare
) -> None:
    train(runs / "again", "model=linear", "save_minutes=9", "test=false")
    env = json.loads((runs / "again" / "env.json").read_text())
    env["versions"]["numpy"] = "1.0"
    (unrecorded(runs / "again") / "env.json").write_text(json.dumps(env))
    result = compare("linear", "again")
    (comparison,) = result["comparisons"]
    assert comparison["warning"] == "the same config: any difference is due to chance"
    (setting,) = result["differs"]
    assert (setting["key"], setting["values"][1], setting["kind"]) == ("versions.numpy", "1.0", "environment")
    assert (comparison["difference"], comparison["p"], comparison["needed"]) == (0, 1, None)
    assert comparison["verdict"] == ("no significant difference (0.00 points, 95% 0.00 to 0.00, p = 1)")


# ----------------------------------------------------------------------------- the test part


def test_the_test_part_is_compared_on_what_eval_predicted(runs: Path, compare: Compare) -> None:
    for name in ("linear", "mlp", "fast_seeds"):
        assert cli.main(["eval", name, "device=cpu"]) == 0
    result = compare("linear", "mlp", "part=test")
    (comparison,) = result["comparisons"]
    assert comparison["pictures"] == 80
    for letter, name in zip("ab", ("linear", "mlp"), strict=True):
        tested = json.loads((runs / name / "eval" / "synth-test" / "results.json").read_text())
        assert comparison[f"accuracy_{letter}"] == pytest.approx(tested["accuracy"])
    assert compare("linear", "fast_seeds", "part=test", "tested_on=synth")["comparisons"][0]["pictures"] == 80


def test_runs_trained_on_different_data_are_compared_on_the_same_test_part(
    runs: Path, compare: Compare
) -> None:
    train(runs / "other", "model=linear", "data.seed=5")
    assert cli.main(["compare", "linear", "other"]) == 2
    assert cli.main(["eval", "linear", "device=cpu", "data=tiny", "data.n_train=300", "data.n_test=80"]) == 0
    assert cli.main(["eval", "other", "device=cpu", "data=tiny", "data.n_train=300", "data.n_test=80"]) == 0
    (comparison,) = compare("linear", "other", "part=test", "tested_on=synth")["comparisons"]
    assert comparison["pictures"] == 80
    assert comparison["changes"] == ["data.seed"]
