"""Kill one training run again and again, resume it each time, and compare its bits with an undisturbed one's.

    python benchmarks/kill_resume.py [--kills 20] [--terms 5] [--epochs 16] [key=value ...]

The moments are random: anywhere from the start of the process to the end of the run. The run carries all the
state there is (EMA, momentum, plateau, patience, dropout, mixup, augmentation). Prints the hashes of the
tensors of best.pt and last.pt and of metrics.csv for both; exits with 1 if they differ.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from svhncli.runs.checkpoint import digest, load

SVHN = [sys.executable, "-m", "svhncli", "train"]
RUN = [
    "data.n_train=6000",
    "data.n_test=500",
    "optim=sgd",
    "schedule=plateau",
    "reg=strong",
    "reg.patience=4",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options, words = parser.parse_known_args()
    draw = random.Random(options.seed)
    signals = [signal.SIGKILL] * options.kills + [signal.SIGTERM] * options.terms
    draw.shuffle(signals)
    with tempfile.TemporaryDirectory() as folder:
        whole, runs = Path(folder) / "whole", 1
        run = [*RUN, f"epochs={options.epochs}", *words]
        seconds(f"hydra.run.dir={folder}/warm", *run, "epochs=1")  # renders the set
        took = seconds(f"hydra.run.dir={whole}", *run)
        print(f"undisturbed: {took:.0f} s")
        same = True
        for number, sent in enumerate(signals, 1):
            while True:  # until the signal meets a run before its end
                broken = Path(folder) / f"broken{runs}"
                # Start-up is a part of every attempt, so that early moments are met as well as late ones.
                wait = draw.uniform(0.5, 6 + 2 * took / len(signals))
                code, said = attempt(broken, run, wait, sent)
                if code != 0:
                    break
                same &= compare(whole, broken)
                runs += 1
            print(f"{number:2} {sent.name} after {wait:4.1f} s -> exit {code}; {reached(broken)}", flush=True)
            if code not in (-sent, 128 + sent):
                print(said)
                return 1
        attempt(broken, run, 10 * took, signal.SIGTERM)
        return int(not (compare(whole, broken) and same))


def attempt(broken: Path, run: list[str], wait: float, sent: signal.Signals) -> tuple[int, str]:
    """Start or resume, and send the signal after so many seconds; the exit code, 0 where it came too late."""
    begun = (broken / "config.yaml").is_file()
    command = [*SVHN, *(["--resume", str(broken)] if begun else [f"hydra.run.dir={broken}", *run])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=wait)
    except subprocess.TimeoutExpired:
        process.send_signal(sent)
        _, said = process.communicate()
    return process.returncode, said


def compare(whole: Path, broken: Path) -> bool:
    """Whether both ended with the same bits and nothing half-written is left; prints it."""
    reference, found = hashes(whole), hashes(broken)
    for name in reference:
        same = "same" if reference[name] == found[name] else "DIFFERENT"
        print(f"{name:12} {reference[name][:32]}  {found[name][:32]}  {same}")
    leftover = [p.name for p in broken.iterdir() if p.name.startswith(".writing")]
    print(f"temporary files left behind: {leftover or 'none'}", flush=True)
    return reference == found and not leftover


def seconds(*words: str) -> float:
    """What a whole `svhn train` takes."""
    started = time.perf_counter()
    subprocess.run([*SVHN, *words], check=True, capture_output=True)
    return time.perf_counter() - started


def reached(run: Path) -> str:
    """Where a run stands, by its last checkpoint, which also proves that it is whole."""
    if not (run / "last.pt").is_file():
        return "nothing saved yet"
    state = load(run / "last.pt")["state"]
    return f"epoch {state['epoch']}, step {state['step']}"


def hashes(run: Path) -> dict[str, str]:
    return {
        "best.pt": digest(load(run / "best.pt")["weights"]),
        "last.pt": digest(load(run / "last.pt")["state"]),
        "metrics.csv": hashlib.sha256((run / "metrics.csv").read_bytes()).hexdigest(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
