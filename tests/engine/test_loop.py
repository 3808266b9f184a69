"""The loop: a run restored after any step ends with the same bits, and every item of its state is needed."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from svhncli.core.errors import NotFiniteError
from svhncli.core.rng import numpy_generator
from svhncli.data.digits import Digits, NumberedNames
from svhncli.engine.augment import Augment, warp
from svhncli.engine.averaging import Ema
from svhncli.engine.batches import Batches, batch_bounds
from svhncli.engine.device import Machine
from svhncli.engine.forward import evaluate
from svhncli.engine.loop import Epoch, Tick, fit
from svhncli.engine.optimizers import param_groups
from svhncli.engine.policies import RANDAUGMENT, Policy
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.range_test import range_test
from svhncli.engine.schedules import Plateau
from svhncli.engine.state import Plan, State
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.engine.tta import views
from svhncli.runs import checkpoint
from svhncli.stats.metrics import VAL_LOSS, Metric

pytestmark = pytest.mark.engine

CPU = Machine(torch.device("cpu"), "fp32", 1)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise_digits(count=96, seed=0):
    """Noise with a trace of the label, so that training overfits and the metric peaks early."""
    draw = numpy_generator(seed, "noise")
    labels = draw.integers(0, 10, (count, 1))
    images = draw.integers(0, 200, (count, 3, 8, 8), dtype=np.uint8)
    images[np.arange(count), 0, labels[:, 0] % 8, 0] = 255
    return Digits(images, labels, np.arange(count), NumberedNames("noise", count))


class Net(nn.Module):
    """Batch norm has state beside the weights; dropout draws random numbers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)
        )
        self.head = nn.Linear(8 * 36, 10)

    def forward(self, x):
        return self.head(self.body(x)).unsqueeze(1)


def make_run(epochs=4, seed=0, lr=0.1, momentum=0.9, metric=VAL_LOSS, added=(), **options):
    digits = noise_digits()
    indices = np.arange(96)
    plan = Plan(
        train=Batches(digits, indices[:64], CPU.device),
        val=Batches(digits, indices[64:], CPU.device),
        preprocess=Preprocess.measure(digits.images, indices[:64]),
        machine=CPU,
        epochs=epochs,
        batch_size=13,
        lr=lr,
        seed=seed,
        metric=metric,
        added=added,
        policy=Policy(RANDAUGMENT, 2, 0.3, warp),
        augment=Augment(rotate=10, noise=0.1),
        mixup=0.3,
        cutmix=0.5,
        label_smoothing=0.1,
        penalties={"l1": 1e-5, "l2": 1e-4},
        clip=5.0,
        **options,
    )
    torch.manual_seed(seed)
    network = Net()
    state = State(
        model=network,
        optimizer=torch.optim.SGD(param_groups(network, 1e-3), lr, momentum=momentum),
        schedule=Plateau(gamma=0.5, patience=0),
        stopper=EarlyStopping(patience=2, higher_is_better=metric.higher_is_better),
        ema=Ema(network, 0.9),
        tally=Tally(),
    )
    return plan, state


def finish(plan, state):
    for event in fit(plan, state):
        if isinstance(event, Epoch) and state.stopper.should_stop:
            break
    return checkpoint.digest(state.state_dict())


def test_a_range_test_at_a_constant_lr_is_the_start_of_a_run():
    plan, state = make_run()
    done = 0
    for event in fit(plan, state):
        done += isinstance(event, Tick) and event.phase == "train"
        if done == 7:  # in the second epoch
            break
    plan, tested = make_run()
    points = list(range_test(plan, tested, plan.lr, plan.lr, 7))
    assert [point.lr for point in points] == [plan.lr] * 7
    assert checkpoint.digest(tested.model.state_dict()) == checkpoint.digest(state.model.state_dict())


def save_and_load(state, path):
    """The state as another process would load it."""
    checkpoint.save(path, state.state_dict())
    return checkpoint.load(path)


UNINTERRUPTED: list[str] = []


def uninterrupted_digest():
    if not UNINTERRUPTED:
        UNINTERRUPTED.append(finish(*make_run()))
    return UNINTERRUPTED[0]


@settings(deadline=None, max_examples=25)
@given(stop=st.integers(1, 24))
def test_a_run_resumed_after_any_step_ends_with_the_same_bits(tmp_path_factory, stop):
    plan, state = make_run()
    for done, _ in enumerate(fit(plan, state), 1):
        if done == stop:
            break
    saved = save_and_load(state, tmp_path_factory.mktemp("state") / "last.pt")
    plan, fresh = make_run()
    torch.manual_seed(12345 + stop)  # whatever the process did before
    fresh.load_state_dict(saved)
    assert finish(plan, fresh) == uninterrupted_digest()


