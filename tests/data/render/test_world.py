"""The renderer's configuration: every factor's distribution, a user's file, factors that are left out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import installed_faces

from svhncli.core.errors import DataError, UsageError
from svhncli.core.rng import numpy_generator
from svhncli.data.render.chunk import crops, numbers_of
from svhncli.data.render.dice import Dice
from svhncli.data.render.painter import OF_A_HAND, hands
from svhncli.data.render.scene import CLIMB, ROW, STACK
from svhncli.data.render.surfaces import _TINTS, _tiles
from svhncli.data.render.whole_photographs import photographs
from svhncli.data.render.world import OWN, STREET, Spec, World, load

pytestmark = pytest.mark.engine

WORLD = load(STREET)
SYNTH = Path(OWN).parent


def drawn(world: World, name: str, count: int = 20_000) -> np.ndarray:
    return Dice(numpy_generator(0, "draws"), count, world).draw(name).ravel()


def test_draws_follow_their_distributions() -> None:
    share = drawn(WORLD, "wall.luma")
    assert share.min() >= 0.1
    assert share.max() <= 0.85
    assert abs(share.mean() - 0.475) < 0.01
    turn = drawn(WORLD, "pose.turn")
    assert abs(turn.std() / 5 - 1) < 0.05
    assert np.abs(turn).max() <= 15
    gap = drawn(WORLD, "layout.gap")
    assert abs(np.median(gap) / 0.08 - 1) < 0.05
    assert (gap.min(), gap.max()) == (np.float32(0.02), np.float32(0.4))


def test_choices_follow_their_weights() -> None:
    dice = Dice(numpy_generator(0, "choice"), 20_000, WORLD)
    shares = np.bincount(dice.choose("number.layout"), minlength=3) / 20_000
    weights = np.array(list(WORLD.weights("number.layout").values()), float)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.01)


def test_choices_have_the_order_that_the_code_relies_on() -> None:
    layouts = list(WORLD.weights("number.layout"))
    assert [layouts.index(name) for name in ("row", "climb", "stack")] == [ROW, CLIMB, STACK]
    assert list(WORLD.weights("wall.tint")) == list(WORLD.weights("ink.tint")) == list(_TINTS)
    assert len(WORLD.weights("wall.texture")) == len(_tiles())


def test_every_entry_is_drawn_and_every_draw_has_an_entry() -> None:
    """A distribution that the renderer never draws from would have no effect."""
    source = "".join(path.read_text() for path in SYNTH.glob("*.py"))
    drawn_entries = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', source))
    drawn_entries |= {f"exposure.{channel}" for channel in ("red", "green", "blue")} | {
        "wall.tint",
        "ink.tint",
    }
    entry_names = {f"{factor}.{name}" for factor, entries in WORLD.factors.items() for name in entries}
    assert {name for name in entry_names if not name.endswith(".chance")} <= drawn_entries
    chances = set(re.findall(r'happens\("([a-z_]+)"\)', source)) | {"plain_one", "flat_three"}
    assert chances == {factor for factor, entries in WORLD.factors.items() if "chance" in entries}


def test_every_factor_has_a_comment() -> None:
    for line in OWN.read_text().splitlines():
        if re.match(r"[a-z_]+:", line):
            assert "#" in line, line


def make_images(spec: Spec) -> np.ndarray:
    """Crops of numbers in a row, and of some along a stair."""
    world = load(spec)
    batches = []
    for count, kind in ((96, ROW), (32, CLIMB)):
        digits = np.arange(count)[:, None] * [3, 7] % 10
        dice = Dice(numpy_generator(0, "factor"), count, world)
        batches.append(crops(dice, digits, kind, 24, installed_faces()))
    return np.concatenate(batches)


@pytest.mark.parametrize("factor", list(WORLD.factors))
def test_every_factor_can_be_left_out_and_changes_the_images(factor: str) -> None:
    """With the factor in every image, some differ; factors that it depends on are in every image, too."""
    always = ("plate", "screws", "ledge", "defocus", "swelling", factor)
    specs = Spec(always=always), Spec(without=(factor,), always=always)
    if factor == "number":
        with_factor, without_factor = (
            numbers_of(numpy_generator(0, "numbers"), load(spec))[1].tolist() for spec in specs
        )
        assert with_factor != without_factor
    elif factor in ("photograph", "off_centre", "thing"):
        with_factor, without_factor = (
            [photo.image.tolist() for photo in photographs(0, "whole", 0, 8, load(spec), installed_faces())]
            for spec in specs
        )
        assert with_factor != without_factor
    elif factor in OF_A_HAND:
        with_factor, without_factor = (
            hands(Dice(numpy_generator(0, "hands"), 64, load(spec))) for spec in specs
        )
        assert with_factor != without_factor
    else:
        with_factor, without_factor = map(make_images, specs)
        assert (with_factor != without_factor).any()


def test_leaving_out_a_factor_does_not_change_the_other_draws() -> None:
    with_factor, without_factor = (
        Dice(numpy_generator(0, "same"), 5, load(spec)) for spec in (STREET, Spec(without=("pose", "plate")))
    )
    for dice in (with_factor, without_factor):
        dice.happens("plate")
        dice.draw("pose.turn")
        dice.choose("number.length")
    np.testing.assert_array_equal(with_factor.share(), without_factor.share())


def test_without_the_pose_the_camera_is_not_turned() -> None:
    assert not drawn(load(Spec(without=("pose",))), "pose.turn").any()


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text("plate: {chance: 1, corner: [0.1, 0.1]}\nwall: {tint: {weights: {red: 1}}}\n")
    world = load(Spec(file=file))
    assert world.chance("plate") == 1
    assert set(drawn(world, "plate.corner", 50)) == {np.float32(0.1)}
    assert {k for k, weight in world.weights("wall.tint").items() if weight} == {"red"}
    assert list(world.weights("wall.tint")) == list(_TINTS)
    assert world.chance("shadow") == WORLD.chance("shadow")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plate: {chance: 2}", "between 0 and 1"),
        ("plate: {corner: [1, 0]}", "low is above high"),
        ("plate: {corner: {sigma: 1}}", "expected"),
        ("plate: {corner: x}", "expected"),
        ("plate: {corner: [1]}", "plate.corner"),
        ("plate: {roundness: [0, 1]}", "no plate.roundness"),
        ("plates: {chance: 1}", "no plates.chance"),
        ("wall: {tint: {weights: {pink: 1}}}", "chooses among grey"),
        ("wall: {tint: {weights: {red: -1}}}", "at least 0"),
        ("wall: {tint: [0, 1]}", "chooses among"),
        ("plate: 3", "factors"),
        ("[1, 2]", "factors"),
        ("plate: {", "not YAML"),
        ("\udcff", "not YAML"),
    ],
)
def test_an_invalid_file_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "world.yaml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message):
        load(Spec(file=file))


def test_the_message_names_missing_factors_and_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        Spec(file=tmp_path / "none.yaml").digest()
    with pytest.raises(UsageError, match="no factor 'plates'"):
        load(Spec(without=("plates",)))
    with pytest.raises(DataError, match="no fonts"):
        Spec(fonts=tmp_path).digest()


def test_different_worlds_have_different_digests(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("plate: {chance: 1}")
    (tmp_path / "b.yaml").write_text("plate: {chance: 0}")
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "Mine.TTF").write_bytes(b"x")
    specs = [
        STREET,
        Spec(file=tmp_path / "a.yaml"),
        Spec(file=tmp_path / "b.yaml"),
        Spec(without=("plate",)),
        Spec(fonts=tmp_path / "fonts"),
    ]
    assert len({spec.digest() for spec in specs}) == len(specs)
