"""Images that the user names: files, folders, globs, array files, lists of files; decoded ahead of use."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from svhncli.core.errors import DataError
from svhncli.core.files import matches
from svhncli.core.processes import CrashError, available_cpus, each_apart
from svhncli.data.formats import array_file, array_images, array_pairs, cropped_mat, mat
from svhncli.data.formats.images import SUFFIXES, crashed, decode
from svhncli.data.framing import Framing


@dataclass(frozen=True)
class StoredImage:
    """A photograph as stored.

    pixels: uint8 (3, *framing.stored), see `Framing.store`. size: width and height of the photograph.
    photograph: decodes all of it anew, since many are stored ahead of use; raises as `images.decode` does.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    photograph: Callable[[], Image.Image]


NamedImage = tuple[str, StoredImage | DataError]
"""The name of an image, and the image or why it cannot be read."""

Pixels = tuple[np.ndarray, tuple[int, int]]
"""What another process decodes of a `StoredImage`."""

ARRAYS = array_file.SUFFIXES

TASK = 8
"""Files for each CPU that another process decodes before it answers: Ctrl-C waits for no more than these."""
AHEAD = 16
"""Tasks in progress or finished ahead of use: memory stays constant for any number of files."""


def find(words: Sequence[str], listed: Iterable[bytes]) -> list[str]:
    """The files that words name, in order.

    words: a file; a folder, for the images in it (not in its subfolders), sorted by name; a glob, for its
        matches, sorted by name; or `-`, for the files that `listed` names, one per line.

    Raises:
        DataError: a word matches nothing, or a folder has no images. Files of a list are checked when read.
    """
    files: list[str] = []
    for word in words:
        if word == "-":
            files += filter(None, (os.fsdecode(line.rstrip(b"\r\n")) for line in listed))
        else:
            for match in matches(word):
                files += in_folder(match) if os.path.isdir(match) else [match]
    if not files:
        raise DataError("there are no images: the list on standard input is empty", "list one file per line")
    return files


def in_folder(folder: str) -> list[str]:
    """The images directly in a folder, sorted by name, without hidden files.

    Raises:
        DataError: there are none, or the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise DataError(f"cannot read the folder '{folder}': {error.strerror}", "check its path") from error
    if not (shown := [name for name in names if not name.startswith(".")]):
        raise DataError(
            f"there are no images ({', '.join(SUFFIXES)}) in the folder '{folder}'",
            "subfolders are not searched: name the one with the images",
        )
    return [os.path.join(folder, name) for name in shown]


def stored(files: Sequence[str], framing: Framing) -> Iterator[NamedImage]:
    """Every image in order; those in an array are named `file/0`, `file/1`, ….

    framing: one that views the whole image. Another process decodes ahead of use: an image may crash it.
    """
    pool = ThreadPoolExecutor(1)
    try:
        for is_array, group in itertools.groupby(files, lambda file: file.lower().endswith(ARRAYS)):
            if is_array:
                for file in group:
                    yield from _from_arrays(file, framing)
            else:
                yield from _decoded(pool, group, framing)
    finally:
        pool.shutdown(cancel_futures=True)


def _decoded(pool: ThreadPoolExecutor, files: Iterator[str], framing: Framing) -> Iterator[NamedImage]:
    waiting: deque[Future[list[NamedImage]]] = deque()
    while task := list(itertools.islice(files, TASK * available_cpus())):
        waiting.append(pool.submit(_decode_all, task, framing))
        if len(waiting) == AHEAD:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _decode_all(files: list[str], framing: Framing) -> list[NamedImage]:
    made: list[NamedImage] = []
    for file, image in zip(files, each_apart(_decode, files, framing), strict=True):
        if isinstance(image, CrashError):
            made.append((file, crashed(file, image)))
        elif isinstance(image, DataError):
            made.append((file, image))
        else:
            made.append((file, StoredImage(*image, partial(_photograph, file, framing))))
    return made


def _decode(file: str, framing: Framing) -> Pixels | DataError:
    try:
        photograph = _photograph(file, framing)
        return framing.store(photograph, ()), photograph.size
    except DataError as error:
        return error


def _photograph(file: str, framing: Framing) -> Image.Image:
    return decode(Path(file), file, white=framing.white)


def _from_arrays(file: str, framing: Framing) -> Iterator[NamedImage]:
    number = itertools.count()
    try:
        for block in _blocks(Path(file)):
            for image in block:
                photograph = partial(Image.fromarray, image.transpose(1, 2, 0))
                pixels, size = framing.store(photograph(), ()), (image.shape[2], image.shape[1])
                yield f"{file}/{next(number)}", StoredImage(pixels, size, photograph)
    except DataError as error:
        yield file, error


def _blocks(path: Path) -> Iterator[np.ndarray]:
    """The images of an array file in blocks uint8 (B, 3, H, W); a .mat of SVHN's is read as a stream."""
    if path.suffix.lower() == ".mat" and path.is_file() and not mat.is_hdf5(path):
        yield from cropped_mat.images(path)
        return
    array, axes = array_pairs.unlabeled(path)
    values = array_images.as_nchw(array.read(), axes)
    scale = array_images.scale([(str(array), values)])
    for start in range(0, len(values), cropped_mat.BLOCK):
        yield scale.apply(values[start : start + cropped_mat.BLOCK])
