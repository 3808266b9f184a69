"""Digits as distance fields: every usable face among the fonts of installed packages, and the user's.

Signed distances to the outline, rather than masks, turn stroke weight, outlines and soft edges into simple
arithmetic on whole batches.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from svhncli.core.files import write_json
from svhncli.core.rng import numpy_generator
from svhncli.data.render import painter
from svhncli.data.render.dice import Dice
from svhncli.data.render.world import World, font_facts, font_files
from svhncli.data.store.cache import Cache

DIGITS = "0123456789"
FORMS = DIGITS + "I\u01b7"
"""What an atlas contains for each face: the digits, and characters that are another form of a digit."""
PLAIN_ONE, FLAT_THREE = 10, 11
"""The 1 that is a bare bar (an I) and the 3 with a flat top (an Ezh), as indices into `FORMS`."""
DENSITY = 40
"""Cells of the atlas per digit height."""
MARGIN = 0.3
"""How far a cell extends beyond the digit's height, in digit heights."""
SPAN = 1.6
"""Width and height of a cell in digit heights."""
BOLDER = 0.02
"""How far outlines are moved outward, in digit heights: the middle of face.stroke."""

_VERSION = 1  # increased whenever the code draws other cells
_OVERSAMPLE = 2
_FINE = DENSITY * _OVERSAMPLE  # pixels of a digit's height while it is drawn
_SIDE = round(SPAN * _FINE)
_HANDS = 128  # painters
_HOLES = ({1}, {0}, {0}, {0}, {0, 1}, {0}, {1}, {0}, {2}, {1})  # a 4 may be open
_ABSENT = "\U0010fffd"


