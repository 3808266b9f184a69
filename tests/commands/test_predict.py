"""`svhn predict` end to end on files of every kind."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_mat, write_run
from forked import PIPE, Forked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat

from svhncli.cli import main as cli
from svhncli.commands.predict import GUESS
from svhncli.config.groups.model import DatawhaleConfig
from svhncli.core.rng import numpy_generator
from svhncli.data.formats.images import decode
from svhncli.data.framing import Framing
from svhncli.evaluation import trained
from svhncli.models.ensemble import mixture
from svhncli.runs import checkpoint

NUMBERS = Framing(24, 48)
BOXES = Framing(24, 48, "boxes", 0.15, 0.1)


def write_image(path: Path, seed: int) -> None:
    pixels = numpy_generator(seed, "predict").integers(0, 256, (6, 10, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).resize((60, 36)).save(path)


@pytest.fixture
def numbers(folder: Path) -> Path:
    """A folder `photos` of 20 images and a run for numbers of up to 4 digits."""
    for seed in range(20):
        write_image(folder / "photos" / f"{seed:02}.png", seed)
    return write_run(folder / "run", NUMBERS, 4, DatawhaleConfig())


def predict(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    """The rows that the command prints; nothing else may be on standard output."""
    code = cli.main(["predict", *words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return list(csv.DictReader(io.StringIO(out), strict=True))


def test_on_a_terminal_each_row_is_on_its_own_line(
    numbers: Path, folder: Path, spawn: Callable[..., Forked]
) -> None:
    leader, follower = pty.openpty()
    process = spawn("predict", str(numbers), str(folder / "photos"), stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # EIO, once no process has the terminal open
        while piece := os.read(leader, 65536):
            shown += piece
    os.close(leader)
    assert process.wait() == 0, shown
    lines = shown.decode().splitlines()
    assert sum(line.startswith("file,prediction") for line in lines) == 1
    assert sum(line.startswith(str(folder / "photos")) for line in lines) == 20


def favour_blanks(run: Path) -> None:
    """Make a run's network predict no digits for some images."""
    content = checkpoint.load(run / "best.pt")
    content["weights"]["head.linear.weight"] *= 30
    content["weights"]["head.linear.bias"].view(-1, 11)[:, 10] += 18
    checkpoint.save(run / "best.pt", content)


# ----------------------------------------------------------------------------- predictions


