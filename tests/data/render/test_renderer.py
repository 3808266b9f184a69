"""The renderer of the built-in data set: what a seed determines, and that labels match the images."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO, installed_faces, shared_cache
from PIL import Image

from svhncli.core.rng import numpy_generator
from svhncli.data.render import camera, chunk, scene
from svhncli.data.render.chunk import CHUNK, render_chunk
from svhncli.data.render.dice import Dice
from svhncli.data.render.faces import FLAT_THREE, PLAIN_ONE
from svhncli.data.render.renderer import render
from svhncli.data.render.scene import CLIMB, ROW, STACK
from svhncli.data.render.world import STREET, Spec, World, load

pytestmark = pytest.mark.engine

WORLD = load(STREET)
Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn(
    count: int, *, seed: int = 0, part: str = "train", size: int = 32, workers: int | None = 1
) -> Drawn:
    """Render into arrays filled with garbage, so that unfilled elements are noticed."""
    images = np.full((count, 3, size, size), 77, np.uint8)
    labels = np.full((count, 1), -5, np.int64)
    groups = np.full(count, -5, np.int64)
    render(images, labels, groups, seed=seed, part=part, cache=shared_cache(), workers=workers)
    return images, labels, groups


def equal(first: Drawn, second: Drawn) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def large_set() -> Drawn:
    return drawn(8 * CHUNK)


@pytest.fixture(scope="module")
def small_set(large_set: Drawn) -> Drawn:
    count = 2 * CHUNK + 100
    images, labels, groups = (array[:count] for array in large_set)
    return images, labels, groups


# What a seed determines


def test_the_same_seed_gives_the_same_bits(small_set: Drawn) -> None:
    images, labels, groups = (array[:300] for array in small_set)
    assert equal(drawn(300), (images, labels, groups))


@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 1])
def test_a_longer_set_begins_with_the_shorter_one(small_set: Drawn, count: int) -> None:
    images, labels, groups = (array[:count] for array in small_set)
    assert equal(drawn(count), (images, labels, groups))


@pytest.mark.engine
def test_rendering_in_processes_is_bit_identical(large_set: Drawn) -> None:
    count = 2000 + 7  # enough for processes, and not a multiple of a chunk
    images, labels, groups = large_set
    assert equal(drawn(count, workers=2), (images[:count], labels[:count], groups[:count]))


def test_a_chunk_does_not_depend_on_what_was_drawn_before_it(small_set: Drawn) -> None:
    images, labels, groups = render_chunk(0, "train", 1, 32, WORLD, installed_faces())
    assert np.array_equal(images, small_set[0][CHUNK : 2 * CHUNK])
    assert np.array_equal(labels, small_set[1][CHUNK : 2 * CHUNK, 0])
    assert np.array_equal(groups, small_set[2][CHUNK : 2 * CHUNK] - small_set[2][CHUNK])


@pytest.mark.parametrize(("seed", "part", "index"), [(1, "train", 0), (0, "test", 0), (0, "train", 1)])
def test_seeds_parts_and_chunks_share_no_image(small_set: Drawn, seed: int, part: str, index: int) -> None:
    first = {image.tobytes() for image in small_set[0][:CHUNK]}
    assert len(first) == CHUNK
    other, _, _ = render_chunk(seed, part, index, 32, WORLD, installed_faces())
    assert first.isdisjoint(image.tobytes() for image in other)


# Images, labels and groups


def test_images_use_the_range_and_are_colored(small_set: Drawn) -> None:
    images = small_set[0]
    assert images.min() < 10
    assert images.max() > 245
    assert 70 < images.mean() < 170
    assert (images.std(axis=(1, 2, 3)) > 1).all(), "an empty image"
    assert np.abs(images[:, 0].astype(int) - images[:, 2]).mean() > 4


def test_groups_count_from_0_and_are_consecutive_with_at_most_5_images(small_set: Drawn) -> None:
    groups = small_set[2]
    assert groups[0] == 0
    assert set(np.diff(groups)) == {0, 1}
    assert np.bincount(groups).max() <= 5


def test_crops_of_a_number_look_alike_and_those_of_neighboring_numbers_do_not(small_set: Drawn) -> None:
    images, _, groups = small_set
    colors = images.mean(axis=(2, 3))
    step = np.abs(np.diff(colors, axis=0)).mean(axis=1)
    same = np.diff(groups) == 0
    assert np.median(step[same]) < np.median(step[~same]) / 3


def test_classes_and_lengths_follow_svhn() -> None:
    drawn_numbers = [chunk.numbers_of(numpy_generator(0, "lengths", i), WORLD)[0] for i in range(100)]
    numbers = [number for batch in drawn_numbers for number in batch]
    classes = np.bincount(np.concatenate(numbers), minlength=10)
    official = [0.068, 0.189, 0.144, 0.116, 0.102, 0.094, 0.078, 0.076, 0.069, 0.064]
    np.testing.assert_allclose(classes / classes.sum(), official, atol=0.007)
    lengths = np.bincount([len(number) for number in numbers], minlength=6)[1:] / len(numbers)
    np.testing.assert_allclose(lengths, [0.154, 0.542, 0.260, 0.043, 0.001], atol=0.01)


def test_progress_adds_up_to_the_number_of_images() -> None:
    steps: list[int] = []
    count = CHUNK + 10
    arrays = np.empty((count, 3, 8, 8), np.uint8), np.empty((count, 1), np.int64), np.empty(count, np.int64)
    render(*arrays, seed=0, part="train", cache=shared_cache(), progress=steps.append)
    assert steps == [CHUNK, 10]


def test_an_empty_set_is_not_an_error() -> None:
    assert [len(array) for array in drawn(0)] == [0, 0, 0]


@pytest.mark.parametrize("size", [8, 24, 64, 128])
@pytest.mark.parametrize(("length", "kind"), [(1, ROW), (5, ROW), (5, CLIMB), (5, STACK)])
def test_every_size_length_and_layout_is_drawn(size: int, length: int, kind: int) -> None:
    digits = np.tile(np.arange(length), (8, 1))
    crops = chunk.crops(Dice(numpy_generator(0, "sizes"), 8, WORLD), digits, kind, size, installed_faces())
    assert crops.shape == (8, length, 3, size, size)
    assert crops.std() > 20


def test_a_memory_map_is_filled_in_place(tmp_path: Path, small_set: Drawn) -> None:
    images = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (50, 3, 32, 32))
    render(
        images,
        np.empty((50, 1), np.int64),
        np.empty(50, np.int64),
        seed=0,
        part="train",
        cache=shared_cache(),
    )
    images.flush()
    assert np.array_equal(np.load(tmp_path / "x.npy"), small_set[0][:50])


@pytest.mark.parametrize(
    ("images", "labels", "groups", "name"),
    [
        (np.empty((4, 32, 32, 3), np.uint8), np.empty((4, 1), np.int64), np.empty(4, np.int64), "images"),
        (np.empty((4, 3, 32, 32), np.float32), np.empty((4, 1), np.int64), np.empty(4, np.int64), "images"),
        (np.empty((4, 3, 32, 32), np.uint8), np.empty(4, np.int64), np.empty(4, np.int64), "labels"),
        (np.empty((4, 3, 32, 32), np.uint8), np.empty((4, 1), np.int64), np.empty(3, np.int64), "groups"),
    ],
)
def test_arrays_of_another_shape_are_refused_by_name(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray, name: str
) -> None:
    with pytest.raises(ValueError, match=name):
        render(images, labels, groups, seed=0, part="train", cache=shared_cache())


# Labels and images


def boxed_ink(digits: np.ndarray, kind: int, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Each digit's box in posed scenes, resized to a square: bool (B, L, 40, 40); and the faces (B,)."""
    faces = installed_faces()
    dice = Dice(numpy_generator(0, "boxed"), len(digits), world)
    numbers = scene.layout(dice, digits, kind, faces)
    view = scene.view(dice, numbers, 50)
    fields = scene.distances(view, numbers, faces)
    shares = scene.boxes(view.frames, numbers, scene.corners(numbers, faces)) / (fields.shape[:0:-1] * 2)
    images = [Image.fromarray(field > 0).convert("RGB") for field in fields]
    pairs = zip(images, shares, strict=True)
    return np.stack([camera.crop(image, share, 40)[:, 0] > 127 for image, share in pairs]), numbers.face


