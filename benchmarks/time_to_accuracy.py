"""Seconds until 80, 90 and 95% of held-out digits are classified correctly, by svhn and by others.

    python benchmarks/time_to_accuracy.py [--rounds 3] [--only a,c] [--limit 600] [--peers PYTHON]

Every contender trains on the same rendered digits (the training images of data=synth, split=holdout) and is
scored on the same held-out ones after each of its epochs, on 2 cores. The clock runs from the start of its
process: imports, reading its data and scoring count, since whoever types the command waits for them.
Preparing the data does not: what each reads lies in a file or folder of its own before the clock starts.

    a  svhn train
    b  svhn train experiment=quick
    c  the article's pipeline: its network, PIL and DataLoader, Adam 1e-3, batches of 40
    d  torchvision's resnet18 as in the tutorials: ImageFolder, DataLoader, SGD with momentum
    e  Lightning with the network, optimizer and batch size of (a), and the loader of (d)
    f  timm: resnet18, its loader with augmentation, its AdamW and cosine schedule
    g  ultralytics: yolo classify train, yolo11n-cls from scratch

A contender stops once it has reached 95%, or after --limit seconds. --peers names the Python of an
environment with torch, lightning, timm and ultralytics, which are no dependencies of svhn:

    python -m venv peers && peers/bin/pip install torch torchvision lightning timm ultralytics
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from command import SVHN, argument_parser, run_process, value_range

GOALS = (0.80, 0.90, 0.95)
NAMES = {
    "a": "svhn train",
    "b": "svhn train experiment=quick",
    "c": "the article's pipeline",
    "d": "torchvision resnet18, tutorial",
    "e": "Lightning, our network",
    "f": "timm resnet18",
    "g": "ultralytics yolo11n-cls",
}
EPOCHS = 100
CORES = 2


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--only", default=",".join(NAMES), metavar="NAMES", help="contenders, such as a,c")
    parser.add_argument("--limit", type=float, default=600, metavar="S", help="seconds for each")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="the peers' environment")
    parser.add_argument("--contender", choices=list(LOOPS), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        for epoch, accuracy in enumerate(LOOPS[options.contender](options.data), 1):
            print(f"epoch {epoch} accuracy {accuracy}", flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(Path(folder))
        rounds: list[dict[str, list[float | None]]] = []
        for number in range(options.rounds):
            rounds.append({})
            for name in options.only.split(","):
                rounds[-1][name] = measure(name, data, options.limit, options.peers)
                print(f"round {number + 1}  {name}  {rounds[-1][name]}", file=sys.stderr, flush=True)
    print(f"| | {' | '.join(f'{goal:.0%}' for goal in GOALS)} |\n|---|{'---|' * len(GOALS)}")
    for name in options.only.split(","):
        cells = [
            cell([seconds[name][place] for seconds in rounds], options.limit) for place in range(len(GOALS))
        ]
        print(f"| {NAMES[name]} | {' | '.join(cells)} |")


def cell(seconds: Sequence[float | None], limit: float) -> str:
    """Median and range over the rounds; "not in 600 s" where a round did not get there."""
    reached = [value for value in seconds if value is not None]
    if len(reached) < len(seconds):
        return f"not in {limit:.0f} s"
    return f"{statistics.median(reached):.1f} s ({value_range(reached, '.1f')})"


def prepared(folder: Path) -> Path:
    """The training and held-out digits that `svhn train` has, as arrays and as folders of PNGs."""
    import numpy as np
    from PIL import Image

    from svhncli.data.sources import synth
    from svhncli.data.store.cache import Cache, default_root

    run_process([*SVHN, "train", "-q", "model=linear", "epochs=1", "report=false", f"out={folder}/first"])
    split = json.loads((folder / "first" / "split.json").read_text())
    digits = synth.load(n_train=40000, n_test=4000, seed=0, size=32, cache=Cache(default_root())).train
    for part in ("train", "val"):
        images, labels = digits.images[split[part]], digits.labels[split[part], 0]
        np.savez(folder / f"{part}.npz", images=images, labels=labels)
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = folder / "png" / part / str(label) / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(file)
    return folder


def measure(name: str, data: Path, limit: float, peers: str) -> list[float | None]:
    """Seconds from the start of a contender to each of the goals."""
    run = data / "run"
    shutil.rmtree(run, ignore_errors=True)
    if name in ("a", "b"):
        words = ["experiment=quick"] if name == "b" else ["epochs=20"]
        command = [*SVHN, "train", f"out={run}", "test=false", "report=false", *words]
    else:
        command = [peers, __file__, "--contender", name, "--data", str(data)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(CORES), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])  # the network of (c) and (e)
    started, reached = time.monotonic(), dict.fromkeys(GOALS)
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, limit)
    last = ""
    for line in process.stdout:
        last = line
        if (accuracy := read_accuracy(line)) is not None:
            for goal in GOALS:
                if reached[goal] is None and accuracy >= goal:
                    reached[goal] = time.monotonic() - started
            if accuracy >= GOALS[-1]:
                break
    signal.setitimer(signal.ITIMER_REAL, 0)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    if code > 0:
        raise SystemExit(f"{NAMES[name]} failed: {last}")
    return list(reached.values())


def read_accuracy(line: str) -> float | None:
    """Of the held-out digits, from a line that a contender or `svhn train` prints after an epoch."""
    if match := re.match(r"epoch \d+ accuracy ([\d.]+)", line):
        return float(match[1])
    if match := re.match(r"epoch .* val \S+ +([\d.]+)%", line):
        return float(match[1]) / 100
    return None


# ----------------------------------------------------------------------------- the contenders


def loader(data: Path, part: str, transform: Any, batch_size: int) -> Any:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    images = ImageFolder(str(data / "png" / part), transform)
    return DataLoader(images, batch_size, shuffle=part == "train", num_workers=CORES)


def transforms(*augmentation: Any) -> Any:
    from torchvision import transforms as T

    return T.Compose([*augmentation, T.ToTensor(), T.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))])


def accuracy(network: Any, batches: Any) -> float:
    import torch

    network.eval()
    right = count = 0
    with torch.inference_mode():
        for x, y in batches:
            right += int((network(x).flatten(0, -2).argmax(1) == y).sum())
            count += len(y)
    return right / count


def plain_loop(network: Any, optimizer: Any, train: Any, val: Any) -> Iterator[float]:
    """The loop of many tutorials: the accuracy after each epoch."""
    from torch.nn import functional

    for _ in range(EPOCHS):
        network.train()
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(network(x).flatten(0, -2), y).backward()
            optimizer.step()
        yield accuracy(network, val)


def article(data: Path) -> Iterator[float]:
    import torch
    from torchvision import transforms as T

    from svhncli.models.datawhale import Datawhale

    network = Datawhale((3, 32, 32), 1, 10)
    augment = transforms(T.Resize((32, 32)), T.ColorJitter(0.3, 0.3, 0.2), T.RandomRotation(10))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    return plain_loop(
        network, optimizer, loader(data, "train", augment, 40), loader(data, "val", transforms(), 40)
    )


def tutorial(data: Path) -> Iterator[float]:
    import torch
    from torchvision.models import resnet18

    network = resnet18(num_classes=10)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    return plain_loop(
        network, optimizer, loader(data, "train", transforms(), 64), loader(data, "val", transforms(), 64)
    )


def lightning_(data: Path) -> Iterator[float]:
    import logging
    import warnings

    import lightning
    import torch
    from torch.nn import functional
    from torchvision import transforms as T

    from svhncli.models.cnn import Cnn

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = Cnn((3, 32, 32), 1, 10)

        def training_step(self, batch: Any, index: int) -> Any:
            return functional.cross_entropy(self.network(batch[0]).flatten(0, 1), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            right = self.network(batch[0]).flatten(0, 1).argmax(1) == batch[1]
            self.log("accuracy", right.float().mean(), batch_size=len(right))

        def on_validation_epoch_end(self) -> None:
            if not self.trainer.sanity_checking:
                value = float(self.trainer.callback_metrics["accuracy"])
                print(f"epoch {self.current_epoch + 1} accuracy {value}", flush=True)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=3e-4)

    augment = transforms(T.RandomAffine(8, (0.06, 0.06), (0.91, 1.1)), T.ColorJitter(0.1, 0.15))
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(Module(), loader(data, "train", augment, 128), loader(data, "val", transforms(), 512))
    yield from ()


def timm_(data: Path) -> Iterator[float]:
    """The parts of timm's train.py, which its package does not contain."""
    import timm
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from torch.nn import functional

    network = timm.create_model("resnet18", num_classes=10)

    def batches(part: str, size: int) -> Any:
        images = create_dataset("", str(data / "png" / part), is_training=part == "train")
        return create_loader(
            images,
            (3, 32, 32),
            size,
            is_training=part == "train",
            use_prefetcher=False,
            hflip=0.0,
            scale=(0.8, 1.0),
            color_jitter=0.2,
            num_workers=CORES,
            crop_pct=1.0,
        )

    train, val = batches("train", 128), batches("val", 512)
    optimizer = create_optimizer_v2(network, "adamw", lr=1e-3, weight_decay=0.05)
    schedule, _ = create_scheduler_v2(optimizer, "cosine", num_epochs=20)
    for epoch in range(EPOCHS):
        network.train()
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(network(x), y).backward()
            optimizer.step()
        schedule.step(epoch + 1)
        yield accuracy(network, val)


def ultralytics_(data: Path) -> Iterator[float]:
    from ultralytics import YOLO

    model = YOLO("yolo11n-cls.yaml", task="classify", verbose=False)

    def after_epoch(trainer: Any) -> None:
        value = float(trainer.metrics["metrics/accuracy_top1"])
        print(f"epoch {trainer.epoch + 1} accuracy {value}", flush=True)

    model.add_callback("on_fit_epoch_end", after_epoch)
    model.train(
        data=str(data / "png"),
        imgsz=32,
        epochs=20,
        batch=128,
        device="cpu",
        workers=CORES,
        fliplr=0.0,
        project=str(data / "run"),
        plots=False,
        verbose=False,
    )
    yield from ()


LOOPS: dict[str, Callable[[Path], Iterator[float]]] = {
    "c": article,
    "d": tutorial,
    "e": lightning_,
    "f": timm_,
    "g": ultralytics_,
}


if __name__ == "__main__":
    main()
