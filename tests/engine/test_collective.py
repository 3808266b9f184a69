"""A process's rows of a batch get what they would get in one process, which computes all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from svhncli.data.framing import Framing
from svhncli.engine.augment import Augment, warp
from svhncli.engine.collective import ALONE, Group, Rows
from svhncli.engine.mixing import mix, partners
from svhncli.engine.policies import TRIVIALAUGMENT, Policy
from svhncli.engine.preprocess import Preprocess

IMAGES = torch.rand(13, 3, 12, 12, generator=torch.Generator().manual_seed(0))
SOME = Rows(13, torch.tensor([2, 3, 7, 12]))
FRAMED = Preprocess(Framing(8, 8, "boxes", jitter=0.25), False, (0.5,) * 3, (1.0,) * 3)


def view(images: Tensor, seed_key: int, rows: Rows | None = None) -> Tensor:
    window = FRAMED.window(seed_key, rows or Rows(len(images)))
    return Augment(rotate=9)(images, seed_key, rows, window)


CHANGES = {
    "augment": Augment(rotate=9, crop=2, elastic=1, brightness=0.3, noise=0.1, blur=0.7, erase=0.3),
    "policy": Policy(TRIVIALAUGMENT, 2, None, warp),
    "view": view,
}


@pytest.mark.parametrize("name", CHANGES)
def test_some_rows_are_changed_as_they_are_within_the_batch(name: str) -> None:
    change: Callable[..., Tensor] = CHANGES[name]
    whole = change(IMAGES, 5)
    torch.testing.assert_close(change(SOME.of(IMAGES), 5, SOME), SOME.of(whole), rtol=0, atol=1e-6)
    assert not torch.allclose(change(SOME.of(IMAGES), 5), SOME.of(whole), atol=1e-2)  # a batch of their own


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0), (0.0, 0.0)])
def test_rows_and_their_partners_are_all_that_mixing_needs(mixup: float, cutmix: float) -> None:
    for seed in range(20):
        whole = mix(IMAGES, mixup, cutmix, seed)
        needed = SOME.joined(partners(13, mixup, cutmix, seed))
        assert torch.equal(partners(13, mixup, cutmix, seed), whole.partner)
        mixed = mix(needed.placed(needed.of(IMAGES)), mixup, cutmix, seed)
        assert torch.equal(SOME.of(mixed.images), SOME.of(whole.images))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_image_of_a_batch_is_in_one_share_and_shares_differ_by_one(size: int) -> None:
    shares = [Group(rank, size).rows(13).of(torch.arange(13)) for rank in range(size)]
    assert torch.cat(shares).tolist() == list(range(13))
    assert np.ptp([len(share) for share in shares]) <= 1


def test_alone_nothing_is_copied() -> None:
    rows = ALONE.rows(13)
    assert rows.of(IMAGES) is IMAGES
    assert rows.placed(IMAGES) is IMAGES
    assert rows.joined(torch.arange(13)) is rows
    assert ALONE.gathered([13], IMAGES)[0] is IMAGES
