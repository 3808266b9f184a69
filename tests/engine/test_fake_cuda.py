"""On a fake GPU: training, augmentation and evaluation mix no devices, and no step waits for the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_gpu import GPU, FakeGpu, StepWaitsError, fake_gpu
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from svhncli import registry
from svhncli.config.groups.model import (
    CnnConfig,
    LinearConfig,
    MlpConfig,
    NetworkConfig,
    Resnet18Config,
    SpotterConfig,
    WideResnetConfig,
)
from svhncli.config.groups.optim import AdamConfig, AdamwConfig, MuonConfig, RmspropConfig, SgdConfig
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.framing import Framing
from svhncli.engine.augment import Augment, warp
from svhncli.engine.averaging import Ema
from svhncli.engine.batches import Batches, GatherAhead, Interleaved, Passes
from svhncli.engine.device import Machine
from svhncli.engine.forward import predictions
from svhncli.engine.policies import OPERATIONS, RANDAUGMENT, TRIVIALAUGMENT, Policy
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.schedules import Constant
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.engine.tta import VIEWS

COUNT, SIDE, POSITIONS = 40, 20, 2
MACHINE = Machine(GPU, "fp32", 1)
CNN, MLP = CnnConfig(), MlpConfig(widths=[16])
NETWORKS = {
    "linear": LinearConfig(),
    "mlp": MLP,
    "cnn": CNN,
    "cnn-stn": CnnConfig(stn=True),
    "cnn-boxes": CnnConfig(stn=True, reader="columns"),
    "spotter": SpotterConfig(stn=True, stn_size=[32, 32]),
    "wide_resnet": WideResnetConfig(depth=10, width=1),
}
POLICIES = {
    "none": None,
    "randaugment": Policy(RANDAUGMENT, 2, 0.3, warp),
    "trivialaugment": Policy(TRIVIALAUGMENT, 1, None, warp),
}
EVERYTHING = Augment(
    *(10, 0.1, 0.1, 5, 2),
    elastic=1,
    **dict.fromkeys(("brightness", "contrast", "saturation", "noise", "blur", "erase"), 0.1),
    hflip=True,
)
OPTIMIZERS = {
    "sgd": SgdConfig(),
    "adam": AdamConfig(),
    "adamw": AdamwConfig(),
    "rmsprop": RmspropConfig(),
    "muon": MuonConfig(),
}


@pytest.fixture
def gpu() -> Iterator[FakeGpu]:
    with fake_gpu() as gpu:
        yield gpu


def noise() -> Digits:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (COUNT, 3, SIDE, SIDE), np.uint8)
    labels = draw.integers(0, 11, (COUNT, POSITIONS))
    corners = draw.uniform(0, 10, (COUNT, POSITIONS, 2))
    boxes = np.concatenate([corners, corners + 8], 2).astype(np.float32)
    sizes = np.full((COUNT, 2), SIDE, np.int32)
    return Digits(images, labels, np.arange(COUNT), NumberedNames("noise", COUNT), boxes, sizes)


def run(
    network: NetworkConfig = CNN,
    machine: Machine = MACHINE,
    optim: str = "adam",
    gated: bool = False,
    **options: object,
) -> tuple[Plan, State]:
    """A run on the fake GPU with all that a step can do, unless `options` says otherwise."""
    digits, shape = noise(), (3, SIDE - 4, SIDE - 4)
    framing = Framing(*shape[1:], "boxes", jitter=0.125)
    batches = Batches(digits, np.arange(COUNT), machine.device, framing)
    config, box_loss = OPTIMIZERS[optim], float(network in (NETWORKS["cnn-boxes"], NETWORKS["spotter"]))
    model = registry.model(network, shape, POSITIONS, 11, 0.1, gated=gated, box_loss=box_loss, fresh=False)
    ema = Ema(model, 0.9)  # which copies the network: fake tensors cannot be copied
    for copy in (model, ema.module):
        copy.to(machine.device, memory_format=torch.channels_last)
    plan = Plan(
        train=batches,
        val=batches,
        preprocess=Preprocess(framing, False, (0.5,) * 3, (0.2,) * 3),
        machine=machine,
        epochs=1,
        batch_size=7,
        lr=0.1,
        seed=0,
    )
    everything = {
        "augment": EVERYTHING,
        "clip": 1.0,
        "penalties": {"l1": 0.1, "l2": 0.1, "l0": 0.1 * gated},
        "label_smoothing": 0.1,
        "position_weights": torch.ones(POSITIONS).to(machine.device),
        "mixup": 0.2,
    }
    state = State(
        model=model,
        optimizer=registry.optimizer(config, model, 0.1),
        schedule=Constant(),
        stopper=EarlyStopping(0),
        ema=ema,
        tally=Tally(machine.device),
        scaler=torch.amp.GradScaler("cuda") if machine.precision == "fp16" else None,
    )
    return replace(plan, **(everything | options)), state


def steps(gpu: FakeGpu, plan: Plan, state: State, count: int = 1) -> None:
    """The first steps of an epoch, none of which may wait."""
    state.model.train()
    take = plan.train.of_epoch(plan.seed, 0)
    with gpu.running_steps():
        for state.step in range(count):
            loss = train_step(plan, state, take(7 * state.step, 7 * state.step + 7))
            assert loss.device == GPU
    assert all(p.grad is not None and p.grad.device == GPU for p in state.model.parameters())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_mixes_no_devices_and_waits_for_nothing(gpu: FakeGpu, network: str, policy: str) -> None:
    steps(gpu, *run(NETWORKS[network], policy=POLICIES[policy]))


def test_a_large_network_waits_for_nothing(gpu: FakeGpu) -> None:
    steps(gpu, *run(Resnet18Config()))


@pytest.mark.parametrize(
    "change", [{"mixup": 0.0}, {"mixup": 0.0, "cutmix": 1.0}, {"cutmix": 1.0}, {"clip": 0.0}]
)
def test_no_way_of_mixing_waits(gpu: FakeGpu, change: dict[str, float]) -> None:
    steps(gpu, *run(MLP, **change))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("optim", ["sgd", "adam", "adamw"])
def test_no_optimizer_waits_in_any_precision(gpu: FakeGpu, optim: str, precision: str) -> None:
    steps(gpu, *run(MLP, replace(MACHINE, precision=precision), optim), count=2)


@pytest.mark.parametrize("optim", ["rmsprop", "muon"])
def test_no_optimizer_without_a_fused_kernel_waits(gpu: FakeGpu, optim: str) -> None:
    steps(gpu, *run(MLP, optim=optim), count=2)


def test_gates_do_not_wait(gpu: FakeGpu) -> None:
    steps(gpu, *run(MLP, gated=True))


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_of_a_policy_waits(gpu: FakeGpu, name: str) -> None:
    images = torch.zeros(4, 3, SIDE, SIDE, device=GPU)
    chosen = torch.full((4,), OPERATIONS.index(name))
    with gpu.running_steps():
        changed = POLICIES["randaugment"].change(images, chosen, torch.ones(4))
    assert (changed.shape, changed.device) == (images.shape, GPU)


@pytest.mark.parametrize("views", [1, len(VIEWS)])
@pytest.mark.parametrize("grey", [False, True])
def test_evaluation_does_not_wait(gpu: FakeGpu, views: int, grey: bool) -> None:
    plan, state = run()
    preprocess = replace(plan.preprocess, framing=Framing(16, 16), grey=grey)  # and images are resized
    if grey:
        preprocess = replace(preprocess, mean=(0.5,), std=(0.2,))
        state.model.register_forward_pre_hook(lambda model, args: (args[0].expand(-1, 3, -1, -1),))
    with gpu.running_steps():
        (probabilities,) = predictions(state.model, plan.val, preprocess, plan.machine, state.tally, views)
    assert (probabilities.shape, probabilities.device) == ((COUNT, POSITIONS, 11), GPU)


# ----------------------------------------------------------------------------- batches


def test_a_resident_batch_needs_no_copy_at_all(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    take = Batches(noise(), np.arange(COUNT), GPU).of_epoch(0, 0)
    monkeypatch.setattr(torch.Tensor, "pin_memory", None)
    with gpu.running_steps():
        images, labels, _ = take(7, 14)
    assert (images.device, images.shape, labels.device, labels.shape) == (GPU, (7, 3, 20, 20), GPU, (7, 2))


def test_images_are_resident_if_they_fill_less_than_half_of_the_free_memory() -> None:
    part = np.arange(COUNT // 2)
    needed = noise().images.nbytes // 2
    for free, fits in [(2 * needed, False), (2 * needed + 2, True)]:
        with fake_gpu(free) as gpu:
            batches = Batches(noise(), part, GPU)
            assert (batches.resident is not None) == fits
            with gpu.running_steps():
                images, labels, _ = batches.of_epoch(0, 0)(0, 7)
            assert (images.device, labels.device) == (GPU, GPU)


def test_mixed_and_rendered_images_do_not_wait() -> None:
    for free in (0, 1 << 30):
        with fake_gpu(free) as gpu:
            real, rendered = (Batches(noise(), np.arange(COUNT), GPU) for _ in range(2))
            take = Interleaved(real, Passes(rendered, 25)).of_epoch(0, 0)
            with gpu.running_steps():
                shapes = [take(start, start + 13)[0].shape[0] for start in range(0, 65, 13)]
            assert shapes == [13] * 5


def test_batches_gathered_ahead_are_those_of_the_order() -> None:
    """Whether the next batch follows, is smaller or one larger, is larger still, or lies elsewhere."""
    draw = np.random.default_rng(1)
    images, rows = draw.integers(0, 256, (50, 3, 2, 2), np.uint8), draw.permutation(50)
    gather = GatherAhead(images, rows)
    for start, stop in [(0, 7), (7, 14), (14, 22), (22, 25), (25, 40), (3, 10), (40, 47), (47, 50)]:
        np.testing.assert_array_equal(gather(start, stop).numpy(), images[rows[start:stop]])


# ----------------------------------------------------------------------------- what the fake GPU refuses


@pytest.mark.parametrize(
    "read",
    [
        torch.Tensor.item,
        bool,
        float,
        torch.Tensor.cpu,
        lambda value: value.new_zeros(3)[torch.zeros(3, dtype=torch.bool).to(GPU)],
        lambda value: value.new_zeros(3).nonzero(),
    ],
)
def test_reading_from_the_gpu_is_found(gpu: FakeGpu, read: Callable[[torch.Tensor], object]) -> None:
    value = torch.zeros((), device=GPU)
    refusals = DataDependentOutputException, DynamicOutputShapeException, StepWaitsError
    with pytest.raises(refusals), gpu.running_steps():
        read(value)


@pytest.mark.parametrize(
    "copy",
    [
        lambda: torch.zeros(3).to(GPU),
        lambda: torch.zeros(3).to(GPU, non_blocking=True),
        lambda: torch.zeros(3).pin_memory().to(GPU),
        lambda: torch.tensor([0.5, 0.5], device=GPU),
        lambda: torch.zeros(3, device=GPU).copy_(torch.zeros(3)),
    ],
)
def test_a_copy_that_waits_is_found(gpu: FakeGpu, copy: Callable[[], object]) -> None:
    with pytest.raises(StepWaitsError), gpu.running_steps():
        copy()


def test_a_tensor_of_the_cpu_is_found(gpu: FakeGpu) -> None:
    with pytest.raises(AssertionError, match="convert all Tensors to FakeTensors"):
        torch.zeros(3, device=GPU) + torch.zeros(3)


class Reads(nn.Module):
    """A network that looks at a value of its input."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images if images.sum().item() else -images)


def test_a_network_that_waits_is_found(gpu: FakeGpu) -> None:
    plan, state = run()
    state.model = Reads(state.model)
    with pytest.raises(DataDependentOutputException):
        steps(gpu, plan, state)


def test_weights_left_on_the_cpu_are_found(gpu: FakeGpu) -> None:
    plan, state = run()
    with pytest.raises(AssertionError, match="convert all Tensors to FakeTensors"):
        steps(gpu, replace(plan, position_weights=torch.ones(POSITIONS)), state)