def test_each_image_has_a_row_with_a_confidence_for_each_digit(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = predict(capsys, "run", "photos")
    assert list(rows[0]) == ["file", "prediction", "confidence", "c1", "c2", "c3", "c4"]
    assert [row["file"] for row in rows] == [f"photos/{i:02}.png" for i in range(20)]
    assert len({row["prediction"] for row in rows}) > 1
    for row in rows:
        digits = [float(row[f"c{i}"]) for i in range(1, 5) if row[f"c{i}"]]
        assert len(digits) == len(row["prediction"])
        assert 0 < float(row["confidence"]) <= np.prod(digits) * 1.0001


def test_an_image_gets_the_prediction_it_had_in_training_whatever_file_holds_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mat(folder / "d", "train", 60, 0)
    words = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false", "split.fraction=0.5"]
    small = ["model=linear", "epochs=2", "threads=1", "precision=fp32"]
    assert cli.main(["train", "hydra.run.dir=run", *small, *words]) == 0
    capsys.readouterr()
    pixels = loadmat("d/train_32x32.mat")["X"]
    for i in range(60):
        Image.fromarray(pixels[..., i]).save(f"d/{i:02}.png")
    mat_rows = predict(capsys, "run", "d/train_32x32.mat")
    file_rows = predict(capsys, "run", "d/")
    with (folder / "run" / "val_predictions.csv").open(newline="") as file:
        in_training = {int(row["index"]): row for row in csv.DictReader(file)}
    assert len(mat_rows) == len(file_rows) == 60
    for index, (row, other) in enumerate(zip(mat_rows, file_rows, strict=True)):
        assert row["file"] == f"d/train_32x32.mat/{index}"
        assert row | {"file": ""} == other | {"file": ""}
        if index in in_training:
            assert row["prediction"] == in_training[index]["prediction"]
            assert float(row["confidence"]) == pytest.approx(
                float(in_training[index]["confidence"]), rel=1e-5
            )


def test_folds_predict_the_mean_of_their_probabilities(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(Path("kfold") / f"fold{i}", NUMBERS, 4, DatawhaleConfig()) for i in range(3)]
    (runs[0] / "config.yaml").rename("kfold/config.yaml")
    folds = [trained.load(run / "best.pt") for run in runs]
    pixels = torch.from_numpy(
        np.stack([NUMBERS.store(decode(path), ()) for path in sorted(Path("photos").iterdir())])
    )
    with torch.inference_mode():
        probabilities = [fold.network(fold.preprocess(pixels)).softmax(-1) for fold in folds]
    assert not torch.allclose(probabilities[0], probabilities[1])
    assert cli.main(["predict", "kfold", "photos"]) == 0
    out, err = capsys.readouterr()
    assert "3 folds, their probabilities averaged" in err
    mean = mixture(torch.stack(probabilities).log(), torch.full((3,), 1 / 3))
    expected = mean.exp().max(-1).values.prod(-1).tolist()
    assert [float(row["confidence"]) for row in csv.DictReader(io.StringIO(out))] == pytest.approx(
        expected, rel=1e-5
    )
    assert cli.main(["predict", "kfold/fold1", "photos"]) == 0


def test_a_grey_network_takes_colour_images(numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("grey"), NUMBERS, 2, DatawhaleConfig(), grey=True)
    assert len(predict(capsys, "grey", "photos")) == 20


def test_views_are_averaged_and_batches_of_any_size_give_the_same_predictions(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = predict(capsys, "run", "photos")
    in_small_batches = predict(capsys, "run", "photos", "batch=3")
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in in_small_batches]
    averaged = predict(capsys, "run", "photos", "tta=5")
    assert [row["confidence"] for row in rows] != [row["confidence"] for row in averaged]


def test_a_network_for_cropped_numbers_requires_crop_whole_for_plain_images(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("cut"), BOXES, 4, DatawhaleConfig())
    assert cli.main(["predict", "cut", "photos"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "plain images have no boxes" in printed.err
    assert "crop=whole" in printed.err
    assert len(predict(capsys, "cut", "photos", "crop=whole")) == 20
    assert predict(capsys, "run", "photos", "crop=whole") == predict(capsys, "run", "photos")


# ----------------------------------------------------------------------------- naming images


NAMES = [
    "a b.png",
    "x=1,[2].png",
    "ü ñ 漢.png",
    "it's.png",
    'say "a".png',
    "$HOME ${x}.png",
    "back\\slash.png",
]


def test_files_of_any_name_are_read(numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(NAMES):
        write_image(Path(name), seed)
    rows = predict(capsys, "run", *NAMES)
    assert [row["file"] for row in rows] == NAMES
    assert predict(capsys, "run", *NAMES[::-1]) == rows[::-1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="="), min_size=1)))
def test_plain_words_become_paths_unchanged(words: list[str]) -> None:
    words = [word for word in words if word[0] != "-"]
    overrides, many = cli.plain_words(["latest", "tta=5", *words, "out=x"], "predict")
    assert overrides == ["run='latest'", "tta=5", "out=x"]
    assert many == ({"paths": words} if words else {})


def test_paths_and_run_may_be_given_as_keys(numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = predict(capsys, "run", "photos")
    assert predict(capsys, "run=run", "paths=[photos]") == rows
    assert predict(capsys, "run=run", "photos") == rows
    assert predict(capsys, "photos/*.png", "run=run") == rows


def test_a_list_of_files_is_read_from_standard_input(
    numbers: Path, spawn: Callable[..., Forked], folder: Path
) -> None:
    names = [f"photos/{i:02}.png" for i in (3, 1, 2)]
    process = spawn("predict", "run", "-", cwd=folder, stdin=PIPE)
    out, err = process.communicate("\n".join(names))
    assert process.returncode == 0, err
    assert [row["file"] for row in csv.DictReader(io.StringIO(out))] == names


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_a_file_name_that_is_not_text_keeps_its_bytes(
    numbers: Path, spawn: Callable[..., Forked], folder: Path
) -> None:
    odd = os.fsdecode(b"\xff.png")
    try:
        write_image(folder / "odd" / odd, 0)
    except OSError:
        pytest.skip("this disk takes no such name")
    process = spawn("predict", "run", "odd", "out=odd.csv", cwd=folder)
    assert process.wait() == 0
    assert b"odd/\xff.png," in (folder / "odd.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "no run is named"),
        (["run"], 2, "no images are named"),
        (["run", "nowhere"], 3, "no file, folder or glob matches 'nowhere'"),
        (["nowhere", "photos"], 4, "there is no run 'nowhere'"),
        (["run", "photos", "format=tinchi", "out=x"], 2, "did you mean 'tianchi'?"),
        (["run", "photos", "format=tianchi"], 2, "out=FILE"),
        (["run", "photos/01.png", "format=tianchi", "out=x"], 2, "one folder"),
        (["run", "photos", "photos", "format=tianchi", "out=x"], 2, "one folder"),
        (["run", "photos", "--json"], 2, "out=FILE"),
        (["run", "photos", "out=photos/01.png/x.csv"], 6, "cannot create the folder"),
        (["run", "photos", "batch=0"], 2, "1 or more"),
        (["run", "photos", "out=photos"], 2, "out=photos is a folder"),
        (["run", "photos", "zzz=1"], 2, "unknown key 'zzz'"),
        (["run", "photos", "--resume"], 2, "neither --resume nor --multirun"),
    ],
)
def test_a_command_that_cannot_run_is_refused_with_a_message(
    numbers: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    before = sorted(Path().rglob("*"))
    assert cli.main(["predict", *words]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert sorted(Path().rglob("*")) == before


# ----------------------------------------------------------------------------- broken images


def test_a_broken_file_is_named_counted_and_skipped(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = predict(capsys, "run", "photos")
    Path("photos/05.png").write_bytes(b"not an image")
    Path("photos/11.png").write_bytes(Path("photos/11.png").read_bytes()[:300])
    assert cli.main(["predict", "run", "photos", "batch=4"]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["prediction"] for row in rows] == [
        r["prediction"] for i, r in enumerate(whole) if i not in (5, 11)
    ]
    assert "'photos/05.png'" in err
    assert "'photos/11.png'" in err
    assert "18 predicted" in err
    assert "cannot be decoded: 2" in err
    assert cli.main(["predict", "run", "photos", "out=new/read.csv", "batch=4", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["read"], summary["broken"]) == (18, ["photos/05.png", "photos/11.png"])
    assert list(csv.DictReader(io.StringIO(Path("new/read.csv").read_text()))) == rows


def test_without_any_image_that_can_be_decoded_nothing_is_predicted(
    numbers: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.png").write_text("no image")
    (folder / "old.csv").write_text("kept")
    assert cli.main(["predict", "run", "text.png", "out=old.csv"]) == 3
    assert "none of the images can be decoded" in capsys.readouterr().err
    assert (folder / "old.csv").read_text() == "kept"


def test_strict_stops_at_a_broken_file_and_leaves_no_output(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/05.png").write_bytes(b"not an image")
    Path("photos/06.png").unlink()
    Path("photos/06.png").mkdir()  # reading it raises an OSError
    for name in ("05", "06"):
        assert (
            cli.main(["predict", "run", f"photos/{name}.png", "photos/07.png", "out=read.csv", "strict=true"])
            == 3
        )
        assert f"photos/{name}" in capsys.readouterr().err
        assert not list(Path().glob("*read.csv"))


def test_strict_names_the_image_and_not_the_output_file(
    numbers: Path, spawn: Callable[..., Forked], folder: Path
) -> None:
    process = spawn("predict", "run", "-", "out=read.csv", "strict=true", cwd=folder, stdin=PIPE)
    _, err = process.communicate("photos/01.png\nphotos/01.png/inner.png\n")
    assert process.returncode == 3
    assert "cannot read the image 'photos/01.png/inner.png'" in err


# ----------------------------------------------------------------------------- submissions


def submitted(path: str) -> dict[str, str]:
    with open(path, newline="") as file:
        return {row["file_name"]: row["file_code"] for row in csv.DictReader(file)}


def test_a_submission_has_a_code_for_every_image_and_passes_the_check(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    favour_blanks(numbers)
    table = {row["file"].removeprefix("photos/"): row for row in predict(capsys, "run", "photos")}
    Path("photos/05.png").write_bytes(b"not an image")
    assert cli.main(["predict", "run", "photos", "format=tianchi", "out=sub.csv", "--json"]) == 0
    out, err = capsys.readouterr()
    summary, codes = json.loads(out), submitted("sub.csv")
    assert list(codes) == sorted(table)
    empty = [name for name, row in table.items() if not row["prediction"] and name != "05.png"]
    assert 0 < len(empty) < 19
    assert summary["without_digits"] == len(empty)
    for name, code in codes.items():
        if name == "05.png":
            assert code == GUESS
        elif name in empty:
            assert len(code) == 1
        else:
            assert code == table[name]["prediction"]
    assert "'photos/05.png'" in err
    assert f"cannot be decoded: 1; their code is {GUESS}" in err
    assert cli.main(["submission", "sub.csv", "photos"]) == 0
    assert cli.main(["predict", "run", "photos", "format=tianchi", "out=sub2.csv", "strict=true"]) == 3
    assert not Path("sub2.csv").exists()


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.text("0123456789abcÄ ,=\"'", min_size=1, max_size=6), min_size=1, max_size=6))
def test_a_submission_with_any_file_names_passes_the_check(numbers: Path, names: set[str]) -> None:
    images = Path(f"any{len(list(Path().glob('any*')))}")
    for name in names:
        write_image(images / f"{name}.png", 0)
    assert cli.main(["predict", "run", str(images), "format=tianchi", f"out={images}.csv"]) == 0
    assert cli.main(["submission", f"{images}.csv", str(images)]) == 0


def test_the_summary_goes_to_standard_output_unless_the_rows_do(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", "run", "photos", "out=a.csv"]) == 0
    printed = capsys.readouterr()
    assert "20 predicted" in printed.out
    assert "a.csv" in printed.out
    assert cli.main(["predict", "run", "photos"]) == 0
    printed = capsys.readouterr()
    assert printed.out == Path("a.csv").read_text()
    assert "20 predicted" in printed.err
