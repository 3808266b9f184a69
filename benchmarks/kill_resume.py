"""Kill and resume one run many times, and compare its files with those of an undisturbed run, bit by bit.

    python benchmarks/kill_resume.py [--kills 20] [--terms 5] [--epochs 16] [--seed 0] [KEY=VALUE ...]

Signals arrive at random moments between the start of the process and the end of the run. The run uses every
kind of training state (EMA, momentum, plateau schedule, early stopping, dropout, mixup, augmentation). For
both runs, the script prints hashes of the tensors in best.pt and last.pt and of metrics.csv. It exits with
1 if they differ. KEY=VALUE overrides apply to both runs.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import tempfile
from pathlib import Path

from command import SVHN, argument_parser, run_process

from svhncli.runs.checkpoint import digest, load

TRAIN = [*SVHN, "train"]
CONFIG = [
    "data.n_train=6000",
    "data.n_test=500",
    "optim=sgd",
    "schedule=plateau",
    "reg=strong",
    "reg.patience=4",
]


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--kills", type=int, default=20, help="number of SIGKILLs")
    parser.add_argument("--terms", type=int, default=5, help="number of SIGTERMs")
    parser.add_argument("--epochs", type=int, default=16, help="epochs of the run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    options, overrides = parser.parse_known_args()
    rng = random.Random(options.seed)
    signals = [signal.SIGKILL] * options.kills + [signal.SIGTERM] * options.terms
    rng.shuffle(signals)
    with tempfile.TemporaryDirectory() as folder:
        reference, n_finished = Path(folder) / "reference", 0
        config = [*CONFIG, f"epochs={options.epochs}", *overrides]
        run_process([*TRAIN, f"hydra.run.dir={folder}/warm", *config, "epochs=1"])  # renders the data
        _, seconds = run_process([*TRAIN, f"hydra.run.dir={reference}", *config])
        print(f"undisturbed: {seconds:.0f} s")
        is_same = True
        for number, sent in enumerate(signals, 1):
            while True:  # until the signal arrives before the run has ended
                interrupted = Path(folder) / f"interrupted{n_finished}"
                # Every attempt includes start-up, so signals hit early moments as well as late ones.
                wait = rng.uniform(0.5, 6 + 2 * seconds / len(signals))
                code, stderr = attempt(interrupted, config, wait, sent)
                if code != 0:
                    break
                is_same &= compare(reference, interrupted)
                n_finished += 1
            print(
                f"{number:2} {sent.name} after {wait:4.1f} s -> exit {code}; {progress(interrupted)}",
                flush=True,
            )
            if code not in (-sent, 128 + sent):
                print(stderr)
                return 1
        attempt(interrupted, config, 10 * seconds, signal.SIGTERM)
        return int(not (compare(reference, interrupted) and is_same))


def attempt(run: Path, config: list[str], wait: float, sent: signal.Signals) -> tuple[int, str]:
    """Start or resume a run and send a signal after `wait` seconds.

    Returns:
        The exit code, which is 0 if the run ended before the signal, and the standard error.
    """
    is_started = (run / "config.yaml").is_file()
    arguments = ["--resume", str(run)] if is_started else [f"hydra.run.dir={run}", *config]
    process = subprocess.Popen(
        [*TRAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        _, stderr = process.communicate(timeout=wait)
    except subprocess.TimeoutExpired:
        process.send_signal(sent)
        _, stderr = process.communicate()
    return process.returncode, stderr


def compare(reference: Path, interrupted: Path) -> bool:
    """Print and return whether both runs ended with the same bits and no temporary file is left behind."""
    expected, actual = hashes(reference), hashes(interrupted)
    for name in expected:
        result = "same" if expected[name] == actual[name] else "DIFFERENT"
        print(f"{name:12} {expected[name][:32]}  {actual[name][:32]}  {result}")
    leftover = [path.name for path in interrupted.iterdir() if path.name.startswith(".writing")]
    print(f"temporary files left behind: {leftover or 'none'}", flush=True)
    return expected == actual and not leftover


def progress(run: Path) -> str:
    """How far a run got, according to its last checkpoint; reading it also verifies that it is intact."""
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
