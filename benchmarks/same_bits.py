"""Hashes of the results of five short runs, to check that two versions of the code compute the same bits.

    python benchmarks/same_bits.py [--out DIR] [KEY=VALUE ...]

The runs are a CNN, a spatial transformer on whole numbers, L0 gates, k-fold cross-validation, and real
digits mixed with rendered ones. They use one CPU thread in fp32; KEY=VALUE overrides, such as device=cuda,
apply to all. Checkpoints are hashed by content, without the
config that they contain, and metrics.csv by its bytes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from command import SVHN, argument_parser, run_process
from scipy.io import savemat

COMMON = ("threads=1", "precision=fp32", "device=cpu", "epochs=2", "report=false", "seed=3")
DIGITS = ("data=synth", "data.n_train=600", "data.n_test=200")
NUMBERS = ("data=synth_full", "data.n_train=120", "data.n_test=40", "data.crop=whole")
MIX = ("data=mix", "data.root=svhn", "data.n_rendered=200", "data.check_md5=false", "data.download=false")
RUNS = {
    "cnn": ("model=cnn", *DIGITS, "reg=strong"),
    "stn-numbers": (*NUMBERS, "model.stn=true"),
    "l0": ("model=mlp", *DIGITS, "reg.l0=0.01", "optim=sgd", "lr=0.02"),
    "kfold": ("model=cnn", *DIGITS, "split=kfold", "split.k=3", "jobs=1", "schedule=one_cycle"),
    "mix": MIX,
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the runs in this folder")
    options, overrides = parser.parse_known_args()
    search_path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": search_path}
    with tempfile.TemporaryDirectory() as folder:
        work = options.out or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        write_digits(work / "svhn")
        for name, own in RUNS.items():
            command = [*SVHN, "train", "-q", *COMMON, *own, *overrides, f"hydra.run.dir={name}"]
            run_process(command, cwd=work, env=environment)
            for file in sorted((work / name).rglob("*")):
                if file.name in ("best.pt", "last.pt", "metrics.csv"):
                    print(f"{digest(file)}  {file.relative_to(work)}", flush=True)


def write_digits(folder: Path) -> None:
    """Write 300 and 100 images of noise, each with a bar whose height shows its class, in SVHN's layout."""
    folder.mkdir(exist_ok=True)
    for part, count in (("train", 300), ("test", 100)):
        rng = np.random.default_rng(count)
        labels = rng.integers(1, 11, count)
        pixels = rng.integers(0, 120, (32, 32, 3, count))
        for i, label in enumerate(labels):
            pixels[3 * label - 2 : 3 * label, :, :, i] = 250
        savemat(folder / f"{part}_32x32.mat", {"X": pixels.astype(np.uint8), "y": labels[:, None]})


def digest(file: Path) -> str:
    sha = hashlib.sha256()
    if file.suffix == ".pt":
        content = torch.load(file, map_location="cpu", weights_only=True)["content"]
        content["meta"].pop("config")
        feed(sha, content)
    else:
        sha.update(file.read_bytes())
    return sha.hexdigest()[:16]


def feed(sha: hashlib._Hash, value: object) -> None:
    """Hash nested containers; tensors count bit by bit."""
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