@pytest.mark.parametrize(
    "item", ["model", "optimizer", "schedule", "stopper", "ema", "tally", "epoch", "step", "best", "history"]
)
def test_every_item_of_the_state_is_needed(tmp_path, item):
    """The negative control of the test above: a run resumed without the item ends differently."""
    plan, state = make_run()
    ticks = 0
    for event in fit(plan, state):
        ticks += isinstance(event, Tick)
        if state.epoch == 2 and state.step == 3:
            break
    saved = save_and_load(state, tmp_path / "last.pt")
    plan, fresh = make_run()
    saved[item] = fresh.state_dict()[item]
    fresh.load_state_dict(saved)
    assert finish(plan, fresh) != uninterrupted_digest()


def test_the_metric_of_the_resume_test_peaks_early_so_that_best_and_patience_matter():
    plan, state = make_run(epochs=9)
    finish(plan, state)
    assert state.best["epoch"] < len(state.history)
    assert state.stopper.should_stop
    assert len(state.history) < 9


def recall_of_fives(labels, probabilities):
    assert (labels.dtype, labels.shape) == (np.int64, (32, 1))
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (32, 1, 10))
    return (probabilities.argmax(-1) == 5)[labels == 5].mean()


def confidence(labels, probabilities):
    return float(probabilities.max(-1).mean())


LOWER = Metric("val_confidence", higher_is_better=False, compute=confidence)
HIGHER = Metric("val_confidence", higher_is_better=True, compute=confidence)
RECALL = Metric("val_recall_5", higher_is_better=True, format="percent", compute=recall_of_fives)


@pytest.mark.parametrize("metric", [LOWER, HIGHER])
def test_an_added_metric_determines_the_best_epoch_and_early_stopping(metric):
    plan, state = make_run(epochs=9, metric=metric, added=(metric, RECALL))
    improved = []
    for event in fit(plan, state):
        if isinstance(event, Epoch):
            improved.append(event.improved)
            if state.stopper.should_stop:
                break
    values = [row["val_confidence"] for row in state.history]
    best = max(values) if metric.higher_is_better else min(values)
    assert len(set(values)) == len(values)
    assert state.best == state.history[values.index(best)]
    assert improved == [
        value == (max if metric.higher_is_better else min)(values[: index + 1])
        for index, value in enumerate(values)
    ]
    assert state.stopper.best == best
    assert state.stopper.stale == len(values) - 1 - values.index(best)
    assert all(0 <= row["val_recall_5"] <= 1 for row in state.history)


def test_added_metrics_follow_the_built_in_columns_and_change_nothing_else():
    plan, plain = make_run()
    finish(plan, plain)
    plan, state = make_run(added=(LOWER, RECALL))
    finish(plan, state)
    names = {metric.name for metric in plan.added}
    assert list(state.history[0])[-2:] == ["val_confidence", "val_recall_5"]
    assert [{k: v for k, v in row.items() if k not in names} for row in state.history] == plain.history
    assert checkpoint.digest(state.model.state_dict()) == checkpoint.digest(plain.model.state_dict())


def test_an_added_metric_is_computed_from_the_predictions_of_every_image_in_order():
    plan, state = make_run(epochs=1, added=(LOWER,))
    finish(plan, state)
    _, probabilities = evaluate(state.ema.module, plan.val, plan.preprocess, CPU)
    assert state.history[0]["val_confidence"] == confidence(plan.val.labels, probabilities)


def test_a_resumed_run_keeps_the_best_epoch_by_an_added_metric(tmp_path):
    options = {"epochs": 6, "metric": LOWER, "added": (LOWER, RECALL)}
    plan, uninterrupted = make_run(**options)
    end = finish(plan, uninterrupted)
    assert uninterrupted.best["epoch"] < len(uninterrupted.history)
    plan, state = make_run(**options)
    for event in fit(plan, state):
        if isinstance(event, Tick) and (state.epoch, state.step) == (2, 3):
            break
    saved = save_and_load(state, tmp_path / "last.pt")
    plan, fresh = make_run(**options)
    fresh.load_state_dict(saved)
    assert finish(plan, fresh) == end
    assert fresh.best == uninterrupted.best


def test_the_message_on_an_added_metric_that_is_not_finite_names_it():
    metric = Metric("val_broken", higher_is_better=True, compute=lambda labels, probabilities: np.nan)
    plan, state = make_run(added=(metric,))
    with pytest.raises(NotFiniteError, match="val_broken became NaN in epoch 1"):
        finish(plan, state)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    assert finish(*make_run(seed=3)) == finish(*make_run(seed=3))
    assert finish(*make_run(seed=3)) != finish(*make_run(seed=4))


def test_a_finished_run_can_be_continued_for_more_epochs():
    plan, state = make_run(epochs=2)
    finish(plan, state)
    longer, _ = make_run(epochs=4)
    assert finish(longer, state) == uninterrupted_digest()


def spoil(tensor, value=np.nan):
    with torch.no_grad():
        tensor.view(-1)[0] = value


