"""What was trained, ready for use: from a word on the command line to networks with their preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from svhncli import build, checkpoint, device, schema
from svhncli.device import Machine
from svhncli.errors import CheckpointError
from svhncli.preprocess import Preprocess
from svhncli.record import find_run


@dataclass(frozen=True)
class Trained:
    """The weights of one fold: a network on the CPU in evaluation mode, and the way from picture to it.

    meta: what the checkpoint says beside its tensors ("fold", "fingerprint", "split", "in_shape", …).
    """

    path: Path
    meta: dict[str, Any]
    config: schema.Train
    network: nn.Module
    preprocess: Preprocess


def checkpoints(target: str) -> list[Path]:
    """The weights that a word means: a file, or a run's best.pt, or that of every fold.

    Raises:
        CheckpointError: there is no such run, or it has no weights yet.
    """
    path = Path(target).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir() and (path / "best.pt").is_file():
        return [path / "best.pt"]
    found = find_run(target)
    files = [found / "best.pt"] if (found / "best.pt").is_file() else sorted(found.glob("*/best.pt"))
    if not files:
        raise CheckpointError(f"'{found}' has no best.pt yet", f"finish it with: svhn train --resume {found}")
    return files


def load(path: Path) -> Trained:
    """The network of a checkpoint, with the weights that were validated.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights do not fit its config.
        UsageError: its config is none of this version, or needs a plugin.
    """
    meta, weights = checkpoint.load_weights(path)
    config = schema.from_dict(schema.Train, meta["config"])
    shape = tuple(meta["in_shape"])
    network = build.model(
        config.model, shape, meta["positions"], meta["classes"], config.reg.dropout, fresh=False
    )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in '{path}' do not fit its config", str(error).splitlines()[0]
        ) from error
    return Trained(path, meta, config, network.eval(), Preprocess.from_dict(meta["preprocess"]))


def machine(where: str, config: schema.Train) -> Machine:
    """Where a trained network computes: in the precision of its training, where that was on the same device.

    Raises:
        UsageError: cuda was asked for and there is none.
    """
    found = device.resolve(where, config.precision if where == config.device else "auto", 0)
    device.prepare(found)
    return found
