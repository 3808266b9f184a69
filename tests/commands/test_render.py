"""`svhn render`: contact sheets of the world and of each of its factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from svhncli.cli import main as cli
from svhncli.data.render.world import STREET, load
from svhncli.runs.contact_sheet import CAPTION, COLUMNS, GAP, Block, draw_sheet


def test_a_sheet_holds_every_image_at_its_position(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 5, 5), np.uint8)
    grey = np.full((1, 1, 5, 5), 7, np.uint8)
    draw_sheet(tmp_path / "new" / "sheet.png", [Block("a", images), Block("b", grey)], zoom=2)
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    step = 5 * 2 + GAP
    assert sheet.shape == (2 * CAPTION + 3 * step, COLUMNS * step, 3)
    for position, image in enumerate(images):
        top, left = CAPTION + position // COLUMNS * step, position % COLUMNS * step
        tile = sheet[top : top + 10 : 2, left : left + 10 : 2]
        np.testing.assert_array_equal(tile, image.transpose(1, 2, 0))
    top = 2 * CAPTION + 2 * step
    assert (sheet[top : top + 10, :10] == 7).all()


def test_the_world_is_drawn_beside_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    savemat("real.mat", {"X": np.full((32, 32, 3, 130), 99, np.uint8), "y": np.ones((130, 1), np.uint8)})
    assert cli.main(["render", "beside=real.mat", "out=there", "data.without=[plate]"]) == 0
    sheet = np.asarray(Image.open("there/world.png"))
    step = 32 * 2 + GAP
    assert sheet.shape == (2 * (CAPTION + 8 * step), COLUMNS * step, 3)
    assert (sheet[-step:-GAP, :64] == 99).all()
    assert "world.yaml" in capsys.readouterr().err


def test_each_factor_that_is_not_left_out_has_a_sheet(folder: Path) -> None:
    left_out = ",".join(factor for factor in load(STREET).factors if factor not in ("shadow", "relief"))
    assert cli.main(["render", "sheet=true", "out=there", "data.size=16", f"data.without=[{left_out}]"]) == 0
    assert {path.name for path in Path("there").glob("*.png")} == {
        "world.png",
        "01-shadow.png",
        "02-relief.png",
    }


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["data=svhn"], 2, "data=svhn cannot be rendered"),
        (["data.without=[plates]"], 2, "no factor 'plates'"),
        (["data.world=none.yaml"], 3, "data.world: there is no"),
        (["data.fonts=."], 3, "no fonts"),
        (["beside=none.mat"], 3, "no file"),
    ],
)
def test_what_cannot_be_rendered_is_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["render", *words]) == code
    assert message in capsys.readouterr().err
