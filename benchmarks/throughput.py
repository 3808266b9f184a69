"""How many images per second `svhn train` trains on, compared with other training loops.

    python benchmarks/throughput.py [--rounds 3] [--only a,c] [--device cuda] [--batch-size 128]

All contenders use the same network (model=cnn), optimizer, batch size and images, and those that
augment use equivalent augmentation (reg=light):

    a  svhn train, as a user runs it: memory-mapped images, augmentation, metrics, progress
    b  a bare loop on float batches in memory, no augmentation, fp32 with torch's defaults
    c  the same in bf16 autocast and channels_last
    d  PIL + torchvision transforms + DataLoader with 2 workers, fp32, as in many tutorials
    e  Lightning with the loader of d

Each contender runs in a process of its own, and they take turns in every round, so a slowdown of the
machine affects all of them. Ratios are computed within a round. Imports, start-up and the first steps are
not timed. With --device cuda, (b) and (c) hold all batches in the GPU's memory. Results differ widely between
machines: run this on yours.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import SVHN, argument_parser, print_round, run_process, value_range

WARM_UP, STEPS = 12, 60
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
    parser.add_argument("--contender", choices=list(LOOPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    setting = Setting(options.device, options.batch_size)
    if options.contender:
        print(json.dumps(LOOPS[options.contender](setting)))
        return
    names = options.only.split(",")
    rounds = []
    for number in range(options.rounds):
        rounds.append({name: measure(name, setting) for name in names})
        print_round(number + 1, rounds[-1])
    for name in names:
        rates = [rates[name] for rates in rounds]
        line = f"{name}  {NAMES[name]:34} {statistics.median(rates):7,.0f} images/s"
        line += f"  ({value_range(rates, ',.0f')})"
        if "a" in names and name != "a":
            ratios = [rates["a"] / rates[name] for rates in rounds]
            line += f"  a/{name} {statistics.median(ratios):.2f}  ({value_range(ratios, '.2f')})"
        print(line)


@dataclass(frozen=True)
class Setting:
    """What the contenders share; device is "cpu" or "cuda"."""

    device: str
    batch_size: int

    @property
    def n_images(self) -> int:
        return self.batch_size * (WARM_UP + STEPS)


def measure(name: str, setting: Setting) -> float:
    """Images per second of a contender, in a process of its own."""
    if name == "a":
        return svhn_train(setting)
    options = ["--device", setting.device, "--batch-size", str(setting.batch_size)]
    output, _ = run_process([sys.executable, __file__, "--contender", name, *options])
    return json.loads(output.splitlines()[-1])


def svhn_train(setting: Setting) -> float:
    """Run `svhn train`; the median over all epochs except the first."""
    words = [f"data.n_train={setting.n_images}", "data.n_test=0", "split.fraction=0.05", "test=false"]
    words += [f"device={setting.device}", f"batch_size={setting.batch_size}", "epochs=4"]
    with tempfile.TemporaryDirectory() as folder:
        run_process([*SVHN, "train", "-q", f"hydra.run.dir={folder}/run", *words])
        with (Path(folder) / "run" / "timing.csv").open(newline="") as file:
            rates = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(rates[1:])


# ----------------------------------------------------------------------------- the other loops


def load_images(n_images: int):
    """The images and labels that (a) trains on, from the same cache."""
    from svhncli.data.sources import synth
    from svhncli.data.store.cache import Cache, default_root

    train = synth.load(n_train=n_images, n_test=0, seed=0, size=32, cache=Cache(default_root())).train
    return train.images, train.labels[:, 0]


def make_network():
    from svhncli.models.cnn import Cnn

    return Cnn((3, 32, 32), 1, 10)


def train_loop(batches: Iterable[Any], setting: Setting, bf16: bool = False) -> float:
    """Train on batches of images and labels; the images per second after the warm-up."""
    import torch
    from torch.nn import functional

    model = make_network().to(setting.device)
    if bf16:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    started = 0.0
    for step, (x, y) in enumerate(batches):
        if step == WARM_UP:
            started = now(setting)
        x, y = x.to(setting.device), y.to(setting.device)
        with torch.autocast(setting.device, torch.bfloat16, enabled=bf16):
            logits = model(x).flatten(0, 1)
        loss = functional.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return setting.batch_size * STEPS / (now(setting) - started)


def now(setting: Setting) -> float:
    """Seconds, once the device has done all its work."""
    import torch

    if setting.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def bare_loop(setting: Setting, bf16: bool) -> float:
    import torch

    images, labels = load_images(setting.n_images)
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

    images, labels = load_images(setting.n_images)

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
            return self.transform(Image.fromarray(images[index].transpose(1, 2, 0))), int(labels[index])

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
            self.model = make_network()
            self.started = 0.0

        def training_step(self, batch, index: int):
            if index == WARM_UP:
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
    return setting.batch_size * STEPS / (now(setting) - module.started)


LOOPS = {
    "b": lambda setting: bare_loop(setting, bf16=False),
    "c": lambda setting: bare_loop(setting, bf16=True),
    "d": lambda setting: train_loop(make_loader(setting), setting),
    "e": lightning_loop,
}

if __name__ == "__main__":
    main()
