"""`svhn lr-find`: the loss over lr, which lr it suggests, and whether the schedule fits the epochs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from svhncli import registry
from svhncli.config.verbs import LrFindConfig
from svhncli.core.errors import NotFiniteError, UsageError
from svhncli.core.files import new_folder, place, write_csv
from svhncli.engine import device
from svhncli.engine.batches import batch_bounds, training_images
from svhncli.engine.loop import NOT_FINITE_HINT
from svhncli.engine.lr_range import suggest
from svhncli.engine.range_test import range_test
from svhncli.engine.schedules import misfits
from svhncli.report.figures.curves import draw_range
from svhncli.report.terminal import Show
from svhncli.training.assembly import assemble

CURVE, TABLE = "curve.png", "curve.csv"


def run(config: LrFindConfig) -> dict[str, Any]:
    """Train a first fold's network while lr rises, and write the curve into a folder.

    Returns:
        {"lr" (None where the curve does not tell), "why", "lowest" (lr of the lowest loss), "misfits"
        (sentences), "steps", "out"}.

    Raises:
        UsageError: low is not below high, or `out` holds other things.
        NotFiniteError: the loss is not finite from the start.
        DataError, DiskError: as for training.
    """
    if config.low >= config.high:
        raise UsageError(f"low={config.low:g} is not below high={config.high:g}", "lr rises from low to high")
    show, out = Show(), place(config.out)
    machine = device.resolve(config.device, config.precision, config.threads)
    device.prepare(machine)
    with show.bars():
        data = registry.data(config.data, config.split, config.cache, show.work)
    fold = registry.folds(config.split, data, config.seed)[0]
    epochs = -(-config.steps * config.batch_size // len(fold.train))
    with training_images(data, fold.train, epochs, machine.device) as pictures, show.bars():
        plan, state = assemble(config, machine, data, fold, pictures, show)
        points = []
        for point in range_test(plan, state, config.low, config.high, config.steps):
            points.append(point)
            show.work("train while lr rises", len(points), config.steps)
        unfit = misfits(state.schedule, len(batch_bounds(len(pictures), plan.batch_size)) - 1, plan.epochs)
    if len(points) < 2:
        raise NotFiniteError(f"the training loss is not finite at lr {config.low:g}", NOT_FINITE_HINT)
    found = suggest(points)
    with new_folder(out, {CURVE, TABLE}) as folder:
        rows = (
            {**asdict(point), "smoothed": value} for point, value in zip(points, found.smoothed, strict=True)
        )
        write_csv(folder / TABLE, ("lr", "loss", "smoothed"), rows)
        draw_range(folder / CURVE, points, found)
    chosen = {"lr": found.lr, "why": found.why, "lowest": found.lowest}
    return {**chosen, "misfits": unfit, "steps": len(points), "out": str(out)}