SPOILED = {
    "a weight": (lambda state: spoil(state.model.head.weight), "the training loss", "head.weight (Linear)"),
    "an output": (
        lambda state: spoil(state.model.body[1].weight, 3e38),
        "the training loss",
        "the output of body.1 (BatchNorm2d)",
    ),
    "a weight that is only validated": (
        lambda state: spoil(state.ema.module.body[0].bias),
        "val_loss",
        "body.0.bias (Conv2d)",
    ),
    "a running statistic": (
        lambda state: spoil(state.model.body[1].running_mean),
        "val_loss",
        "body.1.running_mean (BatchNorm2d)",
    ),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_the_message_on_a_loss_that_is_not_finite_names_epoch_step_and_layer(kind):
    plan, state = make_run()
    change, loss, origin = SPOILED[kind]
    change(state)
    step = ", step 1 (lr 0.1)" if loss == "the training loss" else ""
    with pytest.raises(NotFiniteError) as caught:
        finish(plan, state)
    message = re.sub("became (NaN|infinite) ", "", str(caught.value))
    assert message == f"{loss} in epoch 1{step}: the first value that is not finite is in {origin}"
    assert not any(module._forward_hooks for module in state.model.modules())


def test_a_loss_that_overflows_behind_the_network_is_not_blamed_on_a_layer():
    plan, state = make_run()
    with pytest.raises(NotFiniteError, match="all layers are finite, but not the loss or a penalty"):
        finish(replace(plan, penalties={"l2": 3e38}), state)


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were():
    plan, state = make_run(lr=1e30)
    for event in fit(plan, state):
        assert (event.phase, event.done) == ("train", 1), "the first step still has a finite loss"
        break
    before = [weights.detach().clone() for weights in state.model.parameters()]
    with pytest.raises(NotFiniteError, match="epoch 1, step 2"):
        finish(plan, state)
    assert all(map(torch.equal, before, state.model.parameters()))


def test_history_rows_match_an_independent_evaluation():
    plan, state = make_run(epochs=1)
    finish(plan, state)
    images, labels, _ = plan.val.take(np.arange(len(plan.val)))
    with torch.no_grad():
        logits = state.ema.module(plan.preprocess(images))[:, 0]
    row = state.history[0]
    assert row["val_accuracy"] == (logits.argmax(1) == labels[:, 0]).float().mean().item()
    assert row["val_loss"] == pytest.approx(
        nn.functional.cross_entropy(logits, labels[:, 0]).item(), rel=1e-5
    )
    score, probabilities = evaluate(state.ema.module, plan.val, plan.preprocess, CPU)
    assert score.accuracy == row["val_accuracy"]
    assert score.n == 32
    np.testing.assert_allclose(probabilities[:, 0], logits.softmax(1).numpy(), rtol=1e-4, atol=1e-6)


def test_the_averaged_probabilities_of_the_views_are_scored():
    plan, state = make_run(epochs=1)
    finish(plan, state)
    images, labels, _ = plan.val.take(np.arange(len(plan.val)))
    network = state.ema.module
    with torch.no_grad():
        view_probabilities = [
            network(plan.preprocess.normalize(view))[:, 0].double().softmax(1)
            for view in views(plan.preprocess.floats(images), 7)
        ]
    mean = torch.stack(view_probabilities).mean(0)
    score, probabilities = evaluate(network, plan.val, plan.preprocess, CPU, tta=7)
    np.testing.assert_allclose(probabilities[:, 0], mean.numpy(), rtol=1e-4, atol=1e-6)
    assert score.accuracy == (mean.argmax(1) == labels[:, 0]).float().mean().item()
    assert score.loss == pytest.approx(-mean.log()[np.arange(32), labels[:, 0]].mean().item(), rel=1e-5)
    assert score.loss != evaluate(network, plan.val, plan.preprocess, CPU)[0].loss


def test_a_policy_is_applied_before_the_other_augmentations():
    plan, state = make_run(epochs=1)
    calls = []

    def policy(images, key, rows):
        calls.append((images, key))
        return torch.full_like(images, 0.25)

    def augment(images, key, *_):
        assert (images == 0.25).all()
        calls.append((images, key))
        return images

    for event in fit(replace(plan, policy=policy, augment=augment), state):
        if isinstance(event, Tick):
            break
    (policy_images, policy_key), (_, augment_key) = calls
    assert policy_key != augment_key
    order = numpy_generator(plan.seed, "order", 0).permutation(64)
    taken = plan.train.take(order[: len(policy_images)]).images
    assert torch.equal(policy_images, plan.preprocess.floats(taken))


def test_validation_changes_nothing():
    plan, state = make_run(epochs=1)
    for event in fit(plan, state):
        if isinstance(event, Tick) and event.phase == "train" and event.done == event.of:
            before = checkpoint.digest(state.state_dict())
        if isinstance(event, Tick) and event.phase == "val":
            assert checkpoint.digest(state.state_dict()) == before


@given(count=st.integers(1, 5000), batch_size=st.integers(1, 600))
def test_batches_contain_every_image_once_and_their_sizes_differ_by_at_most_1(count, batch_size):
    sizes = np.diff(batch_bounds(count, batch_size))
    assert sizes.sum() == count
    assert sizes.max() <= batch_size
    assert sizes.max() - sizes.min() <= 1
