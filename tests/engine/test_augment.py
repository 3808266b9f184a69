"""Every augmentation against an independent reference, and the properties of an augmented batch."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from svhncli.engine.augment import (
    COLUMNS,
    Augment,
    Window,
    blur,
    erase,
    inverse_affine,
    relight,
    saturate,
    smooth_field,
    warp,
)
from svhncli.engine.collective import Rows

SINGLE = {
    "rotate": Augment(rotate=15),
    "translate": Augment(translate=0.1),
    "scale": Augment(scale=0.2),
    "shear": Augment(shear=10),
    "crop": Augment(crop=4),
    "elastic": Augment(elastic=1.0),
    "brightness": Augment(brightness=0.4),
    "contrast": Augment(contrast=0.4),
    "saturation": Augment(saturation=0.5),
    "noise": Augment(noise=0.05),
    "blur": Augment(blur=1.0),
    "erase": Augment(erase=0.3),
}
ALL_SETTINGS = Augment(**{name: getattr(augment, name) for name, augment in SINGLE.items()})

every_augmentation = pytest.mark.parametrize("augment", SINGLE.values(), ids=SINGLE)


def random_images(count: int = 6, channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def smooth(height: int = 32, width: int = 32) -> Tensor:
    """One image (1, 1, H, W) without detail that interpolation could lose, and without symmetry."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return (0.5 + 0.4 * torch.sin(x + 0.3) * torch.cos(y * 1.3 + 0.2))[None, None]


def affine(
    degrees: float = 0, shear: float = 0, scale: float = 1, right: float = 0, down: float = 0, flip: float = 1
) -> Tensor:
    angles = torch.deg2rad(torch.tensor([[degrees], [shear]]))
    others = torch.tensor([[scale], [right], [down], [flip], [1.0]])
    return inverse_affine(angles[0], angles[1], *others)


def inner(images: Tensor, margin: int = 8) -> np.ndarray:
    """The middle of an image, which does not depend on how pixels outside are filled."""
    return images[0, 0, margin:-margin, margin:-margin].numpy()


def test_without_settings_the_batch_itself_is_returned() -> None:
    images = random_images()
    assert Augment()(images, 1) is images
    assert Augment(elastic_sigma=2.0)(images, 1) is images


def test_every_setting_but_elastic_sigma_turns_augmentation_on() -> None:
    on = {field.name: 1 for field in fields(Augment) if field.name != "elastic_sigma"}
    assert [name for name, value in on.items() if Augment(**{name: value}).is_identity] == []


@every_augmentation
def test_every_augmentation_differs_between_images_and_does_not_modify_its_input(augment: Augment) -> None:
    images = smooth().expand(4, 3, 32, 32) * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    before = images.clone()
    changed = augment(images, 7)
    assert torch.equal(images, before)
    assert (changed - images).abs().max() > 1e-3
    assert all(not torch.equal(changed[i], changed[j]) for i in range(4) for j in range(i))


@every_augmentation
def test_an_augmentation_is_a_function_of_its_key(augment: Augment) -> None:
    images = random_images()
    torch.manual_seed(1)
    first = augment(images, 5)
    torch.manual_seed(2)  # the global state must not matter
    assert torch.equal(augment(images, 5), first)
    assert not torch.equal(augment(images, 6), first)


def test_enabling_an_augmentation_does_not_change_the_draws_of_others() -> None:
    images = smooth().expand(4, 3, 32, 32)
    brightened = Augment(brightness=0.2)(images, 3).mean((1, 2, 3))
    rotated_too = Augment(brightness=0.2, rotate=1)(images, 3).mean((1, 2, 3))
    torch.testing.assert_close(rotated_too, brightened, rtol=0, atol=5e-3)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(3, 32, 32), (1, 28, 20), (3, 9, 40), (1, 1, 1)]),
    st.integers(0, 2**62),
    st.booleans(),
)
def test_values_stay_between_0_and_1_and_keep_shape_and_type(
    shape: tuple[int, int, int], key: int, flips: bool
) -> None:
    images = random_images(3, *shape).round()  # black and white, where every step could leave the range
    changed = replace(ALL_SETTINGS, hflip=flips, vflip=flips)(images, key)
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert changed.isfinite().all()
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_the_result_does_not_depend_on_the_memory_format() -> None:
    images = random_images()
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ALL_SETTINGS(last, 4), ALL_SETTINGS(images, 4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("degrees", [-30.0, -7.0, 12.0, 45.0])
def test_rotation_matches_scipy(degrees: float) -> None:
    # ndimage.rotate turns the (row, column) axes by its angle, which is counter-clockwise on a screen
    expected = ndimage.rotate(smooth()[0, 0].numpy(), -degrees, reshape=False, order=1)
    np.testing.assert_allclose(inner(warp(smooth(), affine(degrees))), expected[8:-8, 8:-8], atol=2e-3)


def test_a_positive_angle_turns_clockwise() -> None:
    spot = torch.zeros(1, 1, 9, 9)
    spot[0, 0, 0, 4] = 1  # at the top
    turned = warp(spot, affine(90))
    assert turned[0, 0, 4, 8].item() == pytest.approx(1, abs=1e-5)  # on the right


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 48)])
def test_the_affine_map_flips_scales_shears_rotates_and_shifts_in_this_order(
    height: int, width: int, flip: int
) -> None:
    angle, shear, scale, right, down = math.radians(10), math.radians(8), 1.2, 2.5, -1.5
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    slant = np.array([[1, math.tan(shear)], [0, 1]])
    forward = turn @ slant @ np.diag([scale * flip, scale])  # of (x, y), y down
    inverse = np.linalg.inv(forward)[::-1, ::-1]  # of (row, column)
    center = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = center - inverse @ (center + np.array([down, right]))
    image = smooth(height, width)
    expected = ndimage.affine_transform(image[0, 0].numpy(), inverse, offset, order=1)
    changed = warp(image, affine(10, 8, scale, right, down, flip))
    np.testing.assert_allclose(inner(changed), expected[8:-8, 8:-8], atol=2e-3)


