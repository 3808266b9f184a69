"""How many images a second `svhn train` trains, beside other ways to write the same loop.

    python benchmarks/throughput.py [--rounds 3] [--only a,c]

Same network (model=cnn), optimiser, batch (128), pictures and augmentation (reg=light) everywhere:

    a  svhn train, as a user runs it: memory-mapped pictures, augmentation, metrics, progress
    b  a bare loop on resident float batches, no augmentation, fp32 as torch comes
    c  the same in bf16 autocast and channels_last
    d  PIL + torchvision transforms + DataLoader with 2 workers, fp32: the style of the usual tutorials
    e  Lightning with the loader of d

Every contender is a process of its own and they take turns, round after round, so that a machine that slows
down slows all of them; a ratio is formed within a round. Imports, start-up and the first steps do not count.
The numbers of one machine say little about another: run it on yours.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, WARM_UP, STEPS = 128, 12, 60
PICTURES = BATCH * (WARM_UP + STEPS)
NAMES = {
    "a": "svhn train",
    "b": "bare loop, fp32",
    "c": "bare loop, bf16 + channels_last",
    "d": "PIL + torchvision + DataLoader",
    "e": "Lightning, loader of d",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="a,b,c,d,e", help="contenders, such as a,c")
    parser.add_argument("--contender", choices=list("bcde"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(globals()[f"contender_{options.contender}"]()))
        return
    wanted = options.only.split(",")
    rounds = []
    for number in range(options.rounds):
        rates = {name: measure(name) for name in wanted}
        rounds.append(rates)
        print(
            f"round {number + 1}: " + "  ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()),
            flush=True,
        )
    for name in wanted:
        rates = sorted(r[name] for r in rounds)
        spread = f"({rates[0]:,.0f} to {rates[-1]:,.0f})"
        line = f"{name}  {NAMES[name]:34} {statistics.median(rates):7,.0f} img/s  {spread}"
        if "a" in wanted and name != "a":
            ratios = sorted(r["a"] / r[name] for r in rounds)
            line += f"  a/{name} {statistics.median(ratios):.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line)


def measure(name: str) -> float:
    """Images a second of one contender, in a process of its own."""
    if name == "a":
        return svhn_train()
    command = [sys.executable, __file__, "--contender", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def svhn_train() -> float:
    """A run from the command line; the median of its epochs but the first."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "-q", f"hydra.run.dir={folder}/run", "epochs=4", "test=false", *data_words()]
        subprocess.run([sys.executable, "-m", "svhncli", *words], check=True, capture_output=True)
        with (Path(folder) / "run" / "timing.csv").open(newline="") as file:
            rates = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(rates[1:])


def data_words() -> list[str]:
    return [f"data.n_train={PICTURES}", "data.n_test=0", f"batch_size={BATCH}", "split.fraction=0.05"]


# ----------------------------------------------------------------------------- the others


def pictures():
    """The pictures and labels that (a) trains on, from the same cache."""
    from svhncli.data.sources import synth
    from svhncli.data.store.cache import Cache, default_root
    from svhncli.data.store.disk import silent

    data = synth.load(
        n_train=PICTURES, n_test=0, seed=0, size=32, cache=Cache(default_root()), progress=silent
    )
    return data.train.images, data.train.labels[:, 0]


def network():
    from svhncli.models.cnn import Cnn

    return Cnn((3, 32, 32), 1, 10)


def bare(bf16: bool) -> float:
    import torch
    from torch.nn import functional

    images, labels = pictures()
    x = (torch.from_numpy(images[:]).float() / 255 - 0.5) / 0.25
    y = torch.from_numpy(labels)
    model = network()
    if bf16:
        model, x = (
            model.to(memory_format=torch.channels_last),
            x.contiguous(memory_format=torch.channels_last),
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    started = 0.0
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            started = time.perf_counter()
        batch = slice(step * BATCH, (step + 1) * BATCH)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(x[batch]).flatten(0, 1)
        loss = functional.cross_entropy(logits.float(), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return BATCH * STEPS / (time.perf_counter() - started)


def contender_b() -> float:
    return bare(bf16=False)


def contender_c() -> float:
    return bare(bf16=True)


def loader():
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    images, labels = pictures()

    class Pictures(Dataset):
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

    return DataLoader(Pictures(), BATCH, shuffle=True, num_workers=2)


def contender_d() -> float:
    import torch
    from torch.nn import functional

    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    started = 0.0
    for step, (x, y) in enumerate(loader()):
        if step == WARM_UP:
            started = time.perf_counter()
        loss = functional.cross_entropy(model(x).flatten(0, 1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return BATCH * STEPS / (time.perf_counter() - started)


def contender_e() -> float:
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
            self.model = network()
            self.started = 0.0

        def training_step(self, batch, index: int):
            if index == WARM_UP:
                self.started = time.perf_counter()
            x, y = batch
            return functional.cross_entropy(self.model(x).flatten(0, 1), y)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=3e-4)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader())
    return BATCH * STEPS / (time.perf_counter() - module.started)


if __name__ == "__main__":
    main()
