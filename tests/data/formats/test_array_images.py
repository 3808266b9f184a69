"""Arrays that could hold images in several ways: which axes and which scale are taken."""

import numpy as np
import pytest

from svhncli.data.formats.array_images import Scale, likely_order, order, scale


@pytest.mark.parametrize(
    ("shape", "n", "axes"),
    [
        ((12, 10, 12), 12, "NHW"),  # and not HWN
        ((10, 9, 12), 12, "HWN"),
        ((12, 81), 12, "NP"),
        ((12, 80), 12, None),  # pixels of no square
        ((12, 49), 12, None),
        ((12, 7, 9), 12, None),  # too small
        ((12, 10, 9, 2), 12, None),  # two channels
        ((12, 10, 9, 3), 11, None),
    ],
)
def test_axes_are_images_of_eight_pixels_or_more_with_one_or_three_channels(
    shape: tuple[int, ...], n: int, axes: str | None
) -> None:
    assert order(shape, n) == axes


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((10, 10, 12), "HWN"),
        ((12, 10, 10), "NHW"),
        ((12, 10, 9), "NHW"),
        ((10, 12, 4), "HWN"),
        ((4, 5, 6), None),
    ],
)
def test_square_images_are_likelier_where_the_number_of_images_is_unknown(
    shape: tuple[int, ...], axes: str | None
) -> None:
    assert likely_order(shape) == axes


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (([0.2, 0.9], [3.0, 200.0]), Scale(0, 255)),
        (([3.0, 200.0], [0.2, 0.9]), Scale(0, 255)),
        (([-0.4, 0.5], [0.1, 0.6]), Scale(-1, 1)),  # which need not occur
        (([0.1, 0.6], [-1.5, 0.5]), Scale(-1.5, 0.6)),
    ],
)
def test_the_scale_is_that_of_the_values_of_all_parts(
    parts: tuple[list[float], ...], expected: Scale
) -> None:
    assert scale([("x", np.array(values)) for values in parts]) == expected
