"""Mixup and CutMix, against their definitions for every pixel and label."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from svhncli.engine.mixing import MixedBatch, cutmix, mix, mixup


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def digits(*shape: int) -> Tensor:
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(1))


def test_mixup_blends_images_as_it_blends_labels() -> None:
    labels = torch.arange(16)[:, None]
    images = labels[:, :, None, None].float().expand(16, 1, 2, 2)  # an image's value is its label
    mixed, first, second, lam = mixup(images, labels, alpha=1.0, seed_key=3)
    assert 0 < lam < 1
    assert torch.equal(first, labels)
    assert sorted(second.flatten().tolist()) == list(range(16))
    assert not torch.equal(first, second)
    expected = lam * first.double() + (1 - lam) * second.double()
    torch.testing.assert_close(mixed[:, 0].double().mean((1, 2)), expected.flatten(), rtol=0, atol=1e-5)


def test_mixup_is_a_function_of_its_key() -> None:
    images, labels = normal(8, 1, 2, 2), digits(8, 1)
    first, same_key, other_key = (mixup(images, labels, 0.4, key) for key in (1, 1, 2))
    assert torch.equal(first[0], same_key[0])
    assert first[3] == same_key[3]
    assert first[3] != other_key[3]


def test_mixup_shares_follow_the_beta_distribution() -> None:
    alpha, images, labels = 0.3, normal(2, 1, 1, 1), digits(2, 1)
    shares = torch.tensor([mixup(images, labels, alpha, key)[3] for key in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


@pytest.mark.parametrize("mixing", [mixup, cutmix])
def test_alpha_0_returns_the_batch_itself(mixing: Callable[..., MixedBatch]) -> None:
    images, labels = normal(4, 1, 2, 2), digits(4, 1)
    mixed, first, second, lam = mixing(images, labels, 0.0, 1)
    assert mixed is images
    assert first is labels
    assert second is labels
    assert lam == 1.0


def numbered(count: int, height: int = 9, width: int = 14) -> tuple[Tensor, Tensor]:
    """Images of a single value, which is their label."""
    labels = torch.arange(count)[:, None]
    return labels[:, :, None, None].float().expand(count, 3, height, width), labels


@settings(deadline=None)
@given(st.integers(0, 2**62), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 5))
def test_cutmix_pastes_one_box_and_shares_labels_by_its_exact_area(
    key: int, count: int, height: int, width: int, alpha: float
) -> None:
    images, labels = numbered(count, height, width)
    mixed, first, second, share = cutmix(images, labels, alpha, key)
    assert torch.equal(first, labels)
    assert sorted(second.flatten().tolist()) == list(range(count))
    own, others = (mixed == classes[:, :, None, None] for classes in (first, second))
    assert (own | others).all()
    boxes = ~own[(first != second).flatten()]
    if len(boxes):
        box = boxes[0, 0]
        assert (boxes == box).all()  # the same position in every image and channel
        assert box.sum() == box.any(0).sum() * box.any(1).sum()
        assert share == 1 - box.sum().item() / box.numel()
    assert 0 <= share <= 1


def test_cutmix_is_a_function_of_its_key_and_does_not_modify_its_input() -> None:
    images, labels = normal(8, 1, 20, 20), digits(8, 1)
    before = images.clone()
    first, same_key, other_key = (cutmix(images, labels, 1.0, key) for key in (1, 1, 2))
    assert torch.equal(images, before)
    assert torch.equal(first[0], same_key[0])
    assert first[3] == same_key[3]
    assert not torch.equal(first[0], other_key[0])


def test_cutmix_accepts_channels_last_images() -> None:
    images, labels = normal(8, 3, 20, 20), digits(8, 1)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(cutmix(last, labels, 1.0, 1)[0], cutmix(images, labels, 1.0, 1)[0])


def pasted(alpha: float, key: int, height: int, width: int) -> Tensor:
    """Where pixels of the partner were pasted, as 0 and 1 (height, width)."""
    images, labels = numbered(16, height, width)
    mixed, first, second, _ = cutmix(images, labels, alpha, key)
    paired = int((first != second).flatten().nonzero()[0])
    return (mixed[paired, 0] == second[paired]).float()


def test_a_box_that_is_not_clipped_has_the_drawn_share_and_the_proportions_of_the_image() -> None:
    height, width, unclipped = 60, 90, 0
    for key in range(200):
        box = pasted(1e6, key, height, width)  # the share is 1/2
        if not (box[0].any() or box[-1].any() or box[:, 0].any() or box[:, -1].any()):
            unclipped += 1
            sides = box.any(1).sum().item() / height, box.any(0).sum().item() / width
            assert sides == pytest.approx((0.5**0.5, 0.5**0.5), abs=1 / height)
    assert unclipped > 8


def test_boxes_may_lie_anywhere() -> None:
    frequency = torch.stack([pasted(1.0, key, 17, 17) for key in range(3000)]).mean(0)
    assert frequency.min() > 0.08  # even in the corners
    torch.testing.assert_close(frequency, frequency.flip(0), rtol=0, atol=0.06)
    torch.testing.assert_close(frequency, frequency.T, rtol=0, atol=0.06)


@pytest.mark.parametrize(("mixup_alpha", "cutmix_alpha"), [(0, 0), (0.4, 0), (0, 0.7), (0.4, 0.7)])
def test_mix_applies_mixup_or_cutmix_with_equal_probability(mixup_alpha: float, cutmix_alpha: float) -> None:
    images, labels = normal(6, 1, 12, 12), digits(6, 1)
    boxes = 0
    for key in range(400):
        mixed, first, second, share = mix(images, labels, mixup_alpha, cutmix_alpha, key)
        mixup_batch = mixup(images, labels, mixup_alpha, key)
        cutmix_batch = cutmix(images, labels, cutmix_alpha, key)
        is_box = torch.equal(mixed, cutmix_batch[0]) and cutmix_alpha > 0
        expected = cutmix_batch if is_box else mixup_batch
        assert torch.equal(mixed, expected[0])
        assert torch.equal(first, labels)
        assert torch.equal(second, expected[2])
        assert share == expected[3]
        boxes += is_box
    if mixup_alpha and cutmix_alpha:
        assert 160 < boxes < 240
    else:
        assert boxes == (400 if cutmix_alpha else 0)
