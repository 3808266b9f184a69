"""Counts and sums over batches, against those over all images at once."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from svhncli.core.labels import BLANK
from svhncli.core.plain import to_plain
from svhncli.engine.tally import Tally, without_blanks
from svhncli.stats.intervals import wilson
from svhncli.stats.score import LengthScore

numbers = st.integers(1, 6).flatmap(
    lambda positions: st.lists(
        st.lists(st.sampled_from([0, 1, 2, BLANK]), min_size=positions, max_size=positions), min_size=1
    )
)
"""Classes of some numbers (B, L); few digits, so that equal strings occur."""


def logits_for(predicted: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(predicted, classes).float()


def text(classes: list[int]) -> str:
    return "".join(str(k) for k in classes if k != BLANK)


@given(numbers)
def test_a_prediction_is_its_digits_followed_by_blanks(classes: list[list[int]]) -> None:
    compacted = without_blanks(torch.tensor(classes))
    assert compacted.dtype == torch.int64
    for row, result in zip(classes, compacted.tolist(), strict=True):
        assert text(result) == text(row)
        assert result[len(text(row)) :] == [BLANK] * (len(row) - len(text(row)))


@given(numbers, st.integers(0, 2**31))
def test_scores_of_numbers_match_those_of_their_strings(labels: list[list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    true = torch.tensor(labels)
    order = torch.randperm(len(true), generator=generator)
    is_replaced = torch.rand(true.shape, generator=generator) < 0.2
    predicted = torch.where(
        is_replaced, true[order], true.roll(seed % 2, 1)
    )  # some strings are equal, some shifted
    tally = Tally()
    tally.add(torch.ones(len(true)), logits_for(predicted, 11), true)
    result = tally.result()
    pairs = [(text(q), text(p)) for q, p in zip(labels, predicted.tolist(), strict=True)]
    assert result.accuracy == sum(q == p for q, p in pairs) / len(pairs)
    if true.shape[1] == 1:
        assert to_plain(result).keys() == {"loss", "accuracy", "n", "interval"}
        return
    assert result.length_accuracy == sum(len(q) == len(p) for q, p in pairs) / len(pairs)
    digit_pairs = [(q, p) for q, p in zip(true.flatten().tolist(), predicted.flatten().tolist(), strict=True)]
    digits = [q == p for q, p in digit_pairs if q != BLANK]
    assert result.digit_accuracy == sum(digits) / max(1, len(digits))
    assert result.by_length is not None
    assert list(result.by_length) == sorted({str(len(q)) for q, _ in pairs})
    for length, score in result.by_length.items():
        hits = [q == p for q, p in pairs if len(q) == int(length)]
        assert score == LengthScore(len(hits), sum(hits) / len(hits))


def test_a_number_is_correct_if_its_string_matches_and_a_digit_if_its_position_does() -> None:
    b = BLANK
    labels = torch.tensor([[1, 2, b], [3, b, b], [4, 4, 4], [5, 6, b]])
    predicted = torch.tensor([[b, 1, 2], [3, 9, b], [0, 4, 4], [5, 6, b]])
    tally = Tally()
    tally.add(torch.tensor([0.5, 1.0, 1.5, 3.0]), logits_for(predicted, 11), labels)
    assert to_plain(tally.result()) == {
        "loss": 1.5,
        "accuracy": 2 / 4,
        "n": 4,
        "digit_accuracy": 5 / 8,
        "length_accuracy": 3 / 4,
        "by_length": {
            "1": {"n": 1, "accuracy": 0.0},
            "2": {"n": 2, "accuracy": 1.0},
            "3": {"n": 1, "accuracy": 0.0},
        },
        "interval": asdict(wilson(2, 4)),
    }


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
    assert result.n == n
    assert result.accuracy == sum(hits) / n
    assert result.loss == pytest.approx(losses.double().mean().item(), rel=1e-12)


def test_small_losses_are_not_lost_beside_a_large_sum() -> None:
    tally, labels = Tally(), torch.zeros(1, 1, dtype=torch.int64)
    tally.add(torch.tensor([2.0**25]), logits_for(labels, 2), labels)
    for _ in range(7):
        tally.add(torch.tensor([1.0]), logits_for(labels, 2), labels)
    assert tally.result().loss == (2.0**25 + 7) / 8


@pytest.mark.parametrize("positions", [1, 2])
def test_results_are_plain_python_numbers(positions: int) -> None:
    tally, labels = Tally(), torch.zeros(2, positions, dtype=torch.int64)
    tally.add(torch.ones(2), logits_for(labels, 2), labels)
    result = to_plain(tally.result())
    assert json.loads(json.dumps(result)) == result
    assert {key: type(value) for key, value in result.items() if key in ("loss", "accuracy", "n")} == {
        "loss": float,
        "accuracy": float,
        "n": int,
    }


def test_no_gradient_flows_into_the_sums() -> None:
    tally, labels = Tally(), torch.zeros(2, 1, dtype=torch.int64)
    tally.add(torch.ones(2, requires_grad=True), logits_for(labels, 2), labels)
    assert not tally.loss.requires_grad
    assert not tally.counts.requires_grad


def test_half_an_epoch_continues_with_the_same_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.rand(5, generator=generator), torch.randn(5, 2, 4, generator=generator)) for _ in range(6)
    ]
    labels = torch.randint(0, 4, (5, 2), generator=generator)
    uninterrupted, first, second = Tally(), Tally(), Tally()
    for losses, logits in batches:
        uninterrupted.add(losses, logits, labels)
    for losses, logits in batches[:3]:
        first.add(losses, logits, labels)
    state, before = first.state_dict(), first.result()
    first.add(*batches[3], labels)  # the state is a copy, which this must not change
    second.load_state_dict(state)
    assert second.result() == before
    for losses, logits in batches[3:]:
        second.add(losses, logits, labels)
    assert second.result() == uninterrupted.result()
    assert first.result() != uninterrupted.result()
