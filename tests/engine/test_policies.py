"""Every operation against Pillow or torchvision, and the properties of a policy on a batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from svhncli import registry
from svhncli.config.groups.reg import AugmentConfig
from svhncli.engine.augment import warp
from svhncli.engine.policies import (
    LEVELS,
    MOVES,
    OPERATIONS,
    RANDAUGMENT,
    TINTS,
    TRIVIALAUGMENT,
    Policy,
    Space,
)

RAND = Policy(RANDAUGMENT, 3, 0.9, warp)
TRIVIAL = Policy(TRIVIALAUGMENT, 1, None, warp)
SPACES = {"randaugment": RANDAUGMENT, "trivialaugment": TRIVIALAUGMENT}

both_policies = pytest.mark.parametrize("policy", [RAND, TRIVIAL], ids=SPACES)
both_spaces = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
amounts = pytest.mark.parametrize("amount", [0.0, 1 / 3, 0.5, 0.9, 1.0])
signs = pytest.mark.parametrize("sign", [-1, 1])
gray_and_color = pytest.mark.parametrize("channels", [1, 3])


def stored(count: int = 4, channels: int = 3, height: int = 32, width: int = 24) -> np.ndarray:
    """Images as they are stored, uint8 (N, C, H, W): smooth shapes, noise, few levels, a constant."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    tones = np.arange(channels)[:, None, None]
    kinds = [
        110 + 80 * np.sin(x / 5 + tones) * np.cos(y / 7 + tones),
        draw.integers(0, 256, (channels, height, width)),
        60 * draw.integers(1, 4, (channels, height, width)),
        np.full((channels, height, width), 77),
    ]
    return np.stack(kinds[:count]).astype(np.uint8)


def floats(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).float() / 255


def to_pillow(image: np.ndarray) -> Image.Image:
    """An image (C, H, W) as a Pillow image."""
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def to_array(image: Image.Image) -> np.ndarray:
    """A Pillow image as floats (C, H, W) on the scale of gray levels."""
    values = np.asarray(image, np.float64)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def apply(name: str, images: Tensor, amount: float, space: Space = RANDAUGMENT) -> np.ndarray:
    """The result of an operation on all images, on the scale of gray levels."""
    chosen = torch.full((len(images),), OPERATIONS.index(name))
    result = Policy(space, 1, None, warp).change(images, chosen, torch.full((len(images),), amount))
    assert result.dtype == torch.float32
    return result.double().numpy() * 255


def test_the_operations_are_the_14_of_the_papers() -> None:
    paper_names = {
        **{name: name.lower() for name in v2.RandAugment._AUGMENTATION_SPACE},
        **{f"{move}{axis}": f"{move}_{axis}".lower() for move in ("Shear", "Translate") for axis in "XY"},
    }
    assert sorted(OPERATIONS) == sorted(paper_names.values())
    assert set(v2.TrivialAugmentWide._AUGMENTATION_SPACE) == set(paper_names)


@pytest.mark.parametrize(
    ("space", "theirs"), [(RANDAUGMENT, v2.RandAugment), (TRIVIALAUGMENT, v2.TrivialAugmentWide)]
)
def test_the_ranges_match_torchvision(space: Space, theirs: type) -> None:
    def last(name: str) -> float:
        return float(theirs._AUGMENTATION_SPACE[name][0](LEVELS, 40, 50)[-1])

    assert space.rotate == last("Rotate")
    assert space.shear == pytest.approx(last("ShearX"))
    assert space.translate_share * 50 + space.translate_pixels == pytest.approx(last("TranslateX"))
    assert space.translate_share * 40 + space.translate_pixels == pytest.approx(last("TranslateY"))
    for name in ("Color", "Contrast", "Brightness", "Sharpness"):
        assert space.factor == pytest.approx(last(name))
    assert 8 - space.bits == last("Posterize")


@gray_and_color
def test_identity_is_bit_exact(channels: int) -> None:
    images = floats(stored(channels=channels))
    assert np.array_equal(apply("identity", images, 1.0), images.double().numpy() * 255)


@gray_and_color
def test_equalize_matches_pillow_exactly(channels: int) -> None:
    images = stored(channels=channels)
    expected = np.stack([to_array(ImageOps.equalize(to_pillow(image))) for image in images])
    np.testing.assert_allclose(apply("equalize", floats(images), 0), expected, atol=1e-4)


@gray_and_color
def test_autocontrast_matches_pillow_to_a_gray_level_and_torchvision_exactly(channels: int) -> None:
    images = stored(channels=channels)
    ours = apply("autocontrast", floats(images), 0)
    expected = np.stack([to_array(ImageOps.autocontrast(to_pillow(image))) for image in images])
    np.testing.assert_allclose(ours, expected, atol=1)
    np.testing.assert_allclose(ours, reference.autocontrast(floats(images)).numpy() * 255, atol=1e-3)


def test_autocontrast_does_not_stretch_rounding_errors() -> None:
    plain = torch.full((1, 3, 8, 8), 0.3)
    plain[..., 4:] += 2**-24
    assert np.array_equal(apply("autocontrast", plain, 0), plain.double().numpy() * 255)


