"""What the layouts of `svhn convert` can hold, and which view of an image they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photo_files import write_mchar

from svhncli.core.errors import UsageError
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.formats import conversion
from svhncli.data.framing import Framing
from svhncli.data.sources import arrays, mchar
from svhncli.data.store.cache import Cache


def single_digits(folder: Path, height: int, width: int) -> DataSet:
    folder.mkdir()
    pixels = numpy_generator(0, "conversion").integers(0, 256, (6, height, width, 3), np.uint8)
    np.savez(folder / "a.npz", x=pixels, y=np.arange(6))
    return arrays.load(folder, cache=Cache(folder.parent / "cache"))


@pytest.mark.engine
def test_arrays_hold_the_view_without_the_room_for_shifts_of_training(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_mchar(tmp_path / "contest", part, 5, seed=0)
    framing = Framing(12, 20, "boxes", 0.1, 0.2)
    data = mchar.load(tmp_path / "contest", framing, cache=Cache(tmp_path / "cache"))
    assert data.train.images.shape == (5, 3, 16, 28)
    conversion.write("arrays", data, tmp_path / "out")
    with np.load(tmp_path / "out" / "digits.npz") as written:
        expected = data.train.images[:, :, 2:14, 4:24]
        assert np.array_equal(written["train_images"], expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("height", "width"), [(10, 9), (9, 10)])
def test_svhns_own_layout_holds_square_images_alone(tmp_path: Path, height: int, width: int) -> None:
    data = single_digits(tmp_path / "digits", height, width)
    with pytest.raises(UsageError, match=f"holds square images, not {height}x{width}"):
        conversion.write("mat", data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rendered_images_that_are_mixed_in_are_not_written_as_if_they_were_real(tmp_path: Path) -> None:
    data = single_digits(tmp_path / "digits", 9, 9)
    with pytest.raises(UsageError, match="rendered images are mixed in"):
        conversion.write("arrays", replace(data, extra_train=data.train, share=0.5), tmp_path / "out")
    assert not (tmp_path / "out").exists()
