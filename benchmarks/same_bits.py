"""What five short runs leave, as hashes: two versions of the code that compute the same print the same lines.

    python benchmarks/same_bits.py [--out DIR]

The five are cnn, a spatial transformer on whole numbers, L0 gates, k-fold, and real digits mixed with
rendered ones, on one thread in fp32. best.pt and last.pt are hashed by content, without the config
that they carry; metrics.csv by its bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.io import savemat

SMALL = ("threads=1", "precision=fp32", "device=cpu", "epochs=2", "report=false", "seed=3")
DIGITS = ("data=synth", "data.n_train=600", "data.n_test=200")
FETCH_NONE = "data.download=false"
STN = "model.stn=true"
RUNS = {
    "cnn": ("model=cnn", *DIGITS, "reg=strong"),
    "stn-numbers": ("data=synth_full", "data.n_train=120", "data.n_test=40", "data.crop=whole", STN),
    "l0": ("model=mlp", *DIGITS, "reg.l0=0.01", "optim=sgd", "lr=0.02"),
    "kfold": ("model=cnn", *DIGITS, "split=kfold", "split.k=3", "jobs=1", "schedule=one_cycle"),
    "mix": ("data=mix", "data.root=svhn", "data.n_rendered=200", "data.check_md5=false", FETCH_NONE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="where the runs stay; left out, they go")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        work = out or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        write_digits(work / "svhn")
        for name, words in RUNS.items():
            words = ("train", "-q", *SMALL, *words, f"hydra.run.dir={name}")
            paths = [os.getcwd(), os.environ.get("PYTHONPATH", "")]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
            subprocess.run(
                [sys.executable, "-m", "svhncli", *words],
                cwd=work,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            for file in sorted((work / name).rglob("*")):
                if file.name in ("best.pt", "last.pt", "metrics.csv"):
                    print(f"{digest(file)}  {file.relative_to(work)}", flush=True)


def write_digits(folder: Path) -> None:
    """300 and 100 pictures of noise with a bar at the height of the class, in the layout of SVHN."""
    folder.mkdir(exist_ok=True)
    for part, count in (("train", 300), ("test", 100)):
        draw = np.random.default_rng(count)
        labels = draw.integers(1, 11, count)
        pixels = draw.integers(0, 120, (32, 32, 3, count))
        for i, label in enumerate(labels):
            pixels[3 * label - 2 : 3 * label, :, :, i] = 250
        savemat(folder / f"{part}_32x32.mat", {"X": pixels.astype(np.uint8), "y": labels[:, None]})


def digest(file: Path) -> str:
    sha = hashlib.sha256()
    if file.suffix == ".pt":
        content = torch.load(file, weights_only=True)["content"]
        content["meta"].pop("config")
        feed(sha, content)
    else:
        sha.update(file.read_bytes())
    return sha.hexdigest()[:16]


def feed(sha: hashlib._Hash, value: object) -> None:
    """Nested containers, tensors bit by bit."""
    if isinstance(value, torch.Tensor):
        sha.update(f"{value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for name, inner in value.items():
            sha.update(f"{name}:".encode())
            feed(sha, inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            feed(sha, inner)
    else:
        sha.update(f"{value!r};".encode())


if __name__ == "__main__":
    main()
