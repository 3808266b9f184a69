"""Kills a piece of work before each of its steps, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SCRIPT = """
import itertools, os, signal, sys
from pathlib import Path

def start(folder, step):
    counter = itertools.count(1)
    def hook(event, args):
        if event.startswith({steps}) and next(counter) == step:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    work(folder)
    os._exit(0)

for step in itertools.count(1):
    folder = Path(sys.argv[1], str(step))
    if (pid := os.fork()) == 0:
        start(folder, step)
    if (status := os.waitpid(pid, 0)[1]) != signal.SIGKILL:
        sys.exit(status)
"""


def before_every_step(work: str, steps: tuple[str, ...], folder: Path) -> list[Path]:
    """Do some work again and again, killed before its first step, its second, and so on, until it ends.

    work: Python code that defines `work(folder)`; what it imports is imported before.
    steps: what the names of Python's audit events begin with that are steps.

    Returns: the folders of every time, those that came to be.
    """
    code = f"{work}\n{SCRIPT.format(steps=steps)}"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=REPO, check=True)
    return list(folder.iterdir())