def classify(ink: np.ndarray, face: int) -> int:
    """The digit of a face whose ink, resized to a square, overlaps most with bool (40, 40)."""
    faces = installed_faces()
    boxes = (faces.boxes[face] + np.array([0.8, 0.3, 0.8, 0.3])) * 40
    cells = [Image.fromarray(field > 0).convert("L") for field in faces.distance[face]]
    references = [
        np.asarray(cell.resize((40, 40), Image.Resampling.BILINEAR, box=tuple(box.clip(0, 64).tolist())))
        > 127
        for cell, box in zip(cells, boxes, strict=True)
    ]
    best = int(np.argmax([(reference & ink).sum() / (reference | ink).sum() for reference in references]))
    return {PLAIN_ONE: 1, FLAT_THREE: 3}.get(best, best)


def test_pixels_behind_the_camera_have_finite_positions() -> None:
    frames = np.linalg.inv([[[1.0, 0, 0], [0, 1, 0], [-2, 0, 1]]])  # depth 0 at the first pixel, then less
    look = scene.look(frames, np.array([[4, 8]]), np.ones(1))
    assert np.isfinite(look.u).all()
    assert np.isfinite(look.v).all()


@pytest.mark.parametrize(
    ("length", "kind"), [*((length, ROW) for length in range(1, 6)), (3, CLIMB), (3, STACK)]
)
def test_each_box_contains_the_digit_of_its_label(length: int, kind: int) -> None:
    digits = np.random.default_rng(length).integers(0, 10, (30, length))
    upright = load(Spec(without=("bend", "italic", "tilt", "pose", "loose", "climb")))
    # this classifier fails if digits lean or are bent
    for world, min_accuracy in ((upright, 0.99), (WORLD, 0.7)):
        inks, faces = boxed_ink(digits, kind, world)
        predicted = np.array(
            [[classify(ink, int(face)) for ink in row] for row, face in zip(inks, faces, strict=True)]
        )
        assert (predicted == digits).mean() > min_accuracy
        assert (predicted == (digits + 1) % 10).mean() < 0.2


