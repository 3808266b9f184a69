"""Whole numbers in a given time: the Datawhale article's pipeline as it stands, and `svhn train`.

    python benchmarks/whole_numbers.py FOLDER --minutes 5 15 --epochs 11 38 [KEY=VALUE ...]

FOLDER has the contest's layout (mchar_train/, mchar_train.json, mchar_val/, mchar_val.json); svhn render
layout=mchar labels=FILE draws it for the contest's labels. The article's pipeline (two strided convolutions,
six linear heads, Adam at 0.001, batches of 10, Pillow and torchvision transforms through a DataLoader with 2
workers) trains once, validates after every epoch, and its best accuracy after each number of minutes counts.
`svhn train experiment=tianchi` is run once for each, with as many epochs as --epochs says, from an empty
cache; words with "=" go to it. Its seconds are those of the whole command, decoding and start included: take
fewer epochs where they are too many.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

POSITIONS, BLANK, BATCH = 6, 10, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 15])
    parser.add_argument("--epochs", type=int, nargs="+", default=[11, 38], help="of svhn train, for each")
    parser.add_argument("--only", choices=("ours", "article"))
    options = parser.parse_args()
    if options.only != "article":
        for minutes, epochs in zip(options.minutes, options.epochs, strict=True):
            accuracy, seconds = ours(options.folder, epochs, options.words)
            told = f"svhn train, {epochs} epochs: {accuracy:.2%} after {seconds:.0f} s"
            print(f"{minutes:g} min: {told}", flush=True)
    if options.only != "ours":
        for minutes, accuracy, passes in article(options.folder, options.minutes):
            told = f"the article's pipeline, {passes:.1f} epochs: {accuracy:.2%}"
            print(f"{minutes:g} min: {told}", flush=True)


def ours(folder: Path, epochs: int, words: list[str]) -> tuple[float, float]:
    """Best validation accuracy of whole numbers, and the seconds of the command."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "svhncli", "train", "-q", "--json", "experiment=tianchi"]
        command += [f"data.root={folder.resolve()}", f"epochs={epochs}", f"cache={place}/cache"]
        command += [f"hydra.run.dir={place}/run", *words]
        started = time.perf_counter()
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return json.loads(told)["best"]["val_accuracy"], time.perf_counter() - started


def article(folder: Path, minutes: list[float]) -> Iterator[tuple[float, float, float]]:
    """(minutes, best validation accuracy by then, epochs trained by then), as each of the times is over."""
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    class Numbers(Dataset):
        def __init__(self, part: str, transform: Callable[[Image.Image], torch.Tensor]) -> None:
            labels: dict[str, Any] = json.loads((folder / f"mchar_{part}.json").read_text())
            self.items = [(name, [int(digit) for digit in one["label"]]) for name, one in labels.items()]
            self.part, self.transform = part, transform

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            name, digits = self.items[index]
            picture = Image.open(folder / f"mchar_{self.part}" / name).convert("RGB")
            return self.transform(picture), torch.tensor((digits + [BLANK] * POSITIONS)[:POSITIONS])

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            )  # fmt: skip
            self.heads = nn.ModuleList(nn.Linear(32 * 3 * 7, BLANK + 1) for _ in range(POSITIONS))

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            features = self.body(pictures)
            return torch.stack([head(features) for head in self.heads], 1)

    normal = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    change = [transforms.ColorJitter(0.3, 0.3, 0.2), transforms.RandomRotation(5)]
    size = transforms.Resize((64, 128))
    train = Numbers("train", transforms.Compose([size, *change, *normal]))
    val = Numbers("val", transforms.Compose([size, *normal]))
    torch.manual_seed(0)
    batches = DataLoader(train, BATCH, shuffle=True, num_workers=2)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), 0.001)

    def accuracy() -> float:
        network.eval()
        right = 0
        with torch.inference_mode():
            for pictures, labels in DataLoader(val, BATCH, num_workers=2):
                right += int((network(pictures).argmax(-1) == labels).all(1).sum())
        network.train()
        return right / len(val)

    started, best, epochs, left = time.perf_counter(), 0.0, 0, [*minutes]
    while True:
        for step, (pictures, labels) in enumerate(batches, 1):
            loss = nn.functional.cross_entropy(network(pictures).flatten(0, 1), labels.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if time.perf_counter() - started > 60 * left[0]:
                paused = time.perf_counter()
                best = max(best, accuracy())  # a scoring more than it would have had
                yield left.pop(0), best, epochs + step / len(batches)
                started += time.perf_counter() - paused
                if not left:
                    return
        best, epochs = max(best, accuracy()), epochs + 1


if __name__ == "__main__":
    main()
