"""Any image file decodes to RGB as its format defines, or raises a DataError that names it."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from svhncli.core.errors import DataError
from svhncli.data.formats.images import decode

COLOR = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GRAY = COLOR[:, :, 0]
RGB = Image.fromarray(COLOR)


def saved(image: Image.Image, file_format: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    file.seek(0)
    return file


def decoded_values(file: io.BytesIO) -> np.ndarray:
    image = decode(file, "name")
    assert image.mode == "RGB"
    return np.asarray(image)


def as_rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[:, :, None], 3, axis=2)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_colors_are_unchanged(file_format: str) -> None:
    assert (decoded_values(saved(RGB, file_format)) == COLOR).all()


def test_gray_becomes_three_equal_channels() -> None:
    assert (decoded_values(saved(Image.fromarray(GRAY), "PNG")) == as_rgb(GRAY)).all()


def test_black_and_white_become_0_and_255() -> None:
    bits = GRAY > 127
    assert (decoded_values(saved(Image.fromarray(bits), "PNG")) == as_rgb(bits * np.uint8(255))).all()


def on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, None] / 255
    return color * share + 255 * (1 - share)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_blended_with_white(mode: str) -> None:
    alpha = np.random.default_rng(1).integers(0, 256, GRAY.shape, np.uint8)
    alpha[0] = 0
    parts = [GRAY] if mode == "LA" else [COLOR[:, :, i] for i in range(3)]
    image = Image.merge(mode, [Image.fromarray(part) for part in [*parts, alpha]])
    color = as_rgb(GRAY) if mode == "LA" else COLOR
    decoded = decoded_values(saved(image, "PNG"))
    assert np.abs(decoded - on_white(color, alpha)).max() <= 1
    assert (decoded[0] == 255).all()


def test_a_palette_is_looked_up() -> None:
    indexed = Image.frombytes("P", RGB.size, (GRAY // 64).tobytes())
    table = np.array([[250, 1, 2], [3, 240, 5], [6, 7, 230], [99, 98, 97]], np.uint8)
    indexed.putpalette(table.ravel().tolist())
    assert (decoded_values(saved(indexed, "PNG")) == table[GRAY // 64]).all()
    clear = decoded_values(saved(indexed, "PNG", transparency=2))
    table[2] = 255
    assert (clear == table[GRAY // 64]).all()


def test_16_bit_values_are_divided_by_257() -> None:
    deep = np.random.default_rng(2).integers(0, 65536, GRAY.shape).astype(np.uint16)
    deep[0, :3] = 0, 256, 65535
    decoded = decoded_values(saved(Image.fromarray(deep), "PNG"))
    assert (decoded == as_rgb((deep // 257).astype(np.uint8))).all()
    assert decoded[0, :3, 0].tolist() == [0, 0, 255]


def test_32_bit_integers_and_floats_are_clipped() -> None:
    whole = np.array([[-5, 0, 7, 255]], np.int32)
    assert decoded_values(saved(Image.fromarray(whole), "TIFF"))[0, :, 0].tolist() == [0, 0, 7, 255]
    fractions = np.array([[-1.5, 7.9, 300.0, np.nan]], np.float32)
    assert decoded_values(saved(Image.fromarray(fractions), "TIFF"))[0, :, 0].tolist() == [0, 7, 255, 0]


def test_cmyk_is_converted_as_pillow_does() -> None:
    file = saved(RGB.convert("CMYK"), "TIFF")
    assert np.abs(decoded_values(file).astype(int) - COLOR).max() <= 1


@pytest.mark.parametrize(("turn", "expected"), [(3, COLOR[::-1, ::-1]), (6, np.rot90(COLOR, -1))])
def test_a_photograph_is_rotated_by_its_exif_data(turn: int, expected: np.ndarray) -> None:
    exif = Image.Exif()
    exif[274] = turn
    assert (decoded_values(saved(RGB, "PNG", exif=exif)) == expected).all()


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (9, 6), color) for color in ("red", "blue", "lime")]
    file = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decoded_values(file) == [255, 0, 0]).all()


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


BROKEN = {
    "empty": b"",
    "text": b"file,label\n1.png,3\n",
    "header alone": png_header(9, 6),
    "cut png": saved(RGB, "PNG").getvalue()[:80],
    "cut jpeg": saved(RGB.resize((90, 60)), "JPEG").getvalue()[:700],
    "no pixels": png_header(0, 0),
    "html": b"<html><body>404</body></html>",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_the_message_names_a_broken_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"some\.png.*damaged, or not an image"):
        decode(path)


@pytest.mark.parametrize("side", [8_000, 12_000, 30_000])
def test_a_file_that_claims_to_be_huge_is_refused_before_memory_is_allocated(side: int) -> None:
    data = zlib.compress(b"")
    chunk = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    with pytest.raises(DataError, match="'x' has more than 50,000,000 pixels"):
        decode(io.BytesIO(png_header(side, side) + chunk), "x")


def test_the_message_names_a_missing_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(DataError, match="Is a directory"):
        decode(tmp_path)


WHOLE = {
    "png": saved(RGB.resize((40, 30)), "PNG").getvalue(),
    "jpeg": saved(RGB.resize((40, 30)), "JPEG").getvalue(),
    "gif": saved(RGB, "GIF").getvalue(),
    "tiff": saved(RGB, "TIFF").getvalue(),
    "webp": saved(RGB, "WEBP").getvalue(),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_damaged_file_gives_an_image_or_a_data_error(file_format: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[file_format])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        assert decode(io.BytesIO(bytes(content)), "x").mode == "RGB"
    except DataError as error:
        assert "'x'" in error.message  # noqa: PT017


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="it is not a file"):
        decode(tmp_path / "a.png")