def test_parameters_cover_exactly_their_ranges() -> None:
    count, height, width = 4000, 20, 40
    columns = dict.fromkeys(COLUMNS, torch.linspace(-1, 1 - 2**-23, count))

    def matrices(**settings: float) -> Tensor:
        return Augment(**settings)._affine(columns, height, width)

    turns = matrices(rotate=15)
    angles = torch.rad2deg(torch.atan2(turns[:, 0, 1], turns[:, 0, 0]))
    assert [angles.min().item(), angles.max().item()] == pytest.approx([-15, 15], abs=1e-3)
    factors = 1 / matrices(scale=0.25)[:, 0, 0]
    assert [factors.min().item(), factors.max().item()] == pytest.approx([0.8, 1.25], rel=1e-5)
    shifts = -matrices(translate=0.1)[:, :, 2]
    assert shifts.amax(0).tolist() == pytest.approx([4, 2], rel=1e-5)
    assert shifts.amin(0).tolist() == pytest.approx([-4, -2], rel=1e-5)
    slants = torch.rad2deg(torch.atan(-matrices(shear=9)[:, 0, 1]))
    assert [slants.min().item(), slants.max().item()] == pytest.approx([-9, 9], abs=1e-3)
    shifts, counts = (-matrices(crop=3)[:, 0, 2]).unique(return_counts=True)
    assert shifts.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert counts.max() - counts.min() <= 2


def test_crop_moves_by_whole_pixels_and_repeats_the_edge() -> None:
    images, pad = random_images(16), 3
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="edge")
    cropped = Augment(crop=pad)(images, 1).numpy()
    offsets = set()
    for index in range(16):
        distance = {
            (y, x): np.abs(padded[index, :, y : y + 32, x : x + 32] - cropped[index]).max()
            for y in range(2 * pad + 1)
            for x in range(2 * pad + 1)
        }
        offset = min(distance, key=lambda shift: distance[shift])
        assert distance[offset] < 1e-5
        offsets.add(offset)
    assert len(offsets) > 8


@pytest.mark.parametrize(("setting", "axis"), [("hflip", 3), ("vflip", 2)])
def test_a_flip_is_exact_and_applies_to_half_of_the_images(setting: str, axis: int) -> None:
    images = random_images(200)
    changed = Augment(**{setting: True})(images, 1)
    flipped = (changed == images.flip(axis)).all(3).all(2).all(1)
    same = (changed == images).all(3).all(2).all(1)
    assert (flipped ^ same).all()
    assert 70 < flipped.sum() < 130


