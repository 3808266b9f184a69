"""How many images per second `svhn train` trains on, compared with other training loops.

    python benchmarks/throughput.py [--rounds 3] [--only a,c] [--network cnn] [--device cuda]

All contenders use the same network, optimizer, batch size and images, and those that augment use equivalent
augmentation (reg=light). --network is one of cnn, numbers (the default network on whole numbers, 64x128),
resnet18 and wide_resnet (16 layers, 4 times as wide); d and e are for cnn alone.

    a  svhn train, as a user runs it: memory-mapped images, augmentation, metrics, progress
    b  a bare loop on float batches in memory, no augmentation, fp32 with torch's defaults
    c  the same in bf16 autocast and channels_last
    d  PIL + torchvision transforms + DataLoader with 2 workers, fp32, as in many tutorials
    e  Lightning with the loader of d

Each contender runs in a process of its own, and they take turns in every round, so a slowdown of the
machine affects all of them. Ratios are computed within a round. Imports, start-up and the first steps are
not timed. With --device cuda, (b) and (c) hold all batches in the GPU's memory. Results differ widely between
machines: run this on yours.

Beside the rates it prints the largest memory of each process. --overhead measures instead what an epoch of
the default training costs beyond its training steps and its validation: progress, saving, printing.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command import argument_parser, print_round, run_process, value_range

NAMES = {
    "a": "svhn train",
    "b": "bare loop, fp32",
    "c": "bare loop, bf16 + channels_last",
    "d": "PIL + torchvision + DataLoader",
    "e": "Lightning, loader of d",
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--only", default="a,b,c,d,e", metavar="NAMES", help="contenders, such as a,c")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="device to train on")
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="images per step")
    parser.add_argument("--network", choices=["cnn", "numbers", "resnet18", "wide_resnet"], default="cnn")
    parser.add_argument("--overhead", action="store_true", help="measure what an epoch costs beside steps")
    parser.add_argument("--contender", choices=list(LOOPS), help=argparse.SUPPRESS)
    parser.add_argument("--clocked", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clocked:
        print(json.dumps(clocked(options.clocked)))
        return
    setting = Setting(options.device, options.batch_size, options.network)
    if options.contender:
        print(json.dumps([LOOPS[options.contender](setting), memory(resource.RUSAGE_SELF)]))
        return
    if options.overhead:
        shares = [overhead() for _ in range(options.rounds)]
        print(f"an epoch's overhead: {statistics.median(shares):.1%} ({value_range(shares, '.1%')})")
        return
    names = options.only.split(",") if options.network == "cnn" else ["a", "b", "c"]
    rounds, sizes = [], dict.fromkeys(names, 0.0)
    for number in range(options.rounds):
        rounds.append({})
        for name in names:
            rounds[-1][name], size = measure(name, setting)
            sizes[name] = max(sizes[name], size)
        print_round(number + 1, rounds[-1])
    for name in names:
        rates = [rates[name] for rates in rounds]
        line = f"{name}  {NAMES[name]:34} {statistics.median(rates):7,.0f} images/s"
        line += f"  ({value_range(rates, ',.0f')})  {sizes[name]:.1f} GB"
        if "a" in names and name != "a":
            ratios = [rates["a"] / rates[name] for rates in rounds]
            line += f"  a/{name} {statistics.median(ratios):.2f}  ({value_range(ratios, '.2f')})"
        print(line)


@dataclass(frozen=True)
class Network:
    """What is trained: the shape of an image, the digits of a number at most, steps before the clock runs and
    while it does, and the words by which `svhn train` has it."""

    shape: tuple[int, int, int]
    positions: int
    warm_up: int
    steps: int
    words: list[str] = field(default_factory=list)


NETWORKS = {
    "cnn": Network((3, 32, 32), 1, 12, 60),
    "numbers": Network((3, 64, 128), 5, 4, 20, ["data=synth_full"]),
    "resnet18": Network((3, 32, 32), 1, 2, 8, ["model=resnet18"]),
    "wide_resnet": Network((3, 32, 32), 1, 2, 8, ["model=wide_resnet", "model.depth=16", "model.width=4"]),
}


@dataclass(frozen=True)
class Setting:
    """What the contenders share; device is "cpu" or "cuda"."""

    device: str
    batch_size: int
    name: str

    @property
    def network(self) -> Network:
        return NETWORKS[self.name]

    @property
    def n_images(self) -> int:
        return self.batch_size * (self.network.warm_up + self.network.steps)


def measure(name: str, setting: Setting) -> tuple[float, float]:
    """Images per second of a contender, in a process of its own, and its largest memory in GB."""
    if name == "a":
        return svhn_train(setting)
    options = ["--device", setting.device, "--batch-size", str(setting.batch_size)]
    options += ["--network", setting.name]
    output, _ = run_process([sys.executable, __file__, "--contender", name, *options])
    rate, size = json.loads(output.splitlines()[-1])
    return rate, size


def memory(whose: int) -> float:
    """The largest resident memory so far, in GB."""
    return resource.getrusage(whose).ru_maxrss / 1e6


def svhn_train(setting: Setting) -> tuple[float, float]:
    """Run `svhn train`; the median over all epochs except the first."""
    words = [f"data.n_train={setting.n_images}", "data.n_test=0", "split.fraction=0.05", "test=false"]
    words += [f"device={setting.device}", f"batch_size={setting.batch_size}", "epochs=4", "report=false"]
    code = "import resource, sys; from svhncli.cli.main import main; code = main(sys.argv[1:]); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6); raise SystemExit(code)"
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "-q", f"hydra.run.dir={folder}/run", *words, *setting.network.words]
        output, _ = run_process([sys.executable, "-c", code, *command])
        rates = [row["images_per_second"] for row in timing(Path(folder) / "run")]
    return statistics.median(rates[1:]), float(output.splitlines()[-1])


def timing(run: Path) -> list[dict[str, float]]:
    with (run / "timing.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def overhead() -> float:
    """The share of an epoch that is neither training steps nor validation, after the first epoch.

    Within one run, so that a change of the machine's speed cannot pass for it: the loop is a generator, and
    what its consumer spends between two of its yields is what an epoch costs beside them.
    """
    command = ["train", "-q", "epochs=6", "test=false", "report=false"]
    with tempfile.TemporaryDirectory() as folder:
        output, _ = run_process([sys.executable, __file__, "--clocked", *command, f"out={folder}/run"])
    inside, outside = json.loads(output.splitlines()[-1])
    return outside / (inside + outside)


def clocked(words: list[str]) -> list[float]:
    """Run `svhn`; the seconds that its loop took after the first epoch, and those of the loop's consumer."""
    from svhncli.cli.main import main as svhn
    from svhncli.engine.loop import Epoch
    from svhncli.training import fold

    seconds, fit = [0.0, 0.0], fold.fit

    def watched(*arguments: Any) -> Iterator[Any]:
        events, first = fit(*arguments), True
        entered = time.perf_counter()
        for event in events:
            left = time.perf_counter()
            yield event
            back = time.perf_counter()
            if not first:
                seconds[0] += left - entered
                seconds[1] += back - left
            first = first and not isinstance(event, Epoch)
            entered = back

    fold.fit = watched
    svhn(words)
    return seconds


