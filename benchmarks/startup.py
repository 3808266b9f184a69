"""How long a person waits: help, showing a config, and the first training step of a cached set.

    python benchmarks/startup.py [--repeat 5]

Every figure is wall time from the start of a new process; the median of a few, and all of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SVHN = [sys.executable, "-m", "svhncli"]
# A plugin that ends the process when the network meets its second batch: the first step is done.
FIRST_STEP = """
import os, torch

seen = []

def leave(module, _):
    if type(module).__name__ == "Cnn" and module.training:
        seen.append(module)
        if len(seen) == 2:
            os._exit(0)

torch.nn.modules.module.register_module_forward_pre_hook(leave)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "first_step.py").write_text(FIRST_STEP)
        train = [*SVHN, "train", "plugins=[first_step]"]
        cases = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "svhn --help": [*SVHN, "--help"],
            "svhn train --help": [*SVHN, "train", "--help"],
            "svhn train --cfg job": [*SVHN, "train", "--cfg", "job"],
            "import torch": [sys.executable, "-c", "import torch"],
            "svhn train, first step": train,
        }
        subprocess.run(
            train, cwd=folder, check=True, capture_output=True
        )  # renders the set where it is not cached
        for name, command in cases.items():
            seconds = sorted(once(command, folder) for _ in range(repeat))
            every = " ".join(f"{s:.2f}" for s in seconds)
            print(f"{name:24} {statistics.median(seconds):6.2f} s   ({every})", flush=True)


def once(command: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