def field_of(count: int, size: tuple[int, int], sigma: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return smooth_field(Rows(count), size, sigma, generator, torch.device("cpu"))


def test_elastic_displacements_have_unit_variance_up_to_the_edge() -> None:
    field = field_of(1500, (16, 24), 3.0)
    assert field.shape == (1500, 2, 16, 24)
    torch.testing.assert_close(field.std(0), torch.ones(2, 16, 24), rtol=0, atol=0.1)
    torch.testing.assert_close(field.mean(0), torch.zeros(2, 16, 24), rtol=0, atol=0.12)


def test_elastic_displacements_are_as_smooth_as_gaussian_filtered_noise() -> None:
    sigma = 3.0
    ours = field_of(200, (48, 48), sigma).numpy()
    noise = np.random.default_rng(0).standard_normal((200, 2, 48, 48))
    theirs = ndimage.gaussian_filter(noise, sigma, axes=(2, 3))

    def correlation(field: np.ndarray, lag: int) -> float:
        middle = field[:, :, 12:-12, 12:-12]
        return float((middle[..., lag:] * middle[..., :-lag]).mean() / middle.var())

    for lag in (1, 3, 6):
        assert correlation(ours, lag) == pytest.approx(correlation(theirs, lag), abs=0.05)


def test_elastic_distortion_samples_at_the_displaced_coordinates() -> None:
    shift = field_of(1, (32, 32), 4.0)
    rows, columns = np.mgrid[:32, :32]
    coordinates = [rows + shift[0, 1].numpy(), columns + shift[0, 0].numpy()]
    expected = ndimage.map_coordinates(smooth()[0, 0].numpy(), coordinates, order=1, mode="nearest")
    np.testing.assert_allclose(warp(smooth(), affine(), shift)[0, 0].numpy(), expected, atol=1e-5)


def test_elastic_is_the_standard_deviation_of_the_displacement_in_pixels() -> None:
    ramp = (torch.arange(64.0) / 64).expand(300, 1, 64, 64)  # a pixel to the right is 1/64 brighter
    moved = (Augment(elastic=1.5)(ramp, 1) - ramp) * 64
    assert moved[..., 8:-8].std().item() == pytest.approx(1.5, rel=0.05)


def test_noise_has_the_given_standard_deviation() -> None:
    gray = torch.full((32, 3, 32, 32), 0.5)
    noise = Augment(noise=0.07)(gray, 1) - gray
    assert noise.std().item() == pytest.approx(0.07, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("settings", [{}, {"elastic": 1.0}, {"brightness": 0.2, "noise": 0.1}], ids=str)
def test_a_window_shows_its_part_of_the_changed_image(settings: dict) -> None:
    images = random_images(6, 3, 20, 30)
    corners = torch.tensor([[0, 0], [4, 0], [0, 6], [4, 6], [2, 3], [1, 5]])
    window = Window(16, 24, corners)
    changed = Augment(**settings)(images, 3, window=window)
    assert changed.shape == (6, 3, 16, 24)
    if not settings:
        assert torch.equal(changed, window.of(images))


def test_what_moves_pixels_moves_them_about_the_center_of_the_whole_image() -> None:
    images = random_images(6, 3, 20, 30)
    window = Window(16, 24, torch.tensor([[0, 0], [4, 0], [0, 6], [4, 6], [2, 3], [1, 5]]))
    turn = Augment(rotate=20, scale=0.2, shear=5, crop=2, hflip=True)
    torch.testing.assert_close(turn(images, 3, window=window), window.of(turn(images, 3)), rtol=0, atol=2e-5)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_matches_scipys_gaussian_filter(sigma: float) -> None:
    image = random_images(1, 1, 40, 32)
    expected = ndimage.gaussian_filter(image[0, 0].numpy(), sigma, truncate=8)
    np.testing.assert_allclose(inner(blur(image, torch.tensor([sigma]))), expected[8:-8, 8:-8], atol=1e-3)


def test_blur_keeps_a_constant_image_up_to_its_edges_and_sigma_0_keeps_every_image() -> None:
    sigmas = torch.tensor([0.0, 1.5])
    constant, images = torch.full((2, 3, 20, 32), 0.25), random_images(2)
    torch.testing.assert_close(blur(constant, sigmas), constant)
    assert torch.equal(blur(images, sigmas)[0], images[0])


def test_relighting_scales_the_mean_by_brightness_and_the_spread_by_both() -> None:
    images = random_images(2)
    brightness, contrast = torch.tensor([1.2, 0.7]), torch.tensor([0.5, 1.3])
    changed = relight(images, brightness, contrast)
    torch.testing.assert_close(changed.mean((1, 2, 3)), brightness * images.mean((1, 2, 3)))
    torch.testing.assert_close(changed.std((1, 2, 3)), brightness * contrast * images.std((1, 2, 3)))


def test_saturation_moves_colors_away_from_or_toward_gray() -> None:
    images = random_images(3)
    gray = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    factor = torch.tensor([0.0, 1.0, 1.5])
    changed = saturate(images, factor)
    torch.testing.assert_close(changed, gray + factor[:, None, None, None] * (images - gray))
    torch.testing.assert_close(changed[0], gray[0].expand(3, 32, 32))


def test_saturation_does_not_change_gray_images() -> None:
    images = random_images(channels=1)
    assert torch.equal(Augment(saturation=0.5)(images, 1), images)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 48)])
def test_erasing_fills_a_square_with_the_mean_color(height: int, width: int) -> None:
    images, share = random_images(2, 3, height, width), 0.4
    side = round(share * min(height, width))
    changed = erase(images, share, torch.tensor([0.0, -1.0]), torch.tensor([0.0, 1 - 2**-23]))
    for index, area in enumerate((side * side, (side - side // 2) * (side // 2 + 1))):  # whole; in a corner
        erased = (changed[index] != images[index]).all(0)
        assert erased.sum() == area
        assert erased.any(0).sum() * erased.any(1).sum() == area
        mean = images[index].mean((1, 2))[:, None]
        torch.testing.assert_close(changed[index][:, erased], mean.expand(-1, area))


def test_erased_squares_may_lie_anywhere() -> None:
    images = random_images(600, 1)
    frequency = (Augment(erase=0.25)(images, 1) != images).float().mean((0, 1))
    side = 8
    assert frequency.mean().item() == pytest.approx((side / 32) ** 2, rel=0.15)
    assert frequency[8:-8, 8:-8].min() > 0.03
    assert frequency[0, 0] > 0