Cells = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Atlas:
    """F faces × K forms, K = len(FORMS). A face without another form of a digit repeats the digit itself.

    names: the faces' names, sorted; the last `painted` are painters' hands.
    distance: float32 (F, K, C, C) with C = SPAN·DENSITY; the signed distance to the outline in digit
        heights, positive inside. Ink is centered horizontally; the line of digits is 0-1 high.
    boxes: float32 (F, K, 4), the ink's left, top, right, bottom in digit heights around that center.
    """

    names: tuple[str, ...]
    painted: int
    distance: np.ndarray
    boxes: np.ndarray

    @cached_property
    def outline(self) -> np.ndarray:
        """Where the ink of digits that are `BOLDER` ends, in every other row and column of a cell.

        Float32 (F, K, P, 2), right and down as `boxes`.
        """
        distance = self.distance + BOLDER
        inside: np.ndarray = distance > 0
        places = (np.arange(self.distance.shape[-1], dtype=np.float32) + 0.5) / DENSITY
        middle = (self.boxes[..., :2] + self.boxes[..., 2:]) / 2
        sides = []
        for axis, start, other in ((3, SPAN / 2, MARGIN), (2, MARGIN, SPAN / 2)):
            inked = np.any(inside, axis=axis)[..., ::2]
            for turned in (False, True):
                first = (np.flip(inside, axis) if turned else inside).argmax(axis=axis)
                first = inside.shape[axis] - 1 - first if turned else first
                depth = np.take_along_axis(distance, np.expand_dims(first, axis), axis).squeeze(axis)
                end = places[first] + (depth if turned else -depth)
                pair = [end[..., ::2] - start, np.broadcast_to(places[::2] - other, inked.shape)]
                points = np.stack(pair if axis == 3 else pair[::-1], axis=-1)
                sides.append(np.where(inked[..., None], points, middle[..., None, :]))
        return np.concatenate(sides, axis=2).astype(np.float32)

    def choose(self, share: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """Faces, integers (B,), for uniform numbers in [0, 1): a painter's hand, or a font by `_shares`."""
        fonts = len(self.names) - self.painted
        font = np.searchsorted(np.cumsum(_shares(self.names[:fonts]))[:-1], share, side="right")
        return np.where(painted, fonts + (share * self.painted).astype(int), font)

    def sample(self, face: np.ndarray, form: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distances float32 (B, H, W) at x from the digit's center and y from the line's top; bilinear.

        face, form: integers (B,). x, y: float32 (B, H, W) in digit heights; a cell's edge repeats beyond it.
        """
        cells = self.distance.shape[-1]
        column = np.clip((x + SPAN / 2) * DENSITY - 0.5, 0, cells - 1.001)
        row = np.clip((y + MARGIN) * DENSITY - 0.5, 0, cells - 1.001)
        left, top = column.astype(np.int32), row.astype(np.int32)
        column -= left
        row -= top
        start = ((face * len(FORMS) + form) * cells * cells).astype(np.int32)[:, None, None]
        at = start + top * np.int32(cells) + left
        flat = self.distance.reshape(-1)
        upper, lower = flat.take(at), flat.take(at + cells)
        upper += column * (flat.take(at + 1) - upper)
        lower += column * (flat.take(at + cells + 1) - lower)
        upper += row * (lower - upper)
        return upper


def mask(font: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
    """The ink of a character, bool (h, w), cropped to its box; empty if it draws nothing."""
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (max(1, math.ceil(right - left)), max(1, math.ceil(bottom - top))))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    ink = np.asarray(canvas) > 127
    if not ink.any():
        return np.zeros((0, 0), bool)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def holes(ink: np.ndarray) -> int:
    """The number of enclosed counters of a mask, or -1 if it is not a single connected component.

    Specks that rounding leaves where thin strokes meet do not count.
    """
    padded = np.pad(ink, 1)
    if ndimage.label(padded, np.ones((3, 3)))[1] != 1:
        return -1
    regions, _ = ndimage.label(~padded)
    areas = np.bincount(regions.ravel())[1:]
    return int((areas > 0.003 * ink.size).sum()) - 1


def usable(font: ImageFont.FreeTypeFont) -> bool:
    """Whether the face draws ten real digits.

    Fonts draw a box or nothing for characters that they lack, and some symbol fonts have other characters in
    place of the digits. So each digit must differ from an absent character and from every other digit, be a
    single component, and have the number of counters of its class.
    """
    inks = [mask(font, digit) for digit in DIGITS]
    different = {(ink.shape, ink.tobytes()) for ink in [*inks, mask(font, _ABSENT)]}
    return len(different) > len(inks) and _readable(inks)


def _readable(inks: Sequence[np.ndarray]) -> bool:
    """Whether ten masks are single components with the number of counters of their classes."""
    return all(holes(ink) in allowed for ink, allowed in zip(inks, _HOLES, strict=False))


def fonts(size: int, folder: Path | None = None) -> dict[str, ImageFont.FreeTypeFont]:
    """The usable faces at `size` pixels per em, by name, in an order that does not depend on the machine.

    folder: of additional fonts of the user's.

    Raises:
        DataError: there is no font in the folder.
    """
    basic = ImageFont.Layout.BASIC  # the shaping library differs between machines; single digits need none
    faces: dict[str, ImageFont.FreeTypeFont] = {}
    for path in font_files(folder):
        with contextlib.suppress(OSError):  # a damaged file, or one that FreeType cannot read
            faces[path.stem] = ImageFont.truetype(path, size, layout_engine=basic)
    default = ImageFont.load_default(size)
    if isinstance(default, ImageFont.FreeTypeFont):
        faces["Pillow"] = default
    return {name: faces[name] for name in sorted(faces) if usable(faces[name])}


def _shares(names: Sequence[str]) -> np.ndarray:
    """The probability of each face, float (F,): a family has the square root of its size as its total weight,
    so that neither large families nor single faces dominate."""
    families = [re.split("-|General", name)[0] for name in names]
    sizes = Counter(families)
    shares = np.array([sizes[family] ** -0.5 for family in families])
    return shares / shares.sum()


def _forms(font: ImageFont.FreeTypeFont) -> str:
    """What to draw for each of `FORMS`: the digit itself if the face lacks the other character, or if that is
    not a bar (an I with serifs) or reaches below the line (some Ezhs)."""
    bar, ezh, absent = mask(font, FORMS[PLAIN_ONE]), mask(font, FORMS[FLAT_THREE]), mask(font, _ABSENT)
    height = mask(font, "3").shape[0]
    has_bar = bar.size > 0 and bar.mean() > 0.9 and bar.shape[0] > 2 * bar.shape[1]
    has_ezh = ezh.shape != absent.shape and abs(ezh.shape[0] / height - 1) < 0.1 and holes(ezh) == 0
    return DIGITS + (FORMS[PLAIN_ONE] if has_bar else "1") + (FORMS[FLAT_THREE] if has_ezh else "3")


def _cells(font: ImageFont.FreeTypeFont) -> Cells:
    """A face, scaled so that its line of digits is 1 high."""
    box = font.getbbox(DIGITS, anchor="ls")
    font = font.font_variant(size=font.size * _FINE / (box[3] - box[1]))
    top = font.getbbox(DIGITS, anchor="ls")[1]
    inks = []
    for character in _forms(font):
        left, _, right, _ = font.getbbox(character, anchor="ls")
        canvas = Image.new("L", (_SIDE, _SIDE))
        origin = (_SIDE / 2 - (left + right) / 2, MARGIN * _FINE - top)
        ImageDraw.Draw(canvas).text(origin, character, fill=255, font=font, anchor="ls")
        inks.append(np.asarray(canvas) > 127)
    return _fields(inks)


def _painted(world: World) -> dict[str, Cells]:
    """The readable ones of `_HANDS` painters' hands."""
    hands = painter.hands(Dice(numpy_generator(0, "synth", "painter"), _HANDS, world))
    drawn = ([painter.ink(hand, form, _FINE, _SIDE, MARGIN * _FINE) for form in FORMS] for hand in hands)
    return {f"hand {number}": _fields(inks) for number, inks in enumerate(drawn) if _readable(inks)}


def _fields(inks: Sequence[np.ndarray]) -> Cells:
    """Distance cells (K, C, C) and boxes (K, 4) of K masks (S, S), S = SPAN·_FINE."""
    distances, boxes = [], []
    for ink in inks:
        distance = ndimage.distance_transform_edt(ink) - ndimage.distance_transform_edt(~ink)
        distance -= np.sign(distance) / 2  # from pixel centers to the edge between pixels
        small = _SIDE // _OVERSAMPLE
        distances.append(distance.reshape(small, _OVERSAMPLE, small, _OVERSAMPLE).mean(axis=(1, 3)) / _FINE)
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        boxes.append((columns[0] - _SIDE / 2, rows[0], columns[-1] + 1 - _SIDE / 2, rows[-1] + 1))
    return np.stack(distances), np.array(boxes) / _FINE - np.array([0, MARGIN, 0, MARGIN])


_known: dict[str, Atlas] = {}


def atlas(folder: Path | None, world: World, cache: Cache) -> Atlas:
    """The usable fonts and the painters' hands: drawn once, in seconds, then read from the cache.

    folder: of additional fonts of the user's.

    Raises:
        DataError: there is no font in the folder.
        DiskError: the cache cannot be written.
    """
    typeset = {"fonts": font_facts(folder)}
    painted = {factor: world.facts(factor) for factor in ("painter", *painter.OF_A_HAND)}
    del painted["painter"]["chance"]  # how often it is used, not how it draws
    key = json.dumps([typeset, painted])
    if key not in _known:
        names, *both = _stored(
            cache, "fonts", typeset, lambda: {name: _cells(font) for name, font in fonts(200, folder).items()}
        )
        hands, *more = _stored(cache, "painter", painted, lambda: _painted(world))
        _known[key] = Atlas(
            (*names, *hands), len(hands), *(np.concatenate(pair) for pair in zip(both, more, strict=True))
        )
    return _known[key]


def _stored(
    cache: Cache, name: str, facts: Mapping[str, Any], draw: Callable[[], Mapping[str, Cells]]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The names, distances and boxes of some faces, drawn if the cache has none for these facts."""

    def build(place: Path) -> None:
        drawn = draw()
        for field, values in zip(("distance", "boxes"), zip(*drawn.values(), strict=True), strict=True):
            np.save(place / f"{field}.npy", np.stack(values).astype(np.float32))
        write_json(place / "names.json", list(drawn))

    packages = {package: version(package) for package in ("Pillow", "numpy", "scipy")}
    place = cache.open(name, {"version": _VERSION, "packages": packages, **facts}, build)
    names = json.loads((place / "names.json").read_text(encoding="utf-8"))
    return names, np.load(place / "distance.npy"), np.load(place / "boxes.npy")
