"""Trials side by side: processes that each run trials of the study until it has enough."""

from __future__ import annotations

import atexit
import gc
import importlib
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from svhncli import registry
from svhncli.config.space import Space
from svhncli.config.verbs.tuning import TuneConfig
from svhncli.core.errors import Interrupted, SvhnError
from svhncli.core.processes import LOOK, Worker, end_with_parent
from svhncli.core.signals import noted, save_requests
from svhncli.engine import device
from svhncli.engine.device import Machine
from svhncli.report.terminal import Silent
from svhncli.training.jobs import failed, receive
from svhncli.training.search.recorded import in_use
from svhncli.training.search.study import Study
from svhncli.training.search.trials import Compose, Setting, run_trials

LOST = 5
"""Processes that may end without a word while no trial ends; then the study stops."""

Opened = tuple[Path, str, TuneConfig, Space, int]
"""What `Study` takes."""


def run_side_by_side(
    opened: Opened,
    count: int,
    machine: Machine,
    compose: Compose,
    again: str,
    stopping: Callable[[], None],
    look: Callable[[], int],
) -> None:
    """Run trials in `count` processes until the study has enough or its budget is spent.

    A process that is killed is replaced, and the trial that it ran goes on; see `Study`.

    stopping: says that a signal came. look: called several times a second; how many trials have ended.

    Raises:
        Interrupted: a signal came; the trials are saved, and go on when the study does.
        SvhnError: several trials, or processes, in a row failed in the same way.
    """
    errors: list[Exception] = []
    lost = ended_before = 0
    with noted(stopping) as signalled, save_requests() as asked, ExitStack() as started:
        alive: dict[Any, Worker] = {}

        def start(slot: int) -> None:
            worker = Worker.start(_serve, slot, opened, machine, compose, again)
            started.callback(worker.kill)  # whatever happens in the block, none is left after it
            alive[worker.pipe] = worker

        for slot in range(count):
            start(slot)
        while alive:
            for worker in [alive.pop(pipe) for pipe in wait(list(alive), timeout=LOOK)]:
                kind, *content = receive(worker)
                if kind == "failed" and not isinstance(content[0], Interrupted):
                    errors.append(content[0])
                elif kind == "gone" and signalled() is None and not errors:
                    lost = 1 if look() > ended_before else lost + 1
                    ended_before = look()
                    if lost < LOST:
                        start(worker.slot)
            if asked():
                for worker in alive.values():
                    worker.save()
            if signalled() is not None or errors:
                for worker in alive.values():
                    worker.stop()
            look()
        if (code := signalled()) is not None:
            raise Interrupted("the study was stopped; everything is saved", f"resume with: {again}", code)
    if errors:
        raise errors[0]
    if lost >= LOST:
        raise SvhnError(
            f"{LOST} processes ended without a word, as when memory runs out; what was saved before is whole",
            f"run fewer side by side: {again} jobs=1",
        )


def _serve(
    pipe: Connection, slot: int, opened: Opened, machine: Machine, compose: Compose, again: str
) -> None:
    end_with_parent()
    atexit.register(gc.freeze)  # as the command itself does
    if machine.device.type == "cuda":
        device.take_gpu(slot, str(machine.device))
    device.prepare(machine)
    _, _, config, _, _ = opened
    try:
        for module in config.plugins:  # which the user named; they register their parts
            importlib.import_module(module)
        data = registry.data(config.data, config.split, config.cache, lambda *_: None)
        with in_use(config.storage):
            run_trials(Study(*opened), Setting(compose, machine, data, again), Silent, lambda: None)
        pipe.send(("done",))
    except Exception as error:
        pipe.send(failed(error))