@both_spaces
@amounts
def test_posterize_matches_pillow_exactly(space: Space, amount: float) -> None:
    images = stored()
    bits = 8 - round(space.bits * amount)
    expected = np.stack([to_array(ImageOps.posterize(to_pillow(image), bits)) for image in images])
    np.testing.assert_allclose(apply("posterize", floats(images), amount, space), expected, atol=1e-4)


@amounts
def test_solarize_matches_pillow_exactly(amount: float) -> None:
    images = stored()
    threshold = math.ceil(256 * (1 - amount))
    expected = np.stack([to_array(ImageOps.solarize(to_pillow(image), threshold)) for image in images])
    np.testing.assert_allclose(apply("solarize", floats(images), amount), expected, atol=1e-4)


@both_spaces
@amounts
@signs
@gray_and_color
@pytest.mark.parametrize("name", TINTS)
def test_a_tint_matches_pillow_to_two_gray_levels(
    name: str, space: Space, amount: float, sign: int, channels: int
) -> None:
    images = stored(channels=channels)
    enhance = getattr(ImageEnhance, name.capitalize())
    factor = 1 + sign * space.factor * amount
    expected = np.stack([to_array(enhance(to_pillow(image)).enhance(factor)) for image in images])
    ours = apply(name, floats(images), sign * amount, space)
    np.testing.assert_allclose(ours, expected, atol=2)  # Pillow rounds the blend and what it blends with


@amounts
@signs
@gray_and_color
@pytest.mark.parametrize("name", TINTS)
def test_a_tint_matches_torchvision_on_floats(name: str, amount: float, sign: int, channels: int) -> None:
    adjust = getattr(reference, f"adjust_{'saturation' if name == 'color' else name}")
    images = floats(stored(channels=channels))
    expected = adjust(images, 1 + sign * RANDAUGMENT.factor * amount).numpy() * 255
    # torchvision's weights of red, green and blue have four digits
    np.testing.assert_allclose(apply(name, images, sign * amount), expected, atol=0.05)


