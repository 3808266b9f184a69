"""Faces as distance fields: which fonts are usable, their forms of a 1 and a 3, and the fields themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import installed_faces
from PIL import Image, ImageFont

from svhncli.data.render.faces import DIGITS, FLAT_THREE, PLAIN_ONE, Atlas, fonts, holes, mask, usable

pytestmark = pytest.mark.engine


def test_every_face_has_ten_distinct_digits() -> None:
    faces = fonts(100)
    assert len(faces) >= 10
    assert "Pillow" in faces
    for font in faces.values():
        assert len({(ink.shape, ink.tobytes()) for ink in (mask(font, digit) for digit in DIGITS)}) == 10


@pytest.mark.parametrize("file", ["LastResortHE-Regular", "STIXNonUni", "cmex10", "cmsy10", "DejaVuSansMono"])
def test_faces_that_lack_digits_or_show_other_characters_are_dropped(file: str) -> None:
    import matplotlib

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{file}.ttf")
    if not path.exists():
        pytest.skip(f"this matplotlib ships no {file}")
    assert not usable(ImageFont.truetype(path, 100))
    assert file not in fonts(100)


@pytest.mark.parametrize("is_absent", [True, False])
def test_a_face_whose_5_is_absent_or_another_digit_is_dropped(tmp_path: Path, is_absent: bool) -> None:
    """The other character has as many counters as a 5, so only its similarity to another digit reveals it."""
    tools = pytest.importorskip("fontTools.ttLib")
    import matplotlib

    font = tools.TTFont(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    for table in font["cmap"].tables:
        if ord("5") in table.cmap:
            table.cmap[ord("5")] = ".notdef" if is_absent else "three"
    font["glyf"][".notdef"] = font["glyf"]["S"]
    font.save(tmp_path / "broken.ttf")
    assert not usable(ImageFont.truetype(tmp_path / "broken.ttf", 100))


def test_holes_counts_counters_and_detects_broken_digits() -> None:
    ring = np.pad(np.zeros((6, 6), bool), 3, constant_values=True)
    assert holes(ring) == 1
    assert holes(np.concatenate([ring, ring])) == 2
    assert holes(np.concatenate([ring, np.zeros((2, 12), bool), ring])) == -1
    assert holes(np.zeros((0, 0), bool)) == -1


def test_some_faces_have_a_bare_1_and_a_flat_3_and_the_others_keep_their_own() -> None:
    faces = installed_faces()
    for digit, form in ((1, PLAIN_ONE), (3, FLAT_THREE)):
        same = [np.array_equal(cells[digit], cells[form]) for cells in faces.distance]
        assert any(same)
        assert not all(same)
    sans = faces.names.index("DejaVuSans-Bold")
    left, top, right, bottom = faces.boxes[sans, PLAIN_ONE]
    assert bottom - top > 2 * (right - left)
    assert (faces.distance[sans, FLAT_THREE] > 0).sum() != (faces.distance[sans, 3] > 0).sum()


def test_the_distance_fields_are_distances() -> None:
    """The outline reaches the ink's box, and no step between cells is longer than a cell."""
    faces = installed_faces()
    assert np.isfinite(faces.distance).all()
    for field, box in zip(faces.distance.reshape(-1, 64, 64), faces.boxes.reshape(-1, 4), strict=True):
        rows, columns = np.nonzero(field > -0.5 / 40)
        ends = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 40
        np.testing.assert_allclose(ends - [0.8, 0.3, 0.8, 0.3], box, atol=0.03)
        assert np.abs(np.diff(field, axis=1)).max() <= 1.05 / 40
        assert np.abs(np.diff(field, axis=0)).max() <= 1.05 / 40


def nearest_digit(field: np.ndarray, faces: Atlas, face: int) -> int:
    """The digit of a face whose ink is most similar to an image of an upright digit."""
    ink = faces.distance[face, :10] > 0
    scores = (ink & field).sum(axis=(1, 2)) / (ink | field).sum(axis=(1, 2))
    return int(scores.argmax())


def test_a_field_matches_an_independent_drawing_of_its_digit() -> None:
    """Pillow draws each digit again, at another size; its class's field must be the nearest of the ten."""
    faces = installed_faces()
    correct = []
    for face, (name, font) in enumerate(fonts(200).items()):
        assert name == faces.names[face]
        for digit in range(10):
            left, top, right, bottom = faces.boxes[face, digit]
            wide, high = round((right - left) * 40), round((bottom - top) * 40)
            ink = Image.fromarray(mask(font, str(digit))).resize((wide, high), Image.Resampling.NEAREST)
            field = np.zeros((64, 64), bool)
            y, x = round((top + 0.3) * 40), round((left + 0.8) * 40)
            field[y : y + high, x : x + wide] = np.asarray(ink)
            correct.append(nearest_digit(field, faces, face) == digit)
    assert np.mean(correct) > 0.99, "only hairlines that the small image loses are misclassified"
