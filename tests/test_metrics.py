"""Counts and sums over batches, against the same taken over all pictures at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from svhncli.metrics import Tally


def logits_for(predicted: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(predicted, classes).float()


def test_a_number_is_right_only_if_all_its_positions_are() -> None:
    labels = torch.tensor([[1, 2], [3, 10], [4, 4], [5, 6]])
    predicted = torch.tensor([[1, 2], [3, 9], [0, 4], [5, 6]])
    tally = Tally()
    tally.add(torch.tensor([0.5, 1.0, 1.5, 3.0]), logits_for(predicted, 11), labels)
    assert tally.result() == {"loss": 1.5, "accuracy": 0.5, "n": 4}
    assert tally.digit_accuracy() == 6 / 8


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 2**31))
def test_batches_of_any_sizes_add_up_to_the_whole(sizes: list[int], positions: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    losses = torch.rand(n, generator=generator)
    labels = torch.randint(0, 3, (n, positions), generator=generator)
    predicted = torch.randint(0, 3, (n, positions), generator=generator)
    tally = Tally()
    for part in torch.arange(n).split(sizes):
        tally.add(losses[part], logits_for(predicted[part], 3), labels[part])
    hits = [p == q for p, q in zip(predicted.tolist(), labels.tolist(), strict=True)]
    result = tally.result()
    assert result["n"] == n
    assert result["accuracy"] == sum(hits) / n
    assert result["loss"] == pytest.approx(losses.double().mean().item(), rel=1e-12)


def test_small_losses_are_not_lost_beside_a_large_sum() -> None:
    tally, labels = Tally(), torch.zeros(1, 1, dtype=torch.int64)
    tally.add(torch.tensor([2.0**25]), logits_for(labels, 2), labels)
    for _ in range(7):
        tally.add(torch.tensor([1.0]), logits_for(labels, 2), labels)
    assert tally.result()["loss"] == (2.0**25 + 7) / 8


def test_results_are_plain_python_numbers() -> None:
    tally, labels = Tally(), torch.zeros(2, 1, dtype=torch.int64)
    tally.add(torch.ones(2), logits_for(labels, 2), labels)
    assert {key: type(value) for key, value in tally.result().items()} == {
        "loss": float,
        "accuracy": float,
        "n": int,
    }


def test_no_gradient_flows_into_the_sums() -> None:
    tally, labels = Tally(), torch.zeros(2, 1, dtype=torch.int64)
    tally.add(torch.ones(2, requires_grad=True), logits_for(labels, 2), labels)
    assert not tally.sums.requires_grad


def test_half_an_epoch_goes_on_with_the_same_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.rand(5, generator=generator), torch.randn(5, 2, 4, generator=generator)) for _ in range(6)
    ]
    labels = torch.randint(0, 4, (5, 2), generator=generator)
    straight, first, second = Tally(), Tally(), Tally()
    for losses, logits in batches:
        straight.add(losses, logits, labels)
    for losses, logits in batches[:3]:
        first.add(losses, logits, labels)
    state, digit_accuracy = first.state_dict(), first.digit_accuracy()
    first.add(*batches[3], labels)  # the state is a copy, which this must not reach
    second.load_state_dict(state)
    assert second.digit_accuracy() == digit_accuracy
    for losses, logits in batches[3:]:
        second.add(losses, logits, labels)
    assert second.result() == straight.result()
    assert second.digit_accuracy() == straight.digit_accuracy()
