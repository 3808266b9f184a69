"""How `svhn train` starts: refused, from the weights of a run, or resumed, from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import unrecorded, write_mat
from runs_made import PLAIN, SMALL, train

from svhncli.cli import main as cli
from svhncli.runs import checkpoint


def test_a_refused_command_leaves_a_run_and_other_files_as_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, "epochs=1", "out=run"]) == 0
    files = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert cli.main(["train", *SMALL, "epochs=1", "optim=sgd", "out=run"]) == 2
    printed = capsys.readouterr().err
    assert "'run' holds a run with another config:\n  lr=0.0003 in that run, not 0.05" in printed
    assert "name another folder with out=" in printed
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == files

    Path("photos/3").mkdir(parents=True)
    for words in (["train", *SMALL], ["train", "-m", *SMALL, "lr=1e-3,1e-2"]):
        assert cli.main([*words, "out=photos"]) == 2
        assert "'photos' holds other files, such as '3', and no run" in capsys.readouterr().err
    assert [path.name for path in Path("photos").rglob("*")] == ["3"]


def test_a_start_that_failed_before_anything_was_trained_does_not_keep_its_folder(folder: Path) -> None:
    assert cli.main(["train", *SMALL, "epochs=1", "out=run"]) == 0
    fine_tuned = ["train", *SMALL, "epochs=1", "init_from=run", "out=second"]
    assert cli.main([*fine_tuned, "model=mlp"]) == 4
    assert cli.main(fine_tuned) == 0
    assert cli.main([*fine_tuned, "model=mlp"]) == 2, "what was trained stays"


@pytest.mark.parametrize("verb", ["lr-find", pytest.param("learning-curve", marks=pytest.mark.full)])
def test_every_verb_that_trains_starts_from_a_run_by_its_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert cli.main(["train", *SMALL, "epochs=1", "out=run"]) == 0
    own = {"lr-find": ["steps=20"], "learning-curve": ["sizes=[0.2,0.5,1]", "epochs=1", "jobs=1"]}[verb]
    small = [word for word in PLAIN if word != "epochs=2"]
    capsys.readouterr()
    assert cli.main([verb, *small, *own, "init_from=run", "out=made"]) == 0
    assert "weights  from run/best.pt" in capsys.readouterr().err
    Path("empty").mkdir()
    assert cli.main([verb, *small, *own, "init_from=empty", "out=none"]) == 4
    assert "does not belong to a run" in capsys.readouterr().err
    assert not Path("none").exists()


def test_a_run_is_resumed_and_evaluated_from_another_current_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mat(folder / "my data", "train", 60, 0)
    words = [
        "data=svhn",
        "data.root='my data'",
        "data.check_md5=false",
        "threads=1",
        "model=linear",
        "epochs=1",
        "watch=0",
        "report=false",
    ]
    assert cli.main(["train", "--json", *words]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["test"] is None, "files without a test part are allowed"
    run = folder / summary["run_dir"]
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert cli.main(["train", "--resume", str(run), "epochs=2"]) == 0
    assert cli.main(["eval", str(run), "part=val"]) == 0


def test_a_validation_file_that_is_also_the_training_or_test_file_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        write_mat(folder / "d", part, 60, seed)
        words = ["data=svhn", "data.root=d", "data.check_md5=false", "split=official"]
        if part == "test":
            for name in ("train", "test"):
                assert cli.main(["train", *words, f"split.file=d/{name}_32x32.mat"]) == 3
                assert "the same images" in capsys.readouterr().err


def test_missing_data_gives_exit_code_3_and_leaves_no_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "data=svhn", "data.root=nowhere", "data.download=false"]) == 3
    err = capsys.readouterr().err
    assert "train_32x32.mat" in err
    assert "data.root" in err
    assert not list((folder / "outputs").glob("*/*"))


def test_init_from_starts_from_the_weights_of_another_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(capsys, "epochs=3", "lr=1e-2")
    second = train(capsys, f"init_from={first['run_dir']}", "lr=1e-12", "epochs=1")
    assert second["best"]["val_accuracy"] == first["best"]["val_accuracy"]
    weights = checkpoint.load(folder / first["run_dir"] / "best.pt")["weights"]
    tuned = checkpoint.load(folder / second["run_dir"] / "best.pt")["weights"]
    assert all(torch.allclose(weights[name], tuned[name], atol=1e-6) for name in weights)
    assert cli.main(["train", *SMALL, f"init_from={first['run_dir']}", "model=mlp"]) == 4
    assert "a different network" in capsys.readouterr().err
    (folder / "damaged.pt").write_bytes(b"x")
    before = list((folder / "outputs" / "train").iterdir())
    assert cli.main(["train", *SMALL, "init_from=damaged.pt"]) == 4
    assert list((folder / "outputs" / "train").iterdir()) == before, "no run is left behind"
    assert cli.main(["eval", "latest"]) == 0, "a run that failed before it saved anything is not the latest"


@pytest.mark.parametrize("stn", ["false", "true"])
def test_a_head_of_another_size_is_reinitialized_with_a_message(
    folder: Path, capsys: pytest.CaptureFixture[str], stn: str
) -> None:
    words = ["model=mlp", "model.widths=[16]", f"model.stn={stn}"]
    first = train(capsys, *words, "epochs=1")
    path = folder / first["run_dir"] / "best.pt"
    content = checkpoint.load(path)
    head = [name for name in content["weights"] if "head." in name]
    content["weights"] |= {name: content["weights"][name][:5].clone() for name in head}
    checkpoint.save(path, content)
    assert cli.main(["train", *SMALL, *words, f"init_from={path}"]) == 0
    assert "the head has a different size" in capsys.readouterr().err
    other = "true" if stn == "false" else "false"
    assert cli.main(["train", *SMALL, *words, f"init_from={path}", f"model.stn={other}"]) == 4
    assert "a different network" in capsys.readouterr().err


def test_an_older_run_is_resumed_with_keys_that_its_config_lacks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(capsys, run=folder / "run")
    config = unrecorded(folder / "run") / "config.yaml"
    older = [line for line in config.read_text().splitlines() if not line.startswith("report:")]
    config.write_text("\n".join(older) + "\n")
    assert cli.main(["train", "--resume", "run", "epochs=3", "report=false"]) == 0, capsys.readouterr().err


def test_how_a_run_computes_is_recorded_and_kept_when_it_is_resumed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def machine() -> dict[str, object]:
        return json.loads(Path("run/env.json").read_text())["machine"]

    words = ["train", *SMALL, "epochs=1", "device=cpu", "deterministic=false", "compile=auto", "out=run"]
    assert cli.main(words) == 0
    assert (machine()["deterministic"], machine()["compiled"]) == (False, False)
    assert cli.main([*words, "deterministic=true", "epochs=2"]) == 2
    assert "deterministic=false in that run, not true" in capsys.readouterr().err

    env = json.loads(Path("run/env.json").read_text())
    env["machine"] |= {"precision": "bf16", "deterministic": True}  # as `auto` might have chosen elsewhere
    (unrecorded(Path("run")) / "env.json").write_text(json.dumps(env))
    assert cli.main(["train", "--resume", "run", "epochs=2"]) == 0
    assert machine() == env["machine"]
