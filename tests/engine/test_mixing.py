"""Mixup and CutMix, against their definitions for every pixel and label."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from svhncli.engine.mixing import Mixed, cutmix, mix, mixup


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_mixup_blends_images_as_it_blends_labels() -> None:
    labels = torch.arange(16)[:, None]
    images = labels[:, :, None, None].float().expand(16, 1, 2, 2)  # an image's value is its label
    mixed, partner, lam = mixup(images, alpha=1.0, seed_key=3)
    assert 0 < lam < 1
    assert sorted(partner.tolist()) == list(range(16))
    assert not torch.equal(labels, labels[partner])
    expected = lam * labels.double() + (1 - lam) * labels[partner].double()
    torch.testing.assert_close(mixed[:, 0].double().mean((1, 2)), expected.flatten(), rtol=0, atol=1e-5)


def test_mixup_is_a_function_of_its_key() -> None:
    images = normal(8, 1, 2, 2)
    first, same_key, other_key = (mixup(images, 0.4, key) for key in (1, 1, 2))
    assert torch.equal(first.images, same_key.images)
    assert first.share == same_key.share
    assert first.share != other_key.share


def test_mixup_shares_follow_the_beta_distribution() -> None:
    alpha, images = 0.3, normal(2, 1, 1, 1)
    shares = torch.tensor([mixup(images, alpha, key).share for key in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


@pytest.mark.parametrize("mixing", [mixup, cutmix])
def test_alpha_0_returns_the_batch_itself(mixing: Callable[..., Mixed]) -> None:
    images = normal(4, 1, 2, 2)
    mixed, partner, lam = mixing(images, 0.0, 1)
    assert mixed is images
    assert partner.tolist() == [0, 1, 2, 3]
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
    mixed, partner, share = cutmix(images, alpha, key)
    first, second = labels, labels[partner]
    assert sorted(partner.tolist()) == list(range(count))
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
    images = normal(8, 1, 20, 20)
    before = images.clone()
    first, same_key, other_key = (cutmix(images, 1.0, key) for key in (1, 1, 2))
    assert torch.equal(images, before)
    assert torch.equal(first.images, same_key.images)
    assert first.share == same_key.share
    assert not torch.equal(first.images, other_key.images)


def test_cutmix_accepts_channels_last_images() -> None:
    images = normal(8, 3, 20, 20)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(cutmix(last, 1.0, 1).images, cutmix(images, 1.0, 1).images)


def pasted(alpha: float, key: int, height: int, width: int) -> Tensor:
    """Where pixels of the partner were pasted, as 0 and 1 (height, width)."""
    images, labels = numbered(16, height, width)
    mixed, partner, _ = cutmix(images, alpha, key)
    paired = int((labels != labels[partner]).flatten().nonzero()[0])
    return (mixed[paired, 0] == labels[partner[paired]]).float()


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
    images = normal(6, 1, 12, 12)
    boxes = 0
    for key in range(400):
        mixed, partner, share = mix(images, mixup_alpha, cutmix_alpha, key)
        cutmix_batch = cutmix(images, cutmix_alpha, key)
        is_box = torch.equal(mixed, cutmix_batch.images) and cutmix_alpha > 0
        expected = cutmix_batch if is_box else mixup(images, mixup_alpha, key)
        assert torch.equal(mixed, expected.images)
        assert torch.equal(partner, expected.partner)
        assert share == expected.share
        boxes += is_box
    if mixup_alpha and cutmix_alpha:
        assert 160 < boxes < 240
    else:
        assert boxes == (400 if cutmix_alpha else 0)
