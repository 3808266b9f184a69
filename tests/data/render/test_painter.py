"""Faces drawn with a pen: the effects of a hand's parameters, and the resulting digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import installed_faces, shared_cache

from svhncli.core.rng import numpy_generator
from svhncli.data.render import painter
from svhncli.data.render.dice import Dice
from svhncli.data.render.faces import DIGITS, FORMS, atlas, holes
from svhncli.data.render.world import STREET, Spec, load

pytestmark = pytest.mark.engine

DENSITY, SIDE, TOP = 200, 320, 60
WORLD = load(STREET)
PLAIN = painter.Hand(
    width=0.6, thick=0.16, thin=0.08, square=2, waist=0.46, bowl=0.31, hook=30, stem=0.7, bar=0.7, flag=0.4,
    drop=0.25, leg=0.5, ball=0, feet=0, round_ends=0, straight_six=0, open_four=0, crossed_seven=0,
)  # fmt: skip


def hands(count: int) -> list[painter.Hand]:
    return painter.hands(Dice(numpy_generator(1, "hands"), count, WORLD))


def drawn(form: str, **changes: float) -> np.ndarray:
    return painter.ink(replace(PLAIN, **changes), form, DENSITY, SIDE, TOP)


def longest_run(row: np.ndarray) -> int:
    steps = np.flatnonzero(np.diff(np.pad(row, 1).astype(int)))
    return int((steps[1::2] - steps[::2]).max())


def test_the_parameters_of_a_hand_have_their_effects() -> None:
    zero = drawn("0")
    rows, columns = np.flatnonzero(zero.any(1)), np.flatnonzero(zero.any(0))
    assert abs(rows[0] - TOP) <= 2
    assert abs(rows[-1] + 1 - TOP - DENSITY) <= 2
    assert abs(len(columns) - 0.6 * DENSITY) <= 2
    assert abs(columns.mean() - (SIDE - 1) / 2) <= 1
    assert abs(longest_run(zero[TOP + DENSITY // 2, : SIDE // 2]) - 0.16 * DENSITY) <= 2
    assert abs(longest_run(zero[: SIDE // 2, SIDE // 2]) - 0.08 * DENSITY) <= 2


@pytest.mark.parametrize("form", FORMS)
def test_every_digit_fills_its_line(form: str) -> None:
    for hand in hands(16):
        rows = np.flatnonzero(painter.ink(hand, form, DENSITY, SIDE, TOP).any(1))
        assert abs(rows[0] - TOP) <= 0.06 * DENSITY
        assert abs(rows[-1] + 1 - TOP - DENSITY) <= 0.06 * DENSITY


def test_a_9_is_a_6_rotated_by_180_degrees() -> None:
    six, nine = drawn("6"), drawn("9")
    turned = six[::-1, ::-1]
    shifted = np.roll(turned, 2 * TOP + DENSITY - SIDE, axis=0)
    assert (shifted ^ nine).sum() < 0.03 * nine.sum()


@pytest.mark.parametrize(
    ("name", "value", "forms"),
    [
        ("feet", 1, "1247"),
        ("round_ends", 1, "357"),
        ("ball", 0.1, "23569"),
        ("straight_six", 1, "69"),
        ("open_four", 1, "4"),
        ("crossed_seven", 1, "7"),
        ("waist", 0.5, "38"),
        ("bowl", 0.34, "569"),
        ("flag", 0.7, "1"),
        ("drop", 0.1, "1"),
        ("leg", 0.7, "27"),
        ("stem", 0.8, "4"),
        ("bar", 0.6, "4"),
        ("square", 4, "0235689"),
        ("hook", -30, "23"),
    ],
)
def test_each_parameter_changes_only_its_digits(name: str, value: float, forms: str) -> None:
    for form in forms:
        assert (drawn(form) != drawn(form, **{name: value})).sum() > 50


def test_nearly_every_hand_is_legible() -> None:
    allowed = {"0": {1}, "4": {0, 1}, "6": {1}, "8": {2}, "9": {1}}
    legible = [
        all(holes(painter.ink(hand, form, DENSITY, SIDE, TOP)) in allowed.get(form, {0}) for form in DIGITS)
        for hand in hands(64)
    ]
    assert np.mean(legible) > 0.85


def test_a_painted_face_is_chosen_exactly_where_one_is_requested() -> None:
    faces = installed_faces()
    assert faces.painted > 100
    fonts = len(faces.names) - faces.painted
    share = np.random.default_rng(0).random(5000)
    painted = faces.choose(share, np.ones(5000, bool))
    assert set(painted) == set(range(fonts, len(faces.names)))
    assert set(faces.choose(share, np.zeros(5000, bool))) == set(range(fonts))


def test_another_world_has_other_painters_and_the_same_fonts() -> None:
    own = installed_faces()
    swelling_free = atlas(None, load(Spec(without=("swelling",))), shared_cache())
    fonts = len(own.names) - own.painted
    assert np.array_equal(own.distance[:fonts], swelling_free.distance[:fonts])
    assert not np.array_equal(own.distance[fonts:][:50], swelling_free.distance[fonts:][:50])
