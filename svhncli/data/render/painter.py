"""Faces that are not sold as fonts: digits as sign painters, casters and enamelers draw them.

A digit consists of pen strokes: lines, curves and arcs of superellipses in a box of width 1 and height 1
(x right, y down). A hand is a random style: narrow or wide, even or swelling strokes, with ends that are cut,
round or balls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from svhncli.data.render.dice import Dice

OF_A_HAND = (
    "swelling", "balls", "feet", "round_ends", "straight_six", "open_four", "crossed_seven",
)  # fmt: skip
"""The factors that are drawn once per hand, not per image."""

_HEAVIEST = 0.36
"""The widest stroke relative to the digit's width: more would fill the counters."""
_STEPS = 24
"""Segments of a curve."""


@dataclass(frozen=True)
class Hand:
    """A painter's style. Lengths are in digit heights, positions relative to the box.

    width: of the box. thick, thin: of vertical and horizontal strokes. square: the superellipses' exponent, 2
    for ellipses. waist: the waist of a 3 and an 8. bowl: half the height of the bowl of a 6. hook: how far
    ends stay open, in degrees; below 0 they curl in. stem, bar: their positions in a 4. flag, drop: how far
    the flag of a 1 reaches left and down. leg: where a 7 and the neck of a 2 bend. ball: the radius of ball
    ends, 0 for none. feet, round_ends, straight_six, open_four, crossed_seven: 1 with, 0 without.
    """

    width: float
    thick: float
    thin: float
    square: float
    waist: float
    bowl: float
    hook: float
    stem: float
    bar: float
    flag: float
    drop: float
    leg: float
    ball: float
    feet: float
    round_ends: float
    straight_six: float
    open_four: float
    crossed_seven: float


def hands(dice: Dice) -> list[Hand]:
    """A hand for each of the dice's images."""
    width = dice.draw("painter.width")
    thick = np.minimum(dice.draw("painter.weight"), _HEAVIEST * width)
    swelling = dice.happens("swelling")
    columns = (
        width,
        thick,
        thick * np.where(swelling, dice.draw("swelling.thin"), dice.draw("painter.thin")),
        dice.draw("painter.square"),
        dice.draw("painter.waist"),
        dice.draw("painter.bowl"),
        dice.draw("painter.hook"),
        dice.draw("painter.stem"),
        dice.draw("painter.bar"),
        dice.draw("painter.flag"),
        dice.draw("painter.drop"),
        dice.draw("painter.leg"),
        swelling * dice.happens("balls") * dice.draw("balls.size") * thick,
        dice.happens("feet"),
        dice.happens("round_ends"),
        dice.happens("straight_six"),
        dice.happens("open_four"),
        dice.happens("crossed_seven"),
    )
    return [Hand(*row) for row in np.concatenate(columns, axis=2)[:, 0].tolist()]


Place = tuple[float, float] | np.ndarray


@dataclass(frozen=True)
class Stroke:
    """points: (N, 2) in the box. straight: whether it is a polyline.
    ball_before, ball_after: whether its start or end may be a ball."""

    points: np.ndarray
    straight: bool = False
    ball_before: bool = False
    ball_after: bool = False


def line(*points: Place) -> Stroke:
    """A polyline."""
    return Stroke(np.array(points, float), straight=True)


def curve(start: Place, control: Place, end: Place) -> Stroke:
    """A quadratic Bézier curve."""
    t = np.linspace(0, 1, _STEPS)[:, None]
    return Stroke((1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end))