def ridge_accuracy(images: np.ndarray, classes: np.ndarray, train: int) -> float:
    """Held-out accuracy of ridge regression on each pixel's difference from its image's middle."""
    gray = images.mean(axis=1).reshape(len(images), -1)
    pixels = np.abs(gray - np.median(gray, axis=1, keepdims=True))
    pixels = pixels / pixels.std(axis=1, keepdims=True)
    pixels -= pixels.mean(axis=0)
    train_pixels, targets = pixels[:train], np.eye(10)[classes[:train]]
    weights = np.linalg.solve(
        train_pixels.T @ train_pixels + 300 * np.eye(train_pixels.shape[1]), train_pixels.T @ (targets - 0.1)
    )
    return float(((pixels[train:] @ weights).argmax(axis=1) == classes[train:]).mean())


def test_labels_can_be_learned_from_the_images_but_not_easily(large_set: Drawn) -> None:
    images, labels, groups = large_set
    score = ridge_accuracy(images, labels[:, 0], 1500)
    assert 0.30 < score < 0.80
    mirrored = np.concatenate([labels[groups == group, 0][::-1] for group in range(groups[-1] + 1)])
    assert ridge_accuracy(images, mirrored, 1500) < score - 0.1, "order within a number makes no difference"
    shifted = np.roll(labels[:, 0], 1)
    assert ridge_accuracy(images, shifted, 1500) < 0.2


# Processes


SCRIPT = """
import os
import signal
import sys

if __name__ == "__mp_main__":  # in a child, before it has imported anything
    os.write(1, b"child\\n")  # in a single write: both children write

import numpy as np
from svhncli.data.store.cache import Cache, default_root
from svhncli.data.render.renderer import render

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    count = 600_000
    images, labels = np.empty((count, 3, 32, 32), np.uint8), np.empty((count, 1), np.int64)
    render(images, labels, np.empty(count, np.int64), seed=0, part="train", cache=Cache(default_root()),
           workers=2, progress=lambda n: print(n, "torch" in sys.modules, flush=True))
"""


@pytest.mark.e2e
@pytest.mark.skipif(os.name != "posix", reason="signals and process groups")
@pytest.mark.parametrize(
    ("lines", "sent_signal"),
    [
        pytest.param(["child"] * 2, signal.SIGINT, marks=pytest.mark.full),
        (["child"] * 2 + [f"{CHUNK} False"], signal.SIGINT),
        (["child"] * 2 + [f"{CHUNK} False"], signal.SIGKILL),
    ],
    ids=["Ctrl-C at the start", "Ctrl-C at work", "killed"],
)
def test_no_process_outlives_an_interrupted_or_killed_parent(
    tmp_path: Path, lines: list[str], sent_signal: signal.Signals
) -> None:
    """Send a signal after some lines of output. The children hold the pipe too, until all have ended."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(REPO)
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        try:
            assert [parent.stdout.readline().rstrip() for _ in lines] == lines
            if sent_signal == signal.SIGINT:
                os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: children get it, too
            else:
                parent.kill()
            _, errors = parent.communicate(timeout=60)
        except BaseException:
            os.killpg(parent.pid, signal.SIGKILL)
            raise
    assert parent.returncode != 0
    if sent_signal == signal.SIGINT:
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
