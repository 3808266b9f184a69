"""The objective and the regularisers, against formulas written out and torch's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from svhncli.engine.regularise import (
    EarlyStopping,
    Ema,
    Mixed,
    cutmix,
    l1_penalty,
    l2_penalty,
    mix,
    mixup,
    objective,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def digits(*shape: int) -> Tensor:
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("positions", [1, 3])
def test_objective_is_the_smoothed_cross_entropy_averaged_over_positions(
    smoothing: float, positions: int
) -> None:
    logits, labels, classes = normal(4, positions, 5), digits(4, positions), 5
    target = nn.functional.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean(-1)
    losses = objective(logits, labels, smoothing)
    assert losses.shape == (4,)
    torch.testing.assert_close(losses, expected)


def test_weighted_objective_is_the_weighted_mean_of_the_positions_whatever_the_weights_sum_to() -> None:
    logits, labels = normal(4, 3, 5), digits(4, 3)
    single = [objective(logits[:, [i]], labels[:, [i]], 0.1) for i in range(3)]
    expected = (3 * single[0] + 2 * single[1] + single[2]) / 6
    for weights in ([3.0, 2.0, 1.0], [0.75, 0.5, 0.25]):
        torch.testing.assert_close(objective(logits, labels, 0.1, torch.tensor(weights)), expected)
    torch.testing.assert_close(objective(logits, labels, 0.1, torch.ones(3)), objective(logits, labels, 0.1))


def test_objective_of_reduced_precision_is_float32() -> None:
    logits = normal(4, 1, 5).bfloat16()
    losses = objective(logits, digits(4, 1))
    assert losses.dtype == torch.float32
    assert torch.equal(losses, objective(logits.float(), digits(4, 1)))


def test_penalties_and_their_gradients() -> None:
    weights = [torch.tensor([[1.0, -2.0]], requires_grad=True), torch.tensor([3.0, -0.5], requires_grad=True)]
    assert l1_penalty(weights).item() == 6.5
    assert l2_penalty(weights).item() == 0.5 * (1 + 4 + 9 + 0.25)
    for weight, gradient in zip(weights, torch.autograd.grad(l1_penalty(weights), weights), strict=True):
        assert torch.equal(gradient, weight.sign())
    for weight, gradient in zip(weights, torch.autograd.grad(l2_penalty(weights), weights), strict=True):
        assert torch.equal(gradient, weight)


def test_penalties_of_no_weights_are_zero() -> None:
    assert l1_penalty([]).item() == l2_penalty([]).item() == 0.0


def test_mixup_blends_pictures_as_it_blends_labels() -> None:
    labels = torch.arange(16)[:, None]
    images = labels[:, :, None, None].float().expand(16, 1, 2, 2)  # a picture's value is its label
    mixed, first, second, lam = mixup(images, labels, alpha=1.0, seed_key=3)
    assert 0 < lam < 1
    assert torch.equal(first, labels)
    assert sorted(second.flatten().tolist()) == list(range(16))
    assert not torch.equal(first, second)
    expected = lam * first.double() + (1 - lam) * second.double()
    torch.testing.assert_close(mixed[:, 0].double().mean((1, 2)), expected.flatten(), rtol=0, atol=1e-5)


def test_mixup_is_a_function_of_its_key() -> None:
    images, labels = normal(8, 1, 2, 2), digits(8, 1)
    first, same, other = (mixup(images, labels, 0.4, key) for key in (1, 1, 2))
    assert torch.equal(first[0], same[0])
    assert first[3] == same[3]
    assert first[3] != other[3]


def test_mixup_shares_follow_the_beta_distribution() -> None:
    alpha, images, labels = 0.3, normal(2, 1, 1, 1), digits(2, 1)
    shares = torch.tensor([mixup(images, labels, alpha, key)[3] for key in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


@pytest.mark.parametrize("mixing", [mixup, cutmix])
def test_mixing_with_alpha_0_returns_the_batch_itself(mixing: Callable[..., Mixed]) -> None:
    images, labels = normal(4, 1, 2, 2), digits(4, 1)
    mixed, first, second, lam = mixing(images, labels, 0.0, 1)
    assert mixed is images
    assert first is labels
    assert second is labels
    assert lam == 1.0


def numbered(count: int, height: int = 9, width: int = 14) -> tuple[Tensor, Tensor]:
    """Pictures of one value, which is their label."""
    labels = torch.arange(count)[:, None]
    return labels[:, :, None, None].float().expand(count, 3, height, width), labels


@given(st.integers(0, 2**62), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 5))
def test_cutmix_pastes_one_box_and_shares_labels_by_its_exact_area(
    key: int, count: int, height: int, width: int, alpha: float
) -> None:
    images, labels = numbered(count, height, width)
    mixed, first, second, share = cutmix(images, labels, alpha, key)
    assert torch.equal(first, labels)
    assert sorted(second.flatten().tolist()) == list(range(count))
    own, others = (mixed == each[:, :, None, None] for each in (first, second))
    assert (own | others).all()
    boxes = ~own[(first != second).flatten()]
    if len(boxes):
        box = boxes[0, 0]
        assert (boxes == box).all()  # the same place in every picture and channel
        assert box.sum() == box.any(0).sum() * box.any(1).sum()
        assert share == 1 - box.sum().item() / box.numel()
    assert 0 <= share <= 1


def test_cutmix_is_a_function_of_its_key_and_leaves_the_input_alone() -> None:
    images, labels = normal(8, 1, 20, 20), digits(8, 1)
    before = images.clone()
    first, same, other = (cutmix(images, labels, 1.0, key) for key in (1, 1, 2))
    assert torch.equal(images, before)
    assert torch.equal(first[0], same[0])
    assert first[3] == same[3]
    assert not torch.equal(first[0], other[0])


def test_cutmix_takes_pictures_in_channels_last() -> None:
    images, labels = normal(8, 3, 20, 20), digits(8, 1)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(cutmix(last, labels, 1.0, 1)[0], cutmix(images, labels, 1.0, 1)[0])


def pasted(alpha: float, key: int, height: int, width: int) -> Tensor:
    """Where pixels of the partner stand, as 0 and 1 (height, width)."""
    images, labels = numbered(16, height, width)
    mixed, first, second, _ = cutmix(images, labels, alpha, key)
    paired = int((first != second).flatten().nonzero()[0])
    return (mixed[paired, 0] == second[paired]).float()


def test_a_whole_box_has_the_share_that_was_drawn_and_the_picture_s_proportions() -> None:
    height, width, whole = 60, 90, 0
    for key in range(200):
        box = pasted(1e6, key, height, width)  # the share is 1/2
        if not (box[0].any() or box[-1].any() or box[:, 0].any() or box[:, -1].any()):
            whole += 1
            sides = box.any(1).sum().item() / height, box.any(0).sum().item() / width
            assert sides == pytest.approx((0.5**0.5, 0.5**0.5), abs=1 / height)
    assert whole > 8


def test_boxes_lie_anywhere() -> None:
    often = torch.stack([pasted(1.0, key, 17, 17) for key in range(3000)]).mean(0)
    assert often.min() > 0.08  # the corners, too
    torch.testing.assert_close(often, often.flip(0), rtol=0, atol=0.06)
    torch.testing.assert_close(often, often.T, rtol=0, atol=0.06)


@pytest.mark.parametrize(("mixup_alpha", "cutmix_alpha"), [(0, 0), (0.4, 0), (0, 0.7), (0.4, 0.7)])
def test_mix_is_what_is_on_and_of_both_one_with_equal_chance(mixup_alpha: float, cutmix_alpha: float) -> None:
    images, labels = normal(6, 1, 12, 12), digits(6, 1)
    boxes = 0
    for key in range(400):
        mixed, first, second, share = mix(images, labels, mixup_alpha, cutmix_alpha, key)
        blended = mixup(images, labels, mixup_alpha, key)
        boxed = cutmix(images, labels, cutmix_alpha, key)
        is_box = torch.equal(mixed, boxed[0]) and cutmix_alpha > 0
        expected = boxed if is_box else blended
        assert torch.equal(mixed, expected[0])
        assert torch.equal(first, labels)
        assert torch.equal(second, expected[2])
        assert share == expected[3]
        boxes += is_box
    if mixup_alpha and cutmix_alpha:
        assert 160 < boxes < 240
    else:
        assert boxes == (400 if cutmix_alpha else 0)


def network() -> nn.Module:
    torch.manual_seed(0)  # initial weights
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def disturb(model: nn.Module, seed: int) -> None:
    """New weights, and one step of batch norm's running mean."""
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.add_(normal(*parameter.shape, seed=100 * seed + index))
    model(normal(8, 3, seed=seed))