# ----------------------------------------------------------------------------- the other loops


def load_images(setting: Setting):
    """The images and labels that (a) trains on, from the same cache."""
    from svhncli import registry
    from svhncli.cli import hydra_app

    words = [f"data.n_train={setting.n_images}", "data.n_test=0", *setting.network.words]
    config = hydra_app.composed("train", [], words)
    part = registry.data(config.data, config.split, config.cache, lambda *_: None).train
    _, height, width = setting.network.shape  # whole photographs are stored with a margin for augmentation
    top, left = (part.images.shape[2] - height) // 2, (part.images.shape[3] - width) // 2
    return part.images[:, :, top : top + height, left : left + width], part.labels


def make_network(setting: Setting):
    """The network of (a); the default one as others write it, with torch's own layers."""
    from torch import nn

    from svhncli import registry
    from svhncli.cli import hydra_app
    from svhncli.models.cnn import LAYERS

    network = setting.network
    classes = 10 if network.positions == 1 else 11
    config = hydra_app.composed("train", [], network.words)
    if config.model.name != "cnn":
        return registry.model(config.model, network.shape, network.positions, classes, 0.0)
    channels, height, width = network.shape
    layers: list[nn.Module] = []
    for out, kernel, stride in LAYERS:
        layers += [nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)]
        layers += [nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        channels, height, width = out, height // stride, width // stride
    head = nn.Linear(channels * height * width, network.positions * classes)
    return nn.Sequential(*layers, nn.Flatten(), head, nn.Unflatten(1, (network.positions, classes)))


def train_loop(batches: Iterable[Any], setting: Setting, bf16: bool = False) -> float:
    """Train on batches of images and labels; the images per second after the warm-up."""
    import torch
    from torch.nn import functional

    model = make_network(setting).to(setting.device)
    if bf16:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    started = 0.0
    for step, (x, y) in enumerate(batches):
        if step == setting.network.warm_up:
            started = now(setting)
        x, y = x.to(setting.device), y.to(setting.device)
        with torch.autocast(setting.device, torch.bfloat16, enabled=bf16):
            logits = model(x).flatten(0, 1)
        loss = functional.cross_entropy(logits.float(), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return setting.batch_size * setting.network.steps / (now(setting) - started)


def now(setting: Setting) -> float:
    """Seconds, once the device has done all its work."""
    import torch

    if setting.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def bare_loop(setting: Setting, bf16: bool) -> float:
    import torch

    images, labels = load_images(setting)
    x = (torch.from_numpy(images[:]).float() / 255 - 0.5) / 0.25
    if bf16:
        x = x.contiguous(memory_format=torch.channels_last)
    x, y = x.to(setting.device), torch.from_numpy(labels).to(setting.device)
    size = setting.batch_size
    return train_loop(zip(x.split(size), y.split(size), strict=True), setting, bf16)


def make_loader(setting: Setting):
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    images, labels = load_images(setting)

    class Images(Dataset):
        transform = transforms.Compose(
            [
                transforms.RandomAffine(8, translate=(0.06, 0.06), scale=(0.91, 1.1)),
                transforms.ColorJitter(brightness=0.1, contrast=0.15),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int):
            return self.transform(Image.fromarray(images[index].transpose(1, 2, 0))), int(labels[index, 0])

    return DataLoader(Images(), setting.batch_size, shuffle=True, num_workers=2)


def lightning_loop(setting: Setting) -> float:
    import logging
    import warnings

    import lightning
    import torch
    from torch.nn import functional

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = make_network(setting)
            self.started = 0.0

        def training_step(self, batch, index: int):
            if index == setting.network.warm_up:
                self.started = now(setting)
            x, y = batch
            return functional.cross_entropy(self.model(x).flatten(0, 1), y)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=3e-4)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu" if setting.device == "cpu" else "gpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, make_loader(setting))
    return setting.batch_size * setting.network.steps / (now(setting) - module.started)


LOOPS = {
    "b": lambda setting: bare_loop(setting, bf16=False),
    "c": lambda setting: bare_loop(setting, bf16=True),
    "d": lambda setting: train_loop(make_loader(setting), setting),
    "e": lightning_loop,
}

if __name__ == "__main__":
    main()
