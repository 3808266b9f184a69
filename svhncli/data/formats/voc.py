"""Pascal VOC's labels: an XML file for each image with an `object` for each box."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from svhncli.core.errors import DataError
from svhncli.data.formats.marks import Mark

LARGEST = 1_000_000
"""Bytes; the boxes of an image need a few thousand."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
FORM = f"an object is: <object><name>7</name><bndbox>{''.join(f'<{side}>…</{side}>' for side in SIDES)}…"


class _WithoutEntities(ElementTree.TreeBuilder):
    """Refuses a document type, the only place where XML declares entities, which may grow without limit.

    defusedxml does no more for such a file, and would be another dependency.
    """

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it declares a document type")


def read(path: Path) -> tuple[Mark, ...]:
    """The boxes in an image's label file: left, top, right, bottom in pixels.

    Raises:
        DataError: the file cannot be read, is not such an XML, or an object has no name or no box.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        parser = ElementTree.XMLParser(target=_WithoutEntities())
        parser.feed(raw)
        root = parser.close()
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"'{path}' is not VOC's XML: {error}", FORM) from error
    if root.tag != "annotation":
        raise DataError(f"'{path}' is not VOC's XML: it begins with <{root.tag[:60]}>", FORM)
    objects = enumerate(root.iter("object"), start=1)
    return tuple(_mark(thing, f"'{path}', object {number}") for number, thing in objects)


def _mark(thing: ElementTree.Element, where: str) -> Mark:
    name = (thing.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{where} has no name", FORM)
    sides = []
    for side in SIDES:
        text = thing.findtext(f"bndbox/{side}")
        try:
            pixels = float(text or "")
        except ValueError:
            pixels = float("nan")
        if not abs(pixels) < 1e6:
            raise DataError(f"{where}: {side} is {(text or 'missing')[:60]!r}", FORM)
        sides.append(pixels)
    left, top, right, bottom = sides
    return name, (left, top, right, bottom)