def test_ema_is_the_average_written_out_and_copies_buffers() -> None:
    model, decay = network(), 0.35
    ema = Ema(model, decay)
    expected: list[Tensor] = [p.detach().double() for p in model.parameters()]
    for t in range(12):
        disturb(model, t)
        ema.update(model)
        d = min(decay, (1 + t) / (10 + t))
        weights = (p.detach().double() for p in model.parameters())
        expected = [torch.lerp(w, e, d) for e, w in zip(expected, weights, strict=True)]
        for mine, e in zip(ema.module.parameters(), expected, strict=True):
            torch.testing.assert_close(mine.double(), e, rtol=1e-5, atol=1e-6)
    assert ema.updates == 12
    for copied, buffer in zip(ema.module.buffers(), model.buffers(), strict=True):
        assert torch.equal(copied, buffer)


def test_ema_module_is_in_eval_mode_and_shares_nothing_with_the_model() -> None:
    model = network().train()
    ema = Ema(model, 0.9)
    before = copy.deepcopy(ema.module.state_dict())
    disturb(model, 1)
    assert all(torch.equal(before[name], value) for name, value in ema.module.state_dict().items())
    assert not ema.module.training
    assert not any(p.requires_grad for p in ema.module.parameters())
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_ema_goes_on_from_its_state_with_the_same_bits() -> None:
    model = network()
    straight, first = Ema(model, 0.9), Ema(model, 0.9)
    disturb(model, 1)
    straight.update(model)
    first.update(model)
    second = Ema(network(), 0.9)
    second.load_state_dict(first.state_dict())
    disturb(model, 2)
    straight.update(model)
    second.update(model)
    assert second.updates == 2
    for name, value in straight.module.state_dict().items():
        assert torch.equal(value, second.module.state_dict()[name])


