"""How long a user waits for help, for the composed config, and for the first training step on cached data.

    python benchmarks/startup.py [--repeat 5]

Each figure is the wall time from the start of a new process. The script prints the median and all
measurements.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from command import SVHN, argument_parser, run_process

# A plugin that ends the process when the network receives its second batch: the first step is complete.
FIRST_STEP = """
import os, torch

batches = []

def leave(module, _):
    if type(module).__name__ == "Cnn" and module.training:
        batches.append(module)
        if len(batches) == 2:
            os._exit(0)

torch.nn.modules.module.register_module_forward_pre_hook(leave)
"""


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each command")
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "first_step.py").write_text(FIRST_STEP)
        train = [*SVHN, "train", "plugins=[first_step]"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "svhn --help": [*SVHN, "--help"],
            "svhn train --help": [*SVHN, "train", "--help"],
            "svhn train --cfg job": [*SVHN, "train", "--cfg", "job"],
            "import torch": [sys.executable, "-c", "import torch"],
            "svhn train, first step": train,
        }
        run_process(train, cwd=folder)  # renders the data if it is not cached
        for name, command in commands.items():
            times = sorted(run_process(command, cwd=folder)[1] for _ in range(repeat))
            listed = " ".join(f"{seconds:.2f}" for seconds in times)
            print(f"{name:24} {statistics.median(times):6.2f} s   ({listed})", flush=True)


if __name__ == "__main__":
    main()
