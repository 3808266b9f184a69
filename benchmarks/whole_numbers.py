"""Accuracy on whole numbers within a given time: the Datawhale article's pipeline compared with `svhn train`.

    python benchmarks/whole_numbers.py FOLDER [KEY=VALUE ...] [--minutes 5 15] [--epochs 2 7] [--only ours]

FOLDER has the layout of the contest (mchar_train/, mchar_train.json, mchar_val/, mchar_val.json);
`svhn render layout=mchar labels=FILE` renders it for the labels of the contest.

The article's pipeline consists of two strided convolutions, six linear heads, Adam at 0.001, batches of 10,
and Pillow and torchvision transforms in a DataLoader with 2 workers. It runs once and validates after every
epoch; its result is the best accuracy within each number of minutes.

`svhn train experiment=tianchi` runs once for each number of minutes, with the number of epochs given by
--epochs and an empty cache. KEY=VALUE overrides apply to these runs. Its time is that of the whole command,
including start-up and decoding; if it exceeds the limit, use fewer epochs.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from command import SVHN, argument_parser, run_process

POSITIONS, BLANK, BATCH = 6, 10, 10


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="images and labels in the contest's layout"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides for svhn train")
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 15], metavar="M", help="time limits")
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 7], metavar="N",
                        help="epochs of svhn train for each time limit")  # fmt: skip
    parser.add_argument(
        "--only", choices=("ours", "article"), help="run svhn train or the article's pipeline alone"
    )
    options = parser.parse_args()
    if options.only != "article":
        for minutes, epochs in zip(options.minutes, options.epochs, strict=True):
            accuracy, seconds = ours(options.folder, epochs, options.overrides)
            print(
                f"{minutes:g} min: svhn train, {epochs} epochs: {accuracy:.2%} after {seconds:.0f} s",
                flush=True,
            )
    if options.only != "ours":
        for minutes, accuracy, epochs in article(options.folder, options.minutes):
            print(f"{minutes:g} min: the article's pipeline, {epochs:.1f} epochs: {accuracy:.2%}", flush=True)


def ours(folder: Path, epochs: int, overrides: list[str]) -> tuple[float, float]:
    """The best validation accuracy of `svhn train`, and the seconds of the command."""
    with tempfile.TemporaryDirectory() as work:
        output, seconds = run_process([
            *SVHN, "train", "-q", "--json", "experiment=tianchi", f"data.root={folder.resolve()}",
            f"epochs={epochs}", f"cache={work}/cache", f"hydra.run.dir={work}/run", *overrides,
        ])  # fmt: skip
    return json.loads(output)["best"]["val_accuracy"], seconds


def article(folder: Path, limits: list[float]) -> Iterator[tuple[float, float, float]]:
    """At each limit in minutes, yield it with the best validation accuracy and the epochs trained so far."""
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    class Numbers(Dataset):
        def __init__(self, part: str, transform: Callable[[Image.Image], torch.Tensor]) -> None:
            entries: dict[str, Any] = json.loads((folder / f"mchar_{part}.json").read_text())
            self.items = [(name, [int(digit) for digit in entry["label"]]) for name, entry in entries.items()]
            self.part, self.transform = part, transform

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            name, digits = self.items[index]
            image = Image.open(folder / f"mchar_{self.part}" / name).convert("RGB")
            return self.transform(image), torch.tensor((digits + [BLANK] * POSITIONS)[:POSITIONS])

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            )  # fmt: skip
            self.heads = nn.ModuleList(nn.Linear(32 * 3 * 7, BLANK + 1) for _ in range(POSITIONS))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.body(images)
            return torch.stack([head(features) for head in self.heads], 1)

    normalize = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    augment = [transforms.ColorJitter(0.3, 0.3, 0.2), transforms.RandomRotation(5)]
    resize = transforms.Resize((64, 128))
    train = Numbers("train", transforms.Compose([resize, *augment, *normalize]))
    val = Numbers("val", transforms.Compose([resize, *normalize]))
    torch.manual_seed(0)
    batches = DataLoader(train, BATCH, shuffle=True, num_workers=2)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), 0.001)

    def validate() -> float:
        network.eval()
        n_correct = 0
        with torch.inference_mode():
            for images, labels in DataLoader(val, BATCH, num_workers=2):
                n_correct += int((network(images).argmax(-1) == labels).all(1).sum())
        network.train()
        return n_correct / len(val)

    started, best, epochs, remaining = time.perf_counter(), 0.0, 0, [*limits]
    while True:
        for step, (images, labels) in enumerate(batches, 1):
            loss = nn.functional.cross_entropy(network(images).flatten(0, 1), labels.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if time.perf_counter() - started > 60 * remaining[0]:
                paused = time.perf_counter()
                best = max(best, validate())  # an extra validation, whose time does not count
                yield remaining.pop(0), best, epochs + step / len(batches)
                started += time.perf_counter() - paused
                if not remaining:
                    return
        best, epochs = max(best, validate()), epochs + 1


if __name__ == "__main__":
    main()
