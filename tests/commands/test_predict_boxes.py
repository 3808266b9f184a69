"""`svhn predict` says where the digits are, and draws what it predicts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from bright_digits import ONE, PADDED, ROWS, SIZES, TWO, finds_bright, write_detector, write_photographs
from conftest import write_run
from PIL import Image

from svhncli.cli import main as cli
from svhncli.config.groups.model import DatawhaleConfig
from svhncli.data.framing import Framing
from svhncli.report.drawing import ACCEPTED, REJECTED

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("finds_bright")]
__all__ = ["finds_bright"]

FILES = [f"photos/{name}" for name, _, _ in ROWS]
STRETCHED = Framing(40, 80)


@pytest.fixture
def photos(folder: Path) -> Path:
    write_photographs(folder / "photos")
    return Path("photos")


def predict(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    code = cli.main(["predict", *words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return list(csv.DictReader(io.StringIO(out), strict=True))


def boxes(row: dict[str, str]) -> np.ndarray:
    return np.array(json.loads(row["boxes"])).reshape(-1, 4)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["predict", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return " ".join(err.split())


# ----------------------------------------------------------------------------- boxes


@pytest.mark.parametrize("framing", [PADDED, STRETCHED], ids=lambda framing: framing.fit)
def test_each_digit_has_its_box_in_pixels_of_the_photograph(
    photos: Path, capsys: pytest.CaptureFixture[str], framing: Framing
) -> None:
    write_detector(Path("run"), framing)
    rows = predict(capsys, "run", *FILES)
    assert list(rows[0]) == ["file", "prediction", "confidence", "c1", "c2", "c3", "c4", "boxes"]
    assert [row["prediction"] for row in rows] == ["42", "7", ""]
    for row, (name, _, true) in zip(rows, ROWS, strict=True):
        pixel = max(SIZES[name][0] / framing.width, SIZES[name][1] / framing.height)
        assert boxes(row) == pytest.approx(np.reshape(true, (-1, 4)), abs=1.1 * pixel)
        assert (boxes(row).round(1) == boxes(row)).all()
    assert rows[2]["boxes"] == "[]"


def test_images_of_an_array_have_boxes_as_those_of_files(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("run"))
    np.save("two.npy", np.stack([np.asarray(Image.open(photos / TWO[0]))] * 2))
    file, *array = predict(capsys, "run", f"photos/{TWO[0]}", "two.npy")
    assert [row | {"file": ""} for row in array] == [file | {"file": ""}] * 2


def test_folds_give_the_boxes_of_the_first_that_reads_the_predicted_number(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, off, sure, right in (("fold0", 1, (3, 3), 5), ("fold1", 0, (6, 6), 0), ("fold2", 0, (6, 6), 9)):
        fold = write_detector(Path("kfold") / name, off=off, sure=(*sure, 6, 6), right=right)
    (fold / "config.yaml").rename("kfold/config.yaml")
    folds = {name: predict(capsys, f"kfold/{name}", *FILES) for name in ("fold0", "fold1")}
    mean = predict(capsys, "kfold", *FILES)
    assert [row["prediction"] for row in folds["fold0"]] == ["53", "8", ""]
    assert [row["prediction"] for row in mean] == ["42", "7", ""]
    assert [row["boxes"] for row in mean] == [row["boxes"] for row in folds["fold1"]]


def test_a_number_that_no_fold_reads_has_no_boxes(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, off, sure in (("fold0", 1, (0.1, 6)), ("fold1", 0, (2, 0.1))):
        fold = write_detector(Path("kfold") / name, off=off, sure=(*sure, 6, 6))
    (fold / "config.yaml").rename("kfold/config.yaml")
    two, one, none = predict(capsys, "kfold", *FILES)
    assert (two["prediction"], two["boxes"]) == ("43", "")
    assert (one["prediction"], len(boxes(one))) == ("7", 1)
    assert none["boxes"] == "[]"


def test_an_ensemble_gives_the_boxes_that_the_folds_of_a_run_give(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, off, sure in (("fold0", 1, (0.1, 6)), ("fold1", 0, (2, 0.1))):
        fold = write_detector(Path("kfold") / name, off=off, sure=(*sure, 6, 6), right=5 * off)
    (fold / "config.yaml").rename("kfold/config.yaml")
    assert cli.main(["ensemble", "kfold/fold0", "kfold/fold1", "out=joint"]) == 0
    capsys.readouterr()
    assert predict(capsys, "joint", *FILES) == predict(capsys, "kfold", *FILES)
    write_run(Path("heads"), PADDED, 4, DatawhaleConfig())
    assert cli.main(["ensemble", "kfold/fold0", "heads", "out=mixed"]) == 0
    capsys.readouterr()
    assert "boxes" not in predict(capsys, "mixed", *FILES)[0]


def test_with_several_views_the_boxes_are_those_of_the_image_itself(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("run"))
    plain, several = (predict(capsys, "run", *FILES, f"tta={views}") for views in (1, 7))
    assert [row["boxes"] for row in several] == [row["boxes"] for row in plain]
    assert [row["prediction"] for row in several] == [row["prediction"] for row in plain]


# ----------------------------------------------------------------------------- drawings


def drawn(name: str) -> np.ndarray:
    return np.asarray(Image.open(f"drawn/{name}").convert("RGB")).astype(int)


def colors(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


def test_the_drawing_is_the_enlarged_photograph_with_boxes_and_a_line_below_it(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("run"))
    Image.open(photos / ONE[0]).save(photos / "turned.png", exif=turned())
    predict(capsys, "run", *FILES, "photos/turned.png", "draw=drawn")
    assert sorted(path.name for path in Path("drawn").iterdir()) == [
        *("none.png", "one.png", "turned.png", "two.png")
    ]
    width, height = SIZES["one.png"]
    pixels = drawn("one.png")
    factor = pixels.shape[1] // width
    assert pixels.shape[1] == factor * width >= 400 > (factor - 1) * width
    photograph, line = pixels[: factor * height], pixels[factor * height :]
    left, top, right, bottom = (round(factor * side) for side in ONE[2][0])
    outside = np.ones(photograph.shape[:2], bool)
    outside[top - 12 : bottom + 12, left - 12 : right + 12] = False
    original = np.asarray(Image.open(photos / ONE[0])).repeat(factor, 0).repeat(factor, 1)
    assert (photograph == original)[outside].all()
    assert ACCEPTED in colors(photograph[~outside])
    assert (photograph == original)[top + 12 : bottom - 12, left + 12 : right - 12].all()
    assert {ACCEPTED, (255, 255, 255)} <= colors(line)
    assert ACCEPTED not in colors(drawn("none.png")[: 50 * (400 // 50)])
    assert drawn("turned.png").shape[0] > drawn("turned.png").shape[1]


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_what_a_threshold_rejects_is_drawn_in_another_color(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("run"), sure=(3, 9, 6, 6))
    two, _, none = predict(capsys, "run", *FILES, "draw=drawn", "threshold=0.95")
    assert (two["rejected"], none["rejected"]) == ("yes", "")
    assert REJECTED in colors(drawn("two.png"))
    assert ACCEPTED not in colors(drawn("two.png"))
    assert REJECTED not in colors(drawn("none.png"))


def test_networks_that_find_no_boxes_draw_the_line_alone(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("run"), Framing(24, 48), 4, DatawhaleConfig())
    assert "boxes" not in predict(capsys, "run", *FILES, "draw=drawn")[0]
    width, height = SIZES["one.png"]
    factor = drawn("one.png").shape[1] // width
    original = np.asarray(Image.open(photos / ONE[0])).repeat(factor, 0).repeat(factor, 1)
    assert (drawn("one.png")[: factor * height, : factor * width] == original).all()


def test_no_two_drawings_have_the_same_name(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_detector(Path("run"))
    write_photographs(Path("other"))
    Path("other/two.png").rename("other/TWO.png")
    np.save("file.npy", np.zeros((2, 20, 30, 3), np.uint8))
    predict(capsys, "run", "photos", "other", "file.npy", "photos/two.png", "draw=drawn")
    names = {"none.png", "none_2.png", "one.png", "one_2.png", "two.png", "TWO_2.png", "two_3.png"}
    assert {path.name for path in Path("drawn").iterdir()} == names | {"file_0.png", "file_1.png"}


def test_a_folder_of_drawings_is_replaced_and_no_other(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(Path("run"))
    Path("drawn").mkdir()
    predict(capsys, "run", "photos/one.png", "draw=drawn")
    predict(capsys, "run", "photos/two.png", "draw=drawn")
    assert [path.name for path in Path("drawn").iterdir()] == ["two.png"]
    before = {path: path.read_bytes() for path in photos.iterdir()}
    assert "'photos' contains other files" in refusal(capsys, "run", "photos", "draw=photos")
    assert {path: path.read_bytes() for path in photos.iterdir()} == before
    Path("drawn/notes.txt").write_text("mine")
    assert "'drawn' contains other files" in refusal(capsys, "run", "photos", "draw=drawn")
    assert "which is for drawings alone" in refusal(capsys, "run", "photos", "draw=new", "out=new/p.csv")
    assert not Path("new").exists()


def test_a_prediction_that_fails_leaves_no_drawings(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_detector(Path("run"))
    Path("photos/broken.png").write_bytes(b"not an image")
    assert cli.main(["predict", "run", "photos", "draw=drawn", "strict=true", "batch=1"]) == 3
    assert not Path("drawn").exists()
    capsys.readouterr()
    assert cli.main(["predict", "run", "photos", "draw=drawn", "out=p.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["draw"] == "drawn"
    assert len([*Path("drawn").iterdir()]) == 3