def move_with_pillow(name: str, image: np.ndarray, amount: float, space: Space) -> np.ndarray:
    """The whole image, bilinear; the edge is repeated by a wide frame, of which the middle is cut out."""
    frame = 80
    height, width = image.shape[1:]
    wide = to_pillow(np.pad(image, ((0, 0), (frame, frame), (frame, frame)), mode="edge"))
    x, y = wide.width / 2, wide.height / 2
    if name == "rotate":
        moved = wide.rotate(-space.rotate * amount, Image.Resampling.BILINEAR)
    else:
        slant = space.shear * amount
        matrix = {
            "shear_x": (1, slant, -slant * y, 0, 1, 0),
            "shear_y": (1, 0, 0, slant, 1, -slant * x),
            "translate_x": (
                1,
                0,
                -amount * (space.translate_share * width + space.translate_pixels),
                0,
                1,
                0,
            ),
            "translate_y": (
                1,
                0,
                0,
                0,
                1,
                -amount * (space.translate_share * height + space.translate_pixels),
            ),
        }[name]
        moved = wide.transform(wide.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return to_array(moved)[:, frame : frame + height, frame : frame + width]


@both_spaces
@amounts
@signs
@pytest.mark.parametrize("name", MOVES)
def test_a_move_matches_pillow_to_a_gray_level(name: str, space: Space, amount: float, sign: int) -> None:
    images = stored()
    expected = np.stack([move_with_pillow(name, image, sign * amount, space) for image in images])
    np.testing.assert_allclose(apply(name, floats(images), sign * amount, space), expected, atol=1.01)


@both_spaces
@pytest.mark.parametrize("name", MOVES)
def test_a_move_does_not_mirror_the_image(name: str, space: Space) -> None:
    """Three spots, one in each channel, go round the same way and enclose the same area as before."""
    count, side = 41, 96
    spots = torch.zeros(count, 3, side, side)
    for channel, (y, x) in enumerate([(-8, -4), (0, 8), (6, -6)]):
        spots[:, channel, side // 2 + y - 1 : side // 2 + y + 1, side // 2 + x - 1 : side // 2 + x + 1] = 1
    chosen = torch.full((count,), OPERATIONS.index(name))
    moved = Policy(space, 1, None, warp).change(spots, chosen, torch.linspace(-0.8, 0.8, count))
    coordinates = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(
        1
    )
    weights = moved.flatten(2) / moved.sum((2, 3))[..., None]
    first, second, third = (weights @ coordinates.T.float()).unbind(1)
    area = torch.linalg.det(torch.stack((second - first, third - first), 1))
    torch.testing.assert_close(area, torch.full((count,), -184.0), rtol=0.03, atol=0)


@both_policies
def test_a_policy_is_a_function_of_its_key_and_does_not_modify_its_input(policy: Policy) -> None:
    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    torch.manual_seed(1)
    first = policy(images, 5)
    torch.manual_seed(2)  # the global state must not matter
    assert torch.equal(policy(images, 5), first)
    assert not torch.equal(policy(images, 6), first)
    assert torch.equal(images, before)


@both_policies
@settings(deadline=None, max_examples=20)
@given(key=st.integers(0, 2**62), index=st.integers(0, 39), count=st.integers(1, 40))
def test_the_result_of_an_image_depends_on_its_own_draw_alone(
    policy: Policy, key: int, index: int, count: int
) -> None:
    images = torch.rand(40, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    whole = policy(images, key)
    others = torch.rand(40, 3, 16, 20, generator=torch.Generator().manual_seed(1))
    others[index] = images[index]
    assert torch.equal(policy(others, key)[index], whole[index])
    assert torch.equal(policy(images[:count], key), whole[:count])  # in a smaller batch


@both_policies
def test_images_of_a_batch_are_changed_differently(policy: Policy) -> None:
    images = floats(stored(1)).expand(200, -1, -1, -1)
    results = {image.numpy().tobytes() for image in policy(images, 3)}
    assert len(results) > 60


@both_policies
def test_the_result_does_not_depend_on_the_memory_format(policy: Policy) -> None:
    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(policy(last, 4), policy(images, 4))


@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([(3, 32, 32), (1, 28, 20), (3, 2, 40), (2, 9, 5), (1, 1, 1)]),
    key=st.integers(0, 2**62),
    ops=st.integers(1, 16),
    amount=st.none() | st.floats(0, 1),
    space=st.sampled_from(list(SPACES.values())),
    hard=st.booleans(),
)
def test_values_stay_between_0_and_1_and_keep_shape_and_type(
    shape: tuple[int, int, int], key: int, ops: int, amount: float | None, space: Space, hard: bool
) -> None:
    images = torch.rand(9, *shape, generator=torch.Generator().manual_seed(0))
    result = Policy(space, ops, amount, warp)(images.round() if hard else images, key)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert result.min() >= 0
    assert result.max() <= 1


def test_an_empty_batch_stays_empty() -> None:
    assert RAND(torch.empty(0, 3, 8, 8), 1).shape == (0, 3, 8, 8)


def test_n_operations_are_applied_one_after_another() -> None:
    """The k-th operation of an image is applied to the result of the operation before."""
    images = torch.rand(30, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    resampled: list[Tensor] = []

    def recording_warp(images: Tensor, matrices: Tensor) -> Tensor:
        resampled.append(matrices)
        return warp(images, matrices)

    Policy(RANDAUGMENT, 5, 0.9, recording_warp)(images, 1)
    assert len(resampled) == 5  # a single resampling for all moves at the same position
    share = sum(map(len, resampled)) / (5 * 30)
    assert share == pytest.approx(len(MOVES) / len(OPERATIONS), abs=0.12)


def test_magnitude_0_leaves_images_unchanged() -> None:
    images = floats(stored())
    for name in OPERATIONS:
        if name not in ("autocontrast", "equalize"):
            np.testing.assert_allclose(apply(name, images, 0.0), images.numpy() * 255, atol=2e-3)


def draws(policy: Policy, count: int) -> tuple[Tensor, Tensor]:
    """The draws of a policy with one operation for a batch: indices into OPERATIONS, and amounts."""
    calls: list[tuple[Tensor, Tensor]] = []

    class RecordingPolicy(Policy):
        def change(self, images: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
            calls.append((chosen, amounts))
            return images

    RecordingPolicy(policy.space, 1, policy.amount, policy.warp)(torch.zeros(count, 1, 1, 1), 3)
    return calls[0]


@both_policies
def test_every_operation_is_drawn_equally_often(policy: Policy) -> None:
    counts = draws(policy, 14_000)[0].bincount()
    assert len(counts) == len(OPERATIONS)
    assert (counts - 1000).abs().max() < 150


def test_trivialaugment_draws_31_levels_and_both_signs() -> None:
    chosen, drawn = draws(TRIVIAL, 14_000)
    tint = drawn[chosen == OPERATIONS.index("color")]
    assert sorted({round(30 * value) for value in tint.tolist()}) == list(range(-30, 31))
    assert (tint * 30 - (tint * 30).round()).abs().max() < 1e-5
    assert (tint > 0).float().mean().item() == pytest.approx(0.5, abs=0.06)
    assert drawn[chosen == OPERATIONS.index("solarize")].min() == 0


@pytest.mark.parametrize("magnitude", [0.0, 4.5, 10.0])
def test_the_magnitude_of_randaugment_is_on_the_papers_scale(magnitude: float) -> None:
    policy = registry.policy(AugmentConfig(policy="randaugment", policy_ops=7, policy_magnitude=magnitude))
    assert policy is not None
    assert (policy.space, policy.ops) == (RANDAUGMENT, 7)
    assert draws(policy, 400)[1].abs().unique().tolist() == pytest.approx([magnitude / 10])


def test_the_builder_makes_the_configured_policy() -> None:
    assert registry.policy(AugmentConfig()) is None
    policy = registry.policy(AugmentConfig(policy="trivialaugment", policy_ops=7, policy_magnitude=3.0))
    assert policy == Policy(TRIVIALAUGMENT, 1, None, warp)
