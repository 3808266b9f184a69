"""Whether the disk has room for what a fold's training will write, before its first step."""

from __future__ import annotations

from svhncli.config.verbs.training import TrainConfig
from svhncli.data.store.disk import require_space
from svhncli.engine.state import Plan, State
from svhncli.runs import checkpoint
from svhncli.runs.run_dir import RunDir

MOMENTS = 2
"""Numbers that an optimizer keeps for each weight, at most: of Adam both moments."""
CELL = 20
"""Bytes of a probability in a table of predictions."""
FIGURES = 4_000_000
"""Bytes of plots, pages and tables of a small run."""


def require_room(config: TrainConfig, plan: Plan, state: State, run: RunDir, left: int) -> None:
    """Refuse to start what the disk cannot hold.

    left: folds that are still to be trained, this included.

    Raises:
        DiskError: how much is needed, and how much is free.
    """
    saved = state.state_dict()
    weights = checkpoint.size(saved["model"])
    last = checkpoint.size(saved) + MOMENTS * weights * (not saved["optimizer"]["state"])
    digits = plan.val.digits
    cells = len(plan.val.indices) * digits.labels.shape[1] * digits.classes
    # a file that is replaced is there twice for a moment
    fold = 2 * last + (2 + config.snapshots) * weights + CELL * cells + FIGURES
    there = sum(file.stat().st_size for file in run.path.glob("**/*.pt"))
    require_space(run.path, left * fold - there)