@pytest.mark.parametrize(("higher_is_better", "sign"), [(False, 1), (True, -1)])
def test_early_stopping_counts_epochs_since_the_best(higher_is_better: bool, sign: int) -> None:
    stopper = EarlyStopping(patience=2, higher_is_better=higher_is_better)
    seen = [(stopper.observe(sign * value), stopper.should_stop) for value in (3.0, 2.0, 2.5, 1.0, 1.0, 4.0)]
    assert [improved for improved, _ in seen] == [True, True, False, True, False, False]
    assert [stop for _, stop in seen] == [False, False, False, False, False, True]
    assert stopper.best == sign * 1.0


def test_a_gain_of_min_delta_is_not_enough() -> None:
    stopper = EarlyStopping(patience=1, min_delta=0.25)
    assert [stopper.observe(value) for value in (1.0, 0.75, 0.5)] == [True, False, True]


@pytest.mark.parametrize("higher_is_better", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_never_improve(higher_is_better: bool, value: float) -> None:
    stopper = EarlyStopping(patience=2, higher_is_better=higher_is_better)
    assert not stopper.observe(value)
    assert stopper.best is None
    assert stopper.observe(1.0)
    assert not stopper.observe(value)
    assert stopper.best == 1.0


@given(st.lists(st.floats(), max_size=30))
def test_patience_0_never_stops(values: list[float]) -> None:
    stopper = EarlyStopping(patience=0)
    for value in values:
        stopper.observe(value)
        assert not stopper.should_stop


@given(st.lists(st.floats(), max_size=30), st.integers(0, 30), st.booleans())
def test_early_stopping_goes_on_from_its_state(values: list[float], cut: int, higher_is_better: bool) -> None:
    straight, first, second = (EarlyStopping(3, 0.1, higher_is_better) for _ in range(3))
    for value in values:
        straight.observe(value)
    for value in values[:cut]:
        first.observe(value)
    second.load_state_dict(first.state_dict())
    for value in values[cut:]:
        second.observe(value)
    assert second.state_dict() == straight.state_dict()
    assert second.should_stop == straight.should_stop
