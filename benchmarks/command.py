"""Helpers that the benchmark scripts share: arguments, running `svhn`, and formatting results."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

SVHN = [sys.executable, "-m", "svhncli"]


def argument_parser(doc: str, *, folder: bool = False, jobs: bool = False) -> argparse.ArgumentParser:
    """A parser whose usage line and description come from a script's docstring.

    The second paragraph of the docstring must be the usage line, starting with "python".

    Args:
        folder: whether the first argument is a folder with SVHN's cropped digits.
        jobs: whether there is an option --jobs.
    """
    summary, usage, *details = doc.strip().split("\n\n")
    parser = argparse.ArgumentParser(
        usage=usage.strip().removeprefix("python "),
        description="\n\n".join([summary, *details]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if folder:
        parser.add_argument(
            "folder", type=Path, metavar="FOLDER", help="contains train_32x32.mat and test_32x32.mat"
        )
    if jobs:
        parser.add_argument("--jobs", type=int, default=2, help="number of parallel processes")
    return parser


def svhn_data(folder: Path | str) -> list[str]:
    """The overrides that select the cropped digits in `folder`."""
    return ["data=svhn", f"data.root={Path(folder).resolve()}", "data.check_md5=false"]


def run_json(verb: str, *arguments: str) -> dict[str, Any]:
    """Run `svhn VERB --json` in this process and return its result.

    Raises:
        RuntimeError: the command failed. The message is its standard error.
    """
    from svhncli.cli import main as cli

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        if cli.main([verb, "-q", "--json", *arguments]) != 0:
            raise RuntimeError(err.getvalue())
    return json.loads(out.getvalue())


def run_process(
    command: Sequence[str], cwd: Path | str | None = None, env: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """Run a command in a process of its own; return its standard output and the seconds it took.

    Raises:
        RuntimeError: the command failed. The message is its standard error.
    """
    started = time.perf_counter()
    completed = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if completed.returncode != 0:
        raise RuntimeError(completed.stderr)
    return completed.stdout, seconds


def process_pool(jobs: int, initializer: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """A pool of spawned processes.

    A multiprocessing.Pool will not do: its workers may not start the processes that render images.
    """
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer)


def value_range(values: Sequence[float], spec: str) -> str:
    """The lowest and the highest value, each formatted with `spec`."""
    return f"{min(values):{spec}} to {max(values):{spec}}"


def print_round(number: int, rates: Mapping[str, float]) -> None:
    """Print the images per second that each contender reached in a round."""
    cells = "  ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    print(f"round {number}: {cells}", flush=True)
