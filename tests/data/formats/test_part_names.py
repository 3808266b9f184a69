"""The part of a data set that the name of an array, a file or a folder says."""

import pytest

from svhncli.data.formats.part_names import part_name


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("X_train", "train"),
        ("TestImages", "test"),
        ("extra-00000-of-00001", "extra"),
        ("val_y", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("train_of_the_test", "test"),
        ("values", ""),
        ("pixel_value", ""),
        ("images", ""),
    ],
)
def test_the_last_word_of_a_part_in_a_name_counts(name: str, part: str) -> None:
    assert part_name(name) == part