def digit(hand: Hand, form: str) -> list[Stroke]:
    """The strokes of a digit, or of an "I" (a bare 1) or "Ʒ" (a 3 with a flat top)."""

    def arc(center: float, radius: float, start: float, end: float, half: float = 0.5) -> np.ndarray:
        """Around (0.5, center), `half` wide and `radius` high; degrees run clockwise from the right."""
        angle = np.deg2rad(np.linspace(start, end, 2 * _STEPS))
        x, y = (np.sign(f) * np.abs(f) ** (2 / hand.square) for f in (np.cos(angle), np.sin(angle)))
        return np.stack([0.5 + half * x, center + radius * y], axis=1)

    waist, bowl, curl = hand.waist, hand.bowl, hand.hook
    hook = max(curl, 10)  # where an end that curls in would touch another stroke
    if form == "0":
        return [Stroke(arc(0.5, 0.5, 0, 360))]
    if form == "I":
        return [line((0.5, 0), (0.5, 1))]
    if form == "1":
        foot = [line((0.05, 1), (0.95, 1))] if hand.feet else []
        return [line((0.5, 0), (0.5, 1)), line((0.5, 0), (0.5 - hand.flag, hand.drop)), *foot]
    if form == "2":
        top = arc(0.3, 0.3, -180 + curl, 25)
        rise = [line((1, 1), (1, 0.86))] if hand.feet else []
        neck = curve(top[-1], (hand.leg, 0.62), (0, 1))
        return [Stroke(top, ball_before=True), neck, line((0, 1), (1, 1)), *rise]
    if form == "3":
        upper = arc(waist / 2, waist / 2, -180 + hook, 90, 0.46)
        under = arc((1 + waist) / 2, (1 - waist) / 2, -90, 180 - curl)
        return [Stroke(upper, ball_before=True), Stroke(under, ball_after=True)]
    if form == "Ʒ":
        serif = [line((0.05, 0), (0.05, 0.16))] if hand.feet else []
        tie = waist - 0.06
        belly = arc((1 + tie) / 2, (1 - tie) / 2, -140 + 70 * hand.leg, 180 - curl)
        return [line((0.05, 0), (0.95, 0), belly[0]), Stroke(belly, ball_after=True), *serif]
    if form == "4":
        foot = [line((hand.stem - 0.25, 1), (hand.stem + 0.25, 1))] if hand.feet else []
        tip, begin = (0.55 * hand.stem, 0.35) if hand.open_four else (hand.stem, 0)
        return [line((tip, 0), (0, hand.bar), (1, hand.bar)), line((hand.stem, begin), (hand.stem, 1)), *foot]
    if form == "5":
        round_part = arc(1 - bowl, bowl, -140, 180 - hook)
        return [line((0.92, 0), (0.16, 0), round_part[0]), Stroke(round_part, ball_after=True)]
    if form == "7":
        serif = [line((0, 0), (0, 0.15))] if hand.feet else []
        cross = [line((0.25, 0.5), (0.85, 0.5))] if hand.crossed_seven else []
        return [line((0, 0), (1, 0)), curve((1, 0), (hand.leg, 0.4), (0.3, 1)), *serif, *cross]
    if form == "8":
        upper, under = arc(waist / 2, waist / 2, 0, 360, 0.45), arc((1 + waist) / 2, (1 - waist) / 2, 0, 360)
        return [Stroke(upper), Stroke(under)]
    circle = Stroke(arc(1 - bowl, bowl, 0, 360))
    tail = Stroke(arc(1 - bowl, 1 - bowl, 180, 315 - hook / 2), ball_after=True)
    if hand.straight_six:
        tail = curve((0, 1 - bowl), (0.12, 0.42), (0.75, 0))
    turned = [replace(stroke, points=1 - stroke.points) for stroke in (circle, tail)]
    return [circle, tail] if form == "6" else turned


def ink(hand: Hand, form: str, density: float, side: int, top: float) -> np.ndarray:
    """A digit as bool (side, side), centered horizontally.

    density: pixels per digit height. top: the top of the line of digits, in pixels.
    """
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    room = np.array([hand.width - hand.thick, 1 - hand.thin])
    corner = np.array([side / 2 / density - room[0] / 2, top / density + hand.thin / 2])
    for stroke in digit(hand, form):
        points = (corner + stroke.points * room) * density
        if stroke.straight and not hand.round_ends:  # cut ends reach as far as round ones
            for end, before in ((0, 1), (-1, -2)):
                along = points[end] - points[before]
                points[end] += along / np.hypot(*along) * hand.thin / 2 * density
        steps = np.diff(points, axis=0)
        lengths = np.hypot(*steps.T)
        # Horizontal strokes are thin, vertical ones thick.
        upright = np.abs(steps[:, 1]) / lengths
        radii = density * (hand.thin + (hand.thick - hand.thin) * upright**1.5) / 2
        across = np.stack([-steps[:, 1], steps[:, 0]], axis=1) * (radii / lengths)[:, None]
        for start, end, half in zip(points[:-1], points[1:], across, strict=True):
            pen.polygon([*start + half, *end + half, *end - half, *start - half], fill=255)
        dots = list(zip(points[1:-1], np.minimum(radii[:-1], radii[1:]), strict=True))
        if hand.round_ends:
            dots += [(points[0], radii[0]), (points[-1], radii[-1])]
        dots += [(points[0], hand.ball * density)] * stroke.ball_before
        dots += [(points[-1], hand.ball * density)] * stroke.ball_after
        for place, radius in dots:
            pen.ellipse([*place - radius, *place + radius], fill=255)
    return np.asarray(canvas) > 127
