"""Training on one GPU: images per second, what a step waits for, memory, and whether bits repeat.

    python benchmarks/gpu.py [--device cuda] [--quick] [--minutes 6.5] [--json FILE]

Three networks (cnn, wide_resnet, resnet18) train on noise of SVHN's size, with augmentation, a policy, mixup,
clipping and a moving average of the weights. One setting at a time differs from the first row. A row is
measured over whole blocks of steps, after a warm-up in which kernels are chosen and compiled.

Before that: whether a step waits for the GPU (torch's synchronization debug mode raises an error where one
does), whether a run repeats its bits, and whether one that is saved and loaded in the middle of an epoch ends
with the same ones. After it: k-fold cross-validation in as many processes as there are GPUs (two, if there is
one), against one after another.

Prints a Markdown table for each and, at the end, all figures as JSON. What does not fit into the minutes is
left out and listed. --device cpu --quick tries the script itself, with few images and steps.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import SVHN, argument_parser, run_process

from svhncli.config.groups.model import CnnConfig, Resnet18Config, WideResnetConfig
from svhncli.config.groups.optim import AdamConfig
from svhncli.config.groups.reg import AugmentConfig, RegConfig
from svhncli.config.groups.schedule import CosineConfig
from svhncli.config.groups.split import HoldoutConfig
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import UsageError
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.split import Fold
from svhncli.engine import device
from svhncli.engine.batches import Batches
from svhncli.engine.loop import Tick, fit
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.training.assembly import assemble

MODELS = {
    "cnn": CnnConfig(),
    "wide_resnet": WideResnetConfig(depth=16, width=4),
    "resnet18": Resnet18Config(),
}
REG = RegConfig(
    dropout=0.1,
    mixup=0.2,
    ema=0.99,
    augment=AugmentConfig(policy="randaugment", rotate=10, translate=0.05, noise=0.02, elastic=0.5),
)
CONFIG = TrainConfig(
    lr=3e-4,
    epochs=2,
    split=HoldoutConfig(),
    optim=AdamConfig(clip=1.0),
    schedule=CosineConfig(),
    reg=REG,
)
BLOCK = 20
"""Steps between two looks at the clock."""


@dataclass(frozen=True)
class Setting:
    """How a row differs from the first one."""

    name: str
    batch_size: int = 128
    resident: bool = True
    precision: str = "auto"
    compiled: bool = False
    deterministic: bool = True


SETTINGS = (
    Setting("defaults, batch 128"),
    Setting("images in main memory", resident=False),
    Setting("fp32", precision="fp32"),
    Setting("bf16", precision="bf16"),
    Setting("fp16", precision="fp16"),
    Setting("deterministic=false", deterministic=False),
    Setting("batch 512", batch_size=512),
    Setting("batch 2048", batch_size=2048),
    Setting("compile=true", compiled=True),
)


@dataclass
class Bench:
    """What all measurements share, and what they found."""

    where: str
    quick: bool
    deadline: float
    figures: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def on_gpu(self) -> bool:
        return self.where.startswith("cuda")

    def is_late(self, what: str) -> bool:
        """Whether the time is up; then what would come next is noted as left out."""
        if time.monotonic() < self.deadline:
            return False
        self.left_out.append(what)
        return True

    def start(self, model: str, setting: Setting, count: int) -> tuple[Plan, State]:
        """A run on `count` images of noise, before its first step."""
        machine = device.resolve(self.where, setting.precision, 0, setting.deterministic)
        machine = replace(machine, compiled=setting.compiled)
        device.prepare(machine)
        digits = noise(count + 64)
        fold = Fold("noise", np.arange(count), np.arange(count, count + 64))
        batches = Batches(digits, fold.train, machine.device)
        if not setting.resident:
            batches.resident = None
        config = replace(CONFIG, model=MODELS[model], batch_size=setting.batch_size)
        return assemble(config, machine, DataSet("noise", digits, "noise"), fold, batches, Show())

    def wait(self) -> float:
        """Seconds, once the device has done all its work."""
        if self.on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()


@lru_cache(maxsize=1)
def noise(count: int) -> Digits:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, 3, 32, 32), np.uint8)
    return Digits(images, draw.integers(0, 10, (count, 1)), np.arange(count), NumberedNames("noise", count))


def stepper(plan: Plan, state: State) -> Callable[[int], None]:
    """Take so many steps, in epoch after epoch of whole batches."""
    per_epoch = len(plan.train) // plan.batch_size

    def advance(steps: int) -> None:
        for _ in range(steps):
            if state.step == per_epoch:
                state.epoch, state.step = state.epoch + 1, 0
            if state.step == 0:
                advance.take = plan.train.of_epoch(plan.seed, state.epoch)
            first = state.step * plan.batch_size
            train_step(plan, state, advance.take(first, first + plan.batch_size))
            state.step += 1

    state.model.train()
    return advance


# ----------------------------------------------------------------------------- speed


def measure_speed(bench: Bench) -> Iterator[list[str]]:
    """A row per network and setting: images per second, seconds of warm-up, GPU memory at its peak."""
    yield ["network", "setting", "precision", "images/s", "ms a step", "warm-up, s", "memory, MiB"]
    rows = bench.figures.setdefault("speed", [])
    settings = [s for s in SETTINGS if bench.on_gpu or (s.precision != "fp16" and s.batch_size < 1000)]
    for setting in settings:
        for model in MODELS:
            if bench.is_late(f"{model}, {setting.name}") or (bench.quick and skipped(model, setting)):
                continue
            row = {"network": model, "setting": setting.name} | speed(bench, model, setting)
            rows.append(row)
            yield [
                model,
                setting.name,
                row["precision"],
                f"{row['images_per_second']:,.0f}",
                f"{row['ms_per_step']:.2f}",
                f"{row['warm_up_seconds']:.1f}",
                f"{row['mib']:,.0f}",
            ]


def skipped(model: str, setting: Setting) -> bool:
    """What --quick leaves out: the large networks, and large batches."""
    return setting.batch_size > 128 or (model != "cnn" and setting != SETTINGS[0])


def speed(bench: Bench, model: str, setting: Setting) -> dict[str, Any]:
    count = 64 if bench.quick else 60_000
    if bench.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    plan, state = bench.start(model, replace(setting, batch_size=16) if bench.quick else setting, count)
    advance = stepper(plan, state)
    block, least = (1, 0.0) if bench.quick else (BLOCK, 1.5)
    started = bench.wait()
    advance(block)
    warm = now = bench.wait()
    steps = 0
    while not steps or now - warm < least:
        advance(block)
        steps += block
        now = bench.wait()
    seconds = now - warm
    return {
        "precision": plan.machine.precision,
        "images_per_second": steps * plan.batch_size / seconds,
        "ms_per_step": 1000 * seconds / steps,
        "warm_up_seconds": warm - started,
        "mib": torch.cuda.max_memory_allocated() / 2**20 if bench.on_gpu else 0.0,
    }


# ----------------------------------------------------------------------------- waits


def measure_waits(bench: Bench) -> Iterator[list[str]]:
    """A row per network and setting: what made a step wait for the GPU."""
    yield ["network", "setting", "a step waits for"]
    for model in MODELS:
        for setting in (SETTINGS[0], SETTINGS[1], Setting("fp16", precision="fp16")):
            unfit = not bench.on_gpu and setting.precision == "fp16"
            if unfit or bench.is_late(f"waits of {model}, {setting.name}"):
                continue
            reason = what_waits(bench, model, setting)
            bench.figures.setdefault("waits", {})[f"{model}, {setting.name}"] = reason
            yield [model, setting.name, reason]


def what_waits(bench: Bench, model: str, setting: Setting) -> str:
    size = 16 if bench.quick else setting.batch_size
    plan, state = bench.start(model, replace(setting, batch_size=size), 5 * size)
    advance = stepper(plan, state)
    advance(1)  # the first step fills the optimizer's state and chooses kernels
    if not bench.on_gpu:
        advance(1)
        return "not measured on a CPU"
    torch.cuda.set_sync_debug_mode("error")
    try:
        advance(3)
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "nothing"


# ----------------------------------------------------------------------------- bits


def measure_bits(bench: Bench) -> Iterator[list[str]]:
    """A row per setting: whether a second run, and one saved and loaded on the way, have the same bits."""
    yield ["setting", "repeated", "resumed"]
    precisions = ("fp32", "bf16", "fp16") if bench.on_gpu else ("fp32",)
    settings = [Setting(precision, precision=precision) for precision in precisions]
    settings += [Setting("deterministic=false", deterministic=False), Setting("compile=true", compiled=True)]
    for setting in settings:
        if bench.is_late(f"bits, {setting.name}"):
            continue
        first, second = (digest(bench, setting) for _ in range(2))
        row = {"repeated": first == second, "resumed": first == digest(bench, setting, stop=7)}
        bench.figures.setdefault("bits", {})[setting.name] = row
        yield [setting.name, *("same bits" if same else "other bits" for same in row.values())]


def digest(bench: Bench, setting: Setting, stop: int | None = None) -> str:
    """Of the state after two epochs of ten steps; the run is saved and loaded after `stop` steps."""
    count, setting = (160, replace(setting, batch_size=16)) if bench.quick else (1_280, setting)
    plan, state = bench.start("cnn", setting, count)
    for event in fit(plan, state):
        if isinstance(event, Tick) and event.phase == "train" and event.done == stop and state.epoch == 0:
            break
    if stop is not None:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(Path(folder) / "last.pt", state.state_dict())
            plan, state = bench.start("cnn", setting, count)
            state.load_state_dict(checkpoint.load(Path(folder) / "last.pt"))
        for _ in fit(plan, state):
            pass
    return checkpoint.digest(state.state_dict())


# ----------------------------------------------------------------------------- folds


def measure_folds(bench: Bench) -> Iterator[list[str]]:
    """A row per number of processes: seconds of a command that trains four folds."""
    yield ["jobs", "GPUs", "seconds"]
    gpus = torch.cuda.device_count() if bench.on_gpu else 0
    images = 600 if bench.quick else 20_000
    words = ["split=kfold", "split.k=4", f"data.n_train={images}", "data.n_test=0", "epochs=2", "test=false"]
    words += ["report=false", "watch=0", f"device={bench.where}"]
    with tempfile.TemporaryDirectory() as folder:
        run_process([*SVHN, "train", "-q", *words, "split.fold=0", "epochs=1", f"out={folder}/renders"])
        for jobs in ("1", str(max(2, gpus))):
            if bench.is_late(f"four folds, jobs={jobs}"):
                continue
            _, seconds = run_process([*SVHN, "train", "-q", *words, f"jobs={jobs}", f"out={folder}/{jobs}"])
            bench.figures.setdefault("folds", {})[jobs] = seconds
            yield [jobs, str(gpus), f"{seconds:.1f}"]


# ----------------------------------------------------------------------------- all


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 ... or cpu")
    parser.add_argument("--quick", action="store_true", help="few images and steps, to try the script")
    parser.add_argument("--minutes", type=float, default=6.5, help="nothing new is begun after so many")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    try:
        machine = device.resolve(options.device, "auto", 0)
    except UsageError as error:
        print(f"{error.message}; {error.hint}; or try the script: --device cpu --quick", file=sys.stderr)
        sys.exit(2)
    bench = Bench(options.device, options.quick, time.monotonic() + 60 * options.minutes)
    bench.figures["machine"] = {
        "device": torch.cuda.get_device_name(machine.device) if bench.on_gpu else "cpu",
        "precision": machine.precision,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": machine.threads,
    }
    print(json.dumps(bench.figures["machine"]))
    for measure in (measure_waits, measure_bits, measure_speed, measure_folds):
        print_table(measure(bench))
    if bench.left_out:
        bench.figures["left_out"] = bench.left_out
        print(f"\nLeft out, since the time was up: {'; '.join(bench.left_out)}")
    print(f"\n{json.dumps(bench.figures)}")
    if options.json:
        options.json.write_text(json.dumps(bench.figures, indent=1))


def print_table(rows: Iterator[list[str]]) -> None:
    """Markdown, row by row as they are measured."""
    header = next(rows)
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
