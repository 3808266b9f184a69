"""`svhn lr-find`: the loss over lr, the lr that it suggests, and whether the schedule fits the epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from rich.console import RenderableType

from svhncli import registry
from svhncli.config.verbs.training import LrFindConfig
from svhncli.core.errors import NotFiniteError
from svhncli.core.files import new_folder, place, write_csv
from svhncli.engine import device
from svhncli.engine.batches import batch_bounds, training_images
from svhncli.engine.compiling import is_worthwhile
from svhncli.engine.loop import NOT_FINITE_HINT
from svhncli.engine.lr_range import suggest
from svhncli.engine.range_test import range_test
from svhncli.engine.schedules import misfits
from svhncli.report.data_notes import say_notes
from svhncli.report.figures.curves import draw_range
from svhncli.report.next_commands import with_lr
from svhncli.report.terminal import Show, facts, next_steps
from svhncli.training.assembly import assemble

CURVE, TABLE = "curve.png", "curve.csv"


@dataclass(frozen=True)
class RangeTest:
    """What a learning rate range test suggests.

    lr: None where the curve shows none. configured: the lr of the config. why: how it was chosen, or what to
    change. lowest: the lr of the lowest loss. misfits: where the schedule does not fit the epochs, a sentence
    each. next: the training with the suggested lr.
    """

    lr: float | None
    why: str
    lowest: float
    misfits: list[str]
    steps: int
    out: str
    configured: float
    next: str | None


def run(config: LrFindConfig) -> RangeTest:
    """Train the network of the first fold while lr rises, and write the curve into a folder.

    Raises:
        UsageError: `out` holds other things.
        NotFiniteError: the loss is not finite from the start.
        DataError, DiskError: as for training.
    """
    show, out = Show(), place(config.out)
    machine = device.resolve(config.device, config.precision, config.threads, config.deterministic)
    trained_on = config.steps * config.batch_size
    machine = replace(machine, compiled=is_worthwhile(config.compile, machine, trained_on))
    device.prepare(machine)
    with show.bars():
        data = registry.data(config.data, config.split, config.cache, show.work)
    fold = registry.folds(config.split, data, config.seed)[0]
    say_notes(data, show, fold)
    epochs = -(-config.steps * config.batch_size // len(fold.train))
    with training_images(data, fold.train, epochs, machine.device) as images, show.bars():
        plan, state = assemble(config, machine, data, fold, images, show)
        points = []
        for point in range_test(plan, state, config.low, config.high, config.steps):
            points.append(point)
            show.work("train while lr rises", len(points), config.steps)
        unfit = misfits(state.schedule, len(batch_bounds(len(images), plan.batch_size)) - 1, plan.epochs)
    if len(points) < 2:
        raise NotFiniteError(f"the training loss is not finite at lr {config.low:g}", NOT_FINITE_HINT)
    suggestion = suggest(points)
    with new_folder(out, {CURVE, TABLE}) as folder:
        rows = (
            {**asdict(point), "smoothed": value}
            for point, value in zip(points, suggestion.smoothed, strict=True)
        )
        write_csv(folder / TABLE, ("lr", "loss", "smoothed"), rows)
        draw_range(folder / CURVE, points, suggestion)
    return RangeTest(
        suggestion.lr,
        suggestion.why,
        suggestion.lowest,
        unfit,
        len(points),
        str(out),
        configured=config.lr,
        next=None if suggestion.lr is None else with_lr(config, suggestion.lr),
    )


def table(result: RangeTest) -> Iterator[RenderableType]:
    lr = "none" if result.lr is None else f"{result.lr:.1e}"
    beside = "" if result.lr is None else f", {result.configured / result.lr:.2g} times the suggested lr"
    yield facts(
        [
            ("suggested lr", f"{lr}: {result.why}"),
            ("lr of the config", f"{result.configured:.1e}{beside}"),
            ("schedule", "; ".join(result.misfits) or "fits the epochs"),
            ("written", result.out),
        ]
    )
    yield from next_steps([result.next] if result.next else [])
